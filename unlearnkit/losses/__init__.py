from unlearnkit.losses.adversarial import Adversarial
from unlearnkit.losses.base import Answers, Loss
from unlearnkit.losses.kl import KL
from unlearnkit.losses.nll import NLL
from unlearnkit.losses.random_labels import RandomLabels

__all__ = ["KL", "NLL", "Adversarial", "Answers", "Loss", "RandomLabels"]
