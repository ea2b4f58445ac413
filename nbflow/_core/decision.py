"""Review: what people decided about the labels of records, and which decisions stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Flow, field, columns that were shown, digest of what they said.
Subject = tuple[str, str, tuple[str, ...], bytes]


class Decision(NamedTuple):
    """A person gave a record its label, or took that back.

    It is about what the person was shown: it holds for every record in which those
    columns say the same, in whatever run, prompt or kernel, and for none in which they
    say something else.

    Attributes:
        flow: the flow, or the mapped step, whose label it is.
        field: the field of the flow's value; empty where the value itself is the label.
        on: the columns that were shown; all of the record where empty.
        content: digest of what was shown.
        label: what the person said; ``None`` takes back what was said before.
        before: what the model had said.
        by: who.
        at: when, seconds since the epoch.
        key: of the record that was shown.
        run: the run that it was shown from.
    """

    flow: str
    field: str
    on: tuple[str, ...]
    content: bytes
    label: str | None
    before: str | None
    by: str
    at: float
    key: str
    run: str

    @property
    def subject(self) -> Subject:
        """What it is about: of decisions with one subject the latest stands."""
        return self.flow, self.field, self.on, self.content


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that stand, oldest first: of each subject the latest, unless that takes it back."""
    latest: dict[Subject, Decision] = {}
    for decision in sorted(decisions, key=lambda decision: decision.at):
        latest.pop(decision.subject, None)
        latest[decision.subject] = decision
    return [decision for decision in latest.values() if decision.label is not None]
