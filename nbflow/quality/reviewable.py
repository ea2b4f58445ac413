"""Reviewable: what a page asks of a review, and one record as the page shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._core.decision import Decision


class Case(NamedTuple):
    """One record as a person sees it.

    Attributes:
        key: of the record.
        fields: (name, text) of what is shown.
        label: what the model said; ``None`` if it gave no answer.
        confidence: how sure it says it is, if it does.
        reason: why, in its words, if it says so.
        missing: why there is no answer.
        decision: what a person said, if a person decided.
    """

    key: str
    fields: list[tuple[str, str]]
    label: str | None
    confidence: float | None
    reason: str
    missing: str
    decision: Decision | None


class Reviewable(Protocol):
    """Records that a page shows and a person decides, see `Review`."""

    column: str
    choices: dict[str, str]
    keys: list[str]
    by: str
    about: str

    @property
    def decided(self) -> Mapping[str, Decision]:
        """What stands, by the key of the record."""

    def decide(self, key: object, label: object) -> Decision:
        """Give a record its label."""

    def undo(self) -> Decision | None:
        """Take back the last decision that was made here."""

    def case(self, place: int) -> Case:
        """The record in this place."""

    def place_of(self, decision: Decision) -> int:
        """Where the record of a decision stands."""

    def _repr_html_(self) -> str: ...
