"""The walk from a function to everything that it reaches in the user's code -> a `Code`.

The digest is that of the whole graph: nodes in the order in which they are found, each
with what it reads and where that leads, so that mutual recursion needs no special care.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from nbflow._key import class_source, classes, query_texts, redaction, syntax
from nbflow._key.bytecode import Reads, scan
from nbflow._key.code import Cell, Code, Part
from nbflow._key.edges import Edges, Value, named
from nbflow._key.guards import MISSING, Watch
from nbflow._key.imports import can_be_imported, full_name, imported
from nbflow._key.kinds import (
    BUNDLES,
    Around,
    cells_of,
    contents,
    defaults_of,
    is_constant,
    is_kept_in_class,
    loaded,
    version_of,
    wraps,
)
from nbflow._key.origin import carried, is_users, methods
from nbflow._key.value import Refusal, code_digest, identify, member, seal
from nbflow._key.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbflow._key.bytecode import Chain
    from nbflow._key.edges import Target
    from nbflow._key.guards import Guards, Space
    from nbflow._key.mutation import Slot
    from nbflow._key.query_texts import Asks


@dataclass(frozen=True, slots=True)
class Node:
    """A function, class, module or cell of the user's, or something around a function.

    Attributes:
        label: its name, for a reader.
        own: digest of what it says itself.
        reads: what it reads, by the name that it has there, and where that leads.
        kind: see `Part`.
        text: its source, for a reader.
    """

    label: str
    own: bytes
    reads: dict[str, Target]
    kind: str
    text: str = ""


class Graph:
    """What is reached from one function, breadth first.

    What the functions of a graph write is known only once it has been walked, and must
    not count in it: it is walked again, with ``rebound`` and ``changed`` of the walk
    before, until both stay the same.

    Args:
        rebound: names that functions of the graph rebind; what they lead to does not
            count.
        changed: where the values are that functions of the graph change in place; see
            `nbflow._key.mutation`.
    """

    def __init__(self, rebound: set[Slot], changed: set[Slot]) -> None:
        self._edges = Edges(rebound, changed)
        self._writes = Writes()
        self._nodes: list[Node] = []
        #: The digest of a root that is known by its name; there is no graph then.
        self._known = b""
        #: Namespaces of the functions that were read, by the name of their module.
        self._spaces: dict[str, Space] = {}
        #: Attributes that the code reads of whatever it has at hand; all there are
        #: (``None``) where it looks them up by text.
        self._attributes: set[str] | None = set()
        #: Texts in the code, and the calls that look up names in texts: the place of the
        #: node that makes each, and where it looks.
        self._texts: set[str] = set()
        self._of_cell: frozenset[str] = frozenset()
        self._asks: list[tuple[int, Space, Asks]] = []

    @property
    def guards(self) -> Guards:
        """What must stay as it is for the graph to be the same."""
        return self._edges.guards

    @property
    def refused(self) -> list[Exception]:
        """Errors about what the code reads and no key can be made of."""
        return self._edges.refused

    @property
    def rebound(self) -> set[Slot]:
        """The names that its functions rebind."""
        return self._edges.rebound | self._writes.rebound(self._attributes)

    @property
    def changed(self) -> set[Slot]:
        """Where the values are that its functions change in place."""
        kinds = [thing for thing in self._edges.things if isinstance(thing, type)]
        return self._edges.changed | self._writes.changed(kinds)

    def walk(self, root: object) -> None:
        """Find everything that is reached from here."""
        if isinstance(root, ModuleType):
            self._attributes = None  # who is given a module may read all of it
        target = self._edges.to(root, _label(root))
        # Of a step with a version the step itself: what is remembered must not keep it
        # alive.
        self._edges.steps.clear()
        if not isinstance(target, int):
            self._known = target.digest if isinstance(target, Value) else target
            self._nodes.append(Node(_label(root), self._known, {}, "function"))
            return
        # Modules, frames and texts wait until everything else is read: which of their
        # attributes and names count follows from all the code there is.
        while (
            self._is_incomplete()
            or self._read_modules()
            or self._read_frames()
            or self._read_subclasses()
            or self._read_texts()
        ):
            self._nodes.append(self._read(self._edges.things[len(self._nodes)]))

    def _is_incomplete(self) -> bool:
        return len(self._nodes) < len(self._edges.things)

    def code(self) -> Code:
        """Return the digest of the whole and those of its parts."""
        edges = self._edges
        forms = [[member(node.own), self._spelled_reads(node)] for node in self._nodes]
        return Code(
            digest=self._known or seal("code", forms),
            parts=tuple(self._parts()),
            steps=tuple(edges.steps),
            changes=tuple(dict.fromkeys(edges.states)),
            uncounted=tuple(sorted(edges.uncounted.items())),
            installed=frozenset(edges.installed),
        )

    def _spelled_reads(self, node: Node) -> list[object]:
        """Return what a node reads, as a part of the digest of the whole."""
        found: list[object] = []
        for name, target in node.reads.items():
            if not isinstance(target, Value):
                found.append([name, _spelled(target)])
            elif target.slot in self._edges.ignored:
                found.append([name, None])
            else:
                inside = map(_spelled, target.code)
                found.append([name, member(target.digest), *inside])
        return found

    def _parts(self) -> Iterator[Part]:
        """Yield the nodes and then the values, each once: two nodes may read one value."""
        found: dict[tuple[str, bytes], tuple[str, str]] = {}
        for node in self._nodes:
            found[node.label, node.own] = node.kind, node.text
        for node in self._nodes:
            for name, target in node.reads.items():
                if not isinstance(target, Value) or target.slot in self._edges.ignored:
                    continue
                said = _said(node, name)
                found[said, target.digest] = "value", target.text
                for column, inside in target.columns:
                    found[f"column `{column}` of `{said}`", inside] = "column", ""
        for (name, digest), (kind, text) in found.items():
            yield Part(name, digest, kind, redaction.redacted(text, name))

    # What is read of modules and frames.

    def _note_attributes(self, names: set[Chain], attributes: set[str]) -> None:
        if not names.isdisjoint(_BY_TEXT):
            self._attributes = None
        elif self._attributes is not None:
            self._attributes |= attributes

    def _read_modules(self) -> bool:
        """Follow what the code reads of modules that it hands around; which name a module has there, nobody knows.

        Returns whether that led to something new.
        """
        for place, thing in enumerate([*self._edges.things]):
            if isinstance(thing, ModuleType):
                self._read_module(vars(thing), self._nodes[place].reads)
        return self._is_incomplete()

    def _read_module(self, space: Space, found: dict[str, Target]) -> None:
        refused = len(self.refused)
        wanted = space.keys() if self._attributes is None else self._attributes
        for name in sorted(wanted - found.keys()):
            if name[:2] == "__":
                continue
            if name in space:
                found.update(self._edges.follow(space, (name,)))
            else:
                self.guards.names.append((space, name, MISSING))
                owner = str(space.get("__name__"))
                found.update(self._edges.made_on_demand(space, name, owner))
        if self._attributes is None:
            # Nobody says that an open file there is read.
            del self.refused[refused:]
            self.guards.contents.append(Watch(lambda: [*space], identify([*space])))

    def _read_frames(self) -> bool:
        """Follow the methods and accessors that the user put on the frames of a library, as far as the code reads them.

        Which of its values is a frame, nobody knows. Returns whether that led to
        something new.
        """
        for kind in _frame_kinds():
            space = vars(kind)
            self.guards.sizes.append((space, len(space)))
            wanted = space.keys() if self._attributes is None else self._attributes
            for name in sorted(wanted & space.keys()):
                put = _put_on(space[name])
                if put is None or not is_users(put):
                    continue
                self.guards.names.append((space, name, space[name]))
                label = f"{kind.__module__}.{kind.__name__}.{name}"
                self._nodes[0].reads[label] = self._edges.to(put, name)
        return self._is_incomplete()

    def _read_subclasses(self) -> bool:
        """Follow the subclasses of the classes that are read, if the code asks for them.

        Returns whether that led to something new.
        """
        if self._attributes is None or "__subclasses__" not in self._attributes:
            return False
        for place, thing in enumerate([*self._edges.things]):
            if not isinstance(thing, type) or not is_users(thing):
                continue
            fetch = functools.partial(_subclasses, thing)
            self.guards.contents.append(Watch(fetch, identify(fetch())))
            for number, kind in enumerate(fetch()):
                label = f"subclass {number}"
                self._nodes[place].reads[label] = self._edges.to(kind, kind.__name__)
        return self._is_incomplete()

    def _read_texts(self) -> bool:
        """Follow the names in texts that are bound where a call looks for them, and watch the others.

        Returns whether that led to something new.
        """
        if not self._asks:
            return False
        texts = {*self._texts, *query_texts.texts_in(self._edges.values)}
        for place, space, asks in self._asks:
            is_of_cell = isinstance(self._edges.things[place], Cell)
            names = query_texts.names_for(
                asks, texts if is_of_cell else texts | self._of_cell
            )
            self._read_asked(self._nodes[place], space, asks, names)
        return self._is_incomplete()

    def _read_asked(
        self, node: Node, space: Space, asks: Asks, names: Iterable[Chain]
    ) -> None:
        if asks.needs is not None:
            library = sys.modules.get(asks.needs, MISSING)
            self.guards.names.append((sys.modules, asks.needs, library))
        for chain in sorted(names):
            value = loaded(space.get(chain[0], MISSING))
            if value is MISSING or not query_texts.is_read(asks, value):
                self._edges.watch(space, chain[0], value)
            else:
                node.reads.update(self._edges.follow(space, chain))

    # One function per kind of node.

    def _read(self, thing: Any) -> Node:
        version = version_of(thing)
        if version is not None:
            own = seal("version", member(identify(version).digest))
            return Node(_label(thing), own, {}, "version", str(version))
        if isinstance(thing, FunctionType):
            return self._function(thing) if is_users(thing) else self._carrier(thing)
        if isinstance(thing, type):
            return self._class(thing)
        if isinstance(thing, ModuleType):  # its attributes follow, see _read_modules
            return Node(_label(thing), seal("module"), {}, "value")
        return self._cell(thing) if isinstance(thing, Cell) else self._bundle(thing)

    def _cell(self, cell: Cell) -> Node:
        own = _tree(cell.space).statements(cell.body)
        found = self._names(cell.space, cell.reads)
        parts = [part for statement in cell.body for part in ast.walk(statement)]
        names: set[Chain] = {(part.id,) for part in parts if isinstance(part, ast.Name)}
        attributes = {part.attr for part in parts if isinstance(part, ast.Attribute)}
        self._note_attributes(names, attributes)
        self._of_cell = cell.texts
        self._asks += [(0, cell.space, asks) for asks in cell.asks]
        return Node(cell.name, own, _sorted(found), "function", cell.text)

    def _names(self, space: Space, chains: Iterable[Chain]) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for chain in sorted(chains):
            found.update(self._edges.follow(space, chain))
        return found

    def _function(self, function: FunctionType) -> Node:
        space = function.__globals__
        self._spaces.setdefault(str(space.get("__name__")), space)
        self.guards.note_function(function)
        reads = scan(function.__code__)
        self._writes.note_rebound(function, reads)
        self._note_attributes(reads.names, reads.attributes)
        self._texts |= reads.texts
        self._asks += [(len(self._nodes), space, asks) for asks in reads.asks]
        own, text = self._source(function, reads)
        found = self._names(space, reads.names)
        found |= self._closure(function, reads)
        found |= self._imports(space, reads)
        known = []
        for argument, value in defaults_of(function):
            name = f"{argument}="
            target = self._edges.to(value, name, (id(function), name))
            if isinstance(target, bytes):
                known.append([argument, member(target)])
            else:
                found[name] = target
        own = seal("function", member(own), known)
        return Node(_label(function), own, _sorted(found), "function", text)

    def _source(self, function: FunctionType, reads: Reads) -> tuple[bytes, str]:
        """Return the digest of the source and the source, and correct what the code reads by what it says.

        Byte code shows names that only annotations read, which do not count, and shows
        none that decorators read.
        """
        code = function.__code__
        found = syntax.find(function)
        if found is None:
            return code_digest(code), ""
        tree, node = _tree(function.__globals__), found.node
        try:
            own = tree.digest(node)
        except (RecursionError, Refusal):
            # An expression too deep to walk; the code object is flat.
            return code_digest(code), ""
        unread = tree.only_annotates(node)
        for chain in [chain for chain in reads.names if chain[0] in unread]:
            reads.names.remove(chain)
        reads.names.update(tree.names(node))
        self._writes.note_changed(function, syntax.changed_in_place(node))
        return own, tree.text(node, found.source)

    def _closure(self, function: FunctionType, reads: Reads) -> dict[str, Target]:
        found: dict[str, Target] = {}
        cells = cells_of(function)
        for chain in sorted(reads.cells):
            for name, target in self._edges.follow_cell(cells[chain[0]], chain):
                found[f"({name})"] = target
        return found

    def _imports(self, space: Space, reads: Reads) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for name, level, taken in sorted(reads.imports):
            module = imported(name, level, space)
            self._watch_import(name, level, space, module)
            if module is None or not is_users(module):
                continue
            inside = vars(module)
            for attribute in set(taken) - inside.keys():  # a module in a package
                imported(f"{name}.{attribute}".lstrip("."), level, space)
            # Of `import module` every attribute may be the module's that is read
            # anywhere in the function.
            for attribute in sorted(taken or reads.attributes & inside.keys()):
                for label, target in self._edges.follow(inside, (attribute,)):
                    found[f"{name}.{label}"] = target
            for attribute in sorted(taken or reads.attributes):
                found.update(self._edges.made_on_demand(inside, attribute, name))
        return found

    def _watch_import(
        self, name: str, level: int, space: Space, module: ModuleType | None
    ) -> None:
        try:
            full = full_name(name, level, space)
        except ImportError:
            return
        known = MISSING if module is None else module
        self.guards.names.append((sys.modules, full, known))
        if module is None and full.partition(".")[0] not in sys.stdlib_module_names:
            find = functools.partial(can_be_imported, full)
            self.guards.contents.append(Watch(find, identify(False)))

    def _carrier(self, function: FunctionType) -> Node:
        """Look into a function of a library that carries a user's function: tenacity's retry and the like."""
        self.guards.note_function(function)
        overloads = getattr(function, "registry", None)
        if overloads is not None:  # functools.singledispatch, which may get more

            def registered() -> list[object]:
                return [*overloads.items()]

            self.guards.contents.append(Watch(registered, identify(registered())))
        inside: dict[str, Target] = {}
        for place, value in enumerate(carried(function)):
            held = self._edges.looked_through(value)
            if wraps(held) or isinstance(held, (FunctionType, type, *BUNDLES)):
                target = self._edges.to(held, str(place))
                if isinstance(target, int):
                    inside[str(place)] = target
        own = named("installed", function)
        return Node(_label(function), own, inside, "function")

    def _bundle(self, thing: Any) -> Node:
        """Look into what is around a function: a property, a partial, a wrapper."""
        label = _label(thing)
        inside: dict[str, Target] = {}
        for name, value in contents(thing).items():
            inside[name] = self._edges.to(value, f"{label} {name}", (id(thing), name))
        if wraps(thing) and is_users(type(thing)):
            inside["state"] = self._around(thing)
        own = seal("bundle", type(thing).__name__)
        return Node(label, own, inside, "function")

    def _around(self, thing: object) -> Target:
        """Key what an object of the user's around a function holds beside it."""
        slot, held = (id(thing), "state"), Around(thing)
        if classes.changes_itself(type(thing)):
            self._edges.changed.add(slot)
        label = f"{_label(thing)} state"
        return self._edges.to_content(held, label, slot, lambda: held)

    def _class(self, kind: type) -> Node:
        """Read a class: its body, methods, bases, annotations and the values that it holds.

        The order of the steps counts: it numbers the nodes that they lead to.
        """
        written = methods(kind)
        own, text, names, space = self._class_body(kind, written)
        for annotation in classes.quoted(kind):
            names |= syntax.names_in(annotation)
        found = self._names(space, names)
        for name, function in written.items():
            found[f".{name}"] = self._edges.to(function, name)
        for place, base in enumerate(kind.__bases__):
            found[f"base {place}"] = self._edges.to(base, "base")
        for name, part in classes.mentioned(kind):
            found[f":{name}"] = self._edges.to(part, name)
        found["metaclass"] = self._edges.to(type(kind), "metaclass")
        for name, item in self._members(kind):
            fetch = functools.partial(vars(kind).get, name)
            label = f"{_label(kind)}.{name}"
            found[f".{name}"] = self._edges.at((id(kind), name), item, label, fetch)
        return Node(_label(kind), own, _sorted(found), "class", text)

    def _class_body(
        self, kind: type, written: dict[str, FunctionType]
    ) -> tuple[bytes, str, set[Chain], Space]:
        """Return digest and text of what a class says, the names that it reads and where it reads them."""
        found, space = _body(kind, written)
        if found is not None and found.owner is not None:
            tree, body = _tree(space), found.owner
            text = tree.text(body, found.source)
            return tree.digest(body), text, tree.names(body), space
        module = sys.modules.get(kind.__module__, builtins)
        space = self._spaces.get(kind.__module__) or vars(module)
        ignored = {name for owner, name in self._edges.ignored if owner == id(kind)}
        own = classes.by_members(kind, ignored)
        return own, classes.spelled(kind), set(), space

    def _members(self, kind: type) -> Iterator[tuple[str, object]]:
        """Yield the values and classes in a class, and watch all that counts of it."""
        watched = []
        for name, item in vars(kind).items():
            counts = name[:2] != "__" or isinstance(item, FunctionType)
            counts = counts or classes.is_said_of(kind, name)
            if counts and (id(kind), name) not in self._edges.ignored:
                watched.append((name, item))
        self.guards.members.append((kind, len(vars(kind)), watched))
        for name, item in watched:
            if name[:1] == "_" and name[-1:] == "_":  # what enum keeps for itself
                continue
            if (
                isinstance(item, type)
                or is_constant(item)
                or (is_kept_in_class(item) and _is_authors(kind, name))
            ):
                yield name, item


