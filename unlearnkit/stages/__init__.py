from unlearnkit.stages.base import Context, Stage
from unlearnkit.stages.fila import Fila
from unlearnkit.stages.finetune import Finetune
from unlearnkit.stages.locate import Locate
from unlearnkit.stages.memit import Memit
from unlearnkit.stages.negate import Negate
from unlearnkit.stages.restrict import Restrict

__all__ = ["Context", "Fila", "Finetune", "Locate", "Memit", "Negate", "Restrict", "Stage"]
