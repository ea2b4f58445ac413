"""What the models of these tests say, and how it is spoiled: `nbflow.testing.llm_server` does the rest."""

import json

from nbflow.testing import ModelServer, faults
from nbflow.testing.faults import (  # noqa: F401  # the tests say chat.error, chat.hang
    changed,
    error,
    hang,
    hang_up,
    reset,
    says,
    shuffled,
    truncated,
)
from nbflow.testing.model_server import TOKENS

LABELS = ["billing", "bug", "other"]
#: What one request costs here, in tokens.
PROMPT, COMPLETION = TOKENS


def label_of(text):
    """What a good model answers."""
    return "billing" if "refund" in text else "bug" if "crash" in text else "other"


def said(text):
    """Its whole answer."""
    return {"label": label_of(text), "confidence": 0.9, "reason": "it says so"}


def answers(texts):
    return [{"id": text.id, **said(text)} for text in texts]


def good(texts):
    """The content of a good answer."""
    return json.dumps({"answers": answers(texts)} if len(texts) > 1 else said(texts[0]))


def model_server():
    """A server of models that label, and of decision models that choose."""
    return ModelServer(said, lambda text, _name, _options: label_of(text))


__all__ = [
    "COMPLETION",
    "LABELS",
    "PROMPT",
    "answers",
    "faults",
    "good",
    "label_of",
    "model_server",
    "said",
]
