"""What arguments a function takes, without evaluating what they are annotated with."""

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
