from unlearnkit.losses.adversarial import Adversarial
from unlearnkit.losses.base import Answers, Loss
from unlearnkit.losses.ceu import CEU
from unlearnkit.losses.constrained import Constrained
from unlearnkit.losses.dpo import DPO
from unlearnkit.losses.inverted_hinge import InvertedHinge
from unlearnkit.losses.keep_states import KeepStates
from unlearnkit.losses.kl import KL, KLAsPublished
from unlearnkit.losses.logit_flattening import LogitFlattening
from unlearnkit.losses.nll import NLL
from unlearnkit.losses.npo import NPO
from unlearnkit.losses.random_labels import RandomLabels
from unlearnkit.losses.satimp import SatImp
from unlearnkit.losses.simnpo import SimNPO
from unlearnkit.losses.steer import Steer
from unlearnkit.losses.undial import UNDIAL
from unlearnkit.losses.wga import WGA

__all__ = [
    "CEU",
    "DPO",
    "KL",
    "NLL",
    "NPO",
    "UNDIAL",
    "WGA",
    "Adversarial",
    "Answers",
    "Constrained",
    "InvertedHinge",
    "KLAsPublished",
    "KeepStates",
    "LogitFlattening",
    "Loss",
    "RandomLabels",
    "SatImp",
    "SimNPO",
    "Steer",
]
