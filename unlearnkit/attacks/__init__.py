from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.attacks.few_shot import FewShot
from unlearnkit.attacks.opening import Opening
from unlearnkit.attacks.quantise import Quantise
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.samples import Samples
from unlearnkit.attacks.system import System
from unlearnkit.attacks.weights import Interpolate, Noise, Prune

__all__ = [
    "Attack",
    "FewShot",
    "Interpolate",
    "Noise",
    "Opening",
    "Prune",
    "Quantise",
    "Relearn",
    "Samples",
    "Scene",
    "System",
]
