"""Parameters: what the cell tagged ``parameters`` declares, and values for it from text, typed and checked.

The cell is papermill's: assignments whose values are the defaults. The type is the
annotation (or papermill's ``# type: int``), else that of the default; what stands
behind it as a comment is its help. A name that is annotated and not assigned (``day:
str``) has to be given.
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
from typing import Any

from nbflow.errors import UsageError

_SIMPLE = {"int": int, "float": float, "bool": bool, "str": str}
_CONTAINERS = {"list": list, "dict": dict, "tuple": tuple, "set": set}
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
_TYPE_COMMENT = re.compile(
    r"type:\s*(?!ignore\b)(\S+)\s*(.*)"
)  # what silences a type checker is no type


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter.

    Attributes:
        name: its name.
        type: its type as source text; ``"Any"`` if nothing tells it.
        default: the default as source text; ``None`` if a value has to be given.
        help: the comment behind it.
    """

    name: str
    type: str
    default: str | None
    help: str = ""

    def value(self, text: str) -> Any:
        """The value that ``text`` means for this parameter.

        Raises:
            UsageError: it is no value of the declared type.
        """
        try:
            declared_type = ast.parse(self.type, mode="eval").body
        except SyntaxError:
            raise UsageError(
                f"-p {self.name}: its type in the parameters cell, {self.type!r}, is not one that Python can read; write it as {self.name}: int = ..."
            ) from None
        for kind in _alternatives(declared_type):
            try:
                return _convert(kind, text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            except TypeError as unknown:
                raise UsageError(
                    f"-p {self.name}: {unknown} Declare it as text and make what you need of it in the next cell."
                ) from None
        raise UsageError(
            f"-p {self.name}={text!r} is not a value of type {self.type}."
            + _hint(self.type, text)
        )


def declared(source: str) -> list[Parameter]:
    """The parameters that a cell declares, in order.

    Raises:
        UsageError: the cell is not plain Python.
    """
    try:
        body = ast.parse(source).body
        comments = {
            token.start[0]: token.string.lstrip("#").strip()
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
    except (SyntaxError, tokenize.TokenError) as error:
        raise UsageError(
            f"The parameters cell is not plain Python (line {getattr(error, 'lineno', 1)}: {error}): it may hold assignments only."
        ) from None
    found = {}
    for statement in body:
        comment = comments.get(statement.end_lineno or 0, "")
        made = _parameter(statement, comment)
        if made is not None:
            found[made.name] = made
    return list(found.values())


def given(parameters: list[Parameter], texts: list[str]) -> dict[str, Any]:
    """The values that a command line gives, each text a ``name=value``.

    Raises:
        UsageError: an unknown name, a value of the wrong type, one given twice, a
            required one not given.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"-p {text}: write it as -p name=value.")
        if name in values:
            raise UsageError(f"-p {name} is given twice.")
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            raise UsageError(
                f"The notebook has no parameter {name!r}"
                + (
                    f"; did you mean {close[0]!r}?"
                    if close
                    else f"; it has {', '.join(known) or 'none'}."
                )
            )
        values[name] = known[name].value(value)
    missing = [
        name
        for name, parameter in known.items()
        if parameter.default is None and name not in values
    ]
    if missing:
        raise UsageError(
            f"The notebook needs {', '.join(missing)}: give {' '.join(f'-p {name}=...' for name in missing)}."
        )
    return values


def as_source(values: dict[str, Any]) -> str:
    """``values`` as a cell: assignments of literals, whatever the values hold."""
    return "\n".join(
        [
            "# Parameters",
            *(f"{name} = {_literal(value)}" for name, value in values.items()),
        ]
    )


def _literal(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'  # these have no literal of their own
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{_literal(key)}: {_literal(item)}" for key, item in value.items()
            )
            + "}"
        )
    if isinstance(value, list | tuple | set) and value:
        inside = ", ".join(map(_literal, value))
        return {list: f"[{inside}]", tuple: f"({inside},)", set: f"{{{inside}}}"}[
            type(value)
        ]
    return repr(value)


def as_json(value: Any) -> Any:
    """A value as a report has it: sets and tuples are lists there, and what JSON has no number for is a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return [*map(as_json, value)] if isinstance(value, list | tuple | set) else value


def _parameter(statement: ast.stmt, comment: str) -> Parameter | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        target, value = statement.target, statement.value
        kind = ast.unparse(statement.annotation)
        if isinstance(statement.annotation, ast.Constant) and isinstance(
            statement.annotation.value, str
        ):
            kind = statement.annotation.value
    elif (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
    ):
        target, value = statement.targets[0], statement.value
        typed = _TYPE_COMMENT.match(comment)
        kind, comment = (typed[1], typed[2]) if typed else (_type_of(value), comment)
    else:
        return None
    if target.id.startswith("_"):
        return None
    return Parameter(
        target.id, kind, ast.unparse(value) if value is not None else None, comment
    )


def _type_of(default: ast.expr) -> str:
    try:
        kind = type(ast.literal_eval(default)).__name__
    except (
        ValueError,
        TypeError,
    ):  # {[1]: 2} fails when the cell runs, and says so there
        return "Any"
    return kind if kind in _SIMPLE or kind in _CONTAINERS else "Any"


def _alternatives(kind: ast.expr) -> list[ast.expr]:
    """The types that an annotation allows, text the last: everything is one."""
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        found = [*_alternatives(kind.left), *_alternatives(kind.right)]
    elif isinstance(kind, ast.Subscript) and _name(kind.value) in (
        "Optional",
        "Union",
        "Literal",
    ):
        inner = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
        if _name(kind.value) == "Literal":
            return inner
        found = [part for one in inner for part in _alternatives(one)]
        found += [ast.Constant(None)] if _name(kind.value) == "Optional" else []
    else:
        found = [kind]
    return sorted(found, key=lambda part: _name(part) == "str")


def _name(kind: ast.expr) -> str:
    """The last part of a dotted name: `typing.Optional` is `Optional`."""
    return kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "")


def _convert(kind: ast.expr, text: str) -> Any:
    """``text`` as one type; raises ValueError if it is none, TypeError if the type is not one that text can give."""
    name = _name(kind.value if isinstance(kind, ast.Subscript) else kind).lower()
    if isinstance(kind, ast.Constant) or (
        isinstance(kind, ast.UnaryOp) and isinstance(kind.operand, ast.Constant)
    ):
        return _constant(ast.literal_eval(kind), text)
    if name == "bool":
        if text.strip().lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.strip().lower()]
    if name in _SIMPLE:
        return _SIMPLE[name](text)
    if name in ("any", "object"):
        return _guessed(text)
    if name not in _CONTAINERS:
        raise TypeError(f"a command line cannot give a {ast.unparse(kind)}.")
    value = _structure(text)
    if not _fits(kind, value):
        raise ValueError(text)
    return value


