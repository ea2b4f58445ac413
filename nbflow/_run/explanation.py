"""Explanation: why a call runs or does not, from what the store knows of earlier codes and inputs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nbflow._call import keys
from nbflow._core.table import duration
from nbflow._key.call import inputs_of
from nbflow._key.explain import Change, input_changes, listed
from nbflow._key.kinds import with_article
from nbflow._key.value import identify
from nbflow._run import render
from nbflow._store import checkpoint
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._call.keys import Identity
    from nbflow._core.step import Step
    from nbflow._key.call import Input
    from nbflow._store.checkpoint import Checkpoint
    from nbflow._store.store import Store

#: Results that are looked through for an earlier call of a step, and seconds that it
#: may take.
_LOOKED_AT, _PATIENCE = 50_000, 3.0
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a call runs, or why it does not have to. Shown in a notebook or printed it is a sentence and a diff.

    Attributes:
        step: the step's name.
        state: ``"cached"``, ``"would run"`` or, asked without arguments,
            ``"unchanged"`` or ``"changed"``.
        reason: why it would run, or why it ran when it was saved: ```PROMPT` changed
            (line 3: 'Pick one' -> 'Choose one')``.
        changes: what differs from the closest earlier call, one by one, each with its
            ``diff()``.
        saved_at: when the result was saved, if it was, or when the code last ran:
            seconds since the epoch.
        seconds: how long the call took then.
        uncounted: what the code reads that does not count by its content: name and why
            not.
        key: the call's key; nothing when asked without arguments.
    """

    step: str
    state: str
    reason: str
    changes: tuple[Change, ...] = ()
    saved_at: float | None = None
    seconds: float = 0.0
    uncounted: tuple[tuple[str, str], ...] = ()
    key: str = ""

    def diff(self) -> str:
        """Everything that changed in the code, as a unified diff."""
        return "\n".join(text for change in self.changes if (text := change.diff()))

    def __str__(self) -> str:
        return f"{self.step} {self.said()}"

    def said(self) -> str:
        """The sentence without its subject."""
        at = clock(self.saved_at) if self.saved_at is not None else ""
        if self.state == "cached":
            return f"is cached since {at} (took {duration(self.seconds)}); it ran because {self.reason}."
        if self.state == "unchanged":
            return f"has the code that first ran at {at}" + (
                f"; it changed then: {self.reason}." if self.reason else "."
            )
        if self.state == "changed":
            return (
                f"has changed since it last ran at {at}: {self.reason}."
                if at
                else f"is new: {self.reason}."
            )
        return f"would run because {self.reason}."

    def __repr__(self) -> str:
        return render.explanation_text(self)

    def _repr_html_(self) -> str:
        return render.explanation_html(self)


def clock(at: float) -> str:
    """A time as a person says it: ``14:02`` today, with the date on other days."""
    then = datetime.fromtimestamp(at)  # noqa: DTZ006 - what the clock on the wall said
    return (
        f"{then:%H:%M}"
        if then.date() == datetime.now().date()  # noqa: DTZ005
        else f"{then:%Y-%m-%d %H:%M}"
    )


