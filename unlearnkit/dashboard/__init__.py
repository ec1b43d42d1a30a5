"""A sweep's W&B dashboard: its runs beside the paper's numbers, which are logged as reference runs."""

from unlearnkit.dashboard.workspace import write

__all__ = ["write"]
