"""Edges: where the names and values that code reads lead.

A value leads to a node of the graph (code of the user's, which is read in turn), to
something that is known by its name (a builtin, a function of an installed library), or
nowhere: then it counts by its content, and the code that is in it leads on.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import io
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._key import classes, mutation, redaction, stdlib
from nbflow._key.annotations import annotations_of
from nbflow._key.code import Cell
from nbflow._key.guards import MISSING, Guards, Watch
from nbflow._key.kinds import (
    BUNDLES,
    NAMED,
    WATCHED,
    carries,
    columns_of,
    is_bound,
    is_constant,
    is_frame,
    is_librarys,
    loaded,
    unwrapped,
    version_of,
    with_article,
    wraps,
)
from nbflow._key.origin import content, holds, is_users
from nbflow._key.secret import KNOWN
from nbflow._key.value import ATTRIBUTE, SHORT, Content, Refusal, identify, seal
from nbflow._key.writes import slots_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CellType

    from nbflow._key.bytecode import Chain
    from nbflow._key.guards import Space
    from nbflow._key.mutation import Slot


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is read.

    Attributes:
        slot: where it is, ``None`` inside of another one.
        digest: of its content.
        code: where the functions and classes in it lead.
        text: how it is written, for a reader.
        columns: of a frame, name and digest of each.
    """

    slot: Slot | None
    digest: bytes
    code: tuple[int | bytes, ...]
    text: str
    columns: tuple[tuple[str, bytes], ...] = ()


#: The place of a node in the graph, the digest of a name, or a value.
Target: TypeAlias = int | bytes | Value

#: What is not with a function, and counts only where code reads it.
_SAID = frozenset(("__doc__", "__annotations__"))
_OF_MODULES = frozenset(
    (
        "__name__",
        "__file__",
        "__doc__",
        "__package__",
        "__spec__",
        "__loader__",
        "__path__",
    )
)


