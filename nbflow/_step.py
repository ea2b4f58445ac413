"""Step as people hold it: what `nbflow.step` makes, and everything that can be done with one.

The engine and all layers below know a step as `nbflow._core.step.Step`: a function, its
policy and its key. What people do with it returns runs, plans and explanations, which
are defined above that, so these methods stand here, with their exact types.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    overload,
)

from nbflow._call.scope import current
from nbflow._core import step as core
from nbflow._core.signature import parameters_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence
    from concurrent.futures import Future
    from typing import Self

    from nbflow._call.engine import Engine
    from nbflow._call.prices import Prices
    from nbflow._run.batch import Batch, Columns
    from nbflow._run.explanation import Explanation
    from nbflow._run.frame_types import Column, Frame_co
    from nbflow._run.lane import Lane
    from nbflow._run.plan import Plan
    from nbflow._run.run import Run

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
V = TypeVar("V")

if TYPE_CHECKING:
    #: What an `async def` function returns when it is called.
    Coro: TypeAlias = Coroutine[Any, Any, V]

    class MapRun(Run[Frame_co], list[V], Generic[V, Frame_co]):
        """What ``step.map`` returns: a `Run` outside a flow, the list of values inside.

        Which of the two depends on the caller, so no type checker can tell. Given the
        exact type, a union, checkers would refuse ``step.map(texts).results()`` until it
        is narrowed. Given `Run`, they would refuse ``for label in step.map(texts)``. So
        they see a class, which exists for them alone, with the members of both: they
        refuse no correct line, and every value has its type. The price is that they do
        not notice a run that is iterated over.
        """


class Host(core.Performer, Protocol):
    """What a step needs of the session."""

    @property
    def engine(self) -> Engine:
        """The engine on the store in use."""

    @property
    def prices(self) -> Prices:
        """What models cost."""

    def start(
        self,
        event: str,
        lanes: Sequence[Lane],
        batch: Batch,
        *,
        wait: bool,
        max_in_flight: int | None,
        budget: float | str | None,
        columns: Columns = (),
    ) -> Run:
        """Begin a run and, with ``wait``, see it through."""


class Step(core.Step[P, R_co]):
    """A function whose successful outputs are saved and reused.

    Made by ``nbflow.step``, and called exactly like the function it was made of: with
    the same arguments, awaited if it is ``async def``. Type checkers see the same types.

    Attributes:
        name: what its checkpoints are filed under.
        policy: how it is retried and limited.
        is_async: whether it was written with ``async def``.
        model: the model that it says it calls.
        is_plain: whether it is an async step that is called as if it were sync, so that
            its callers need not know; ``aio`` awaits it.
        labels: those that a categorizer chooses from, with their descriptions.
        fields: of an extractor, the labels of each field that has a list of them.
    """

    performer: Host

    # Each method below that passes on the step's value has two signatures. The first is
    # for an `async def` step, where the value is what its coroutine returns.

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: Step[Concatenate[Any, Q], R_co],
        instance: object,
        owner: type | None = None,
    ) -> Step[Q, R_co]: ...
    def __get__(self, instance: object, owner: type | None = None) -> core.AnyStep:
        """Return the step as a method.

        The instance is its first argument, and part of the key by its attributes.
        """
        if instance is None:
            return self
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__, bound=(instance,))
        return bound

    @overload
    def aio(self: Step[P, Coro[V]], *args: P.args, **kwargs: P.kwargs) -> Coro[V]: ...
    @overload
    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Coro[R_co]: ...
    def aio(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Await the step, whether it is ``def`` or ``async def``.

        A sync step runs on a worker thread, so the event loop stays free.

        Args:
            *args: what the step takes.
            **kwargs: what the step takes, by name.

        Returns:
            A coroutine of the step's value.

        Raises:
            StepError: the step failed permanently. It is what the step's code raised as
                well, and ``except`` catches it as either.
            UnkeyableError: no key can be made of an argument.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> async def total() -> int:
            ...     return sum(await asyncio.gather(size.aio("one"), size.aio("three")))
            >>> asyncio.run(total())
            8
        """
        return self.performer.engine.aio(self, self.bound + args, kwargs)

    @overload
    def sync(self: Step[P, Coro[V]], *args: P.args, **kwargs: P.kwargs) -> V: ...
    @overload
    def sync(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def sync(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for the step in sync code, whether it is ``def`` or ``async def``.

        An async step runs on the engine's own event loop. This also works in a notebook
        cell, where an event loop runs already. Async flows run on the same loop, so a
        client that keeps connections (``httpx.AsyncClient``) can serve both; awaited in
        the cell, the step would use it on the kernel's loop.

        Args:
            *args: what the step takes.
            **kwargs: what the step takes, by name.

        Returns:
            The step's value.

        Raises:
            StepError: the step failed permanently. It is what the step's code raised as
                well, and ``except`` catches it as either.
            UnkeyableError: no key can be made of an argument.
            UsageError: an async step is waited for inside an async flow, which would
                hold up the event loop that the step needs.

        Example:
            >>> @nf.step
            ... async def size(text: str) -> int:
            ...     return len(text)
            >>> size.sync("three")
            5
        """
        __tracebackhide__ = True
        return self.performer.engine.sync(self, self.bound + args, kwargs)

    @overload
    def submit(
        self: Step[P, Coro[V]], *args: P.args, **kwargs: P.kwargs
    ) -> Future[V]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R_co]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the step in the background, and continue.

        A step may submit others and wait for them: a thread that waits runs what it
        waits for, so nested calls cannot starve each other.

        Args:
            *args: what the step takes.
            **kwargs: what the step takes, by name.

        Returns:
            A future of the step's value. Its ``result()`` waits, and raises what calling
            the step would raise.

        Raises:
            UsageError: an async step is submitted inside an async flow; await it there.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> futures = [size.submit(text) for text in ("one", "three")]
            >>> [future.result() for future in futures]
            [3, 5]
        """
        return self.performer.engine.submit(self, self.bound + args, kwargs)

    # The further arguments of `map` and `plan` are not checked against the step: options
    # cannot stand between `P.args` and `P.kwargs`. Nor are the items, as no type says
    # what a column of a frame holds.

    @overload
    def map(
        self: Step[..., Coro[V]],
        items: Column[Frame_co],
        /,
        *args: object,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        columns: Columns = (),
        **kwargs: object,
    ) -> MapRun[V, Frame_co]: ...
    @overload
    def map(
        self: Step[..., Coro[V]],
        items: Iterable[Any],
        /,
        *args: object,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        columns: Columns = (),
        **kwargs: object,
    ) -> MapRun[V]: ...
    @overload
    def map(
        self,
        items: Column[Frame_co],
        /,
        *args: object,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        columns: Columns = (),
        **kwargs: object,
    ) -> MapRun[R_co, Frame_co]: ...
    @overload
    def map(
        self,
        items: Iterable[Any],
        /,
        *args: object,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        columns: Columns = (),
        **kwargs: object,
    ) -> MapRun[R_co]: ...
    def map(
        self,
        items: Iterable[Any],
        /,
        *args: object,
        wait: bool = True,
        max_in_flight: int | None = None,
        budget: float | str | None = None,
        columns: str | Sequence[str] = (),
        **kwargs: object,
    ) -> Run | list[Any]:
        """Call the step with each item: a durable, concurrent, retried ``Series.map``.

        Args:
            items: a pandas or polars Series, an Arrow array, a list or any iterator; a
                frame gives its rows as dicts. Each is the step's first argument.
            *args: further positional arguments, the same for every item.
            wait: ``False`` returns at once, and the run continues in the background.
            max_in_flight: the number of items that are processed at once.
            budget: US dollars that the calls may cost, such as ``"$5"``.
            columns: the fields of an item that the table shows beside its key; without
                any, its first text. A step with a parameter of this name gets it.
            **kwargs: further arguments, the same for every item.

        Returns:
            A `Run`, as ``nbflow.send`` does. Inside a flow: the list of values, in
            order; in an async flow, await it if the step is async. If items failed, the
            first error is raised when all items have ended.

        Raises:
            TypeError: the step does not take these arguments.
            UsageError: ``items`` cannot be read item by item, or an option is invalid.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> size.map(["one", "three"]).results("size")
            [3, 5]
        """
        host = self.performer
        if "columns" in parameters_of(self.__wrapped__):
            kwargs, columns = kwargs | ({"columns": columns} if columns else {}), ()
        if current() is not None:
            # For an async step in an async flow, an awaitable of the list.
            values: list[Any] = host.engine.fan_out(
                self, items, self.bound + args, kwargs
            )
            return values
        lane, batch = self._mapped(items, args, kwargs)
        return host.start(
            self.name,
            [lane],
            batch,
            wait=wait,
            max_in_flight=max_in_flight,
            budget=budget,
            columns=columns,
        )

    def plan(self, items: Iterable[Any], /, *args: object, **kwargs: object) -> Plan:
        """Say what ``map`` with the same arguments would do, without executing anything.

        Args:
            items: what ``map`` takes; an iterator is read to its end, and ``map`` then
                needs another one.
            *args: further positional arguments, the same for every item.
            **kwargs: further arguments, the same for every item.

        Returns:
            A `Plan`: how much is cached, how much would run and why, and how long it
            would take.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> size("one")
            3
            >>> plan = size.plan(["one", "three"])
            >>> plan.cached, plan.would_run
            (1, 1)
        """
        from nbflow._run.forecast import forecast

        lane, batch = self._mapped(items, args, kwargs)
        host = self.performer
        return forecast(host.engine, self.name, [lane], batch, host.prices.cost)

    def _mapped(
        self,
        items: Iterable[Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> tuple[Lane, Batch]:
        from nbflow._run.batch import Batch
        from nbflow._run.lane import StepLane

        lane = StepLane(self, self.bound + args, kwargs)
        return lane, Batch(items, values=True)

    @overload
    def explain(self) -> Explanation: ...
    @overload
    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation: ...
    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Say why a call would run again, or since when its result is saved.

        Executes nothing.

        Args:
            *args: what the step takes. Without arguments: what changed in the step's
                code since it last ran.
            **kwargs: what the step takes, by name.

        Returns:
            An `Explanation`: ``.state`` (``"cached"``, ``"would run"``), ``.reason`` in
            words, ``.changes``, ``.diff()``.

        Raises:
            UnkeyableError: no key can be made of an argument, or of something that the
                code reads.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> size("one")
            3
            >>> size.explain("one").state, size.explain("three").state
            ('cached', 'would run')
        """
        from nbflow._run.explanation import explain_call

        return explain_call(self.performer.engine, self, self.bound + args, kwargs)

    @overload
    def forget(self) -> int: ...
    @overload
    def forget(self, *args: P.args, **kwargs: P.kwargs) -> int: ...
    def forget(self, *args: Any, **kwargs: Any) -> int:
        """Delete the saved result of a call, and every result built on it.

        They then run again.

        Args:
            *args: what the step takes. Without arguments: all results of the step, under
                any code.
            **kwargs: what the step takes, by name.

        Returns:
            The number of deleted results, those of flows included.

        Example:
            >>> @nf.step
            ... def size(text: str) -> int:
            ...     return len(text)
            >>> size("one") + size("three")
            8
            >>> size.forget("one")
            1
        """
        from nbflow._run.forgetting import forget

        return forget(self.performer.engine, self, self.bound + args, kwargs)
