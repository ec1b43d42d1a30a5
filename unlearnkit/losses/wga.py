"""Weighted gradient ascent."""

from unlearnkit.losses.base import Against
from unlearnkit.losses.satimp import SatImp
from unlearnkit.settings.bounds import Nonnegative


class WGA(SatImp):
    r"""Wang et al. 2025 (arXiv:2502.19301), eq. (8): a token is weighed by its own probability.

    .. math:: L = \frac{1}{N} \sum_t p_t^{\beta} \log p_t

    The paper sums over an answer's tokens; OpenUnlearning averages over the batch's, and so do we. At beta = 0 it is
    gradient ascent.
    """

    def __init__(self, stream: str, weight: float = 1.0, beta: Nonnegative = 1.0, against: Against = "start"):
        super().__init__(stream, weight, saturation=beta, importance=0.0, against=against)
