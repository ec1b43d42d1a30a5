from unlearnkit.attacks.base import Attack, Scene
from unlearnkit.attacks.few_shot import FewShot
from unlearnkit.attacks.jailbreak import Jailbreak
from unlearnkit.attacks.opening import Opening
from unlearnkit.attacks.paraphrase import Paraphrase
from unlearnkit.attacks.quantise import Quantise
from unlearnkit.attacks.relearn import Relearn
from unlearnkit.attacks.samples import Samples
from unlearnkit.attacks.system import System
from unlearnkit.attacks.translate import Translate
from unlearnkit.attacks.weights import Interpolate, Noise, Prune

__all__ = [
    "Attack",
    "FewShot",
    "Interpolate",
    "Jailbreak",
    "Noise",
    "Opening",
    "Paraphrase",
    "Prune",
    "Quantise",
    "Relearn",
    "Samples",
    "Scene",
    "System",
    "Translate",
]
