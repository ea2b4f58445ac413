"""Labels for texts, by a language model or offline: ``nf.llm.categorizer``."""

from nbflow.llm.categorizer import categorizer
from nbflow.llm.category import Category
from nbflow.llm.model import (
    AnswerError,
    Model,
    ModelError,
    Reply,
    Request,
    StopError,
    Tokens,
)

__all__ = [
    "AnswerError",
    "Category",
    "Model",
    "ModelError",
    "Reply",
    "Request",
    "StopError",
    "Tokens",
    "categorizer",
]
