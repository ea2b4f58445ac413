"""Parameters: what the cell tagged ``parameters`` declares, and values for it from text, typed and checked.

The cell is papermill's: assignments whose values are the defaults. The type is the
annotation (or papermill's ``# type: int``), else that of the default; a comment behind it
is its help. A name that is annotated and not assigned (``day: str``) is required.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import math
import re
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SIMPLE: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
_CONTAINERS: dict[str, type] = {"list": list, "dict": dict, "tuple": tuple, "set": set}
_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
#: papermill's ``type: int``; what silences a type checker is not a type.
_TYPE_COMMENT = re.compile(r"type:\s*(?!ignore\b)(\S+)\s*(.*)")
#: What `ast.literal_eval` raises for a text that is not a literal.
_NO_LITERAL = (ValueError, SyntaxError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: its name.
        type: its type as source text; ``"Any"`` if it is not known.
        default: the default as source text; ``None`` if a value has to be given.
        help: the comment behind it.
    """

    name: str
    type: str
    default: str | None
    help: str = ""

    def value(self, text: str) -> object:
        """Return the value that ``text`` means for this parameter.

        Raises:
            UsageError: it is not a value of the declared type.
        """
        try:
            declared_type = ast.parse(self.type, mode="eval").body
        except SyntaxError:
            raise UsageError(
                f"-p {self.name}: its type in the parameters cell, {self.type!r}, is not"
                f" one that Python can read; write it as {self.name}: int = ..."
            ) from None
        for kind in _alternatives(declared_type):
            try:
                return _convert(kind, text)
            except _NO_LITERAL:
                continue
            except TypeError as unknown:
                raise UsageError(
                    f"-p {self.name}: {unknown} Declare it as text and convert it"
                    " in the next cell."
                ) from None
        raise UsageError(
            f"-p {self.name}={text!r} is not a value of type {self.type}."
            f"{_hint(self.type, text)}"
        )


def declared(source: str) -> list[Parameter]:
    """Return the parameters that a cell declares, in order.

    Raises:
        UsageError: the cell is not plain Python.
    """
    try:
        body = ast.parse(source).body
        comments = _comments(source)
    except (SyntaxError, tokenize.TokenError) as error:
        line = getattr(error, "lineno", 1)
        raise UsageError(
            f"The parameters cell is not plain Python (line {line}: {error}): it may"
            " hold assignments only."
        ) from None
    found: dict[str, Parameter] = {}
    for statement in body:
        comment = comments.get(statement.end_lineno or 0, "")
        found.update((made.name, made) for made in _parameters(statement, comment))
    return list(found.values())


def _comments(source: str) -> dict[int, str]:
    """Return the comments of a source by line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def given(parameters: list[Parameter], texts: list[str]) -> dict[str, object]:
    """Return the values that a command line gives, each text a ``name=value``.

    Raises:
        UsageError: an unknown name, a value of the wrong type, one given twice, a
            required one not given.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-p {text}: write it as -p name=value.")
        if name in values:
            raise UsageError(f"-p {name} is given twice.")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"it has {', '.join(known) or 'none'}."
            if close:
                hint = f"did you mean {close[0]!r}?"
            raise UsageError(f"The notebook has no parameter {name!r}; {hint}")
        values[name] = known[name].value(value)
    missing = [
        name
        for name, parameter in known.items()
        if parameter.default is None and name not in values
    ]
    if missing:
        arguments = " ".join(f"-p {name}=..." for name in missing)
        raise UsageError(f"The notebook needs {', '.join(missing)}: give {arguments}.")
    return values


def as_source(values: Mapping[str, object]) -> str:
    """Return ``values`` as a cell: assignments of literals, whatever the values hold."""
    lines = [f"{name} = {_literal(value)}" for name, value in values.items()]
    return "\n".join(["# Parameters", *lines])


