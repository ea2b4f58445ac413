"""Nights: the labels of a job's runs, and of the earlier runs that they are compared with.

A run that missed a gate is remembered, and no later one is compared with it: or the
same job, tried again, would be compared with itself and pass.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call.job_link import Told
from nbflow._call.scope import GAPS
from nbflow._core.entry import Closed, Remark
from nbflow._core.gate import LAST
from nbflow._run.runs import runs_of
from nbflow.errors import UsageError
from nbflow.quality.answers import answers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._run.run import Run
    from nbflow._store.ledger import Ledger
    from nbflow.quality.answers import Answers

#: Runs that came to their end: the first records of one that did not are no sample.
_WHOLE = ("COMPLETED", "PARTIAL")


class Night(NamedTuple):
    """The labels of one run, as its flow gave them.

    Attributes:
        run: the run.
        answers: its labels.
        counts: answered records by label; empty for an answer without one.
    """

    run: Run
    answers: Answers
    counts: Counter[str]

    @property
    def total(self) -> int:
        """The number of records that were answered."""
        return self.counts.total()

    def number(self, *labels: str) -> int:
        """The number of records with one of some labels."""
        return sum(self.counts[label] for label in labels)


class Nights:
    """The runs of one job, and those before it.

    Args:
        runs: those of the job.
        opened: opens another run.
    """

    def __init__(self, runs: Sequence[Run], opened: Callable[[Told], Run]) -> None:
        self.runs = runs
        self._opened = opened
        #: By run and column; none is read twice.
        self._read: dict[tuple[str, str | None], Night] = {}

    def of(self, run: Run, column: str | None) -> Night:
        """The labels of a run.

        Raises:
            UsageError: there are none, it is not clear which, or the store has lost
                some.
        """
        place = run.id, column
        if place not in self._read:
            self._read[place] = _night(run, column)
        return self._read[place]

    def before(self, night: Night, base: str) -> Iterator[Night]:
        """What a night is compared with, then the nights before it, the last one first.

        Raises:
            UsageError: there is nothing to compare it with.
        """
        column = night.answers.name
        is_empty = base == LAST
        if not is_empty:
            named = self.of(self.named(night.run, base), column)
            if not named.total:
                raise UsageError(f"none of the records of run {base} has an answer.")
            yield named
        for run in self.earlier(night.run):
            try:
                found = self.of(run, column)
            except UsageError:
                continue  # it has no such labels, or not any more
            if found.total:
                is_empty = False
                yield found
        if is_empty:
            raise UsageError(
                f"there is no earlier run of {night.run.event!r} that came to its end "
                "and missed no gate. The next run is compared with this one."
            )

    def earlier(self, run: Run) -> Iterator[Run]:
        """The runs of the event before this job that came to their end and missed no gate, the last one first."""
        ledger = run.engine.ledger
        left_out = {one.id for one in self.runs} | _refused(ledger)
        known = [name for name in ledger.runs() if name < run.id]
        known = [name for name in known if name not in left_out]
        for name, entries in runs_of(ledger, run.event, known):
            ends = [entry for entry in entries if isinstance(entry, Closed)]
            if ends and ends[-1].state in _WHOLE:
                yield self._other(run, name)

    def named(self, run: Run, base: str) -> Run:
        """The run that a gate names.

        Raises:
            UsageError: there is none, or several begin like that.
        """
        known = run.engine.ledger.runs()
        found = [name for name in known if name.startswith(base)]
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} runs in {run.engine.store.url} begin with {base!r}; "
                "nbflow runs lists them."
            )
        return self._other(run, found[0])

    def _other(self, run: Run, name: str) -> Run:
        return self._opened(Told(name, run.engine.store.url))


def _night(run: Run, column: str | None) -> Night:
    gaps = GAPS.count
    answers = answers_of(run, column)
    if GAPS.count != gaps:
        raise UsageError(f"Saved labels of run {run.id} are not in the store any more.")
    counts = Counter(label for label in answers.labels if label is not None)
    without = sum(why == "no label" for why in answers.missing.values())
    return Night(run, answers, counts + Counter({"": without}))


# Which runs missed a gate.


def note_missed(run: Run, why: str) -> None:
    """Remember that a run missed gates, and why; empty if it missed none."""
    journal = _journal(run.engine.ledger)
    if why != _why(journal, run.id):
        journal.append(run.id, [Remark(run.engine.runner.clock.time(), why)])


def _refused(ledger: Ledger) -> set[str]:
    journal = _journal(ledger)
    return {run for run in journal.runs() if _why(journal, run)}


def _journal(ledger: Ledger) -> Ledger:
    return ledger.beside("gates")


def _why(journal: Ledger, run: str) -> str:
    entries = journal.ends(run)
    return entries[-1].text if entries and isinstance(entries[-1], Remark) else ""
