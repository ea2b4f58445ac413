"""Does the test for a shift of labels cry wolf? Simulated nights in which nothing has changed.

``python -m benchmarks.drift`` prints for each world, and for so many earlier nights, in
how many of 1,000 nights the test of `nbflow.quality.drift` is alarmed, then Fisher's
test and Pearson's chi-squared alone. In the world of copies it knows which records of the
last two nights say the same. The last world has a real shift: there an alarm is right.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nbflow.quality import drift

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Source: TypeAlias = np.random.Generator
    Shares: TypeAlias = NDArray[np.float64]
    Counts: TypeAlias = NDArray[np.int64]
    #: The texts of a night: for each the number of its copies, by label.
    Clusters: TypeAlias = list[dict[str, int]]
    #: Makes nights: a line for each, a column for each label.
    World: TypeAlias = Callable[
        [Source, int, int], Counts | tuple[Counts, list[Clusters]]
    ]

#: Shares of seven labels, of thirty of which few are frequent, and of four of which one
#: is in 1 of 200 records.
SEVEN = np.array([0.196, 0.25, 0.15, 0.12, 0.12, 0.084, 0.08])
THIRTY = 1 / np.arange(1, 31) / (1 / np.arange(1, 31)).sum()
RARE = np.array([0.6, 0.38, 0.015, 0.005])
SIZES = (30, 100, 400, 2000, 10_000)
EARLIER = (1, 3, 7, 14)


def independent(shares: Shares) -> World:
    """Every record by itself."""
    return lambda source, size, nights: source.multinomial(size, shares, nights)


def staying(source: Source, size: int, nights: int) -> Counts:
    """Two of three records are those of the night before, with their labels."""
    new = size // 3
    made = source.multinomial(new, SEVEN, nights + 2)
    return np.array([made[night : night + 3].sum(axis=0) for night in range(nights)])


def varying(source: Source, size: int, nights: int) -> Counts:
    """Nights have shares of their own, and vary five times more than by chance."""
    effect = min(5.0, size / 5)
    shares = source.dirichlet(SEVEN * (size - effect) / (effect - 1), nights)
    return np.array([source.multinomial(size, each) for each in shares])


def bursts(source: Source, size: int, nights: int) -> Counts:
    """The first label comes twenty at a time, as if one failure made twenty people write."""
    together = 20
    times = source.poisson(size * SEVEN[0] / together, nights)
    first = np.minimum(times * together, size)
    others = SEVEN[1:] / SEVEN[1:].sum()
    rest = [source.multinomial(size - each, others) for each in first]
    return np.column_stack([first, rest])


def weeks(source: Source, size: int, nights: int) -> Counts:
    """On two of seven days the first label comes 1.4 times as often."""
    days = (np.arange(nights) + source.integers(7)) % 7
    return _drawn(source, size, np.where(days < 2, np.log(1.4), 0.0))


def swinging(source: Source, size: int, nights: int) -> Counts:
    """The share of the first label swings slowly: each night much like the last one."""
    steps = source.normal(0, 0.15, nights)
    moves = [steps[0]]
    for step in steps[1:]:
        moves.append(0.9 * moves[-1] + np.sqrt(1 - 0.9**2) * step)
    return _drawn(source, size, np.array(moves))


def copied(source: Source, size: int, nights: int) -> tuple[Counts, list[Clusters]]:
    """One text of twenty comes 5 to 40 times in one night; whose copies, of each night, beside the counts."""
    clusters = [_copies(source, size) for _ in range(nights)]
    counts = np.zeros((nights, len(SEVEN)), int)
    for place, night_of in enumerate(clusters):
        for each in night_of:
            for label, number in each.items():
                counts[place, int(label)] += number
    return counts, clusters


def _copies(source: Source, size: int) -> Clusters:
    made: Clusters = []
    left = size
    while left:
        together = int(source.integers(5, 41)) if source.random() < 1 / 20 else 1
        together = min(together, left)
        made.append({str(source.choice(len(SEVEN), p=SEVEN)): together})
        left -= together
    return made


def shifting(source: Source, size: int, nights: int) -> Counts:
    """In the last night the first label goes from 19.6 % to 31.2 %."""
    moves = np.zeros(nights)
    moves[-1] = np.log((0.312 / 0.688) / (0.196 / 0.804))
    return _drawn(source, size, moves)


def _drawn(source: Source, size: int, moves: NDArray[np.float64]) -> Counts:
    """Nights in which the first label is more or less frequent: by the logarithm of its odds."""
    shares = np.tile(SEVEN, (len(moves), 1))
    shares[:, 0] *= np.exp(moves)
    shares /= shares.sum(axis=1, keepdims=True)
    return np.array([source.multinomial(size, each) for each in shares])


WORLDS: dict[str, World] = {
    "independent, 7 labels": independent(SEVEN),
    "independent, 30 labels": independent(THIRTY),
    "independent, rare labels": independent(RARE),
    "two of three records stay": staying,
    "nights vary, effect 5": varying,
    "bursts of 20": bursts,
    "two days a week differ": weeks,
    "a slow swing": swinging,
    "copies come together": copied,
    "19.6 % to 31.2 %": shifting,
}


def night(counts: Counts) -> dict[str, int]:
    """One night as the test takes it."""
    return {str(label): int(number) for label, number in enumerate(counts) if number}


def is_alarmed(made: Counts | tuple[Counts, list[Clusters]]) -> bool:
    """Whether the test calls the last of these nights shifted."""
    counts, clusters = made if isinstance(made, tuple) else (made, [])
    *earlier, now = map(night, counts)
    both = (clusters[-2], clusters[-1]) if clusters else ((), ())
    return bool(drift.most_shifted(drift.shifts([earlier], now, both))[0].is_rare)


def is_alarmed_by_pearson(nights: Counts) -> bool:
    """The same by Pearson's chi-squared test of the last two."""
    from scipy.stats import chi2_contingency

    two = nights[-2:]
    two = two[:, two.sum(axis=0) > 0]
    return two.shape[1] > 1 and chi2_contingency(two).pvalue < drift.RARE


def alarms(world: World, size: int, earlier: int, *, nights: int) -> tuple[int, ...]:
    """In how many nights this test, Fisher's and Pearson's are alarmed."""
    source = np.random.default_rng([size, earlier])
    found = np.zeros(3, int)
    for _ in range(nights):
        made = world(source, size, earlier + 1)
        counts = made[0] if isinstance(made, tuple) else made
        found += (
            is_alarmed(made),
            is_alarmed(counts[-2:]),
            is_alarmed_by_pearson(counts),
        )
    return tuple(map(int, found))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift")
    parser.add_argument("--nights", type=int, default=1000, help="simulated nights")
    nights = parser.parse_args().nights
    print(f"alarms in {nights:,} nights: nbflow / Fisher alone / Pearson")
    heads = "".join(f"{f'{each} earlier':>22}" for each in EARLIER)
    print(f"{'':28}{'records':>8}{heads}")
    for name, world in WORLDS.items():
        for size in SIZES:
            cells = [alarms(world, size, each, nights=nights) for each in EARLIER]
            shown = "".join(f"{' / '.join(map(str, cell)):>22}" for cell in cells)
            print(f"{name:28}{size:>8,}{shown}", flush=True)


if __name__ == "__main__":
    main()
