"""Table: what the picture of a run says, the same for terminal, notebook and page."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.duration import duration
from nbflow._core.entry import BROKEN, FINAL
from nbflow._core.lifecycle import State
from nbflow._core.plural import several
from nbflow._core.usage import NOTHING, Usage
from nbflow._core.visible import seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._core.entry import RunState, StepCount

#: The order in which states are shown, and the words for them.
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
    """One flow, or one of its steps (then ``step`` is named).

    ``counts``: its records, or its calls, by state; ``why``: what changed in its code
    since the event was last sent, if any of them ran; ``usage``: what its calls used;
    ``waited``: the seconds that they spent in line, beside their ``seconds``.
    """

    flow: str
    step: str
    counts: dict[State, int]
    retries: int
    seconds: float
    why: str = ""
    usage: Usage = NOTHING
    waited: float = 0.0


class FailureRow(NamedTuple):
    """One record that failed in one flow; ``words``: its own, as far as they were asked for."""

    key: str
    flow: str
    step: str
    error: str
    message: str
    attempts: int
    words: str = ""


class Cause(NamedTuple):
    """Failures with one cause: their number, and one of the records."""

    flow: str
    step: str
    error: str
    message: str
    records: int
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A run as a picture.

    A sentence, the flows with their steps, the causes of failures, the first failures
    and the remarks. ``hidden``: the number of failures that are not shown.
    """

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
    """The picture of a run, with its first ``failures`` failures.

    Costs O(failures), not O(records).
    """
    flows: list[FlowRow] = []
    for flow in range(len(state.flows)):
        flows += _flow_rows(state, flow)
    first = failure_rows(state, failures)
    causes = causes_of(state)
    return Table(
        run=state.run,
        event=state.event,
        state=state.state,
        sentence=sentence_of(state, kinds_of(causes)),
        columns=_columns(state, flows),
        flows=tuple(flows),
        causes=tuple(causes),
        failures=tuple(first),
        hidden=len(state.failures) - len(first),
        remarks=(*remarks_of(state), *_counted(state.remarks)),
    )


def _flow_rows(state: RunState, flow: int) -> list[FlowRow]:
    """The row of a flow, and one for each of its steps."""
    name = state.flows[flow]
    counts = dict(state.count(flow))
    steps = state.steps[flow]
    if list(steps) == [name]:  # a mapped step: the flow is its step
        return [_step_row(state, name, "", counts, steps[name])]
    row = FlowRow(
        flow=name,
        step="",
        counts=counts,
        retries=0,
        seconds=0.0,
        why=why_of(state, f"flow {name}", counts),
    )
    rows = [row]
    for step, count in steps.items():
        ended = _in_states(count.states, FINAL)
        rows.append(_step_row(state, name, step, ended, count))
    return rows


def _step_row(
    state: RunState,
    flow: str,
    step: str,
    counts: dict[State, int],
    count: StepCount,
) -> FlowRow:
    return FlowRow(
        flow=flow,
        step=step,
        counts=counts,
        retries=count.states[State.RETRYING],
        seconds=count.seconds,
        why=why_of(state, step or flow, counts),
        usage=count.usage,
        waited=count.waited,
    )


def _in_states(counts: Counter[State], states: frozenset[State]) -> dict[State, int]:
    return {state: number for state, number in counts.items() if state in states}


def _columns(state: RunState, rows: list[FlowRow]) -> tuple[State, ...]:
    """The states that have a column: those that any row has a number for."""
    found: set[State] = set()
    for row in rows:
        found.update(key for key, number in row.counts.items() if number)
    shown = tuple(word for word in WORDS if word in found)
    if shown:
        return shown
    return (State.QUEUED if state.state == "RUNNING" else State.COMPLETED,)


def _counted(remarks: list[str]) -> list[str]:
    """The remarks, each once, with the number of times that it was made."""
    counts = Counter(remarks)
    return [
        f"{text} ({count} times)" if count > 1 else text
        for text, count in counts.items()
    ]


def remarks_of(state: RunState) -> list[str]:
    """What to say of a run in addition to the remarks that were made during it."""
    remarks = []
    if state.stopped:
        remarks.append(f"Stopped: {state.stopped}.")
    if state.lost:
        rest = "send the batch again for the rest."
        if state.keeps_records:
            rest = "a rerun reads and runs the rest."
        rows = several(state.lost, "row")
        remarks.append(f"{rows} had not been read when the run was killed; {rest}")
    return remarks


def why_of(state: RunState, subject: str, counts: dict[State, int]) -> str:
    """What changed in the code of a flow or step, if any of its calls ran.

    Empty for new code, where everything has changed.
    """
    coded = state.coded.get(subject)
    if coded is None or coded.why == "new":
        return ""
    for key, number in counts.items():
        if number and key is not State.CACHED:
            return coded.why
    return ""


def failure_rows(state: RunState, most: int | None = None) -> list[FailureRow]:
    """The failures, by record and then by flow."""
    rows = []
    for record, flow in sorted(state.failures)[:most]:
        failure, attempts = state.failures[record, flow]
        row = FailureRow(
            key=state.keys[record],
            flow=state.flows[flow],
            step=failure.step or "",
            error=failure.error,
            message=failure.message,
            attempts=attempts,
        )
        rows.append(row)
    return rows


_VARYING = re.compile(r"""'[^']*'|"[^"]*"|\d+(?:\.\d+)?""")


def pattern_of(message: str) -> str:
    """What failures with one cause have in common.

    The message without its numbers and quoted parts.
    """
    return _VARYING.sub("#", message)


