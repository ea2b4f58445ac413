"""RequestSize: how many texts go with one request, as the model's answers show."""

from __future__ import annotations

#: Texts without an answer are asked about again in requests this many times smaller.
_FEWER = 4
#: The number of requests without one usable answer which shows that a model cannot
#: answer that many texts at once.
_ENOUGH = 3


class RequestSize:
    """The most texts that one request has.

    Some models never return the ids of several texts, or cannot write so long an
    answer. Every request would be paid for needlessly then, and its texts again.

    Attributes:
        asked: the number that the user asked for.
        most: the number that the model manages, as far as it is known.
    """

    def __init__(self, asked: int) -> None:
        self.asked = self.most = asked
        self._managed = 1
        self._failed = 0

    def answered(self, texts: int, usable: int) -> None:
        """Take in how many texts a request had, and how many usable answers."""
        if usable:
            self._managed = max(self._managed, texts)
            self.most = max(self.most, self._managed)
        elif texts > self._managed:
            self._failed += 1
        if self._failed >= _ENOUGH:
            self._failed = 0
            self.most = max(self._managed, self.below(texts))

    def below(self, texts: int) -> int:
        """How many texts to ask about together, after a request of ``texts`` without an answer to these."""
        return max(1, min(texts // _FEWER, self.most))
