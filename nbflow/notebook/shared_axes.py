"""Shared axes: an index that several frames of pandas hold, kept one object when a cell comes from disk.

After ``share = pop / pop.sum()`` both have one index, and ``pop.index.names = ...`` names
it for both. Frames are saved each by itself; which of them hold one index is saved beside
them. Frames inside of lists and dicts are not looked at.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    #: The index of a frame is its axis 0, its columns are 1.
    Axes = dict[tuple[str, int], pd.Index]

#: An axis: the input and the place where the cell found it, nothing if the cell made it;
#: and who holds it then, each as ``"out"`` or ``"in"`` (an input that the cell changed),
#: its name and the place.
Group: TypeAlias = "list[Any]"


def axes_of(values: Iterable[tuple[str, object]]) -> Axes:
    """Return the axes of those values that are frames and series, by name and place."""
    return {
        (name, place): axis
        for name, value in values
        if _is_frame(value)
        for place, axis in enumerate(value.axes)
    }


def _is_frame(value: Any) -> TypeGuard[pd.DataFrame | pd.Series[Any]]:
    pandas = sys.modules.get("pandas")
    # Another thread may be importing it.
    kinds = [getattr(pandas, name, ()) for name in ("DataFrame", "Series")]
    return any(isinstance(value, kind) for kind in kinds)


def saved(
    outputs: Mapping[str, object], changed: Mapping[str, object], before: Axes
) -> list[Group]:
    """Return which outputs and changed inputs of a cell hold one axis with each other, or one of ``before``."""
    origins = {id(axis): list(where) for where, axis in before.items()}
    holders = defaultdict[int, list[list[object]]](list)
    for kind, values in (("out", outputs), ("in", changed)):
        for (name, place), axis in axes_of(values.items()).items():
            holders[id(axis)].append([kind, name, place])
    return [
        [origins.get(axis, []), held]
        for axis, held in holders.items()
        if len(held) > 1 or axis in origins
    ]


def share(
    groups: Iterable[Group],
    outputs: Mapping[str, object],
    inputs: Mapping[str, object],
    before: Axes,
) -> None:
    """Have frames hold one axis that held one when the cell was saved, with its names as they were then."""
    for origin, held in groups:
        holders = [
            ((outputs if kind == "out" else inputs).get(name), place)
            for kind, name, place in held
        ]
        frames = [(frame, place) for frame, place in holders if _is_frame(frame)]
        if frames:
            _share(frames, before.get(tuple(origin)))


def _share(frames: list[tuple[Any, int]], origin: pd.Index | None) -> None:
    first, place = frames[0]
    own = first.axes[place]
    axis = own if origin is None else origin
    if not _is_alike(axis, own):
        return
    axis.names = own.names
    for frame, place in frames:
        found = frame.axes[place]
        if found is not axis and _is_alike(found, axis):
            setattr(frame, "columns" if place else "index", axis)


def _is_alike(one: pd.Index, other: pd.Index) -> bool:
    if one is other:
        return True
    is_of_a_kind = type(one) is type(other) and one.dtype == other.dtype
    return is_of_a_kind and bool(one.equals(other))
