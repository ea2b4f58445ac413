"""Rewrite: from the text of a step cell to the tree that runs.

`nbflow.notebook.cells` says what that tree means.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.policy import Policy, seconds
from nbflow._key import cell_names
from nbflow._key.kinds import is_module
from nbflow._key.origin import is_users
from nbflow.errors import UsageError
from nbflow.notebook.document import STEP_LINE, step_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: A line that gives a cell an option, as Quarto has it.
_OPTION = re.compile(r"^#\|")
_CELL_MAGIC = re.compile(r"%%(\w+)")
#: Cell magics that run the cell, and do something before and after.
_AROUND = frozenset(("capture", "time", "timeit", "prun"))
#: What the loop and the ``with`` around the statements bind.
NAME = "__nbflow__"


#: A comment that may be meant for the line of a step: its bar, its colon, what it says.
_NEARLY = re.compile(r"^\s*#+\s*(\|?)\s*steps?\b\s*([:=]?)(.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spec:
    """What the first line of a step cell says.

    Attributes:
        name: the name of the step.
        outputs: the names that it declares; ``None`` if it declares none.
        force: whether it runs although it is saved.
        dry: whether it only says what it would do.
        ignore: names that do not count for its key.
        policy: retries, timeout and ttl.
        version: what stands for its code.
    """

    name: str
    outputs: tuple[str, ...] | None = None
    force: bool = False
    dry: bool = False
    ignore: frozenset[str] = frozenset()
    policy: Policy = Policy(retries=0)  # noqa: RUF009  # a Policy is frozen
    version: str | None = None


_SWITCHES = ("--force", "--dry")
_VALUES = ("--ignore", "--retries", "--timeout", "--ttl", "--version")


def parse(text: str) -> Spec:
    """Read ``NAME -> OUT, ... --flag value``.

    Raises:
        UsageError: no name, an unknown flag, a flag without its value; says what to
            write.
    """
    head, *tail = re.split(r"\s(?=--)", f" {text.strip()}", maxsplit=1)
    name, arrow, outs = (part.strip() for part in head.partition("->"))
    if not name or len(name.split()) > 1:
        raise UsageError(
            "A step cell needs one name: `%%step NAME -> OUTPUT, ...` or"
            f" `#| step: NAME -> OUTPUT, ...`, not {text.strip()!r}."
        )
    outputs = _outputs(name, outs) if arrow else None
    switches, values = _flags(name, tail[0] if tail else "")
    last = {flag: given[-1] for flag, given in values.items()}
    retries = last.get("--retries", "0")
    if not retries.isdigit():
        raise UsageError(
            f"Step cell {name!r}: --retries needs a whole number, not {retries!r}."
        )
    return Spec(
        name=name,
        outputs=outputs,
        force="--force" in switches,
        dry="--dry" in switches,
        ignore=frozenset(values.get("--ignore", ())),
        policy=Policy(
            retries=int(retries),
            timeout=_seconds(last.get("--timeout"), "--timeout"),
            ttl=_seconds(last.get("--ttl"), "--ttl"),
        ),
        version=last.get("--version"),
    )


def _outputs(name: str, text: str) -> tuple[str, ...]:
    """Read the names behind the arrow."""
    outputs = tuple(part.strip() for part in text.split(","))
    for output in outputs:
        if not output.isidentifier():
            raise UsageError(
                f"Step cell {name!r}: {output!r} is not the name of an output; write"
                " names with commas between them."
            )
    return outputs


def _flags(name: str, text: str) -> tuple[set[str], dict[str, list[str]]]:
    """Read the flags; returns the switches, and the values of the others."""
    switches: set[str] = set()
    values: dict[str, list[str]] = {}
    words = iter(_words(name, text))
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in _SWITCHES:
            switches.add(flag)
        elif flag in _VALUES:
            given = value if equals else next(words, None)
            if given is None or given.startswith("--"):
                raise UsageError(f"Step cell {name!r}: {flag} needs a value.")
            values.setdefault(flag, []).append(given)
        else:
            raise _unknown(name, flag)
    return switches, values


def _words(name: str, flags: str) -> list[str]:
    try:
        return shlex.split(flags)
    except ValueError as error:  # a quote that nothing closes, a backslash at the end
        raise UsageError(
            f"Step cell {name!r}: the flags cannot be read ({error}): {flags}"
        ) from None


def _unknown(name: str, flag: str) -> UsageError:
    if flag.startswith("->"):
        return UsageError(
            f"Step cell {name!r}: flags come after the outputs: `{name} -> OUTPUT, ... --flag`."
        )
    import difflib

    close = difflib.get_close_matches(flag, [*_SWITCHES, *_VALUES], n=1)
    hint = f"There are {', '.join((*_SWITCHES, *_VALUES))}."
    if close:
        hint = f"Did you mean {close[0]}?"
    return UsageError(f"Step cell {name!r}: unknown flag {flag}. {hint}")


def _seconds(text: str | None, flag: str) -> float | None:
    if text is None:
        return None
    return float(text) if text.replace(".", "", 1).isdigit() else seconds(text, flag)


class NearStep(NamedTuple):
    """A comment that reads like the line of a step and is none.

    Attributes:
        number: its line in the cell, from 1.
        line: the line.
        name: the name of the step.
        todo: what to write instead, or where.
    """

    number: int
    line: str
    name: str
    todo: str


def near_step(source: str) -> NearStep | None:
    """Return the comment of a cell that was probably meant to make it a step; ``None`` if there is none."""
    if step_line(source) is not None:
        return None
    is_top = True
    for number, line in enumerate(source.splitlines(), 1):
        nearly, right = _NEARLY.match(line), STEP_LINE.match(line)
        is_here = right is not None and (is_top or _is_comment(source, number))
        if right is not None and is_here and (name := _name_in(right[1])):
            todo = "move it to the first line of its cell"
            return NearStep(number, line.strip(), name, todo)
        if is_top and nearly is not None and (name := _name_in(nearly[3])):
            bar, colon, text = nearly.groups()
            if bar or colon or "->" in text:
                todo = f"write `#| step: {text.strip()}`"
                return NearStep(number, line.strip(), name, todo)
        is_top = is_top and (not line.strip() or line.lstrip().startswith(("#", "%")))
    return None


def _is_comment(source: str, number: int) -> bool:
    """Return whether a line is a comment, not a part of a text; where that cannot be told, it is none."""
    lines = iter(source.splitlines(keepends=True))
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            if token.type == tokenize.COMMENT and token.start[0] == number:
                return True
    return False


def _name_in(text: str) -> str:
    """Return the name of the step that a line makes; empty if it makes none."""
    try:
        return parse(text).name
    except UsageError:
        return ""


# From text to tree.


def mark(lines: list[str]) -> list[str]:
    """Replace the first line of a step cell by the mark; an input transformer of IPython.

    The mark is the line itself as a text, an expression that IPython keeps where it is.
    """
    for place, line in enumerate(lines):
        found = STEP_LINE.match(line.rstrip("\n"))
        if found is not None:
            return _marked_lines(found[1], lines, place)
        if line.strip() and not _OPTION.match(line):
            return lines
    return lines


def _marked_lines(text: str, lines: list[str], place: int) -> list[str]:
    line, below = lines[place], lines[place + 1 :]
    try:
        parse(text)
    except UsageError as error:
        where = ("<step cell>", place + 1, 1, line)
        raise SyntaxError(str(error), where) from None
    magic = _CELL_MAGIC.match(below[0]) if below else None
    if magic is None:
        return [*lines[:place], f"{line.strip()!r}\n", *below]
    if magic[1] not in _AROUND:
        raise SyntaxError(
            f"%%{magic[1]} runs something other than Python, and what it does cannot be"
            " saved: remove the step line.",
            ("<step cell>", place + 2, 1, magic.string),
        )
    # IPython looks for a cell magic at the top; it then runs the step cell as any other.
    return [*lines[:place], below[0], line, *below[1:]]


class Rebuild(ast.NodeTransformer):
    """Rebuilds the tree of a marked cell; an AST transformer of IPython.

    Args:
        interactivity: returns which expressions IPython shows.
        keep: takes a cell's first line and statements, and returns the number under
            which `enter` finds them.
        space: the notebook's names.
        look: is shown each cell, whatever it is.
    """

    def __init__(
        self,
        interactivity: Callable[[], str],
        keep: Callable[[Spec, list[ast.stmt]], int],
        space: Mapping[str, object],
        look: Callable[[ast.Module], None],
    ) -> None:
        self._interactivity = interactivity
        self._look = look
        self._keep = keep
        self._space = space

    # The name that ast asks for.
    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Put the statements of a step cell into the loop and the ``with`` around them."""
        self._look(node)
        text = _mark_of(node.body[0]) if node.body else None
        if text is None:
            return node
        future: list[ast.stmt] = []
        body: list[ast.stmt] = []
        for part in node.body[1:]:
            (future if _is_future(part) else body).append(part)
        try:
            is_async = _awaits(body)
        except SyntaxError:
            # `return` outside of a function and the like: IPython says it best.
            return ast.Module(body, node.type_ignores)
        loop = self._loop(self._keep(parse(text), body), body, is_async=is_async)
        ast.copy_location(loop, node.body[0])
        return ast.fix_missing_locations(ast.Module([*future, loop], node.type_ignores))

    def _loop(self, number: int, body: list[ast.stmt], *, is_async: bool) -> ast.For:
        """Build the loop that `nbflow.notebook.cells` shows."""
        module = "__import__('nbflow.notebook.cells', fromlist=['cells'])"
        source = f"for {NAME} in {module}.enter({number}):\n with {NAME}:\n  pass"
        loop = ast.parse(source).body[0]
        assert isinstance(loop, ast.For)
        block = loop.body[0]
        assert isinstance(block, ast.With)
        statements = _guarded(body, self._shown(body), modules(body, self._space))
        if statements:
            block.body = statements
        if is_async:
            loop.body = [ast.AsyncWith(block.items, block.body)]
        return loop

    def _shown(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Have those expressions shown that IPython would show in a cell of these statements."""
        which = self._interactivity()
        if which == "none":
            return body
        first = 0 if which == "all" else len(body) - 1
        shown: list[ast.stmt] = []
        for place, part in enumerate(body):
            if place >= first and isinstance(part, ast.Expr) and not _sets_up(part):
                shown.append(_show(part))
            else:
                shown.append(part)
        return shown


def _is_future(node: ast.stmt) -> bool:
    """Return whether a statement has to stand at the top: ``from __future__ import ...``."""
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _mark_of(node: ast.stmt) -> str | None:
    """Return what the line of a step says, if a statement is its mark."""
    value = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return None
    found = STEP_LINE.match(value.value)
    return found[1] if found is not None else None


def _awaits(body: list[ast.stmt]) -> bool:
    """Return whether statements have an ``await`` outside of functions.

    Raises:
        SyntaxError: they do not compile.
    """
    module, flags = ast.Module(body, []), ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(module, "<cell>", "exec", flags, dont_inherit=True)
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _attribute(name: str) -> ast.Attribute:
    """Make the expression that reads an attribute of the attempt."""
    return ast.Attribute(ast.Name(NAME, ast.Load()), name, ast.Load())


def _show(node: ast.Expr) -> ast.stmt:
    call = ast.copy_location(ast.Call(_attribute("show"), [node.value], []), node.value)
    return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))


def _sets_up(node: ast.stmt) -> bool:
    """Return whether a statement is a magic that only sets up, such as ``%matplotlib inline``."""
    return (
        isinstance(node, ast.Expr)
        and cell_names.magic_of(node) in cell_names.SETTING_UP
    )


def modules(body: list[ast.stmt], space: Mapping[str, object]) -> frozenset[str]:
    """Return the names of modules that a cell can see, and of what comes from them: the notebook's and its own."""
    # A copy, as other threads may bind names meanwhile.
    items = list(space.items())
    names = {name for name, value in items if is_module(value) or _is_librarys(value)}
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(cell_names.defined_by(node))
    return frozenset(names)


def _is_librarys(value: object) -> bool:
    """Return whether a value is a class or function of a library."""
    return isinstance(value, (FunctionType, type)) and not is_users(value)


def _guarded(
    body: list[ast.stmt], shown: list[ast.stmt], names: frozenset[str]
) -> list[ast.stmt]:
    """Put ``if __nbflow__.live:`` before what a hit does not run.

    Args:
        body: the statements as they are written.
        shown: the same, as they run.
        names: of modules.
    """
    found: list[ast.stmt] = []
    open_block: ast.If | None = None
    for part, run in zip(body, shown, strict=True):
        if cell_names.is_definition(part, names) or _sets_up(part):
            found.append(run)
            open_block = None
        elif open_block is not None:
            open_block.body.append(run)
        else:
            open_block = ast.copy_location(ast.If(_attribute("live"), [], []), part)
            ast.fix_missing_locations(open_block)
            open_block.body.append(run)
            found.append(open_block)
    return found
