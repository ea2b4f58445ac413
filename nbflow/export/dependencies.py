"""Belongings: what a notebook needs besides itself, read from its source. Nothing of it is imported or run."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import re
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._key.origin import is_users_file
from nbflow.export import leaks
from nbflow.notebook.check.code_cells import cells_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

    from nbflow.notebook.check.code_cells import CodeCell as Cell

#: A larger file is data that lives somewhere, not a part of the job.
MOST = 20 * 1024 * 1024
#: What a job writes to; a copy would be a second truth.
_DATABASES = frozenset((".db", ".sqlite", ".sqlite3", ".duckdb", ".ipynb"))
#: What every machine has, or nbflow sets.
_ORDINARY = frozenset((
    "HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "PWD", "TMPDIR",
    "TEMP", "TMP", "TZ", "TERM", "HOSTNAME", "PYTHONPATH", "CI",
))  # fmt: skip
#: Where client libraries find their keys without being told.
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
    "google-gla": "GEMINI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "groq": "GROQ_API_KEY",
    "cohere": "CO_API_KEY",
}
_MODEL = re.compile(rf"({'|'.join(_KEYS)}):[\w./-]+")
_READERS = re.compile(r"(^|\.)(environ\.get|environ\.pop|getenv|secret)$")
_SECRETS = "it holds secrets, which no export has: read them with nf.secret, or put it into the folder yourself"
_OUTSIDE = "it is outside of the notebook's folder, and the job runs in another. Make the path a parameter and give a whole one: -p data=/srv/data.csv"
_FOLDER = "it is a folder, and only single files are copied. If the job needs it, make the path a parameter and give a whole one: -p data=/srv/data"
_WRITERS = re.compile(r"(to_|write_|save|sink_|unlink|remove|mkdir|touch)")


@dataclass(slots=True)
class Belongings:
    """What a notebook needs.

    Attributes:
        modules: local modules: where each goes, relative to the notebook, and where it
            is.
        data: files beside the notebook that its source names: the same.
        left: files that it names and that stay where they are, each with the reason.
        packages: the installed distributions that it imports.
        variables: environment variables that it reads.
        unread: local modules that are no Python of this version: what they need is not
            known.
    """

    modules: dict[str, Path] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)


def belongings(
    document: NotebookNode, folder: Path, given: Iterable[str] = ()
) -> Belongings:
    """What the notebook in ``folder`` needs: local modules with what they import in turn, files, packages, variables.

    ``given`` are values of parameters, which may name files as the source does. A name
    that is made while the notebook runs is not seen: a module of `importlib`, a path
    put together from parts.
    """
    cells = cells_of(document)
    trees = [cell.tree for cell in cells if cell.tree is not None]
    found, places = Belongings(), [folder, *_added_places(trees, folder)]
    distributions = metadata.packages_distributions()
    waiting: list[tuple[ast.AST, str]] = [
        (tree, "") for tree in [*trees, *map(_loaded, cells)]
    ]

    def take(place: str, path: Path, package: str) -> None:
        if place in found.modules:
            return
        found.modules[place] = path
        if path.suffix == ".py":
            try:
                waiting.append((ast.parse(path.read_bytes()), package))
            except (
                SyntaxError,
                ValueError,
            ):  # a template, or left from Python 2: nobody may ever import it
                found.unread.add(place)

    for text in [*given, *(word for cell in cells for word in _typed(cell, folder))]:
        _mention(text, folder, found)
    while waiting:
        tree, package = waiting.pop()
        _mentions(tree, folder, found)
        for name in _imports(tree, package):
            for place, path in _local(name, places):
                take(place, path, place.rpartition("/")[0].replace("/", "."))
            found.packages.update(distributions.get(name.partition(".")[0], ())[:1])
        for place in [
            place for place in found.data if place.endswith(".py")
        ]:  # `%run setup.py`
            take(place, found.data.pop(place), "")
    return found


def _loaded(cell: Cell) -> ast.Module:
    """The extensions that a cell loads, as imports."""
    names = [magic.text.strip() for magic in cell.magics if magic.name == "load_ext"]
    return ast.Module(
        [
            ast.Import([ast.alias(name)])
            for name in names
            if name.replace(".", "").isidentifier()
        ],
        [],
    )


def _typed(cell: Cell, folder: Path) -> Iterator[str]:
    """The files that magics and shell lines name: `!python clean.py`, `%%bash`."""
    for magic in cell.magics:
        text = (
            cell.source.partition("\n")[2]
            if magic.is_cell and cell.tree is not None and not cell.tree.body
            else magic.text
        )
        words = (word.strip("'\"`;()<>|&") for word in text.split())
        yield from (word for word in words if _file(word, folder))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that a file of ``package`` imports, by their whole names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1]
                if node.level
                else []
            )
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _local(name: str, places: list[Path]) -> Iterator[tuple[str, Path]]:
    """The files that a module consists of if it is the user's own: of a package all of them."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "nbflow":
        return
    spec = importlib.machinery.PathFinder.find_spec(
        top, [str(place) for place in places]
    )
    if spec is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError):
            return
    if spec is None:
        return
    for root in spec.submodule_search_locations or ():
        folder = Path(root)
        if is_users_file(str(folder / "__init__.py")):
            yield from (
                (f"{top}/{path.relative_to(folder).as_posix()}", path)
                for path in sorted(folder.rglob("*"))
                if _is_part(path, folder)
            )
    if (
        not spec.submodule_search_locations
        and spec.origin
        and is_users_file(spec.origin)
    ):
        yield Path(spec.origin).name, Path(spec.origin)


