"""Scope: the call under way, as the code below it sees it. The one `ContextVar` of the project."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from nbflow._core.entry import Entry
    from nbflow._run.keys import Identity
    from nbflow._run.limits import Gate
    from nbflow._run.runner import Runner


class Item:
    """One record in one flow of a run: what the calls below it have in common."""

    __slots__ = ("attempts", "called", "cancelled", "flow", "flow_name", "forced", "forced_from", "identify", "inputs", "note", "record", "record_key", "run", "runner")

    def __init__(
        self,
        *,
        record: int,
        record_key: str,
        flow: int,
        flow_name: str,
        note: Callable[[Entry], None],
        cancelled: threading.Event,
        run: str,
        identify: Callable[[Any], Identity],
        runner: Runner,
        forced_from: str | None = None,
        forced: bool = False,
    ) -> None:
        self.record = record
        self.record_key = record_key
        self.flow = flow
        self.flow_name = flow_name
        self.note = note
        self.cancelled = cancelled
        self.run = run
        #: Gives what a step is, read once in a run.
        self.identify = identify
        self.forced_from = forced_from
        self.forced = forced
        self.runner = runner
        #: Steps called so far, and attempts made of them.
        self.called = self.attempts = 0
        #: What its steps were called with.
        self.inputs: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def must_run(self, step: str) -> bool:
        """A call of ``step`` begins; is it to run although it is saved? True from the step on that a rerun named."""
        self.called += 1
        if step == self.forced_from:
            self.forced = True
        return self.forced


class Scope:
    """One call and, through ``outer``, those it was made in."""

    __slots__ = ("built_on", "expires", "gate", "item", "key", "outer", "per_run")

    def __init__(self, key: str, gate: Gate | None, item: Item | None, outer: Scope | None, *, per_run: bool) -> None:
        self.key = key
        self.per_run = per_run
        self.gate = gate
        self.item = item
        self.outer = outer
        #: The calls whose values this one has seen: (step, key).
        self.built_on: list[tuple[str, str]] = []
        #: When the first of those values goes out of date.
        self.expires: float | None = None

    def __iter__(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def saw(self, step: str, key: str, expires: float | None, *, per_run: bool) -> None:
        """A call below this one gave a value."""
        self.built_on.append((step, key))
        if per_run and not self.per_run:
            expires = 0.0  # our key does not know that the value is good for one run
        if expires is not None and (self.expires is None or expires < self.expires):
            self.expires = expires


SCOPE: ContextVar[Scope | None] = ContextVar("nbflow_scope", default=None)
