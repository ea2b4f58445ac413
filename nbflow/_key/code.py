"""What a function reaches in the user's code -> digest.

A function's key covers itself and, transitively, the user's functions, classes and
steps that it reaches by a global name, a closure, an attribute of a local module or an
import in its body, and the constants that it reads there. The digest is that of the
whole graph: nodes in the order in which they are found, each with what it reads and
where that leads, so that mutual recursion needs no special care.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import importlib.util
import inspect
import io
import sys
import weakref
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._key import classes, mutation, redaction, stdlib, syntax
from nbflow._key.annotations import annotations_of
from nbflow._key.bytecode import Reads, scan
from nbflow._key.call import parts_of
from nbflow._key.guards import MISSING, Guards, Watch
from nbflow._key.kinds import (
    BUNDLES,
    NAMED,
    WATCHED,
    Around,
    carries,
    cells_of,
    contents,
    defaults_of,
    is_bound,
    is_constant,
    is_kept_in_class,
    is_librarys,
    loaded,
    unwrapped,
    version_of,
    with_article,
    wraps,
)
from nbflow._key.origin import carried, content, holds, is_users, is_users_file
from nbflow._key.value import (
    ATTRIBUTE,
    Content,
    Refusal,
    digest,
    identify,
    member,
    seal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow._key.bytecode import Chain
    from nbflow._key.guards import Space
    from nbflow._key.mutation import Slot


@dataclass(frozen=True, slots=True)
class Part:
    """A function, class or value that code reaches.

    Attributes:
        name: qualified, as the code sees it.
        digest: of it alone, not of what it reaches in turn.
        kind: ``"function"``, ``"class"``, ``"value"``, ``"version"``, or ``"column"``
            for one of a frame that is a part.
        text: its source, or how a short plain value is written, no secrets in it; empty
            where there is none to show.
    """

    name: str
    digest: bytes
    kind: str = field(default="value", compare=False)
    text: str = field(default="", compare=False)

    @property
    def frame(self) -> str:
        """Of a column the name of its frame."""
        return (
            self.name.rpartition(" of `")[2].rstrip("`")
            if self.kind == "column"
            else ""
        )


@dataclass(frozen=True, slots=True)
class Code:
    """What a function is, for the key of its calls.

    Attributes:
        digest: 20 bytes, equal as long as nothing it reaches has changed.
        parts: each function, class and value it reaches, itself first: what differs
            between two codes is what changed.
        steps: the objects around functions (steps) that were looked through.
        changes: where the values are that the code changes itself; see
            `nbflow._key.mutation`.
        uncounted: what it reaches that does not count by its content: name, and why
            not.
        installed: functions of libraries that it names, nbflow's among them.
    """

    digest: bytes
    parts: tuple[Part, ...]
    steps: tuple[Any, ...] = field(default=(), compare=False)
    changes: tuple[Slot, ...] = field(default=(), compare=False)
    uncounted: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    installed: frozenset[Any] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell of a notebook, to be read like a function.

    Attributes:
        name: of the step that it is.
        body: its statements.
        text: its source.
        space: the notebook's names.
        reads: names of functions, classes and modules that it reads, dotted ones as
            tuples; its data are arguments.
    """

    name: str
    body: list[ast.stmt]
    text: str
    space: Space
    reads: frozenset[Chain]


def read_cell(cell: Cell) -> Code:
    """Return what a cell is, as of now; see `read`."""
    return _read(cell, set())[0]


def read(function: Any, ignore: frozenset[str] = frozenset()) -> Code:
    """Return what a function, class or step is, as of now.

    It costs a microsecond as long as everything reached is the same object as before,
    and for values that can change in place as long as it takes to look at their
    content. Whatever was redefined, patched or rebound since is read again.

    Args:
        function: the function, class or step.
        ignore: names of globals and closure cells that do not count.

    Raises:
        UnkeyableError: the code reads an iterator or an open file, which no key can be
            made of.
    """
    place = id(function), ignore
    entry = _MEMO.get(place)
    if entry is not None and entry[0]() is function and entry[1].hold(function):
        return entry[2]
    if (inner := unwrapped(function)) is not function:
        return read(inner, ignore)
    code, guards = _read(function, _slots_of(function, ignore))
    _remember(function, place, guards, code)
    return code