#: What takes the name of an attribute as a text.
_BY_TEXT = frozenset((("getattr",), ("vars",)))


def _frame_kinds() -> list[type]:
    """Return the classes of frames that are loaded, to which people add methods of their own."""
    names = [("pandas", name) for name in ("DataFrame", "Series", "Index")]
    names += [("polars", name) for name in ("DataFrame", "LazyFrame", "Series", "Expr")]
    found = [getattr(sys.modules.get(library), name, None) for library, name in names]
    return [kind for kind in found if isinstance(kind, type)]


def _subclasses(kind: type) -> list[type]:
    """Return the subclasses of a class that have a name: those of before live on for a while."""
    found: list[type] = type.__subclasses__(kind)
    return [one for one in found if _named(one) is one]


def _named(kind: type) -> object:
    """Return what has the name of a class in its module."""
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None)


def _put_on(item: object) -> FunctionType | type | None:
    """Return the function or class behind an attribute of a frame.

    That is the attribute itself, or what an accessor or name space stands for.
    """
    for held in (item, getattr(item, "_accessor", None), getattr(item, "_ns", None)):
        if isinstance(held, (FunctionType, type)):
            return held
    return None


def _is_authors(kind: type, name: str) -> bool:
    """Return whether an attribute of a class is its author's, not one that a library keeps for itself."""
    if name in ("model_config", "_field_defaults") or name.startswith("_abc_"):
        return False
    maker = type(kind)
    if maker.__module__ in ("builtins", "abc", "enum", "typing") or is_users(maker):
        return True
    return name[:1] != "_"  # where libraries keep what their metaclasses make


