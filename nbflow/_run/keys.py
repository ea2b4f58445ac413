"""Keys of calls as the engine makes them: what `nbflow._key` knows, applied to steps and flows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from nbflow._key import call as calls
from nbflow._key import code as codes
from nbflow._key import value as values
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow._core.flow import Flow
    from nbflow._core.step import Step


def code_of(subject: Step[..., Any] | Flow[..., Any]) -> bytes:
    """The digest of everything about a step or flow that is not its input: code or ``version=``, ``depends_on=``."""
    own = codes.read(subject.__wrapped__).digest if subject.code_version is None else f"version {subject.code_version}".encode()
    keyed = getattr(subject, "keyed", None)
    if keyed is None or not keyed.depends_on:
        return own
    return blake3(own + b"".join(_dependency(thing) for thing in keyed.depends_on)).digest(20)


def _dependency(thing: Any) -> bytes:
    """A package by its installed version, a file by its content, a function by its code, anything else by value."""
    if isinstance(thing, str):
        from importlib import metadata

        try:
            return values.digest((thing, metadata.version(thing)))
        except metadata.PackageNotFoundError:
            raise UsageError(f"depends_on={thing!r} is not an installed package; give a Path for a file, or the function or value itself.") from None
    if isinstance(thing, Path):
        try:
            return values.digest(("file", thing.read_bytes()))
        except OSError as error:
            raise UsageError(f"depends_on={str(thing)!r} cannot be read: {error.strerror}.") from None
    if callable(thing):
        return codes.read(getattr(thing, "__wrapped__", thing)).digest
    return values.digest(thing, "depends_on")


def step_key(step: Step[..., Any], code: bytes, binder: calls.Binder, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The key of one call of a step."""
    return calls.call_key(step.name, code, binder.arguments(args, kwargs))


def flow_key(flow: Flow[..., Any], code: bytes, digest: bytes) -> str:
    """The key of a flow's outcome for the record with this digest."""
    return calls.call_key(f"flow {flow.name}", code, [("record", digest)])


def run_key(run: str) -> str:
    """The key under which the process that works on a run holds its lock."""
    return blake3(f"nbflow run {run}".encode()).hexdigest(length=20)
