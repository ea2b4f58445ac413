"""Matching: the records that two sets of answers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._run.differences import pairing
from nbflow.errors import UsageError
from nbflow.quality.truth import NOTHING_REVISED, truths_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow.quality.answers import Answers


class CommonRecord(NamedTuple):
    """One record that both have.

    Attributes:
        first: its number in the first.
        second: its number in the second.
        label: what the first says about it; ``None`` if it has no answer.
        other: what the second says.
        true: the true label; ``None`` where it is not known.
    """

    first: int
    second: int
    label: str | None
    other: str | None
    true: str | None


class Matching(NamedTuple):
    """The records of two sets of answers.

    Attributes:
        records: those that both have.
        alone: how many only the first has, and only the second.
        truth: in words, where the true labels come from; empty if there are none.
        looked_at: the numbers, in the first, of records whose label only a review says.
        revised: what people decided on records that have a true label all the same, by
            their numbers in the first.
    """

    records: list[CommonRecord]
    alone: tuple[int, int]
    truth: str
    looked_at: frozenset[int] = frozenset()
    revised: Mapping[int, str] = NOTHING_REVISED


def matched(one: Answers, two: Answers, truth: object) -> Matching:
    """The records that both have, by their keys, with their true labels.

    Raises:
        UsageError: they have none in common.
    """
    pairs = pairing(one.keys, two.keys)
    under_one_key = list(pairs.both.values())
    both = [numbers for numbers in under_one_key if _same(one, two, *numbers)]
    strangers = len(under_one_key) - len(both)
    if not both:
        said = "have no key in common"
        if strangers:
            said = "say different things under the same keys"
        raise UsageError(
            f"{one.name} and {two.name} are not labels of the same records: the two "
            f"{said}. Send both with the same key=."
        )
    _share_decisions(one, two, both)
    true, where, only, revised = truths_of(one, truth)
    records = [
        CommonRecord(
            first=first,
            second=second,
            label=one.labels[first],
            other=two.labels[second],
            true=true[first],
        )
        for first, second in both
    ]
    only_first = len(pairs.first) + strangers
    only_second = len(pairs.second) + strangers
    return Matching(records, (only_first, only_second), where, only, revised)


def _same(one: Answers, two: Answers, first: int, second: int) -> bool:
    """Whether a key means one record in both.

    Places identify records only if their contents are equal; two columns of one frame
    have nothing else in common.
    """
    if one.named and two.named:
        return True
    if not one.flow or not two.flow:
        return True
    if one.rows is None or two.rows is None:
        return True
    return one.rows[first].digest == two.rows[second].digest


def _share_decisions(one: Answers, two: Answers, both: list[tuple[int, int]]) -> None:
    """Give the first what people decided looking at the second.

    Of two decisions about one record the later one counts.
    """
    for first, second in both:
        mine = one.decided.get(first)
        theirs = two.decided.get(second)
        if theirs is not None and (mine is None or mine.at < theirs.at):
            one.decided[first] = theirs
