from unlearnkit.controls.known import Known
from unlearnkit.controls.never_knew import NEVER_KNEW, Control, NeverKnew, needed
from unlearnkit.controls.taught import Target, Taught, Untaught

__all__ = ["NEVER_KNEW", "Control", "Known", "NeverKnew", "Target", "Taught", "Untaught", "needed"]
