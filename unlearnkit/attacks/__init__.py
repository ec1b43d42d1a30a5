from unlearnkit.attacks.base import Attack
from unlearnkit.attacks.system import System

__all__ = ["Attack", "System"]
