"""What a code object reads and rebinds, from its instructions and those of the code inside it."""

from __future__ import annotations

import dis
import inspect
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, TypeAlias

#: A dotted name: ``a.b`` is ``("a", "b")``.
Chain: TypeAlias = tuple[str, ...]
#: Name and argument of each instruction.
_Steps: TypeAlias = list[tuple[str, Any]]

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_CELL = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_ATTRIBUTE = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_REBIND_GLOBAL = frozenset(("STORE_GLOBAL", "DELETE_GLOBAL"))
_OPTIMIZED = inspect.CO_OPTIMIZED  # a function, not the body of a class
_REBIND_CELL = frozenset(("STORE_DEREF", "DELETE_DEREF"))


@dataclass(frozen=True, slots=True)
class Reads:
    """What is read and rebound.

    Attributes:
        names: globals and builtins.
        cells: variables of an outer function.
        imports: module, number of leading dots, and names it is imported for.
        attributes: of whatever the code has at hand.
        rebound_names: globals that are bound again.
        rebound_cells: variables of an outer function that are bound again.
        rebound_attributes: attributes that are set of what a name or cell holds.
    """

    names: set[Chain] = field(default_factory=set)
    cells: set[Chain] = field(default_factory=set)
    imports: set[tuple[str, int, Chain]] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    rebound_names: set[str] = field(default_factory=set)
    rebound_cells: set[str] = field(default_factory=set)
    rebound_attributes: set[tuple[str, str]] = field(default_factory=set)


def scan(
    code: CodeType,
    *,
    module: bool = False,
    functions: bool = True,
    inside: bool = True,
) -> Reads:
    """Return what a code reads and rebinds, functions and classes defined in it included.

    Args:
        code: of a function.
        module: whether it is that of a cell: names that it binds are read all the same,
            if they are.
        functions: look into functions.
        inside: look into the bodies of classes.
    """
    reads = Reads()
    free = frozenset(code.co_freevars)
    if "__class__" in free:
        # Of `super()`, which reads it in instructions only since Python 3.12.
        reads.cells.add(("__class__",))
    _scan(
        code,
        free,
        reads,
        module=module,
        functions=functions,
        inside=inside,
    )
    return reads


def _scan(
    code: CodeType,
    free: frozenset[str],
    reads: Reads,
    *,
    module: bool = False,
    functions: bool = True,
    inside: bool = True,
) -> None:
    steps = _steps(code)
    bound: set[str] = set()
    if not module:  # in the body of a class
        bound = {name for opcode, name in steps if opcode == "STORE_NAME"}
    for place, (opcode, name) in enumerate(steps):
        if opcode in _GLOBAL and name not in bound:
            reads.names.add((name, *_attributes(steps, place)))
        elif opcode in _CELL and name in free:
            reads.cells.add((name, *_attributes(steps, place)))
        elif opcode == "IMPORT_NAME":
            (_, level), (_, taken) = steps[place - 2 : place]
            reads.imports.add((name, level, taken or ()))
        elif opcode == "STORE_ATTR":
            owner = _owner(steps, place)
            if owner is not None:
                reads.rebound_attributes.add((owner, name))
        else:
            _note_binding(opcode, name, free, reads)
    # Only code that is loaded: the compiler keeps the first constant of a function
    # without a docstring, of dead code too.
    for const in [const for _, const in steps if isinstance(const, CodeType)]:
        is_wanted = functions if const.co_flags & _OPTIMIZED else inside
        if is_wanted:
            inner = free & frozenset(const.co_freevars)
            _scan(const, inner, reads, functions=functions, inside=inside)


def _steps(code: CodeType) -> _Steps:
    """Return the instructions; an EXTENDED_ARG is a part of the one that follows."""
    return [
        (step.opname, step.argval)
        for step in dis.get_instructions(code)
        if step.opname != "EXTENDED_ARG"
    ]


def _attributes(steps: _Steps, place: int) -> Chain:
    """Return the attributes that are read of what has just been loaded."""
    end = place + 1
    while end < len(steps) and steps[end][0] in _ATTRIBUTE:
        end += 1
    return tuple(name for _, name in steps[place + 1 : end])


def _owner(steps: _Steps, place: int) -> str | None:
    """Return the name whose attribute is set.

    That is ``State`` for ``State.n = 1`` and ``State.n += 1``, none for ``self.n``.
    """
    before = place - 1
    if steps[before][0] == "SWAP":
        # Of an augmented assignment. The owner was loaded and copied before the
        # attribute was read.
        for at in range(before - 1, 1, -1):
            if steps[at][1] == steps[place][1] and steps[at - 1][0] == "COPY":
                before = at - 2
                break
    opcode, name = steps[before]
    return name if opcode in _GLOBAL | _CELL else None


def _note_binding(
    opcode: str,
    name: str,
    free: frozenset[str],
    reads: Reads,
) -> None:
    if opcode in _ATTRIBUTE or opcode == "LOAD_SUPER_ATTR":
        reads.attributes.add(name)
    elif opcode in _REBIND_GLOBAL:
        reads.rebound_names.add(name)
    elif opcode in _REBIND_CELL and name in free:
        reads.rebound_cells.add(name)
