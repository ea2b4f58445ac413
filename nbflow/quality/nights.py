"""Nights: the labels of a job's runs, and of the earlier runs that they are compared with.

A run that missed a gate is remembered, and no later one is compared with it: or the
same job, tried again, would be compared with itself and pass.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call.job_link import Told
from nbflow._call.scope import GAPS
from nbflow._core.entry import DONE, Closed, Remark
from nbflow._core.gate import LAST
from nbflow._core.label import text_of
from nbflow._run.runs import runs_of
from nbflow.errors import UsageError
from nbflow.quality.answers import answers_of
from nbflow.quality.label_column import label_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._run.run import Run
    from nbflow._store.ledger import Ledger
    from nbflow.quality.answers import Answers

#: Earlier runs that say how much nights vary.
NIGHTS = 14
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
        #: By run and column; none is read twice. Of most only the counts are kept.
        self._read: dict[tuple[str, str | None], Night] = {}
        self._counted: dict[tuple[str, str], Counter[str]] = {}

    def of(self, run: Run, column: str | None) -> Night:
        """The labels of a run.

        Raises:
            UsageError: there are none, it is not clear which, or the store has lost
                some.
        """
        place = run.id, column
        if place not in self._read:
            gaps = GAPS.count
            answers = answers_of(run, column)
            _check_gaps(run, gaps)
            self._read[place] = Night(run, answers, _count(run, answers.name))
        return self._read[place]

    def before(self, night: Night, base: str) -> Night:
        """What a night is compared with.

        Raises:
            UsageError: there is nothing to compare it with.
        """
        for run, counts in self._nights_before(night, base):
            if counts:
                return self.of(run, night.answers.name)
            raise UsageError(f"none of the records of run {run.id} has an answer.")
        raise UsageError(
            f"there is no earlier run of {night.run.event!r} that came to its end, has "
            "these labels and missed no gate. The next run is compared with this one."
        )

    def counts_before(self, night: Night, base: str) -> list[Counter[str]]:
        """The counts of that night and of those before it, in the order of time.

        A batch that was sent again is one night, not two that are wonderfully alike.
        """
        found: list[Counter[str]] = []
        for _, counts in islice(self._nights_before(night, base), NIGHTS):
            if counts not in found:
                found.append(counts)
        return found[::-1]

    def _nights_before(
        self, night: Night, base: str
    ) -> Iterator[tuple[Run, Counter[str]]]:
        column = night.answers.name
        if base != LAST:
            named = self.named(night.run, base)
            yield named, self._counts(named, column)
        for run in self.earlier(night.run):
            try:
                counts = self._counts(run, column)
            except UsageError:
                continue  # it has no such labels, or not any more
            if any(counts):
                yield run, counts

    def _counts(self, run: Run, column: str) -> Counter[str]:
        place = run.id, column
        if place not in self._counted:
            self._counted[place] = _count(run, column)
        return self._counted[place]

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


def _count(run: Run, column: str) -> Counter[str]:
    """The answered records of a run by label."""
    gaps = GAPS.count
    chosen = label_column(run, column, None)
    _check_gaps(run, gaps)
    state = run.reader.state()
    values = chosen.columns.get(chosen.name, [])
    return Counter(
        text_of(value) or ""
        for number, value in enumerate(values)
        if state.item(number, chosen.flow) in DONE
    )


def _check_gaps(run: Run, before: int) -> None:
    if GAPS.count != before:
        raise UsageError(f"Saved labels of run {run.id} are not in the store any more.")


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
