"""How often the intervals of quality hold the truth, and how wide they are.

Run ``python -m benchmarks.coverage [--draws N]``; 2,000 draws take minutes. The tests
run the same with few draws.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nbflow._core.sample import DIGEST_BYTES
from nbflow.quality.comparison import paired
from nbflow.quality.copies import copies as of_copies
from nbflow.quality.copies import drawn
from nbflow.quality.estimation import Frame, Seen
from nbflow.quality.intervals import at_size, difference, proportion
from nbflow.quality.matching import CommonRecord
from nbflow.quality.metrics import kappa, macro_f1, scores
from nbflow.quality.sampling import LEAST, Unit, shuffled, strata_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow.quality.copies import Copies
    from nbflow.quality.estimation import Stratum
    from nbflow.quality.intervals import Floats, Interval

DATA = Path(__file__).parent.parent / "tests" / "data" / "cfpb_answers.csv"
#: The true labels of the complaints.
LETTERS = "crdmb"
#: Recorded models, and the place of their answers.
NAMES = {
    "gpt-4o": 0,
    "gpt-4o-mini": 1,
    "claude-3-5-haiku": 3,
    "deepseek-chat": 4,
    "gemini-2.0-flash": 5,
    "gemini-2.0-flash-lite": 6,
    "claude-3-7-sonnet": 9,
    "gpt-4.5-preview": 10,
    "o1": 11,
}
ESTIMATED = ("gpt-4o-mini", "gpt-4o", "claude-3-7-sonnet", "gpt-4.5-preview", "o1")
#: Those whose texts have copies, a bad and a good one.
WITH_COPIES = ("gpt-4o-mini", "o1")
#: Cheap models whose agreement is a confidence.
HELPERS = (
    "gpt-4o-mini",
    "claude-3-5-haiku",
    "gemini-2.0-flash",
    "gemini-2.0-flash-lite",
    "deepseek-chat",
)
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


#: Records that look like the text in each place, by the name of the population.
COPIES = ("none", "ten", "many")
#: Groups of records, and their shares: copies of one text are spread over them.
GROUPS = (0.4, 0.3, 0.2, 0.1)


class Complaints(NamedTuple):
    """What a recorded model said of complaints, and what is true.

    Attributes:
        given: a letter each.
        true: a letter each.
        strata: the given label with the third of its confidence, see `strata_of`.
        copies: records that look like each.
        groups: how many of these are in each group.
        chances: how likely each is to be drawn, next to the others.
    """

    given: str
    true: str
    strata: dict[bytes, Stratum]
    copies: Floats
    groups: Floats
    chances: Floats

    @property
    def figures(self) -> dict[str, float]:
        """Accuracy, and the share of each label."""
        return self.figures_of(self.copies)

    def figures_of(self, copies: Floats) -> dict[str, float]:
        """The same of a part of the records."""
        right = np.array([*map(eq, self.given, self.true)])
        shares = {
            label: float(copies @ np.array([one == label for one in self.true]))
            for label in LETTERS
        }
        found = {"accuracy": float(copies @ right)} | shares
        return {name: one / copies.sum() for name, one in found.items()}

    def order(self, seed: int) -> list[int]:
        """The numbers of the texts in order of drawing."""
        sizes = {
            content: int(self.chances[int.from_bytes(content)])
            for content in self.strata
        }
        return [int.from_bytes(one) for one in shuffled(self.strata, sizes, seed)]


def complaints(model: str, *, confidence: bool, copies: str = "none") -> Complaints:
    """A recorded model; its confidence, if it is to have one, is how many others agree.

    Args:
        model: whose answers.
        confidence: whether it has one.
        copies: ``"none"``; ``"ten"``, one to ten of each text; ``"many"``, heavy-tailed:
            one text that the model has wrong stands in 64 records, most in one or two.
    """
    rows = [line.split(",") for line in DATA.read_text().splitlines()[1:]]
    answers = [answer for _, _, answer in rows]
    given = "".join(answer[NAMES[model]] for answer in answers)
    true = "".join(label for _, label, _ in rows)
    helpers = [NAMES[other] for other in HELPERS if other != model][:4]
    sure = [
        sum(answer[at] == own for at in helpers) if confidence else 0
        for answer, own in zip(answers, given, strict=True)
    ]
    units = [
        Unit(number.to_bytes(DIGEST_BYTES), [number]) for number in range(len(rows))
    ]
    strata = strata_by(units, given, [float(one) for one in sure])
    chance = np.random.default_rng(0)
    many = _copies(copies, [*map(eq, given, true)], chance)
    groups = chance.multinomial(many.astype(int), GROUPS)
    return Complaints(given, true, strata, many, groups, many)


def _copies(kind: str, right: list[bool], chance: np.random.Generator) -> Floats:
    """Records that look like each text."""
    if kind == "none":
        return np.ones(len(right))
    if kind == "ten":
        return chance.integers(1, 11, len(right)).astype(float)
    tail = np.maximum(1, 64 / np.arange(1, len(right) + 1) ** 0.7).round()
    order = chance.permutation(len(right))
    first = next(place for place, text in enumerate(order) if not right[text])
    order[[0, first]] = order[[first, 0]]
    found = np.empty(len(right))
    found[order] = tail
    return found


def of_estimate(
    model: str,
    size: int,
    draws: int,
    *,
    confidence: bool,
    anytime: bool = False,
    copies: str = "none",
    alike: bool = False,
) -> dict[str, tuple[Covered, Covered]]:
    """Coverage of each figure of a run, estimated, and by people's decisions alone.

    Args:
        model: whose answers.
        size: texts that are decided.
        draws: how many.
        confidence: whether the model has one.
        anytime: see `Frame`.
        copies: see `complaints`.
        alike: whether all texts are drawn alike, however many records they stand in.
    """
    said = complaints(model, confidence=confidence, copies=copies)
    if alike:
        said = said._replace(chances=np.ones(len(said.true)))
    estimated, alone = defaultdict(list), defaultdict(list)
    for seed in range(draws):
        order = said.order(seed)[:size]
        found = _estimated(said, order, said.copies, anytime=anytime)
        for figure, one in found.items():
            estimated[figure].append(one)
        for figure, one in _of_people(said, size, seed).items():
            alone[figure].append(one)
    return {
        figure: (covered(estimated[figure], truth), covered(alone[figure], truth))
        for figure, truth in said.figures.items()
    }


def of_groups(
    model: str, size: int, draws: int, *, copies: str = "ten"
) -> dict[int, Covered]:
    """Coverage of the accuracy of each group, over draws with enough decisions for it."""
    said = complaints(model, confidence=True, copies=copies)
    found = defaultdict(list)
    for seed in range(draws):
        order = said.order(seed)[:size]
        for group, mine in enumerate(said.groups.T):
            if (mine[order] > 0).sum() >= LEAST:
                one = _estimated(said, order, mine, anytime=False)["accuracy"]
                found[group].append(one)
    return {
        group: covered(ones, said.figures_of(said.groups[:, group])["accuracy"])
        for group, ones in sorted(found.items())
    }


def of_evaluation(
    model: str, other: str, size: int, draws: int, *, copies: str
) -> dict[str, Covered]:
    """Coverage of what evaluate and compare say of a sample of texts with copies."""
    said, beside = (
        complaints(name, confidence=True, copies=copies) for name in (model, other)
    )
    labels = sorted({*said.true, *said.given, *beside.given})
    all_of_it = tuple(map(list, (said.true, said.given, beside.given)))
    truth = _figures(
        *all_of_it,
        labels,
        of_copies(range(len(said.true)))._replace(weights=said.copies, is_drawn=True),
    )
    found = defaultdict(list)
    for seed in range(draws):
        order = said.order(seed)[:size]
        frame = _frame(said, order, said.copies, anytime=False)
        stands = dict(zip(sorted(order), frame.weights, strict=True))
        texts = np.repeat(order, said.copies[order].astype(int))
        shown = ([one[text] for text in texts] for one in all_of_it)
        weights = [stands[text] for text in texts]
        alike = drawn(of_copies(texts.tolist()), weights, frame.worth)
        for name, one in _figures(*shown, labels, alike).items():
            found[name].append(one)
    return {name: covered(ones, truth[name].value) for name, ones in found.items()}


def _figures(
    truth: list[str], one: list[str], two: list[str], labels: list[str], alike: Copies
) -> dict[str, Interval]:
    """Accuracy, kappa and macro F1 of the first, and how far the second is better."""
    first = scores(truth, one, labels, alike)
    records = [
        CommonRecord(number, number, label, other, true)
        for number, (true, label, other) in enumerate(zip(truth, one, two, strict=True))
    ]
    return {
        "accuracy": first.accuracy,
        "kappa": first.kappa,
        "macro F1": first.macro_f1,
        "difference": paired(records, alike).difference,
    }


def _estimated(
    said: Complaints, drawn: Iterable[int], copies: Floats, *, anytime: bool
) -> dict[str, Interval]:
    """Accuracy and shares of these copies of all complaints, from those that were drawn."""
    frame = _frame(said, drawn, copies, anytime=anytime)
    everything = frame.part(lambda _: 1.0)
    right = frame.part(lambda one: float(one.given[one.label] > 0))
    found = {"accuracy": frame.share(right, everything, frame.records)}
    for label in LETTERS:
        true = frame.part(lambda one, label=label: float(one.label == label))
        found[label] = frame.share(true, everything, frame.records)
    return found


def _frame(
    said: Complaints, drawn: Iterable[int], copies: Floats, *, anytime: bool
) -> Frame:
    """What is known of these copies of all complaints, from those that were drawn."""
    looked_at = set(drawn)
    units = [
        Seen(
            records=int(many),
            stratum=said.strata[number.to_bytes(DIGEST_BYTES)],
            label=true if number in looked_at else None,
            given=Counter({given: int(many)}),
            is_known=False,
            chance=said.chances[number],
        )
        for number, (given, true, many) in enumerate(
            zip(said.given, said.true, copies, strict=True)
        )
        if many
    ]
    return Frame(units, anytime=anytime)


def _of_people(said: Complaints, size: int, seed: int) -> dict[str, Interval]:
    """The same from as many records drawn at random, without what the model said."""
    texts = np.repeat(np.arange(len(said.true)), said.copies.astype(int))
    drawn = texts[np.random.default_rng(seed).permutation(len(texts))[:size]]
    worth = size / (1 - size / len(texts))
    right = np.mean([said.given[number] == said.true[number] for number in drawn])
    found = {"accuracy": at_size(float(right), worth)}
    for label in LETTERS:
        share = np.mean([said.true[number] == label for number in drawn])
        found[label] = at_size(float(share), worth)
    return found


def of_looking_again(model: str, draws: int, *, anytime: bool) -> float:
    """How often all intervals of an accuracy hold, at 30, 50, ... 490 decisions."""
    said = complaints(model, confidence=False)
    truth, held = said.figures["accuracy"], 0
    for seed in range(draws):
        order = said.order(seed)
        looks = (
            _estimated(said, order[:size], said.copies, anytime=anytime)["accuracy"]
            for size in range(30, 501, 20)
        )
        held += all(one.low <= truth <= one.high for one in looks)
    return held / draws


def lines(draws: int) -> Iterator[str]:
    """The table, line by line."""
    yield from lines_of_estimates(draws)
    yield from lines_of_scores(draws)


def lines_of_estimates(draws: int) -> Iterator[str]:
    """Those of a run that is estimated."""
    for copies in COPIES:
        for confidence in (False, True) if copies == "none" else (True,):
            for model in ESTIMATED if copies == "none" else WITH_COPIES:
                for size in SIZES[1:]:
                    yield line_of_estimate(
                        model, size, draws, confidence=confidence, copies=copies
                    )
    for copies in COPIES[1:]:
        for model in WITH_COPIES:
            for size in SIZES[1:]:
                found = of_groups(model, size, draws, copies=copies)
                shares = ", ".join(
                    f"{GROUPS[group]:.0%} of the records {one.share:.1%}"
                    for group, one in found.items()
                )
                yield f"groups of {model}, copies: {copies}, n = {size}: {shares}"
    for copies in COPIES[1:]:
        for model, other in (("gpt-4o-mini", "o1"), ("o1", "gpt-4o")):
            for size in SIZES[1:]:
                scored = of_evaluation(model, other, size, draws, copies=copies)
                shares = ", ".join(
                    f"{name} {one.share:.1%}" for name, one in scored.items()
                )
                yield f"evaluation of {model}, {other} beside it, copies: {copies}, n = {size}: {shares}"
    for anytime in (False, True):
        held = of_looking_again("o1", draws // 10, anytime=anytime)
        yield f"looking 24 times, anytime={anytime}: all hold in {held:.1%}"


def line_of_estimate(
    model: str, size: int, draws: int, *, confidence: bool, copies: str
) -> str:
    """One line: how often the accuracy, and the shares of the labels, are held."""
    found = of_estimate(model, size, draws, confidence=confidence, copies=copies)
    accuracy, alone = found.pop("accuracy")
    shares = [each for each, _ in found.values()]
    width = sum(each.width for each in shares)
    ratio = width / sum(each.width for _, each in found.values())
    return (
        f"estimate of {model}, {'with' if confidence else 'without'} confidence, copies: "
        f"{copies}, n = {size}: accuracy {accuracy.share:.1%}, "
        f"{accuracy.width / alone.width:.2f} as wide as people alone; shares "
        f"{min(shares).share:.1%} to {max(shares).share:.1%}, {ratio:.2f} as "
        f"wide, \u00b1{50 * width / len(shares):.1f} points"
    )


def lines_of_scores(draws: int) -> Iterator[str]:
    """Those of what evaluate and compare say."""
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
