"""Steps: what a step does that its key does not see, or that keeps it from having one that can be trusted."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key import cell_names as rules
from nbflow.errors import UsageError
from nbflow.notebook.check.finding import Finding
from nbflow.notebook.document import step_line
from nbflow.notebook.rewrite import parse
from nbflow.notebook.step_cell import reads_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.check.code_cells import CodeCell
    from nbflow.notebook.rewrite import Spec

_TIME = {
    "time.time",
    "datetime.now",
    "datetime.datetime.now",
    "datetime.utcnow",
    "date.today",
    "datetime.date.today",
    "datetime.today",
    "pd.Timestamp.now",
    "pd.Timestamp.today",
}
_CHANCE = {"random", "np.random", "numpy.random", "secrets"}
_FILES = {
    "open",
    "read_text",
    "read_bytes",
    "read_csv",
    "read_parquet",
    "read_excel",
    "read_json",
    "scan_csv",
    "scan_parquet",
}
_STALE = "A saved output is used again although it would come out differently now."


class _Matter(NamedTuple):
    """What one kind of call in a step means; ``unless`` names the options of the step that take care of it."""

    rule: str
    level: str
    what: str
    why: str
    todo: str
    unless: frozenset[str] = frozenset()


_ITERATOR = _Matter(
    "uncacheable-step",
    "error",
    "is a generator",
    "What it yields can be read once, so no output can be saved.",
    "Return a list.",
)
_HIDDEN = _Matter(
    "uncacheable-step",
    "warning",
    "calls `{}()`",
    "What it reaches that way is not part of the key: an edit of it is not noticed.",
    "Call it by its name, or say depends_on=.",
    frozenset({"version"}),
)
_OFTEN = frozenset({"ttl", "version"})
_CLOCK = _Matter(
    "unseen-input",
    "note",
    "reads the time with `{}()`",
    _STALE,
    "Pass it as an argument, or give the step a ttl=.",
    _OFTEN,
)
_DICE = _Matter(
    "unseen-input",
    "note",
    "draws from chance with `{}()`",
    "The first draw is kept: run again, it is the same.",
    "Pass a seed as an argument if that is not what you want.",
    _OFTEN,
)
_SETTING = _Matter(
    "unseen-input",
    "note",
    "reads the environment",
    _STALE,
    "Pass what matters as an argument; a secret may stay as it is.",
    _OFTEN,
)
_FILE = _Matter(
    "unseen-input",
    "note",
    "reads a file with `{}()`",
    _STALE,
    "Pass the content as an argument, or say depends_on=Path(...).",
    _OFTEN | {"depends_on"},
)


#: What to do about it in a cell, which has flags in place of arguments.
_TODO_OF_CELL = 'Bind what matters in an earlier cell that is no step (of a file nf.file("...")) and read it here, or give the cell --ttl.'


def unseen(cells: list[CodeCell]) -> Iterator[Finding]:
    """What steps read besides their arguments."""
    for cell in cells:
        for node in ast.walk(cell.tree) if cell.tree is not None else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_step(
                node
            ):
                yield from _of_step(cell, node)


def cells_as_steps(cells: list[CodeCell]) -> Iterator[Finding]:
    """Step cells: names that are no name of one, what keeps a cell from being saved, and what its key does not see."""
    known, bound = dict[str, int](), set[str]()
    for cell in cells:
        reach = rules.reach(cell.tree.body) if cell.tree is not None else rules.Reach()
        bound |= reach.binds.keys() | reach.defines.keys() | reach.closes.keys()
        step = step_line(cell.source)
        if step is None or cell.tree is None:
            continue
        line = step[0]
        try:
            spec = parse(step[1])
        except (UsageError, ValueError):
            continue  # `order.broken` says so
        if spec.name in known:
            yield Finding(
                "step-line",
                "warning",
                cell.number,
                line,
                f"cell {known[spec.name]} is called `{spec.name}`, too",
                "%step and --force mean both.",
                "Give each step cell a name of its own.",
            )
        known.setdefault(spec.name, cell.number)
        for name in [name for name in spec.outputs or () if name not in bound]:
            yield Finding(
                "step-line",
                "error",
                cell.number,
                line,
                f"step cell `{spec.name}` declares the output `{name}`, and no cell binds it",
                "The cell fails when it has run.",
                "Name what it binds.",
            )
        yield from _of_cell(cell, spec, reach, line)


def _of_cell(
    cell: CodeCell, spec: Spec, reach: rules.Reach, line: int
) -> Iterator[Finding]:
    assert cell.tree is not None
    why = rules.blind(cell.tree.body) or reads_history(reach)
    if why is not None:
        yield Finding(
            "uncacheable-step",
            "warning",
            cell.number,
            line,
            f"step cell `{spec.name}` is never saved: {why}",
            "It runs each time.",
            "Move that into a cell of its own, or take the line of the step away.",
        )
        return
    options = {
        name
        for name, value in (("ttl", spec.policy.ttl), ("version", spec.version))
        if value is not None
    }
    told = set[str]()
    for node in _outside_steps(cell.tree):
        matter, name = _of_node(node)
        if (
            matter is None
            or matter.rule != "unseen-input"
            or matter.unless & options
            or _is_watched(node)
        ):
            continue
        what = matter.what.format(name)
        if what not in told:
            told.add(what)
            yield Finding(
                matter.rule,
                matter.level,
                cell.number,
                getattr(node, "lineno", line),
                f"step cell `{spec.name}` {what}",
                matter.why,
                _TODO_OF_CELL,
            )


def _outside_steps(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a cell, functions that are steps themselves left out."""
    for part in ast.iter_child_nodes(node):
        if not (
            isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and _is_step(part)
        ):
            yield part
            yield from _outside_steps(part)


