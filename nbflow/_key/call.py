"""The key of a call: what a step is, and what it is called with."""

from __future__ import annotations

import inspect
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from blake3 import blake3

from nbflow._core.signature import signature_of
from nbflow._key.kinds import MOST_PARTS, columns_of, is_frame
from nbflow._key.origin import behaves, is_users
from nbflow._key.reader import digest
from nbflow._key.secret import KNOWN
from nbflow._key.value import (
    SHORT,
    SIZE,
    encode_plain,
    identified_as,
    member,
    plain_digest,
    seal,
)
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_encode = msgspec.msgpack.Encoder().encode
#: What has no parts.
_WHOLE = frozenset((str, int, float, bool, type(None), bytes, list, tuple))


class Input(NamedTuple):
    """One argument of a call, as its checkpoint knows it.

    Attributes:
        name: of the argument.
        digest: `SHORT` bytes.
        kind: what its parts are called: ``"column"``, ``"field"`` or nothing.
        parts: name and digest of each; of an object the class as well, which has no
            name.
    """

    name: str
    digest: bytes
    kind: str = ""
    parts: tuple[tuple[str, bytes], ...] = ()


class Binder:
    """Turns the arguments of a call into names and values, one list for all spellings.

    Args:
        function: the step's function.
        ignore: names of arguments that do not count; others are passed over.
        same: of the first argument, what counts in its place.
    """

    __slots__ = ("_bind", "_ignored", "_options", "_same")

    def __init__(
        self,
        function: Callable[..., object],
        ignore: Iterable[str] = (),
        same: Callable[[Any], object] | None = None,
    ) -> None:
        try:
            parameters = [*signature_of(function).parameters.values()]
        except ValueError:  # a function written in C that does not tell
            parameters = [*signature_of(_anything).parameters.values()]
        self._ignored = frozenset(ignore)
        self._same = same
        #: The name of ``**kwargs``, if there are any and they count.
        self._options: str | None = None
        for last in parameters[-1:]:
            if last.kind is last.VAR_KEYWORD and last.name not in self._ignored:
                self._options = last.name
        self._bind = _binding(function, parameters, self._ignored)

    def arguments(
        self, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> list[tuple[str, object]]:
        """Return each argument that counts with its name.

        They are in the order of the signature, defaults filled in. ``*args`` is one
        tuple, ``**kwargs`` one dict sorted by name.

        Raises:
            TypeError: the function cannot be called so; Python's own error.
        """
        __tracebackhide__ = True
        found = self._bind(*args, **kwargs)
        if self._options is not None:
            name, options = found[-1]
            ignored = self._ignored
            kept = {key: options[key] for key in sorted(options) if key not in ignored}
            found[-1] = name, kept
        if self._same is not None:
            name, value = found[0]
            found[0] = name, self._same(value)
        return found


def _anything(*args: object, **kwargs: object) -> None:
    """Have the signature of a function that tells nothing of its own."""


def _binding(
    function: Callable[..., object],
    parameters: list[inspect.Parameter],
    ignored: frozenset[str],
) -> Callable[..., list[tuple[str, Any]]]:
    """Make a function of the same signature that returns its arguments.

    Python itself then binds a call, in a tenth of the time that ``Signature.bind``
    takes and with the error that the function would raise.
    """
    empty = inspect.Parameter.empty
    bare, counted = [], []
    positional: list[object] = []
    keyword_only: dict[str, object] = {}
    for parameter in parameters:
        name, default = parameter.name, parameter.default
        if name not in ignored:
            counted.append(f"({name!r}, {name})")
        # A default has no spelling in general: it is put into the function afterwards.
        has_default = default is not empty
        stand_in = None if has_default else empty
        bare.append(parameter.replace(annotation=empty, default=stand_in))
        if has_default and parameter.kind is parameter.KEYWORD_ONLY:
            keyword_only[name] = default
        elif has_default:
            positional.append(default)
    source = f"def bind{inspect.Signature(bare)}: return [{', '.join(counted)}]"
    space: dict[str, FunctionType] = {}
    exec(source, space)  # noqa: S102  # nothing but names from a signature
    bind = space["bind"]
    bind.__defaults__ = tuple(positional)
    bind.__kwdefaults__ = keyword_only
    bind.__name__ = getattr(function, "__name__", "call")
    bind.__qualname__ = getattr(function, "__qualname__", bind.__name__)
    return bind


def call_key(
    name: str, code: bytes, arguments: list[tuple[str, object]], *, methods: bool = True
) -> str:
    """Return the key of a call: 40 lowercase hexadecimal digits.

    Args:
        name: of the step.
        code: digest of the step's code, from :func:`nbflow._key.reader.read`.
        arguments: from :meth:`Binder.arguments`.
        methods: do the methods of the user's objects among the arguments count?

    Raises:
        UnkeyableError: no key can be made of an argument; the message names it.
    """
    values = [value for _, value in arguments]
    data = encode_plain(("call", name, code, arguments), values)
    if data is None:
        members = []
        for argument, value in arguments:
            found = digest(value, argument, methods=methods)
            members.append((argument, member(found)))
        data = _encode(("call", name, code, members))
    return blake3(data).hexdigest(SIZE)


def record_key(name: str, code: bytes, record: bytes) -> str:
    """Return the same as `call_key` for one argument ``record`` that is a digest, which is plain."""
    data = _encode(("call", name, code, [("record", record)]))
    return blake3(data).hexdigest(SIZE)


def inputs_of(arguments: list[tuple[str, object]]) -> list[Input]:
    """Return what a checkpoint keeps of the arguments: digests, never the values."""
    return [
        Input(name, short_digest(value), *parts_of(value)) for name, value in arguments
    ]


def short_digest(value: object) -> bytes:
    """Return the first bytes of a value's digest: enough to see that it is another one."""
    found = plain_digest(value, SHORT)
    return digest(value)[:SHORT] if found is None else found


def parts_of(value: object) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return what the parts of a value are called, and each with its digest.

    A value that is one piece has none.
    """
    if type(value) in _WHOLE:
        return "", ()
    name, found = "field", _fields_of(value)
    if is_frame(value):
        name, found = "column", columns_of(value)
    parts = []
    for part, inside in found:
        try:
            label = part if type(part) is str and not KNOWN else KNOWN.mask(str(part))
            parts.append((label, short_digest(inside)))
        except UnkeyableError:
            continue  # an object that is keyed by less than all its attributes
    if parts and name == "field" and not isinstance(value, dict):
        parts.append(("", _class_digest(type(value))))
    return (name, tuple(parts)) if parts else ("", ())


def _class_digest(kind: type) -> bytes:
    """Return the digest of what counts of the class of an object."""
    if is_users(kind) and behaves(kind):
        return short_digest(kind)
    return seal("class", kind.__qualname__)[:SHORT]


def _fields_of(value: object) -> Iterable[tuple[object, object]]:
    """Return the entries of a dict that is not too big, or the attributes of an object."""
    if isinstance(value, dict):
        return value.items() if len(value) <= MOST_PARTS else ()
    if isinstance(value, (type, FunctionType, ModuleType)):
        return ()
    if identified_as(type(value)) is not None:
        return ()  # its attributes are not what it is known by
    attributes = getattr(value, "__dict__", None)
    return attributes.items() if isinstance(attributes, dict) else ()
