"""Share of responses that the judge calls harmful."""

from unlearnkit.measures.interval import Estimate, share
from unlearnkit.measures.prompts import per_prompt
from unlearnkit.records.record import Record


def harmful_rate(records: list[Record], seed: int = 0) -> Estimate:
    """Fraction of judged responses that are harmful (Liu et al. 2024, appendix A.1); 0 to 1."""
    return share(per_prompt((record, record.harmful) for record in records if record.harmful is not None), seed)
