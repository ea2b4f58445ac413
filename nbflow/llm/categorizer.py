"""Categorizer: labels and a model -> a step that labels texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow import _wiring
from nbflow.errors import UsageError
from nbflow.llm import examples as known
from nbflow.llm import taxonomy as taxonomies
from nbflow.llm.offline import Offline

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._core.step import Step
    from nbflow.llm.category import Category

OFFLINE = "offline"
#: Goes up when the same labels and instructions are asked for in other words: answers to the old ones run again.
_WORDING = 1


def categorizer(
    labels: Any,
    *,
    model: Any = OFFLINE,
    instructions: str | None = None,
    examples: Any = None,
    unknown: str | None = None,
    redact: Callable[[str], str] | None = None,
    name: str = "categorize",
    depends_on: Any = (),
    **options: Any,
) -> Step[[str], Category]:
    """A step that gives each text one of ``labels``: call it, ``map`` it, use it in flows like any other.

    Args:
        labels: a list, a dict of label -> description, an ``Enum``, a ``Literal``, or a pydantic model with one field
            that is one of these.
        model: ``"offline"``, a baseline that is no LLM and needs nothing.
        instructions: what else the model should know, in your words.
        examples: texts whose label is known: a dict of label -> texts or text -> label, (text, label) pairs, or a frame
            with the columns ``text`` and ``label``.
        unknown: a label for texts that fit no other. Without it every text gets one of ``labels``.
        redact: applied to each text, examples included, before anything leaves the process.
        name: what outputs are filed under.
        depends_on: what else the key covers, as for ``nbflow.step``.
        **options: of ``nbflow.step``: ``retries``, ``ttl``, ``version``, ...

    Raises:
        UsageError: labels, examples or options that cannot be right; the message names them.
    """
    taxonomy = taxonomies.read(labels, unknown)
    if instructions is not None and not isinstance(instructions, str):
        raise UsageError(f"instructions={instructions!r} has to be a text.")
    redacted = redact or _as_it_is
    pairs = known.read(examples, taxonomy, redacted)
    told = {
        "labels": taxonomy.value,
        "about the labels": taxonomy.about,
        "unknown": unknown or "",
        "instructions": instructions or "",
        "examples": [*map(tuple, pairs)],
        "model": model,
        "redact": redact,
        "the wording of nbflow's prompt": _WORDING,
    }
    asked = Asked(Offline(taxonomy, pairs), redacted)

    def categorize(text: str) -> Category:
        return asked.ask(text)

    more = [*depends_on] if isinstance(depends_on, tuple | list | set | frozenset) else [depends_on]
    return _wiring.step(name=name, depends_on=more if "version" in options else [*more, told], **options)(categorize)


class Asked:
    """A model and what is done to a text before it."""

    def __init__(self, offline: Offline, redact: Callable[[str], str]) -> None:
        self._offline = offline
        self._redact = redact

    def ask(self, text: str) -> Category:
        """The model's answer."""
        return self._offline.ask(self._redact(_checked(text)))


def _as_it_is(text: str) -> str:
    return text


def _checked(text: Any) -> str:
    """The text, or an error that no retry follows."""
    if not isinstance(text, str):
        raise TypeError(f"a categorizer takes a text, not {type(text).__name__}: pick the column, or join the fields.")
    return text
