"""Quote: words that occur in a text, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self


#: What marks a field for quotes in the JSON schema of a pydantic model.
MARK = "nbflow.quote"


def quoted_fields(kind: type) -> set[str]:
    """The fields of a pydantic model that hold quotes."""
    fields = getattr(kind, "model_fields", None)
    if not isinstance(fields, dict):
        return set()
    marks = {name: getattr(one, "json_schema_extra", 0) for name, one in fields.items()}
    return {
        name for name, said in marks.items() if isinstance(said, dict) and MARK in said
    }


class Quote(str):
    """Words of a text, as it has them: a ``str`` that knows its place.

    It is what a field that was declared with ``nf.llm.quote`` holds.
    ``text[quote.start:quote.end] == quote``, where the text is what left the process.

    Attributes:
        start: the place of its first character in the text, from 0.
    """

    __module__ = "nbflow.llm"  # what people import it from
    __slots__ = ("start",)

    start: int

    def __new__(cls, words: str, start: int = 0) -> Self:
        """Words, and where they begin."""
        quote = super().__new__(cls, words)
        quote.start = start
        return quote

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self)

    def moved(self, by: int) -> Quote:
        """The same words in a text that has ``by`` more characters before them."""
        return Quote(str(self), self.start + by)

    def __reduce__(self) -> tuple[Any, ...]:
        return Quote, (str(self), self.start)
