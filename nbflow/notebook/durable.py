"""Durable functions: those whose work nbflow records itself, so that no step cell around them is saved.

``nbflow.send`` finds its flows by the name of an event, which no key can follow: a
saved cell would not notice a new flow. Such a function is marked where it is defined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_MARK = "is_durable"


def durable(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function as durable by itself; it stays the function that it is."""
    function.__dict__[_MARK] = True
    return function


def is_durable(function: object) -> bool:
    """Return whether a function has the mark."""
    return getattr(function, _MARK, False) is True
