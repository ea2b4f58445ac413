"""What a code object reads and rebinds, from its instructions and those of the code inside it."""

from __future__ import annotations

import dis
import inspect
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._key.query_texts import Asks, asked_by, asked_by_import, texts_in

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A dotted name: ``a.b`` is ``("a", "b")``.
Chain: TypeAlias = tuple[str, ...]
#: Name and argument of each instruction.
_Steps: TypeAlias = list[tuple[str, Any]]

_GLOBAL = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_CELL = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"))
_ATTRIBUTE = frozenset(("LOAD_ATTR", "LOAD_METHOD"))
_NAMES = _GLOBAL | _CELL | _ATTRIBUTE
_CONSTANT = frozenset(("LOAD_CONST", "RETURN_CONST"))
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
    """What is read and rebound.

    Attributes:
        names: globals and builtins.
        cells: variables of an outer function.
        imports: module, number of leading dots, and names it is imported for.
        attributes: of whatever the code has at hand.
        rebound_names: globals that are bound again.
        rebound_cells: variables of an outer function that are bound again.
        rebound_attributes: attributes that are set of what a name or cell holds.
        texts: that are constants.
        asks: calls that look up names for a text, in order.
    """

    names: set[Chain] = field(default_factory=set)
    cells: set[Chain] = field(default_factory=set)
    imports: set[tuple[str, int, Chain]] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    rebound_names: set[str] = field(default_factory=set)
    rebound_cells: set[str] = field(default_factory=set)
    rebound_attributes: set[tuple[str, str]] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    asks: list[Asks] = field(default_factory=list)


def scan(
    code: CodeType, *, module: bool = False, functions: bool = True, inside: bool = True
) -> Reads:
    """Return what a code reads and rebinds, functions and classes defined in it included.

    Args:
        code: of a function.
        module: whether it is that of a cell: names that it binds may be read
            as well.
        functions: look into functions.
        inside: look into the bodies of classes.
    """
    reads = Reads()
    free = frozenset(code.co_freevars)
    if "__class__" in free:
        # Of `super()`, which reads it in instructions only since Python 3.12.
        reads.cells.add(("__class__",))
    _scan(code, free, reads, module=module, functions=functions, inside=inside)
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
    steps = _steps(code)
    bound = set(around)
    if not module:  # in the body of a class
        bound.update(name for opcode, name in steps if opcode == "STORE_NAME")
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
    _note_texts(code, steps, reads)
    for const in _loaded_code(steps, functions=functions, inside=inside):
        evaluates = const.co_name == EVALUATOR
        _scan(
            const,
            free & frozenset(const.co_freevars),
            reads,
            functions=functions,
            inside=inside,
            around=frozenset(bound) if evaluates else frozenset(),
        )


def _loaded_code(steps: _Steps, *, functions: bool, inside: bool) -> Iterator[CodeType]:
    """Yield the code objects that are loaded and looked into.

    The constants of a function have more: the compiler keeps the first one of a function
    without a docstring, of dead code too.
    """
    for _, const in steps:
        if not isinstance(const, CodeType):
            continue
        is_wanted = functions if const.co_flags & _OPTIMIZED else inside
        if is_wanted or const.co_name == EVALUATOR:
            yield const


def _steps(code: CodeType) -> _Steps:
    """Return the instructions of the author's code; an EXTENDED_ARG is a part of the one that follows."""
    return [
        (step.opname, step.argval)
        for step in dis.get_instructions(code)
        if step.opname != "EXTENDED_ARG"
        and (step.opname, step.argval) not in _OF_COMPILER
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


def _note_texts(code: CodeType, steps: _Steps, reads: Reads) -> None:
    """Note the texts that code has, and the calls that may look up names in them."""
    hidden = frozenset(code.co_varnames + code.co_cellvars + code.co_freevars)
    following = [*steps[1:], ("", None)]
    owners = ["", *(name for _, name in steps)]
    for (opcode, name), (after, _), owner in zip(
        steps, following, owners, strict=False
    ):
        if opcode in _CONSTANT:
            reads.texts.update(texts_in(name))
        elif opcode in _NAMES and after not in _ATTRIBUTE:
            reads.asks.extend(asked_by(name, owner, hidden))
        elif opcode == "IMPORT_NAME":
            reads.asks.extend(asked_by_import(name, hidden))


def _note_binding(opcode: str, name: str, free: frozenset[str], reads: Reads) -> None:
    if opcode in _ATTRIBUTE or opcode == "LOAD_SUPER_ATTR":
        reads.attributes.add(name)
    elif opcode in _REBIND_GLOBAL:
        reads.rebound_names.add(name)
    elif opcode in _REBIND_CELL and name in free:
        reads.rebound_cells.add(name)
