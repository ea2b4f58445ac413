"""Offline: a baseline, not an LLM. The nearest centroid of TF-IDF, over label names, descriptions and examples.

It needs no key, no network and no package, and costs nothing: good enough to learn on,
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

#: How it calls itself, in every answer.
BASELINE = "baseline, not an LLM"
_WORD = re.compile(r"[^\W_]+")
#: Letters that stand for a word: a stemmer for many languages. Words that decided which
#: are named.
_STEM, _NAMED = 5, 3
#: Words that hold English sentences together, whatever they are about: each counts as a
#: whole, and half.
_COMMON = frozenset(
    """
    a am an and any are as at be been but by can could did do does for from had has have how i if in is it its me my no not of
    on or so that the their there they this to was we were what when where which who why will with would you your
    """.split()  # noqa: SIM905 - a table to read
)
#: Likeness to all labels together at which half of the confidence is left.
_DOUBT = 0.1
#: A word is named if it speaks so much for the label, beside the one that speaks most.
_TELLING = 0.25

Vector = dict[str, float]


class Offline:
    """Fits itself at the first question; asking is safe from any thread."""

    def __init__(self, taxonomy: Taxonomy, examples: Sequence[Example]) -> None:
        self._taxonomy = taxonomy
        self._examples = examples

    def ask(self, text: str) -> Category:
        """The label whose name, description and examples share the most, and the rarest, words with ``text``.

        The confidence is its share of all likeness, less for a text that is like no
        label. One that shares nothing with any is ``unknown`` if that was asked for,
        else the label with the most examples, with confidence 0.
        """
        vector = self._vector(_features(text))
        likeness = {
            label: sum(
                weight * centroid.get(part, 0.0) for part, weight in vector.items()
            )
            for label, centroid in self._centroids.items()
        }
        total = sum(likeness.values())
        if not total:
            return Category(
                self._guess, 0.0, f"{BASELINE}: no word in common with any label"
            )
        label = max(likeness, key=lambda label: likeness[label])
        words = (
            ", ".join(self._deciding(text, label))
            or "all of it speaks for other labels as well"
        )
        return Category(
            label, round(likeness[label] / (total + _DOUBT), 2), f"{BASELINE}: {words}"
        )

    @property
    def _guess(self) -> str:
        counts = Counter(example.label for example in self._examples)
        return self._taxonomy.unknown or max(
            self._taxonomy.labels, key=lambda label: counts[label]
        )

    @cached_property
    def _documents(self) -> list[tuple[str, Counter[str]]]:
        named = [
            (label, f"{label} {said}")
            for label, said in self._taxonomy.labels.items()
            if label != self._taxonomy.unknown
        ]
        return [
            (label, _features(text))
            for label, text in (
                *named,
                *((label, text) for text, label in self._examples),
            )
        ]

    @cached_property
    def _rarity(self) -> Vector:
        """How much a part of a word tells: the fewer documents have it, the more."""
        counts = Counter(part for _, parts in self._documents for part in parts)
        return {
            part: 1 + math.log((1 + len(self._documents)) / (1 + times))
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
        return _unit(
            {
                part: _weight(part)
                * (1 + math.log(times))
                * self._rarity.get(part, unheard)
                for part, times in parts.items()
            }
        )

    def _deciding(self, text: str, label: str) -> Iterable[str]:
        """The words that speak most for this label and not for all of them, the strongest first."""
        others = [
            centroid for known, centroid in self._centroids.items() if known != label
        ]

        def says(word: str) -> float:
            parts = [*_parts(word)]
            own = sum(self._centroids[label].get(part, 0.0) for part in parts)
            return (
                own
                - sum(centroid.get(part, 0.0) for centroid in others for part in parts)
                / max(1, len(others))
                if own
                else -1.0
            )

        said = {
            word: says(word.casefold()) for word in dict.fromkeys(_WORD.findall(text))
        }
        best = sorted(said, key=lambda word: -said[word])[:_NAMED]
        return [word for word in best if said[word] > said[best[0]] * _TELLING]


def _features(text: str) -> Counter[str]:
    return Counter(
        part
        for word in _WORD.findall(text.casefold().replace("'", ""))
        for part in _parts(word)
    )


def _parts(word: str) -> Iterator[str]:
    """What stands for a word: its beginning, and every three letters of it, which know it in other forms."""
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
