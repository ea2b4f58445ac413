"""Lane: what one flow, or one mapped step, does with the records of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbflow._call import keys
from nbflow._call.runner import Call
from nbflow._core.signature import signature_of
from nbflow._core.step import closest, step_options
from nbflow._key.call import inputs_of
from nbflow._run.batch import copy_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow._call.scope import Place
    from nbflow._core.flow import AnyFlow
    from nbflow._core.step import AnyStep
    from nbflow._key.call import Input
    from nbflow._run.batch import Row


#: What `Step.map` takes for itself.
_OPTIONS = ("wait", "max_in_flight", "budget")


class FlowLane:
    """Every record once through a flow; the flow's outcome is remembered as a whole."""

    on_map = False
    unknown = ""
    labels: tuple[str, ...] = ()

    def __init__(self, flow: AnyFlow) -> None:
        self.name = flow.name
        self.is_async = flow.is_async
        self.ttl = None
        self.on_failure: Callable[..., Any] | None = flow.on_failure
        self._flow = flow
        self.identity = keys.identify(flow)
        self.subject = f"flow {flow.name}"

    def key(self, row: Row, run: str | None, code: bytes | None = None) -> str:
        """What the flow's outcome for ``row`` is, or with an earlier ``code`` was, remembered by."""
        return keys.flow_key(
            self._flow,
            self.identity if code is None else self.identity.at(code),
            row.digest,
            run,
        )

    @property
    def functions(self) -> list[AnyFlow | AnyStep]:
        """The flow, and the steps that it reaches."""
        return [self._flow, *self.identity.steps]

    @property
    def models(self) -> set[str]:
        """The models that its steps say they call."""
        return _models(self.identity.steps)

    def inputs(self, row: Row) -> list[Input]:
        """What a checkpoint keeps of the record."""
        return keys.record_inputs(row.digest)

    def call(self, row: Row, key: str, place: Place) -> Call:
        """The flow's call for one record, on a copy of the record."""
        return Call(
            self._flow.__wrapped__,
            self.name,
            self._flow.policy,
            key,
            (copy_of(row.record),),
            {},
            identity=self.identity,
            inputs=lambda: self.inputs(row),
            place=place,
            is_flow=True,
        )


class StepLane:
    """Every item once through a step: a map."""

    on_map = True
    on_failure = None

    def __init__(
        self, step: AnyStep, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> None:
        self.name = step.name
        self.is_async = step.is_async
        self.ttl = step.policy.ttl
        self._step = step
        self._binder, self._gate = step.prepared
        self.identity = keys.identify(step)
        self.subject, self.unknown = step.name, step.unknown
        self.labels = tuple(step.labels)
        # A bound method's instance comes before the item, which is the first argument
        # that its author sees.
        self._before, self._after = args[: len(step.bound)], args[len(step.bound) :]
        self._all, self._kwargs = args, kwargs
        self._check_arguments()

    def _check_arguments(self) -> None:
        """Refuse, before anything runs, what the step cannot be called with."""
        __tracebackhide__ = True
        try:
            signature = signature_of(self._step.__wrapped__)
        except ValueError:  # a function written in C that does not tell
            return
        try:
            signature.bind(*self._args(None), **self._kwargs)
        except TypeError as error:
            options = [
                name for name in self._kwargs if name not in signature.parameters
            ]
            raise TypeError(
                f"{self.name}.map(...) calls {self.name}{signature} with each item:"
                f" {error}.{_hint(options)}"
            ) from None

    def again(self, step: AnyStep | None) -> StepLane:
        """The same map, by the step as it is defined now."""
        return StepLane(step or self._step, self._all, self._kwargs)

    def key(self, row: Row, run: str | None, code: bytes | None = None) -> str:
        """The key of the step's call on ``row``: the same as that of a direct call."""
        return keys.step_key(
            self._step,
            self.identity if code is None else self.identity.at(code),
            self._arguments(row),
            run,
        )

    @property
    def functions(self) -> list[AnyFlow | AnyStep]:
        """The step, and others that it calls."""
        return [self._step, *self.identity.steps]

    @property
    def models(self) -> set[str]:
        """The models that the step, or another that it calls, says it calls."""
        return _models([self._step, *self.identity.steps])

    def inputs(self, row: Row) -> list[Input]:
        """What a checkpoint keeps of the arguments."""
        return inputs_of(self._arguments(row))

    def _arguments(self, row: Row) -> list[tuple[str, object]]:
        arguments: list[tuple[str, object]] = self._binder.arguments(
            self._args(row.record), self._kwargs
        )
        return arguments

    def _args(self, value: object) -> tuple[object, ...]:
        return (*self._before, value, *self._after)

    def call(self, row: Row, key: str, place: Place) -> Call:
        """The step's call for one item."""
        step = self._step
        return Call(
            step.__wrapped__,
            self.name,
            step.policy,
            key,
            self._args(copy_of(row.record)),
            self._kwargs,
            identity=self.identity,
            inputs=lambda: self.inputs(row),
            gate=self._gate,
            place=place,
        )


def _hint(unknown: Iterable[str]) -> str:
    """Where an option belongs that no argument of the step is called like."""
    for option in unknown:
        if option in step_options():
            return f" {option}= is an option of the step: @nf.step({option}=...)."
        close = closest(option, _OPTIONS)
        if close:
            return f" Did you mean {close}=?"
    return ""


def _models(steps: Iterable[AnyStep]) -> set[str]:
    return {step.model for step in steps if step.model is not None}


Lane = FlowLane | StepLane