def _is_part(path: Path, root: Path) -> bool:
    hidden = any(
        part.startswith(".") or part == "__pycache__"
        for part in path.relative_to(root).parts
    )
    return (
        not hidden
        and path.is_file()
        and path.suffix not in (".pyc", ".ipynb")
        and path.stat().st_size <= MOST
    )


def _added_places(trees: Iterable[ast.AST], folder: Path) -> list[Path]:
    """Folders that the notebook adds to ``sys.path``, where it says them as text."""
    calls = [
        node
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("sys.path.append", "sys.path.insert")
    ]
    texts = [text for call in calls for part in call.args for text in _texts(part)]
    return [place for text in texts if (place := (folder / text)).is_dir()]


def _texts(tree: ast.AST) -> Iterator[str]:
    return (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _mentions(tree: ast.AST, folder: Path, found: Belongings) -> None:
    """Note the files and environment variables that a piece of source names."""
    written = {
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _writes(node)
        for part in node.args
        for text in _texts(part)
    }
    for text in set(_texts(tree)) - written:
        _mention(text, folder, found)
        if model := _MODEL.fullmatch(text):
            found.variables.add(_KEYS[model[1]])
    for node in ast.walk(tree):
        if name := _variable(node):
            found.variables |= (
                {name} - _ORDINARY if not name.startswith("NBFLOW_") else set()
            )
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
            found.variables |= {
                _KEYS[top]
                for name in names
                if (top := name.partition(".")[0]) in ("openai", "anthropic")
            }


def _mention(text: str, folder: Path, found: Belongings) -> None:
    """Note the file that a text names, if it names one, or why it does not come along."""
    if path := _file(text, folder):
        if leaks.is_kept(path):
            found.left[text] = _SECRETS
            found.variables |= leaks.variables(path)
        elif path.suffix.lower() in _DATABASES:
            found.left[text] = "the job makes its own"
        elif path.stat().st_size > MOST:
            found.left[text] = f"it is larger than {MOST // 1024**2} MB"
        else:
            found.data[path.relative_to(folder).as_posix()] = path
    elif why := _elsewhere(text, folder):
        found.left[text.rstrip("/")] = why


def _file(text: str, folder: Path) -> Path | None:
    """The file below ``folder`` that a text names, if it names one."""
    if (
        not text
        or len(text) > 500  # noqa: PLR2004 - longer than any path
        or "\n" in text
        or "\0" in text
        or text.startswith(("/", "~"))
    ):
        return None
    try:
        path = (folder / text).resolve()
        return (
            path
            if path.is_file()
            and path.is_relative_to(folder.resolve())
            and ".nbflow" not in path.parts
            else None
        )
    except OSError:
        return None


def _elsewhere(text: str, folder: Path) -> str | None:
    """Why something that a text names from the notebook's folder does not come along, if there is such a thing."""
    if (
        not text.strip("./")
        or len(text) > 500  # noqa: PLR2004 - longer than any path
        or "\n" in text
        or "\0" in text
        or text.startswith(("/", "~"))
    ):
        return None
    try:
        path = (folder / text).resolve()
        return (
            _FOLDER
            if path.is_dir()
            else _OUTSIDE
            if path.is_file() and not path.is_relative_to(folder.resolve())
            else None
        )
    except OSError:
        return None


def _writes(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    modes = (
        [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
        if name == "open"
        else []
    )
    return bool(_WRITERS.match(name)) or any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) & set("wax")
        for mode in modes
    )


def _variable(node: ast.AST) -> str | None:
    """The environment variable that an expression reads, if its name stands there as text."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
        key: ast.AST | None = node.slice
    elif (
        isinstance(node, ast.Call)
        and node.args
        and _READERS.search(ast.unparse(node.func))
    ):
        key = node.args[0]
    else:
        return None
    return (
        key.value
        if isinstance(key, ast.Constant)
        and isinstance(key.value, str)
        and key.value.isidentifier()
        else None
    )
