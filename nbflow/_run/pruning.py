"""Pruning: what of runs and saved outputs goes by rules, and how it goes beside running sends.

What stays is chosen first, the latest run first: runs that somebody works on, those
that the rules keep, and all that they need (`nbflow._run.needs`). Outputs go before the
runs that named them, so that whoever is killed midway leaves runs that the next prune
takes, and no output that nobody would ever ask for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from nbflow._call import lookup
from nbflow._core.amount import amount
from nbflow._core.plural import several
from nbflow._run.inventory import size_of
from nbflow._run.left_behind import Deleted, LeftBehind, whose_are
from nbflow._run.needs import Needs, catalogue, use_of
from nbflow._run.shared_batches import SharedBatches
from nbflow.errors import UnknownRunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterator, Mapping, Sequence

    from nbflow._run.needs import RunUse
    from nbflow._run.runs import Runs

__all__ = ["Pruned", "Rules", "prune"]

#: Outputs, and runs, that go while runs that begin wait.
_AT_ONCE, _RUNS_AT_ONCE = 2000, 20
#: Runs, and steps, that a text names.
_NAMED = 10
#: Surveys, where somebody takes up a run that was to go meanwhile.
_SURVEYS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What goes, and what stays in any case.

    Attributes:
        older_than: seconds; older runs go, and older outputs that no run needs.
        keep_runs: the latest runs of each event that stay in any case.
        max_size: bytes; what is oldest goes until the rest is no more.
        step: only outputs of this step go, and no run.
        runs: these runs go, and no other.
        keep_outputs: nothing but runs goes.
    """

    older_than: float | None = None
    keep_runs: int | None = None
    max_size: int | None = None
    step: str | None = None
    runs: frozenset[str] | None = None
    keep_outputs: bool = False

    def check(self) -> None:
        """Refuse rules by which nothing could go.

        Raises:
            UsageError: there is none.
        """
        asked = (self.older_than, self.keep_runs, self.max_size, self.runs)
        if all(rule is None for rule in asked):
            raise UsageError(
                "Say what may go: older_than (--older-than 30d), keep_runs (--keep-runs"
                " 50) or max_size (--max-size 2GB)."
            )


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or what would go.

    Attributes:
        runs: ids of runs, the oldest first.
        outputs: the number of saved outputs.
        bytes: what comes back to the disk, about.
        steps: outputs and bytes by step, the most bytes first.
        dry_run: whether nothing went.
        notes: what a person should know.
    """

    runs: tuple[str, ...]
    outputs: int
    bytes: int
    steps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    dry_run: bool = False
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        would = "Would remove" if self.dry_run else "Removed"
        comes = "would come" if self.dry_run else "came"
        what = f"{several(len(self.runs), 'run')} and {several(self.outputs, 'saved output')}"
        lines = [f"{would} {what}: about {amount(self.bytes)} {comes} back."]
        if self.runs:
            lines.append(f"  runs     {_some(self.runs)}")
        for name, (number, size) in islice(self.steps.items(), _NAMED):
            lines.append(f"  {name}  {several(number, 'output')}, {amount(size)}")
        return "\n".join([*lines, *self.notes])


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


class Survey:
    """What there is, and what of it goes by ``rules``."""

    def __init__(self, runs: Runs, rules: Rules) -> None:
        self._runs = runs
        self._rules = rules
        self._now = runs.engine.clock.time()
        self.saved = catalogue(runs.engine.store)
        #: What the runs that stay need.
        self.needs = Needs(self.saved)
        self._gone = Needs(self.saved)
        #: Outputs that runs name which stay.
        self._named: set[bytes] = set()
        #: Outputs of each run that goes which no run names.
        self._unnoted: dict[str, set[bytes]] = {}
        self._left = LeftBehind(runs.engine.ledger)
        #: The length of each run's ledger when it was read.
        self._lengths: dict[str, int] = {}
        self._of_event: Counter[str] = Counter()
        #: Bytes of what stays, and of what cannot go.
        self.size = self._around() if rules.max_size is not None else 0
        self._is_full = False
        self.runs: dict[str, RunUse] = {}
        for run in reversed(runs.engine.ledger.runs()):
            self._judge(self._use(run))
        self._take_in_what_nobody_names()
        self.outputs = [] if rules.keep_outputs else list(self._outputs())

    def _around(self) -> int:
        """What the store takes beside outputs and runs, once what is free is given back.

        Less than nothing where they take less than is thought: then it is their sum.
        """
        engine = self._runs.engine
        engine.store.give_back()
        held = sum(one.size for one in self.saved.values())
        held += sum(map(engine.ledger.bytes_of, engine.ledger.runs()))
        taken = size_of(engine.store.url)
        return taken - held if taken else 0  # in memory there is no more

    def _use(self, run: str) -> RunUse:
        use = use_of(self._runs, run)
        self._lengths[run] = use.length
        return use

    def _judge(self, use: RunUse) -> None:
        """Decide on one run; the later ones are decided on."""
        place, rules = self._of_event[use.event], self._rules
        self._of_event[use.event] += 1
        latest = 1 if rules.keep_runs is None else rules.keep_runs
        # A run whose records wait is not over, however old it is.
        is_kept = use.is_active or (
            rules.runs is None and (use.waits or place < latest)
        )
        further = self.needs.further(use)
        size = self.size + use.size + self.needs.size(further)
        if is_kept or not self._is_due(use, size):
            self.size = size
            self.needs.keys |= further
            self._named |= use.outputs
        else:
            self.runs[use.run] = use
            self._gone.keys |= self._gone.further(use._replace(is_whole=True))

    def _take_in_what_nobody_names(self) -> None:
        """What runs that go did not come to note goes with them, and what deleted runs left."""
        killed = [use for use in self.runs.values() if not use.is_whole]
        if killed:
            of_going = (use.outputs for use in self.runs.values())
            named = self._named.union(*of_going)
            self._unnoted = {use.run: self._gone.unnoted(use, named) for use in killed}
        outputs = set().union(*self._unnoted.values())
        if self._rules.runs is None:
            for deleted in self._left.runs():
                if not deleted.is_wanted:
                    outputs |= deleted.all & self.saved.keys()
        self._gone.keys |= self._gone.further_of(*outputs)

    def _is_due(self, use: RunUse, size: int) -> bool:
        """Whether a run goes; ``size``: the bytes of what stays, if it does not."""
        rules = self._rules
        if rules.runs is not None:
            return use.run in rules.runs
        # Once one has no room, those before it have none either.
        self._is_full |= rules.max_size is not None and size > rules.max_size
        counts_alone = rules.older_than is None and rules.max_size is None
        return self._is_old(use.ended) or self._is_full or counts_alone

    def _is_old(self, at: float) -> bool:
        most = self._rules.older_than
        return most is not None and at < self._now - most

    def _outputs(self) -> Iterator[bytes]:
        """The outputs that go, the oldest last; those that stay become needed."""
        rules = self._rules
        nobodys = [key for key in self.saved if key not in self.needs.keys]
        nobodys.sort(key=lambda key: self.saved[key].saved_at, reverse=True)
        explaining = []
        for key in nobodys:
            if self.saved[key].explains:
                explaining.append(key)
            elif self._goes(key):
                yield key
            elif rules.step is None:
                further = self.needs.further_of(key)
                self.size += self.needs.size(further)
                self.needs.keys |= further
        if rules.step is None:
            # What explains the code of nothing that is left.
            yield from (
                key
                for key in explaining
                if key not in self.needs.keys and self._goes(key)
            )

    def _goes(self, key: bytes) -> bool:
        one, rules = self.saved[key], self._rules
        if key in self.needs.keys or one.name.startswith("codes of "):
            return False
        if rules.step is not None and one.name != rules.step:
            return False
        if key in self._gone.keys:
            return True
        if self._is_old(one.saved_at):
            return True
        return rules.max_size is not None and self.size + one.size > rules.max_size

    def unchanged(self, outputs: list[bytes]) -> list[bytes]:
        """Those that nobody has saved again since: a call outside runs, whose ``ttl`` was over."""
        names = [key.hex() for key in outputs]
        now = lookup.among(self._runs.engine.store, names)
        times = {bytes.fromhex(name): found.saved_at for name, found in now}
        return [key for key in outputs if times.get(key) == self.saved[key].saved_at]

    def look_again(self, going: Collection[str]) -> None:
        """Take in what runs that began or went on since need. Only while none begins."""
        ledger = self._runs.engine.ledger
        for run in ledger.runs():
            if run not in going and self._lengths.get(run) != ledger.size(run):
                use = self._use(run)._replace(is_whole=False)
                self.needs.keys |= self.needs.further(use)

    def note_left(self, run: str, removed: Container[bytes]) -> None:
        """Note which outputs of a run that goes stay, and whose they are.

        Args:
            run: that goes.
            removed: outputs that are gone.
        """
        use = self.runs[run]
        outputs = use.outputs | self._unnoted.get(run, set())
        left = {
            key
            for key in outputs
            if key in self.saved and key not in removed and key not in self._named
        }
        if left:
            whose = whose_are(self._runs.engine.ledger, run, left)
            is_wanted = self._rules.keep_outputs
            self._left.note(Deleted(run, use.event, is_wanted, whose))

    def tidy_left(self, removed: Container[bytes]) -> None:
        """Forget what deleted runs left and what is gone by now, or a run names again."""

        def stays(_deleted: Deleted, _record: bytes, key: bytes) -> bool:
            is_there = key in self.saved and key not in removed
            return is_there and key not in self._named

        self._left.keep(stays)

    def result(self, *, dry_run: bool) -> Pruned:
        """What goes, in words and numbers."""
        steps: defaultdict[str, list[int]] = defaultdict(list)
        for key in self.outputs:
            steps[self.saved[key].name].append(self.saved[key].size)
        sizes = {name: (len(each), sum(each)) for name, each in steps.items()}
        going = () if self._rules.step is not None else tuple(sorted(self.runs))
        size = sum(size for _, size in sizes.values())
        return Pruned(
            going,
            len(self.outputs),
            size + sum(self.runs[run].size for run in going),
            dict(sorted(sizes.items(), key=lambda item: -item[1][1])),
            dry_run,
            tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        most = self._rules.max_size
        if most is not None and self.size > most:
            yield (
                f"What has to stay takes {amount(self.size)}, more than {amount(most)}:"
                " runs under way, and the latest of each event that keep_runs"
                " (--keep-runs, 1 by default) keeps."
            )


def prune(runs: Runs, rules: Rules, *, dry_run: bool = False) -> Pruned:
    """Remove what goes by ``rules``, beside everybody who uses the store.

    Raises:
        UsageError: there are no rules, or a run that is to go is worked on.
        UnknownRunError: a run that is to go is not there.
        StoreError: the store cannot be read, or refuses.
    """
    rules.check()
    _check_named(runs, rules)
    for _ in range(_SURVEYS):
        survey = Survey(runs, rules)
        found = survey.result(dry_run=dry_run)
        if dry_run:
            return found
        with ExitStack() as held:
            if all(held.enter_context(runs.retiring(run)) for run in found.runs):
                _carry_out(runs, survey, found.runs)
                break
    else:
        raise UsageError(
            "Other processes take up the runs that are to go, again and again: prune"
            " when they are through."
        )
    most = rules.max_size
    if most is None or not (found.runs or found.outputs):
        return found
    # What each output takes is a guess, what the store takes is not.
    fits = size_of(runs.engine.store.url) <= most
    return found if fits else _sum(found, prune(runs, rules))


def _sum(one: Pruned, further: Pruned) -> Pruned:
    """What went in two rounds."""
    steps = dict(one.steps)
    for name, (number, size) in further.steps.items():
        before, bytes_before = steps.get(name, (0, 0))
        steps[name] = before + number, bytes_before + size
    return Pruned(
        tuple(sorted({*one.runs, *further.runs})),
        one.outputs + further.outputs,
        one.bytes + further.bytes,
        steps,
        notes=further.notes,
    )


def _check_named(runs: Runs, rules: Rules) -> None:
    known = runs.engine.ledger.runs() if rules.runs else []
    for run in sorted(rules.runs or ()):
        if run not in known:
            raise UnknownRunError(
                f"There is no run {run!r} in {runs.engine.store.url}."
            )
        if runs.is_worked_on(run):
            raise UsageError(
                f"Run {run} is being worked on: wait for its end, or cancel it first"
                f" (nbflow runs cancel {run})."
            )


def _carry_out(runs: Runs, survey: Survey, going: Sequence[str]) -> None:
    engine = runs.engine
    removed = _remove_outputs(runs, survey, going)
    shared, left = SharedBatches(engine.ledger, going), iter(going)
    while some := list(islice(left, _RUNS_AT_ONCE)):
        for run in some:
            survey.note_left(run, removed)
        with runs.gate.shut():
            shared.set_aside(some)
            for run in some:
                engine.runner.reached("remove")
                for journal in ("gates", "accepted"):
                    engine.ledger.beside(journal).remove(run)
                engine.ledger.remove(run)
    with runs.gate.shut():
        shared.tidy()
    survey.tidy_left(removed)
    engine.ledger.sweep()
    engine.store.give_back()


def _remove_outputs(runs: Runs, survey: Survey, going: Sequence[str]) -> set[bytes]:
    """Delete the outputs that go; returns those that went."""
    engine, left = runs.engine, iter(survey.outputs)
    removed: set[bytes] = set()
    while some := list(islice(left, _AT_ONCE)):
        some = survey.unchanged(some)
        with runs.gate.shut():
            survey.look_again(going)
            engine.runner.reached("remove")
            gone = [key for key in some if key not in survey.needs.keys]
            engine.store.delete(key.hex() for key in gone)
            removed.update(gone)
    return removed
