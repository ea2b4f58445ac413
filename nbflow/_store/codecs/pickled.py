"""pickled: pickle, the last resort.

If it refuses a value, the error says which part of the value is to blame.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._core.fields import Fields
from nbflow._store.codecs.records import missing_class
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

Predicate: TypeAlias = Callable[[object], bool]

# The first that fits counts: a file is an iterator too.
_ADVICE: tuple[tuple[type, str], ...] = (
    (io.IOBase, "return its content or its path"),
    (Awaitable, "await it first"),
    (Iterator, "return list(...) of it"),
    (AsyncIterator, "return a list of what it yields"),
    (types.ModuleType, "return what you need of it"),
    (
        types.FunctionType,
        "return its result, or define it by name at the top of a cell or module",
    ),
)

_TOO_DEEP = "value cannot be saved: it is nested too deeply, or without end"


def dump(value: object, shared: SharedObjects | None = None) -> bytes:
    """The pickle of ``value``.

    Args:
        value: what is to be saved.
        shared: objects that the reader will have; of these only the numbers are
            written.

    Raises:
        CodecError: it cannot be pickled, or not be read back; the message names the
            place inside the value and the type.
    """
    try:
        payload = _dumps(value, shared)
    except RecursionError as error:
        raise CodecError(_TOO_DEEP) from error
    except Exception as error:
        raise _refusal(value, error) from error
    try:
        load(payload, shared.objects if shared else ())
    except CodecError as error:
        # For example an exception with its own __init__: better to know now than to
        # miss it at every later run.
        raise CodecError(
            f"value cannot be saved: {_type_name(value)} pickles and does not "
            f"unpickle: {error}"
        ) from error
    return payload


def refuse_depth(value: object) -> None:
    """Refuse a value that is nested deeper than Python's stack, of which the typed codecs ran out.

    Up to Python 3.11 pickle does. Since 3.12 it nests as deep as memory goes, but no
    key can be made of such a value, and other Pythons may not save it.

    Raises:
        CodecError: it is.
    """
    limit = sys.getrecursionlimit()
    seen, waiting = {id(value)}, [(0, value)]
    while waiting:
        depth, whole = waiting.pop()
        if depth > limit:
            raise CodecError(_TOO_DEEP)
        for _, part in _parts(whole):
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append((depth + 1, part))


def load(payload: bytes | memoryview, objects: Sequence[object] = ()) -> object:
    """The object in a pickle.

    Runs what the pickle says: only for bytes whose MAC was verified.

    Args:
        payload: what `dump` made.
        objects: the shared objects, as they are here.

    Raises:
        CodecError: a class is not defined, or the object cannot be restored.
    """
    return _load(_Unpickler(io.BytesIO(payload), objects))


def _load(unpickler: _Unpickler) -> object:
    try:
        return unpickler.load()
    except CodecError:
        raise
    except Exception as error:
        msg = f"this pickle cannot be read back ({type(error).__name__}: {error})"
        raise CodecError(msg) from error


def view(payload: bytes | memoryview) -> object:
    """The object in a pickle, by its attributes where a class of it is not defined.

    Raises:
        CodecError: as `load` does, but for such classes.
    """
    try:
        return load(payload)
    except CodecError:
        return _load(_Viewer(io.BytesIO(payload), ()))


class _LazyQueryError(Exception):
    """polars would pickle the plan of a query, not its result."""


class SharedObjects:
    """Objects that a pickle only names, by their place in a list."""

    def __init__(self, objects: Sequence[object]) -> None:
        self.objects = objects
        self._numbers = {id(value): number for number, value in enumerate(objects)}

    def number(self, value: object) -> int | None:
        """The place of an object; ``None`` if it is not one of them."""
        return self._numbers.get(id(value))


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, shared: SharedObjects | None) -> None:
        super().__init__(file, protocol=5)
        self._shared = shared

    def persistent_id(self, obj: object) -> int | None:
        return None if self._shared is None else self._shared.number(obj)

    def reducer_override(self, obj: object) -> Any:
        if _is_query(obj):
            raise _LazyQueryError
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, objects: Sequence[object]) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: Any) -> object:
        return self._objects[pid]

    def find_class(self, module: str, name: str) -> object:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise missing_class(module, name) from error


class _Viewer(_Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return super().find_class(module, name)
        except CodecError:
            return type(name, (_Attributes,), {"name": name})


class _Attributes(Fields):
    """An instance of a class that is not defined here, as pickle makes one."""

    def __new__(cls, *args: object) -> Self:
        """Make one of whatever the class takes, which has no names here."""
        made = super().__new__(cls)
        if args:
            made["args"] = args
        return made

    def __init__(self, *_: object) -> None:
        """Take nothing: it is made."""

    def __setstate__(self, state: Any) -> None:
        """Take the attributes: a dict, or a pair of dicts where there are slots."""
        for attributes in state if isinstance(state, tuple) else (state,):
            self.update(attributes or {})


def _is_query(value: object) -> bool:
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(value, (polars.LazyFrame, polars.Expr))


def _dumps(value: object, shared: SharedObjects | None = None) -> bytes:
    file = io.BytesIO()
    _Pickler(file, shared).dump(value)
    return file.getvalue()


def _refusal(value: object, error: Exception) -> CodecError:
    path, culprit = innermost(value, lambda part: _is_query(part) or not _pickles(part))
    return CodecError(
        f"{path} cannot be saved: {_type_name(culprit)} has no form in bytes; "
        f"{_advice(culprit, error)}"
    )


def _type_name(value: object) -> str:
    cls = type(value)
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def _advice(culprit: object, error: Exception) -> str:
    if _is_query(culprit):
        return "collect() it first"
    for kind, advice in _ADVICE:
        if isinstance(culprit, kind):
            return advice
    if "not the same object" in str(error):
        return (
            "its class was defined again since it was made: run the cell that makes it "
            "once more"
        )
    if "<locals>" in type(culprit).__qualname__:
        return "define its class at the top of a cell or module, not inside a function"
    return (
        "return plain data, a frame, an array, a dataclass or a pydantic model "
        f"instead ({error})"
    )


def innermost(value: object, is_meant: Predicate) -> tuple[str, object]:
    """The innermost part of a value that is meant, and the path to it."""
    path = "value"
    seen = {id(value)}
    while not _is_query(value):
        try:
            found = _first_part(value, seen, is_meant)
        except Exception:  # the object does not let anyone look inside
            break
        if found is None:
            break
        step, value = found
        path += step
        seen.add(id(value))
    return path, value


def _first_part(
    value: object, seen: set[int], is_meant: Predicate
) -> tuple[str, object] | None:
    for step, part in _parts(value):
        if id(part) not in seen and is_meant(part):
            return step, part
    return None


def _pickles(value: object) -> bool:
    try:
        _dumps(value)
    except Exception:
        return False
    return True


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The parts of a value, each with its step of the path."""
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
        yield from ((f" key {key!r}", key) for key in value)
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{position}]", item) for position, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((" member", item) for item in value)
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    elif isinstance(value, partial):
        yield ".func", value.func
        yield ".args", value.args
        yield ".keywords", value.keywords
    elif type(value).__module__.partition(".")[0] in ("pandas", "numpy", "polars"):
        yield from _cells(value)
    elif not isinstance(value, (type, types.ModuleType, types.FunctionType)):
        yield from _attributes(value)


def _cells(value: Any) -> Iterator[tuple[str, object]]:
    if hasattr(value, "columns"):
        for name in value.columns:
            yield f"[{name!r}]", value[name]
    elif hasattr(value, "tolist") and value.shape:
        for position, item in enumerate(value.tolist()):
            yield f"[{position}]", item


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    state: object = object.__getstate__(value)
    private = getattr(value, "__pydantic_private__", None)
    parts = (*state, private) if isinstance(state, tuple) else (state, private)
    for names in parts:
        if isinstance(names, dict):
            for name, part in names.items():
                yield f".{name}", part
