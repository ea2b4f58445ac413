"""What a function reaches in the user's code -> digest.

A function's key covers itself and, transitively, the user's functions, classes and steps that it reaches by
a global name, a closure, an attribute of a local module or an import in its body, and the constants that it
reads there. The digest is that of the whole graph: nodes in the order in which they are found, each with
what it reads and where that leads, so that mutual recursion needs no special care.
"""

from __future__ import annotations

import builtins
import datetime as dt
import decimal
import enum
import fractions
import functools
import importlib
import importlib.util
import pathlib
import re
import sys
import types
import uuid
import weakref
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._key import classes, syntax
from nbflow._key.origin import carried, content, is_users, is_users_file
from nbflow._key.reads import Reads, scan
from nbflow._key.value import digest, member, seal
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

    from nbflow._key.reads import Chain

    Space: TypeAlias = dict[str, object]
    Slot: TypeAlias = tuple[int, str]  # id of a namespace or cell, and a name: what `global` rebinds

_MISSING = object()
_ATOMS = frozenset((str, bytes, int, float, bool, complex, types.NoneType, types.EllipsisType))
_CONSTANTS = (
    *(re.Pattern, decimal.Decimal, fractions.Fraction, uuid.UUID, pathlib.PurePath, enum.Enum, range),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo),
)


@dataclass(frozen=True, slots=True)
class Code:
    """What a function is, for the key of its calls.

    Attributes:
        digest: 20 bytes, equal as long as nothing it reaches has changed.
        parts: the qualified name of each function, class and constant it reaches, itself first, each with
            a digest of its own: what differs between two codes is what changed.
    """

    digest: bytes
    parts: tuple[tuple[str, bytes], ...]


def read(function: Any) -> Code:
    """Return what a function, class or step is, as of now.

    It costs a microsecond as long as everything reached is the same object as before; whatever was
    redefined, patched or rebound since is read again.
    """
    entry = _MEMO.get(id(function))
    if entry is not None and entry[0]() is function and entry[1].hold(function):
        return entry[2]
    if (inner := _unwrapped(function)) is not function:
        return read(inner)
    rebound: set[Slot] = set()
    while True:
        graph = _Graph(rebound)
        graph.walk(function)
        if graph.rebound <= rebound:
            break
        rebound |= graph.rebound
    code = graph.code()
    _remember(function, graph.guards, code)
    return code


_MEMO: dict[int, tuple[weakref.ref[Any], Guards, Code]] = {}


def _remember(function: Any, guards: Guards, code: Code) -> None:
    forget = functools.partial(_MEMO.pop, id(function))  # bound now: at exit the module's names are gone
    try:
        owner = weakref.ref(function, lambda _: forget(None))
    except TypeError:  # a builtin; reading it again costs little
        return
    guards.disown(function)
    _MEMO[id(function)] = (owner, guards, code)


@dataclass(slots=True)
class Guards:
    """What must be as it was for a code to hold. Big values are not kept alive: of them the type is noted."""

    names: list[tuple[Space, str, object]] = field(default_factory=list)
    kinds: list[tuple[Space, str, type]] = field(default_factory=list)
    cells: list[tuple[CellType, object]] = field(default_factory=list)
    functions: list[tuple[FunctionType, CodeType, object]] = field(default_factory=list)
    own: tuple[CodeType, object] | None = None
    members: list[tuple[type, int, list[tuple[str, object]]]] = field(default_factory=list)

    def disown(self, function: object) -> None:
        """Let go of the function that these guards belong to, or it would never die; name each thing once."""
        self.names = list({(id(space), name): (space, name, value) for space, name, value in self.names}.values())
        for reached, code, defaults in self.functions:
            if reached is function:
                self.own = code, defaults
        self.functions = [entry for entry in self.functions if entry[0] is not function]

    def hold(self, function: Any) -> bool:  # noqa: C901, PLR0911, PLR0912  # plain loops, as every call waits for it
        """Tell whether everything is as it was."""
        if self.own and (function.__code__ is not self.own[0] or function.__defaults__ is not self.own[1]):
            return False
        for space, name, value in self.names:
            if space.get(name, _MISSING) is not value:
                return False
        for reached, code, defaults in self.functions:
            if reached.__code__ is not code or reached.__defaults__ is not defaults:
                return False
        for space, name, kind in self.kinds:
            if type(space.get(name, _MISSING)) is not kind:
                return False
        for cell, value in self.cells:
            if content(cell) is not value:
                return False
        for owner, size, members in self.members:
            known = vars(owner)
            if len(known) != size:
                return False
            for name, value in members:
                if known.get(name) is not value:
                    return False
        return True


@dataclass(frozen=True, slots=True)
class _Constant:
    slot: Slot
    digest: bytes


