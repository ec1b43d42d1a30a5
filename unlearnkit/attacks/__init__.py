from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.attacks.depth import Depth
from unlearnkit.attacks.few_shot import FewShot
from unlearnkit.attacks.linear_probe import LinearProbe
from unlearnkit.attacks.logit_lens import LogitLens
from unlearnkit.attacks.opening import Opening
from unlearnkit.attacks.quantise import Quantise
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.soft_prompt import SoftPrompt
from unlearnkit.attacks.system import System
from unlearnkit.attacks.weights import Interpolate, Noise, Prune

__all__ = [
    "Attack",
    "Depth",
    "FewShot",
    "Interpolate",
    "LinearProbe",
    "LogitLens",
    "Noise",
    "Opening",
    "Prune",
    "Quantise",
    "Relearn",
    "Scene",
    "SoftPrompt",
    "System",
]
