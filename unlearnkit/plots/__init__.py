"""Figures of papers from metrics.json files, as PNG and SVG."""

from unlearnkit.plots.dissecting import bleu, krs
from unlearnkit.plots.files import FIGURES, draw, write
from unlearnkit.plots.prefixes import prefixes
from unlearnkit.plots.steps import steps
from unlearnkit.plots.tradeoff import tradeoff

__all__ = ["FIGURES", "bleu", "draw", "krs", "prefixes", "steps", "tradeoff", "write"]
