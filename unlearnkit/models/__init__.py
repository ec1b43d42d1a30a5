from unlearnkit.models.language_model import LanguageModel
from unlearnkit.models.loading import load, load_source
from unlearnkit.models.templates import Template

__all__ = ["LanguageModel", "Template", "load", "load_source"]
