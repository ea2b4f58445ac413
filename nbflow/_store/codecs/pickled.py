"""Pickle, the last resort: what it refuses is refused with the place inside the value."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from nbflow._store.codecs.records import missing_class
from nbflow.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The first that fits: a file is an iterator too.
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


def dump(value: object, known: Known | None = None) -> bytes:
    """The pickle of ``value``.

    Args:
        value: what is to be saved.
        known: objects that the reader will have, so that only their numbers are
            written.

    Raises:
        CodecError: it cannot be pickled, or not be read back; says where inside the
            value and of what type.
    """
    try:
        payload = _dumps(value, known)
    except RecursionError as error:
        raise CodecError(_TOO_DEEP) from error
    except Exception as error:
        raise _refusal(value, error) from error
    try:
        load(payload, known.objects if known else ())
    except CodecError as error:
        # Exceptions with an __init__ of their own, for one: better known now than
        # missed at every later run.
        raise CodecError(
            f"value cannot be saved: {_type_name(value)} pickles and does not unpickle: {error}"
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


def load(payload: bytes | memoryview, objects: Sequence[object] = ()) -> Any:
    """The object in a pickle. Runs what the pickle says: only for bytes whose MAC was verified.

    Args:
        payload: what `dump` made.
        objects: those that were known to it, as they are here.

    Raises:
        CodecError: a class is not there, or the object does not put itself together
            again.
    """
    try:
        return _Unpickler(io.BytesIO(payload), objects).load()
    except CodecError:
        raise
    except Exception as error:
        msg = f"this pickle cannot be read back ({type(error).__name__}: {error})"
        raise CodecError(msg) from error


class _LazyQueryError(Exception):
    """polars would pickle the plan of a query, not its result."""


class Known:
    """Objects that a pickle only names, by their place in a list."""

    def __init__(self, objects: Sequence[object]) -> None:
        self.objects = objects
        self._numbers = {id(value): number for number, value in enumerate(objects)}

    def number(self, value: object) -> int | None:
        """The place of an object; ``None`` if it is not one of them."""
        return self._numbers.get(id(value))


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, known: Known | None) -> None:
        super().__init__(file, protocol=5)
        self._known = known

    def persistent_id(self, obj: object) -> int | None:
        return None if self._known is None else self._known.number(obj)

    def reducer_override(self, obj: Any) -> Any:
        if _is_query(obj):
            raise _LazyQueryError
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, objects: Sequence[object]) -> None:
        super().__init__(file)
        self._objects = objects

    def persistent_load(self, pid: Any) -> object:
        return self._objects[pid]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise missing_class(module, name) from error


def _is_query(value: object) -> bool:
    polars: Any = sys.modules.get("polars")
    return polars is not None and isinstance(value, (polars.LazyFrame, polars.Expr))


def _dumps(value: object, known: Known | None = None) -> bytes:
    file = io.BytesIO()
    _Pickler(file, known).dump(value)
    return file.getvalue()


def _refusal(value: object, error: Exception) -> CodecError:
    path, culprit = innermost(value, lambda part: _is_query(part) or not _pickles(part))
    return CodecError(
        f"{path} cannot be saved: {_type_name(culprit)} has no form in bytes; {_advice(culprit, error)}"
    )


def _type_name(value: object) -> str:
    cls = type(value)
    return (
        cls.__qualname__
        if cls.__module__ == "builtins"
        else f"{cls.__module__}.{cls.__qualname__}"
    )


def _advice(culprit: object, error: Exception) -> str:
    if _is_query(culprit):
        return "collect() it first"
    for kind, advice in _ADVICE:
        if isinstance(culprit, kind):
            return advice
    if "not the same object" in str(error):
        return "its class was defined again since it was made: run the cell that makes it once more"
    if "<locals>" in type(culprit).__qualname__:
        return "define its class at the top of a cell or module, not inside a function"
    return f"return plain data, a frame, an array, a dataclass or a pydantic model instead ({error})"


def innermost(value: object, is_meant: Callable[[object], bool]) -> tuple[str, object]:
    """The innermost part of a value that is meant, and the way to it."""
    path, seen = "value", {id(value)}
    while not _is_query(value):
        found = (
            (step, part)
            for step, part in _parts(value)
            if id(part) not in seen and is_meant(part)
        )
        try:
            step, value = next(found)
        except (
            Exception
        ):  # no such part, or the object does not let itself be looked into
            break
        path += step
        seen.add(id(value))
    return path, value


def _pickles(value: object) -> bool:
    try:
        _dumps(value)
    except Exception:
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, object]]:
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
        yield from zip(
            (".func", ".args", ".keywords"),
            (value.func, value.args, value.keywords),
            strict=True,
        )
    elif type(value).__module__.partition(".")[0] in ("pandas", "numpy", "polars"):
        yield from _cells(value)
    elif not isinstance(value, (type, types.ModuleType, types.FunctionType)):
        yield from _attributes(value)


def _cells(value: Any) -> Iterator[tuple[str, object]]:
    if hasattr(value, "columns"):
        yield from ((f"[{name!r}]", value[name]) for name in value.columns)
    elif hasattr(value, "tolist") and value.shape:
        yield from (
            (f"[{position}]", item) for position, item in enumerate(value.tolist())
        )


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    state = object.__getstate__(value)
    for names in state if isinstance(state, tuple) else (state,):
        if isinstance(names, dict):
            yield from ((f".{name}", part) for name, part in names.items())
    yield from (
        (f".{name}", part)
        for name, part in (getattr(value, "__pydantic_private__", None) or {}).items()
    )