def _read(root: Any, rebound: set[Slot]) -> tuple[Code, Guards]:
    changed = set[mutation.Slot]()
    while True:
        graph = _Graph(rebound, changed)
        graph.walk(root)
        if graph.rebound <= rebound and graph.changed <= changed:
            break
        rebound |= graph.rebound
        changed |= graph.changed
    for refused in graph.refused:
        raise refused
    return graph.code(), graph.guards


_MEMO: dict[tuple[int, frozenset[str]], tuple[weakref.ref[Any], Guards, Code]] = {}


def _remember(
    function: Any, place: tuple[int, frozenset[str]], guards: Guards, code: Code
) -> None:
    forget = functools.partial(
        _MEMO.pop, place
    )  # bound now: at exit the module's names are gone
    try:
        owner = weakref.ref(function, lambda _: forget(None))
    except TypeError:  # a builtin; reading it again costs little
        return
    guards.disown(function)
    _MEMO[place] = (owner, guards, code)


def _slots_of(function: Any, names: frozenset[str]) -> set[Slot]:
    """Return where the globals and closure cells of these names are that a function reads."""
    if not names or not isinstance(function, FunctionType):
        return set()
    cells = cells_of(function)
    return {
        (id(cells[name]), "") if name in cells else (id(function.__globals__), name)
        for name in names
    }


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that is read, and where the code in it leads."""

    slot: Slot | None
    digest: bytes
    code: tuple[int | bytes, ...]
    text: str
    columns: tuple[tuple[str, bytes], ...] = ()


_Target: TypeAlias = "int | bytes | _Value"  # a node of the graph, something known by name, a value that is read


@dataclass(frozen=True, slots=True)
class _Node:
    label: str
    own: bytes
    reads: dict[str, _Target]
    kind: str
    text: str = ""


class _Graph:
    """What is reached from one function, breadth first.

    Args:
        rebound: names that functions of the graph rebind; what they lead to does not
            count.
        changed: where the values are that functions of the graph change in place; see
            `nbflow._key.mutation`.
    """

    def __init__(self, rebound: set[Slot], changed: set[Slot]) -> None:
        self.guards = Guards()
        self.rebound: set[Slot] = set()
        self.changed: set[Slot] = set()
        self.refused: list[Exception] = []
        self._ignored = rebound
        self._changed = changed
        self._things: list[object] = []
        self._places: dict[int, int] = {}
        self._spaces: dict[str, Space] = {}
        self._nodes: list[_Node] = []
        self._known = b""
        self._steps: list[Any] = []
        self._states: list[Slot] = []
        self._uncounted: dict[str, str] = {}
        self._installed: set[FunctionType] = set()
        #: Attributes that the code reads of whatever it has at hand; all there are
        #: (``None``) where it looks them up by text.
        self._attributes: set[str] | None = set()
        #: Attributes of arguments and local variables that the code changes in place.
        self._changed_names: set[str] = set()
        self._rebinding: list[tuple[FunctionType, set[Slot]]] = []

    def walk(self, root: object) -> None:
        """Find everything that is reached from here."""
        if isinstance(root, ModuleType):
            self._attributes = None  # who is given a module may read all of it
        target = self._target(root, _label(root))
        self._steps.clear()  # of a step with a version the step itself: what is remembered must not keep it alive
        if isinstance(target, int):
            while (
                len(self._nodes) < len(self._things)
                or self._look_into_modules()
                or self._look_at_frames()
            ):
                self._nodes.append(self._expand(self._things[len(self._nodes)]))
            self.rebound = self.rebound.union(
                *(
                    slots
                    for function, slots in self._rebinding
                    if self._may_be_called(function)
                )
            )
            kinds = [thing for thing in self._things if isinstance(thing, type)]
            self.changed |= {
                (id(kind), name)
                for kind in kinds
                for name in self._changed_names & vars(kind).keys()
            }
        else:
            self._known = target if isinstance(target, bytes) else target.digest
            self._nodes.append(_Node(_label(root), self._known, {}, "function"))

    def code(self) -> Code:
        """Return the digest of the whole and those of its parts."""
        found = {(node.label, node.own): (node.kind, node.text) for node in self._nodes}
        for node in self._nodes if not self._known else ():
            for name, target in node.reads.items():
                if isinstance(target, _Value) and target.slot not in self._ignored:
                    said = (
                        f"{node.label}{name}"
                        if name.startswith(".")
                        else name.strip("()=")
                    )
                    found[said, target.digest] = "value", target.text
                    found |= {
                        (f"column `{column}` of `{said}`", inside): ("column", "")
                        for column, inside in target.columns
                    }
        forms = [
            [member(node.own), [*map(self._spell, node.reads.items())]]
            for node in self._nodes
        ]
        parts = (
            Part(*known, kind, redaction.redacted(text, known[0]))
            for known, (kind, text) in found.items()
        )
        uncounted = tuple(sorted(self._uncounted.items()))
        return Code(
            self._known or seal("code", forms),
            tuple(parts),
            tuple(self._steps),
            tuple(dict.fromkeys(self._states)),
            uncounted,
            frozenset(self._installed),
        )

    def _spell(self, read: tuple[str, _Target]) -> list[object]:
        name, target = read
        if not isinstance(target, _Value):
            return [name, _spelled(target)]
        if target.slot in self._ignored:
            return [name, None]
        return [name, member(target.digest), *map(_spelled, target.code)]

    # Where a value leads.

    def _target(
        self,
        value: object,
        name: str,
        slot: Slot | None = None,
        fetch: Callable[[], object] | None = None,
    ) -> _Target:
        value = self._looked_through(value)
        if is_librarys(value) or stdlib.is_special_class(value):
            return _named("installed", value)
        if (
            wraps(value)
            or isinstance(value, (*BUNDLES, Cell))
            or (isinstance(value, ModuleType) and is_users(value))
        ):
            return self._enter(value)
        if isinstance(value, (FunctionType, type)) and not stdlib.is_special_form(
            value
        ):
            followed = is_users(value) or carries(value)
            if isinstance(value, FunctionType) and not followed:
                self._installed.add(value)
            return self._enter(value) if followed else _named("installed", value)
        if isinstance(value, NAMED) and not is_bound(value):
            return _named("named", value)
        if is_constant(value):
            return self._value(slot, identify(value), name, value)
        return self._content(value, name, slot, fetch or (lambda: value))

    def _looked_through(self, value: Any) -> Any:
        """Return what a step stands for, and note the step."""
        inner = unwrapped(value)
        step = value if inner is not value or version_of(value) is not None else None
        if (
            step is not None
            and holds(step, "code_ignores")
            and not any(step is known for known in self._steps)
        ):
            self._steps.append(step)
            self.rebound |= _slots_of(inner, step.code_ignores)
        return inner

    def _content(
        self, value: object, name: str, slot: Slot | None, fetch: Callable[[], object]
    ) -> _Target:
        """Key a value that can change in place by its content, or where it has none by its type alone."""
        try:
            found = identify(value)
        except Refusal as refusal:
            if _is_to_be_read(value, refusal) and slot not in self._changed:
                self.refused.append(refusal.error(name))
            return self._by_type(value, name)
        for kind in found.opaque:
            self._uncounted[name] = (
                f"{with_article(kind)} has no content, its type alone counts"
            )
        counted = found
        if slot is not None and (
            found.restless
            or any(
                isinstance(thing, type) and classes.changes_itself(thing)
                for thing in found.code
            )
        ):
            self.changed.add(slot)
        if slot is not None and slot in self._changed:
            counted = mutation.counted(slot, value)
            self._states.append(slot)
            self._uncounted.setdefault(
                name,
                "what others change in it counts, what the code itself changes does not",
            )
        self.guards.contents.append(
            Watch(fetch, counted, slot if slot in self._changed else None)
        )
        return self._value(slot, counted, name, value)

    def _value(
        self, slot: Slot | None, found: Content, name: str, value: object
    ) -> _Value:
        code = [self._target(thing, name) for thing in found.code]
        kind, columns = (
            parts_of(value)
            if type(value).__name__ in ("DataFrame", "Table")
            else ("", ())
        )
        return _Value(
            slot,
            found.digest,
            tuple(part for part in code if not isinstance(part, _Value)),
            redaction.of_value(value),
            columns if kind == "column" else (),
        )

    def _by_type(self, value: object, name: str) -> _Target:
        kind = type(value)
        self._uncounted[name] = (
            f"nothing says what is in {with_article(kind)}, its type alone counts"
        )
        return self._enter(kind) if is_users(kind) else _named("object of", kind)

    def _enter(self, value: object) -> int:
        if id(value) not in self._places:
            self._places[id(value)] = len(self._things)
            self._things.append(value)
        return self._places[id(value)]

    def _slot(
        self, slot: Slot, value: object, name: str, fetch: Callable[[], object]
    ) -> _Target:
        if slot in self._ignored:
            self._uncounted[name] = (
                "it does not count: the code binds it anew, or ignore= leaves it out"
            )
            return seal("rebound")
        return self._target(value, name, slot, fetch)

    # One function per kind of node.

    def _expand(self, thing: Any) -> _Node:
        if (version := version_of(thing)) is not None:
            return _Node(
                _label(thing),
                seal("version", member(digest(version))),
                {},
                "version",
                str(version),
            )
        if isinstance(thing, FunctionType):
            return self._function(thing) if is_users(thing) else self._carrier(thing)
        if isinstance(thing, type):
            return self._class(thing)
        if isinstance(thing, ModuleType):
            return _Node(_label(thing), seal("module"), {}, "value")
        return self._cell(thing) if isinstance(thing, Cell) else self._bundle(thing)

    def _look_into_modules(self) -> bool:
        """Follow what the code reads of modules that it hands around; which name a module has there, nobody knows.

        Returns whether that led to something new.
        """
        modules = [
            (place, thing)
            for place, thing in enumerate(self._things)
            if isinstance(thing, ModuleType)
        ]
        for place, module in modules:
            space, found = vars(module), self._nodes[place].reads
            read, refused = (
                space.keys() if self._attributes is None else self._attributes,
                len(self.refused),
            )
            for name in sorted(
                name for name in read if name[:2] != "__" and name not in found
            ):
                if name in space:
                    found.update(self._follow(space, (name,)))
                else:
                    self.guards.names.append((space, name, MISSING))
            if self._attributes is None:
                del self.refused[
                    refused:
                ]  # nobody says that the open file there is read
                self.guards.contents.append(
                    Watch(functools.partial(list, space), identify([*space]))
                )
        return len(self._nodes) < len(self._things)

    def _look_at_frames(self) -> bool:
        """Follow the methods and accessors that the user put on the frames of a library, as far as the code reads them.

        Which of its values is a frame, nobody knows. Returns whether that led to
        something new.
        """
        for kind in _frame_kinds():
            own = {
                name: item
                for name, item in vars(kind).items()
                if self._attributes is None or name in self._attributes
            }
            put = {
                name: item
                for name, item in own.items()
                if (held := _put_on(item)) is not None and is_users(held)
            }
            self.guards.sizes.append((vars(kind), len(vars(kind))))
            self.guards.names += [
                (vars(kind), name, item) for name, item in put.items()
            ]
            for name in sorted(put):
                self._nodes[0].reads[f"{kind.__module__}.{kind.__name__}.{name}"] = (
                    self._target(_put_on(put[name]), name)
                )
        return len(self._nodes) < len(self._things)

    def _note_attributes(self, names: set[Chain], attributes: set[str]) -> None:
        if not names.isdisjoint(_BY_TEXT):
            self._attributes = None
        elif self._attributes is not None:
            self._attributes |= attributes

    def _cell(self, cell: Cell) -> _Node:
        tree = syntax.Tree(functools.partial(_is_ours, cell.space))
        found = dict(
            target
            for chain in sorted(cell.reads)
            for target in self._follow(cell.space, chain)
        )
        parts = [part for statement in cell.body for part in ast.walk(statement)]
        names: set[Chain] = {(part.id,) for part in parts if isinstance(part, ast.Name)}
        self._note_attributes(
            names, {part.attr for part in parts if isinstance(part, ast.Attribute)}
        )
        return _Node(
            cell.name,
            tree.statements(cell.body),
            dict(sorted(found.items())),
            "function",
            cell.text,
        )

    def _function(self, function: FunctionType) -> _Node:
        code, space = function.__code__, function.__globals__
        self._spaces.setdefault(str(space.get("__name__")), space)
        self.guards.functions.append(
            (function, code, function.__defaults__, function.__kwdefaults__)
        )
        reads = scan(code)
        self._note_rebound(function, reads)
        self._note_attributes(reads.names, reads.attributes)
        own, text = self._syntax(function, reads)
        found = dict(
            target
            for chain in sorted(reads.names)
            for target in self._follow(space, chain)
        )
        found |= self._closure(function, reads)
        found |= self._imports(space, reads)
        defaults = []
        for name, value in defaults_of(function):
            target = self._target(value, f"{name}=", (id(function), f"{name}="))
            if isinstance(target, bytes):
                defaults.append([name, member(target)])
            else:
                found[f"{name}="] = target
        return _Node(
            _label(function),
            seal("function", member(own), defaults),
            dict(sorted(found.items())),
            "function",
            text,
        )

    def _syntax(self, function: FunctionType, reads: Reads) -> tuple[bytes, str]:
        """Return the digest of the source and the source, and correct what the code reads by what it says."""
        code, space = function.__code__, function.__globals__
        if (found := syntax.find(code, space)) is None:
            return syntax.code_digest(code), ""
        tree, node = syntax.Tree(functools.partial(_is_ours, space)), found.node
        try:
            own = tree.digest(node)
        except (
            RecursionError
        ):  # an expression too deep to walk; the code object is flat
            return syntax.code_digest(code), ""
        unread = tree.only_annotates(node)
        reads.names.difference_update(
            [chain for chain in reads.names if chain[0] in unread]
        )
        reads.names.update(tree.names(node))
        self._note_changed(function, syntax.changed_in_place(node))
        return own, tree.text(node, found.source)

    def _note_rebound(self, function: FunctionType, reads: Reads) -> None:
        cells = cells_of(function)
        rebound = {(id(function.__globals__), name) for name in reads.rebound_names}
        rebound |= {(id(cells[name]), "") for name in reads.rebound_cells}
        for owner, name in reads.rebound_attributes:
            held = (
                content(cells[owner])
                if owner in cells
                else function.__globals__.get(owner)
            )
            if isinstance(held, (type, ModuleType, FunctionType)):
                rebound.add((_space_of(held), name))
        self._rebinding.append((function, rebound))

    def _may_be_called(self, function: FunctionType) -> bool:
        """Tell whether code of the graph may call this function of it: a method is there with its class, called or not."""
        outer, _, name = function.__qualname__.rpartition(".")
        is_method = outer and not outer.endswith("<locals>") and name[:2] != "__"
        return not is_method or self._attributes is None or name in self._attributes

    def _note_changed(self, function: FunctionType, chains: set[Chain]) -> None:
        cells, own = cells_of(function), set(function.__code__.co_varnames)
        for first, *rest in chains:
            if first in own:  # `self.seen` may be what a class holds
                self._changed_names.update(rest[:1])
                continue
            slot = (
                (id(cells[first]), "")
                if first in cells
                else (id(function.__globals__), first)
            )
            held = (
                content(cells[first])
                if first in cells
                else function.__globals__.get(first)
            )
            for name in rest:
                if not isinstance(held, (type, ModuleType, FunctionType)):
                    break
                slot, held = (_space_of(held), name), vars(held).get(name)
            self.changed.add(slot)

    def _follow(self, space: Space, chain: Chain) -> Iterator[tuple[str, _Target]]:
        """Follow a dotted name through local modules; further on, the syntax tree has the attributes."""
        value = loaded(space.get(chain[0], MISSING))
        length = 1
        while length < len(chain) and isinstance(value, ModuleType) and is_users(value):
            self._watch(space, chain[length - 1], value)
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
        if slot not in self._ignored:
            self._watch(space, last, value)
        if value is MISSING:
            yield (
                name,
                seal("builtin", name),
            )  # or nowhere yet; IPython adds builtins, so no difference is made
            return
        yield (
            name,
            self._slot(slot, value, name, functools.partial(space.get, last, MISSING)),
        )
        if rest and slot not in self._ignored:
            yield from self._beyond(self._looked_through(value), name, rest)

    def _beyond(
        self, value: Any, name: str, rest: Chain
    ) -> Iterator[tuple[str, _Target]]:
        """Yield what counts behind a name that was followed: what the user put into a library, or into a function."""
        if isinstance(value, ModuleType):
            for attribute in rest:
                name, value = (
                    f"{name}.{attribute}",
                    _put_into(value, attribute, self.guards),
                )
                if not isinstance(value, ModuleType):
                    break
            if isinstance(value, (FunctionType, type)) and is_users(value):
                yield name, self._target(value, name)
            elif isinstance(value, FunctionType):
                self._installed.add(value)
        elif isinstance(value, FunctionType) and is_users(value) and rest[0] in _SAID:
            # Not with the function: its docstring and annotations count only where they
            # are read.
            name = f"{name}.{rest[0]}"
            fetch = functools.partial(_said, value, rest[0])
            yield name, self._target(fetch(), name)
            self.guards.contents.append(Watch(fetch, identify(fetch()), None))
        elif isinstance(value, FunctionType) and is_users(value):
            yield from (
                (f"{name}.{label}", target)
                for label, target in self._follow(vars(value), rest[:1])
                if rest[0] in vars(value)
            )

    def _watch(self, space: Space, name: str, value: object) -> None:
        if (
            value is MISSING
            or wraps(value)
            or isinstance(value, WATCHED)
            or is_constant(value)
        ):
            self.guards.names.append((space, name, value))
        else:
            self.guards.kinds.append((space, name, type(value)))

    def _closure(self, function: FunctionType, reads: Reads) -> dict[str, _Target]:
        found: dict[str, _Target] = {}
        cells = cells_of(function)
        for chain in sorted(reads.cells):
            value = content(cell := cells[chain[0]])
            slot = id(cell), ""
            if isinstance(value, ModuleType) and len(chain) > 1:
                targets = [*self._follow({chain[0]: value}, chain)]
            else:
                targets = [
                    (
                        chain[0],
                        self._slot(
                            slot, value, chain[0], functools.partial(content, cell)
                        ),
                    )
                ]
                if chain[1:] and slot not in self._ignored:
                    targets += self._beyond(
                        self._looked_through(value), chain[0], chain[1:]
                    )
            for name, target in targets:
                if slot not in self._ignored:
                    self.guards.cells.append((cell, value))
                found[f"({name})"] = target
        return found

    def _imports(self, space: Space, reads: Reads) -> dict[str, _Target]:
        found: dict[str, _Target] = {}
        for name, level, taken in sorted(reads.imports):
            module = _imported(name, level, space)
            self._watch_import(name, level, space, module)
            if module is not None and is_users(module):
                for attribute in set(taken) - set(vars(module)):
                    _imported(
                        f"{name}.{attribute}".lstrip("."), level, space
                    )  # a module in a package
                for attribute in sorted(taken or reads.attributes & set(vars(module))):
                    found |= {
                        f"{name}.{label}": target
                        for label, target in self._follow(vars(module), (attribute,))
                    }
        return found

    def _watch_import(
        self, name: str, level: int, space: Space, module: ModuleType | None
    ) -> None:
        try:
            full = _full_name(name, level, space)
        except ImportError:
            return
        self.guards.names.append(
            (sys.modules, full, MISSING if module is None else module)
        )
        if module is None and full.partition(".")[0] not in sys.stdlib_module_names:
            self.guards.contents.append(
                Watch(functools.partial(_can_be_imported, full), identify(False))
            )

    def _carrier(self, function: FunctionType) -> _Node:
        """Look into a function of a library that carries a user's function: tenacity's retry and the like."""
        self.guards.functions.append(
            (
                function,
                function.__code__,
                function.__defaults__,
                function.__kwdefaults__,
            )
        )
        if (
            overloads := getattr(function, "registry", None)
        ) is not None:  # functools.singledispatch, which may get more
            self.guards.contents.append(
                Watch(lambda: [*overloads.items()], identify([*overloads.items()]))
            )
        inside: dict[str, _Target] = {}
        for place, value in enumerate(carried(function)):
            held = self._looked_through(value)
            if wraps(held) or isinstance(held, (FunctionType, type, *BUNDLES)):
                target = self._target(held, str(place))
                if isinstance(target, int):
                    inside[str(place)] = target
        return _Node(
            _label(function), _named("installed", function), inside, "function"
        )

    def _bundle(self, thing: Any) -> _Node:
        inside = {
            name: self._target(value, f"{_label(thing)} {name}", (id(thing), name))
            for name, value in contents(thing).items()
        }
        if wraps(thing) and is_users(type(thing)):
            inside["state"] = self._around(thing)
        return _Node(
            _label(thing), seal("bundle", type(thing).__name__), inside, "function"
        )

    def _around(self, thing: Any) -> _Target:
        """Key what an object of the user's around a function holds beside it."""
        slot, held = (id(thing), "state"), Around(thing)
        if classes.changes_itself(type(thing)):
            self.changed.add(slot)
        return self._content(held, f"{_label(thing)} state", slot, lambda: held)

    def _class(self, kind: type) -> _Node:
        written = classes.methods(kind)
        found_body, space = _body(kind, written)
        if found_body is not None:
            tree, body = (
                syntax.Tree(functools.partial(_is_ours, space)),
                found_body.owner,
            )
            assert body is not None
            own, names, text = (
                tree.digest(body),
                tree.names(body),
                tree.text(body, found_body.source),
            )
        else:
            space = self._spaces.get(kind.__module__) or vars(
                sys.modules.get(kind.__module__, builtins)
            )
            own, names = (
                classes.by_members(
                    kind, {name for owner, name in self._ignored if owner == id(kind)}
                ),
                set(),
            )
            text = classes.spelled(kind)
        names = names.union(*map(syntax.names_in, classes.quoted(kind)))
        found = dict(
            target for chain in sorted(names) for target in self._follow(space, chain)
        )
        found |= {
            f".{name}": self._target(function, name)
            for name, function in written.items()
        }
        found |= {
            f"base {place}": self._target(base, "base")
            for place, base in enumerate(kind.__bases__)
        }
        found |= {
            f":{name}": self._target(part, name)
            for name, part in classes.mentioned(kind)
        }
        found["metaclass"] = self._target(type(kind), "metaclass")
        found |= {
            f".{name}": self._slot(
                (id(kind), name),
                item,
                f"{_label(kind)}.{name}",
                functools.partial(vars(kind).get, name),
            )
            for name, item in self._members(kind)
        }
        return _Node(_label(kind), own, dict(sorted(found.items())), "class", text)

    def _members(self, kind: type) -> Iterator[tuple[str, object]]:
        """Yield the values and classes in a class, and watch all that counts of it."""
        kept = {
            name: item
            for name, item in vars(kind).items()
            if (id(kind), name) not in self._ignored
        }
        watched = [
            (name, item)
            for name, item in kept.items()
            if name[:2] != "__" or isinstance(item, FunctionType)
        ]
        self.guards.members.append((kind, len(vars(kind)), watched))
        for name, item in watched:
            written = (
                name[:1] != "_" or name[-1:] != "_"
            )  # not what enum keeps between underscores
            if written and (
                isinstance(item, type)
                or is_constant(item)
                or (is_kept_in_class(item) and _is_authors(kind, name))
            ):
                yield name, item


