"""Batch: what was sent, whatever library it comes from, as a stream of records.

A frame is read in slices, an iterator once, so that a large batch is never in memory as
dicts as a whole. A missing value of a frame (NaN, NaT, NA, null) is ``None`` in the
record; a NaN inside polars or Arrow floats is a value there and stays one.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._key.reader import digest
from nbflow._key.value import SIZE
from nbflow._run.numbers import Numbers
from nbflow.errors import DuplicateKeyError, UnkeyableError, UsageError

if TYPE_CHECKING:
    from nbflow._core.entry import RunState

CHUNK = 512
#: Rows that an error names.
_NAMED = 5
#: Bytes of a digest that tell two rows of one key apart.
_TOLD_BY = 8

Key = str | list[str] | tuple[str, ...] | None
#: Fields of a record that a table shows.
Columns = str | Sequence[str]


class Row(NamedTuple):
    """One row of a batch: the record, what it is known by, the digest of its content.

    ``error`` says why the row cannot be a record; such a row fails, and the others go
    on.
    """

    record: Any
    key: str
    digest: bytes
    error: Exception | None = None


_LIBRARIES = {
    ("pandas", "DataFrame"): "pandas",
    ("pandas", "Series"): "pandas.Series",
    ("pandas", "Index"): "pandas.Index",
    ("polars", "DataFrame"): "polars",
    ("polars", "Series"): "polars.Series",
    ("pyarrow", "Table"): "pyarrow",
    ("pyarrow", "RecordBatch"): "pyarrow",
    ("pyarrow", "ChunkedArray"): "pyarrow.Array",
    ("pyarrow", "Array"): "pyarrow.Array",
}


def library_of(records: Any) -> str:
    """Which library ``records`` belong to, by the modules of their classes: nothing is imported to find out."""
    # A subclass of a frame, such as a GeoDataFrame, is a frame.
    for base in type(records).__mro__:
        kind = base.__module__.partition(".")[0], base.__name__
        if kind == ("polars", "LazyFrame"):
            raise UsageError(
                "A polars LazyFrame has no rows yet; send frame.collect()."
            )
        if kind in _LIBRARIES:
            return _LIBRARIES[kind]
    return "records"


class Batch:
    """A batch and how to read it.

    Args:
        source: frame, Series, array, list or iterator.
        key: the columns that identify a record.
        values: rows are values of any kind (a map), not dicts.
    """

    def __init__(self, source: Any, key: Key = None, *, values: bool = False) -> None:
        self.library = library_of(source)
        if isinstance(source, str | bytes | Mapping) or not (
            hasattr(source, "__iter__") or hasattr(source, "__arrow_c_stream__")
        ):
            raise UsageError(
                "The batch has to be a frame, a list or an iterator of records"
                f" (dicts), not {type(source).__name__}. Put a single record into a"
                " list."
            )
        is_arrow = hasattr(source, "__arrow_c_stream__")
        if self.library == "records" and not values and is_arrow:
            # DuckDB relations and other Arrow producers.
            import pyarrow as pa

            source = pa.table(source)
            self.library = "pyarrow"
        # A copy that shares the values: what is done to the frame or the list
        # afterwards is not done to the run.
        self.source = _snapshot(source, self.library)
        if not isinstance(key, str | list | tuple | None):
            raise UsageError(
                f"key= takes the name of a column, or a list of names, not {type(key).__name__}."
            )
        self.key = (key,) if isinstance(key, str) else tuple(key or ())
        self.values = values
        self.labels = _labels(source, self.library) if not self.key else None
        self.total = len(source) if hasattr(source, "__len__") else None
        if self.is_frame and not values:
            self._check_columns()
        elif self.library != "records" and not values:
            raise UsageError(
                f"Records have names for their values; a {self.library} has none."
                " Send a frame, or use step.map(...) on it."
            )

    @property
    def is_frame(self) -> bool:
        """Returns whether there are columns."""
        return self.library in {"pandas", "polars", "pyarrow"}

    @property
    def is_stream(self) -> bool:
        """Returns whether it can be read only once."""
        return self.library == "records" and self.total is None

    def _check_columns(self) -> None:
        columns = columns_of(self.source, self.library)
        twice = {name for name in columns if columns.count(name) > 1}
        if twice:
            names = ", ".join(map(repr, sorted(twice, key=str)))
            raise UsageError(
                f"The frame has several columns called {names}; a record can hold only"
                " one of each. Rename them first."
            )
        missing = [name for name in self.key if name not in columns]
        if missing:
            raise UsageError(
                f"key={missing[0]!r} is not a column of the frame; it has"
                f" {', '.join(map(repr, columns))}."
            )

    def shown(self, columns: Columns) -> tuple[str, ...]:
        """The names of the fields that a table is to show.

        Raises:
            UsageError: they are no texts, or no columns of the frame.
        """
        if isinstance(columns, str):
            columns = (columns,)
        names = tuple(columns) if isinstance(columns, Iterable) else (None,)
        if not all(isinstance(name, str) for name in names):
            raise UsageError(
                f"columns={columns!r} has to be a list of names: the fields of a record"
                " that the table shows."
            )
        known = columns_of(self.source, self.library) if self.is_frame else names
        missing = [name for name in names if name not in known]
        if missing:
            raise UsageError(
                f"columns= names {missing[0]!r}, which is not a column of the frame; it"
                f" has {', '.join(map(repr, known))}."
            )
        return names

    def rows(self) -> Iterator[Row]:
        """Every row, in order. A row that cannot be a record carries the error."""
        for place, record in enumerate(_records(self.source, self.library)):
            yield self._row(place, record)

    def row(self, place: int) -> Row:
        """One row, without reading those before it."""
        return self._row(place, self.raw(place, place + 1)[0])

    def raw(self, start: int, stop: int) -> list[Any]:
        """The rows from one place up to another as they were sent, without keys and digests."""
        if self.library == "records":
            part: list[Any] = self.source[start:stop]
            return part
        return list(_SLICES[self.library](self.source, start, stop))

    def raw_rows(self) -> Iterator[Any]:
        """Every row as it was sent."""
        return iter(_records(self.source, self.library))

    def numbered(self) -> Iterator[tuple[int, int, Row]]:
        """Every row as (number of its record, how often that record has been met, the row).

        Rows with one key and equal content are one record. A row whose content differs
        from that of an earlier row with its key is a record of its own, and an error.
        """
        known = Numbers()
        # End to end, by number: a million bytes objects would cost far more.
        digests = bytearray()
        times: Counter[int] = Counter()
        count = 0
        for place, row in enumerate(self.rows()):
            number = count
            if self.key and not isinstance(row.error, UsageError):
                number = known.setdefault(row.key, count)
            if number != count:
                digest = digests[number * _TOLD_BY : (number + 1) * _TOLD_BY]
                if row.digest.startswith(digest):
                    times[number] += 1
                    yield number, times[number] + 1, row
                    continue
                clash = duplicates([f"{row.key!r} (row {place})"])
                number, row = count, row._replace(error=clash)  # noqa: PLW2901  # a row of its own from here on
            count += 1
            if self.key:
                digests += row.digest[:_TOLD_BY]
            yield number, 1, row

    def _row(self, place: int, record: object) -> Row:
        name = str(place) if self.labels is None else self.labels[place]
        try:
            if not self.values:
                record = as_record(record, place)
            if self.key:
                name = self._key_text(record, place)
            return Row(record, name, digest(record, "record"))
        except (UsageError, UnkeyableError) as error:
            return Row(record, name, place.to_bytes(SIZE, "little"), error)

    def _key_text(self, record: object, place: int) -> str:
        if len(self.key) == 1 and type(record) is dict:
            part = record.get(self.key[0])
            if part is not None:
                return str(part)
        parts = []
        for column in self.key:
            if not isinstance(record, Mapping) or column not in record:
                raise UsageError(f"row {place} has no {column!r}, which key= names.")
            part = record[column]
            if part is None:
                raise UsageError(
                    f"row {place} has no value for {column!r}, which key= names; drop"
                    " such rows or choose another key."
                )
            parts.append(part)
        return key_text(tuple(parts)) if len(parts) > 1 else str(parts[0])

    def _kinds(self, one: Row, other: Row) -> str:
        """Say of two rows with one key whether they mean two: ``1`` and ``"1"``."""
        for column in self.key:
            kinds = [type(row.record[column]).__name__ for row in (one, other)]
            if kinds[0] != kinds[1]:
                return f": {column!r} is once {kinds[0]}, once {kinds[1]}"
        return ""

    def check(self) -> None:
        """Look through the keys of a batch that can be read twice, so that bad rows stop the send before it starts.

        Raises:
            DuplicateKeyError: one key, different content; names the keys and their
                rows.
            UsageError: a row that is no record.
        """
        if self.is_stream or self.values or (self.is_frame and not self.key):
            return
        source = self.source
        if self.library == "pandas":
            source = source[list(self.key)]
        elif self.is_frame:
            source = source.select(list(self.key))
        first_of: dict[str, int] = {}
        repeated = []
        for place, record in enumerate(_records(source, self.library)):
            fields = as_record(record, place)
            if self.key:
                first = first_of.setdefault(self._key_text(fields, place), place)
                if first != place:
                    repeated.append((first, place))
        clashes = []
        for first, place in repeated:
            one, other = self.row(first), self.row(place)
            if one.digest != other.digest:
                kinds = self._kinds(one, other)
                clashes.append(f"{one.key!r} (rows {first} and {place}{kinds})")
        if clashes:
            raise duplicates(clashes)


def duplicates(clashes: list[str]) -> DuplicateKeyError:
    """The error that names keys which stand for different records."""
    some = ", ".join(clashes[:_NAMED])
    if len(clashes) > _NAMED:
        some += f" and {len(clashes) - _NAMED} more"
    return DuplicateKeyError(
        f"One key stands for rows with different content: {some}. Name the columns"
        " that identify a record, key=[...], or drop the rows that do not belong."
    )


def as_record(record: object, place: int) -> dict[Any, Any]:
    """A row of a list or an iterator as a dict of its own."""
    if type(record) is dict:
        return record
    if isinstance(record, Mapping):
        return dict(record)
    dump = getattr(record, "model_dump", None)
    if callable(dump):
        dumped: dict[Any, Any] = dump()
        return dumped
    if record is None:
        raise UsageError(f"row {place} is None: it was erased, or never was a record.")
    raise UsageError(
        f"row {place} is a {type(record).__name__}, not a record; send dicts, or a frame."
    )


def _snapshot(source: Any, library: str) -> Any:
    if library.startswith("pandas"):
        return source.copy(deep=False)
    if library == "records" and hasattr(source, "__len__"):
        # Sets, deques and views of dicts as well, which cannot be read from the middle.
        return list(source)
    return source


def columns_of(frame: Any, library: str) -> list[Any]:
    """The names of a frame's columns."""
    return list(frame.schema.names if library == "pyarrow" else frame.columns)


