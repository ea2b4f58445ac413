"""Steps: what a step does that its key does not see, or that keeps it from having a key at all."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key import cell_names, query_texts
from nbflow.errors import UsageError
from nbflow.notebook.check.finding import Finding
from nbflow.notebook.document import step_line
from nbflow.notebook.rewrite import near_step, parse
from nbflow.notebook.step_cell import reads_history

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from nbflow.notebook.check.code_cells import CodeCell
    from nbflow.notebook.rewrite import Spec

    Function = ast.FunctionDef | ast.AsyncFunctionDef

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ENVIRONMENT = ("os.environ", "os.getenv")
#: Calls that read the time.
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
#: Modules whose functions draw at random.
_CHANCE = {"random", "np.random", "numpy.random", "secrets"}
#: Functions and methods that read a file.
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
_STALE = "nbflow reuses a saved output although a new one would differ."


class _Hazard(NamedTuple):
    """What one kind of call in a step means.

    Attributes:
        rule: the rule of the finding.
        level: its level.
        what: what was found; ``{}`` stands for the name that is called.
        why: what happens because of it.
        todo: what to do about it.
        unless: options of the step that take care of it.
    """

    rule: str
    level: str
    what: str
    why: str
    todo: str
    unless: frozenset[str] = frozenset()


_ITERATOR = _Hazard(
    "uncacheable-step",
    "error",
    "is a generator",
    "What it yields can be read once, so no output can be saved.",
    "Return a list.",
)
_HIDDEN = _Hazard(
    "uncacheable-step",
    "warning",
    "calls `{}()`",
    "What it reaches that way is not part of the key: nbflow does not notice edits there.",
    "Call it by its name, or say depends_on=.",
    frozenset({"version"}),
)
#: Options of a step whose author has thought of what its key does not see.
_OFTEN = frozenset({"ttl", "version"})
_CLOCK = _Hazard(
    "unseen-input",
    "note",
    "reads the time with `{}()`",
    _STALE,
    "Pass it as an argument, or give the step a ttl=.",
    _OFTEN,
)
_DICE = _Hazard(
    "unseen-input",
    "note",
    "draws random numbers with `{}()`",
    "The first draw is saved, and every later run gets the same.",
    "Pass a seed as an argument if that is not what you want.",
    _OFTEN,
)
_SETTING = _Hazard(
    "unseen-input",
    "note",
    "reads the environment",
    _STALE,
    "Pass what matters as an argument; a secret may stay as it is.",
    _OFTEN,
)
_FILE = _Hazard(
    "unseen-input",
    "note",
    "reads a file with `{}()`",
    _STALE,
    "Pass the content as an argument, or say depends_on=Path(...).",
    _OFTEN | {"depends_on"},
)
_BUILT = _Hazard(
    "unseen-input",
    "note",
    "has `{}()` run a text that is built at run time",
    "What the names in it stand for is not part of the key: a change is not noticed.",
    "Write the names out in the text, or say depends_on=.",
    _OFTEN | {"depends_on"},
)


#: What to do about it in a cell, which has flags in place of arguments.
_TODO_OF_CELL = (
    'Bind what matters in an earlier cell that is not a step (of a file nf.file("..."))'
    " and read it here, or give the cell --ttl."
)


def unseen(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find what steps read besides their arguments."""
    for cell in cells:
        for node in ast.walk(cell.tree) if cell.tree is not None else ():
            if isinstance(node, _FUNCTIONS) and _is_step(node):
                yield from _of_step(cell, node)


