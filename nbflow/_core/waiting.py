"""Waiting: what a record waits for while nobody works on it.

A flow that waits is left, and begins again once its time has come or what it waits for is
there: its steps are saved by then, so it comes to the same place without doing anything
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The event that an answer is, with the key of the question as its id.
ANSWERED = "nbflow/answer"


class Kind(StrEnum):
    """What ends a wait, besides its time."""

    SLEEP = "sleep"
    EVENT = "event"
    ANSWER = "answer"


class Suspended(BaseException):
    """Leaves a flow whose record waits.

    It is no `Exception`: an ``except Exception:`` of the flow does not see it.
    """


@dataclass(frozen=True, slots=True)
class Wait:
    """A place in a flow at which its record waits.

    Attributes:
        kind: what ends it.
        name: what the table calls it.
        what: the event, or the question.
        seconds: until its time is up, from when the record first came to it; ``None``:
            it has no limit.
        until: when its time is up, in seconds since the epoch, where that is given.
        match: fields of the event, and the values that they have to have.
        since: when the event may have come at the earliest, in seconds since the epoch,
            or how many seconds before the record came here (negative); ``None``: not
            before.
        choices: the answers there are.
        show: what a person is shown with the question.
    """

    kind: Kind
    name: str
    what: str = ""
    seconds: float | None = None
    until: float | None = None
    match: tuple[tuple[str, object], ...] = ()
    since: float | None = None
    choices: tuple[str, ...] = ()
    show: object = None

    @property
    def subject(self) -> tuple[object, ...]:
        """What tells it from other waits of the flow, beside their order.

        A sleep may become longer by an edit, and counts from when it began. An answer
        counts for what was shown.
        """
        if self.kind is Kind.SLEEP:
            return (str(self.kind), self.name)
        return (str(self.kind), self.what, self.match, self.choices, self.show)

    def ends(self, began: float) -> float | None:
        """When its time is up, in seconds since the epoch."""
        if self.until is not None or self.seconds is None:
            return self.until
        return began + self.seconds


def value_at(record: object, field: str) -> object:
    """The value of a field of an event; dots lead into nested ones.

    Raises:
        KeyError: there is no such field.
    """
    value = record
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise KeyError(field)
        value = value[name]
    return value