_SAID = frozenset(("__doc__", "__annotations__"))


def _said(function: FunctionType, name: str) -> object:
    """Return what a function says of itself, as every Python has it: from 3.13 on the compiler takes the indentation out of docstrings."""
    if name == "__annotations__":
        return annotations_of(function)
    return inspect.cleandoc(function.__doc__) if function.__doc__ else function.__doc__


#: What takes the name of an attribute as a text.
_BY_TEXT = frozenset((("getattr",), ("vars",)))
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


def _frame_kinds() -> list[type]:
    """Return the classes of frames that are loaded, to which people add methods of their own."""
    names = [("pandas", name) for name in ("DataFrame", "Series", "Index")]
    names += [("polars", name) for name in ("DataFrame", "LazyFrame", "Series", "Expr")]
    found = [getattr(sys.modules.get(library), name, None) for library, name in names]
    return [kind for kind in found if isinstance(kind, type)]


def _put_on(item: object) -> FunctionType | type | None:
    """Return the function or class behind an attribute of a frame: itself, or what an accessor or name space stands for."""
    inside = [item, getattr(item, "_accessor", None), getattr(item, "_ns", None)]
    return next(
        (held for held in inside if isinstance(held, (FunctionType, type))), None
    )


def _is_authors(kind: type, name: str) -> bool:
    """Tell whether an attribute of a class is its author's, not one that a library keeps for itself."""
    plain = type(kind).__module__ in ("builtins", "abc", "enum", "typing") or is_users(
        type(kind)
    )
    return (
        name not in ("model_config", "_field_defaults")
        and (plain or name[:1] != "_")
        and not name.startswith("_abc_")
    )


