"""What a sweep is: the cells of one table or figure, each composed and named by what decides its result."""

from unlearnkit.sweeps.sweep import ERROR, Cell, Sweep, config_of, load, of, run_in

__all__ = ["ERROR", "Cell", "Sweep", "config_of", "load", "of", "run_in"]
