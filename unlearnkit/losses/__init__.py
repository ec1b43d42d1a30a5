from unlearnkit.losses.adversarial import Adversarial
from unlearnkit.losses.base import Answers, Loss
from unlearnkit.losses.dpo import DPO
from unlearnkit.losses.kl import KL
from unlearnkit.losses.nll import NLL
from unlearnkit.losses.npo import NPO
from unlearnkit.losses.random_labels import RandomLabels

__all__ = ["DPO", "KL", "NLL", "NPO", "Adversarial", "Answers", "Loss", "RandomLabels"]
