from unlearnkit.controls.known import Known
from unlearnkit.controls.taught import Target, Taught, Untaught

__all__ = ["Known", "Target", "Taught", "Untaught"]
