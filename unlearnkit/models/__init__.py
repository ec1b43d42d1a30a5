from unlearnkit.models.loading import LanguageModel, load, load_source
from unlearnkit.models.templates import Template

__all__ = ["LanguageModel", "Template", "load", "load_source"]
