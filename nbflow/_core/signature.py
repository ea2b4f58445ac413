"""What a function looks like: the arguments it takes, and whether it is awaited."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Return the signature of a function, as `inspect.signature` does, annotations as text.

        Since Python 3.14 an annotation may name what is defined later: to evaluate it
        when a step is made would raise NameError.
        """
        return inspect.signature(function, annotation_format=Format.STRING)

else:

    def signature_of(function: Callable[..., Any]) -> inspect.Signature:
        """Return the signature of a function, as `inspect.signature` does."""
        return inspect.signature(function)


def parameters_of(
    function: Callable[..., Any],
) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function; none if it is written in C and has no signature."""
    try:
        return signature_of(function).parameters
    except ValueError:
        return {}


if sys.version_info >= (3, 12):

    def mark_async(wrapper: Callable[..., Any]) -> None:
        """Let ``inspect.iscoroutinefunction`` say that a wrapper is awaited, as frameworks ask."""
        inspect.markcoroutinefunction(wrapper)

else:

    def mark_async(wrapper: Callable[..., Any]) -> None:
        """Let ``inspect.iscoroutinefunction`` say that a wrapper is awaited, as frameworks ask.

        It looks at the code of whatever has these attributes of a function.
        """
        for name in "__code__", "__defaults__", "__kwdefaults__":
            vars(wrapper)[name] = getattr(_awaited, name)


async def _awaited() -> None:
    """Awaited, and nothing else."""