def _sorted(found: dict[str, Target]) -> dict[str, Target]:
    return dict(sorted(found.items()))


def _spelled(target: int | bytes) -> object:
    return target if isinstance(target, int) else member(target)


def _said(node: Node, name: str) -> str:
    """Return the name of a value as the reader of a node knows it."""
    return f"{node.label}{name}" if name.startswith(".") else name.strip("()=")


def _label(thing: Any) -> str:
    if isinstance(thing, Cell):
        return thing.name
    if isinstance(thing, ModuleType):
        return thing.__name__
    if version_of(thing) is not None:
        thing = getattr(thing, "__wrapped__", thing)
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)


def _tree(space: Space) -> syntax.Tree:
    return syntax.Tree(functools.partial(_is_ours, space))


def _body(
    kind: type, written: dict[str, FunctionType]
) -> tuple[syntax.Found | None, Space]:
    """Return the body of a class, which is where one of its methods surely stands."""
    for function in written.values():
        if function.__qualname__ == f"{kind.__qualname__}.{function.__name__}":
            found = class_source.find(function, kind)
            if found is not None:
                return found, function.__globals__
    return None, {}


def _is_ours(space: Space, decorator: ast.expr) -> bool:
    """Return whether a decorator is nbflow's: its options are no part of the code."""
    chain = syntax.dotted(syntax.called(decorator))
    if chain is None:
        return False
    value = space.get(chain[0])
    for name in chain[1:]:
        if isinstance(value, (ModuleType, type)):
            value = getattr(value, name, None)
    named_by = "__name__" if isinstance(value, ModuleType) else "__module__"
    return str(getattr(value, named_by, None)).partition(".")[0] == "nbflow"
