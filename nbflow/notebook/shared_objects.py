"""Objects: what the names of a notebook hold together, and what happens to it when a cell comes from disk.

``view = df`` makes no frame: what is done to ``view`` is done to ``df``. A cell that is
found on disk must leave that as it was. So the objects that a cell is given are
numbered, in an order that follows from their content; what it saves names those that
were there by their numbers, and an object that it changed in place gets its new content
where it is, for all that hold it.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NotRequired, TypeAlias, TypedDict

from nbflow._key.kinds import is_constant, is_data
from nbflow._key.origin import is_users
from nbflow._store import codec
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    """The objects that can change in some values, each with its number.

    Attributes:
        found: them, in order: values that are equal to these, and share objects as
            these do, have them in the same.
        again: where one is met that was met before, as plain data: what is shared.
        under: the numbers of those that each value holds, by its name.
    """

    def __init__(self, values: Iterable[tuple[str, object]]) -> None:
        self.found: list[object] = []
        self.again: list[tuple[int, int]] = []
        self.under: dict[str, set[int]] = {}
        self._numbers: dict[int, int] = {}
        self._whole: dict[int, int] = {}
        self._partly: dict[int, int] = {}
        self._visits = 0
        for name, value in values:
            self._look(value, self.under.setdefault(name, set()))

    def number(self, value: object) -> int | None:
        """The number of an object; ``None`` if it is none of them."""
        return self._numbers.get(id(value))

    def _look(self, root: object, under: set[int]) -> None:
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
        """The array among these that an array is a view of; itself if there is none."""
        number = self._whole.get(id(_memory(value))) if _is_array(value) else None
        return value if number is None else self.found[number]

    def _note_memory(self, value: object, number: int, visits: int) -> None:
        """Note that one array shows what is in another: it matters as much as that both are one."""
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
    """Tell whether an object can be another one tomorrow, so that it matters who holds it."""
    if type(value) in _ATOMS or isinstance(value, _CODE) or is_constant(value):
        return False
    numpy = sys.modules.get("numpy")
    return not (
        numpy is not None and isinstance(value, (numpy.generic, numpy.dtype))
    ) and is_data(value)


def _parts(value: Any) -> list[object]:
    """What an object holds that can change itself: of a list, a dict, an object of the user's; not what a library keeps."""
    kind = type(value)
    if kind is list or kind is tuple:
        return [part for part in value if type(part) not in _ATOMS]
    if kind in _DICTS:
        return [part for part in value.values() if type(part) not in _ATOMS]
    if _is_record(value):
        return [
            part for _, part in sorted(vars(value).items()) if type(part) not in _ATOMS
        ]
    return []


class _Plain:
    """What has attributes, and nothing else."""


def _is_plain(value: object) -> bool:
    return (
        type(value).__basicsize__ == _Plain.__basicsize__
        and hasattr(value, "__dict__")
        and not isinstance(value, (BaseException, *_CODE))
    )


def _is_record(value: object) -> bool:
    """Tell whether an object of a class of the user's is its attributes and nothing else."""
    return is_users(type(value)) and _is_plain(value)


def _is_container(value: object) -> bool:
    return type(value) is list or type(value) in _DICTS or _is_record(value)


def _is_array(value: object) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _memory(value: Any) -> Any:
    """What holds the numbers of an array."""
    while _is_array(value.base):
        value = value.base
    return value


def _is_whole(value: Any) -> bool:
    """Tell whether an array shows all that is in its memory, so that others are views of it."""
    return bool(
        value.nbytes == _memory(value).nbytes
        and not value.dtype.hasobject
        and (value.flags.c_contiguous or value.flags.f_contiguous)
    )


@dataclass(frozen=True, slots=True)
class _View:
    """An array that is a view of another one."""

    base: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any

    def made(self) -> Any:
        """The view, of the array as it is here."""
        base = self.base if self.base.flags.c_contiguous else self.base.ravel("K")
        return type(base)(self.shape, self.dtype, base, self.offset, self.strides)


def _base(value: object, before: Objects, after: Objects) -> object:
    base = before.base(value)
    return base if base is not value else after.base(value)


def _as_view(value: Any, before: Objects, after: Objects) -> object:
    base: Any = _base(value, before, after)
    if base is value or before.number(value) is not None:
        return value
    start = value.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return _View(base, start, value.shape, value.strides, value.dtype)


# What is saved.


def saved(
    names: Mapping[str, object], before: Objects, changed: Iterable[str]
) -> SavedObjects:
    """Names with their values, and the new content of objects that were changed, as data for `restored`.

    Args:
        names: what a cell gives to others.
        before: the objects that it was given.
        changed: the names of the values that it changed in place.

    Raises:
        CodecError: something has no form in bytes; says what.
    """
    own: dict[str, Encoded] = {}
    together = _sharing(names, before)
    for name in names.keys() - together.keys():
        written_as, data = _named(name, codec.encode, names[name])
        if (
            written_as == "pickle"
        ):  # which may hold what others hold, too: a figure and its axes
            together[name] = names[name]
        else:
            own[name] = [written_as, data]
    whole: list[Encoded] = []
    inside: dict[int, object] = {}
    for number in sorted(set[int]().union(*(before.under[name] for name in changed))):
        value = before.found[number]
        if _is_container(value):
            inside[number] = _content(value)
        elif (
            form := _whole(
                value, must=any(before.under[name] == {number} for name in changed)
            )
        ) is not None:
            whole.append([number, *form])
    found: SavedObjects = {"names": own, "whole": whole}
    if together or inside:
        found["together"] = among(together, before, inside)
    return found


