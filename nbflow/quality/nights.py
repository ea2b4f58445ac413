"""Nights: the labels of a job's runs, and of the earlier runs that they are compared with."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nbflow._call.job_link import Told
from nbflow._call.scope import GAPS
from nbflow._core.entry import DONE
from nbflow._core.gate import ACCEPTED, LAST
from nbflow._core.label import text_of
from nbflow.errors import UsageError
from nbflow.quality.alike import alike
from nbflow.quality.answers import answers_of
from nbflow.quality.baseline import acceptance, baselines
from nbflow.quality.label_column import label_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbflow._run.run import Run
    from nbflow.quality.answers import Answers

#: Earlier runs that say how much nights vary.
NIGHTS = 14


#: Why a record that was answered has no label, see `Answers.missing`.
_NO_LABEL = "no label"


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

    def clusters(self) -> list[Counter[str]]:
        """Its records that are copies of each other, by label; each at least once."""
        found: dict[int, Counter[str]] = {}
        labels, missing = self.answers.labels, self.answers.missing
        for number, first in enumerate(alike(self.answers)):
            if missing.get(number, _NO_LABEL) == _NO_LABEL:
                found.setdefault(first, Counter())[labels[number] or ""] += 1
        return list(found.values())

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
        raise UsageError(self._nothing(night.run, base))

    def counts_before(self, night: Night, base: str) -> list[list[Counter[str]]]:
        """The counts of that night and of those before it, in the order of time.

        They are in series, of which each begins with a run that somebody accepted:
        between two of them the shares moved, and are not what nights vary by. That
        night is the last one of the last series. A batch that was sent again is one
        night, not two that are wonderfully alike.
        """
        found: list[list[Counter[str]]] = [[]]
        seen: list[Counter[str]] = []
        for run, counts in islice(self._nights_before(night, base), NIGHTS):
            if counts not in seen:
                seen.append(counts)
                found[-1].append(counts)
            if acceptance(run.engine.ledger, run.id) is not None:
                found.append([])
        return [series[::-1] for series in reversed(found) if series]

    def _nights_before(
        self, night: Night, base: str
    ) -> Iterator[tuple[Run, Counter[str]]]:
        """The night to compare with, and those before it.

        Not those after it: where shares creep, these vary by what is looked for.
        """
        column, run = night.answers.name, night.run
        if base != LAST:
            run = self._start(run, base, column)
            yield run, self._counts(run, column)
        yield from self._labelled(self.earlier(run), column)

    def _start(self, run: Run, base: str, column: str) -> Run:
        """The run that a gate names, or the last one that was accepted.

        Raises:
            UsageError: there is none.
        """
        if base != ACCEPTED:
            return self.named(run, base)
        found = next(self._labelled(self.accepted(run), column), None)
        if found is None:
            raise UsageError(self._nothing(run, base))
        return found[0]

    def _labelled(
        self, runs: Iterable[Run], column: str
    ) -> Iterator[tuple[Run, Counter[str]]]:
        for run in runs:
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
        """The runs that one may be compared with, the last one first, see `baselines`."""
        own = {one.id for one in self.runs}
        for name in baselines(run.engine.ledger, run.event, run.id, own):
            yield self._other(run, name)

    def accepted(self, run: Run) -> Iterator[Run]:
        """Those of them that somebody accepted."""
        ledger = run.engine.ledger
        return (one for one in self.earlier(run) if acceptance(ledger, one.id))

    def _nothing(self, run: Run, base: str) -> str:
        """That there is no run to compare with, and how to get one."""
        if base == ACCEPTED:
            why = f"nobody has accepted an earlier run of {run.event!r} with these labels."
        else:
            why = (
                f"there is no earlier run of {run.event!r} that came to its end, has these "
                "labels and met its gates."
            )
        return (
            f"{why} If the labels of this run are right, nbflow runs accept {run.id} makes "
            "it the one that later runs are compared with."
        )

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
