"""Long text: what becomes of a text that is longer than a model is to read at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias
from weakref import WeakSet

from nbflow._call.scope import SCOPE
from nbflow._core.entry import Remark
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning, UsageError
from nbflow.llm.form import V
from nbflow.llm.parts import beginning, divided

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from nbflow.llm.form import Form
    from nbflow.llm.parts import Part

    #: How answers about parts become one.
    Join: TypeAlias = "str | Callable[..., Any]"

#: What may be done with a long text.
_WAYS = ("fail", "split", "cut")
#: Characters from which on a text is long, if nobody says: some 10,000 tokens.
LONG = 40_000
_LEAST = 100
#: Answers about parts that are kept for the next attempt at the others.
_REMEMBERED = 1_000


class Asked(Protocol):
    """Something that answers a text, now or awaited."""

    def ask(self, text: str) -> Any:
        """The answer, or a coroutine of it."""


class LongText(Generic[V]):
    """What is done with texts that are long.

    Args:
        form: joins answers.
        way: ``"fail"`` sends them as they are, ``"split"`` in parts, ``"cut"`` only
            their beginning.
        longest: characters from which on a text is long.
        join: how answers about parts become one.
        step: its name, for remarks.
    """

    def __init__(
        self, form: Form[V], way: str, longest: int, join: Join, step: str
    ) -> None:
        _check(way, longest, join, form)
        self._form = form
        self._way, self._longest, self._join = way, longest, join
        self._step = step
        #: The runs that have the remark, by the event that cancels them.
        self._told: WeakSet[Any] = WeakSet()
        self._is_told = False
        self._answers: dict[str, V] = {}

    def told(self) -> dict[str, object]:
        """What keys cover of it."""
        if self._way == "fail":
            return {}
        long: dict[str, object] = {"long": [self._way, self._longest]}
        return long | ({"join": self._join} if self._way == "split" else {})

    def asking(self, asked: Asked, *, awaited: bool) -> Asked:
        """What answers texts of any length."""
        if self._way == "fail":
            return asked
        if self._way == "cut":
            return _Beginning(self, asked)
        return _Awaited(self, asked) if awaited else _Divided(self, asked)

    def parts(self, text: str) -> list[Part]:
        """The parts of a text; said once in each run if there are several."""
        parts = divided(text, self._longest)
        if len(parts) > 1:
            self._say(
                f"texts of more than {self._longest:,} characters are read in parts: "
                f"the first of these, of {len(text):,}, in {len(parts)}."
            )
        return parts

    def beginning(self, text: str) -> str:
        """The beginning of a text; said once in each run what is cut off."""
        left = beginning(text, self._longest)
        if len(left) < len(text):
            self._say(
                f"of texts of more than {self._longest:,} characters the model reads the "
                f"beginning alone: of the first of these, {len(text) - len(left):,} of "
                f'{len(text):,} characters were cut off. long="split" reads all.'
            )
        return left

    def known(self, part: str) -> V | None:
        """The answer to a part that an earlier attempt at the text got."""
        return self._answers.get(part)

    def keep(self, part: str, answer: V) -> V:
        """Keep the answer to a part until the whole text has one."""
        if len(self._answers) >= _REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[part] = answer
        return answer

    def joined(self, parts: Sequence[Part], answers: Sequence[V]) -> V:
        """One answer of those about the parts."""
        answer = self._form.joined(answers, [part.start for part in parts], self._join)
        for part in parts:
            self._answers.pop(part.text, None)
        return answer

    def _say(self, said: str) -> None:
        scope = SCOPE.get()
        place = scope.place if scope is not None else None
        text = f"{self._step}: {said}"
        if place is None:
            if not self._is_told:
                self._is_told = True
                warn(text, NbflowWarning)
        elif place.cancelled not in self._told:
            self._told.add(place.cancelled)
            place.note(Remark(place.runner.clock.time(), text))


class _Beginning:
    """Asks about the beginning of each text."""

    def __init__(self, long: LongText[Any], asked: Asked) -> None:
        self._long = long
        self._asked = asked

    def ask(self, text: str) -> Any:
        return self._asked.ask(self._long.beginning(text))


class _Divided:
    """Asks about each part of a text, one after the other."""

    def __init__(self, long: LongText[Any], asked: Asked) -> None:
        self._long = long
        self._asked = asked

    def ask(self, text: str) -> Any:
        parts = self._long.parts(text)
        if len(parts) == 1:
            return self._asked.ask(text)
        return self._long.joined(parts, [self._answer(part.text) for part in parts])

    def _answer(self, part: str) -> Any:
        known = self._long.known(part)
        return self._long.keep(part, self._asked.ask(part)) if known is None else known


class _Awaited:
    """Asks about all parts of a text at once.

    What was answered is kept if another part fails: the next attempt asks about that
    one alone.
    """

    def __init__(self, long: LongText[Any], asked: Asked) -> None:
        self._long = long
        self._asked = asked

    async def ask(self, text: str) -> Any:
        parts = self._long.parts(text)
        if len(parts) == 1:
            return await self._asked.ask(text)
        texts = dict.fromkeys(part.text for part in parts)
        asked = [self._answer(part) for part in texts]
        found = await asyncio.gather(*asked, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException):
                raise error
        answers = dict(zip(texts, found, strict=True))
        return self._long.joined(parts, [answers[part.text] for part in parts])

    async def _answer(self, part: str) -> Any:
        known = self._long.known(part)
        if known is not None:
            return known
        asked: Coroutine[Any, Any, Any] = self._asked.ask(part)
        return self._long.keep(part, await asked)


def _check(way: object, longest: Any, join: object, form: Form[Any]) -> None:
    if way not in _WAYS:
        raise UsageError(
            f'long={way!r} has to be "fail" (the provider says that a text is too long), '
            '"split" (in parts, see join=) or "cut" (its beginning alone).'
        )
    is_whole = isinstance(longest, int) and not isinstance(longest, bool)
    if not is_whole or longest < _LEAST:
        raise UsageError(
            f"longest={longest!r} has to be a number of characters, {_LEAST} or more."
        )
    form.check_join(join)
