"""Labels for texts, by a language model or offline: ``nf.llm.categorizer``."""

from nbflow.llm.categorizer import categorizer
from nbflow.llm.category import Category

__all__ = ["Category", "categorizer"]