class Edges:
    """Follows names and values, and notes what must stay as it is for the result to hold.

    Args:
        ignored: slots that do not count, as the code rebinds them or ``ignore=`` leaves
            them out.
        changing: slots of values that the code changes in place.

    Attributes:
        things: what the edges lead to and has to be read in turn, in the order in which
            it was found; its place here is its number.
        guards: what must stay as it is.
        rebound: more slots to ignore, which this walk has found.
        changed: more slots of values that the code changes, found likewise.
        refused: errors about values that no key can be made of.
        steps: the steps that were looked through.
        states: the slots in ``changing`` that are read.
        uncounted: what does not count by its content: name, and why not.
        installed: functions of libraries.
        values: those that were read; texts among them may be queries.
    """

    def __init__(self, ignored: set[Slot], changing: set[Slot]) -> None:
        self.ignored = ignored
        self.things: list[object] = []
        self.guards = Guards()
        self.rebound: set[Slot] = set()
        self.changed: set[Slot] = set()
        self.refused: list[Exception] = []
        self.steps: list[Any] = []
        self.states: list[Slot] = []
        self.uncounted: dict[str, str] = {}
        self.installed: set[FunctionType] = set()
        self.values: list[object] = []
        self._changing = changing
        self._places: dict[int, int] = {}

    # From a name.

    def follow(self, space: Space, chain: Chain) -> Iterator[tuple[str, Target]]:
        """Follow a dotted name through local modules; further on, the syntax tree has the attributes."""
        value = loaded(space.get(chain[0], MISSING))
        length = 1
        while length < len(chain) and isinstance(value, ModuleType) and is_users(value):
            self.watch(space, chain[length - 1], value)
            space = vars(value)
            value = loaded(space.get(chain[length], MISSING))
            length += 1
        name, last, rest = ".".join(chain[:length]), chain[length - 1], chain[length:]
        slot = id(space), last
        if _stands_in(value, last):
            value = MISSING
        if last in _OF_MODULES:
            yield name, seal("builtin", name)
            return
        if slot not in self.ignored:
            self.watch(space, last, value)
        if value is MISSING:
            # A builtin, or nowhere yet. IPython adds builtins of its own: it must make
            # no difference where the code is read.
            yield name, seal("builtin", name)
            if length > 1:
                owner = ".".join(chain[: length - 1])
                yield from self.made_on_demand(space, last, owner)
            return
        fetch = functools.partial(space.get, last, MISSING)
        yield name, self.at(slot, value, name, fetch)
        if rest and slot not in self.ignored:
            yield from self._beyond(self.looked_through(value), name, rest)

    def made_on_demand(
        self, space: Space, name: str, owner: str
    ) -> Iterator[tuple[str, Target]]:
        """Follow the function of a module that makes attributes which are not there, as for ``lazy.RATE``.

        What it gives, only a call of it could say.

        Args:
            space: of the module.
            name: of the attribute.
            owner: what the code calls the module.
        """
        if name in space or name[:2] == "__":
            return
        make = space.get("__getattr__", MISSING)
        self.watch(space, "__getattr__", make)
        if make is not MISSING:
            label = f"{owner}.__getattr__"
            self.uncounted[label] = "its code counts, what it gives does not"
            yield label, self.to(make, label)

    def follow_cell(self, cell: CellType, chain: Chain) -> Iterator[tuple[str, Target]]:
        """Follow a dotted name whose first part is a closure's."""
        (name, *rest), slot, value = chain, (id(cell), ""), content(cell)
        if slot not in self.ignored:
            self.guards.cells.append((cell, value))
        if isinstance(value, ModuleType) and rest:
            yield from self.follow({name: value}, chain)
            return
        yield (name, self.at(slot, value, name, functools.partial(content, cell)))
        if rest and slot not in self.ignored:
            yield from self._beyond(self.looked_through(value), name, chain[1:])

    def _beyond(
        self, value: object, name: str, rest: Chain
    ) -> Iterator[tuple[str, Target]]:
        """Yield what counts behind a name that was followed: what the user put into a library, or onto a function."""
        if isinstance(value, ModuleType):
            yield from self._in_library(value, name, rest)
        elif isinstance(value, FunctionType) and is_users(value):
            yield from self._of_function(value, name, rest[0])

    def _in_library(
        self, module: ModuleType, name: str, rest: Chain
    ) -> Iterator[tuple[str, Target]]:
        value: object = module
        for attribute in rest:
            if not isinstance(value, ModuleType):
                break
            name, value = f"{name}.{attribute}", self._attribute(value, attribute)
        if isinstance(value, (FunctionType, type)) and is_users(value):
            yield name, self.to(value, name)
        elif isinstance(value, FunctionType):
            self.installed.add(value)

    def _attribute(self, module: ModuleType, name: str) -> object:
        """Return an attribute of a library's module, which may be patched, and guard it."""
        space = vars(module)
        found = space.get(name, MISSING)
        if found is MISSING or isinstance(found, WATCHED):
            self.guards.names.append((space, name, found))
        return found

    def _of_function(
        self, function: FunctionType, name: str, attribute: str
    ) -> Iterator[tuple[str, Target]]:
        if attribute in _SAID:
            label, fetch = (
                f"{name}.{attribute}",
                functools.partial(_said, function, attribute),
            )
            yield label, self.to(fetch(), label)
            self.guards.contents.append(Watch(fetch, identify(fetch())))
            return
        # Followed even if the function has no such attribute: it may get one.
        for label, target in self.follow(vars(function), (attribute,)):
            if attribute in vars(function):
                yield f"{name}.{label}", target

    def watch(self, space: Space, name: str, value: object) -> None:
        """Guard a name: by the very object, or by the type where the content is watched anyway."""
        if (
            value is MISSING
            or wraps(value)
            or isinstance(value, WATCHED)
            or is_constant(value)
        ):
            self.guards.names.append((space, name, value))
        else:
            self.guards.kinds.append((space, name, type(value)))

    # From a value.

    def at(
        self, slot: Slot, value: object, name: str, fetch: Callable[[], object]
    ) -> Target:
        """Return where the value in a slot leads; see `to`."""
        if slot not in self.ignored:
            return self.to(value, name, slot, fetch)
        why = "it does not count: the code binds it again, or ignore= leaves it out"
        self.uncounted[name] = why
        return seal("rebound")

    def to(
        self,
        value: object,
        name: str,
        slot: Slot | None = None,
        fetch: Callable[[], object] | None = None,
    ) -> Target:
        """Return where a value leads.

        Args:
            value: anything.
            name: of it, for a reader.
            slot: where it is.
            fetch: gives what is there later; without it, that is this very value.
        """
        value = self.looked_through(value)
        if is_librarys(value) or stdlib.is_special_class(value):
            return named("installed", value)
        if _is_read_apart(value):
            return self._node(value)
        if isinstance(value, (FunctionType, type)) and not stdlib.is_special_form(
            value
        ):
            return self._to_code(value)
        if isinstance(value, NAMED) and not is_bound(value):
            return named("named", value)
        if is_constant(value):
            return self._value(slot, identify(value), name, value)
        return self.to_content(value, name, slot, fetch or (lambda: value))

    def looked_through(self, value: Any) -> Any:
        """Return what a step stands for, and note the step."""
        inner = unwrapped(value)
        is_step = inner is not value or version_of(value) is not None
        if not is_step or not holds(value, "code_ignores"):
            return inner
        if not any(value is known for known in self.steps):
            self.steps.append(value)
            self.rebound |= slots_of(inner, value.code_ignores)
        return inner

    def _node(self, thing: object) -> int:
        if id(thing) not in self._places:
            self._places[id(thing)] = len(self.things)
            self.things.append(thing)
        return self._places[id(thing)]

    def _to_code(self, thing: FunctionType | type) -> Target:
        if is_users(thing) or carries(thing):
            return self._node(thing)
        if isinstance(thing, FunctionType):
            self.installed.add(thing)
        return named("installed", thing)

    def to_content(
        self, value: object, name: str, slot: Slot | None, fetch: Callable[[], object]
    ) -> Target:
        """Key a value that can change in place by its content, or where it has none by its type alone."""
        try:
            found = identify(value)
        except Refusal as refusal:
            if _is_to_be_read(value, refusal) and slot not in self._changing:
                self.refused.append(refusal.error(name))
            return self._by_type(value, name)
        for kind in found.opaque:
            why = f"{with_article(kind)} has no content; only its type counts"
            self.uncounted[name] = why
        if slot is not None and (found.restless or _changes_itself(found)):
            self.changed.add(slot)
        state = slot if slot in self._changing else None
        counted = found
        if state is not None:
            counted = mutation.counted(state, value)
            self.states.append(state)
            why = (
                "what others change in it counts, what the code itself changes does not"
            )
            self.uncounted.setdefault(name, why)
        self.guards.contents.append(Watch(fetch, counted, state))
        return self._value(slot, counted, name, value)

    def _value(
        self, slot: Slot | None, found: Content, name: str, value: object
    ) -> Value:
        self.values.append(value)
        code = [self.to(thing, name) for thing in found.code]
        return Value(
            slot,
            found.digest,
            tuple(part for part in code if not isinstance(part, Value)),
            redaction.of_value(value),
            _columns(value) if is_frame(value) else (),
        )

    def _by_type(self, value: object, name: str) -> Target:
        kind = type(value)
        why = (
            f"nbflow cannot read what is in {with_article(kind)}; only its type counts"
        )
        self.uncounted[name] = why
        return self._node(kind) if is_users(kind) else named("object of", kind)


