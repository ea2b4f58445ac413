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
    private = value.__pydantic_private__ or {}
    state |= private
    state = dict(sorted(state.items()))
    # `model_dump(exclude_unset=True)` leaves out what its author did not say.
    left_out = sorted({*fields, *state} - value.model_fields_set - private.keys())
    head = [list(state), left_out] if left_out else [list(state)]
    return walk.members("model", type(value).__qualname__, *head, items=steps(state))
