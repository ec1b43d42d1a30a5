"""A sweep is the cells of one table or figure: `sweep` composes, `cell` runs one, `progress` reports."""

from unlearnkit.sweeps.sweep import ERROR, Cell, Sweep, config_of, load, of, run_in

__all__ = ["ERROR", "Cell", "Sweep", "config_of", "load", "of", "run_in"]