def causes_of(state: RunState) -> list[Cause]:
    """Failures grouped by flow, step, error and `pattern_of` the message.

    The most frequent cause comes first.
    """
    groups: defaultdict[tuple[str, ...], list[FailureRow]] = defaultdict(list)
    for row in failure_rows(state):
        pattern = pattern_of(row.message)
        groups[row.flow, row.step, row.error, pattern].append(row)
    causes = [_cause(rows) for rows in groups.values()]
    return sorted(causes, key=lambda cause: -cause.records)


def _cause(rows: list[FailureRow]) -> Cause:
    """The cause of like failures; the first of them is the example."""
    first = rows[0]
    return Cause(
        flow=first.flow,
        step=first.step,
        error=first.error,
        message=first.message,
        records=len(rows),
        example=first.key,
    )


def kind_of(cause: Cause) -> tuple[str, str]:
    """The error and the step, by which the sentence groups failures.

    The message of a NonRetriableError stands for its error: its author wrote it to be
    read.
    """
    if cause.error == "NonRetriableError" and cause.message:
        return f'"{short(cause.message, _LONGEST_MESSAGE)}"', cause.step
    return _ERROR_WORDS.get(cause.error, cause.error), cause.step


def kinds_of(causes: Iterable[Cause]) -> Counter[tuple[str, str]]:
    """The number of failures of each kind."""
    kinds: Counter[tuple[str, str]] = Counter()
    for cause in causes:
        kinds[kind_of(cause)] += cause.records
    return kinds


def sentence_of(state: RunState, kinds: Counter[tuple[str, str]]) -> str:
    """The run in one plain sentence; ``kinds``: its failures, as `kinds_of` counts."""
    tally = state.tally()
    rows = flows = ""
    if state.rows > len(state.keys):
        rows = f" ({state.rows:,} rows)"
    if len(state.flows) > 1:
        flows = f" in {len(state.flows)} flows"
    parts = []
    for key, word in WORDS.items():
        if tally[key] and key in FINAL and key not in BROKEN:
            parts.append(f"{tally[key]:,} {word}")
    broken = tally[State.FAILED] + tally[State.TIMED_OUT]
    if broken:
        parts.append(_failed(broken, kinds))
    if state.state == "RUNNING":
        # How long it has run changes between two entries: whoever shows a run under way
        # says it beside the sentence.
        nothing, took = "nothing yet", ""
    else:
        nothing, took = "nothing to do", f" {duration(state.seconds)}."
    share = _share(state, tally)
    if state.waiting:
        parts.append(_waits(state))
    said = ", ".join(parts) or nothing
    cut = ""
    if state.is_cut_short and state.state != "RUNNING":
        cut = " Its iterator was not read to the end."
    return f"{share}{rows}{flows}: {said}.{cut}{took}{spent_of(state)}"


def _waits(state: RunState) -> str:
    """The records that wait, with what most of them wait for."""
    [(why, _)] = Counter(state.waiting.values()).most_common(1)
    return f"{len(state.waiting):,} waiting ({short(why)})"


def _share(state: RunState, tally: Counter[State]) -> str:
    """The number of records, of a run under way beside those that have ended."""
    total = state.total if state.total is not None else len(state.keys)
    if state.state != "RUNNING":
        return several(total, "record")
    ended = sum(number for key, number in tally.items() if key in FINAL)
    share = f"{ended:,} of {total * len(state.flows):,}"
    return f"{share} read so far" if state.total is None else share


def _failed(broken: int, kinds: Counter[tuple[str, str]]) -> str:
    """The failures in words, with their most frequent kinds."""
    parts = []
    rest = broken
    for (what, step), number in kinds.most_common(_NAMED_KINDS):
        if number:
            where = f" at {step}" if step else ""
            parts.append(f"{number:,} {what}{where}")
            rest -= number
    if rest:
        parts.append(f"{rest:,} of other causes")
    return f"{broken:,} failed: {'; '.join(parts)}"


#: nbflow's own errors in words, the kinds of failures that the sentence names, and the
#: characters of an author's message that it quotes.
_ERROR_WORDS = {"StepTimeoutError": "timed out"}
_NAMED_KINDS = 3
_LONGEST_MESSAGE = 60


def spent_of(state: RunState) -> str:
    """What the run used and saved, as further sentences.

    Empty if no call reported usage.
    """
    spent = ""
    if state.usage.requests:
        used = str(state.usage)
        spent = f" {used[0].upper()}{used[1:]}."
    if state.saved.requests:
        saved = str(state.saved).replace(" for ", " and ")
        spent += f" Checkpoints saved {saved}."
    return spent


def short(text: str, length: int = 110) -> str:
    """One line of at most ``length`` characters, as they are `seen`."""
    line = " ".join(text.split())
    if len(line) > length:
        line = line[: length - 1] + "\u2026"
    return seen(line)


def middle(text: str, length: int) -> str:
    """A text of at most ``length`` characters, cut in its middle: keys often differ at their ends."""
    if len(text) <= length:
        return text
    begin = length // 2
    return f"{text[:begin]}\u2026{text[begin + 1 - length :]}"


#: Seconds in line that are worth a word.
_LINE = 0.01


def times(seconds: float, waited: float) -> str:
    """How long something took, and how long it was in line; nothing if it took no time."""
    if not seconds and waited < _LINE:
        return ""
    line = f" + {duration(waited)} in line" if waited >= _LINE else ""
    return f"{duration(seconds)}{line}"
