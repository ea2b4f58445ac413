"""Vocabulary: the labels that a flow could have given, as its steps declare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_type_hints

from nbflow._core.label import NOTHING, choice_of, parts_of
from nbflow.errors import UsageError
from nbflow.quality.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._core.flow import AnyFlow
    from nbflow._core.step import AnyStep
    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers


def declared(run: Run, answers: Answers) -> dict[str, str]:
    """The labels, with descriptions, of the steps that may have given the answers.

    These are categorizers, and functions that say they return a Literal or an Enum, or
    a class with such a field. One that lacks an answer of the run is not meant; where
    this kernel does not define the flow, there are none.
    """
    given = {label for label in answers.labels if label not in (None, NOTHING)}
    found: dict[str, str] = {}
    for function in run.defined(answers.flow):
        for labels in _vocabularies(function, answers.field):
            parts = {part for label in given for part in parts_of(label)}
            if given <= labels.keys() or parts <= labels.keys():
                found |= labels
    return found


def _vocabularies(function: AnyStep | AnyFlow, field: str) -> Iterator[dict[str, str]]:
    labels = getattr(function, "labels", None)
    if labels:
        yield dict(labels)
    fields = getattr(function, "fields", None) or {}
    if field in fields:
        yield dict(fields[field])
    for choice in _choices(_hints(function.__wrapped__).get("return"), field):
        try:
            yield labels_of(choice, "choices")
        except UsageError:  # an Enum without members, or 1 beside "1"
            continue


def _choices(returned: object, field: str) -> Iterator[object]:
    """The Literals and Enums in what a function returns; that of the field, if it has one."""
    choice = choice_of(returned)
    if choice is not None:
        yield choice
        return
    fields = _hints(returned) if isinstance(returned, type) else {}
    named = {field: fields[field]} if field in fields else fields
    yield from (each for each in map(choice_of, named.values()) if each is not None)


def _hints(of: object) -> dict[str, object]:
    """The annotations of a function or class, if they can be read."""
    try:
        return get_type_hints(of)
    except Exception:  # they are code of the user's, evaluated here
        return {}
