from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.attacks.depth import Depth
from unlearnkit.attacks.few_shot import FewShot
from unlearnkit.attacks.logit_lens import LogitLens
from unlearnkit.attacks.opening import Opening
from unlearnkit.attacks.quantise import Quantise
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.system import System
from unlearnkit.attacks.weights import Interpolate, Noise, Prune

__all__ = [
    "Attack",
    "Depth",
    "FewShot",
    "Interpolate",
    "LogitLens",
    "Noise",
    "Opening",
    "Prune",
    "Quantise",
    "Relearn",
    "Scene",
    "System",
]
