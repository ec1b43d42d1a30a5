"""A model that is there already, measured with another evaluation: an old run's, or any folder's beside a start."""

from unlearnkit.measure.folders import measure_folder
from unlearnkit.measure.runs import measure_run

__all__ = ["measure_folder", "measure_run"]
