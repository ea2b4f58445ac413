"""Dependencies: what a notebook needs besides itself, read from its source.

Nothing of it is imported or run.
"""

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
    from importlib.machinery import ModuleSpec

    from nbformat import NotebookNode

    from nbflow.notebook.check.code_cells import CodeCell

#: A larger file is data that lives somewhere, not a part of the job.
MOST = 20 * 1024 * 1024
#: What a job writes to; a copy would be a second source of truth.
_DATABASES = frozenset((".db", ".sqlite", ".sqlite3", ".duckdb", ".ipynb"))
#: What every machine has, or nbflow sets.
_ORDINARY = frozenset((
    "HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "PWD", "TMPDIR",
    "TEMP", "TMP", "TZ", "TERM", "HOSTNAME", "PYTHONPATH", "CI",
))  # fmt: skip
#: Where client libraries find their keys without being told.
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "openai-decisions": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
    "google-decisions": "GOOGLE_API_KEY",
    "typesafe": "TYPESAFE_API_KEY",
    "google-gla": "GEMINI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "groq": "GROQ_API_KEY",
    "cohere": "CO_API_KEY",
}
_MODEL = re.compile(rf"({'|'.join(_KEYS)}):[\w./-]+")
_READERS = re.compile(r"(^|\.)(environ\.get|environ\.pop|getenv|secret)$")
_ADDERS = ("sys.path.append", "sys.path.insert")
_WRITERS = re.compile(r"(to_|write_|save|sink_|unlink|remove|mkdir|touch)")
_WRITING_MODES = frozenset("wax")
_CLIENTS = ("openai", "anthropic")
#: A longer text is not a path.
_LONGEST_PATH = 500
_SECRETS = (
    "it holds secrets, which no export has: read them with nf.secret, or put it into "
    "the folder yourself"
)
_DATABASE = "the job makes its own"
_LARGE = f"it is larger than {MOST // 1024**2} MB"
_OUTSIDE = (
    "it is outside of the notebook's folder, and the job runs in another. Make the "
    "path a parameter and give an absolute one: -p data=/srv/data.csv"
)
_FOLDER = (
    "it is a folder, and only single files are copied. If the job needs it, make the "
    "path a parameter and give an absolute one: -p data=/srv/data"
)


@dataclass(slots=True)
class Dependencies:
    """What a notebook needs.

    Attributes:
        modules: local modules: where each goes, relative to the notebook, and where it
            is.
        data: files beside the notebook that its source names: the same.
        left: files that it names and that stay where they are, each with the reason.
        packages: the installed distributions that it imports.
        variables: environment variables that it reads.
        unread: local modules that are not Python of this version: what they need is not
            known.
    """

    modules: dict[str, Path] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)


def dependencies(
    document: NotebookNode, folder: Path, given: Iterable[str] = ()
) -> Dependencies:
    """Find what the notebook in ``folder`` needs, and what its modules need in turn.

    A name that is made while the notebook runs is not seen: a module of `importlib`, a
    path put together from parts.

    Args:
        document: the notebook.
        folder: where it is.
        given: values of parameters, which may name files as the source does.
    """
    cells = cells_of(document)
    trees = [cell.tree for cell in cells if cell.tree is not None]
    search = _Search(folder, [folder, *_added_places(trees, folder)])
    for text in given:
        search.mention(text)
    for cell in cells:
        for word in _typed(cell):
            if search.file(word):
                search.mention(word)
    search.waiting += [(tree, "") for tree in trees]
    search.waiting += [(_loaded(cell), "") for cell in cells]
    while search.waiting:
        search.read(*search.waiting.pop())
    return search.found


class _Search:
    """A search that follows imports from file to file.

    Attributes:
        found: what was found so far.
        waiting: sources that are still to be read, each with the package that it is in.
    """

    def __init__(self, folder: Path, places: list[Path]) -> None:
        self.found = Dependencies()
        self.waiting: list[tuple[ast.AST, str]] = []
        self._folder = folder
        self._places = places
        self._distributions = metadata.packages_distributions()

    def read(self, tree: ast.AST, package: str) -> None:
        """Note what a source of ``package`` needs, and queue the modules it imports."""
        self._mentions(tree)
        for name in _imports(tree, package):
            for place, path in _local(name, self._places):
                self._take(place, path, place.rpartition("/")[0].replace("/", "."))
            top = name.partition(".")[0]
            self.found.packages.update(self._distributions.get(top, ())[:1])
        # A script that the source names, as in `%run setup.py`, is a module, too.
        for place in [place for place in self.found.data if place.endswith(".py")]:
            self._take(place, self.found.data.pop(place), "")

    def _take(self, place: str, path: Path, package: str) -> None:
        if place in self.found.modules:
            return
        self.found.modules[place] = path
        if path.suffix != ".py":
            return
        try:
            self.waiting.append((ast.parse(path.read_bytes()), package))
        except (SyntaxError, ValueError):
            # A template, or left from Python 2: nobody may ever import it.
            self.found.unread.add(place)

    def _mentions(self, tree: ast.AST) -> None:
        """Note the files and environment variables that a source names."""
        for text in set(_texts(tree)) - _written(tree):
            self.mention(text)
            if model := _MODEL.fullmatch(text):
                self.found.variables.add(_KEYS[model[1]])
        for node in ast.walk(tree):
            name = _variable(node)
            if name and name not in _ORDINARY and not name.startswith("NBFLOW_"):
                self.found.variables.add(name)
            for module in _modules(node):
                if module in _CLIENTS:
                    self.found.variables.add(_KEYS[module])

    def mention(self, text: str) -> None:
        """Note the file that a text names, if it names one, or why it is not copied."""
        path = self.file(text)
        if path is None:
            why = self._elsewhere(text)
            if why is not None:
                self.found.left[text.rstrip("/")] = why
        elif leaks.is_kept(path):
            self.found.left[text] = _SECRETS
            self.found.variables |= leaks.variables(path)
        elif path.suffix.lower() in _DATABASES:
            self.found.left[text] = _DATABASE
        elif path.stat().st_size > MOST:
            self.found.left[text] = _LARGE
        else:
            self.found.data[path.relative_to(self._folder).as_posix()] = path

    def file(self, text: str) -> Path | None:
        """The file below the notebook's folder that a text names, if it names one."""
        if not _may_be_path(text):
            return None
        try:
            path = (self._folder / text).resolve()
            if path.is_file() and self._is_inside(path):
                return None if ".nbflow" in path.parts else path
        except OSError:  # such as a name that is too long
            pass
        return None

    def _elsewhere(self, text: str) -> str | None:
        """Why what a text names is not copied, if it names a folder or a file outside."""
        if not _may_be_path(text) or not text.strip("./"):
            return None
        try:
            path = (self._folder / text).resolve()
            if path.is_dir():
                return _FOLDER
            if path.is_file() and not self._is_inside(path):
                return _OUTSIDE
        except OSError:
            pass
        return None

    def _is_inside(self, path: Path) -> bool:
        return path.is_relative_to(self._folder.resolve())