def explain_call(
    engine: Engine, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Explanation:
    """Why this call would run, or since when it is saved and why it ran then. Executes nothing."""
    binder, _ = step.prepared
    if args == step.bound and not kwargs and not _can_be_called(binder, args):
        return _explain_code(engine, step)
    return explain(
        engine,
        step.name,
        keys.identify(step),
        binder.arguments(args, kwargs),
        step.policy.ttl,
    )


def explain(
    engine: Engine,
    name: str,
    identity: Identity,
    arguments: list[tuple[str, object]],
    ttl: float | None,
    *,
    shown: str | None = None,
) -> Explanation:
    """`explain_call` for whatever is filed under ``name``; ``shown``: what a person calls it."""
    key = keys.call_key(name, identity, arguments, None)
    found = _head(engine.store, key)
    saved_at, took = (
        (found.saved_at, found.seconds) if found is not None else (None, 0.0)
    )
    until = found.fresh_until(ttl) if found is not None else None
    state, changes = "would run", list[Change]()
    if identity.per_run:
        reason = 'ttl="run" makes every call outside of a run a new one'
    elif until is not None and until <= engine.clock.time():
        reason = f"its result of {clock(saved_at or 0.0)} is out of date (ttl)"
    else:
        state = "would run" if found is None else "cached"
        reason, changes = _reason(engine, name, identity, arguments, found)
    return Explanation(
        shown or name,
        state,
        reason,
        tuple(changes),
        saved_at,
        took,
        (*identity.code.uncounted, *_without_content(arguments)),
        key,
    )


def _without_content(arguments: list[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    """Clients, locks and the like among the arguments."""
    for name, value in arguments:
        for kind in identify(value).opaque:
            yield name, f"{with_article(kind)} has no content, its type alone counts"


def _can_be_called(binder: Any, args: tuple[Any, ...]) -> bool:
    try:
        binder.arguments(args, {})
    except TypeError:
        return False
    return True


def _explain_code(engine: Engine, step: Step[..., Any]) -> Explanation:
    """What of the code changed since the step last ran."""
    identity = keys.identify(step)
    sources = engine.runner.sources
    history = sources.history(step.name)
    uncounted = identity.code.uncounted
    if not history:
        return Explanation(
            step.name, "changed", "it has not run in this store", uncounted=uncounted
        )
    state, now, before = (
        "unchanged",
        history[-1],
        history[-2] if len(history) > 1 else None,
    )
    if now.code != identity.digest:
        state, before = "changed", now
    changes = (
        sources.changes(step.name, before.code, identity) if before is not None else []
    )
    reason = listed(changes) or (
        "what it reaches changed" if before is not None else ""
    )
    if state == "changed" and any(
        version.code == identity.digest for version in history
    ):
        reason += " (back to a code that ran before, whose results are found again)"
    return Explanation(
        step.name, state, reason, tuple(changes), now.at, uncounted=uncounted
    )


def _reason(
    engine: Engine,
    name: str,
    identity: Identity,
    arguments: list[tuple[str, object]],
    found: Checkpoint | None,
) -> tuple[str, list[Change]]:
    """Why there was no result when the call ran (``found``), or why there is none now."""
    sources, store = engine.runner.sources, engine.store
    for version in reversed(sources.history(name)):
        if version.code == identity.digest:
            continue
        older = _head(
            store, keys.call_key(name, identity.at(version.code), arguments, None)
        )
        if older is not None and (found is None or older.saved_at < found.saved_at):
            changes = sources.changes(name, version.code, identity)
            return listed(changes) or "what its code reaches changed", changes
    inputs = found.inputs if found is not None else inputs_of(arguments)
    closest, whole = _closest(store, name, inputs, found)
    if closest is None:
        return f"it {'has' if found is None else 'had'} not run before" + (
            "" if whole else f" (among the {_LOOKED_AT:,} results that were looked at)"
        ), []
    return difference(
        engine, name, closest, identity, inputs, has="has" if found is None else "had"
    )


def difference(
    engine: Engine,
    name: str,
    before: Checkpoint,
    now: Identity | bytes,
    inputs: Sequence[Input],
    *,
    has: str = "had",
) -> tuple[str, list[Change]]:
    """What differs between an earlier call and one with this code and these inputs; ``has``: or ``"had"`` it run?"""
    code = now if isinstance(now, bytes) else now.digest
    changes = (
        engine.runner.sources.changes(name, before.code, now)
        if before.code != code
        else []
    )
    given = input_changes(before.inputs, inputs)
    if given and not any(
        known.digest == now.digest or known.parts
        for known, now in zip(before.inputs, inputs, strict=False)
    ):
        names = " and ".join(f"`{change.name}`" for change in given)
        said = [f"it {has} not run with this {names} before"]
    else:
        said = [listed(given)] if given else []
    return " and ".join(
        part for part in (listed(changes), *said) if part
    ) or "its result is not in the store any more", [*changes, *given]


def _closest(
    store: Store, name: str, inputs: Sequence[Input], found: Checkpoint | None
) -> tuple[Checkpoint | None, bool]:
    """The earlier call of a step that has most in common with these inputs; was everything looked at?"""
    best: tuple[tuple[int, int, float], Checkpoint] | None = None
    until = time.monotonic() + _PATIENCE
    for looked_at, (_, head) in enumerate(heads(store)):
        if looked_at >= _LOOKED_AT or time.monotonic() > until:
            return best[1] if best else None, False
        if head.name == name and (found is None or head.saved_at < found.saved_at):
            score = (*_in_common(head.inputs, inputs), head.saved_at)
            if best is None or score > best[0]:
                best = score, head
    return best[1] if best else None, True


def _in_common(before: Sequence[Input], after: Sequence[Input]) -> tuple[int, int]:
    old = {given.name: given for given in before}
    pairs = [(old[given.name], given) for given in after if given.name in old]
    return sum(one.digest == other.digest for one, other in pairs), sum(
        len(set(one.parts) & set(other.parts)) for one, other in pairs
    )


def heads(store: Store) -> Iterator[tuple[str, Checkpoint]]:
    """Every checkpoint with its key, by pages; what cannot be read is passed over."""
    every = store.keys()
    while page := list(itertools.islice(every, _PAGE)):
        for key, data in store.get_many(page).items():
            try:
                yield key, checkpoint.load(data)
            except StoreError:
                continue


def _head(store: Store, key: str) -> Checkpoint | None:
    data = store.get(key)
    try:
        return checkpoint.load(data) if data is not None else None
    except StoreError:
        return None


def forget(
    engine: Engine, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> int:
    """Delete the result of a call, or all of a step, and every result that was built on them; answers how many."""
    binder, _ = step.prepared
    if args == step.bound and not kwargs and not _can_be_called(binder, args):
        return forget_all(engine, step.name)
    key = keys.step_key(step, keys.identify(step), binder.arguments(args, kwargs), None)
    known = dict(heads(engine.store))
    return _delete(engine, known, {key} & known.keys())


def forget_all(engine: Engine, name: str) -> int:
    """Delete all results that are filed under a name, whatever the code, and what was built on them."""
    known = dict(heads(engine.store))
    return _delete(
        engine, known, {key for key, head in known.items() if head.name == name}
    )


def _delete(engine: Engine, known: dict[str, Checkpoint], gone: set[str]) -> int:
    while more := {
        key
        for key, head in known.items()
        if key not in gone and any(inner in gone for _, inner in head.built_on)
    }:
        gone |= more
    return engine.store.delete(gone)
