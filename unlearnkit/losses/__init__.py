from unlearnkit.losses.base import Answers, Loss
from unlearnkit.losses.kl import KL
from unlearnkit.losses.nll import NLL

__all__ = ["KL", "NLL", "Answers", "Loss"]
