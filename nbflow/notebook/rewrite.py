"""Rewrite: from the text of a step cell to the tree that runs; see `nbflow.notebook.cells` for what the tree means."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow._core.policy import Policy, seconds
from nbflow._key import cell_names as cells
from nbflow._key.kinds import is_module
from nbflow.errors import UsageError
from nbflow.notebook.document import STEP_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPTION = re.compile(r"^#\|")
_CELL_MAGIC = re.compile(r"%%(\w+)")
#: Those that run the cell, and do something before and after.
_AROUND = frozenset(("capture", "time", "timeit", "prun"))
#: What the loop and the ``with`` around the statements bind.
NAME = "__nbflow__"


@dataclass(frozen=True, slots=True)
class Spec:
    """What the first line of a step cell says."""

    name: str
    outputs: tuple[str, ...] | None = None
    force: bool = False
    dry: bool = False
    ignore: frozenset[str] = frozenset()
    policy: Policy = Policy(retries=0)  # noqa: RUF009  # frozen
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
            f"A step cell needs one name: `%%step NAME -> OUTPUT, ...` or `#| step: NAME -> OUTPUT, ...`, not {text.strip()!r}."
        )
    named = tuple(part.strip() for part in outs.split(",")) if arrow else None
    for out in named or ():
        if not out.isidentifier():
            raise UsageError(
                f"Step cell {name!r}: {out!r} is not the name of an output; write names with commas between them."
            )
    switches: set[str] = set()
    values: dict[str, list[str]] = {}
    words = iter(_words(name, tail[0]) if tail else [])
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
    last = {flag: given[-1] for flag, given in values.items()}
    if not last.get("--retries", "0").isdigit():
        raise UsageError(
            f"Step cell {name!r}: --retries needs a whole number, not {last['--retries']!r}."
        )
    policy = Policy(
        retries=int(last.get("--retries", 0)),
        timeout=_seconds(last.get("--timeout"), "--timeout"),
        ttl=_seconds(last.get("--ttl"), "--ttl"),
    )
    return Spec(
        name,
        named,
        "--force" in switches,
        "--dry" in switches,
        frozenset(values.get("--ignore", ())),
        policy,
        last.get("--version"),
    )


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
    hint = (
        f"Did you mean {close[0]}?"
        if close
        else f"There are {', '.join((*_SWITCHES, *_VALUES))}."
    )
    return UsageError(f"Step cell {name!r}: unknown flag {flag}. {hint}")


def _seconds(text: str | None, flag: str) -> float | None:
    if text is None:
        return None
    return float(text) if text.replace(".", "", 1).isdigit() else seconds(text, flag)


# From text to tree.


def mark(lines: list[str]) -> list[str]:
    """Replace the first line of a step cell by the mark, the same line as a text; an input transformer of IPython."""
    for place, line in enumerate(lines):
        found = STEP_LINE.match(line.rstrip("\n"))
        if found:
            try:
                parse(found[1])
            except UsageError as error:
                raise SyntaxError(
                    str(error), ("<step cell>", place + 1, 1, line)
                ) from None
            if (
                magic := _CELL_MAGIC.match("".join(lines[place + 1 : place + 2]))
            ) is not None:
                return _below(magic, lines, place)
            return [*lines[:place], f"{line.strip()!r}\n", *lines[place + 1 :]]
        if line.strip() and not _OPTION.match(line):
            return lines
    return lines


def _below(magic: re.Match[str], lines: list[str], place: int) -> list[str]:
    """Put a cell magic above the step's line, where IPython looks for it; it then runs the step cell as any other."""
    if magic[1] not in _AROUND:
        said = f"%%{magic[1]} runs something else than Python, and what it does cannot be saved: take away the line of the step."
        raise SyntaxError(said, ("<step cell>", place + 2, 1, magic.string))
    return [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]]


