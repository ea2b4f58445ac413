"""Translation: from the cells of a notebook to a plain module.

What defines (imports, functions, classes, constants) stands at the top of the module,
so that it can be imported; what acts stands in one function, in the order of the
notebook. That function binds the module's globals: functions read there what they read
in the notebook, and keys are the same.
"""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbflow._key import cell_names as reaches
from nbflow.errors import UsageError
from nbflow.export.source import literal
from nbflow.notebook import document as documents
from nbflow.notebook.check.code_cells import cells_of
from nbflow.notebook.document import STEP_LINE, step_line
from nbflow.notebook.rewrite import parse
from nbflow.script import BEGIN, END

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow.notebook.check.code_cells import CodeCell as Cell

#: Calls that make a value and do nothing else.
_PURE = frozenset((
    "bool", "bytes", "dict", "enumerate", "float", "frozenset", "int", "len", "list",
    "max", "min", "range", "reversed", "round", "set", "sorted", "str", "sum", "tuple",
    "zip",
))  # fmt: skip
_PURE_DOTTED = frozenset((
    "re.compile", "Path", "pathlib.Path", "timedelta", "datetime.timedelta", "Decimal",
    "decimal.Decimal", "Fraction", "Counter", "defaultdict", "deque", "namedtuple",
    "NamedTuple", "TypeVar", "NewType", "nf.Throttle", "nbflow.Throttle",
    "logging.getLogger",
))  # fmt: skip
#: Cell magics that change nothing of what their cell does.
_TRANSPARENT = frozenset(("time", "step"))
_LINE_MAGIC = re.compile(r"^(\s*)%(\w+)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Statements that share lines, with the comments above them.

    Attributes:
        lines: as the notebook has them.
        body: the statements.
        shown: the place of an expression whose value a notebook shows: line and column
            where it begins, and ends.
    """

    lines: list[str]
    body: list[ast.stmt]
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One code cell: its chunks, the heading above it, and what its first line says if it is a step."""

    number: int
    chunks: list[Chunk]
    heading: str = ""
    step: str | None = None
    tags: tuple[str, ...] = ()


def refusals(document: Any) -> Iterator[str]:
    """Why a notebook cannot be a plain module, each with its cell and what to do."""
    for cell in _cells(document):
        yield from _refusals(cell)


def module(document: Any, notebook: str, title: str) -> str:
    """The notebook as the source of a module.

    Raises:
        UsageError: a cell that a plain module cannot hold.
    """
    parts = list(_parts(document))
    names = _Names(parts)
    above, top, acts = list[str](), list[str](), list[str]()
    for part in parts:
        if documents.PARAMETERS in part.tags:
            # What stands above the parameters may be read by them: `day: dt.date =
            # dt.date.today()`.
            above, top = [*above, *top], []
            _check_parameters(part, names)
            continue
        head = f"# {part.heading}" if part.heading else ""
        if part.step is not None:
            acts += ["", *([head] if head else []), *_step(part)]
            continue
        defines = [chunk for chunk in part.chunks if names.is_definition(chunk)]
        doing = [chunk for chunk in part.chunks if chunk not in defines]
        if defines:
            lines = [line for chunk in defines for line in _spaced(chunk)]
            top += (
                ["", head, *lines]
                if head
                else lines
                if lines[:1] == [""]
                else ["", *lines]
            )
        if doing:
            acts += [
                "",
                *([head] if head and not defines else []),
                *(
                    line
                    for chunk in doing
                    for line in _displayed(chunk, "_script.show")
                ),
            ]
    text = _assembled(parts, names, above, top, acts, notebook, title)
    try:
        compile(text, "<module>", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = text.splitlines()[(error.lineno or 1) - 1].strip()
        raise UsageError(
            f"`{line}` cannot stand in a function ({error.msg}), which the cells of a plain module are put into: write it otherwise, or take a target that runs the notebook."
        ) from None
    return text


def _check_parameters(part: Part, names: _Names) -> None:
    """The parameters stand at the top, so all that they read has to stand there, too."""
    read = {
        node.id
        for chunk in part.chunks
        for top in chunk.body
        for node in ast.walk(top)
        if isinstance(node, ast.Name)
    }
    if late := read & names.bound - names.defined - {
        name for chunk in part.chunks for node in chunk.body for name in bound_by(node)
    }:
        raise UsageError(
            f"Cell {part.number}, the parameters, reads `{min(late)}`, which the notebook makes when it runs: give the parameter a plain default, or take a target that runs the notebook."
        )


def _assembled(
    parts: list[Part],
    names: _Names,
    above: list[str],
    top: list[str],
    acts: list[str],
    notebook: str,
    title: str,
) -> str:
    declared = [
        line
        for part in parts
        if documents.PARAMETERS in part.tags
        for chunk in part.chunks
        for line in chunk.lines
    ]
    future = sorted(
        {line for part in parts for chunk in part.chunks for line in _future(chunk)}
    )
    whole = [
        node
        for part in parts
        if documents.PARAMETERS not in part.tags
        for chunk in part.chunks
        if part.step is not None or not names.is_definition(chunk)
        for node in chunk.body
    ]
    bound = sorted({name for node in whole for name in bound_by(node)})
    awaits = any(_awaits(node) for node in whole)
    lines = [
        "#!/usr/bin/env python3",
        "# Written by `nbflow export`: a notebook as a plain module. Import it for its steps and flows; run it, and it does",
        f"# what the notebook does. Title: {''.join(one if one.isprintable() else ' ' for one in title)}",
        *future,
        "from nbflow import script as _script",
        "",
        "# Its classes are the notebook's: what either has saved, the other finds.",
        f"__notebook__ = {literal(notebook)}",
        *above,
        "",
        BEGIN,
        *declared,
        END,
        *top,
        "",
        "",
        f"{'async ' if awaits else ''}def {names.main}():",
        '    """What the notebook does, in its order."""',
        *([f"    global {', '.join(bound)}"] if bound else []),
        *_indented(acts),
        "",
        "",
        'if __name__ == "__main__":',
        f"    raise SystemExit(_script.run({names.main}, globals()))",
    ]
    return (
        "\n".join(line.rstrip() if not line.strip() else line for line in lines) + "\n"
    )


# Cells.


def _cells(document: Any) -> list[Cell]:
    return [
        cell
        for cell in cells_of(document)
        if not {"skip-execution", documents.INJECTED} & set(cell.tags)
    ]


def _refusals(cell: Cell) -> Iterator[str]:
    for magic in cell.magics:
        name = (
            f"{'%%' if magic.is_cell else '' if magic.name == '!' else '%'}{magic.name}"
        )
        if magic.is_cell and magic.name in _TRANSPARENT:
            continue
        if (
            not magic.is_cell
            and magic.name in reaches.SETTING_UP
            and _step_line(cell) is None
        ):
            continue
        yield f"Cell {cell.number} has `{name}`, which needs IPython: do it in Python (subprocess.run for a shell line), or take a target that runs the notebook."
    if (
        cell.tree is not None
        and _step_line(cell) is not None
        and (found := next(_annotated(cell.tree.body), None)) is not None
    ):
        yield f"Cell {cell.number} is a step and gives `{ast.unparse(found.target)}` an annotation, which a plain module cannot keep: leave it out."
    try:
        parse(_step_line(cell) or "step")
    except UsageError as error:
        yield f"Cell {cell.number}: {error}"
    if cell.tree is None:
        yield f"Cell {cell.number} is not Python: line {cell.error[0] if cell.error else 1}."


def _parts(document: Any) -> Iterator[Part]:
    headings = _headings(document)
    for cell in _cells(document):
        for refusal in _refusals(cell):
            raise UsageError(refusal)
        step = _step_line(cell)
        yield Part(
            cell.number,
            _chunks(_plain(cell)),
            headings.get(cell.number, ""),
            step,
            cell.tags,
        )


def _headings(document: Any) -> dict[int, str]:
    """The heading above each code cell, by the cell's number."""
    found, heading, number = dict[int, str](), "", 0
    for cell in document.cells:
        if cell.cell_type == "markdown":
            said = re.search(r"^#+\s+(.+)$", cell.source, re.MULTILINE)
            heading = (
                "".join(one if one.isprintable() else " " for one in said[1].strip())
                if said
                else heading
            )
        elif cell.cell_type == "code" and cell.source.strip():
            number += 1
            found[number], heading = heading, ""
    return found


def _step_line(cell: Cell) -> str | None:
    found = step_line(cell.source)
    return found[1] if found is not None else None


def _plain(cell: Cell) -> str:
    """The source of a cell without what only IPython reads, line for line."""
    lines = cell.source.split("\n")
    tree = cell.tree
    inside = _inside_texts(tree) if tree is not None else set()
    for place, line in enumerate(lines):
        if line.startswith("%%") or STEP_LINE.match(line):
            lines[place] = ""
        elif (
            (found := _LINE_MAGIC.match(line))
            and place + 1 not in inside
            and found[2] in reaches.SETTING_UP
        ):
            lines[place] = f"{found[1]}pass  # {line.strip()}"
    return "\n".join(lines)


def _chunks(source: str) -> list[Chunk]:
    body, lines = ast.parse(source).body, source.split("\n")
    found: list[Chunk] = []
    begin = 0
    for place, node in enumerate(body):
        follows = body[place + 1] if place + 1 < len(body) else None
        end = node.end_lineno or node.lineno
        if found and _first(node) <= begin:  # `a = 1; b = 2`
            found[-1] = Chunk(
                found[-1].lines + lines[begin:end], [*found[-1].body, node]
            )
        else:
            # What stands behind the last statement is comments; before the first of the
            # next they are its own.
            is_shown = (
                follows is None
                and isinstance(node, ast.Expr)
                and not _is_quiet(node, lines[end - 1])
            )
            found.append(Chunk(_trimmed(lines[begin:end]), [node], is_shown))
        begin = end
    return found


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[0].strip():
        lines = lines[1:]
    return lines


def _is_quiet(node: ast.Expr, line: str) -> bool:
    value = node.value
    says = (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("print", "display")
    )
    return (
        says
        or line.rstrip().endswith(";")
        or (isinstance(value, ast.Constant) and isinstance(value.value, str))
    )


# Names.


class _Names:
    """What is bound where, which says what may stand at the top of the module."""

    def __init__(self, parts: list[Part]) -> None:
        chunks = [(part, chunk) for part in parts for chunk in part.chunks]
        bound = [
            name
            for part, chunk in chunks
            for node in chunk.body
            if not isinstance(node, ast.Import | ast.ImportFrom)
            for name in bound_by(node)
        ]
        self.bound = {
            name
            for _, chunk in chunks
            for node in chunk.body
            for name in bound_by(node)
        }
        self.read = {
            node.id
            for _, chunk in chunks
            for top in chunk.body
            for node in ast.walk(top)
            if isinstance(node, ast.Name)
        }
        self._twice = {name for name in bound if bound.count(name) > 1}
        self._known = set(dir(builtins)) | {"__name__", "__file__"}
        self._definitions: list[Chunk] = []
        self.main = next(
            name
            for name in ("main", "_main", "_run_notebook")
            if name not in self.bound | self.read
        )
        if taken := {"_script", "_attempt"} & self.bound:
            raise UsageError(
                f"The notebook binds the name {min(taken)}, which the module needs itself: call it otherwise."
            )
        for part, chunk in chunks:
            if (
                documents.PARAMETERS not in part.tags
                and part.step is None
                and all(map(self._defines, chunk.body))
            ):
                self._definitions.append(chunk)
                self._known |= {name for node in chunk.body for name in bound_by(node)}

    @property
    def defined(self) -> set[str]:
        """The names that stand at the top of the module."""
        return {
            name
            for chunk in self._definitions
            for node in chunk.body
            for name in bound_by(node)
        }

    def is_definition(self, chunk: Chunk) -> bool:
        """May it stand at the top of the module?"""
        return any(chunk is one for one in self._definitions)

    def _defines(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return True
        if (
            set(bound_by(node)) & self._twice
            or not {chain[0] for chain in reaches.reach([node]).reads} & self.bound
            <= self._known
        ):
            return False
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return self._reads_at_once(node) & self.bound <= self._known
        if isinstance(node, ast.If | ast.Try):  # `try: import x` and the like
            return all(
                map(
                    self._defines,
                    [
                        part
                        for part in ast.walk(node)
                        if isinstance(part, ast.stmt) and part is not node
                    ],
                )
            )
        return isinstance(node, ast.Pass) or (
            isinstance(node, ast.Assign | ast.AnnAssign)
            and (node.value is None or _is_pure(node.value))
        )

    @staticmethod
    def _reads_at_once(node: ast.stmt) -> set[str]:
        return {chain[0] for chain in reaches.reach([node]).reads}


def _is_pure(value: ast.expr) -> bool:
    """Does an expression make a value and do nothing else?"""
    return all(
        ast.unparse(node.func) in _PURE | _PURE_DOTTED
        for node in ast.walk(value)
        if isinstance(node, ast.Call)
    ) and not any(
        isinstance(node, ast.Await | ast.NamedExpr) for node in ast.walk(value)
    )


def bound_by(node: ast.AST) -> Iterator[str]:
    """The names of the notebook that a statement binds, those of functions, classes and comprehensions in it aside."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        inner: list[ast.AST] = [*node.decorator_list]
    elif isinstance(node, ast.Lambda):
        inner = []
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (
            (alias.asname or alias.name.partition(".")[0])
            for alias in node.names
            if alias.name != "*"
        )
        inner = []
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        inner = []
        yield from (
            part.target.id
            for part in ast.walk(node)
            if isinstance(part, ast.NamedExpr) and isinstance(part.target, ast.Name)
        )
    else:
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        name = (
            getattr(node, "name", None)
            if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar)
            else getattr(node, "rest", None)
            if isinstance(node, ast.MatchMapping)
            else None
        )
        if name:
            yield name
    for part in inner:
        yield from bound_by(part)


# Lines.


def _spaced(chunk: Chunk) -> list[str]:
    """Two empty lines before a function or class."""
    return (
        ["", ""]
        if isinstance(
            chunk.body[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        )
        else []
    ) + _without_future(chunk)


def _without_future(chunk: Chunk) -> list[str]:
    return [] if _future(chunk) else chunk.lines


def _future(chunk: Chunk) -> list[str]:
    return [
        ast.unparse(node)
        for node in chunk.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]


def _displayed(chunk: Chunk, show: str) -> list[str]:
    """The lines, the value of an expression that a notebook shows being shown."""
    if not chunk.shown:
        return _marked(chunk)
    node = chunk.body[0]
    lines = _marked(chunk)
    before = len(chunk.lines) - ((node.end_lineno or node.lineno) - node.lineno + 1)
    # `a, b` is one value.
    begin, close = (
        ("((", "))")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple)
        else ("(", ")")
    )
    lines[before] = f"{show}{begin}{lines[before]}"
    last = len(lines) - 1
    end = node.end_col_offset or 0
    text = chunk.lines[-1].encode()
    shift = len(lines[last]) - len(chunk.lines[-1]) if last == before else 0
    cut = len(text[:end].decode()) + shift
    lines[last] = f"{lines[last][:cut]}{close}{lines[last][cut:]}"
    return lines


#: Before a line that is the inside of a text, and must stay where it is.
_FIXED = "\0"


def _marked(chunk: Chunk) -> list[str]:
    inside = {line for node in chunk.body for line in _inside_texts(node)}
    first = (chunk.body[-1].end_lineno or 0) - len(chunk.lines) + 1
    lines = list(chunk.lines)
    for node in _annotated(chunk.body):
        lines[node.lineno - first] = _without_annotation(
            node, lines[node.lineno - first]
        )
    return [
        f"{_FIXED}{line}" if place in inside else line
        for place, line in enumerate(lines, first)
    ]


def _annotated(body: list[ast.stmt]) -> Iterator[ast.AnnAssign]:
    """Names that are bound with an annotation, which a function cannot do to a global; the last of a line first."""
    for node in reversed(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node
        elif not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        ):
            yield from _annotated(
                [
                    inner
                    for inner in ast.iter_child_nodes(node)
                    if isinstance(inner, ast.stmt)
                ]
            )


def _without_annotation(node: ast.AnnAssign, line: str) -> str:
    """`x: int = 1` as `x = 1`; over several lines it stays, and is refused."""
    text, begin = line.encode(), node.target.end_col_offset or 0
    if (node.annotation.end_lineno or node.lineno) != node.lineno:
        return line
    if node.value is None:
        return (
            text[: node.col_offset] + b"pass" + text[node.end_col_offset :]
        ).decode()
    return (text[:begin] + text[node.annotation.end_col_offset or begin :]).decode()


def _indented(lines: list[str], by: str = "    ") -> list[str]:
    return [
        line.removeprefix(_FIXED)
        if line.startswith(_FIXED)
        else f"{by}{line}"
        if line.strip()
        else ""
        for line in lines
    ]


def _inside_texts(tree: ast.AST) -> set[int]:
    """The lines that begin inside of a text, which no indentation may change."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)
    }


def _step(part: Part) -> list[str]:
    """A step cell: a loop over its attempts, and what only a real run does behind `live`."""
    body = [node for chunk in part.chunks for node in chunk.body]
    lines = [
        f"for _attempt in _script.step_cell({part.step!r}, globals()):",
        f"    {'async ' if any(map(_awaits, body)) else ''}with _attempt:",
    ]
    is_open = False
    for chunk in part.chunks:
        always = all(map(reaches.is_definition, chunk.body))
        if not always and not is_open:
            lines.append("        if _attempt.live:")
        is_open = not always
        lines += [
            one
            if one.startswith(_FIXED)
            else f"{'        ' if always else '            '}{one}"
            if one.strip()
            else ""
            for one in _displayed(chunk, "_attempt.show")
        ]
    return lines if len(part.chunks) else [*lines, "        pass"]


def _awaits(node: ast.AST) -> bool:
    """Does a statement await at the top level of the notebook?"""
    if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, ast.comprehension) and node.is_async
    ):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return any(map(_awaits, getattr(node, "decorator_list", ())))
    return any(map(_awaits, ast.iter_child_nodes(node)))
