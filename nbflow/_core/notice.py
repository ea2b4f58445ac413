"""Notice: who is told what of a job that has ended. Only the decision and the words.

Nothing of the records' content is in it unless somebody asked for that: of an error its
class, never its message or the key of a record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.duration import duration
from nbflow._core.lifecycle import State
from nbflow._core.looks import LOOKS
from nbflow._core.plural import several
from nbflow._core.table import causes_of, everywhere, kind_of, short
from nbflow._core.usage import NOTHING, Usage
from nbflow._core.visible import encodable, seen
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow._core.entry import RunState

#: When somebody can ask to be told.
WHEN = ("failure", "always", "change", "waiting", "budget")
#: The exit codes that are no failure, and those that have an occasion of their own.
_OK, _BUDGET, _WAITING, _INTERRUPTED = 0, 4, 5, 130
#: The causes that a notice names.
_CAUSES = 3
_LONGEST = 200


class NoticeCause(NamedTuple):
    """Failures of one kind.

    Attributes:
        number: the number of records.
        error: the class of the error, or its word.
        where: the steps or flows, or the cell.
        example: a message and the key of a record with it: content of the records.
    """

    number: int
    error: str
    where: str
    example: str = ""

    def text(self, *, content: bool) -> str:
        """The kind in a line."""
        said = f"{self.error} at {self.where}" if self.where else self.error
        return f"{said} ({self.example})" if content and self.example else said


@dataclass(frozen=True, slots=True)
class Finished:
    """A job that has ended.

    Attributes:
        job: what it is called: the file name of its notebook.
        code: the exit code.
        said: how it came out, in a sentence without the records' content.
        told: the same in full.
        brief: the same in few words, for a subject; by default what its exit code means.
        causes: the most frequent causes of failures first.
        more: the number of causes that are not listed.
        used: what its calls used.
        seconds: how long it took; ``None`` if it did not begin.
        opens: how to look at its runs, as a line to copy; empty if it made none.
        report: the path of its report; empty if there is none.
        machine: the machine that it ran on.
    """

    job: str
    code: int
    said: str
    told: str = ""
    brief: str = ""
    causes: tuple[NoticeCause, ...] = ()
    more: int = 0
    used: Usage = NOTHING
    seconds: float | None = None
    opens: str = ""
    report: str = ""
    machine: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether somebody has to look: records that only wait are no failure."""
        return self.code not in (_OK, _WAITING)


class Message(NamedTuple):
    """A notice as it is sent.

    Attributes:
        title: one line, the subject of a mail.
        text: for services that show text.
        html: for a mail.
        level: ``"success"``, ``"info"``, ``"warning"`` or ``"failure"``.
    """

    title: str
    text: str
    html: str
    level: str


def occasions(texts: Iterable[str]) -> frozenset[str]:
    """When to tell, from texts such as ``"failure,waiting"``; ``failure`` without any.

    Raises:
        UsageError: one is none of `WHEN`.
    """
    asked = [word.strip() for text in texts for word in text.split(",")]
    for word in asked:
        if word not in WHEN:
            raise UsageError(
                f"--notify-on {word!r}: write one or more of {', '.join(WHEN)}, with "
                "commas between them."
            )
    return frozenset(asked or ("failure",))


def is_wanted(when: frozenset[str], ended: Finished, before: bool | None) -> bool:  # noqa: FBT001  # what the store remembers
    """Whether somebody is told of this end.

    Args:
        when: what was asked for.
        ended: the job that has ended.
        before: whether the same job had failed the last time; ``None`` if nobody knows,
            which counts as not failed.
    """
    holds = {
        "always": True,
        "failure": ended.has_failed,
        "change": ended.has_failed != bool(before),
        "waiting": ended.code == _WAITING,
        "budget": ended.code == _BUDGET,
    }
    return any(holds[word] for word in when)


def causes_in(states: Sequence[RunState]) -> list[NoticeCause]:
    """The causes of failures in several runs, the most frequent first."""
    every = [cause for state in states for cause in causes_of(state)]
    numbers: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for cause, steps in everywhere(every):
        # Without its message, by which the sentence of a run names some errors.
        error, _ = kind_of(cause._replace(message=""))
        kind = error, ", ".join(steps)
        numbers[kind] += cause.records
        example = short(f"{cause.message}, record {cause.example}", _LONGEST)
        examples.setdefault(kind, example)
    return [
        NoticeCause(number, error, where, examples[error, where])
        for (error, where), number in numbers.most_common()
    ]


# The words.

_TITLES = {
    0: "done",
    1: "failed",
    2: "did not start",
    3: "records failed",
    4: "stopped at its budget",
    5: "records are waiting",
    6: "a gate is not met",
    130: "was interrupted",
    138: "the kernel died",
}
_MARKS = {
    "success": LOOKS[State.COMPLETED].mark,
    "info": LOOKS[State.WAITING].mark,
    "warning": LOOKS[State.INTERRUPTED].mark,
    "failure": LOOKS[State.FAILED].mark,
}
_LEVELS = {
    _OK: "success",
    _WAITING: "info",
    _BUDGET: "warning",
    _INTERRUPTED: "warning",
}


def message_of(ended: Finished, *, content: bool, recovered: bool = False) -> Message:
    """What is sent.

    Args:
        ended: the job.
        content: also what the records say: messages of errors, keys.
        recovered: it had failed the last time, and is well now.
    """
    from nbflow._core.notice_page import page

    level = _LEVELS.get(ended.code, "failure")
    word = _TITLES.get(ended.code, f"ended with exit code {ended.code}")
    word = "works again" if recovered else ended.brief or word
    job = short(encodable(ended.job), 80)
    title = f"{_MARKS[level]} {job}: {word}"
    said = ended.told if content and ended.told else ended.said
    said = _line(said)
    causes = [
        (f"{cause.number:,}", _line(cause.text(content=content)))
        for cause in ended.causes[:_CAUSES]
    ]
    if left := ended.more + max(0, len(ended.causes) - _CAUSES):
        causes.append(("", f"and {several(left, 'other cause')}"))
    facts = {name: _line(text) for name, text in _facts(ended).items()}
    return Message(
        title,
        _text(said, causes, facts),
        page(title, said, causes, facts, level),
        level,
    )


def _line(text: str) -> str:
    """A text in one line, which any service can show and which controls nothing."""
    return seen(encodable(" ".join(text.split())))


def _facts(ended: Finished) -> dict[str, str]:
    """What stands below: cost, time, how to open it."""
    facts = {}
    if ended.used.requests:
        facts["Cost"] = str(ended.used)
    if ended.seconds is not None:
        facts["Took"] = f"{duration(ended.seconds)}, exit code {ended.code}"
    else:
        facts["Exit code"] = str(ended.code)
    if ended.opens:
        facts["Open it"] = ended.opens
    if ended.report:
        facts["Report"] = ended.report
    if ended.machine:
        facts["Machine"] = ended.machine
    return facts


def _text(said: str, causes: list[tuple[str, str]], facts: dict[str, str]) -> str:
    lines = [said]
    if causes:
        wide = max(len(number) for number, _ in causes)
        lines += ["", "Most common causes:"]
        lines += [f"  {number:>{wide}}  {what}" for number, what in causes]
    lines += ["", *(f"{name}: {text}" for name, text in facts.items())]
    return "\n".join(lines)
