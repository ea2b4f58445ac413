"""Metrics: figures of classification, each with the range that chance leaves open.

Accuracy, precision, recall and F1 of a label are shares of records and have exact
intervals (`intervals`). Kappa and macro F1 are no shares: their variance is that of the
mean of their influence, what one record more would change (the delta method; of kappa
Fleiss, Cohen and Everitt 1969), and the exact interval of a share at the size that has
this variance keeps its width where nothing is wrong.

Scores are over the labels of the taxonomy: an answer outside of it is wrong, and makes
no class of its own (a macro F1 that averages over such classes punishes one stray
answer in a thousand with a class that no model can get right).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbflow.quality.copies import copies
from nbflow.quality.intervals import UNDEFINED, Interval, at_size, f1, student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.quality.copies import Copies
    from nbflow.quality.intervals import Floats

#: Records by which the answers to a label lean towards those to all labels, where few
#: are known of it. With two, intervals of macro F1 hold what they say over 2 to 30
#: labels (tests/quality/test_coverage.py).
_LEAN = 2.0
#: Records added to each label, so that one that did not occur may occur.
_UNSEEN = 0.5


#: Labels over which a macro F1 loses a record for each.
_MANY = 30
#: How many times as good as an accuracy of as many records a figure may be known.
_MOST = 4


class Scores(NamedTuple):
    """What one set of answers is worth.

    Attributes:
        accuracy: share of the answers that are right.
        macro_f1: mean F1 of the labels that occur.
        kappa: Cohen's: agreement beyond what chance would give.
        precision: by label.
        recall: by label.
        f1: by label.
    """

    accuracy: Interval
    macro_f1: Interval
    kappa: Interval
    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]
    f1: tuple[Interval, ...]

    def alone(self) -> Scores:
        """The figures without their intervals."""
        accuracy, macro, kappa, *by_label = self
        precision, recall, f1 = (
            tuple(one.alone() for one in label) for label in by_label
        )
        return Scores(
            accuracy.alone(), macro.alone(), kappa.alone(), precision, recall, f1
        )


def scores(
    truth: Sequence[str],
    said: Sequence[str],
    labels: Sequence[str],
    alike: Copies | None = None,
) -> Scores:
    """The scores of ``said`` over ``labels``, which hold every true label.

    By the definitions of scikit-learn: of a label with t records, s answers and h both,
    precision is h/s, recall h/t, F1 2h/(s+t).

    Args:
        truth: a true label for each record.
        said: the answer to each.
        labels: the taxonomy.
        alike: which records tell one thing; none when left out.
    """
    import numpy as np

    alike = copies(range(len(truth))) if alike is None else alike
    table = counted(truth, said, labels, alike)
    codes = {label: code for code, label in enumerate(labels)}
    true = np.array([codes[label] for label in truth])
    given = np.array([codes.get(label, len(codes)) for label in said])
    right, everything = true == given, np.ones(len(true), dtype=bool)
    of_label = [(true == code, given == code) for code in codes.values()]
    return Scores(
        accuracy=alike.share(right, everything),
        macro_f1=macro_f1(table),
        kappa=kappa(table),
        precision=tuple(alike.share(right, said) for _, said in of_label),
        recall=tuple(alike.share(right, meant) for meant, _ in of_label),
        f1=tuple(f1(alike.share(right, meant | said)) for meant, said in of_label),
    )


def counted(
    truth: Sequence[str], said: Sequence[str], labels: Sequence[str], alike: Copies
) -> Floats:
    """Records by true label (rows) and given label; outside of them in a last column.

    They are as many as independent records that would tell as much.
    """
    import numpy as np

    codes = {label: code for code, label in enumerate(labels)}
    rows = [codes[label] for label in truth]
    columns = [codes.get(label, len(codes)) for label in said]
    table = np.zeros((len(codes), len(codes) + 1))
    np.add.at(table, (rows, columns), alike.weights)
    if alike.is_plain:
        return table
    scaled: Floats = table * (alike.worth(np.ones(len(rows))) / table.sum())
    return scaled


def kappa(table: Floats) -> Interval:
    """Cohen's kappa: (a - e)/(1 - e) with accuracy a and chance agreement e.

    The interval is that of an accuracy with the same variance, on kappa's scale.

    Args:
        table: records by true and given label, as `counted` has them.
    """
    import numpy as np

    total = float(table.sum())
    expected = _chance(table / total)
    if expected >= 1:
        # With one label chance agrees always as well: kappa is 0 / 0.
        return UNDEFINED
    shares = _one_error_more(table)
    right, chance = float(shares.trace()), _chance(shares)
    true, given = shares.sum(axis=1), shares.sum(axis=0)
    hit = np.eye(*table.shape)
    met = np.append(true, 0.0)[None, :] + given[:-1, None] - 2 * chance
    influence = (hit - right) - (1 - right) / (1 - chance) * met
    variance = float((shares * influence**2).sum() / total)
    # Of few records the variance itself is known badly, and comes out too small.
    loss = student(total - 1) * total / max(total - 2, 1)
    size = _size(right, variance * loss**2, total)
    accuracy = float(table.trace() / total)
    return Interval(
        *((one - expected) / (1 - expected) for one in at_size(accuracy, size))
    )


def _chance(shares: Floats) -> float:
    """How often two who choose blindly, with these shares of labels, agree."""
    return float(shares.sum(axis=1) @ shares.sum(axis=0)[:-1])


def _one_error_more(table: Floats) -> Floats:
    """Shares after one more record that is wrong, in each way that chance would make one.

    Without it nothing is known about the mistakes of who made none.
    """
    import numpy as np

    total = table.sum()
    wrong = np.outer(table.sum(axis=1), table.sum(axis=0))
    np.fill_diagonal(wrong, 0)
    if not wrong.sum():
        # One label alone was given and true: its mistakes lie outside.
        wrong[:, -1] = table.sum(axis=1)
    shares: Floats = (table + wrong / wrong.sum()) / (total + 1)
    return shares


def macro_f1(table: Floats) -> Interval:
    """Mean F1 of the labels that occur.

    With few records a label, the mean of what occurred is too low and its spread hidden:
    the interval lies around the mean of a `_smoothed` table. It always holds the value.

    Args:
        table: records by true and given label, as `counted` has them.
    """
    import numpy as np

    true, given = table.sum(axis=1), table.sum(axis=0)[:-1]
    occurs = true + given > 0
    value = float((2 * table.diagonal()[occurs] / (true + given)[occurs]).mean())
    shares = _smoothed(table)
    both = shares.sum(axis=1) + shares.sum(axis=0)[:-1]
    each = 2 * shares.diagonal() / both
    middle, weight = float(each.mean()), 1 / (both * len(both))
    influence = -(each * weight)[:, None] - np.append(each * weight, 0.0)[None, :]
    influence[np.diag_indices(len(both))] += 2 * weight
    variance = float((shares * influence**2).sum() / table.sum())
    variance *= 1 + _scattered(true) / table.sum()
    _, low, high = at_size(middle, _size(middle, variance, table.sum()))
    return Interval(value, min(low, value), max(high, value))


def _scattered(true: Floats) -> float:
    """Records that a macro F1 loses since each label has few, by the evenness of labels.

    Simulation shows that its variance is too small by about 30 in ``n`` over 30 labels that
    are equally frequent, and hardly over ten.
    """
    met = true[true > 0]
    if not len(met):
        return 0.0
    even = met.sum() ** 2 / (met**2).sum() / len(true)
    return float(even * len(met) ** 2 / _MANY)


def _size(share: float, variance: float, total: float) -> float:
    """The number of records from which a share would have this variance.

    A figure that these records leave no room, such as the kappa of one and the same
    answer, is not known to the last digit for that.
    """
    return min(share * (1 - share) / max(variance, 1e-12), _MOST * total)


def _smoothed(table: Floats) -> Floats:
    """Shares of records in which a label of few records resembles the others.

    The answers to a label lean by a few records towards those to all: right as often,
    and wrong in the way of all (shrinkage as by a Dirichlet prior around the pooled
    rates; Agresti, *Categorical Data Analysis*, section 3.6).
    """
    import numpy as np

    many, total = len(table), table.sum()
    true, given = table.sum(axis=1), table.sum(axis=0)
    right = (table.trace() + 0.5) / (total + 1)
    common = np.tile(np.append(true + given[:-1] + 1, given[-1]), (many, 1))
    np.fill_diagonal(common, 0)
    if many == 1:
        common[:, -1] = 1
    common *= (1 - right) / common.sum(axis=1, keepdims=True)
    np.fill_diagonal(common, right)
    rows = (table + _LEAN * common) / (true + _LEAN)[:, None]
    shares = (true + _UNSEEN) / (total + _UNSEEN * many)
    smoothed: Floats = shares[:, None] * rows
    return smoothed
