"""Settings: what a model is set to, such as its temperature, checked by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbflow._core.step import closest
from nbflow.errors import UsageError

#: The names that every provider has words for, and what a value may be.
_NUMBERS = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_WHOLE = frozenset({"max_tokens", "seed", "top_k"})
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_OTHERS = frozenset({"effort", "thinking", "stop_sequences", "extra_body"})
KNOWN = _NUMBERS | _WHOLE | _OTHERS


def settings_of(given: object) -> dict[str, Any]:
    """Settings that can be passed on, by name in the order of the alphabet.

    Args:
        given: a dict, or ``None``.

    Raises:
        UsageError: a name or a value that no model takes.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(
            f'settings={given!r} has to be a dict, such as {{"temperature": 0}}.'
        )
    for name, value in given.items():
        _check(name, value)
    if {"effort", "thinking"} <= given.keys():
        raise UsageError("settings= has effort and thinking, which are one: give one.")
    return {name: given[name] for name in sorted(given)}


def _check(name: object, value: object) -> None:
    if name not in KNOWN:
        close = closest(str(name), KNOWN)
        hint = f"Did you mean {close!r}?" if close else ""
        raise UsageError(
            f"settings= has no {name!r}; there are {', '.join(sorted(KNOWN))}. {hint}".rstrip()
        )
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _NUMBERS and not is_number:
        raise UsageError(f"settings={{{name!r}: {value!r}}}: it has to be a number.")
    if name in _WHOLE and not (is_number and isinstance(value, int)):
        raise UsageError(
            f"settings={{{name!r}: {value!r}}}: it has to be a whole number."
        )
    if name == "effort" and value not in _EFFORTS:
        efforts = ", ".join(_EFFORTS)
        raise UsageError(
            f"settings={{'effort': {value!r}}}: it has to be one of {efforts}."
        )


def passed_on(settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings in the words of pydantic-ai, in which an effort is one of thinking."""
    return {
        "thinking" if name == "effort" else name: value
        for name, value in settings.items()
    }
