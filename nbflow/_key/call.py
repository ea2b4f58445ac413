"""The key of a call: what a step is, and what it is called with."""

from __future__ import annotations

import inspect
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from blake3 import blake3

from nbflow._core.signature import signature_of
from nbflow._key.secret import KNOWN
from nbflow._key.value import SIZE, digest, encode_plain, member
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_encode = msgspec.msgpack.Encoder().encode
#: Bytes of a digest that tells two inputs apart for a reader; keys have more.
SHORT = 8
#: Of a frame with more columns, or a dict with more fields, the parts are not told
#: apart.
_MOST = 256


class Input(NamedTuple):
    """One argument of a call, as its checkpoint knows it.

    Attributes:
        name: of the argument.
        digest: `SHORT` bytes.
        kind: what its parts are called: ``"column"``, ``"field"`` or nothing.
        parts: name and digest of each.
    """

    name: str
    digest: bytes
    kind: str = ""
    parts: tuple[tuple[str, bytes], ...] = ()


class Binder:
    """Turns the arguments of a call into names and values: one list for all spellings of one call.

    Args:
        function: the step's function.
        ignore: names of arguments that do not count; others are passed over.
    """

    __slots__ = ("_bind", "_ignored", "_options")

    def __init__(
        self, function: Callable[..., Any], ignore: Iterable[str] = ()
    ) -> None:
        try:
            parameters = [*signature_of(function).parameters.values()]
        except ValueError:  # a function written in C that does not tell
            parameters = [
                *signature_of(
                    lambda *args, **kwargs: (args, kwargs)
                ).parameters.values()
            ]
        self._ignored = frozenset(ignore)
        last = parameters[-1] if parameters else None
        takes_any = (
            last is not None
            and last.kind is last.VAR_KEYWORD
            and last.name not in self._ignored
        )
        self._options = last.name if last is not None and takes_any else None
        self._bind = _binding(function, parameters, self._ignored)

    def arguments(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[tuple[str, object]]:
        """Return each argument that counts with its name, in the order of the signature, defaults filled in.

        ``*args`` is one tuple, ``**kwargs`` one dict sorted by name.

        Raises:
            TypeError: the function cannot be called so; Python's own error.
        """
        found = self._bind(*args, **kwargs)
        if self._options is not None:
            name, options = found[-1]
            found[-1] = (
                name,
                {
                    key: options[key]
                    for key in sorted(options)
                    if key not in self._ignored
                },
            )
        return found


def _binding(
    function: Callable[..., Any],
    parameters: list[inspect.Parameter],
    ignored: frozenset[str],
) -> Callable[..., list[tuple[str, Any]]]:
    """Make a function of the same signature that returns its arguments.

    Python itself then binds a call, in a tenth of the time that ``Signature.bind``
    takes and with the error that the function would raise.
    """
    empty = inspect.Parameter.empty
    bare = [
        parameter.replace(
            annotation=empty, default=empty if parameter.default is empty else None
        )
        for parameter in parameters
    ]
    counted = ", ".join(
        f"({p.name!r}, {p.name})" for p in parameters if p.name not in ignored
    )
    space: dict[str, Any] = {}
    exec(f"def bind{inspect.Signature(bare)}: return [{counted}]", space)  # noqa: S102  # names from a signature only
    bind = space["bind"]
    keyword_only = [
        p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not empty
    ]
    bind.__kwdefaults__ = {p.name: p.default for p in keyword_only}
    bind.__defaults__ = tuple(
        p.default
        for p in parameters
        if p.kind is not p.KEYWORD_ONLY and p.default is not empty
    )
    bind.__name__ = getattr(function, "__name__", "call")
    bind.__qualname__ = getattr(function, "__qualname__", bind.__name__)
    return bind  # type: ignore[no-any-return]


def call_key(
    name: str, code: bytes, arguments: list[tuple[str, object]], *, methods: bool = True
) -> str:
    """Return the key of a call: 40 lowercase hexadecimal digits.

    Args:
        name: of the step.
        code: digest of the step's code, from :func:`nbflow._key.code.read`.
        arguments: from :meth:`Binder.arguments`.
        methods: do the methods of the user's objects among the arguments count?

    Raises:
        UnkeyableError: no key can be made of an argument; the message names it.
    """
    data = encode_plain(
        ("call", name, code, arguments), [value for _, value in arguments]
    )
    if data is None:
        members = [
            (argument, member(digest(value, argument, methods=methods)))
            for argument, value in arguments
        ]
        data = _encode(("call", name, code, members))
    return blake3(data).hexdigest(SIZE)


def inputs_of(arguments: list[tuple[str, object]]) -> list[Input]:
    """Return what a checkpoint keeps of the arguments: digests, never the values."""
    return [
        Input(name, short_digest(value), *parts_of(value)) for name, value in arguments
    ]


def short_digest(value: object) -> bytes:
    """Return the first eight bytes of a value's digest: enough to tell whether it is another one."""
    return digest(value)[:SHORT]


def parts_of(value: Any) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return what the parts of a value are called, and each with its digest; none of a value that is one piece."""
    library, kind = type(value).__module__.partition(".")[0], type(value).__name__
    found: Iterable[tuple[Any, Any]] = ()
    name = ""
    if isinstance(value, dict):
        name, found = "field", value.items()
    elif kind == "DataFrame" and library in ("pandas", "polars"):
        # Of pandas the values alone: the index and attrs, which each column has as
        # well, are the frame's.
        pairs = (
            ((label, column.array) for label, column in value.items())
            if library == "pandas"
            else ((series.name, series) for series in value.get_columns())
        )
        name, found = "column", pairs
    elif kind == "Table" and library == "pyarrow":
        name, found = "column", zip(value.column_names, value.columns, strict=True)
    elif isinstance(getattr(value, "__dict__", None), dict) and not isinstance(
        value, (type, FunctionType, ModuleType)
    ):
        name, found = "field", vars(value).items()
    if (
        len(
            value
            if name == "field" and isinstance(value, dict)
            else getattr(value, "columns", ())
        )
        > _MOST
    ):
        return "", ()
    parts = []
    for part, inside in found:
        try:
            parts.append((KNOWN.mask(str(part)), short_digest(inside)))
        except UnkeyableError:
            continue  # an object that is keyed by less than all its attributes
    return (name, tuple(parts)) if parts else ("", ())
