from unlearnkit.evaluations.base import Evaluation, Evaluations, Numbers
from unlearnkit.evaluations.concepts import Concepts
from unlearnkit.evaluations.facts import Facts
from unlearnkit.evaluations.safety import Safety
from unlearnkit.evaluations.scopes import Scopes

__all__ = ["Concepts", "Evaluation", "Evaluations", "Facts", "Numbers", "Safety", "Scopes"]