def named(tag: str, thing: Any) -> bytes:
    """Return the digest of what is known by its name."""
    return seal(*stdlib.name_of(thing, tag))


def _said(function: FunctionType, name: str) -> object:
    """Return what a function says of itself, as every Python has it.

    From 3.13 on the compiler takes the indentation out of docstrings.
    """
    if name == "__annotations__":
        return annotations_of(function)
    return inspect.cleandoc(function.__doc__) if function.__doc__ else function.__doc__


def _is_read_apart(value: object) -> bool:
    """Return whether a value is a node beside functions and classes: something around one, a cell, a local module."""
    if isinstance(value, ModuleType) and is_users(value):
        return True
    return wraps(value) or isinstance(value, (*BUNDLES, Cell))


def _columns(frame: object) -> tuple[tuple[str, bytes], ...]:
    """Return name and digest of each column, for a reader who asks which one changed."""
    found = []
    for name, column in columns_of(frame):
        try:
            digest = identify(column).digest
        except Refusal:
            continue
        found.append((KNOWN.mask(str(name)), digest[:SHORT]))
    return tuple(found)


def _changes_itself(found: Content) -> bool:
    """Return whether an object in a value changes itself when it is used."""
    kinds = [thing for thing in found.code if isinstance(thing, type)]
    return any(map(classes.changes_itself, kinds))


def _is_to_be_read(value: object, refusal: Refusal) -> bool:
    """Return whether what the code reads is an iterator or a file to read.

    What is in it counts, and cannot be known.
    """
    if isinstance(value, io.IOBase) and not value.closed and not value.readable():
        return False
    in_attribute = any(form == ATTRIBUTE for form, _ in refusal.path)
    return refusal.decisive and not in_attribute


def _stands_in(value: object, name: str) -> bool:
    """Return whether a global only wraps the builtin of its name: IPython puts its own `open` into every notebook."""
    if not hasattr(builtins, name):
        return False
    return getattr(value, "__wrapped__", None) is getattr(builtins, name)