#: Stands between the parts of a key.
_BETWEEN = " / "


def key_text(key: object) -> str:
    """What a record is known by, as text; the parts of a key of several columns are joined.

    A part that could be taken for two is written in quotes.
    """
    if not isinstance(key, tuple):
        return str(key)
    texts = map(str, key)
    return _BETWEEN.join(repr(text) if _is_unclear(text) else text for text in texts)


def number_of(key: str, state: RunState) -> int:
    """The number of the record with a key.

    Raises:
        UsageError: the run has none.
    """
    try:
        return state.keys.index(key)
    except ValueError:
        first = ", ".join(map(repr, state.keys[:3]))
        raise UsageError(
            f"Run {state.run} has no record {key!r}; its first keys are {first}."
        ) from None


def _is_unclear(part: str) -> bool:
    return _BETWEEN in f" {part} " or part[:1] in ("'", '"')


def _labels(source: Any, library: str) -> list[str] | None:
    """The index of a pandas object as texts, where it tells its rows apart; otherwise positions do."""
    if not library.startswith("pandas") or library == "pandas.Index":
        return None
    index = source.index
    if type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1:
        return None
    labels = list(map(key_text, index.tolist()))
    return labels if len(set(labels)) == len(labels) else None


def _records(source: Any, library: str) -> Iterable[Any]:
    if library == "records":
        return source  # type: ignore[no-any-return]  # a list or an iterator, as was checked
    return _sliced(source, _SLICES[library])


