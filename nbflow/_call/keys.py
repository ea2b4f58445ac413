"""Keys of calls as the engine makes them: what `nbflow._key` knows, applied to steps and flows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from blake3 import blake3

from nbflow._core.step import Step
from nbflow._key import call, reader, redaction
from nbflow._key.code import Code, Part
from nbflow._key.file import content_digest
from nbflow._key.kinds import is_data
from nbflow._key.origin import is_users
from nbflow._key.value import SHORT, SIZE
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._core.flow import AnyFlow
    from nbflow._core.step import AnyStep
    from nbflow._key.mutation import Slot

    Subject = AnyStep | AnyFlow


@dataclass(frozen=True, slots=True)
class Identity:
    """What a step or flow is, for the keys of its calls: everything but their inputs.

    Attributes:
        digest: 20 bytes.
        code: what it reaches; of a step with a version that alone.
        parts: what the digest is made of.
        per_run: its outputs are good for one run.
        methods: do the methods of objects among its inputs count?
    """

    digest: bytes
    code: Code
    parts: tuple[Part, ...]
    per_run: bool
    methods: bool

    def at(self, digest: bytes) -> Identity:
        """The same step with an earlier code, to ask for its keys."""
        return replace(self, digest=digest)

    @property
    def steps(self) -> tuple[AnyStep, ...]:
        """The steps that are reached."""
        return self.code.steps

    @property
    def changes(self) -> tuple[Slot, ...]:
        """Where the values are that the code changes itself."""
        return self.code.changes


def identify(subject: Subject) -> Identity:
    """Read a step or flow as it is now.

    Raises:
        UnkeyableError: it reads something that no key can be made of.
        UsageError: something in ``depends_on=`` is not there.
    """
    version = subject.code_version
    if version is None:
        code = reader.read(subject.__wrapped__, subject.code_ignores)
    else:
        code = reader.read(subject)
    known: tuple[Code, Identity] | None = subject.__dict__.get("_identity")
    if known is not None and known[0] is code:
        return known[1]
    identity = identity_of(code, (subject, *code.steps), methods=version is None)
    # Not with depends_on=: files change without anybody being told.
    if identity.digest is code.digest:
        subject.__dict__["_identity"] = code, identity
    return identity


def identity_of(code: Code, subjects: Iterable[object], *, methods: bool) -> Identity:
    """What has this code and reaches these steps: its code holds theirs, so it holds what they depend on as well."""
    steps = [part for part in dict.fromkeys(subjects) if isinstance(part, Step)]
    things = [thing for step in steps for thing in step.keyed.depends_on]
    depends = [part for thing in things for part in _dependencies(thing)]
    digest = code.digest
    if depends:
        whole = digest + b"".join(part.digest for part in depends)
        digest = blake3(whole).digest(SIZE)
    for function in (function for thing in things for function in _functions(thing)):
        read = reader.read(function)
        # What such a function changes itself does not count either, and an explanation
        # says so.
        code = replace(
            code,
            changes=(*code.changes, *read.changes),
            uncounted=(*code.uncounted, *read.uncounted),
        )
    per_run = any(step.keyed.per_run for step in steps)
    return Identity(digest, code, (*code.parts, *depends), per_run, methods)


def _functions(thing: object) -> Iterable[object]:
    """The functions in ``depends_on=``, by themselves or named by a dict."""
    values = thing.values() if isinstance(thing, dict) else [thing]
    return [
        getattr(value, "__wrapped__", value)
        for value in values
        if callable(value) and not is_data(value)
    ]


def _dependencies(thing: object) -> Iterable[Part]:
    """The items of a dict each under its name, anything else as one."""
    if isinstance(thing, dict) and all(isinstance(name, str) for name in thing):
        return [_named_value(name, value) for name, value in thing.items()]
    return [_dependency(thing)]


def _named_value(name: str, value: object) -> Part:
    if is_data(value):
        text = redaction.redacted(redaction.of_value(value), name)
        return Part(name, reader.digest(value, name), "value", text)
    code = reader.read(getattr(value, "__wrapped__", value))
    text = redaction.redacted(code.parts[0].text, name)
    return Part(name, code.digest, "function", text)


def _dependency(thing: object) -> Part:
    """A package by its installed version, a file by its content, a function by its code, anything else by value."""
    if isinstance(thing, str):
        from importlib import metadata

        try:
            version = metadata.version(thing)
        except metadata.PackageNotFoundError:
            raise UsageError(
                f"depends_on={thing!r} is not an installed package; give a Path for a"
                " file, or the function or value itself."
            ) from None
        digest = reader.digest((thing, version))
        return Part(f"package {thing}", digest, "dependency", version)
    if isinstance(thing, Path):
        try:
            return Part(f"file {thing}", content_digest(thing), "dependency")
        except OSError as error:
            raise UsageError(
                f"depends_on={str(thing)!r} cannot be read: {error.strerror}."
            ) from None
    if isinstance(thing, ModuleType) and not is_users(thing):
        raise UsageError(
            f"depends_on={thing.__name__} is a module of a package; give the name of"
            " the package to count its version, as in"
            f" depends_on={thing.__name__.partition('.')[0]!r}."
        )
    if callable(thing) or isinstance(thing, ModuleType):
        code = reader.read(getattr(thing, "__wrapped__", thing))
        return Part(code.parts[0].name, code.digest, "function", code.parts[0].text)
    return Part("depends_on", reader.digest(thing, "depends_on"))


def step_key(
    step: AnyStep,
    identity: Identity,
    arguments: list[tuple[str, object]],
    run: str | None,
) -> str:
    """The key of one call of a step; ``run``: the run it is made in, ``None`` for a direct call."""
    return call_key(step.name, identity, arguments, run)


def call_key(
    name: str, identity: Identity, arguments: list[tuple[str, object]], run: str | None
) -> str:
    """The key of one call of whatever is filed under ``name``, with its arguments as names and values."""
    return call.call_key(
        name, _in_run(identity, run), arguments, methods=identity.methods
    )


def flow_key(flow: AnyFlow, identity: Identity, digest: bytes, run: str | None) -> str:
    """The key of a flow's outcome for the record with this digest."""
    return call.record_key(f"flow {flow.name}", _in_run(identity, run), digest)


def _in_run(identity: Identity, run: str | None) -> bytes:
    if not identity.per_run or run is None:
        return identity.digest
    return blake3(identity.digest + run.encode()).digest(SIZE)


def record_inputs(digest: bytes) -> list[call.Input]:
    """What a flow's checkpoint keeps of the record."""
    return [call.Input("record", digest[:SHORT])]


def run_key(run: str) -> str:
    """The key under which the process that works on a run holds its lock."""
    return _named(f"nbflow run {run}")


def gate_key() -> str:
    """The key that whoever deletes results holds, and whoever begins a run passes."""
    return _named("nbflow gate")


def history_key(name: str) -> str:
    """The key under which the store keeps which codes a step or flow had."""
    return _named(f"nbflow history {name}")


def source_key(name: str, code: bytes) -> str:
    """The key under which the store keeps what one code of a step or flow was made of."""
    return _named(f"nbflow source {name} {code.hex()}")


def _named(text: str) -> str:
    return blake3(text.encode()).hexdigest(length=SIZE)
