"""What flows wait for, and events from outside: the public functions."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nbflow._call.waits import MISSING, given, is_awaited, reach
from nbflow._core import policy
from nbflow._core.waiting import Kind, Wait
from nbflow._session import SESSION
from nbflow._store.inbox import Arrival
from nbflow.errors import CodecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["ask", "emit", "sleep", "wait_for"]

#: The longest wait, in seconds: a hundred years. Later times cannot be shown everywhere.
_LONGEST = 100 * 365 * 86_400.0
#: What an event can be matched on.
_PLAIN = (str, int, float, bool, type(None))


class _Slept:
    """What a sleep gives: nothing, and who wants to may await it."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "None"


_SLEPT = _Slept()


def sleep(
    duration: float | str | timedelta | None = None,
    *,
    until: datetime | None = None,
    name: str | None = None,
) -> Any:
    """Have the record wait in its flow, for minutes or months, while nothing works on it.

    The flow is left here. The record is ``WAITING``: it takes no thread, and survives
    the kernel. Once its time has come the flow runs again from its saved steps, comes
    back to this line and continues. The kernel sees to that if it is still there; so do
    ``run.resume()``, sending again, and the next ``nbflow run``. The duration counts from
    when the record first came here, also if an edit changes it.

    In an async flow ``await`` may stand before it, and need not.

    Args:
        duration: seconds, or text such as ``"90s"``, ``"2 days"``, or a ``timedelta``. A
            day has 24 hours, whatever clocks are put to.
        until: instead, a moment: a ``datetime`` with a time zone. A moment that has
            passed does not wait.
        name: what the table calls it; ``sleep`` by default.

    Raises:
        UsageError: there is no flow of a run around it, or no such time.

    Example:
        >>> @nf.flow(on="order/placed")
        ... def remind(order: dict[str, str]) -> str:
        ...     nf.sleep("2 days")
        ...     return f"How do you like {order['item']}?"
        >>> run = nf.send("order/placed", [{"item": "tea"}])
        >>> run.state
        'WAITING'
    """
    if (duration is None) == (until is None):
        raise UsageError(
            'nf.sleep() takes a duration or until=, one of them: nf.sleep("2 days"), or'
            " nf.sleep(until=datetime(2026, 12, 24, 9, tzinfo=...))."
        )
    wait = Wait(
        Kind.SLEEP,
        _name(name, "sleep"),
        seconds=None if duration is None else _seconds(duration, "duration"),
        until=None if until is None else _moment(until, "until"),
    )
    reach(wait, None)
    return _SLEPT


def wait_for(
    event: str,
    *,
    match: Mapping[str, object] | None = None,
    timeout: float | str | timedelta | None = None,
    default: Any = MISSING,
    since: float | str | timedelta | datetime | None = None,
    name: str | None = None,
) -> Any:
    """Have the record wait in its flow for an event from outside, which ``nf.emit`` brings.

    As in ``nf.sleep``, nothing works on the record meanwhile. The first event that
    matches counts, and stays what the record gets, however often the flow runs again.

    Args:
        event: the event's name, such as ``"reply/received"``.
        match: fields of the event, and the values that they must have, such as
            ``{"thread_id": thread["id"]}``; a dot leads into a nested field. A number
            does not match the same digits as text.
        timeout: the longest to wait, from when the record first came here.
        default: what to continue with when time is up. Without it the record is
            ``TIMED_OUT``.
        since: the event may have come before the record came here: so long before (a
            duration), or since a moment (a ``datetime`` with a time zone).
        name: what the table calls it; ``wait for`` and the event by default.

    Returns:
        The event's record.

    Raises:
        UsageError: there is no flow of a run around it, or an argument is invalid.
        StepTimeoutError: time is up, and there is no default.

    Example:
        >>> @nf.flow(on="thread/opened")
        ... def answered(thread: dict[str, str]) -> str:
        ...     match = {"thread": thread["id"]}
        ...     return nf.wait_for("reply/received", match=match)["text"]
        >>> run = nf.send("thread/opened", [{"id": "t-1"}], key="id")
        >>> event = nf.emit("reply/received", {"thread": "t-1", "text": "Thanks!"})
        >>> run.resume().results("answered")
        ['Thanks!']
    """
    fields = _fields(match)
    _check_default(timeout, default)
    wait = Wait(
        Kind.EVENT,
        _name(name, f"wait for {_event(event)}"),
        event,
        seconds=_limit(timeout),
        match=tuple(sorted(fields.items())),
        since=_since(since),
    )
    return _passed(wait, default)


