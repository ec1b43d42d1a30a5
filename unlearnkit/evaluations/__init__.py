from unlearnkit.evaluations.base import Evaluations, Numbers, Part, Point
from unlearnkit.evaluations.evaluation import Evaluation

__all__ = ["Evaluation", "Evaluations", "Numbers", "Part", "Point"]
