"""Share of responses that the judge calls harmful."""

from unlearnkit.measures.base import LOWER, Measure
from unlearnkit.records.record import Record


class HarmfulRate(Measure):
    """Fraction of judged responses that are harmful (Liu et al. 2024, appendix A.1); 0 to 1."""

    reads = ("harmful",)
    better = LOWER
    yes_no, rate, decimals = True, True, 1

    def value(self, record: Record, role: str | None) -> float | None:
        return None if record.harmful is None else float(record.harmful)
