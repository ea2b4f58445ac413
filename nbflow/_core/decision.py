"""Decision: what a person decided about a record's label, and which decisions stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


#: How the reason begins for which a record of a drawn sample is looked at.
SAMPLE = "sample:"

#: Flow, field, columns that were shown, digest of their content.
Subject = tuple[str, str, tuple[str, ...], bytes]


class Decision(NamedTuple):
    """A person gave a record its label, or took that back.

    It is about what the person was shown: it holds for every record that has the same
    content in those columns, in any run, prompt or kernel, and for no other record.

    Attributes:
        flow: the flow, or the mapped step, whose label it is.
        field: the field of the flow's value; empty where the value itself is the label.
        on: the columns that were shown; empty for the whole record.
        content: digest of what was shown.
        label: the person's label; ``None`` takes back an earlier one.
        before: the model's label.
        by: who decided.
        at: when, in seconds since the epoch.
        key: the key of the record that was shown.
        run: the run whose record was shown.
        why: the record came before a person: ``least sure``, ``where``, ``sample:`` with
            its id; empty if for no reason, or if it was not kept.
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
    why: str = ""

    @property
    def subject(self) -> Subject:
        """What it is about: of several decisions on one subject the latest stands."""
        return self.flow, self.field, self.on, self.content


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that stand, oldest first.

    Of each subject this is the latest, unless that takes the label back.
    """
    latest: dict[Subject, Decision] = {}
    for decision in sorted(decisions, key=lambda decision: decision.at):
        latest.pop(decision.subject, None)
        latest[decision.subject] = decision
    return [decision for decision in latest.values() if decision.label is not None]
