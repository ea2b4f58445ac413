"""Explanation: why a call runs or does not.

Found from what the store knows of earlier codes and inputs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._call import keys, lookup
from nbflow._core.duration import duration
from nbflow._core.html import Html, h, joined
from nbflow._core.lifecycle import State
from nbflow._core.looks import LOOKS
from nbflow._key.call import inputs_of
from nbflow._key.explain import Change, input_changes, listed
from nbflow._key.kinds import with_article
from nbflow._key.value import identify
from nbflow._run.html_parts import FAINT, framed, with_code
from nbflow._run.render import state_mark
from nbflow._run.wall_time import wall_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nbflow._call.engine import Engine
    from nbflow._call.keys import Identity
    from nbflow._core.step import AnyStep
    from nbflow._key.call import Binder, Input
    from nbflow._store.checkpoint import Checkpoint
    from nbflow._store.store import Store

    Arguments = list[tuple[str, object]]

#: Results that are searched for an earlier call of a step, and the seconds that the
#: search may take.
_LOOKED_AT, _PATIENCE = 50_000, 3.0

#: The state of a call as which each state of an explanation is shown.
_SHOWN_AS = {
    "cached": State.CACHED,
    "unchanged": State.CACHED,
    "would run": State.RUNNING,
    "changed": State.RUNNING,
}
#: Not those of success and failure: an edit is neither.
_DIFF_COLOURS = {"+": "#1c7ed6", "-": "#d9480f"}
_DIFF = (
    "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px;"
    "white-space:pre-wrap;margin:8px 0 0"
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a call runs, or why it does not have to.

    Shown in a notebook or printed it is a sentence and a diff.

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
        diffs = [change.diff() for change in self.changes]
        return "\n".join(diff for diff in diffs if diff)

    def __str__(self) -> str:
        return f"{self.step} {self.said()}"

    def said(self) -> str:
        """The sentence without its subject."""
        at = wall_time(self.saved_at) if self.saved_at is not None else ""
        if self.state == "cached":
            took = f"(took {duration(self.seconds)})"
            return f"has been cached since {at} {took}; it ran because {self.reason}."
        if self.state == "unchanged":
            then = f"; it changed then: {self.reason}" if self.reason else ""
            return f"has the code that first ran at {at}{then}."
        if self.state == "changed" and at:
            return f"has changed since it last ran at {at}: {self.reason}."
        if self.state == "changed":
            return f"is new: {self.reason}."
        return f"would run because {self.reason}."

    def __repr__(self) -> str:
        lines = [str(self)]
        lines += [f"  {line}" for line in self.diff().splitlines()]
        lines += [f"  `{name}`: {why}." for name, why in self.uncounted]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        shown_as = _SHOWN_AS.get(self.state, State.QUEUED)
        style = "font-weight:700;margin-left:8px"
        picture = framed(
            h("b", self.step),
            state_mark(LOOKS[shown_as], style, self.state),
            h("div", "It ", with_code(self.said()), style="margin-top:4px"),
            _diff_html(self.diff()),
            *(_uncounted_html(name, why) for name, why in self.uncounted),
        )
        return str(picture)


def _diff_html(diff: str) -> Html:
    """A diff with its lines in colours; nothing if there is none."""
    parts: list[str | Html] = []
    for line in diff.splitlines():
        if parts:
            parts.append(h("br"))
        colour = _DIFF_COLOURS.get(line[:1])
        parts.append(h("span", line, style=f"color:{colour}") if colour else line)
    return h("div", *parts, style=_DIFF) if parts else joined()


def _uncounted_html(name: str, why: str) -> Html:
    style = f"{FAINT};margin-top:4px"
    return h("div", h("code", name), f": {why}.", style=style)


def explain_call(
    engine: Engine,
    step: AnyStep,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> Explanation:
    """Why this call would run, or since when it is saved and why it ran then.

    Executes nothing.
    """
    if means_every_call(step, args, kwargs):
        return _explain_code(engine, step)
    binder, _ = step.prepared
    return explain(
        engine,
        step.name,
        keys.identify(step),
        binder.arguments(args, kwargs),
        step.policy.ttl,
    )


def means_every_call(
    step: AnyStep,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> bool:
    """Whether these arguments stand for all calls of the step.

    They do if there are none, and the step cannot be called without any.
    """
    if args != step.bound or kwargs:
        return False
    binder: Binder = step.prepared[0]
    try:
        binder.arguments(args, {})
    except TypeError:
        return True
    return False


def explain(
    engine: Engine,
    name: str,
    identity: Identity,
    arguments: Arguments,
    ttl: float | None,
    *,
    shown: str | None = None,
) -> Explanation:
    """`explain_call` for whatever is filed under ``name``.

    Args:
        engine: knows the store, the clock and the sources.
        name: what results are filed under.
        identity: the code that a call would run.
        arguments: what it would be given.
        ttl: for how many seconds a result is good.
        shown: what a person calls it, if not by ``name``.
    """
    key = keys.call_key(name, identity, arguments, None)
    found = _known(engine.store, key)
    until = found.fresh_until(ttl) if found is not None else None
    state, changes = "would run", list[Change]()
    if identity.per_run:
        reason = 'ttl="run" makes every call outside of a run a new one'
    elif found is not None and until is not None and until <= engine.clock.time():
        reason = f"its result of {wall_time(found.saved_at)} is out of date (ttl)"
    else:
        state = "would run" if found is None else "cached"
        reason, changes = _reason(engine, name, identity, arguments, found)
    return Explanation(
        step=shown or name,
        state=state,
        reason=reason,
        changes=tuple(changes),
        saved_at=found.saved_at if found is not None else None,
        seconds=found.seconds if found is not None else 0.0,
        uncounted=(*identity.code.uncounted, *_without_content(arguments)),
        key=key,
    )


def _without_content(arguments: Arguments) -> Iterator[tuple[str, str]]:
    """Clients, locks and the like among the arguments."""
    for name, value in arguments:
        for kind in identify(value).opaque:
            yield name, f"{with_article(kind)} has no content; only its type counts"


def _explain_code(engine: Engine, step: AnyStep) -> Explanation:
    """What of the code changed since the step last ran."""
    identity = keys.identify(step)
    sources = engine.runner.sources
    history = sources.history(step.name)
    uncounted = identity.code.uncounted
    if not history:
        reason = "it has not run in this store"
        return Explanation(step.name, "changed", reason, uncounted=uncounted)
    latest = history[-1]
    is_changed = latest.code != identity.digest
    earlier = history if is_changed else history[:-1]
    changes: list[Change] = []
    reason = ""
    if earlier:
        changes = sources.changes(step.name, earlier[-1].code, identity)
        reason = listed(changes) or "what it reaches changed"
    codes = {version.code for version in history}
    if is_changed and identity.digest in codes:
        reason += " (this code ran before, and its results are found again)"
    return Explanation(
        step.name,
        state="changed" if is_changed else "unchanged",
        reason=reason,
        changes=tuple(changes),
        saved_at=latest.at,
        uncounted=uncounted,
    )


def _reason(
    engine: Engine,
    name: str,
    identity: Identity,
    arguments: Arguments,
    found: Checkpoint | None,
) -> tuple[str, list[Change]]:
    """Why there was no result when the call ran, or why there is none now.

    Args:
        engine: knows the store and the sources.
        name: what results are filed under.
        identity: the code of the call.
        arguments: of the call.
        found: its result, if there is one: then the reason is why it ran.
    """
    sources, store = engine.runner.sources, engine.store
    for version in reversed(sources.history(name)):
        if version.code == identity.digest:
            continue
        key = keys.call_key(name, identity.at(version.code), arguments, None)
        older = _known(store, key)
        if older is not None and _is_before(older, found):
            changes = sources.changes(name, version.code, identity)
            return listed(changes) or "what its code reaches changed", changes
    if found is None:
        has, inputs = "has", inputs_of(arguments)
    else:
        has, inputs = "had", found.inputs
    closest, is_whole = _closest(store, name, inputs, found)
    if closest is not None:
        return difference(engine, name, closest, identity, inputs, has=has)
    reason = f"it {has} not run before"
    if not is_whole:
        reason += f" (among the {_LOOKED_AT:,} results that were read)"
    return reason, []


def difference(
    engine: Engine,
    name: str,
    before: Checkpoint,
    now: Identity | bytes,
    inputs: Sequence[Input],
    *,
    has: str = "had",
) -> tuple[str, list[Change]]:
    """What differs between an earlier call and one with this code and these inputs.

    Args:
        engine: knows the sources.
        name: what both results are filed under.
        before: the earlier call.
        now: the code of the later one.
        inputs: what the later one was given.
        has: "it ``has`` (or ``had``) not run with this input before".
    """
    code = now if isinstance(now, bytes) else now.digest
    changes: list[Change] = []
    if before.code != code:
        changes = engine.runner.sources.changes(name, before.code, now)
    given = input_changes(before.inputs, inputs)
    said = [listed(changes), _inputs_said(before.inputs, inputs, given, has)]
    words = " and ".join(part for part in said if part)
    return words or "its result is no longer in the store", [*changes, *given]


def _inputs_said(
    before: Sequence[Input],
    now: Sequence[Input],
    changes: list[Change],
    has: str,
) -> str:
    """What changed in the inputs, in words.

    Inputs that have nothing in common are those of another call, not changed ones.
    """
    if not changes:
        return ""
    for old, new in zip(before, now, strict=False):
        if old.digest == new.digest or old.parts:
            return listed(changes)
    names = " and ".join(f"`{change.name}`" for change in changes)
    return f"it {has} not run with this {names} before"


def _closest(
    store: Store,
    name: str,
    inputs: Sequence[Input],
    found: Checkpoint | None,
) -> tuple[Checkpoint | None, bool]:
    """The earlier call of a step that has most in common with these inputs.

    Returns:
        The call, and whether every result was looked at.
    """
    closest: Checkpoint | None = None
    best = (-1, -1, 0.0)
    until = time.monotonic() + _PATIENCE
    for looked_at, (_, head) in enumerate(lookup.every(store)):
        if looked_at >= _LOOKED_AT or time.monotonic() > until:
            return closest, False
        if head.name == name and _is_before(head, found):
            score = (*_in_common(head.inputs, inputs), head.saved_at)
            if score > best:
                best, closest = score, head
    return closest, True


def _is_before(head: Checkpoint, found: Checkpoint | None) -> bool:
    """Whether a result is older than the one that was found, if one was found."""
    return found is None or head.saved_at < found.saved_at


def _in_common(before: Sequence[Input], after: Sequence[Input]) -> tuple[int, int]:
    """The number of equal inputs, and of equal parts of inputs."""
    equal = parts = 0
    old = {given.name: given for given in before}
    for given in after:
        earlier = old.get(given.name)
        if earlier is not None:
            equal += earlier.digest == given.digest
            parts += len(set(earlier.parts) & set(given.parts))
    return equal, parts


def _known(store: Store, key: str) -> Checkpoint | None:
    """Return the checkpoint under ``key``; one that cannot be read explains nothing."""
    return dict(lookup.among(store, [key])).get(key)
