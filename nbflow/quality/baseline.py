"""Baseline: which earlier runs later ones are compared with.

A run is one if it met its gates, or if somebody accepted it. One that missed a gate, or
that no gate could judge, is none: or the same job, tried again, would be compared with
itself, and a shift would be normal by happening twice. Control charts do the same, which
leave out of their limits what was out of control (phase I in Montgomery, *Introduction
to Statistical Quality Control*, 7th edition, 2013), and so do the alarms of
epidemiologists, in whose baseline a past outbreak would hide the next one (Farrington,
Andrews, Beale and Catchpole, *A statistical algorithm for the early detection of
outbreaks of infectious disease*, JRSS A 159, 1996).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.entry import Closed, Remark
from nbflow._run.person import user
from nbflow._run.run import Run
from nbflow._run.runs import runs_of
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nbflow._core.entry import Entry
    from nbflow._store.ledger import Ledger

#: Runs that came to their end: the first records of one that did not are no sample.
_WHOLE = ("COMPLETED", "PARTIAL")


class Acceptance(NamedTuple):
    """That somebody accepted the labels of a run.

    Attributes:
        run: its id.
        by: who.
        why: in their words.
        at: when, in seconds since the epoch.
    """

    run: str
    by: str
    why: str
    at: float

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"Run {self.run} is accepted by {self.by}{why}."


def accept(run: Run, why: str = "", *, by: str | None = None) -> Acceptance:
    """Accept the labels of a run: later runs of its event are compared with it.

    The gates of ``nbflow run --gate`` compare with the last run that met its gates, or
    that was accepted. So a shift that is right (a new product, a better prompt) is
    accepted once, and is normal from then on.

    Args:
        run: which one; it has to have come to its end.
        why: it is right; later gates say it.
        by: who accepts it; left out, the user of this computer.

    Returns:
        What is kept, which prints as a sentence.

    Raises:
        UsageError: it is no run, it did not come to its end, or what is said is no text.
        StoreError: it cannot be kept.

    Example:
        >>> @nf.step
        ... def label(text):
        ...     return "billing" if "pay" in text else "other"
        >>> run = label.map(["I paid twice", "Hello"])
        >>> _ = nf.accept(run, "refunds are billing now")
    """
    if not isinstance(run, Run):
        raise UsageError(
            f"nbflow.accept takes a run (of send, map or open_run), not {type(run).__name__}."
        )
    _check_text(why, "why", "new product")
    _check_text(by or "", "by", "ann")
    if run.state not in _WHOLE:
        todo = "Wait for its end" if run.state == "RUNNING" else "Send the batch again"
        raise UsageError(
            f"Run {run.id} is {run.state}: its labels are not those of all records. "
            f"{todo}, and accept it then."
        )
    who = " ".join((by or user()).split())
    found = Acceptance(run.id, who, why.strip(), run.engine.clock.time())
    said = Remark(found.at, f"{found.by}\n{found.why}")
    _accepted(run.engine.ledger).append(run.id, [said])
    return found


def _check_text(given: object, argument: str, example: str) -> None:
    """Refuse what is no text.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(given, str):
        raise UsageError(
            f'{argument}={given!r} has to be a text, such as {argument}="{example}".'
        )


def note(run: Run, missed: str) -> None:
    """Keep what became of the gates of a run.

    Args:
        run: which one.
        missed: why it missed gates, or could not be judged; empty if it met them all.

    Raises:
        StoreError: it cannot be kept.
    """
    journal = _judged(run.engine.ledger)
    last = _last(journal, run.id)
    if last is None or last.text != missed:
        journal.append(run.id, [Remark(run.engine.clock.time(), missed)])


def acceptance(ledger: Ledger, run: str) -> Acceptance | None:
    """Who accepted a run, and why; ``None`` if nobody did, or it missed a gate since."""
    said, judged = _last(_accepted(ledger), run), _last(_judged(ledger), run)
    if said is None or (judged is not None and judged.text and judged.at > said.at):
        return None
    by, _, why = said.text.partition("\n")
    return Acceptance(run, by, why, said.at)


def baselines(
    ledger: Ledger, event: str, before: str, without: Collection[str]
) -> Iterator[str]:
    """The runs of an event that one may be compared with, the last one first.

    Runs without a gate count as long as there was none: from the first run on that a
    gate judged, or somebody accepted, only those count that met their gates or were
    accepted. So nobody's trial in a notebook is what tonight is compared with.

    Args:
        ledger: of the store.
        event: whose runs.
        before: the run that is compared.
        without: runs that are left out.
    """
    judged, accepted = set(_judged(ledger).runs()), set(_accepted(ledger).runs())
    first = min(judged | accepted, default=before)
    names = [one for one in ledger.runs() if one < before and one not in without]
    not_judged: list[str] = []
    for name, entries in runs_of(ledger, event, names):
        if name in judged or name in accepted:
            not_judged.clear()
            if _is_good(ledger, name, entries):
                yield name
        elif _is_whole(entries):
            not_judged.append(name)
        if name < first:
            # No run before it was judged: those that wait count.
            yield from not_judged
            not_judged.clear()
    yield from not_judged


def _is_good(ledger: Ledger, run: str, entries: Sequence[Entry]) -> bool:
    """Whether a run was accepted, or met its gates."""
    if acceptance(ledger, run) is not None:
        return True
    last = _last(_judged(ledger), run)
    return last is not None and not last.text and _is_whole(entries)


def _is_whole(entries: Sequence[Entry]) -> bool:
    ends = [entry for entry in entries if isinstance(entry, Closed)]
    return bool(ends) and ends[-1].state in _WHOLE


def _judged(ledger: Ledger) -> Ledger:
    return ledger.beside("gates")


def _accepted(ledger: Ledger) -> Ledger:
    return ledger.beside("accepted")


def _last(journal: Ledger, run: str) -> Remark | None:
    """What was noted last of a run."""
    entries = journal.ends(run)
    last = entries[-1] if entries else None
    return last if isinstance(last, Remark) else None
