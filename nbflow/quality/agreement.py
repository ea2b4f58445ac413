"""Agreement: how many other models or prompts give the same label, as a confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbflow._run.run import Run
from nbflow.errors import UsageError
from nbflow.quality.answers import answers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


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

    Raises:
        UsageError: there are not two runs, or the first shares no record with another.

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
    said = [dict(zip(one.keys, one.labels, strict=True)) for one in others]
    for one, labels in zip(others, said, strict=True):
        if not labels.keys() & set(first.keys):
            raise UsageError(
                f"{first.name} and {one.name} have no key in common: send both with the "
                "same key=."
            )
    shares = [
        _share(label, [labels.get(key) for labels in said])
        for key, label in zip(first.keys, first.labels, strict=True)
    ]
    return pd.Series(shares, index=first.keys, name="agreement", dtype=float)


def _share(label: str | None, others: Sequence[str | None]) -> float:
    """Share of the others that say the same."""
    answered = [other for other in others if other is not None]
    if label is None or not answered:
        return math.nan
    return sum(other == label for other in answered) / len(answered)
