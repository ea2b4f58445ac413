"""Table: what the picture of a run says, decided once for terminal, notebook and page."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import BROKEN, FINAL
from nbflow._core.lifecycle import State
from nbflow._core.usage import NOTHING, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._core.entry import RunState

#: The order in which states are told, and the words for them.
WORDS = {
    State.COMPLETED: "completed",
    State.CACHED: "cached",
    State.FAILED: "failed",
    State.TIMED_OUT: "timed out",
    State.CANCELLED: "cancelled",
    State.INTERRUPTED: "interrupted",
    State.RUNNING: "running",
    State.QUEUED: "queued",
}


class FlowRow(NamedTuple):
    """One flow, or one of its steps (``step`` named): how many records, or calls, are in which state.

    ``why``: what changed in its code since the event was last sent, if any of them ran.
    ``usage``: what its calls used.
    """

    flow: str
    step: str
    counts: dict[State, int]
    retries: int
    seconds: float
    why: str = ""
    usage: Usage = NOTHING


class FailureRow(NamedTuple):
    """One record that failed in one flow."""

    key: str
    flow: str
    step: str
    error: str
    message: str
    attempts: int


class Cause(NamedTuple):
    """Failures with one cause: how many, and one of the records."""

    flow: str
    step: str
    error: str
    message: str
    records: int
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A run as a picture: a sentence, the flows with their steps, the causes, the first failures, the remarks."""

    run: str
    event: str
    state: str
    sentence: str
    columns: tuple[State, ...]
    flows: tuple[FlowRow, ...]
    causes: tuple[Cause, ...]
    failures: tuple[FailureRow, ...]
    hidden: int
    remarks: tuple[str, ...]


def table_of(state: RunState, *, failures: int = 20) -> Table:
    """The picture of a run, with its first ``failures`` failures. Costs O(failures), not O(records)."""
    flows = []
    for flow, name in enumerate(state.flows):
        steps = state.steps[flow]
        if list(steps) == [name]:  # a map: the flow is its step
            counts = dict(state.count(flow))
            flows.append(
                FlowRow(
                    name,
                    "",
                    counts,
                    steps[name].states[State.RETRYING],
                    steps[name].seconds,
                    why_of(state, name, counts),
                    steps[name].usage,
                )
            )
            continue
        counts = dict(state.count(flow))
        flows.append(
            FlowRow(name, "", counts, 0, 0.0, why_of(state, f"flow {name}", counts))
        )
        for step, count in steps.items():
            ended = {
                key: number for key, number in count.states.items() if key in FINAL
            }
            flows.append(
                FlowRow(
                    name,
                    step,
                    ended,
                    count.states[State.RETRYING],
                    count.seconds,
                    why_of(state, step, ended),
                    count.usage,
                )
            )
    met = {key for row in flows for key, number in row.counts.items() if number}
    shown = tuple(word for word in WORDS if word in met) or (
        State.QUEUED if state.state == "RUNNING" else State.COMPLETED,
    )
    first = failure_rows(state, failures)
    causes = causes_of(state)
    remarks = tuple(
        f"{text} ({count} times)" if count > 1 else text
        for text, count in Counter(state.remarks).items()
    )
    remarks = (*remarks_of(state), *remarks)
    return Table(
        state.run,
        state.event,
        state.state,
        sentence_of(state, kinds_of(causes)),
        shown,
        tuple(flows),
        tuple(causes),
        tuple(first),
        len(state.failures) - len(first),
        remarks,
    )


def remarks_of(state: RunState) -> list[str]:
    """What is to be said of a run beside what was remarked while it went on."""
    stopped = [f"Stopped: {state.stopped}."] if state.stopped else []
    lost = (
        f"{_several(state.lost, 'row')} had not been read when the run was killed; "
        + (
            "a rerun reads and runs the rest."
            if state.keeps_records
            else "send the batch again for the rest."
        )
    )
    return stopped + [lost] * bool(state.lost)


def why_of(state: RunState, subject: str, counts: dict[State, int]) -> str:
    """What changed in the code of a flow or step, where some of it ran; nothing for what is new: there all of it is."""
    coded = state.coded.get(subject)
    ran = any(number for key, number in counts.items() if key is not State.CACHED)
    return coded.why if coded is not None and ran and coded.why != "new" else ""


def failure_rows(state: RunState, most: int | None = None) -> list[FailureRow]:
    """The failures, by record and then by flow."""
    places = sorted(state.failures)[:most]
    return [
        FailureRow(
            state.keys[record],
            state.flows[flow],
            failed.step or "",
            failed.error,
            failed.message,
            attempts,
        )
        for record, flow in places
        for failed, attempts in [state.failures[record, flow]]
    ]


