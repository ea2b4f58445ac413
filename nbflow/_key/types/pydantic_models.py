"""Digests of pydantic models: their fields, extra ones and private ones, set or left at their defaults."""

from __future__ import annotations

import pydantic

from nbflow._key.value import Walk, handles, steps


@handles(pydantic.BaseModel, subclasses=True)
def _model(walk: Walk, value: pydantic.BaseModel) -> bytes:
    fields = type(value).model_fields
    # The rest of its attributes are cached properties.
    state = {name: item for name, item in vars(value).items() if name in fields}
    state |= value.__pydantic_extra__ or {}
    state |= value.__pydantic_private__ or {}
    state = dict(sorted(state.items()))
    return walk.members(
        "model", type(value).__qualname__, list(state), items=steps(state)
    )