class Rebuild(ast.NodeTransformer):
    """Rebuilds the tree of a marked cell; an AST transformer of IPython.

    Args:
        interactivity: which expressions IPython shows.
        keep: takes a cell's first line and statements, and gives the number under which
            `enter` finds them.
        space: the notebook's names.
    """

    def __init__(
        self,
        interactivity: Callable[[], str],
        keep: Callable[[Spec, list[ast.stmt]], int],
        space: Mapping[str, object],
    ) -> None:
        self._interactivity = interactivity
        self._keep = keep
        self._space = space

    def visit_Module(
        self, node: ast.Module
    ) -> ast.Module:  # the name that ast asks for
        """Put the statements of a step cell into the loop and the ``with`` around them."""
        if not node.body or (text := _marked(node.body[0])) is None:
            return node
        body = node.body[1:]
        future = [
            part
            for part in body
            if isinstance(part, ast.ImportFrom) and part.module == "__future__"
        ]
        body = [part for part in body if part not in future]
        try:
            compile(
                ast.Module(body, []),
                "<cell>",
                "exec",
                ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
        except (
            SyntaxError
        ):  # `return` outside of a function and the like: IPython says it best
            return ast.Module(body, node.type_ignores)
        number = self._keep(parse(text), body)
        first = ast.parse(
            f"for {NAME} in __import__('nbflow.notebook.cells', fromlist=['cells']).enter({number}):\n with {NAME}:\n  pass"
        ).body[0]
        assert isinstance(first, ast.For)
        inner = first.body[0]
        assert isinstance(inner, ast.With)
        if _awaits(body):
            inner = first.body[0] = ast.AsyncWith(inner.items, inner.body)
        inner.body = _guarded(self._shown(body), modules(body, self._space)) or [
            ast.Pass()
        ]
        ast.copy_location(first, node.body[0])
        return ast.fix_missing_locations(
            ast.Module([*future, first], node.type_ignores)
        )

    def _shown(self, body: list[ast.stmt]) -> list[ast.stmt]:
        which = self._interactivity()
        last = len(body) - 1
        return [
            _show(part)
            if isinstance(part, ast.Expr)
            and not _sets_up(part)
            and (which == "all" or (place == last and which != "none"))
            else part
            for place, part in enumerate(body)
        ]


def _marked(node: ast.stmt) -> str | None:
    value = node.value if isinstance(node, ast.Expr) else None
    found = (
        STEP_LINE.match(value.value)
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
        else None
    )
    return found[1] if found else None


def _awaits(body: list[ast.stmt]) -> bool:
    module = ast.Module(body, [])
    code = compile(
        module, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _show(node: ast.Expr) -> ast.stmt:
    call = ast.Call(
        ast.Attribute(ast.Name(NAME, ast.Load()), "show", ast.Load()), [node.value], []
    )
    return ast.fix_missing_locations(
        ast.copy_location(ast.Expr(ast.copy_location(call, node.value)), node)
    )


def _sets_up(node: ast.stmt) -> bool:
    return (
        cells.magic_of(node) in cells.SETTING_UP
        if isinstance(node, ast.Expr)
        else False
    )


def modules(body: list[ast.stmt], space: Mapping[str, object]) -> frozenset[str]:
    """The names of modules that a cell has: those of the notebook, and those that it imports itself."""
    imported = (
        name
        for node in body
        if isinstance(node, ast.Import)
        for name in cells.defined_by(node)
    )
    return frozenset(
        (
            *imported,
            *(name for name, value in [*space.items()] if is_module(value)),
        )
    )


def _guarded(body: list[ast.stmt], names: frozenset[str]) -> list[ast.stmt]:
    """Put ``if __nbflow__.live:`` before what a hit does not run."""
    found: list[ast.stmt] = []
    open_block: ast.If | None = None
    for part in body:
        if cells.is_definition(part, names) or _sets_up(part):
            found.append(part)
            open_block = None
        elif open_block is not None:
            open_block.body.append(part)
        else:
            live = ast.Attribute(ast.Name(NAME, ast.Load()), "live", ast.Load())
            open_block = ast.fix_missing_locations(
                ast.copy_location(ast.If(live, [], []), part)
            )
            open_block.body.append(part)
            found.append(open_block)
    return found
