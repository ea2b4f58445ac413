"""Targets whose files are Python: a user's texts are literals in them, and only that."""

import ast
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow.export import schema, source
from nbflow.export.targets import targets
from nbflow.notebook import parameters

from .conftest import HOSTILE, job_of, write

NAMES = ["airflow", "dagster", "jupyter-scheduler", "prefect"]
texts = st.text(st.characters(exclude_characters="\0"))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


def sources(name, job):
    """The Python that a target writes, cells of a notebook included."""
    for path, text in targets()[name].files(job).items():
        if path.endswith(".ipynb"):
            yield "\n".join(
                "".join(cell["source"])
                for cell in json.loads(text)["cells"]
                if cell["cell_type"] == "code"
            )
        elif path.endswith(".py"):
            yield text


def shape(tree):
    """What is left of code without its literals."""
    return [
        type(node).__name__
        for node in ast.walk(tree)
        if not isinstance(node, ast.Constant)
    ]


@given(values)
def test_a_literal_is_the_value(value):
    assert ast.literal_eval(source.literal(value)) == value


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=30)
@given(texts, texts)
def test_no_text_is_code(name, text, title):
    """Whatever a parameter, a title, a folder and a secret say, the code is the same.

    And the parameter is in it.
    """
    plain, odd = (
        job_of(
            Path("/srv", one),
            [one],
            title=one,
            program=one,
            secrets=(one,),
            store=Path("/srv", one),
        )
        for one in ("plain", f"{title}/{text}")
    )
    odd = job_of(
        odd.folder,
        [text],
        title=title,
        program=odd.program,
        secrets=(title,),
        store=odd.store,
    )
    for expected, found in zip(sources(name, plain), sources(name, odd), strict=True):
        tree = ast.parse(found)
        assert shape(tree) == shape(ast.parse(expected))
        if "p0" in found:
            assert text in {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)
            }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_on_its_way_through_a_template_is_not_read_again(text):
    """Airflow's templates name the parameter and never hold its value."""
    job = job_of(Path("/srv"), [text])
    (code,) = sources("airflow", job)
    (env,) = [
        word.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        for word in node.keywords
        if word.arg == "env"
    ]
    assert ast.literal_eval(env) == {"NBFLOW_1": "p0={{ params['p0'] }}"}


def offered(declaration, *given):
    (one,) = schema.settings(parameters.declared(declaration), list(given))
    return source.offer(one)


@pytest.mark.parametrize(
    ("declaration", "kind", "value"),
    [
        ("x = 'a'", "str", "a"),
        ("x: int | None = None", "int | None", None),
        ("x: Literal['new', 'all'] = 'new'", 'Literal["new", "all"]', "new"),
        ("x: list[str] = ['a']", "list[str]", ["a"]),
        ("x: dict[str, int] = {}", "dict[str, int]", {}),
        ("x: tuple[int, int] = (1, 2)", "str", "(1, 2)"),
        ("x = float('inf')", "Any", None),
        ("x: date = date.today()", "Any", None),
        ("x: str = date.today()", "str | None", None),
        ("x: Literal['a', 1] | None = None", 'Literal["a", 1] | None', None),
    ],
)
def test_a_platform_asks_for_what_the_notebook_declares(declaration, kind, value):
    """Where JSON has no such type for text, and for nothing where the notebook works the value out itself."""
    asked, start = offered(declaration)
    assert (source.annotation(asked), start) == (kind, value)


@pytest.mark.parametrize("name", ["dagster", "prefect"])
def test_a_parameter_whose_name_is_taken_is_refused(name):
    settings = schema.settings(parameters.declared("model_dump = 1\nmodel = 2"), [])
    (refusal,) = targets()[name].refusals(
        replace(job_of(Path("/srv")), settings=settings)
    )
    assert "model_dump" in refusal
    assert "rename it" in refusal


def test_prefect_refuses_a_folder_that_it_takes_for_a_template():
    assert not list(targets()["prefect"].refusals(job_of(Path("/srv/{{ 7 * 7 }}"))))
    (refusal,) = targets()["prefect"].refusals(job_of(Path("/srv/{{ $HOME }}")))
    assert "--output" in refusal


def launched(folder, cell):
    """What the launcher prints and raises in a kernel, where FORCE_COLOR is set."""
    write(folder / "threads.ipynb", "import nbflow as nf", cell)
    nbflow = str(Path(sys.executable).with_name("nbflow"))
    job = job_of(folder, program=nbflow, store=folder / "store")
    (code,) = [
        text for text in sources("jupyter-scheduler", job) if "Schedule" not in text
    ]
    (folder / "launcher.py").write_text(code)
    return subprocess.run(
        [sys.executable, folder / "launcher.py"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    )


def test_the_last_sentence_is_found_in_colours_as_well(tmp_path):
    failed = launched(tmp_path, "raise ValueError('no')")
    assert "\x1b" not in failed.stdout
    (said,) = [line for line in failed.stdout.splitlines() if line.startswith("exit ")]
    assert failed.stderr.splitlines()[-1] == f"RuntimeError: {said}"
    assert said.endswith("Failed in cell 2.")


def test_what_schedules_a_job_needs_no_jupyter_on_the_path(tmp_path):
    (tmp_path / "install.py").write_text(
        targets()["jupyter-scheduler"].files(job_of(tmp_path))["install.py"]
    )
    bare = {"PATH": "", "HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, tmp_path / "install.py"],
        capture_output=True,
        text=True,
        check=False,
        env=bare,
    )
    assert done.returncode == 1
    assert "No JupyterLab of yours runs on this machine" in done.stderr
    assert "Traceback" not in done.stderr