def _constant(wanted: Any, text: str) -> Any:
    if text == str(wanted) or (wanted is None and text.lower() in ("none", "null")):
        return wanted
    raise ValueError(text)


def _guessed(text: str) -> Any:
    """What a text means where nothing is declared: a number, a truth value, None, a list, a dict; else the text."""
    if text.lower() in ("true", "false", "none", "null"):
        return {"true": True, "false": False}.get(text.lower())
    try:
        value = _structure(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
    return value if isinstance(value, int | float | list | dict | tuple | set) else text


def _structure(text: str) -> Any:
    """A Python literal, or JSON."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError):  # TypeError: a list as a key
        return json.loads(text)


def _fits(kind: ast.expr, value: Any) -> bool:
    """Is ``value`` of the type that an annotation names, elements included?"""
    alternatives = _alternatives(kind)
    if alternatives != [kind]:
        return any(_fits(part, value) for part in alternatives)
    if isinstance(kind, ast.Constant):
        return bool(value == kind.value and type(value) is type(kind.value))
    base = _name(kind.value if isinstance(kind, ast.Subscript) else kind).lower()
    wanted = _SIMPLE.get(base) or _CONTAINERS.get(base)
    if wanted is None:
        return base in ("any", "object")
    right = type(value) is wanted or (wanted is float and type(value) is int)
    return right and (not isinstance(kind, ast.Subscript) or _filled(kind.slice, value))


def _filled(inside: ast.expr, value: Any) -> bool:
    """Are the elements of a container of the types between the brackets?"""
    kinds = [
        part
        for part in (inside.elts if isinstance(inside, ast.Tuple) else [inside])
        if not _is_ellipsis(part)
    ]
    if isinstance(value, dict):
        return all(
            _fits(kinds[0], key) and _fits(kinds[-1], item)
            for key, item in value.items()
        )
    if len(kinds) > 1:
        return len(kinds) == len(value) and all(map(_fits, kinds, value))
    return all(_fits(kinds[0], item) for item in value)


def _is_ellipsis(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and part.value is ...


def _hint(kind: str, text: str) -> str:
    if kind == "int":
        try:
            float(text)
        except ValueError:
            return ""
        return " If fractions make sense, declare it as a float in the parameters cell."
    return " Write true or false." if kind == "bool" else ""