def nearly(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find comments that read like the line of a step and are none."""
    for cell in cells:
        found = near_step(cell.source)
        if found is not None:
            yield Finding(
                "step-line",
                "warning",
                cell.number,
                found.number,
                f"`{found.line}` is a comment, and its cell is no step cell",
                "It runs each time.",
                f"{found.todo[0].upper()}{found.todo[1:]}.",
            )


def cells_as_steps(cells: list[CodeCell]) -> Iterator[Finding]:
    """Find what is wrong with step cells.

    Names that are there twice or that no cell binds, what keeps a cell from being saved,
    and what its key does not see.
    """
    known: dict[str, int] = {}
    bound: set[str] = set()
    for cell in cells:
        if cell.tree is None:
            continue
        reach = cell_names.reach(cell.tree.body)
        bound.update(reach.binds, reach.defines, reach.closes)
        step = step_line(cell.source)
        if step is None:
            continue
        line, text = step
        try:
            spec = parse(text)
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
        for name in spec.outputs or ():
            if name not in bound:
                yield Finding(
                    "step-line",
                    "error",
                    cell.number,
                    line,
                    f"step cell `{spec.name}` declares the output `{name}`, and no cell"
                    " binds it",
                    "The cell runs, and then fails.",
                    "Name what it binds.",
                )
        yield from _of_cell(cell, spec, reach, line)


def _of_cell(
    cell: CodeCell, spec: Spec, reach: cell_names.Reach, line: int
) -> Iterator[Finding]:
    assert cell.tree is not None
    why = cell_names.blind(cell.tree.body) or reads_history(reach)
    if why is not None:
        yield Finding(
            "uncacheable-step",
            "warning",
            cell.number,
            line,
            f"step cell `{spec.name}` is never saved: {why}",
            "It runs each time.",
            "Move that into a cell of its own, or remove the step line.",
        )
        return
    options = set()
    if spec.policy.ttl is not None:
        options.add("ttl")
    if spec.version is not None:
        options.add("version")
    nodes = list(_outside_steps(cell.tree))
    built = set(_built_texts(nodes))
    nodes = [node for node in nodes if not _is_watched(node, built)]
    for node, hazard, what in _hazards(nodes, options):
        if hazard.rule == "unseen-input":
            yield Finding(
                hazard.rule,
                hazard.level,
                cell.number,
                getattr(node, "lineno", line),
                f"step cell `{spec.name}` {what}",
                hazard.why,
                _TODO_OF_CELL,
            )


def _outside_steps(node: ast.AST) -> Iterator[ast.AST]:
    """Return the parts of a cell, without functions that are steps themselves."""
    for part in ast.iter_child_nodes(node):
        if not (isinstance(part, _FUNCTIONS) and _is_step(part)):
            yield part
            yield from _outside_steps(part)


def _is_watched(node: ast.AST, built: set[str]) -> bool:
    """Return whether a call reads what a name stands for, such as an `nf.file` of an earlier cell.

    The names in a query text that the cell itself has built stand for something else.
    """
    if not isinstance(node, ast.Call) or not node.args:
        return False
    first = node.args[0]
    return isinstance(first, ast.Name) and not (first.id in built and _asks(node))


def _is_step(node: Function) -> bool:
    """Return whether a function is decorated with ``step``, of whatever module."""
    for one in node.decorator_list:
        name = ast.unparse(one.func if isinstance(one, ast.Call) else one)
        if name.rpartition(".")[2] == "step":
            return True
    return False


def _options(node: Function) -> set[str]:
    """Return the options that the decorators of a function are given."""
    names = set[str]()
    for one in node.decorator_list:
        if isinstance(one, ast.Call):
            names.update(word.arg or "" for word in one.keywords)
    return names


def _of_step(cell: CodeCell, step: Function) -> Iterator[Finding]:
    arguments = {part.arg for part in ast.walk(step.args) if isinstance(part, ast.arg)}
    for node, hazard, what in _hazards(ast.walk(step), _options(step), arguments):
        yield Finding(
            hazard.rule,
            hazard.level,
            cell.number,
            getattr(node, "lineno", step.lineno),
            f"step `{step.name}` {what}",
            hazard.why,
            hazard.todo,
        )


def _hazards(
    nodes: Iterable[ast.AST], options: set[str], arguments: Iterable[str] = ()
) -> Iterator[tuple[ast.AST, _Hazard, str]]:
    """Return the nodes that mean something, with what was found; each only once."""
    told = set[str]()
    nodes = list(nodes)
    # A text that is built and then given a name is as unseen as one that is passed.
    unseen = {*arguments, *_built_texts(nodes)}
    for node in nodes:
        hazard, name = _of_node(node, unseen)
        if hazard is None or hazard.unless & options:
            continue
        what = hazard.what.format(name)
        if what not in told:
            told.add(what)
            yield node, hazard, what


def _of_node(node: ast.AST, unseen: Collection[str]) -> tuple[_Hazard | None, str]:
    """Return what a node means, and the name that it calls or reads."""
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return _ITERATOR, ""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return _of_call(node, name, unseen), name
    if isinstance(node, ast.Attribute) and ast.unparse(node) in _ENVIRONMENT:
        return _SETTING, ast.unparse(node)
    return None, ""


def _of_call(node: ast.Call, name: str, unseen: Collection[str]) -> _Hazard | None:
    module, _, last = name.rpartition(".")
    if name in _ENVIRONMENT:
        return _SETTING
    if name in ("exec", "eval", "globals", "locals", "__import__"):
        return _HIDDEN
    if _asks(node) and _asks_unseen(node, unseen):
        return _BUILT
    if name in _TIME:
        return _CLOCK
    if module in _CHANCE or name in ("uuid.uuid4", "uuid.uuid1"):
        return _DICE
    return _FILE if last in _FILES and not _writes(node) else None


def _built_texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the names that are bound to a text which is built at run time."""
    for node in nodes:
        if isinstance(node, ast.AugAssign):
            is_built = isinstance(node.op, ast.Add)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            is_built = _is_built(node.value)
        else:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if is_built and isinstance(target, ast.Name):
                yield target.id


def _asks(node: ast.Call) -> bool:
    """Return whether a call looks up the names in a text that it is given."""
    module, _, name = ast.unparse(node.func).rpartition(".")
    return query_texts.looks_up(name, module)


def _asks_unseen(node: ast.Call, unseen: Collection[str]) -> bool:
    """Return whether names in the text that a call is given are known only when it runs."""
    if node.args and isinstance(node.args[0], ast.Name):
        return node.args[0].id in unseen
    given = [*node.args[:1], *(word.value for word in node.keywords)]
    return any(map(_is_built, given))


def _is_built(text: ast.expr | None) -> bool:
    """Return whether an expression builds a text in which names may stand that it does not say."""
    if isinstance(text, ast.JoinedStr):
        pieces = zip(text.values, text.values[1:], strict=False)
        return any(_names_what_follows(piece) for piece, _ in pieces)
    return isinstance(text, ast.BinOp) or _is_call_of_text(text)


def _names_what_follows(piece: ast.expr) -> bool:
    """Return whether what stands behind a piece of an f-string is a name: ``@{name}``, ``from {table}``."""
    said = piece.value if isinstance(piece, ast.Constant) else ""
    return re.search(r"(@|\b(from|join)\s+)$", str(said), re.IGNORECASE) is not None


def _is_call_of_text(node: ast.expr | None) -> bool:
    """Return whether an expression makes a text of others: ``"...".format(name)``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in ("format", "format_map", "join", "replace", "substitute")


def _writes(node: ast.Call) -> bool:
    """Return whether a call opens a file for writing."""
    modes = node.args[1:2]
    modes += [word.value for word in node.keywords if word.arg == "mode"]
    constants = [mode.value for mode in modes if isinstance(mode, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) & set("wax") for mode in constants)
