"""Revised: what people decided on records that have a true label already.

People look at records on which a model and its truth differ. A truth that is corrected
on those alone comes nearer to the model, never further from it: so both figures stand
beside each other, and are not mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.plural import several
from nbflow.quality.intervals import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Revised(NamedTuple):
    """The accuracy with what people decided in the place of the true labels.

    Attributes:
        decided: records with a true label that people decided as well.
        differing: those on which they decided otherwise.
        records: that the figures count.
        accuracy: share of the answers that are right by what people decided, where they
            decided, and by the true labels elsewhere.
        call: that draws a sample of the run.
    """

    decided: int
    differing: int
    records: int
    accuracy: float
    call: str = "nf.review(run, sample=200)"

    @property
    def words(self) -> str:
        """Of how many records people decided."""
        return f"people decided {self.decided:,} of {self.records:,}"

    @property
    def sentence(self) -> str:
        """That there are two figures, and what the second one is not."""
        said = f"People decided {self.decided:,} of these {several(self.records, 'record')}"
        if not self.differing:
            return f"{said}, all as the true labels say."
        return (
            f"{said}, {self.differing:,} of them otherwise than the true labels say: with "
            f"that in their place, accuracy is {percent(self.accuracy)}. It is corrected "
            "only where they looked, so neither figure is that by people of the whole run: "
            f"{self.call}, then nf.estimate(run)."
        )


def revised(
    scored: Iterable[tuple[int, str, str]], decided: Mapping[int, str], call: str
) -> Revised | None:
    """The second figure; ``None`` if people decided on none of these records.

    Args:
        scored: number, true label and answer of each record that the figures count.
        decided: what people decided, by number.
        call: that draws a sample of the run.
    """
    records = list(scored)
    true = {number: label for number, label, _ in records if number in decided}
    if not true:
        return None
    right = sum(decided.get(number, label) == said for number, label, said in records)
    return Revised(
        decided=len(true),
        differing=sum(decided[number] != label for number, label in true.items()),
        records=len(records),
        accuracy=right / len(records),
        call=call,
    )
