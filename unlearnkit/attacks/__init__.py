from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.attacks.depth import Depth
from unlearnkit.attacks.few_shot import FewShot
from unlearnkit.attacks.jailbreak import Jailbreak
from unlearnkit.attacks.linear_probe import LinearProbe
from unlearnkit.attacks.logit_lens import LogitLens
from unlearnkit.attacks.opening import Opening
from unlearnkit.attacks.paraphrase import Paraphrase
from unlearnkit.attacks.quantise import Quantise
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.samples import Samples
from unlearnkit.attacks.soft_prompt import SoftPrompt
from unlearnkit.attacks.system import System
from unlearnkit.attacks.translate import Translate
from unlearnkit.attacks.weights import Interpolate, Noise, Prune

__all__ = [
    "Attack",
    "Depth",
    "FewShot",
    "Interpolate",
    "Jailbreak",
    "LinearProbe",
    "LogitLens",
    "Noise",
    "Opening",
    "Paraphrase",
    "Prune",
    "Quantise",
    "Relearn",
    "Samples",
    "Scene",
    "SoftPrompt",
    "System",
    "Translate",
]