def ask(
    question: str,
    *,
    show: object = None,
    choices: Sequence[str] = ("yes", "no"),
    timeout: float | str | timedelta | None = None,
    default: Any = MISSING,
    name: str | None = None,
) -> Any:
    """Have the record wait in its flow for a person's answer.

    The question stands in the run's table and in the dashboard, with a button for each
    choice, and in ``run.waiting()``; ``run.answer(key, choice)`` answers it, too. The
    first answer counts. It counts for what was shown: if the question, what is shown or
    the choices change, the record asks again.

    Args:
        question: what a person is asked, such as ``"Send this answer?"``.
        show: what the person has to see for that: text, or any value that can be saved.
        choices: the answers that there are; the first one is the button on the left.
        timeout: the longest to wait, from when the record first came here.
        default: what to continue with when time is up. Without it the record is
            ``TIMED_OUT``.
        name: what the table calls it; ``ask`` by default.

    Returns:
        The choice.

    Raises:
        UsageError: there is no flow of a run around it, or an argument is invalid.
        StepTimeoutError: time is up, and there is no default.

    Example:
        >>> @nf.flow(on="draft/written")
        ... def approve(draft: dict[str, str]) -> str:
        ...     return nf.ask("Send this?", show=draft["text"], choices=["send", "drop"])
        >>> run = nf.send("draft/written", [{"id": "d-1", "text": "Hello"}], key="id")
        >>> run.answer("d-1", "send", by="ann").resume().results("approve")
        ['send']
    """
    if not isinstance(question, str) or not question.strip():
        raise UsageError(
            f"nf.ask({question!r}): the question is text that a person reads."
        )
    if isinstance(choices, str):
        raise UsageError(f"choices={choices!r} is one text; write a list of texts.")
    if not isinstance(choices, list | tuple):
        raise UsageError(f"choices={choices!r} has to be a list of texts, one or more.")
    _check_default(timeout, default)
    answers = tuple(choices)
    if not answers or not all(isinstance(one, str) and one for one in answers):
        raise UsageError(
            f"choices={list(answers)!r} has to be a list of texts, one or more."
        )
    if len(set(answers)) < len(answers):
        raise UsageError(f"choices={list(answers)!r} has one text twice.")
    wait = Wait(
        Kind.ANSWER,
        _name(name, "ask"),
        question,
        seconds=_limit(timeout),
        choices=answers,
        show=show,
    )
    return _passed(wait, default)


def emit(event: str, record: Mapping[str, Any], *, id: str | None = None) -> str:  # noqa: A002  # what every queue calls it
    """Put an event into the store's inbox, from any process.

    Once this returns, the event survives ``kill -9``. It stays in the inbox for flows
    that wait for it.

    Args:
        event: its name, such as ``"reply/received"``.
        record: what it says, a dict.
        id: tells it from others of that name: the same id again is the same event, and
            only the first counts. Without it each call is an event of its own.

    Returns:
        The id.

    Raises:
        UsageError: an argument is invalid.
        StoreError: the event could not be kept.

    Example:
        >>> nf.emit("reply/received", {"thread": "t-1"}, id="evt-7")
        'evt-7'
    """
    _event(event)
    if not isinstance(record, dict):
        raise UsageError(
            f"nf.emit({event!r}, ...): the record is a dict, not {type(record).__name__}."
        )
    if id is not None and (not isinstance(id, str) or not id):
        raise UsageError(f"id={id!r} has to be text.")
    known = uuid.uuid4().hex if id is None else id
    engine = SESSION.engine
    source = f"{socket.gethostname()}:{os.getpid()}"
    arrival = Arrival(0, event, known, engine.clock.time(), source, record)
    try:
        engine.inbox.add([arrival])
    except CodecError as error:
        raise UsageError(f"nf.emit({event!r}, ...) cannot be kept. {error}") from error
    return known


def _passed(wait: Wait, default: Any) -> Any:
    value = reach(wait, default)
    # The caller of the public function, in the flow.
    return given(value) if is_awaited(sys._getframe(2)) else value  # noqa: SLF001  # documented, and everywhere


def _name(name: str | None, usual: str) -> str:
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise UsageError(f"name={name!r} has to be text.")
    return usual if name is None else name


def _fields(match: Mapping[str, object] | None) -> dict[str, object]:
    """What an event has to match, checked."""
    if match is None:
        return {}
    if not isinstance(match, dict):
        raise UsageError(
            f"match={match!r} has to be a dict of fields and values, such as"
            ' {"thread_id": "t-17"}.'
        )
    for field, value in match.items():
        if not isinstance(field, str) or not all(field.split(".")):
            raise UsageError(
                f"match={{{field!r}: ...}}: a field is text, with its name."
            )
        if not isinstance(value, _PLAIN) or value != value:  # noqa: PLR0124  # NaN
            raise UsageError(
                f"match={{{field!r}: {value!r}}}: the value has to be text, a number, True,"
                " False or None."
            )
    return match


def _check_default(timeout: object, default: object) -> None:
    if default is not MISSING and timeout is None:
        raise UsageError(
            "default= says what to continue with when time is up: it needs timeout=."
        )


def _event(event: str) -> str:
    if not isinstance(event, str) or not event.strip() or not event.isprintable():
        raise UsageError(f'{event!r} is no name of an event, such as "reply/received".')
    return event


def _limit(timeout: float | str | timedelta | None) -> float | None:
    return None if timeout is None else _seconds(timeout, "timeout")


def _seconds(duration: float | str | timedelta, option: str) -> float:
    found = policy.seconds(duration, option)
    if found > _LONGEST:
        raise UsageError(
            f"{option}={duration!r} is more than a hundred years: leave it out to wait"
            " without an end."
            if option == "timeout"
            else f"{option}={duration!r} is more than a hundred years."
        )
    return found


def _since(since: float | str | timedelta | datetime | None) -> float | None:
    if since is None:
        return None
    if isinstance(since, datetime):
        return _moment(since, "since")
    return -_seconds(since, "since") or None


def _moment(moment: datetime, option: str) -> float:
    if not isinstance(moment, datetime):
        raise UsageError(f"{option}={moment!r} has to be a datetime with a time zone.")
    if moment.tzinfo is None:
        raise UsageError(
            f"{option}={moment!r} has no time zone, and the machine that continues may be in"
            " another one: datetime(..., tzinfo=datetime.timezone.utc), or"
            " tzinfo=zoneinfo.ZoneInfo(...)."
        )
    found = moment.timestamp()
    if found > SESSION.engine.clock.time() + _LONGEST:
        raise UsageError(f"{option}={moment!r} is more than a hundred years from now.")
    return found


for _public in (ask, emit, sleep, wait_for):
    _public.__module__ = "nbflow"
