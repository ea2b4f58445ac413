"""What a code object reads and rebinds, from its instructions and those of the code inside it."""

from __future__ import annotations

import dis
import inspect
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, TypeAlias

Chain: TypeAlias = tuple[str, ...]

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_CELL = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_ATTRIBUTE = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_REBIND_GLOBAL = frozenset(("STORE_GLOBAL", "DELETE_GLOBAL"))
_OPTIMIZED = inspect.CO_OPTIMIZED  # a function, not the body of a class
_REBIND_CELL = frozenset(("STORE_DEREF", "DELETE_DEREF"))
#: What the compiler itself reads, for ``n: int = 1`` at the top and in classes: one up to
#: Python 3.13, the other since.
_OF_COMPILER = frozenset(
    (
        ("LOAD_NAME", "__annotations__"),
        ("LOAD_NAME", "__conditional_annotations__"),
        ("LOAD_GLOBAL", "__conditional_annotations__"),
    )
)
#: The function that evaluates annotations, since Python 3.14. Before, they are evaluated
#: by the code around it, and so both are read as one.
EVALUATOR = "__annotate__"


@dataclass(frozen=True, slots=True)
class Reads:
    """What is read and rebound; ``a.b`` is the chain ``("a", "b")``."""

    names: set[Chain] = field(default_factory=set)
    cells: set[Chain] = field(default_factory=set)
    imports: set[tuple[str, int, Chain]] = field(
        default_factory=set
    )  # (module, level, names it is imported for)
    attributes: set[str] = field(default_factory=set)
    rebound_names: set[str] = field(default_factory=set)
    rebound_cells: set[str] = field(default_factory=set)
    rebound_attributes: set[tuple[str, str]] = field(
        default_factory=set
    )  # of what a name or cell holds


def scan(
    code: CodeType, *, module: bool = False, functions: bool = True, inside: bool = True
) -> Reads:
    """Return what the code of a function, and of all functions and classes defined in it, reads and rebinds.

    Args:
        code: of a function.
        module: it is that of a cell: names that it binds are read all the same, if they
            are.
        functions: look into functions.
        inside: look into the bodies of classes.
    """
    reads = Reads()
    if (
        "__class__" in code.co_freevars
    ):  # of `super()`, which reads it in instructions only since Python 3.12
        reads.cells.add(("__class__",))
    _scan(
        code,
        frozenset(code.co_freevars),
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
    around: frozenset[str] = frozenset(),
) -> None:
    """Add what a code object reads; ``around``: names that the class around it binds."""
    steps = [
        (step.opname, step.argval)
        for step in dis.get_instructions(code)
        if step.opname != "EXTENDED_ARG"
    ]
    # In the body of a class.
    bound = around.union(
        name for opcode, name in steps if opcode == "STORE_NAME" and not module
    )
    for place, (opcode, name) in enumerate(steps):
        if (opcode, name) in _OF_COMPILER:
            continue
        if opcode in _GLOBAL and name not in bound:
            reads.names.add((name, *_attributes(steps, place)))
        elif opcode in _CELL and name in free:
            reads.cells.add((name, *_attributes(steps, place)))
        elif opcode == "IMPORT_NAME":
            reads.imports.add((name, steps[place - 2][1], steps[place - 1][1] or ()))
        elif opcode == "STORE_ATTR":
            reads.rebound_attributes.update(
                (owner, name) for owner in _owner(steps, place)
            )
        else:
            _note_binding(opcode, name, free, reads)
    # Only what is loaded: the compiler keeps the first constant of a function without a
    # docstring, of dead code too.
    for _, const in steps:
        if not isinstance(const, CodeType):
            continue
        evaluates = const.co_name == EVALUATOR
        if evaluates or (functions if const.co_flags & _OPTIMIZED else inside):
            _scan(
                const,
                free & frozenset(const.co_freevars),
                reads,
                functions=functions,
                inside=inside,
                around=bound if evaluates else frozenset(),
            )


def _attributes(steps: list[tuple[str, Any]], place: int) -> Chain:
    end = place + 1
    while end < len(steps) and steps[end][0] in _ATTRIBUTE:
        end += 1
    return tuple(name for _, name in steps[place + 1 : end])


def _owner(steps: list[tuple[str, Any]], place: int) -> list[str]:
    """Return the name whose attribute is set: ``State`` for ``State.n = 1`` and ``State.n += 1``, none for ``self.n``."""
    before = place - 1
    if (
        steps[before][0] == "SWAP"
    ):  # of an augmented assignment: back to where the attribute was read
        reading = [at for at in range(2, before) if steps[at][1] == steps[place][1]]
        before = next(
            (at - 2 for at in reversed(reading) if steps[at - 1][0] == "COPY"), before
        )
    return [steps[before][1]] if steps[before][0] in _GLOBAL | _CELL else []


def _note_binding(opcode: str, name: str, free: frozenset[str], reads: Reads) -> None:
    if opcode in _ATTRIBUTE or opcode == "LOAD_SUPER_ATTR":
        reads.attributes.add(name)
    elif opcode in _REBIND_GLOBAL:
        reads.rebound_names.add(name)
    elif opcode in _REBIND_CELL and name in free:
        reads.rebound_cells.add(name)
