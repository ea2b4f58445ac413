"""The key of a call: what a step is, and what it is called with."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from nbflow._key.value import SIZE, digest, encode_plain, member
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_encode = msgspec.msgpack.Encoder().encode


class Binder:
    """Turns the arguments of a call into names and values: one list for all spellings of one call.

    Args:
        function: the step's function.
        ignore: names of arguments that do not count.

    Raises:
        UsageError: the function has no argument of an ignored name.
    """

    __slots__ = ("_bind", "_ignored", "_options")

    def __init__(self, function: Callable[..., Any], ignore: Iterable[str] = ()) -> None:
        try:
            parameters = [*inspect.signature(function).parameters.values()]
        except ValueError:  # a function written in C that does not tell
            parameters = [*inspect.signature(lambda *args, **kwargs: (args, kwargs)).parameters.values()]
        self._ignored = frozenset(ignore)
        last = parameters[-1] if parameters else None
        takes_any = last is not None and last.kind is last.VAR_KEYWORD and last.name not in self._ignored
        self._options = last.name if last is not None and takes_any else None
        if self._options is None:
            _refuse_unknown(function, self._ignored, [parameter.name for parameter in parameters])
        self._bind = _binding(function, parameters, self._ignored)

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, object]]:
        """Return each argument that counts with its name, in the order of the signature, defaults filled in.

        ``*args`` is one tuple, ``**kwargs`` one dict sorted by name.

        Raises:
            TypeError: the function cannot be called so; Python's own error.
        """
        found = self._bind(*args, **kwargs)
        if self._options is not None:
            name, options = found[-1]
            found[-1] = name, {key: options[key] for key in sorted(options) if key not in self._ignored}
        return found


def _refuse_unknown(function: Callable[..., Any], ignored: frozenset[str], names: list[str]) -> None:
    for name in sorted(ignored.difference(names)):
        close = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(names) or 'none'}"
        raise UsageError(f"ignore={name!r}: {function.__qualname__} has no argument of this name{hint}")


def _binding(
    function: Callable[..., Any], parameters: list[inspect.Parameter], ignored: frozenset[str]
) -> Callable[..., list[tuple[str, Any]]]:
    """Make a function of the same signature that returns its arguments.

    Python itself then binds a call, in a tenth of the time that ``Signature.bind`` takes and with the error
    that the function would raise.
    """
    empty = inspect.Parameter.empty
    bare = [
        parameter.replace(annotation=empty, default=empty if parameter.default is empty else None)
        for parameter in parameters
    ]
    counted = ", ".join(f"({p.name!r}, {p.name})" for p in parameters if p.name not in ignored)
    space: dict[str, Any] = {}
    exec(f"def bind{inspect.Signature(bare)}: return [{counted}]", space)  # noqa: S102  # names from a signature only
    bind = space["bind"]
    keyword_only = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not empty]
    bind.__kwdefaults__ = {p.name: p.default for p in keyword_only}
    bind.__defaults__ = tuple(p.default for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is not empty)
    bind.__name__ = getattr(function, "__name__", "call")
    bind.__qualname__ = getattr(function, "__qualname__", bind.__name__)
    return bind  # type: ignore[no-any-return]


def call_key(name: str, code: bytes, arguments: list[tuple[str, object]], *, methods: bool = True) -> str:
    """Return the key of a call: 40 lowercase hexadecimal digits.

    Args:
        name: of the step.
        code: digest of the step's code, from :func:`nbflow._key.code.read`.
        arguments: from :meth:`Binder.arguments`.
        methods: do the methods of the user's objects among the arguments count?

    Raises:
        UnkeyableError: no key can be made of an argument; the message names it.
    """
    data = encode_plain(("call", name, code, arguments), [value for _, value in arguments])
    if data is None:
        members = [(argument, member(digest(value, argument, methods=methods))) for argument, value in arguments]
        data = _encode(("call", name, code, members))
    return blake3(data).hexdigest(SIZE)
