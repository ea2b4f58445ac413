"""Quoting: fields whose words must occur in the text, and where they do.

Whitespace and case do not count: "Order  A-17" is found as "order a-17". Everything else
does. What is kept is what the text has, with its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbflow._core.quote import MARK, Quote

if TYPE_CHECKING:
    from pydantic import ValidationInfo

#: What a validation is told of the text that was read.
TEXT = "nbflow.text"
_SHOWN = 60


def quote(description: str | None = None, **field: Any) -> Any:
    """A field of a pydantic model whose words must occur in the text.

    For a field that is a ``str``, ``str | None`` or a list of texts. Whitespace and case
    do not count; what is kept is what the text has, as a `Quote`: a ``str`` with
    ``start`` and ``end``. With ``redact=`` the text is what is left of it.
    ``run.results()`` has the place in a column of its own, ``<flow>.<field>.at``.
    Words that the text does not have are asked for again, and fail the record in the
    end.

    Args:
        description: what to quote, for the model.
        **field: of ``pydantic.Field``, such as ``pattern``.

    Returns:
        What ``pydantic.Field`` returns.

    Example:
        >>> class Order(pydantic.BaseModel):
        ...     number: str | None = nf.llm.quote("the order number", pattern="[A-Z]-[0-9]+")
        >>> order = nf.llm.extractor(Order)("My order A-17 is late")
        >>> order.number, order.number.start
        ('A-17', 9)
    """
    from pydantic import AfterValidator, Field

    found = Field(description=description, json_schema_extra={MARK: True}, **field)
    found.metadata.append(AfterValidator(_found))
    return found


def _found(value: Any, info: ValidationInfo) -> Any:
    """The words as the text that was read has them; unchanged where no text was read."""
    text = (info.context or {}).get(TEXT)
    if text is None or value is None:
        return value
    if isinstance(value, str):
        return find(value, text)
    return type(value)(find(one, text) for one in value)


def find(words: str, text: str) -> Quote:
    """Words in a text.

    Raises:
        ValueError: they do not occur in it.
    """
    if not words.strip():
        raise ValueError("empty words are no quote; null says that there are none")
    start = text.find(words)
    if start >= 0:
        return Quote(words, start)
    pattern = r"\s+".join(map(re.escape, words.split()))
    found = re.search(pattern, text, re.IGNORECASE)
    if found is None:
        raise ValueError(
            f"the words {words[:_SHOWN]!r} do not occur in the text: copy them exactly"
        )
    return Quote(found[0], found.start())


def moved(value: Any, by: int) -> Any:
    """A value with all its quotes ``by`` characters further on."""
    if isinstance(value, Quote):
        return value.moved(by)
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(moved(one, by) for one in value)
    fields = getattr(type(value), "model_fields", None)
    if not fields:
        return value
    update = {name: moved(getattr(value, name), by) for name in fields}
    return value.model_copy(update=update)