def _sliced(source: Any, read: Any) -> Iterator[Any]:
    for start in range(0, len(source), CHUNK):
        yield from read(source, start, start + CHUNK)


def _pandas_rows(frame: Any, start: int, stop: int) -> Iterator[dict[Any, Any]]:
    part = frame.iloc[start:stop]
    names = list(part.columns)
    columns = [_pandas_values(part.iloc[:, place]) for place in range(len(names))]
    if not names:
        for _ in range(len(part)):
            yield {}
        return
    for row in zip(*columns, strict=True):
        yield dict(zip(names, row, strict=True))


def _pandas_values(column: Any) -> list[Any]:
    values: list[Any] = column.tolist()
    missing = column.isna().to_numpy()
    if missing.any():
        for place in missing.nonzero()[0].tolist():
            values[place] = None
    return values


#: How the rows from one place up to another are read, by library.
_SLICES: dict[str, Callable[[Any, int, int], Iterable[Any]]] = {
    "pandas": _pandas_rows,
    "pandas.Series": lambda series, i, j: _pandas_values(series.iloc[i:j]),
    "pandas.Index": lambda index, i, j: _pandas_values(index[i:j].to_series()),
    "polars": lambda frame, i, j: frame[i:j].to_dicts(),
    "polars.Series": lambda series, i, j: series[i:j].to_list(),
    "pyarrow": lambda table, i, j: table.slice(i, j - i).to_pylist(),
    "pyarrow.Array": lambda array, i, j: array.slice(i, j - i).to_pylist(),
}

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


def copy_of(record: object) -> Any:
    """A flow's own copy of a record: what one flow changes, another must not see."""
    if type(record) is dict and _SCALARS.issuperset(map(type, record.values())):
        return dict(record)
    if type(record) in _SCALARS:
        return record
    return copy.deepcopy(record)
