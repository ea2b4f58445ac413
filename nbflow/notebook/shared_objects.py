"""Shared objects: what several names of a notebook hold, kept shared when a cell comes from disk.

``view = df`` makes no second frame: a change of ``view`` is a change of ``df``. A cell
that is found on disk must leave it so. Therefore the objects that a cell is given are
numbered, in an order that follows from their content. What it saves refers to them by
number, and an object that it changed in place gets its new content where it is, for all
names that hold it.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NotRequired, TypeAlias, TypedDict, TypeGuard

from nbflow._key.kinds import is_constant, is_data
from nbflow._key.origin import is_users
from nbflow._store import codec
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from nbflow.notebook.shell import Space

_ATOMS = frozenset((str, bytes, int, float, bool, complex, type(None)))
_DICTS = frozenset((dict, OrderedDict, defaultdict, Counter))
_CODE = (FunctionType, BuiltinFunctionType, type, ModuleType)


#: A value as a store has it: the name of its codec, and the bytes.
Encoded: TypeAlias = "list[Any]"


class SavedObjects(TypedDict):
    """The outputs of a cell, and what it did to the objects that it was given.

    Attributes:
        names: outputs that share nothing, by name.
        whole: objects that it changed, each as its number and its new content.
        together: outputs that share objects, and the new content of containers that it
            changed, in one piece.
    """

    names: dict[str, Encoded]
    whole: list[Encoded]
    together: NotRequired[bytes | None]


class Objects:
    """The mutable objects in some values, each with its number.

    Attributes:
        found: the objects, in order. Equal values that share objects in the same way
            have them in the same order.
        again: which objects are met more than once, and where: plain data, for a key.
        under: the numbers of the objects that each value holds, by its name.
    """

    def __init__(self, values: Iterable[tuple[str, object]]) -> None:
        self.found: list[object] = []
        self.again: list[tuple[int, int]] = []
        self.under: dict[str, set[int]] = {}
        #: The number of each object, by its id.
        self._numbers: dict[int, int] = {}
        #: By the id of the memory that arrays show: the array that shows all of it, and
        #: the first one that shows a part.
        self._whole: dict[int, int] = {}
        self._partly: dict[int, int] = {}
        self._visits = 0
        for name, value in values:
            self._look(value, self.under.setdefault(name, set()))

    def number(self, value: object) -> int | None:
        """Return the number of an object; ``None`` if it has none."""
        return self._numbers.get(id(value))

    def _look(self, root: object, under: set[int]) -> None:
        """Number what a value holds, depth first; no recursion, as lists can be deep."""
        numbers, found, visits = self._numbers, self.found, self._visits
        waiting = [root]
        while waiting:
            value = waiting.pop()
            kind = type(value)
            if kind is not tuple:
                if kind is not list and kind not in _DICTS and not can_change(value):
                    continue
                visits += 1
                number = numbers.setdefault(id(value), len(found))
                if number < len(found):
                    self.again.append((visits, number))
                    if number in under:
                        continue
                else:
                    found.append(value)
                    if _is_array(value):
                        self._note_memory(value, number, visits)
                under.add(number)
            if parts := _parts(value):
                waiting.extend(reversed(parts))
        self._visits = visits

    def base(self, value: object) -> object:
        """Return the array among these that an array is a view of; itself if there is none."""
        if not _is_array(value):
            return value
        number = self._whole.get(id(_memory(value)))
        return value if number is None else self.found[number]

    def _note_memory(self, value: NDArray[Any], number: int, visits: int) -> None:
        """Note that two arrays show the same memory: it matters as much as being one object."""
        memory = id(_memory(value))
        if memory in self._whole:
            self.again.append((visits, self._whole[memory]))
        elif _is_whole(value):
            self._whole[memory] = number
            if memory in self._partly:
                self.again.append((visits, self._partly[memory]))
        else:
            self._partly.setdefault(memory, number)


def can_change(value: object) -> bool:
    """Return whether an object can change, so that it matters which names hold it."""
    if type(value) in _ATOMS or isinstance(value, _CODE) or is_constant(value):
        return False
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.generic, numpy.dtype)):
        return False
    return is_data(value)


def _parts(value: Any) -> list[object]:
    """Return what an object holds that may be mutable: of a list, a dict, a record of the user's.

    What an object of a library holds is the library's business.
    """
    kind = type(value)
    if kind is list or kind is tuple:
        return [part for part in value if type(part) not in _ATOMS]
    if kind in _DICTS:
        return [part for part in value.values() if type(part) not in _ATOMS]
    if _is_record(value):
        parts = (part for _, part in sorted(vars(value).items()))
        return [part for part in parts if type(part) not in _ATOMS]
    return []


class _Plain:
    """An object that has attributes and nothing else: its size tells others like it."""


def _is_plain(value: object) -> bool:
    return (
        type(value).__basicsize__ == _Plain.__basicsize__
        and hasattr(value, "__dict__")
        and not isinstance(value, (BaseException, *_CODE))
    )


def _is_record(value: object) -> bool:
    """Return whether an object of a user's class is its attributes and nothing else."""
    return is_users(type(value)) and _is_plain(value)


