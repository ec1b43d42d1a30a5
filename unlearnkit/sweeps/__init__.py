"""What a sweep is: the cells of one table or figure, each composed and named by what decides its result."""

from unlearnkit.sweeps.sweep import ERROR, LOCK, STATES, Cell, Sweep, load, of, run_in

__all__ = ["ERROR", "LOCK", "STATES", "Cell", "Sweep", "load", "of", "run_in"]
