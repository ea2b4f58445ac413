"""Flow: a function that calls steps for one record; which flows an event reaches."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar

from nbflow._core.policy import Policy
from nbflow._core.signature import mark_async, signature_of
from nbflow._core.step import check_function, name_of
from nbflow.errors import UnknownEventError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Never

P = ParamSpec("P")
R = TypeVar("R")

#: A flow is not retried: each of its steps is, on its own.
ONCE = Policy(retries=0)


class Flow(Generic[P, R]):
    """A function that an event calls with one record (a dict). Made by ``nbflow.flow``.

    Called directly, it runs as a plain function; its steps stay durable.

    Attributes:
        name: its name in tables and results.
        events: the events it listens to.
        is_async: whether it was written with ``async def``.
    """

    __wrapped__: Callable[P, R]
    code_version = None
    code_ignores: frozenset[str] = frozenset()

    def __init__(
        self,
        function: Callable[P, R],
        events: tuple[str, ...],
        on_failure: Callable[..., object] | None,
        name: str,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self.events = events
        self.on_failure = on_failure
        self.is_async = inspect.iscoroutinefunction(function)
        self.policy = ONCE
        if self.is_async:
            mark_async(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, as if it were not a flow."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<flow {self.name} on {', '.join(self.events)}>"

    if not TYPE_CHECKING:  # checkers refuse what is not there by themselves

        def __getattr__(self, name: str) -> Never:
            __tracebackhide__ = True
            from nbflow._core import guesses  # few ask

            raise guesses.refusal("A flow", name, guesses.FLOW, self)


def make_flow(
    function: Callable[P, R],
    *,
    on: str | Iterable[str],
    on_failure: Callable[..., object] | None = None,
    name: str | None = None,
) -> Flow[P, R]:
    """A flow of ``function``, after its options, see ``nbflow.flow``, are checked."""
    check_function(function, "flow")
    events = (on,) if isinstance(on, str) else tuple(on)
    for event in events or ("",):
        if not isinstance(event, str) or not event.strip():
            raise UsageError(
                f'on={on!r} has to name an event, such as on="support/thread.created".'
            )
    if on_failure is not None and not callable(on_failure):
        raise UsageError(
            f"on_failure={on_failure!r} has to be a function that takes the record "
            "and the error."
        )
    _check_one_record(function)
    return Flow(function, events, on_failure, name or name_of(function))


def _check_one_record(function: Callable[..., object]) -> None:
    try:
        signature_of(function).bind({})
    except TypeError as error:
        raise UsageError(
            f"Flow {function.__name__} is called with one record (a dict), "
            f"but its arguments do not fit: {error}."
        ) from None


#: A flow, whatever it takes and returns.
AnyFlow: TypeAlias = Flow[..., Any]


class Listeners:
    """The flows of each event.

    A flow that is defined again, in the same module under the same name, replaces the
    one before.
    """

    def __init__(self) -> None:
        self._flows: dict[tuple[str, str], AnyFlow] = {}

    def add(self, flow: AnyFlow) -> None:
        """Subscribe ``flow`` to its events."""
        self._flows[flow.__module__, flow.name] = flow

    def __iter__(self) -> Iterator[AnyFlow]:
        return iter(self._flows.values())

    def of(self, event: str) -> list[AnyFlow]:
        """The flows of ``event``, in the order of their definition.

        Raises:
            UnknownEventError: nobody listens; names the closest event.
            UsageError: it is no name, or two modules have a flow of the same name for
                it.
        """
        if not isinstance(event, str):
            raise UsageError(
                'The name of the event comes first, then the records: nf.send("event",'
                f" records), not a {type(event).__name__} as the name."
            )
        flows = [flow for flow in self if event in flow.events]
        if not flows:
            raise UnknownEventError(self._nobody(event))
        modules: dict[str, list[str]] = {}
        for flow in flows:
            modules.setdefault(flow.name, []).append(flow.__module__)
        for name, found in modules.items():
            if len(found) > 1:
                raise UsageError(
                    f"Two flows called {name!r} listen to {event!r} "
                    f"(in {', '.join(found)}); give one of them another name: "
                    "@nf.flow(on=..., name=...)."
                )
        return flows

    def _nobody(self, event: object) -> str:
        events = sorted({name for flow in self for name in flow.events})
        if not events:
            return (
                f"Nobody listens to {event!r}: no flow is defined yet. "
                f"Define one with @nf.flow(on={event!r}), then send again."
            )
        import difflib

        close = difflib.get_close_matches(str(event), events, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        known = ", ".join(map(repr, events))
        return f"Nobody listens to {event!r}. {hint}Events with flows: {known}."
