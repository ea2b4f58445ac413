"""Joined: what the caller of a failed step sees raised, the user's exception and a `StepError` in one.

``except`` asks for the class of what is raised and heeds no ``__instancecheck__``, so
that one object answers to both only if its class derives from both. It is a copy: calls
that share a failure each say their own record, and the user's own object, with its
traceback, stays what it is as the ``__cause__``.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from types import GetSetDescriptorType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from nbflow._call import failure
from nbflow._key.secret import KNOWN
from nbflow.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.errors import FailedCall

#: What a slot holds that was never set.
_NOTHING = object()
#: The flag of classes that can be made while a program runs.
_HEAP_TYPE = 1 << 9


def raised(error: BaseException, call: FailedCall) -> BaseException:
    """Return what a caller sees raised for a call that failed with ``error``; its ``__cause__`` is set."""
    if _is_signal(error):
        said = f"{call}: {failure.describe(error)}"
        return failure.caused(StepError(said, **call._asdict()), error)
    try:
        joined = rejoined(error, call)
    except Exception:  # whatever the class does when it is derived from or copied
        return _marked(error, call)
    return failure.caused(joined, error)


def _is_signal(error: BaseException) -> bool:
    """Return whether a class is read as a signal on the way: it would end a loop or a task that did not end."""
    import asyncio

    return isinstance(
        error, StopIteration | StopAsyncIteration | asyncio.CancelledError
    )


def _marked(error: BaseException, call: FailedCall) -> BaseException:
    """``error`` itself, where no class can be both: what caught it before still does."""
    vars(error)["_failed_call"] = call
    note = (
        f"{call}. `except nf.StepError` does not catch it: no class can derive from"
        f" {type(error).__name__} and keep what it holds."
    )
    if note not in vars(error).get("__notes__", ()):
        _add_note(error, note)
    return error


def _add_note(error: BaseException, note: str) -> None:
    """`BaseException.add_note` without the list that a copy shares, and the user's ``__getattr__``."""
    vars(error)["__notes__"] = [*vars(error).get("__notes__", ()), note]


class _Joined(BaseException):
    """What the joined classes add, before the user's methods."""

    def __init_subclass__(cls) -> None:
        """Keep a joined class from the user's own hook, which may ask for arguments or keep a register."""

    def __str__(self) -> str:
        return KNOWN.mask(super().__str__())

    def __reduce_ex__(self, _protocol: object) -> tuple[Any, ...]:
        # The class cannot be found by its name, the user's can.
        state = vars(self)
        return _loaded, (state["_raised"], state["_failed_call"]), state

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        vars(self).update(state or {})


def rejoined(error: BaseException, call: FailedCall) -> BaseException:
    """Return a copy of ``error`` that is a `StepError`, too.

    Raises:
        TypeError: its class cannot be derived from, or hides what it holds.
    """
    # What a nested step raised is joined already.
    users: BaseException = vars(error).get("_raised", error)
    kind: Any = type(users)
    joined = _copy(users, _joined(kind))
    vars(joined).update(vars(users), _raised=users, _failed_call=call)
    _add_note(joined, str(call))
    return joined


def _loaded(error: BaseException, call: FailedCall) -> BaseException:
    return failure.caused(rejoined(error, call), error)


@lru_cache(256)
def _joined(kind: Any) -> type[BaseException]:
    """Return the class that is both, under the name of the user's.

    Their methods and attributes come first, also where they have the names of ours.
    """
    bases = (StepError,) if issubclass(StepError, kind) else (kind, StepError)
    names = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    metaclass: Any = type(kind)
    made: type[BaseException] = metaclass(kind.__name__, (_Joined, *bases), names)
    return made


def _copy(error: BaseException, kind: type[BaseException]) -> BaseException:
    """Return ``error`` as an object of ``kind``, a class derived from its own, with all that it holds."""
    for make in _bare, _reduced:
        try:
            copy = make(error, kind)
        except TypeError:
            continue
        _fill(copy, error)
        if _holds_the_same(copy, error):
            return copy
    raise TypeError(f"{type(error).__name__} hides what it holds")


def _bare(error: BaseException, kind: type[BaseException]) -> BaseException:
    """Without a call of the user's ``__new__`` and ``__init__``, which may ask for anything."""
    solid: Any = kind
    while solid.__flags__ & _HEAP_TYPE:
        solid = solid.__base__
    args: Any = ()
    if isinstance(error, BaseExceptionGroup):
        args = error.message, error.exceptions  # read-only, once it is made
    copy: BaseException = solid.__new__(kind, *args)
    return copy


def _reduced(error: BaseException, kind: type[BaseException]) -> BaseException:
    """As a pickle is loaded: the way of classes in C or Rust that no attributes can be set of."""
    parts: Any = error.__reduce_ex__(2)
    make, args, *state = parts
    maker = kind if make is type(error) else getattr(kind, make.__name__)
    copy: BaseException = maker(*args)
    if type(copy) is not kind:
        raise TypeError(f"{make!r} makes no {kind.__name__}")
    if state and state[0]:
        copy.__setstate__(state[0])
    return copy


def _fill(copy: BaseException, error: BaseException) -> None:
    for slot in _slots(error):
        value = _held(slot, error)
        # A field of C that was not set reads as None, a slot of Python as nothing.
        is_set = value is not None or slot.__objclass__.__flags__ & _HEAP_TYPE
        if is_set and value is not _NOTHING:
            with contextlib.suppress(AttributeError, TypeError):  # read-only
                slot.__set__(copy, value)


def _holds_the_same(one: BaseException, other: BaseException) -> bool:
    pairs = [(_held(slot, one), _held(slot, other)) for slot in _slots(other)]
    return all(ours is theirs or bool(ours == theirs) for ours, theirs in pairs)


def _held(slot: Any, error: BaseException) -> object:
    try:
        return slot.__get__(error)
    except (AttributeError, TypeError):
        return _NOTHING


def _slots(error: BaseException) -> Iterator[Any]:
    """What an exception holds beside its ``__dict__``: fields of C, and ``__slots__``."""
    for kind in type(error).__mro__:
        for name, slot in vars(kind).items():
            is_slot = isinstance(slot, MemberDescriptorType | GetSetDescriptorType)
            if is_slot and not name.startswith("__"):  # as __traceback__
                yield slot
