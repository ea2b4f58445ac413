"""Generators: the random generators that a kernel has in common, as objects that cells change in place.

``np.random.rand()`` draws from an object that no name of the notebook holds. What a cell
left it at is saved with the cell, and a hit leaves it so, if the cell drew from the same
state as now: a notebook that is seeded continues with the numbers of a plain run. Where
nothing is seeded, each kernel has a state of its own, and a hit leaves it alone.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbflow._key.call import short_digest
from nbflow._key.setting_up import last_name
from nbflow._store import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


class _Generator(NamedTuple):
    """How the state of a module's generator is read, by a function of that name, and set."""

    reader: str
    read: Callable[[Any], object]
    write: Callable[[Any, Any], object]


_GENERATORS = {
    "random": _Generator(
        "getstate",
        lambda module: module.getstate(),
        lambda module, state: module.setstate(state),
    ),
    "numpy.random": _Generator(
        "get_state",
        lambda module: module.get_state(legacy=False),
        lambda module, state: module.set_state(state),
    ),
    "torch": _Generator(
        "get_rng_state",
        lambda module: module.get_rng_state().numpy(),
        lambda module, state: module.set_rng_state(module.from_numpy(state.copy())),
    ),
}
_ALL = frozenset(_GENERATORS)
#: Modules that do nothing but draw: what a cell draws is restored with its outputs.
NAMES = frozenset(("random", "numpy.random"))

#: States as digests, by the name of the module.
States: TypeAlias = "dict[str, bytes]"
#: What is saved of one that a cell changed: the digest before, ``None`` if that did not
#: matter, and the state after: its codec, and the bytes.
Drawn: TypeAlias = "list[Any]"


def states() -> States:
    """Return the states of the generators whose modules are loaded, as digests."""
    return {name: short_digest(state[1]) for name, state in _encoded()}


def _encoded() -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield the states of the generators whose modules are loaded, as a store has them."""
    for name, generator in _GENERATORS.items():
        module = sys.modules.get(name)
        # A module that is being imported in another thread has no functions yet.
        if hasattr(module, generator.reader):
            yield name, codec.encode(generator.read(module))


#: Which cell left a generator where, by the name of the module: the digest of the state,
#: and the key of the cell.
_left: dict[str, tuple[bytes, str]] = {}


def drawn(before: States, body: list[ast.stmt], cell: str) -> dict[str, Drawn]:
    """Return what is to be saved of the generators that a cell changed.

    Args:
        before: their states before it ran.
        body: the statements of the cell, which may seed them itself.
        cell: its key.
    """
    own = seeded(body)
    found: dict[str, Drawn] = {}
    for name, (written_as, state) in _encoded():
        now = short_digest(state)
        # One that the cell seeded may be as before, since it was seeded so before.
        if name in own or now != before.get(name):
            first = None if name in own else before.get(name, b"")
            found[name] = [first, now, written_as, state]
            _left[name] = (now, cell)
    return found


def fitting(saved: Mapping[str, Drawn], now: States, cell: str) -> dict[str, Drawn]:
    """Return those of the saved generators which a cell would leave as it did then.

    They stand where the cell found them, or where it left them itself just now, as it is
    run twice: not where anybody else did, who drew as much.
    """
    return {
        name: one
        for name, one in saved.items()
        if one[0] is None
        or now.get(name) == one[0]
        or (now.get(name) == one[1] and _left.get(name) == (one[1], cell))
    }


def go_on(saved: Mapping[str, Drawn], cell: str) -> None:
    """Leave generators as the cell left them."""
    for name, (_, after, written_as, data) in saved.items():
        module = sys.modules.get(name)
        if module is not None:
            _GENERATORS[name].write(module, codec.decode(written_as, data))
            _left[name] = (after, cell)


# Which ones are seeded.


def seed(modules: Iterable[str]) -> None:
    """Note that a cell seeds these: where they stand then, no cell has left them."""
    for name in modules:
        _left.pop(name, None)


_SEEDS = re.compile(
    r"^(manual_|set_|fix_|random_|set_random_|set_all_)?seeds?(_all|_everything)?$"
    r"|^(set_?state|set_rng_state)$",
    re.IGNORECASE,
)
_OF_MODULE = {
    "random": re.compile(r"^random\."),
    "numpy.random": re.compile(r"^(np|numpy)\."),
    "torch": re.compile(r"^torch\."),
}
#: Libraries with generators of their own, whose state nothing tells.
_ELSEWHERE = re.compile(r"^(pl|polars|tf|tensorflow)\.(random\.)?set_(random_)?seed$")


def seeded(body: Iterable[ast.stmt]) -> frozenset[str]:
    """Return the modules whose generators some statements set to a known state, functions left out.

    They are known by the names that are called: `random.seed`, `set_seed`.
    """
    return frozenset[str]().union(*(_seeded_by(call) for call in _calls(body)))


def _calls(parts: Iterable[ast.AST]) -> Iterator[ast.Call]:
    for part in parts:
        if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(part, ast.Call) and (part.args or part.keywords):
            yield part
        yield from _calls(ast.iter_child_nodes(part))


def _seeded_by(call: ast.Call) -> frozenset[str]:
    name, function = last_name(call.func), ast.unparse(call.func)
    if not _SEEDS.match(name) or _ELSEWHERE.match(function):
        return frozenset()
    for module, form in _OF_MODULE.items():
        if form.match(function):
            return frozenset((module,))
    # `rng.seed(3)` seeds that one object; `set_seed(3)` whatever a library thinks of.
    is_own = name == function or name.lower() not in ("seed", "setstate", "set_state")
    return _ALL if is_own else frozenset()
