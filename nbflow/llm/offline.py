"""Offline: a baseline, not an LLM.

The nearest centroid of TF-IDF vectors of label names, descriptions and examples. It
needs no key, no network and no package, and costs nothing: good enough to learn with,
and what a real model has to beat. It knows words, not meaning.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from nbflow.llm.category import Category

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nbflow.llm.examples import Example
    from nbflow.llm.taxonomy import Taxonomy

#: What it calls itself, in every answer.
BASELINE = "baseline, not an LLM"
_WORD = re.compile(r"[^\W_]+")
#: The first letters, which stand for a word: a stemmer for many languages.
_STEM = 5
#: The most words that are named as the reason.
_NAMED = 3
#: Words that hold English sentences together, whatever they are about: each counts as a
#: whole, and half.
_COMMON = frozenset(
    """
    a am an and any are as at be been but by can could did do does for from had has
    have how i if in is it its me my no not of on or so that the their there they this
    to was we were what when where which who why will with would you your
    """.split()  # noqa: SIM905  # a table to read
)
#: The likeness to all labels together at which half of the confidence is left.
_DOUBT = 0.1
#: A word is named if it counts for the label at least this share of the one that counts
#: most.
_TELLING = 0.25

Vector = dict[str, float]


class Offline:
    """Fits itself at the first text; `ask` is safe from any thread."""

    def __init__(self, taxonomy: Taxonomy, examples: Sequence[Example]) -> None:
        self._taxonomy = taxonomy
        self._examples = examples

    def ask(self, text: str) -> Category:
        """The label that shares the most, and the rarest, words with ``text``.

        Its name, description and examples count. The confidence is the label's share of
        all likeness, less for a text that is like no label; what is left is doubt, which
        the probabilities spread over all labels. A text that shares nothing with any
        label gets ``unknown`` if that was asked for, else the label with the most
        examples, with confidence 0, and every label is as probable.
        """
        vector = self._vector(_features(text))
        likeness = {
            label: _likeness(vector, centroid)
            for label, centroid in self._centroids.items()
        }
        total = sum(likeness.values())
        if not total:
            why = f"{BASELINE}: no word in common with any label"
            return Category(self._guess, 0.0, why, self._shares(likeness))
        label = max(likeness, key=likeness.__getitem__)
        confidence = round(likeness[label] / (total + _DOUBT), 2)
        words = ", ".join(self._deciding(text, label))
        if not words:
            words = "all of it speaks for other labels as well"
        why = f"{BASELINE}: {words}"
        return Category(label, confidence, why, self._shares(likeness))

    def alike(self, text: str) -> list[str]:
        """The labels that share words with ``text``: the likest, and those half as like."""
        vector = self._vector(_features(text))
        likeness = {
            label: _likeness(vector, centroid)
            for label, centroid in self._centroids.items()
        }
        least = max(likeness.values(), default=0.0) / 2
        return [label for label, like in likeness.items() if like >= least and like]

    def _shares(self, likeness: Vector) -> Vector:
        """The probability of each label: its share of the likeness, and as much of the doubt as others."""
        labels = self._taxonomy.labels
        even = _DOUBT / len(labels)
        whole = sum(likeness.values()) + _DOUBT
        return {label: (likeness.get(label, 0.0) + even) / whole for label in labels}

    @property
    def _guess(self) -> str:
        if self._taxonomy.unknown:
            return self._taxonomy.unknown
        counts = Counter(example.label for example in self._examples)
        return max(self._taxonomy.labels, key=counts.__getitem__)

    @cached_property
    def _documents(self) -> list[tuple[str, Counter[str]]]:
        """Each label's name and description, and each example, as parts of words."""
        documents = []
        for label, said in self._taxonomy.labels.items():
            if label != self._taxonomy.unknown:
                documents.append((label, _features(f"{label} {said}")))
        for text, label in self._examples:
            documents.append((label, _features(text)))
        return documents

    @cached_property
    def _rarity(self) -> Vector:
        """How much a part of a word tells: the fewer documents have it, the more."""
        counts: Counter[str] = Counter()
        for _, parts in self._documents:
            counts.update(parts.keys())
        documents = 1 + len(self._documents)
        return {
            part: 1 + math.log(documents / (1 + times))
            for part, times in counts.items()
        }

    @cached_property
    def _centroids(self) -> dict[str, Vector]:
        """One direction per label: the sum of its documents' vectors, of length one."""
        sums: dict[str, Counter[str]] = {}
        for label, parts in self._documents:
            sums.setdefault(label, Counter()).update(self._vector(parts))
        return {label: _unit(total) for label, total in sums.items()}

    def _vector(self, parts: Counter[str]) -> Vector:
        unheard = 1 + math.log(1 + len(self._documents))
        weights = {}
        for part, times in parts.items():
            rarity = self._rarity.get(part, unheard)
            weights[part] = _weight(part) * (1 + math.log(times)) * rarity
        return _unit(weights)

    def _deciding(self, text: str, label: str) -> Iterable[str]:
        """The words that count most for this label and not for all, strongest first."""
        own = self._centroids[label]
        others = [each for known, each in self._centroids.items() if known != label]
        words = dict.fromkeys(_WORD.findall(text))
        said = {word: _says(word.casefold(), own, others) for word in words}
        best = sorted(words, key=lambda word: -said[word])[:_NAMED]
        return [word for word in best if said[word] > said[best[0]] * _TELLING]


def _says(word: str, own: Vector, others: Sequence[Vector]) -> float:
    """How much more a word counts for one centroid than for the average of others."""
    parts = list(_parts(word))
    share = sum(own.get(part, 0.0) for part in parts)
    if not share:
        return -1.0
    rest = sum(other.get(part, 0.0) for other in others for part in parts)
    return share - rest / max(1, len(others))


def _likeness(vector: Vector, centroid: Vector) -> float:
    """The cosine of the angle between two vectors of length one."""
    return sum(weight * centroid.get(part, 0.0) for part, weight in vector.items())


def words_of(text: str) -> set[str]:
    """What a text is about: its words but those that hold sentences together, as their beginnings."""
    words = _WORD.findall(text.casefold().replace("'", ""))
    return {word[:_STEM] for word in words if word not in _COMMON}


def _features(text: str) -> Counter[str]:
    words = _WORD.findall(text.casefold().replace("'", ""))
    return Counter(part for word in words for part in _parts(word))


def _parts(word: str) -> Iterator[str]:
    """What stands for a word.

    Its beginning, and every three letters of it, by which other forms are recognized.
    """
    edged = f"<{word}>"
    if word in _COMMON:
        yield f"#{edged}"
        return
    yield word[:_STEM]
    yield from (f"#{edged[place : place + 3]}" for place in range(len(edged) - 2))


def _weight(part: str) -> float:
    return 0.5 if part.startswith("#") else 1.0


def _unit(weights: dict[str, float] | Counter[str]) -> Vector:
    length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {part: weight / length for part, weight in weights.items()}
