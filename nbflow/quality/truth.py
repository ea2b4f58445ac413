"""Truth: the true labels of records, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.label import text_of
from nbflow._run.batch import Batch, key_text
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbflow.quality.answers import Answers

NOTHING_REVISED: Mapping[int, str] = MappingProxyType({})


class Truth(NamedTuple):
    """True labels.

    Attributes:
        labels: one for each record; ``None`` where it is not known.
        where: they come from, in words; empty if there are none.
        looked_at: the numbers of the records whose label only a review says.
        revised: what people decided on records that have a true label all the same.
    """

    labels: list[str | None]
    where: str
    looked_at: frozenset[int] = frozenset()
    revised: Mapping[int, str] = NOTHING_REVISED


def truths_of(answers: Answers, truth: object) -> Truth:
    """The true label of each record.

    What people decided stands where a column says nothing. Where it says something, the
    column stands: people look at records on which a model differs from it, and a truth
    that is corrected there alone comes nearer to the model. What they decided takes its
    place where they decided all of them. Labels that are handed over are taken as they
    are.

    Args:
        answers: the records, and what people decided about them.
        truth: the name of a column, labels one for each row, or ``{key: label}``;
            ``None``: only what people decided.

    Raises:
        UsageError: which label belongs to which record is not known.
    """
    if truth is None:
        nothing: list[str | None] = [None] * len(answers.keys)
        return _corrected(answers, nothing, "")
    if isinstance(truth, str):
        return _corrected(answers, answers.column(truth), f"column {truth!r}")
    if isinstance(truth, Mapping):
        if not truth:
            raise UsageError(
                "truth= is empty: give {key: label}, with the keys of the records, such as "
                f"{next(iter(answers.keys), '')!r}; left out, what people decided is the "
                "truth."
            )
        return Truth(_by_key(answers, truth.items()), "the labels given by key")
    where = str(getattr(truth, "name", None) or "the labels given")
    batch = Batch(truth, values=True)
    given = [row.record for row in batch.rows()]
    if batch.labels is not None and sorted(batch.labels) == sorted(answers.keys):
        # The index holds the keys: the labels may stand in whatever order.
        by_key = zip(batch.labels, given, strict=True)
        return Truth(_by_key(answers, by_key), where)
    return Truth(_by_row(answers, given), where)


def name_of(truth: object) -> str | None:
    """What the true labels are called: their column, or a Series by its own name."""
    name = truth if isinstance(truth, str) else getattr(truth, "name", None)
    return name if isinstance(name, str) else None


def _corrected(answers: Answers, labels: Sequence[object], where: str) -> Truth:
    """Labels of a column, or none, with those that people decided in a review."""
    given = [text_of(label) for label in labels]
    people = {number: str(one.label) for number, one in answers.decided.items()}
    only = frozenset(number for number in people if given[number] is None)
    revised = {number: label for number, label in people.items() if number not in only}
    known = sum(label is not None for label in given)
    is_complete = bool(known) and len(revised) == known
    taken = people if is_complete else {number: people[number] for number in only}
    said = [taken.get(number, label) for number, label in enumerate(given)]
    if taken and where:
        where = f"{where}, {len(taken):,} of them as people decided"
    elif taken:
        where = "what people decided"
    return Truth(said, where, only, {} if is_complete else revised)


def _by_key(
    answers: Answers,
    given: Iterable[tuple[object, object]],
) -> list[str | None]:
    labels = {key_text(key): label for key, label in given}
    return [text_of(labels.get(key)) for key in answers.keys]


def _by_row(answers: Answers, given: Sequence[object]) -> list[str | None]:
    if len(given) != len(answers.places):
        raise UsageError(
            f"truth= has {len(given):,} labels and there are "
            f"{len(answers.places):,} rows: give one for each row, in their order, "
            "or {key: label}."
        )
    # Of a record that stands in several rows the first one counts.
    labels = dict(zip(reversed(answers.places), reversed(given), strict=True))
    return [text_of(labels[number]) for number in range(len(answers.keys))]
