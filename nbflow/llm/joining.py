"""Joining: what the records about the parts of a text say of one field, as one value."""

from __future__ import annotations

from typing import Any

#: Values that hold several.
_LISTS = (list, set, frozenset, tuple)


def joined(values: list[Any], how: str) -> Any:
    """One value of those of the parts."""
    said = [value for value in values if not _is_empty(value)]
    if not said:
        return values[0]
    is_list = isinstance(said[0], _LISTS)
    if how == "first" or (how == "all" and not is_list):
        return said[0]
    if not is_list:
        return _most_frequent(said)
    members = [member for value in said for member in _without_repeats(value)]
    if how == "all":
        return type(said[0])(_without_repeats(members))
    frequent = [one for one in members if 2 * members.count(one) > len(said)]
    return type(said[0])(_without_repeats(frequent))


def _is_empty(value: Any) -> bool:
    return value is None or (
        isinstance(value, list | set | frozenset | tuple) and not value
    )


def _most_frequent(values: list[Any]) -> Any:
    """The value that most have; of several the first. Values need not be hashable."""
    return max(values, key=lambda value: (values.count(value), -values.index(value)))


def _without_repeats(values: Any) -> list[Any]:
    kept: list[Any] = []
    for value in values:
        if value not in kept:
            kept.append(value)
    return kept
