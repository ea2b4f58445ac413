"""Forgetting: delete saved results, and every result that was built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._call import keys, lookup
from nbflow._run.explanation import means_every_call

if TYPE_CHECKING:
    from nbflow._call.engine import Engine
    from nbflow._core.step import AnyStep
    from nbflow._store.checkpoint import Checkpoint


def forget(
    engine: Engine,
    step: AnyStep,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> int:
    """Delete the result of a call, or all of a step, and what was built on them.

    Returns:
        The number of results that were deleted.
    """
    if means_every_call(step, args, kwargs):
        return forget_all(engine, step.name)
    binder, _ = step.prepared
    arguments = binder.arguments(args, kwargs)
    key = keys.step_key(step, keys.identify(step), arguments, None)
    known = dict(lookup.every(engine.store))
    return _delete(engine, known, {key} & known.keys())


def forget_all(engine: Engine, name: str) -> int:
    """Delete all results under a name, whatever the code, and what was built on them.

    Returns:
        The number of results that were deleted.
    """
    known = dict(lookup.every(engine.store))
    named = {key for key, head in known.items() if head.name == name}
    return _delete(engine, known, named)


def _delete(engine: Engine, known: dict[str, Checkpoint], gone: set[str]) -> int:
    """Delete the results under these keys, and those built on them, at any distance."""
    found_more = True
    while found_more:
        found_more = False
        for key, head in known.items():
            built_on = {inner for _, inner in head.built_on}
            if key not in gone and built_on & gone:
                gone.add(key)
                found_more = True
    number = engine.store.delete(gone)
    if number:
        engine.store.give_back()
    return number
