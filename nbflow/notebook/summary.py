"""Summary: what somebody who runs no code wants to know of a run, in their words.

Decided here, drawn by `page_of_run`. Every text is as it is shown: of one line, without
secrets.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from nbflow._core.duration import duration
from nbflow._core.entry import DONE
from nbflow._core.headline import answer_of, words_of
from nbflow._core.lifecycle import State
from nbflow._core.plain_reason import reason_of
from nbflow._core.plural import several
from nbflow._core.table import done_of, needing_of, pattern_of, short
from nbflow._core.visible import seen
from nbflow._key.redaction import masker
from nbflow._run import decisions, results
from nbflow._run.run_reader import RunReader
from nbflow.errors import NbflowError
from nbflow.notebook.contents import Index
from nbflow.notebook.results_csv import values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nbflow._core.decision import Decision
    from nbflow._core.entry import RunState
    from nbflow._run.chronicle import Line
    from nbflow._run.run import Run
    from nbflow._run.runs import Runs

    #: How many records have each label, by flow.
    Counts = dict[str, Counter[str]]

T = TypeVar("T")

#: Reasons that are listed, and records and causes of each.
_REASONS, _NEEDS, _CAUSES = 12, 10, 6
#: Categories of a flow that have a bar.
_CATEGORIES = 15
#: Results that are counted of the run before.
_SOON = 20_000
#: Runs of a trend.
_RUNS = 12
_KEY = 60


class Need(NamedTuple):
    """A record that needs somebody: its number and its key, and what it says."""

    record: int
    key: str
    subject: str


class Cause(NamedTuple):
    """What a developer is told: error and message, where, and how often."""

    what: str
    step: str
    failures: int
    attempts: int


class Reason(NamedTuple):
    """Records that need somebody for one reason: how many, and the first of them."""

    text: str
    records: int
    flows: tuple[str, ...]
    needs: tuple[Need, ...]
    causes: tuple[Cause, ...]
    more_causes: int


class Category(NamedTuple):
    """A label, with its records in this run and in the one before."""

    label: str
    records: int
    before: int


class Outcome(NamedTuple):
    """What one flow made of the records.

    Attributes:
        flow: its name.
        categories: the labels, the most frequent first.
        kinds: how many different answers there are.
        others: records of categories that are not listed.
        counted: records whose answers were read.
        done: records that have an answer.
        by_people: records whose category a person gave.
        before: records that the run before has answers for; ``None`` if they were not
            counted.
        others_before: those of categories that are not listed.
    """

    flow: str
    categories: tuple[Category, ...]
    kinds: int
    others: int
    counted: int
    done: int
    by_people: int
    before: int | None
    others_before: int


class Point(NamedTuple):
    """One of the last runs of the event: ``done`` of the ``whole``, and records that failed."""

    run: str
    when: str
    records: int
    whole: int
    done: int
    failures: int
    is_this: bool


class Standing(NamedTuple):
    """Records by what became of them in all flows together."""

    records: int
    done: int
    needy: int
    stopped: int
    open: int


class Summary(NamedTuple):
    """A run for a reader who runs no code."""

    title: str
    when: str
    about: str
    lead: str
    standing: Standing
    facts: tuple[tuple[str, str], ...]
    reasons: tuple[Reason, ...]
    more_reasons: int
    outcomes: tuple[Outcome, ...]
    trend: tuple[Point, ...]
    run: str
    state: str
    sentence: str
    remarks: tuple[str, ...]


def summary_of(
    run: Run,
    index: Index,
    lines: Iterable[Line],
    before: Counts | None = None,
    *,
    title: str = "",
) -> Summary:
    """Return the summary of a run.

    Args:
        run: the run.
        index: the categories, as far as they were read.
        lines: the runs of its store, the latest first.
        before: what came out in the run before, if it was counted.
        title: of the page; without one, the event.
    """
    state, table = run.reader.state(), run.table()
    standing = _standing(state)
    reasons = _reasons(run.reader, state, index)
    made = Summary(
        title=title or state.event,
        when=_moment(state.started),
        about=_about(state, standing),
        lead=_lead(state, standing),
        standing=standing,
        facts=_facts(state),
        reasons=tuple(reasons[:_REASONS]),
        more_reasons=len(reasons[_REASONS:]),
        outcomes=_outcomes(run.reader, state, index, before or {}),
        trend=_trend(state, lines),
        run=state.run,
        state=table.state,
        sentence=table.sentence,
        remarks=tuple(table.remarks),
    )
    mask = masker()
    return _said(made, lambda text: seen(mask(text)))


def _said(part: T, say: Callable[[str], str]) -> T:
    """Return the same with every text in it as ``say`` has it."""
    if isinstance(part, str):
        return cast("T", say(part))
    if not isinstance(part, tuple):
        return part
    parts = [_said(one, say) for one in part]
    made = type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
    return cast("T", made)


# The run as a whole.


def _standing(state: RunState) -> Standing:
    """Return what became of the records; rows that a killed process did not read count as stopped."""
    standing, total = state.standing(), state.total_records
    done, needy = done_of(standing), needing_of(standing)
    stopped = standing[State.CANCELLED] + standing[State.INTERRUPTED]
    return Standing(total, done, needy, stopped, total - done - needy - stopped)


def _about(state: RunState, standing: Standing) -> str:
    """Return in one sentence what the page is about."""
    records = several(standing.records, "record")
    if state.flows == (state.event,):
        return f"What the step {state.event} made of {records}."
    flows = _listed(state.flows)
    noun = "flow" if len(state.flows) == 1 else "flows"
    return f"What came of {records} of {state.event}: each went through the {noun} {flows}."


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _lead(state: RunState, standing: Standing) -> str:
    """Return how the run stands, in records."""
    records, done, needy, stopped, _ = standing
    so_far = " so far" if state.state == "RUNNING" else ""
    if not records:
        return f"There were no records{so_far}."
    all_done = done == records and not so_far
    share = (
        f"All {records:,}" if all_done and records > 1 else f"{done:,} of {records:,}"
    )
    said = f"{share} {'record is' if records == 1 else 'records are'} done{so_far}"
    parts = []
    if needy:
        parts.append(f"{needy:,} {'needs' if needy == 1 else 'need'} somebody")
    if stopped:
        was = "was cancelled" if state.state == "CANCELLED" else "was interrupted"
        why = f": {short(state.stopped)}" if state.stopped else ""
        verb = "was" if stopped == 1 else "were"
        parts.append(f"{stopped:,} {verb} not finished, as the run {was}{why}")
    return f"{'; '.join([said, *parts])}."


def _facts(state: RunState) -> tuple[tuple[str, str], ...]:
    """Return what else there is to know, with units."""
    facts = []
    if state.state != "RUNNING":
        facts.append(("Took", duration(state.seconds)))
    if state.usage.requests:
        cost = state.usage.told_cost or "unknown"
        facts.append(("Cost of models", f"{cost} (US dollars)"))
    return tuple(facts)


def _moment(at: float) -> str:
    """Return a time with its date and zone: a page is read elsewhere, and later."""
    return f"{datetime.fromtimestamp(at).astimezone():%A, %-d %B %Y, %H:%M %Z}"


# What needs somebody.


def _reasons(reader: RunReader, state: RunState, index: Index) -> list[Reason]:
    """Return why records need somebody, the most frequent reason first."""
    groups: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    known: dict[tuple[str, str], str] = {}
    for place in sorted(state.failures):
        failure, _ = state.failures[place]
        kind = failure.error, pattern_of(failure.message)
        if kind not in known:
            known[kind] = reason_of(failure.error, failure.message)
        groups[known[kind]].append(place)
    listed = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [_reason(reader, state, index, *group) for group in listed]


def _reason(
    reader: RunReader,
    state: RunState,
    index: Index,
    text: str,
    places: list[tuple[int, int]],
) -> Reason:
    records = list(dict.fromkeys(record for record, _ in places))
    words = _words(reader, state, records[:_NEEDS], index.words)
    causes = _causes(state, places)
    return Reason(
        text=text,
        records=len(records),
        flows=tuple(state.flows[flow] for flow in sorted({flow for _, flow in places})),
        needs=tuple(
            Need(one, short(state.keys[one], _KEY), words[one]) for one in words
        ),
        causes=tuple(causes[:_CAUSES]),
        more_causes=len(causes[_CAUSES:]),
    )


def _causes(state: RunState, places: list[tuple[int, int]]) -> list[Cause]:
    """Return what failed, as developers say it, the most frequent first."""
    groups: defaultdict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for place in places:
        failure, _ = state.failures[place]
        step = failure.step or state.flows[place[1]]
        groups[failure.error, pattern_of(failure.message), step].append(place)
    causes = []
    for (error, _, step), alike in groups.items():
        first, _ = state.failures[alike[0]]
        what = f"{error}: {short(first.message, 300)}" if first.message else error
        attempts = max(state.failures[place][1] for place in alike)
        causes.append(Cause(what, step, len(alike), attempts))
    return sorted(causes, key=lambda cause: -cause.failures)


def _words(
    reader: RunReader, state: RunState, records: list[int], known: list[str]
) -> dict[int, str]:
    """Return what records say, by number; nothing where they were not kept.

    ``known``: what the first records say, as far as it was read.
    """
    if max(records) < len(known):
        return {number: known[number] for number in records}
    try:
        found = reader.raw_records(state, records)
    except NbflowError:
        found = {}
    columns = reader.columns or state.columns
    words = dict.fromkeys(records, "")
    for number, record in found.items():
        try:
            words[number] = words_of(record, columns, state.keys[number])
        except Exception:  # a repr of the user's
            words[number] = ""
    return words


# What came out.


def line_before(lines: Iterable[Line], event: str, run: str) -> Line | None:
    """Return the run of an event before this one; ids sort by time."""
    return next((one for one in lines if one.event == event and one.run < run), None)


def counts_of(runs: Runs, line: Line | None) -> Counts | None:
    """Return what came out in a run, if it is soon counted."""
    if line is None or line.rows > _SOON:
        return None
    try:
        return _counts(RunReader(runs, line.run))
    except NbflowError:
        return None  # the page is about another run


def _counts(reader: RunReader) -> Counts:
    """Return the labels of a run by flow, all of them read for it."""
    index, state = Index(reader, labels_only=True), reader.state()
    while index.is_behind:
        index.read_more()
    people = _by_people(reader, state)
    return {
        name: _corrected(index, reader, state, flow, people.get(flow, {}))
        for flow, name in enumerate(state.flows)
    }


def _outcomes(
    reader: RunReader, state: RunState, index: Index, before: Counts
) -> tuple[Outcome, ...]:
    people = _by_people(reader, state)
    outcomes = []
    for flow, name in enumerate(state.flows):
        given = people.get(flow, {})
        counts = _corrected(index, reader, state, flow, given)
        done = sum(state.count(flow)[one] for one in DONE)
        outcomes.append(_outcome(name, counts, done, len(given), before.get(name)))
    return tuple(outcomes)


def _by_people(
    reader: RunReader, state: RunState
) -> defaultdict[int, dict[int, tuple[Decision, ...]]]:
    """Return what people decided, by flow and record."""
    found: defaultdict[int, dict[int, tuple[Decision, ...]]] = defaultdict(dict)
    if decisions.standing_for(reader.engine, state.flows):
        batch, _ = reader.rows(state)
        for (record, flow), made in reader.decided(state, batch).items():
            found[flow][record] = made
    return found


def _outcome(
    flow: str,
    counts: Counter[str],
    done: int,
    by_people: int,
    before: Counter[str] | None,
) -> Outcome:
    counted, earlier = counts.total(), before or Counter[str]()
    ordered = [(label, number) for label, number in counts.most_common() if number]
    # Answers that are all different are no categories.
    shown = ordered[:_CATEGORIES] if ordered and ordered[0][1] > 1 else []
    listed = sum(earlier[label] for label, _ in shown)
    return Outcome(
        flow=flow,
        categories=tuple(
            Category(label or "(nothing)", number, earlier[label])
            for label, number in shown
        ),
        kinds=len(ordered),
        others=sum(number for _, number in ordered[len(shown) :]),
        counted=counted,
        done=max(counted, done),
        by_people=by_people,
        before=earlier.total() if before else None,
        others_before=earlier.total() - listed,
    )


def _corrected(
    index: Index,
    reader: RunReader,
    state: RunState,
    flow: int,
    people: dict[int, tuple[Decision, ...]],
) -> Counter[str]:
    """Return how many records have each label; what people decided counts in the place of what the flow returned."""
    counts = Counter(dict(index.counts(flow)))
    values = values_of(reader, state, flow, list(people))
    for made, value in zip(people.values(), values, strict=True):
        before, after = value, results.corrected(value, made)
        if before is not None and not counts[answer_of(before).label]:
            continue  # not counted yet
        if before is not None:
            counts[answer_of(before).label] -= 1
        if after is not None:
            counts[answer_of(after).label] += 1
    return counts


# How it went before.


def _trend(state: RunState, lines: Iterable[Line]) -> tuple[Point, ...]:
    """Return the last runs of the event up to this one, the earliest first."""
    own = [
        line for line in lines if line.event == state.event and line.run <= state.run
    ]
    return tuple(_point(line, state) for line in reversed(own[:_RUNS]))


def _point(line: Line, state: RunState) -> Point:
    # An old ledger has no more than results: each record in each flow.
    standing = line.standing or line.tally
    then = datetime.fromtimestamp(line.started).astimezone()
    return Point(
        run=line.run,
        when=f"{then:%-d %b %Y, %H:%M}",
        records=line.records,
        whole=line.records if line.standing else line.rows,
        done=done_of(standing),
        failures=line.failed,
        is_this=line.run == state.run,
    )
