"""Table: what the picture of a run says, the same for terminal, notebook and page."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.awaited import said_of
from nbflow._core.duration import duration
from nbflow._core.entry import BROKEN, DONE_SHOWN, FINAL, with_same
from nbflow._core.lifecycle import Reuse, Shown, State
from nbflow._core.plural import several
from nbflow._core.usage import NOTHING, Usage
from nbflow._core.visible import seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow._core.entry import RunState, StepCount

#: The order in which states are shown, and the words for them.
WORDS: dict[Shown, str] = {
    State.COMPLETED: "completed",
    State.CACHED: "from an earlier run",
    Reuse.SAME: "same as another",
    State.FAILED: "failed",
    State.TIMED_OUT: "timed out",
    State.CANCELLED: "cancelled",
    State.INTERRUPTED: "interrupted",
    State.WAITING: "waiting",
    State.RUNNING: "running",
    State.QUEUED: "queued",
}


#: The states of what did not run.
REUSED = frozenset({State.CACHED, Reuse.SAME})


class FlowRow(NamedTuple):
    """One flow, or one of its steps (then ``step`` is named).

    ``counts``: its records, or its calls, by state; ``why``: what changed in its code
    since the event was last sent, if any of them ran; ``usage``: what its calls used;
    ``waited``: the seconds that they spent in line, beside their ``seconds``.
    """

    flow: str
    step: str
    counts: dict[Shown, int]
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
    columns: tuple[Shown, ...]
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
    counts = dict(state.shown(flow))
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
    waits = Counter(
        one.step for (_, where), one in state.awaited.items() if where == flow
    )
    for step, count in steps.items():
        ended = {key: number for key, number in count.states.items() if key in FINAL}
        if waits[step]:
            ended[State.WAITING] = waits[step]
        shown = dict(with_same(Counter(ended), count.same))
        rows.append(_step_row(state, name, step, shown, count))
    return rows


def _step_row(
    state: RunState,
    flow: str,
    step: str,
    counts: dict[Shown, int],
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


def _columns(state: RunState, rows: list[FlowRow]) -> tuple[Shown, ...]:
    """The states that have a column: those that any row has a number for."""
    found: set[Shown] = set()
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


def why_of(state: RunState, subject: str, counts: Mapping[Shown, int]) -> str:
    """What changed in the code of a flow or step, if any of its calls ran.

    Empty for new code, where everything has changed.
    """
    coded = state.coded.get(subject)
    if coded is None or coded.why == "new":
        return ""
    for key, number in counts.items():
        if number and key not in REUSED:
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


def everywhere(causes: Iterable[Cause]) -> list[tuple[Cause, list[str]]]:
    """Causes with one error and like messages as one, with the steps at which they happened.

    The most frequent comes first.
    """
    groups: defaultdict[tuple[str, str], list[Cause]] = defaultdict(list)
    for cause in causes:
        groups[cause.error, pattern_of(cause.message)].append(cause)
    found = [
        (
            alike[0]._replace(records=sum(one.records for one in alike)),
            list(dict.fromkeys(one.step or one.flow for one in alike)),
        )
        for alike in groups.values()
    ]
    return sorted(found, key=lambda pair: -pair[0].records)


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
    standing = state.standing()
    parts = [_share(state, standing)]
    if needing := needing_of(standing):
        parts.append(f"{need_you(needing)} ({_failures(state, needing, kinds)})")
    parts += _ended(standing)
    if state.awaited:
        parts.append(f"{_wait(state)} ({said_of(state.awaited.values())})")
    if state.waiting:
        parts.append(_waits(state))
    cut = took = ""
    if state.state != "RUNNING":
        # How long a run under way has run changes between two entries: whoever shows it
        # says it beside the sentence.
        took = f" {duration(state.seconds)}."
        if state.is_cut_short:
            cut = " Its iterator was not read to the end."
    return f"{', '.join(parts)}.{cut}{took}{spent_of(state)}"


def brief_of(*states: RunState) -> str:
    """Runs in few words: how many of their records are done, and what became of the others."""
    standing: Counter[Shown] = Counter()
    for state in states:
        standing += state.standing()
    total = sum(state.total_records for state in states)
    if not total:
        return "no records"
    parts = [_done_of(total, standing)]
    if needing := needing_of(standing):
        parts.append(need_you(needing))
    parts += _ended(standing)
    if waiting := standing[State.WAITING]:
        parts.append(f"{waiting:,} wait{'s' if waiting == 1 else ''}")
    return ", ".join(parts)


def done_of(standing: Mapping[Shown, int] | Mapping[State, int]) -> int:
    """The number of records that are done in every flow."""
    return sum(number for shown, number in standing.items() if shown in DONE_SHOWN)


def needing_of(standing: Mapping[Shown, int] | Mapping[State, int]) -> int:
    """The number of records that failed in a flow or more, so that they need somebody."""
    return sum(standing.get(state, 0) for state in BROKEN)


def need_you(number: int) -> str:
    """``1 needs you``, ``5 need you``."""
    return f"{number:,} need{'s' if number == 1 else ''} you"


def _ended(standing: Counter[Shown]) -> list[str]:
    """The records that were stopped before they were done."""
    stopped = (State.CANCELLED, State.INTERRUPTED)
    return [f"{standing[key]:,} {WORDS[key]}" for key in stopped if standing[key]]


def _done_of(total: int, standing: Counter[Shown], of: str = "", more: str = "") -> str:
    """How many records are done, and how many of those were not worked on."""
    done = done_of(standing)
    said = f"{done:,} of {of}{several(total, 'record')}{more} done"
    if done == total and not of:
        every = "All " if total > 1 else ""
        said = f"{every}{several(total, 'record')}{more} done"
    for reused in (State.CACHED, Reuse.SAME):
        number = standing[reused]
        if number:
            how_many = "all " if number == total else f"{number:,} "
            said += f", {how_many if total > 1 else ''}{WORDS[reused]}"
    return said


def _share(state: RunState, standing: Counter[Shown]) -> str:
    """How many of the records are done, and how many of those came from an earlier run."""
    total = state.total_records
    rows = f" ({state.rows:,} rows)" if state.rows > len(state.keys) else ""
    is_over = state.state != "RUNNING"
    if not total:
        return "No records" if is_over else "No records yet"
    if is_over or state.total is not None:
        return _done_of(total, standing, more=rows)
    return _done_of(total, standing, "the ", f"{rows} read so far")


def _wait(state: RunState) -> str:
    """``1 waits``, ``5 wait``: the records that nobody works on until something happens."""
    number = len({record for record, _ in state.awaited})
    return f"{number:,} wait{'s' if number == 1 else ''}"


def _waits(state: RunState) -> str:
    """The records that are in line, with what most of them wait for."""
    [(why, _)] = Counter(state.waiting.values()).most_common(1)
    records = {record for record, _ in state.waiting}
    return f"{len(records):,} waiting ({short(why)})"


def _failures(state: RunState, needing: int, kinds: Counter[tuple[str, str]]) -> str:
    """The failures of ``needing`` records in words: their most frequent kinds, and their number if it is another."""
    failed = [_failed_in(state, flow) for flow in range(len(state.flows))]
    broken = rest = sum(failed)
    parts = []
    for (what, step), number in kinds.most_common(_NAMED_KINDS):
        if number:
            where = f" at {step}" if step else ""
            parts.append((number, f"{what}{where}"))
            rest -= number
    if rest:
        parts.append((rest, "of other causes"))
    said = "; ".join(f"{number:,} {what}" for number, what in parts)
    if broken == needing:
        return parts[0][1] if len(parts) == 1 else said
    flows = several(sum(map(bool, failed)), "flow")
    return f"{several(broken, 'failure')} in {flows}: {said}"


def _failed_in(state: RunState, flow: int) -> int:
    return sum(state.count(flow)[broken] for broken in BROKEN)


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
    if not seconds:  # nothing was executed: the record waited in its flow
        return f"waited {duration(waited)}"
    line = f" + {duration(waited)} in line" if waited >= _LINE else ""
    return f"{duration(seconds)}{line}"