_Target: TypeAlias = "int | bytes | _Constant"  # a node of the graph, something known by name, a value that is read


@dataclass(frozen=True, slots=True)
class _Node:
    label: str
    own: bytes
    reads: dict[str, _Target]


class _Graph:
    """What is reached from one function, breadth first.

    Args:
        rebound: names that functions of the graph rebind; what they lead to does not count.
    """

    def __init__(self, rebound: set[Slot]) -> None:
        self.guards = Guards()
        self.rebound: set[Slot] = set()
        self._ignored = rebound
        self._things: list[object] = []
        self._places: dict[int, int] = {}
        self._spaces: dict[str, Space] = {}
        self._nodes: list[_Node] = []
        self._known = b""

    def walk(self, root: object) -> None:
        """Find everything that is reached from here."""
        target = self._target(root)
        if isinstance(target, int):
            while len(self._nodes) < len(self._things):
                self._nodes.append(self._expand(self._things[len(self._nodes)]))
        else:
            self._known = target if isinstance(target, bytes) else target.digest
            self._nodes.append(_Node(_label(root), self._known, {}))

    def code(self) -> Code:
        """Return the digest of the whole and those of its parts."""
        if self._known:
            return Code(self._known, ((self._nodes[0].label, self._known),))
        forms = [[member(node.own), [*map(self._spell, node.reads.items())]] for node in self._nodes]
        parts = dict.fromkeys((node.label, node.own) for node in self._nodes)
        constants = {
            (f"{node.label}{name}" if name.startswith(".") else name.strip("()"), target.digest): None
            for node in self._nodes
            for name, target in node.reads.items()
            if isinstance(target, _Constant) and target.slot not in self._ignored
        }
        return Code(seal("code", forms), (*parts, *constants))

    def _spell(self, read: tuple[str, _Target]) -> list[object]:
        name, target = read
        if isinstance(target, _Constant):
            return [name, None if target.slot in self._ignored else member(target.digest)]
        return [name, target if isinstance(target, int) else member(target)]

    # Where a value leads.

    def _target(self, value: object) -> _Target:
        value = _unwrapped(value)
        if _wraps(value) or isinstance(value, _BUNDLES):
            return self._enter(value)
        if isinstance(value, (FunctionType, type)):
            followed = is_users(value) or _carries(value)
            return self._enter(value) if followed else _named("installed", value)
        if isinstance(value, _NAMED):
            return _named("named", value)
        return _Constant((0, ""), digest(value)) if _is_constant(value) else self._uncounted(value)

    def _uncounted(self, value: object) -> _Target:
        """Key a value that is read but can change in place (a list, a frame, a client) by its class alone.

        Here the next version looks at the content.
        """
        return self._enter(type(value)) if is_users(type(value)) else _named("object of", type(value))

    def _enter(self, value: object) -> int:
        if id(value) not in self._places:
            self._places[id(value)] = len(self._things)
            self._things.append(value)
        return self._places[id(value)]

    def _slot(self, slot: Slot, value: object) -> _Target:
        if slot in self._ignored:
            return seal("rebound")
        target = self._target(value)
        return _Constant(slot, target.digest) if isinstance(target, _Constant) else target

    # One function per kind of node.

    def _expand(self, thing: Any) -> _Node:
        if (version := _version(thing)) is not None:
            return _Node(_label(thing), seal("version", member(digest(version))), {})
        if isinstance(thing, FunctionType):
            return self._function(thing) if is_users(thing) else self._carrier(thing)
        if isinstance(thing, type):
            return self._class(thing)
        return self._bundle(thing)

    def _function(self, function: FunctionType) -> _Node:
        code, space = function.__code__, function.__globals__
        self._spaces.setdefault(str(space.get("__name__")), space)
        self.guards.functions.append((function, code, function.__defaults__))
        reads = scan(code)
        self._note_rebound(function, reads)
        own = self._syntax(code, space, reads)
        found = dict(self._follow(space, chain) for chain in sorted(reads.names))
        found |= self._closure(function, reads)
        found |= self._imports(space, reads)
        defaults = []
        for name, value in _defaults(function):
            target = self._default(value)
            if isinstance(target, int):
                found[f"{name}="] = target
            else:
                defaults.append([name, member(target)])
        return _Node(_label(function), seal("function", member(own), defaults), dict(sorted(found.items())))

    def _syntax(self, code: CodeType, space: Space, reads: Reads) -> bytes:
        """Return the digest of the source, and correct what the code reads by what it says."""
        if (found := syntax.find(code, space)) is None:
            return syntax.code_digest(code)
        tree, node = syntax.Tree(functools.partial(_is_ours, space)), found[0]
        try:
            own = tree.digest(node)
        except RecursionError:  # an expression too deep to walk; the code object is flat
            return syntax.code_digest(code)
        unread = tree.only_annotates(node)
        reads.names.difference_update([chain for chain in reads.names if chain[0] in unread])
        reads.names.update(tree.names(node))
        return own

    def _note_rebound(self, function: FunctionType, reads: Reads) -> None:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        self.rebound |= {(id(function.__globals__), name) for name in reads.rebound_names}
        self.rebound |= {(id(cells[name]), "") for name in reads.rebound_cells}
        self.rebound |= {(0, name) for name in reads.rebound_attributes}

    def _follow(self, space: Space, chain: Chain) -> tuple[str, _Target]:
        """Follow a dotted name through local modules; further on, the syntax tree has the attributes."""
        value, slot = self._look(space, chain[0])
        length = 1
        while length < len(chain) and isinstance(value, ModuleType) and is_users(value):
            value, slot = self._look(vars(value), chain[length])
            length += 1
        name = ".".join(chain[:length])
        if value is _MISSING or chain[length - 1] in _OF_MODULES:
            return name, seal("builtin", name)  # or nowhere yet; IPython adds builtins, so no difference is made
        return name, self._slot(slot, value)

    def _look(self, space: Space, name: str) -> tuple[object, Slot]:
        value, slot = space.get(name, _MISSING), (id(space), name)
        if slot not in self._ignored and name not in _OF_MODULES:
            if value is _MISSING or _wraps(value) or isinstance(value, _WATCHED) or _is_constant(value):
                self.guards.names.append((space, name, value))
            else:
                self.guards.kinds.append((space, name, type(value)))
        return value, slot

    def _closure(self, function: FunctionType, reads: Reads) -> dict[str, _Target]:
        found = {}
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for chain in sorted(reads.cells):
            value = content(cell := cells[chain[0]])
            if isinstance(value, ModuleType) and len(chain) > 1:
                name, target = self._follow({chain[0]: value}, chain)
            else:
                name, target = chain[0], self._slot((id(cell), ""), value)
            if isinstance(target, int | _Constant) and (id(cell), "") not in self._ignored:
                self.guards.cells.append((cell, value))
            found[f"({name})"] = target
        return found

    def _imports(self, space: Space, reads: Reads) -> dict[str, _Target]:
        found = {}
        for name, level, taken in sorted(reads.imports):
            module = _imported(name, level, space)
            if module is not None and is_users(module):
                for attribute in sorted(taken or reads.attributes & set(vars(module))):
                    label, target = self._follow(vars(module), (attribute,))
                    found[f"{name}.{label}"] = target
        return found

    def _default(self, value: object) -> int | bytes:
        target = self._target(value)
        if isinstance(target, int) and (_wraps(value) or isinstance(value, _WATCHED)):
            return target
        try:
            return digest(value)
        except UnkeyableError:
            return _named("object of", type(value))

    def _carrier(self, function: FunctionType) -> _Node:
        """Look into a function of a library that carries a user's function: tenacity's retry and the like."""
        self.guards.functions.append((function, function.__code__, function.__defaults__))
        inside: dict[str, _Target] = {}
        for place, value in enumerate(carried(function)):
            if isinstance(target := self._target(value), int):
                inside[str(place)] = target
        return _Node(_label(function), _named("installed", function), inside)

    def _bundle(self, thing: Any) -> _Node:
        inside = {name: self._target(value) for name, value in _contents(thing).items()}
        return _Node(_label(thing), seal("bundle", type(thing).__name__), inside)

    def _class(self, kind: type) -> _Node:
        written = classes.methods(kind)
        body, space = _body(kind, written)
        if body is not None:
            tree = syntax.Tree(functools.partial(_is_ours, space))
            own, names = tree.digest(body), tree.names(body)
        else:
            space = self._spaces.get(kind.__module__) or vars(sys.modules.get(kind.__module__, builtins))
            own, names = classes.by_members(kind, {name for place, name in self._ignored if not place}), set()
        names = names.union(*map(syntax.names_in, classes.quoted(kind)))
        found = dict(self._follow(space, chain) for chain in sorted(names))
        found |= {f".{name}": self._target(function) for name, function in written.items()}
        found |= {f"base {place}": self._target(base) for place, base in enumerate(kind.__bases__)}
        found |= {f":{name}": self._target(part) for name, part in classes.mentioned(kind)}
        found["metaclass"] = self._target(type(kind))
        found |= {f".{name}": self._slot((0, name), item) for name, item in self._members(kind)}
        return _Node(_label(kind), own, dict(sorted(found.items())))

    def _members(self, kind: type) -> Iterator[tuple[str, object]]:
        """Yield the constants and classes in a class, and watch all that counts of it."""
        kept = {name: item for name, item in vars(kind).items() if (0, name) not in self._ignored}
        watched = [(name, item) for name, item in kept.items() if name[:2] != "__" or isinstance(item, FunctionType)]
        self.guards.members.append((kind, len(vars(kind)), watched))
        for name, item in watched:
            written = name[:1] != "_" or name[-1:] != "_"  # not what enum keeps between underscores
            if written and (isinstance(item, type) or _is_constant(item)):
                yield name, item


