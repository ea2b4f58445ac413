"""Agreement: how many other models or prompts give the same label, as a confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality.answers import answers_of
from nbflow.quality.matching import matched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow.quality.answers import Answers

#: Runs that can agree.
_LEAST = 2


def agreement(runs: Iterable[Run], *, column: str | None = None) -> pd.Series[float]:
    """How many of the other runs give a record the label that the first one gives it.

    A confidence for the first run: where three models agree, an answer is right far
    more often than where they do not, whatever each says of itself. Take it as
    ``confidence=`` of `review`, `estimate` and `calibrate`.

    Args:
        runs: of the same records, by key; the first is the one that is judged.
        column: the column of the results that holds the labels; by default the only one
            of each run that may hold labels.

    Returns:
        A pandas Series of shares between 0 and 1, by key, named ``agreement``: of the
        other runs that have an answer; ``nan`` where the first or all others have none.
        An answer that two runs have from one checkpoint was given once, and counts once.

    Raises:
        UsageError: there are not two runs, or another one has none of the first one's
            records, or its saved answers.

    Example:
        >>> @nf.step
        ... def first(text):
        ...     return text[0]
        >>> @nf.step
        ... def last(text):
        ...     return text[-1]
        >>> texts = ["aa", "ab", "ba"]
        >>> nf.agreement([first.map(texts), last.map(texts)]).tolist()
        [1.0, 0.0, 0.0]
    """
    import pandas as pd

    given = list(runs) if isinstance(runs, Iterable) else [runs]
    if len(given) < _LEAST or not all(isinstance(one, Run) for one in given):
        raise UsageError(
            "nbflow.agreement takes two runs or more, nf.agreement([run_a, run_b, run_c]); "
            "the first is the one that is judged."
        )
    first, *others = (answers_of(one, column) for one in given)
    said = [_said_beside(first, one) for one in others]
    shares = [
        _share(label, [labels[number] for labels in said if number in labels])
        for number, label in enumerate(first.labels)
    ]
    return pd.Series(shares, index=first.keys, name="agreement", dtype=float)


class _Said(NamedTuple):
    """What another run says of a record, and the checkpoint that it comes from."""

    label: str
    checkpoint: str | None


def _said_beside(first: Answers, other: Answers) -> dict[int, _Said]:
    """The answers of another run, by the number of the record in the first.

    Raises:
        UsageError: it has none of the records, or nothing but the first one's answers.
    """
    answered = [
        record
        for record in matched(first, other, None).records
        if record.other is not None
    ]
    own = first.checkpoints([record.first for record in answered])
    theirs = other.checkpoints([record.second for record in answered])
    found = {
        record.first: _Said(str(record.other), checkpoint)
        for record, mine, checkpoint in zip(answered, own, theirs, strict=True)
        if checkpoint is None or checkpoint != mine
    }
    if answered and not found:
        raise UsageError(
            f"{other.name} has the saved answers of {first.name}, and nobody was asked "
            "twice: the two agree in any case. Take a run of another model or prompt."
        )
    return found


def _share(label: str | None, others: Sequence[_Said]) -> float:
    """Share of the others that say the same; what was saved once counts once."""
    if label is None or not others:
        return math.nan
    once = {one.checkpoint or number: one.label for number, one in enumerate(others)}
    return sum(other == label for other in once.values()) / len(once)
