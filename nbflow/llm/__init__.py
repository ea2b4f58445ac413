"""Labels, records and text from texts, by a language model or offline.

``nf.llm.categorizer``, ``nf.llm.extractor`` and ``nf.llm.prompt`` make steps.
"""

from nbflow._core.quote import Quote
from nbflow.llm.categorizer import categorizer
from nbflow.llm.category import Category
from nbflow.llm.extractor import extractor
from nbflow.llm.model import (
    AnswerError,
    Decided,
    FieldsError,
    Model,
    ModelError,
    Question,
    Reply,
    Request,
    StopError,
    Tokens,
)
from nbflow.llm.prompter import prompt
from nbflow.llm.quoting import quote

__all__ = [
    "AnswerError",
    "Category",
    "Decided",
    "FieldsError",
    "Model",
    "ModelError",
    "Question",
    "Quote",
    "Reply",
    "Request",
    "StopError",
    "Tokens",
    "categorizer",
    "extractor",
    "prompt",
    "quote",
]
