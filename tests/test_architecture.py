"""The listing is the architecture: imports only go down, those inside functions included."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "nbflow"
#: From the bottom up; those on one line do not import each other.
LAYERS = [
    ["errors"],
    ["_core"],
    ["_key"],
    ["_store"],
    ["_call"],
    ["_run"],
    ["_step"],
    ["notebook"],
    ["quality"],
    ["_session"],
    ["_api", "_outside"],
    ["testing", "job", "dashboard", "llm", "store"],
    ["script"],
    ["demo", "export"],
    ["cli"],
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
#: Not the front page, and not what the demo copies into a user's folder.
FILES = sorted(
    set(ROOT.rglob("*.py")) - {ROOT / "__init__.py", ROOT / "demo" / "offline_model.py"}
)


def place(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Every nbflow package that a file imports, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "nbflow"
        ):
            below = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            for name in below:
                yield name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("nbflow."):
                    yield alias.name.split(".")[1], node.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path):
    here = place(path)
    for name, line in imports(path):
        assert name in HEIGHT, f"{path.name}:{line} imports {name}, which has no layer"
        assert name == here or HEIGHT[name] < HEIGHT[here], (
            f"{path.name}:{line}: {here} must not import {name}"
        )


def name_of(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)


#: The face of a package hands names on and is no room.
ROOMS = {name_of(path): path for path in FILES if path.name != "__init__.py"}


def rooms_of(path):
    """Every file of nbflow that a file imports: at the top, in functions, and for type hints alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_files_import_each_other_in_a_circle():
    """Imports in functions and under TYPE_CHECKING count: they hide a circle and do not end it."""
    graph = {
        name: {room for room in rooms_of(path) if room in ROOMS and room != name}
        for name, path in ROOMS.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # a CycleError names the circle


def modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_the_core_is_pure():
    """No I/O, no clock, no thread, no third party."""
    allowed = {
        "__future__", "annotationlib", "array", "collections", "dataclasses", "datetime", "difflib",
        "email", "enum", "functools", "heapq", "html", "inspect", "math", "nbflow", "re", "reprlib",
        "sys", "types", "typing", "concurrent",
    }  # fmt: skip
    for path in (ROOT / "_core").glob("*.py"):
        assert set(modules(path)) <= allowed, path.name


def test_diskcache_has_one_door():
    assert [path.name for path in FILES if "diskcache" in set(modules(path))] == [
        "diskcache_table.py"
    ]


def test_there_is_one_context_variable():
    assert sum("ContextVar(" in path.read_text() for path in FILES) == 1


def test_no_module_is_called_after_nothing():
    assert not {path.stem for path in FILES} & {
        "utils",
        "util",
        "helpers",
        "manager",
        "base",
        "common",
        "misc",
    }


IGNORE = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_ignore_has_its_reason_beside_it(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if "# noqa" in line or "# type: ignore" in line:
            reason = IGNORE.split(line)[-1]
            assert reason.startswith("# "), f"{path.name}:{number} says no reason"