def _is_to_be_read(value: object, refusal: Refusal) -> bool:
    """Tell whether what the code reads is an iterator or a file to read: what is in it counts, and cannot be known."""
    if isinstance(value, io.IOBase) and not value.closed and not value.readable():
        return False
    return refusal.decisive and not any(form == ATTRIBUTE for form, _ in refusal.path)


def _spelled(target: int | bytes) -> object:
    return target if isinstance(target, int) else member(target)


def _space_of(owner: type | ModuleType | FunctionType) -> int:
    return id(owner) if isinstance(owner, type) else id(vars(owner))


def _put_into(module: ModuleType, name: str, guards: Guards) -> object:
    """Return an attribute of a library's module, which may be patched, and be told when it is."""
    found = vars(module).get(name, MISSING)
    if found is MISSING or isinstance(found, WATCHED):
        guards.names.append((vars(module), name, found))
    return found


def _named(tag: str, thing: Any) -> bytes:
    return seal(*stdlib.name_of(thing, tag))


def _label(thing: Any) -> str:
    if isinstance(thing, Cell):
        return thing.name
    if isinstance(thing, ModuleType):
        return thing.__name__
    thing = (
        getattr(thing, "__wrapped__", thing) if version_of(thing) is not None else thing
    )
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)


def _body(
    kind: type, written: dict[str, FunctionType]
) -> tuple[syntax.Found | None, Space]:
    for function in written.values():
        if function.__qualname__ == f"{kind.__qualname__}.{function.__name__}":
            found = syntax.find(function.__code__, function.__globals__)
            if found and found.owner is not None and found.owner.name == kind.__name__:
                return found, function.__globals__
    return None, {}