def _may_be_path(text: str) -> bool:
    """Whether a text may be a path from the notebook's folder."""
    if not text or len(text) > _LONGEST_PATH:
        return False
    return not text.startswith(("/", "~")) and "\n" not in text and "\0" not in text


# Cells.


def _loaded(cell: CodeCell) -> ast.Module:
    """The extensions that a cell loads, as imports."""
    names = [magic.text.strip() for magic in cell.magics if magic.name == "load_ext"]
    names = [name for name in names if name.replace(".", "").isidentifier()]
    return ast.Module([ast.Import([ast.alias(name)]) for name in names], [])


def _typed(cell: CodeCell) -> Iterator[str]:
    """The words of magics and shell lines, which may name files: `!python clean.py`."""
    for magic in cell.magics:
        text = magic.text
        is_foreign = magic.is_cell and cell.tree is not None and not cell.tree.body
        if is_foreign:  # `%%bash`: the body of the cell is not Python
            text = cell.source.partition("\n")[2]
        for word in text.split():
            yield word.strip("'\"`;()<>|&")


def _added_places(trees: Iterable[ast.AST], folder: Path) -> list[Path]:
    """Folders that the notebook adds to ``sys.path``, where it says them as text."""
    places: list[Path] = []
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in _ADDERS:
                texts = [text for part in node.args for text in _texts(part)]
                places += [folder / text for text in texts]
    return [place for place in places if place.is_dir()]


# Imports.


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """The modules that a file of ``package`` imports, by their whole names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _base(node: ast.ImportFrom, package: str) -> str:
    """The module that ``from ... import`` names: each dot but the first is a step up."""
    parts: list[str] = []
    if node.level:
        here = package.split(".")
        parts = here[: len(here) - node.level + 1]
    if node.module:
        parts = [*parts, node.module]
    return ".".join(parts)


def _modules(node: ast.AST) -> list[str]:
    """The top-level names of the modules that an import statement names."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    return [name.partition(".")[0] for name in names]


def _local(name: str, places: list[Path]) -> Iterator[tuple[str, Path]]:
    """The files of a module if it is the user's own; all files of a package."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "nbflow":
        return
    spec = _spec(top, places)
    if spec is None:
        return
    if not spec.submodule_search_locations:
        if spec.origin and is_users_file(spec.origin):
            yield Path(spec.origin).name, Path(spec.origin)
        return
    for root in spec.submodule_search_locations:
        folder = Path(root)
        if is_users_file(str(folder / "__init__.py")):
            for path in sorted(folder.rglob("*")):
                if _is_part(path, folder):
                    yield f"{top}/{path.relative_to(folder).as_posix()}", path


def _spec(top: str, places: list[Path]) -> ModuleSpec | None:
    """What a module is found as: the notebook's own places come first."""
    texts = [str(place) for place in places]
    spec = importlib.machinery.PathFinder.find_spec(top, texts)
    if spec is not None:
        return spec
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _is_part(path: Path, root: Path) -> bool:
    """Whether a file below the folder of a package belongs to it."""
    parts = path.relative_to(root).parts
    if any(part.startswith(".") or part == "__pycache__" for part in parts):
        return False
    if not path.is_file() or path.suffix in (".pyc", ".ipynb"):
        return False
    return path.stat().st_size <= MOST


# Expressions.


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _written(tree: ast.AST) -> set[str]:
    """The texts that are given to calls that write: they name outputs, not inputs."""
    written: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _writes(node):
            for part in node.args:
                written.update(_texts(part))
    return written


def _writes(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if _WRITERS.match(name):
        return True
    if name != "open":
        return False
    modes = call.args[1:2]
    modes += [word.value for word in call.keywords if word.arg == "mode"]
    return any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and not _WRITING_MODES.isdisjoint(mode.value)
        for mode in modes
    )


def _variable(node: ast.AST) -> str | None:
    """The environment variable that an expression reads, if its name is written there."""
    key: ast.AST
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
        key = node.slice
    elif (
        isinstance(node, ast.Call)
        and node.args
        and _READERS.search(ast.unparse(node.func))
    ):
        key = node.args[0]
    else:
        return None
    name = key.value if isinstance(key, ast.Constant) else None
    return name if isinstance(name, str) and name.isidentifier() else None