def _is_watched(node: ast.AST) -> bool:
    """Does a call read what a name stands for, such as an `nf.file` of an earlier cell?"""
    first = node.args[0] if isinstance(node, ast.Call) and node.args else None
    return isinstance(first, ast.Name)


def _is_step(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = [
        ast.unparse(one.func if isinstance(one, ast.Call) else one)
        for one in node.decorator_list
    ]
    return any(name.rpartition(".")[2] == "step" for name in names)


def _options(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    return {
        word.arg or ""
        for one in node.decorator_list
        if isinstance(one, ast.Call)
        for word in one.keywords
    }


def _of_step(
    cell: CodeCell, step: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Finding]:
    options, told = _options(step), set[str]()
    for node in ast.walk(step):
        matter, name = _of_node(node)
        if matter is None or matter.unless & options:
            continue
        what = matter.what.format(name)
        if what not in told:
            told.add(what)
            yield Finding(
                matter.rule,
                matter.level,
                cell.number,
                getattr(node, "lineno", step.lineno),
                f"step `{step.name}` {what}",
                matter.why,
                matter.todo,
            )


def _of_node(node: ast.AST) -> tuple[_Matter | None, str]:
    """What a node means, and the name that it calls or reads."""
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return _ITERATOR, ""
    name = (
        ast.unparse(node.func if isinstance(node, ast.Call) else node)
        if isinstance(node, ast.Call | ast.Attribute)
        else ""
    )
    if name in ("os.environ", "os.getenv"):
        return _SETTING, name
    return (_of_call(node, name), name) if isinstance(node, ast.Call) else (None, name)


def _of_call(node: ast.Call, name: str) -> _Matter | None:
    module, _, last = name.rpartition(".")
    if name in ("exec", "eval", "globals", "locals", "__import__"):
        return _HIDDEN
    if name in _TIME:
        return _CLOCK
    if module in _CHANCE or name in ("uuid.uuid4", "uuid.uuid1"):
        return _DICE
    return _FILE if last in _FILES and not _writes(node) else None


def _writes(node: ast.Call) -> bool:
    modes = [
        *node.args[1:2],
        *(word.value for word in node.keywords if word.arg == "mode"),
    ]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) & set("wax")
        for mode in modes
    )
