"""What a new process waits for: the import, the store that opens, and the first call that is durable."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.contest import Question, Row, milliseconds
from benchmarks.work import answer, text_of

if TYPE_CHECKING:
    from pathlib import Path


def nbflow(folder: Path, _size: int) -> dict[str, float]:
    """An empty store, and a step that is called once."""
    begun = time.perf_counter()
    import nbflow as nf
    from nbflow._session import SESSION

    nf.use(folder)
    SESSION.engine.store.get("0" * 40)
    opened = time.perf_counter()
    nf.step(answer)(text_of(0))
    return {"open": opened - begun, "first": time.perf_counter() - opened}


def diskcache(folder: Path, _size: int) -> dict[str, float]:
    """The same by hand."""
    begun = time.perf_counter()
    from benchmarks.work import tuned

    cache = tuned(folder)
    cache.get("0" * 40)
    opened = time.perf_counter()
    cache.set(text_of(0), answer(text_of(0)))
    return {"open": opened - begun, "first": time.perf_counter() - opened}


def most(_folder: Path, _size: int) -> dict[str, float]:
    """What a person does not notice."""
    return {"open": 0.055, "first": 0.015}


_IMPORT, _FIRST = "import and open", "first durable call"

QUESTION = Question(
    "opening",
    "a new process and an empty store",
    (1, 1),
    {"nbflow": (nbflow,), "diskcache": (diskcache,), "most": (most,)},
    (
        Row(_IMPORT, ("nbflow", 0, "open"), "at most", ("most", 0, "open"), milliseconds, 1),
        Row(_IMPORT, ("nbflow", 0, "open"), "diskcache", ("diskcache", 0, "open"), milliseconds),
        Row(_FIRST, ("nbflow", 0, "first"), "at most", ("most", 0, "first"), milliseconds, 1),
        Row(_FIRST, ("nbflow", 0, "first"), "diskcache set", ("diskcache", 0, "first"), milliseconds),
    ),
)  # fmt: skip