def _is_container(value: object) -> bool:
    return type(value) is list or type(value) in _DICTS or _is_record(value)


def _is_array(value: object) -> TypeGuard[NDArray[Any]]:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _memory(value: NDArray[Any]) -> NDArray[Any]:
    """Return the array that owns what an array shows."""
    while _is_array(value.base):
        value = value.base
    return value


def _is_whole(value: NDArray[Any]) -> bool:
    """Return whether an array shows all of its memory, so that others are views of it."""
    return bool(
        value.nbytes == _memory(value).nbytes
        and not value.dtype.hasobject
        and (value.flags.c_contiguous or value.flags.f_contiguous)
    )


@dataclass(frozen=True, slots=True)
class _ArrayView:
    """An array that is a view of another one; stores have it by this name."""

    base: NDArray[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    def made(self) -> object:
        """Make the view, of the array as it is here."""
        base = self.base if self.base.flags.c_contiguous else self.base.ravel("K")
        return type(base)(self.shape, self.dtype, base, self.offset, self.strides)


def _base(value: object, before: Objects, after: Objects) -> object:
    base = before.base(value)
    return base if base is not value else after.base(value)


def _as_view(value: object, before: Objects, after: Objects) -> object:
    """Return how a value is saved: a view as what it is a view of, and where."""
    base = _base(value, before, after)
    if base is value or before.number(value) is not None:
        return value
    assert _is_array(value)
    assert _is_array(base)
    start = value.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return _ArrayView(base, start, value.shape, value.strides, value.dtype)


# What is saved.


def saved(
    names: Mapping[str, object], before: Objects, changed: Iterable[str]
) -> SavedObjects:
    """Encode names with their values, and the new content of objects that were changed.

    Args:
        names: what a cell gives to others.
        before: the objects that it was given.
        changed: the names of the values that it changed in place.

    Returns:
        What `Restored` reads.

    Raises:
        CodecError: something cannot be saved; says what.
    """
    own: dict[str, Encoded] = {}
    together = _sharing(names, before)
    for name in names.keys() - together.keys():
        written_as, data = _encoded(name, names[name])
        if written_as == "pickle":
            # It may hold what others hold, too: a figure and its axes.
            together[name] = names[name]
        else:
            own[name] = [written_as, data]
    whole, inside = _changes(before, changed)
    found: SavedObjects = {"names": own, "whole": whole}
    if together or inside:
        found["together"] = among(together, before, inside)
    return found


def _changes(
    before: Objects, changed: Iterable[str]
) -> tuple[list[Encoded], dict[int, object]]:
    """Return the new content of what a cell changed in place, by number.

    First that of objects which are saved each by itself; then that of containers, whose
    parts may be shared and are saved together.
    """
    whole: list[Encoded] = []
    inside: dict[int, object] = {}
    held = [before.under[name] for name in changed]
    for number in sorted(set[int]().union(*held)):
        value = before.found[number]
        if _is_container(value):
            inside[number] = _content(value)
            continue
        form = _whole(value, must={number} in held)
        if form is not None:
            whole.append([number, *form])
    return whole, inside


def among(
    names: Mapping[str, object],
    before: Objects,
    inside: Mapping[int, object] | None = None,
) -> bytes:
    """Encode names whose values share objects with each other or with what was there before.

    Raises:
        CodecError: something cannot be saved; says what.
    """
    after = Objects(names.items())
    values = {name: _as_view(value, before, after) for name, value in names.items()}
    try:
        return codec.encode_among((values, dict(inside or {})), before.found)
    except CodecError:
        # One by one, the value that cannot be saved is named.
        for name, value in names.items():
            _encoded(name, value)
        raise


def _sharing(names: Mapping[str, object], before: Objects) -> dict[str, object]:
    """Return the names whose values share objects with each other or with what was there before."""
    after = Objects(names.items())
    holders = Counter[int]()
    for numbers in after.under.values():
        holders.update(numbers)
    shared: set[int] = set()
    for number, value in enumerate(after.found):
        base = _base(value, before, after)
        if base is not value:
            shared.add(number)
            # A view holds the array behind it as much as a name does.
            base_number = after.number(base)
            if base_number is not None:
                holders[base_number] += 1
        elif before.number(value) is not None:
            shared.add(number)
    shared |= {number for number, count in holders.items() if count > 1}
    return {
        name: names[name]
        for name, numbers in after.under.items()
        if not shared.isdisjoint(numbers)
    }


def _encoded(name: str, value: object) -> tuple[str, bytes]:
    """Encode a value; an error names it as the user does."""
    try:
        return codec.encode(value)
    except CodecError as error:
        raise CodecError(str(error).replace("value", f"`{name}`", 1)) from error


def _content(value: Any) -> object:
    """Return what a container holds, in a form that shares its parts and not itself."""
    if type(value) is list:
        return list(value)
    if type(value) in _DICTS:
        return list(value.items())
    return dict(vars(value))


def _whole(value: object, *, must: bool) -> tuple[str, bytes] | None:
    """Encode an object that may have changed; ``must``: it surely did.

    A lock or a connection inside of something larger cannot be encoded, and nothing can
    say whether it changed: it stays as it is.
    """
    try:
        return codec.encode(value)
    except CodecError:
        if must:
            raise
        return None


# What is brought back.


class Restored:
    """What a saved cell does to shared objects, decoded; `change` does it.

    Raises:
        CodecError: a class is not there, or no longer there.
    """

    def __init__(self, data: SavedObjects, before: Objects) -> None:
        objects = list(before.found)
        self._new = {
            number: codec.decode(written_as, payload)
            for number, written_as, payload in data.get("whole", ())
        }
        self._before = before.found
        # An object that cannot take over the new content is replaced by a new object.
        for number, new in self._new.items():
            if not _can_become(objects[number], new):
                objects[number] = new
        self._objects = objects
        together = data.get("together")
        names, inside = codec.decode_among(together, objects) if together else ({}, {})
        self._names: dict[str, object] = names
        self._inside: dict[int, object] = inside

    def names(self) -> dict[str, object]:
        """Return the names that share objects, with their values."""
        return {
            name: value.made() if isinstance(value, _ArrayView) else value
            for name, value in self._names.items()
        }

    def change(self, space: Space) -> None:
        """Give the objects that were changed their new content.

        Where an object cannot take it over, the names that hold it get the new object.
        """
        for number, content in self._inside.items():
            _fill(self._objects[number], content)
        for number, new in self._new.items():
            old = self._before[number]
            if self._objects[number] is not new:
                _become(old, new)
                continue
            holders = [name for name, value in space.items() if value is old]
            space.update(dict.fromkeys(holders, new))


def _fill(value: Any, content: Any) -> None:
    """Give a container the parts that `_content` took from it."""
    if type(value) is list:
        value[:] = content
    else:
        inside = value if type(value) in _DICTS else vars(value)
        inside.clear()
        # Not its own `update`: that of a Counter adds.
        dict.update(inside, content)


#: The attribute or method by which an object of a library takes over another one: of
#: pandas, polars (frame, series), random, numpy.
_WAYS = ("_update_inplace", "_df", "_s", "setstate", "bit_generator")


def _is_index(value: object) -> bool:
    # Another thread may be importing it.
    return isinstance(value, getattr(sys.modules.get("pandas"), "Index", ()))


def _can_become(old: Any, new: Any) -> bool:
    """Return whether an object can take over the content of another one, for all that hold it."""
    if type(old) is not type(new):
        return False
    if _is_array(old) and _is_array(new):
        is_alike = old.shape == new.shape and old.dtype == new.dtype
        return is_alike and old.flags.writeable
    if isinstance(old, (set, bytearray, deque)) or _is_plain(old):
        return True
    if _is_index(old):  # of which a cell can change the names alone
        return bool(old.equals(new))
    return any(hasattr(old, name) for name in _WAYS)


def _become_frame(old: Any, new: Any) -> None:
    """Let a frame or series of pandas take over another one."""
    old._update_inplace(new)  # noqa: SLF001  # no public way changes a frame's whole content
    old.attrs = new.attrs
    if hasattr(old, "to_frame"):
        old.name = new.name


def _become(old: Any, new: Any) -> None:
    """Let an object take over the content of another one; `_can_become` says that it can."""
    if _is_array(old):
        old[...] = new
    elif _is_index(old):
        old.names = new.names
    elif hasattr(old, "_update_inplace"):
        _become_frame(old, new)
    elif hasattr(old, "_df") or hasattr(old, "_s"):  # polars
        name = "_df" if hasattr(old, "_df") else "_s"
        setattr(old, name, getattr(new, name))
    elif hasattr(old, "setstate"):  # random
        old.setstate(new.getstate())
    elif hasattr(old, "bit_generator"):  # numpy
        old.bit_generator.state = new.bit_generator.state
    elif isinstance(old, set):
        old.clear()
        old.update(new)
    elif isinstance(old, deque):
        old.clear()
        old.extend(new)
    elif isinstance(old, bytearray):
        old[:] = new
    else:
        vars(old).clear()
        vars(old).update(vars(new))
