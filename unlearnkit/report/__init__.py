"""HTML files that open offline, one about a run and one about a sweep: `python -m unlearnkit.report {FOLDER,NAME}`."""

from unlearnkit.report.run import write_report
from unlearnkit.report.sweep import write_sweep

__all__ = ["write_report", "write_sweep"]
