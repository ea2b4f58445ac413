"""How often the intervals of quality hold the truth, and how wide they are.

Run ``python -m benchmarks.coverage [--draws N]``; 2,000 draws take minutes. The tests
run the same with few draws.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nbflow.quality.intervals import difference, proportion
from nbflow.quality.metrics import kappa, macro_f1

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.quality.intervals import Floats, Interval

SIZES = (30, 50, 100, 200, 500)
#: Accuracy of both, and share that both have right.
PAIRS = ((0.95, 0.97, 0.925), (0.7, 0.75, 0.6), (0.9, 0.9, 0.85), (0.98, 0.99, 0.975))


class Covered(NamedTuple):
    """How often intervals hold the truth, how wide they are, and how far off figures."""

    share: float
    width: float
    bias: float

    def __str__(self) -> str:
        return f"{self.share:6.1%}  wide {self.width:.3f}  bias {self.bias:+.3f}"


def covered(found: Iterable[Interval], truth: float) -> Covered:
    """Coverage of one true figure."""
    values, lows, highs = np.array(list(found)).T
    held = (lows <= truth + 1e-9) & (truth - 1e-9 <= highs)
    return Covered(
        float(held.mean()), float((highs - lows).mean()), float(values.mean() - truth)
    )


def of_accuracy(accuracy: float, size: int) -> float:
    """Coverage of an accuracy, exactly: each number of hits by its chance."""
    hits = np.arange(size + 1)
    found = [proportion(int(hit), size) for hit in hits]
    held = [one.low <= accuracy + 1e-9 and accuracy - 1e-9 <= one.high for one in found]
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, size + 1)))])
    chances = logs[size] - logs[hits] - logs[size - hits]
    chances += hits * np.log(accuracy) + (size - hits) * np.log1p(-accuracy)
    return float(np.exp(chances)[held].sum())


def of_difference(
    pair: tuple[float, float, float], size: int, draws: int, seed: int = 0
) -> Covered:
    """Coverage of the difference of two accuracies on the same records."""
    one, two, both = pair
    cells = [one - both, two - both, 1 - one - two + both]
    drawn = np.random.default_rng(seed).multinomial(size, cells, draws)
    found = (difference(int(first), int(second), size) for first, second, _ in drawn)
    return covered(found, two - one)


class Model(NamedTuple):
    """A stated model: so many labels, so often right.

    Attributes:
        labels: how many.
        accuracy: of all answers.
        skewed: whether label k is 1/k as frequent as the first; else all are alike.
        uneven: whether some labels are harder, each mixed up in a way of its own; else
            mistakes fall as the labels do.
    """

    labels: int
    accuracy: float
    skewed: bool
    uneven: bool

    def table(self) -> Floats:
        """Chances of (true, given) labels; nothing lies outside of them."""
        chance = np.random.default_rng(1)
        many = self.labels
        shares = 1 / np.arange(1, many + 1) if self.skewed else np.ones(many)
        shares /= shares.sum()
        right = np.full(many, self.accuracy)
        if self.uneven:
            spread = 0.9 * (1 - self.accuracy) * np.linspace(1, -1, many)
            right = chance.permutation(self.accuracy + spread)
            right = np.clip(right + self.accuracy - shares @ right, 0.02, 0.999)
        wrong = np.tile(shares, (many, 1))
        if self.uneven:
            wrong = chance.dirichlet(np.ones(many), many)
        np.fill_diagonal(wrong, 0)
        wrong *= ((1 - right) / wrong.sum(axis=1))[:, None]
        np.fill_diagonal(wrong, right)
        return np.column_stack([shares[:, None] * wrong, np.zeros(many)])


MODELS = [
    Model(labels, accuracy, skewed, uneven)
    for labels in (2, 5, 10, 30)
    for accuracy in (0.7, 0.9, 0.97)
    for skewed in (False, True)
    for uneven in (False, True)
]


def of_model(
    model: Model, size: int, draws: int, seed: int = 0
) -> tuple[Covered, Covered]:
    """Coverage of kappa and of macro F1."""
    table = model.table()
    true, given = table.sum(axis=1), table.sum(axis=0)[:-1]
    chance = true @ given
    drawn = np.random.default_rng(seed).multinomial(size, table.ravel(), draws)
    tables = drawn.reshape(draws, *table.shape).astype(float)
    return (
        covered(map(kappa, tables), (table.trace() - chance) / (1 - chance)),
        covered(map(macro_f1, tables), (2 * table.diagonal() / (true + given)).mean()),
    )


def lines(draws: int) -> Iterator[str]:
    """The table, line by line."""
    for accuracy in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99):
        shares = [f"{of_accuracy(accuracy, size):6.1%}" for size in SIZES]
        yield f"accuracy {accuracy}, n = {SIZES}: {' '.join(shares)}"
    for pair in PAIRS:
        for size in SIZES:
            found = of_difference(pair, size, draws)
            yield f"difference of {pair[0]} and {pair[1]}, n = {size}: {found}"
    for model in MODELS:
        for size in SIZES:
            of_kappa, of_f1 = of_model(model, size, draws)
            yield f"{model}, n = {size}: kappa {of_kappa}; macro F1 {of_f1}"


def main() -> None:
    """Read the command line and simulate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage")
    parser.add_argument("--draws", type=int, default=2000)
    for line in lines(parser.parse_args().draws):
        print(line, flush=True)


if __name__ == "__main__":
    main()
