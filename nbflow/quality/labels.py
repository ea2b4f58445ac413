"""Labels: a taxonomy in whatever form it is written down, as label -> description."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from nbflow._core.label import text_of
from nbflow.errors import UsageError


def labels_of(labels: Any, argument: str) -> dict[str, str]:
    """Labels with what they mean; empty where nothing is said.

    Args:
        labels: a list, a dict of label -> description, an Enum or a Literal.
        argument: what it is called, for the error.

    Raises:
        UsageError: it is none of these, is empty, or says a label twice.
    """
    if isinstance(labels, Mapping):
        named = [(text_of(label), str(said or "")) for label, said in labels.items()]
    elif isinstance(labels, type) and issubclass(labels, enum.Enum):
        named = [(text_of(label), "") for label in labels]
    elif get_args(labels):
        named = [(text_of(label), "") for label in get_args(labels)]
    elif isinstance(labels, Iterable) and not isinstance(labels, str):
        named = [(text_of(label), "") for label in labels]
    else:
        raise UsageError(
            f"{argument}={labels!r} has to be a list of labels, a dict of label -> description, an Enum or a Literal."
        )
    found = {label: said for label, said in named if label}
    if len(found) != len(named) or not found:
        raise UsageError(
            f"{argument}= has to name each label once, and one at least; it is {[label for label, _ in named]!r}."
        )
    return found