def _is_ours(space: Space, decorator: ast.expr) -> bool:
    """Tell whether a decorator is nbflow's: its options are no part of the code."""
    chain = syntax.dotted(syntax.called(decorator))
    if chain is None:
        return False
    value = space.get(chain[0])
    for name in chain[1:]:
        value = (
            getattr(value, name, None)
            if isinstance(value, (ModuleType, type))
            else value
        )
    module = (
        value.__name__
        if isinstance(value, ModuleType)
        else getattr(value, "__module__", None)
    )
    return str(module).partition(".")[0] == "nbflow"


def _imported(name: str, level: int, space: Space) -> ModuleType | None:
    """Return a module that the body of a function imports; a user's module is imported for it.

    The call would import it too. If it is served from its checkpoint instead, it must
    be known all the same what it would have reached.
    """
    try:
        full = _full_name(name, level, space)
        if full in sys.modules:
            return sys.modules[full]
        if full.partition(".")[0] in sys.stdlib_module_names:
            return None
        return importlib.import_module(full) if _can_be_imported(full) else None
    except Exception:  # the user's function will meet it, and say so better
        return None


def _full_name(name: str, level: int, space: Space) -> str:
    return importlib.util.resolve_name(
        "." * level + name, str(space.get("__package__") or "")
    )


def _can_be_imported(full: str) -> bool:
    try:
        spec = importlib.util.find_spec(full)
    except Exception:  # as when its package is not there
        return False
    return spec is not None and spec.origin is not None and is_users_file(spec.origin)


def _stands_in(value: object, name: str) -> bool:
    """Tell whether a global is a builtin in other clothes: IPython puts an `open` of its own into every notebook."""
    return hasattr(builtins, name) and getattr(value, "__wrapped__", None) is getattr(
        builtins, name
    )