_BUNDLES = (property, classmethod, staticmethod, functools.cached_property, functools.partial, types.MethodType)
_NAMED = (
    *(ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.MethodWrapperType, types.ClassMethodDescriptorType, types.GetSetDescriptorType),
)
_WATCHED = (FunctionType, type, *_BUNDLES, *_NAMED)
_OF_MODULES = frozenset(("__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__path__"))


def _unwrapped(value: Any) -> Any:
    """Return what a step or a wrapper of a library stands for, unless it has a version of its own."""
    while _wraps(value) and not is_users(type(value)) and _version(value) is None:
        value = value.__wrapped__
    return value


def _wraps(value: Any) -> bool:
    """Tell whether a value is an object around a function; a function around a function has it in a closure."""
    return not isinstance(value, (FunctionType, type)) and (_holds(value, "__wrapped__") or _version(value) is not None)


def _version(value: Any) -> object:
    return value.code_version if _holds(value, "code_version") else None


def _holds(value: object, name: str) -> bool:
    """Tell whether an attribute is there without asking ``__getattr__``, which a mock or a proxy answers to all."""
    return name in getattr(value, "__dict__", ()) or any(name in vars(base) for base in type(value).__mro__)


def _is_constant(value: object) -> bool:
    if type(value) in (tuple, frozenset):
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return type(value) in _ATOMS or isinstance(value, _CONSTANTS)


