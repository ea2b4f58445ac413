"""What is public is listed, documented, typed and cheap to import."""

import asyncio
import doctest
import inspect
import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest

import nbflow
import nbflow.errors

ROOT = Path(nbflow.__file__).parent


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    ).stdout


def test_all_lists_exactly_what_is_public():
    public = {
        name
        for name in dir(nbflow)
        if not name.startswith("_") and not inspect.ismodule(getattr(nbflow, name))
    }
    assert public == set(nbflow.__all__)
    assert list(nbflow.__all__) == sorted(nbflow.__all__)


def test_every_error_is_public_and_drawn_in_the_tree():
    errors = {
        name
        for name, value in vars(nbflow.errors).items()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and value.__module__ == "nbflow.errors"
    }
    assert errors == set(nbflow.errors.__all__)
    assert errors <= set(nbflow.__all__)
    assert all(name in nbflow.errors.__doc__ for name in errors)


@pytest.mark.parametrize("name", nbflow.__all__)
def test_everything_public_is_documented(name):
    assert inspect.getdoc(getattr(nbflow, name))


@pytest.mark.parametrize(
    "owner", [nbflow.Run, nbflow.Step], ids=lambda owner: owner.__name__
)
def test_every_public_method_is_documented(owner):
    for name, value in inspect.getmembers(owner):
        if not name.startswith("_"):
            assert inspect.getdoc(value), name


EXAMPLES = [
    example
    for public in (getattr(nbflow, name) for name in nbflow.__all__)
    if inspect.isroutine(public) or public in (nbflow.Run, nbflow.Step)
    for example in doctest.DocTestFinder(exclude_empty=True).find(
        public, module=False, extraglobs={"nf": nbflow, "asyncio": asyncio}
    )
    if example.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
@pytest.mark.usefixtures("nb")
def test_the_examples_in_docstrings_run(example):
    assert not doctest.DocTestRunner().run(example).failed


def test_every_way_to_call_a_step_has_an_example():
    ways = {"aio", "explain", "forget", "map", "plan", "submit", "sync"}
    names = {example.name for example in EXAMPLES}
    assert {f"Step.{way}" for way in ways} <= names


def test_importing_loads_nothing_heavy():
    """What it may not load stands here, as its time can only be measured, not tested."""
    heavy = {
        "IPython", "ipykernel", "ipywidgets", "anywidget", "pandas", "polars",
        "pyarrow", "numpy", "rich", "diskcache", "pydantic", "nbclient", "httpx",
        "msgspec", "blake3", "apprise", "requests",
        "asyncio", "concurrent.futures", "decimal", "html", "pickle", "pprint",
        "random", "signal", "sqlite3", "subprocess", "tempfile", "uuid", "zoneinfo",
        "nbflow._call.engine", "nbflow._key.value", "nbflow._run.batch",
        "nbflow._run.run", "nbflow._store.codec", "nbflow._store.ledger",
        "nbflow.llm", "nbflow.quality",
    }  # fmt: skip
    loaded = run("import sys, nbflow; print(*sys.modules)").split()
    assert not heavy & set(loaded)


FIRST_CALL = """
import sys
import nbflow as nf

nf.use("memory:")

@nf.step
def size(text):
    return len(text)

size("one")
print(*sys.modules)
"""


def test_a_first_call_loads_no_more_than_a_call_needs():
    """Plans, explanations, tables and batches wait until somebody asks for them."""
    loaded = run(FIRST_CALL).split()
    others = {
        "asyncio", "html", "pandas", "zoneinfo", "nbflow._core.table",
        "nbflow._run.explanation", "nbflow._run.execution", "nbflow._run.forecast",
        "nbflow._run.plan", "nbflow._run.run", "nbflow.quality",
    }  # fmt: skip
    assert not others & set(loaded)


def test_the_version_lives_in_the_package_metadata_alone():
    assert metadata.version("nbflow")
    assert "__version__" not in vars(nbflow)


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "py.typed").exists()


def test_a_deprecated_interface_that_the_package_calls_is_an_error():
    """As pytest is set up here; what a deprecation names is the module that calls."""
    for module in ("nbflow", "nbflow._key.code"):
        with pytest.raises(DeprecationWarning):
            exec(
                "warnings.warn('old', DeprecationWarning)",
                {"__name__": module, "warnings": warnings},
            )
    with pytest.warns(DeprecationWarning, match="old"):
        exec(
            "warnings.warn('old', DeprecationWarning)",
            {"__name__": "nbflows", "warnings": warnings},
        )
