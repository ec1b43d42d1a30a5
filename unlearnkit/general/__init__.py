"""General tasks through lm-evaluation-harness: what unlearning did to abilities it should have left alone."""

from unlearnkit.general.evaluation import General

__all__ = ["General"]