def _named(tag: str, thing: Any) -> bytes:
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__
    return seal(tag, str(getattr(thing, "__module__", None)), name)


def _label(thing: Any) -> str:
    thing = getattr(thing, "__wrapped__", thing) if _version(thing) is not None else thing
    return str(getattr(thing, "__qualname__", None) or type(thing).__qualname__)


def _defaults(function: FunctionType) -> list[tuple[str, object]]:
    code, positional = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    return [*zip(names, positional, strict=True), *sorted((function.__kwdefaults__ or {}).items())]


def _carries(thing: FunctionType | type) -> bool:
    return isinstance(thing, FunctionType) and bool(thing.__closure__ or hasattr(thing, "__wrapped__"))


def _contents(thing: Any) -> dict[str, object]:
    if isinstance(thing, property):
        return {name: getattr(thing, name) for name in ("fget", "fset", "fdel")}
    if isinstance(thing, functools.partial):
        keywords = {f"{name}=": value for name, value in sorted(thing.keywords.items())}
        return {"func": thing.func, **{str(place): item for place, item in enumerate(thing.args)}, **keywords}
    if isinstance(thing, types.MethodType):
        return {"func": thing.__func__, "self": thing.__self__}
    if isinstance(thing, functools.cached_property):
        return {"func": thing.func}
    if isinstance(thing, (classmethod, staticmethod)):
        return {"func": thing.__func__}
    return {"wrapped": thing.__wrapped__, "class": type(thing)}


def _body(kind: type, written: dict[str, FunctionType]) -> tuple[ast.ClassDef | None, Space]:
    for function in written.values():
        if function.__qualname__ == f"{kind.__qualname__}.{function.__name__}":
            found = syntax.find(function.__code__, function.__globals__)
            if found and found[1] is not None and found[1].name == kind.__name__:
                return found[1], function.__globals__
    return None, {}


def _is_ours(space: Space, decorator: ast.expr) -> bool:
    """Tell whether a decorator is nbflow's: its options are no part of the code."""
    chain = syntax.dotted(syntax.called(decorator))
    if chain is None:
        return False
    value = space.get(chain[0])
    for name in chain[1:]:
        value = getattr(value, name, None) if isinstance(value, (ModuleType, type)) else value
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return str(module).partition(".")[0] == "nbflow"


def _imported(name: str, level: int, space: Space) -> ModuleType | None:
    """Return a module that the body of a function imports; a user's module is imported for it.

    The call would import it too. If it is served from its checkpoint instead, it must be known all the same
    what it would have reached.
    """
    try:
        full = importlib.util.resolve_name("." * level + name, str(space.get("__package__") or ""))
        if full in sys.modules:
            return sys.modules[full]
        if full.partition(".")[0] in sys.stdlib_module_names:
            return None
        spec = importlib.util.find_spec(full)
        return importlib.import_module(full) if spec and spec.origin and is_users_file(spec.origin) else None
    except Exception:  # the user's function will meet it, and say so better
        return None
