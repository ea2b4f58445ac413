"""Column: values as one column of a library, in a type that holds every one of them.

A library takes the type of a column from its first values, and what does not fit becomes
null, another number or an error. So the type is the one that holds all, found by reading
the values back; where there is none, the column holds Python objects. Arrow has no such
column: it gets texts, with a warning.

To be held is to come back equal: an int may come back as a float of the same value, a
tuple as a list, a dataclass as its fields, and a field that only other dicts have as
``None``.
"""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nbflow._core.fields import fields_of
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

#: The value of a record that has none.
MISSING = None

#: How numpy's types of numbers begin, and what pandas calls missing values.
_NUMBERS, _MISSING_NAMES = ("int", "uint", "float", "bool"), ("NaTType", "NAType")
#: Digits of a decimal number of polars.
_DIGITS = 38
#: Every library holds these, if a column has only one of them.
_PLAIN = ({str}, {bool}, {float})


def of_pandas(
    name: str, values: list[object], index: pd.Index | None = None
) -> pd.Series:
    """A pandas column."""
    import pandas as pd

    values = _of_python(values)
    dtype = _pandas_dtype(values)
    try:
        series = pd.Series(values, index=index, name=name, dtype=dtype)
        if dtype is object or _holds(values, series.tolist()):
            return series
    except (OverflowError, ValueError, TypeError):
        pass
    return pd.Series(values, index=index, name=name, dtype=object)


def _pandas_dtype(values: list[object]) -> str | type | None:
    """The type of a column; ``None`` for what pandas makes of the values.

    Where something is missing, whole numbers stay whole and truth values true or false.
    """
    kinds = set(map(type, values))
    given = kinds - {type(MISSING)}
    if given < kinds and given == {int}:
        return "Int64"
    if given < kinds and given == {bool}:
        return "boolean"
    if given == {int, float} or (len(given) == 1 and _is_plain(*given)):
        return None
    return object


def _is_plain(kind: type) -> bool:
    """Whether pandas has a type of its own for such values: numbers, texts, times."""
    times = {"Timestamp", "Timedelta", "datetime", "timedelta"}
    return kind in {int, float, bool, str} or kind.__name__ in times


def of_polars(name: str, values: list[object]) -> pl.Series:
    """A polars column."""
    import polars as pl

    values = _of_python(values)
    if any(isinstance(value, Decimal) and not _is_short(value) for value in values):
        # polars would panic, and print where.
        return pl.Series(name, values, dtype=pl.Object)
    try:
        # Not strict: of the type that all values have in common, if there is one.
        series = pl.Series(name, values, strict=False)
        if series.dtype == pl.Object or _holds(values, series.to_list()):
            return series
    # Of many kinds, and its panics are no Exception.
    except (Exception, pl.exceptions.PanicException):  # noqa: S110  # objects always fit
        pass
    return pl.Series(name, values, dtype=pl.Object)


def of_arrow(name: str, values: list[object]) -> pa.Array:
    """An Arrow column."""
    import pyarrow as pa

    values = _of_python(values)
    try:
        array = pa.array([*map(_by_fields, values)])
        if _holds(values, array.to_pylist()):
            return array
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    kinds = sorted({type(value).__name__ for value in values if value is not MISSING})
    warn(
        f"Arrow has no type that holds every value of {name!r} (here {', '.join(kinds)}),"
        " so the column has their repr() as text. Return values of one type, or send a"
        " list, pandas or polars, which keep them as they are.",
        NbflowWarning,
    )
    return pa.array([None if value is MISSING else repr(value) for value in values])


def _by_fields(value: object) -> object:
    """An instance as its fields, as polars has it by itself; anything else as it is."""
    if isinstance(value, list):
        return [_by_fields(one) for one in value]
    if type(value) is dict:
        return {name: _by_fields(part) for name, part in value.items()}
    fields = fields_of(value)
    if fields is None:
        return value
    return {name: _by_fields(part) for name, part in fields.items()}


def _of_python(values: list[object]) -> list[object]:
    """Numbers of numpy as Python's, and what pandas has for missing values as missing."""
    kinds = set(map(type, values))
    if not any(map(_is_foreign, kinds)):
        return values
    return [_one_of_python(value) for value in values]


def _is_foreign(kind: type) -> bool:
    is_number = kind.__module__ == "numpy" and kind.__name__.startswith(_NUMBERS)
    return is_number or kind.__name__ in _MISSING_NAMES


def _one_of_python(value: Any) -> object:
    kind = type(value)
    if kind.__name__ in _MISSING_NAMES:
        return MISSING
    return value.item() if _is_foreign(kind) else value


def _is_short(number: Decimal) -> bool:
    """Whether a decimal number has a place among those of 38 digits."""
    if not number.is_finite():
        return False
    _, digits, exponent = number.as_tuple()
    return max(len(digits), int(exponent) + len(digits), -int(exponent)) <= _DIGITS


def _holds(values: list[object], held: list[object]) -> bool:
    """Whether a column came back with every value."""
    given = set(map(type, values)) - {type(MISSING)}
    if given in _PLAIN or (given == {int} and held == values):
        return True
    return all(
        value is MISSING or _is_same(value, back)
        for value, back in zip(values, held, strict=True)
    )


def _is_same(value: Any, held: object) -> bool:
    if type(value).__module__ == "numpy":
        value = value.tolist()
    if isinstance(held, dict):
        return _has_fields(value, held)
    if isinstance(held, list):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(held)
            and all(map(_is_same, value, held))
        )
    if value is None or isinstance(value, bool) or isinstance(held, bool):
        return value is held
    if isinstance(value, float) and math.isnan(value):
        return isinstance(held, float) and math.isnan(held)
    if isinstance(value, dt.datetime) and isinstance(held, dt.datetime):
        return value == held and (value.tzinfo is None) == (held.tzinfo is None)
    return bool(value == held)


def _has_fields(value: object, held: dict[str, object]) -> bool:
    fields = fields_of(value)
    return (
        fields is not None
        and fields.keys() <= held.keys()
        and all(_is_same(fields.get(name), part) for name, part in held.items())
    )