def among(
    names: Mapping[str, object],
    before: Objects,
    inside: Mapping[int, object] | None = None,
) -> bytes:
    """Names whose values share objects among each other or with what was there before.

    Raises:
        CodecError: something has no form in bytes; says what.
    """
    after = Objects(names.items())
    values = {name: _as_view(value, before, after) for name, value in names.items()}
    try:
        return codec.encode_among((values, dict(inside or {})), before.found)
    except CodecError:
        for name, value in names.items():
            _named(name, codec.encode, value)  # which says where the trouble is
        raise


def _sharing(names: Mapping[str, object], before: Objects) -> dict[str, object]:
    """Those whose values share objects among each other or with what was there before."""
    after = Objects(names.items())
    held = Counter(number for numbers in after.under.values() for number in numbers)
    bases = [(value, _base(value, before, after)) for value in after.found]
    held.update(
        number
        for value, base in bases
        if base is not value and (number := after.number(base)) is not None
    )

    def is_shared(number: int) -> bool:
        value, base = bases[number]
        return held[number] > 1 or base is not value or before.number(value) is not None

    return {
        name: names[name]
        for name, numbers in after.under.items()
        if any(map(is_shared, numbers))
    }


def _named(
    name: str, encode: Callable[[object], tuple[str, bytes]], value: object
) -> tuple[str, bytes]:
    try:
        return encode(value)
    except CodecError as error:
        raise CodecError(str(error).replace("value", f"`{name}`", 1)) from error


def _content(value: Any) -> object:
    return (
        list(value)
        if type(value) is list
        else list(value.items())
        if type(value) in _DICTS
        else dict(vars(value))
    )


def _whole(value: object, *, must: bool) -> tuple[str, bytes] | None:
    try:
        return codec.encode(value)
    except CodecError:
        if must:
            raise
        return None  # a lock or a connection inside: nobody can tell whether it changed


# What is brought back.


class Restored:
    """What a saved cell brings back, read and not yet done.

    Raises:
        CodecError: a class is not there, or not any more.
    """

    def __init__(self, data: SavedObjects, before: Objects) -> None:
        objects = list(before.found)
        self._new = {
            number: codec.decode(written_as, payload)
            for number, written_as, payload in data.get("whole", ())
        }
        self._before = before.found
        for number, new in self._new.items():
            if not _can_become(objects[number], new):
                objects[number] = new
        self._objects = objects
        together = data.get("together")
        names, inside = codec.decode_among(together, objects) if together else ({}, {})
        self._names: dict[str, object] = names
        self._inside: dict[int, object] = inside

    def names(self) -> dict[str, object]:
        """The names that share objects, with their values."""
        return {
            name: value.made() if isinstance(value, _View) else value
            for name, value in self._names.items()
        }

    def change(self, space: dict[str, Any]) -> None:
        """Give the objects that were changed their new content; where that cannot be, the names that hold them another one."""
        for number, content in self._inside.items():
            _fill(self._objects[number], content)
        for number, new in self._new.items():
            old = self._before[number]
            if self._objects[number] is not new:
                _become(old, new)
                continue
            for name in [name for name, value in space.items() if value is old]:
                space[name] = new


def _fill(value: Any, content: Any) -> None:
    if type(value) is list:
        value[:] = content
    else:
        inside = value if type(value) in _DICTS else vars(value)
        inside.clear()
        dict.update(inside, content)  # of a Counter, `update` counts


def _can_become(old: Any, new: Any) -> bool:
    """Tell whether an object can take over the content of another one, for all that hold it."""
    if type(old) is not type(new):
        return False
    if _is_array(old):
        return bool(
            old.shape == new.shape and old.dtype == new.dtype and old.flags.writeable
        )
    return (
        any(hasattr(old, name) for name in _WAYS)
        or isinstance(old, (set, bytearray, deque))
        or _is_plain(old)
    )


#: By which attribute or method a library's object is another one.
_WAYS = ("_update_inplace", "_df", "_s", "setstate", "bit_generator")


def _become(old: Any, new: Any) -> None:
    if _is_array(old):
        old[...] = new
    elif hasattr(old, "_update_inplace"):  # pandas
        old._update_inplace(new)  # noqa: SLF001
        old.attrs = new.attrs
        if hasattr(old, "to_frame"):
            old.name = new.name
    elif hasattr(old, "_df") or hasattr(old, "_s"):  # polars
        name = "_df" if hasattr(old, "_df") else "_s"
        setattr(old, name, getattr(new, name))
    elif hasattr(old, "setstate"):  # random
        old.setstate(new.getstate())
    elif hasattr(old, "bit_generator"):  # numpy
        old.bit_generator.state = new.bit_generator.state
    elif isinstance(old, (set, deque)):
        old.clear()
        old.update(new) if isinstance(old, set) else old.extend(new)
    elif isinstance(old, bytearray):
        old[:] = new
    else:
        vars(old).clear()
        vars(old).update(vars(new))