_VARYING = re.compile(r"""'[^']*'|"[^"]*"|\d+(?:\.\d+)?""")


def pattern_of(message: str) -> str:
    """What failures with one cause have in common: the message without its numbers and quoted parts."""
    return _VARYING.sub("#", message)


def causes_of(state: RunState) -> list[Cause]:
    """Failures grouped by flow, step, error and message, numbers and quoted parts aside; the most frequent first."""
    groups: dict[tuple[str, str, str, str], list[FailureRow]] = {}
    for row in failure_rows(state):
        groups.setdefault(
            (row.flow, row.step, row.error, pattern_of(row.message)), []
        ).append(row)
    causes = [
        Cause(
            rows[0].flow,
            rows[0].step,
            rows[0].error,
            rows[0].message,
            len(rows),
            rows[0].key,
        )
        for rows in groups.values()
    ]
    return sorted(causes, key=lambda cause: -cause.records)


def kind_of(cause: Cause) -> tuple[str, str]:
    """What the sentence tells failures by: the error and the step. Who raised NonRetriableError said why, to be read."""
    said = (
        f'"{short(cause.message, _SAID_AT_MOST)}"'
        if cause.error == "NonRetriableError" and cause.message
        else None
    )
    return said or _SAID.get(cause.error, cause.error), cause.step


def kinds_of(causes: Iterable[Cause]) -> Counter[tuple[str, str]]:
    """How many failures there are of each kind."""
    kinds: Counter[tuple[str, str]] = Counter()
    for cause in causes:
        kinds[kind_of(cause)] += cause.records
    return kinds


def sentence_of(state: RunState, kinds: Counter[tuple[str, str]]) -> str:
    """The run in one plain sentence; ``kinds``: its failures, as `kinds_of` counts them."""
    tally = state.tally()
    total = state.total if state.total is not None else len(state.keys)
    ended = sum(number for key, number in tally.items() if key in FINAL)
    share = (
        f"{ended:,} of {total * len(state.flows):,}"
        + " read so far" * (state.total is None)
        if state.state == "RUNNING"
        else _several(total, "record")
    )
    rows = f" ({state.rows:,} rows)" if state.rows > len(state.keys) else ""
    flows = f" in {len(state.flows)} flows" if len(state.flows) > 1 else ""
    parts = [
        f"{number:,} {WORDS[key]}"
        for key in WORDS
        if (number := tally[key]) and key in FINAL and key not in BROKEN
    ]
    broken = tally[State.FAILED] + tally[State.TIMED_OUT]
    if broken:
        first = [(kind, number) for kind, number in kinds.most_common(3) if number]
        why = "; ".join(
            f"{number:,} {what}" + (f" at {step}" if step else "")
            for (what, step), number in first
        )
        more = broken - sum(number for _, number in first)
        parts.append(
            f"{broken:,} failed: {why}"
            + (f"; {more:,} of other causes" if more else "")
        )
    # How long it has gone on moves between two entries: who shows a run under way says
    # it beside the sentence.
    took = f" {duration(state.seconds)}." if state.state != "RUNNING" else ""
    nothing = "nothing yet" if state.state == "RUNNING" else "nothing to do"
    return (
        f"{share}{rows}{flows}: {', '.join(parts) or nothing}.{took}{spent_of(state)}"
    )


#: Errors of nbflow's own, in words; how much of what an author said is told.
_SAID, _SAID_AT_MOST = {"StepTimeoutError": "timed out"}, 60


def spent_of(state: RunState) -> str:
    """What it used and saved, as further sentences; nothing where no call reported anything."""
    spent = (
        f" {str(state.usage)[0].upper()}{str(state.usage)[1:]}."
        if state.usage.requests
        else ""
    )
    return spent + (
        f" Checkpoints saved {str(state.saved).replace(' for ', ' and ')}."
        if state.saved.requests
        else ""
    )


def _several(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


#: What a terminal would obey, and what turns the line around that it stands in, as
#: marks that one sees.
_SEEN = (
    {code: 0x2400 + code for code in range(32)}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), 0x202D, 0x202E), 0xFFFD)
)


def seen(text: str) -> str:
    """A text whose characters are all there to be seen, and none to be obeyed."""
    return text.translate(_SEEN)


def short(text: str, length: int = 110) -> str:
    """One line of at most ``length`` characters, as they are `seen`."""
    line = " ".join(text.split())
    return seen(line if len(line) <= length else line[: length - 1] + "\u2026")


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 0.001:  # noqa: PLR2004
        return "<1 ms"
    if seconds < 0.9995:  # noqa: PLR2004 - what would be rounded to the next unit is told in it
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
