"""What a batch may be and what comes out of it, for editors and type checkers.

A run returns its results in the library of its batch. So `Run` has the type of its
results as a parameter, and ``send`` says which: a pandas frame makes it a
``Run[pd.DataFrame]``, whose ``results()`` is a pandas frame. The two ways without a
parameter serve nobody: ``Any`` offers an analyst's editor nothing after ``results()``,
and a union of four libraries makes a checker refuse every line until it is narrowed.

Where only the ledger knows the library, as in ``open_run``, the parameter is ``Any``;
written without one, ``Run`` means that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import polars as pl
    from typing_extensions import TypeVar as TypeVarWithDefault

    Frame_co = TypeVarWithDefault("Frame_co", default=Any, covariant=True)
    #: The frames that come back as what they were.
    FrameT = TypeVar("FrameT", pd.DataFrame, pl.DataFrame)
else:
    # Defaults came with Python 3.13; at run time a type variable is only a name.
    Frame_co = TypeVar("Frame_co", covariant=True)

#: What a list or an iterator of records gives: the records, with the new values in them.
Dicts: TypeAlias = list[dict[Any, Any]]


class Column(Protocol[Frame_co]):
    """A Series of pandas or polars, or an index: its library makes a frame of it."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the values."""

    def to_frame(self) -> Frame_co:
        """Return a frame with this column."""


class Model(Protocol):
    """A record that is a pydantic model."""

    def model_dump(self) -> dict[str, Any]:
        """Return its fields."""


class ArrowTable(Protocol):
    """An Arrow table, or what gives one: pyarrow has no types of its own to name here."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the table as the Arrow C stream interface has it."""
