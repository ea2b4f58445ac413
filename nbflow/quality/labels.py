"""Labels: a taxonomy in whatever form it is written down, as label -> description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import get_args

from nbflow._core.label import text_of
from nbflow.errors import UsageError


def labels_of(labels: object, argument: str) -> dict[str, str]:
    """Labels with what they mean; empty where nothing is said.

    Args:
        labels: a list, a dict of label -> description, an Enum or a Literal.
        argument: what it is called, for the error.

    Raises:
        UsageError: it is none of these, is empty, or says a label twice.
    """
    described = _described(labels, argument)
    names = [text_of(label) for label, _ in described]
    found: dict[str, str] = {}
    for name, (_, said) in zip(names, described, strict=True):
        if name:
            found[name] = said
    if len(found) != len(described) or not found:
        raise UsageError(
            f"{argument}= has to name one label or more, each once; it is {names!r}."
        )
    return found


def _described(labels: object, argument: str) -> list[tuple[object, str]]:
    if isinstance(labels, Mapping):
        return [(label, str(said or "")) for label, said in labels.items()]
    # A Literal has arguments; a list and an Enum are iterated.
    members = get_args(labels) or labels
    if isinstance(members, Iterable) and not isinstance(members, str):
        return [(label, "") for label in members]
    raise UsageError(
        f"{argument}={labels!r} has to be a list of labels, a dict of label -> "
        "description, an Enum or a Literal."
    )