def _literal(value: object) -> str:
    # Infinity and NaN have no literal of their own.
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        items = [f"{_literal(key)}: {_literal(item)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    # An empty set has no literal either: repr gives `set()`.
    if isinstance(value, list | tuple | set) and value:
        inside = ", ".join(map(_literal, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if isinstance(value, tuple) else f"{{{inside}}}"
    return repr(value)


def as_json(value: object) -> object:
    """Return a value as a report has it.

    Sets and tuples become lists, and a number that JSON does not have becomes a text.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_json(item) for item in value]
    return value


# From statements to parameters.


def _parameters(statement: ast.stmt, comment: str) -> Iterator[Parameter]:
    """Yield what a statement declares."""
    kind: str | None = None
    if isinstance(statement, ast.AnnAssign):
        kind = _annotated(statement.annotation)
    elif (typed := _TYPE_COMMENT.match(comment)) is not None:
        kind, comment = typed.groups()
    for target, value in _bindings(statement):
        if not isinstance(target, ast.Name) or target.id.startswith("_"):
            continue
        default = ast.unparse(value) if value is not None else None
        known = kind if kind not in (None, "Final", "typing.Final") else None
        yield Parameter(target.id, known or _type_of(value), default, comment)


def _bindings(statement: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield the targets of an assignment, each with its value: ``a = b = 2``, ``a, b = 1, 2``."""
    if isinstance(statement, ast.AnnAssign):
        yield statement.target, statement.value
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from _pairs(target, statement.value)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if not isinstance(target, ast.Tuple | ast.List):
        yield target, value
    elif isinstance(value, ast.Tuple | ast.List) and _is_one_by_one(target, value):
        for inner, part in zip(target.elts, value.elts, strict=True):
            yield from _pairs(inner, part)


def _is_one_by_one(target: ast.Tuple | ast.List, value: ast.Tuple | ast.List) -> bool:
    has_star = any(isinstance(one, ast.Starred) for one in [*target.elts, *value.elts])
    return len(target.elts) == len(value.elts) and not has_star


def _annotated(annotation: ast.expr) -> str:
    """Return the source of a type, which may be written as a text."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return annotation.value
    return ast.unparse(annotation)


def _type_of(default: ast.expr | None) -> str:
    if default is None:
        return "Any"
    try:
        kind = type(ast.literal_eval(default)).__name__
    except (ValueError, TypeError):
        # A TypeError for {[1]: 2}, which fails when the cell runs, and says so there.
        return "Any"
    return kind if kind in _SIMPLE or kind in _CONTAINERS else "Any"


# From text to a value.


def _alternatives(kind: ast.expr) -> list[ast.expr]:
    """Return the types that an annotation allows; text comes last, as everything is text."""
    found = [kind]
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        found = [*_alternatives(kind.left), *_alternatives(kind.right)]
    elif isinstance(kind, ast.Subscript):
        form = _name(kind.value)
        inner = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
        if form == "Literal":
            return inner
        if form in ("Annotated", "Final"):  # what they add is for readers and checkers
            return _alternatives(inner[0])
        if form in ("Optional", "Union"):
            found = [part for one in inner for part in _alternatives(one)]
        if form == "Optional":
            found.append(ast.Constant(None))
    return sorted(found, key=lambda part: _name(part) == "str")


def _name(kind: ast.expr) -> str:
    """Return the last part of a dotted name: `typing.Optional` is `Optional`."""
    return kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "")


def _base_name(kind: ast.expr) -> str:
    """Return the name of a type without its brackets, in lower case: `List[int]` is `list`."""
    return _name(kind.value if isinstance(kind, ast.Subscript) else kind).lower()


def _is_literal(kind: ast.expr) -> bool:
    """Return whether a type is one value, as in ``Literal[-1, "all"]``."""
    if isinstance(kind, ast.UnaryOp):
        kind = kind.operand
    return isinstance(kind, ast.Constant)


def _convert(kind: ast.expr, text: str) -> object:
    """Read ``text`` as a value of one type.

    Raises:
        ValueError: it is not one (as do SyntaxError, RecursionError, MemoryError).
        TypeError: no text can be of this type.
    """
    name = _base_name(kind)
    if _is_literal(kind):
        return _constant(ast.literal_eval(kind), text)
    if name == "bool":
        if text.strip().lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.strip().lower()]
    if name in _SIMPLE:
        value: object = _SIMPLE[name](text)
        return value
    if name in ("any", "object"):
        return _guessed(text)
    if name not in _CONTAINERS:
        raise TypeError(f"a command line cannot give a {ast.unparse(kind)}.")
    value = _structure(text)
    if not _fits(kind, value):
        raise ValueError(text)
    return value


def _constant(wanted: object, text: str) -> object:
    is_none = wanted is None and text.lower() in ("none", "null")
    if is_none or text == str(wanted):
        return wanted
    raise ValueError(text)


def _guessed(text: str) -> object:
    """Return what a text means where no type is declared.

    A number, a truth value, None, a list or a dict; else the text itself.
    """
    if text.lower() in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(text.lower())
    try:
        value = _structure(text)
    except _NO_LITERAL:
        return text
    return value if isinstance(value, int | float | list | dict | tuple | set) else text


def _structure(text: str) -> object:
    """Read a Python literal, or JSON."""
    value: object
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError):  # TypeError: a list as a key
        value = json.loads(text)
    return value


def _fits(kind: ast.expr, value: object) -> bool:
    """Return whether ``value`` is of the type that an annotation names, elements included."""
    alternatives = _alternatives(kind)
    if alternatives != [kind]:
        return any(_fits(part, value) for part in alternatives)
    if isinstance(kind, ast.Constant):
        return bool(value == kind.value and type(value) is type(kind.value))
    base = _base_name(kind)
    wanted = _SIMPLE.get(base) or _CONTAINERS.get(base)
    if wanted is None:
        return base in ("any", "object")
    # A whole number is a float, too.
    if type(value) is not wanted and not (wanted is float and type(value) is int):
        return False
    if isinstance(kind, ast.Subscript) and isinstance(value, dict | list | tuple | set):
        return _elements_fit(kind.slice, value)
    return True


def _elements_fit(
    inside: ast.expr,
    value: dict[object, object] | list[object] | tuple[object, ...] | set[object],
) -> bool:
    """Return whether the elements of a container are of the types between the brackets."""
    parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    kinds = [part for part in parts if not _is_ellipsis(part)]
    if isinstance(value, dict):
        keys_fit = all(_fits(kinds[0], key) for key in value)
        return keys_fit and all(_fits(kinds[-1], item) for item in value.values())
    if len(kinds) > 1:
        return len(kinds) == len(value) and all(map(_fits, kinds, value))
    return all(_fits(kinds[0], item) for item in value)


def _is_ellipsis(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is ...


def _hint(kind: str, text: str) -> str:
    """Return what to add to the message about a value of the wrong type."""
    if kind == "bool":
        return " Write true or false."
    if kind != "int":
        return ""
    try:
        float(text)
    except ValueError:
        return ""
    return " If fractions make sense, declare it as a float in the parameters cell."
