"""Class source: does a text say what a class in memory is?

A class has no code object that proves its source. As long as a method stands where it
was compiled, the class is believed to be what stands around it. ``%autoreload`` compiles
a method that was edited alone and puts it into the class that is there: then all that
the text says of the class has to be found in it, or the text is not believed.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from dataclasses import MISSING
from types import FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING

from nbflow._key import syntax
from nbflow._key.annotations import annotations_of
from nbflow._key.classes import has_fields, spell
from nbflow._key.value import Refusal, identify

if TYPE_CHECKING:
    from nbflow._key.syntax import Found, Source

#: Options of a dataclass, and what they are if nothing is said.
_OPTIONS = {
    "init": True,
    "repr": True,
    "eq": True,
    "order": False,
    "unsafe_hash": False,
    "frozen": False,
}
_OF_PROPERTY = {
    "property": "fget",
    "getter": "fget",
    "setter": "fset",
    "deleter": "fdel",
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def find(function: FunctionType, kind: type) -> Found | None:
    """Return where a class stands that a function is a method of, ``None`` if nothing surely says what it is."""
    found = syntax.find(function)
    if found is None or _says_all(found, kind):
        return found
    # `%autoreload` may have put a newer text into the class.
    newer = syntax.find(function, newest=True)
    if newer is not None and _says_all(newer, kind):
        return newer
    return found if _is_around(found, kind) else None


def _is_around(found: Found, kind: type) -> bool:
    """Return whether a method stands in the class where it was compiled, as far as anybody can see."""
    node = found.owner
    if node is None or node.name != kind.__name__ or not found.in_place:
        return False
    return bool(node.decorator_list) or _has_docstring_of(node, kind)


def _says_all(found: Found, kind: type) -> bool:
    """Return whether the class around a method surely says all that the class in memory is."""
    node = found.owner
    if node is None or node.name != kind.__name__:
        return False
    return _says(node, kind, found.source)


def _says(node: ast.ClassDef, kind: type, source: Source) -> bool:
    """Return whether a class in memory is surely what its text says."""
    members = {
        name
        for name, item in vars(kind).items()
        if not _is_pythons(name) and not isinstance(item, MemberDescriptorType)
    }
    said: set[str] = set()
    for part in node.body:
        if not _says_member(part, kind, source, said):
            return False
    return (
        said >= members
        and not node.keywords
        and _has_bases_of(node, kind)
        and _has_docstring_of(node, kind)
        and _has_annotations_of(node, kind)
        and _has_options_of(node, kind)
    )


def _is_pythons(name: str) -> bool:
    return name[:2] == "__" and name[-2:] == "__"


def _has_bases_of(node: ast.ClassDef, kind: type) -> bool:
    names = [base.__name__ for base in kind.__bases__ if base is not object]
    said = [(syntax.dotted(base) or ("",))[-1] for base in node.bases]
    return [name for name in said if name != "object"] == names


def _has_docstring_of(node: ast.ClassDef, kind: type) -> bool:
    said = ast.get_docstring(node)
    text = vars(kind).get("__doc__")
    if said is None:  # dataclasses and named tuples write one
        return text is None or has_fields(kind)
    return isinstance(text, str) and inspect.cleandoc(text) == said


def _has_annotations_of(node: ast.ClassDef, kind: type) -> bool:
    said = {
        part.target.id: ast.unparse(part.annotation)
        for part in node.body
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
    }
    return said == {name: spell(item) for name, item in annotations_of(kind).items()}


def _has_options_of(node: ast.ClassDef, kind: type) -> bool:
    """Return whether the decorators are what made the class: none, or that of dataclasses."""
    params = vars(kind).get("__dataclass_params__")
    if not node.decorator_list:
        return params is None
    [decorator, *more] = node.decorator_list
    name = syntax.dotted(syntax.called(decorator)) or ("",)
    if more or params is None or name[-1] != "dataclass":
        return False
    words = decorator.keywords if isinstance(decorator, ast.Call) else []
    options = {word.arg: getattr(word.value, "value", MISSING) for word in words}
    present = {option: getattr(params, option) for option in _OPTIONS}
    return _OPTIONS | options == present


def _says_member(part: ast.stmt, kind: type, source: Source, said: set[str]) -> bool:
    """Return whether a statement of the body says what is in the class; adds the names that it binds."""
    if isinstance(part, _FUNCTIONS):
        name = syntax.mangled(part.name, kind)
        said.add(name)
        function = _function_of(part, vars(kind).get(name))
        return function is not None and source.compiles_to(part, function.__code__)
    if isinstance(part, ast.ClassDef):
        inside = vars(kind).get(part.name)
        said.add(part.name)
        return isinstance(inside, type) and _says(part, inside, source)
    if isinstance(part, ast.Assign) and len(part.targets) == 1:
        return _says_value(part.targets[0], part.value, kind, said)
    if isinstance(part, ast.AnnAssign):
        return _says_value(part.target, part.value, kind, said)
    is_silent = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
    return is_silent or isinstance(part, ast.Pass)


def _function_of(
    node: ast.FunctionDef | ast.AsyncFunctionDef, item: object
) -> FunctionType | None:
    """Return the function in a member of a class, ``None`` if its decorators do not make such a member."""
    names = [syntax.dotted(part) for part in node.decorator_list]
    if not names:
        return item if isinstance(item, FunctionType) else None
    last = names[0][-1] if len(names) == 1 and names[0] else ""
    function: object = None
    if isinstance(item, (staticmethod, classmethod)):
        function = item.__func__ if last == type(item).__name__ else None
    elif last in _OF_PROPERTY and isinstance(item, property):
        function = getattr(item, _OF_PROPERTY[last])
    return function if isinstance(function, FunctionType) else None


def _says_value(
    target: ast.expr, value: ast.expr | None, kind: type, said: set[str]
) -> bool:
    """Return whether a name in a class has the value that is written, as far as it is written out."""
    if not isinstance(target, ast.Name):
        return False
    name = syntax.mangled(target.id, kind)
    said.add(name)
    field = vars(kind).get("__dataclass_fields__", {}).get(name)
    if field is not None:
        default, factory = _written_default(value)
        return field.default_factory is factory and _is_same(field.default, default)
    if value is None:
        return name not in vars(kind)
    return name in vars(kind) and _is_same(vars(kind)[name], _written(value))


def _written_default(value: ast.expr | None) -> tuple[object, object]:
    """Return default and factory of a field as they are written."""
    if value is None:
        return MISSING, MISSING
    name = (syntax.dotted(syntax.called(value)) or ("",))[-1]
    if not isinstance(value, ast.Call) or name != "field":
        return _written(value), MISSING
    words = {word.arg: word.value for word in value.keywords}
    if value.args or len(words) != 1:
        return None, None
    [[option, inside]] = words.items()
    if option == "default":
        return _written(inside), MISSING
    factory = getattr(builtins, getattr(inside, "id", ""), None)
    return MISSING, factory if option == "default_factory" else None


_UNKNOWN = object()


def _written(value: ast.expr) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN


def _is_same(item: object, written: object) -> bool:
    if written is _UNKNOWN or written is MISSING:
        return item is written
    try:
        return identify(item).digest == identify(written).digest
    except Refusal:
        return False
