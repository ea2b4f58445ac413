"""What a function reaches in the user's code: the digest of it all, and its parts.

A function's key covers itself and, transitively, the user's functions, classes and
steps that it reaches by a global name, a closure, an attribute of a local module or an
import in its body, and the constants that it reads there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ast

    from nbflow._key.bytecode import Chain
    from nbflow._key.guards import Space
    from nbflow._key.mutation import Slot
    from nbflow._key.query_texts import Asks


@dataclass(frozen=True, slots=True)
class Part:
    """A function, class or value that code reaches.

    Attributes:
        name: qualified, as the code sees it.
        digest: of it alone, not of what it reaches in turn.
        kind: ``"function"``, ``"class"``, ``"value"``, ``"version"``, or ``"column"``
            for one of a frame that is a part.
        text: its source, or how a short plain value is written, no secrets in it; empty
            where there is none to show.
    """

    name: str
    digest: bytes
    kind: str = field(default="value", compare=False)
    text: str = field(default="", compare=False)

    @property
    def frame(self) -> str:
        """Of a column the name of its frame."""
        if self.kind != "column":
            return ""
        return self.name.rpartition(" of `")[2].rstrip("`")


@dataclass(frozen=True, slots=True)
class Code:
    """What a function is, for the key of its calls.

    Attributes:
        digest: 20 bytes, equal as long as nothing it reaches has changed.
        parts: each function, class and value it reaches, itself first: what differs
            between two codes is what changed.
        steps: the objects around functions (steps) that were looked through.
        changes: where the values are that the code changes itself; see
            `nbflow._key.mutation`.
        uncounted: what it reaches that does not count by its content: name, and why
            not.
        installed: functions of libraries that it names, nbflow's among them.
    """

    digest: bytes
    parts: tuple[Part, ...]
    steps: tuple[Any, ...] = field(default=(), compare=False)
    changes: tuple[Slot, ...] = field(default=(), compare=False)
    uncounted: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    installed: frozenset[Any] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell of a notebook, to be read like a function.

    Attributes:
        name: of the step that it is.
        body: its statements.
        text: its source.
        space: the notebook's names.
        reads: names of functions, classes and modules that it reads, dotted ones as
            tuples; its data are arguments.
        texts: those in its statements and its data, which may be queries.
        asks: its calls that look up names for a text. Those for its own texts are among
            its reads, or its data.
    """

    name: str
    body: list[ast.stmt]
    text: str
    space: Space
    reads: frozenset[Chain]
    texts: frozenset[str] = frozenset()
    asks: tuple[Asks, ...] = ()
