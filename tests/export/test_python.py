"""The module of a notebook has its steps and flows, its keys, and its order; no Jupyter."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import nbflow as nf
from nbflow.export import statements, translation
from nbflow.notebook.job_lock import job_lock

from .conftest import command, write

ROOT = Path(__file__).parents[2]

#: Every way to be in a notebook: constants, a function bound twice, a step cell, a text
#: over lines, `await`.
CELLS = (
    "# Numbers",
    ("count = 3  # how many\nlabel: str = 'x'", "parameters"),
    "from __future__ import annotations",
    "%matplotlib inline\nimport asyncio, nbflow as nf",
    (
        'PROMPT = """one\n'
        "  two\n"
        'three"""\n\n'
        "def told(name):\n"
        '    with open("log", "a") as file:\n'
        '        file.write(name + "\\n")'
    ),
    "@nf.step(retries=0, ignore=['told'])\ndef double(n):\n    told(f'double {n}')\n    return n * 2, PROMPT",
    "@nf.step(retries=0)\nasync def add(n):\n    told(f'add {n}')\n    return n + BASE",
    "BASE = len(label)",
    "@nf.flow(on='number')\ndef work(record):\n    return double(record['n'])",
    "run = nf.send('number', [{'n': n} for n in range(count)], key='n')",
    (
        "#| step: total -> summed, words\n"
        "from collections import Counter\n"
        'words = """a\n'
        ' b"""\n'
        'told("total")\n'
        "summed = sum(range(count))\n"
        "Counter(words)"
    ),
    "%%step later -> after\nawait asyncio.sleep(0)\ntold('later')\nafter = summed + 1\nafter",
    "more = await add(after)\nprint('more', more); more",
    "def told2(): return 1\nfirst = told2()\ndef told2(): return 2\n(first,\n told2())  # both",
)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The notebook, exported, with a store that both find."""
    monkeypatch.delenv("NBFLOW_STORE")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write(tmp_path / "numbers.ipynb", *CELLS)
    (tmp_path / ".nbflow").mkdir(mode=0o700)
    return nf.export(tmp_path / "numbers.ipynb", "python").folder


def log(folder):
    file = folder / "log"
    lines = sorted(file.read_text().split("\n")[:-1]) if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


ALL = ["add 4", "double 0", "double 1", "double 2", "later", "total"]


def test_what_the_notebook_has_done_the_module_does_not_do_again(made):
    notebook = made.parents[1] / "numbers.ipynb"
    assert command("nbflow", "run", notebook).returncode == 0
    assert log(notebook.parent) == ALL
    done = command("python", "numbers_job.py", cwd=made)
    assert (done.returncode, log(made)) == (0, []), done.stderr
    assert "more 5" in done.stdout
    assert "(1, 2)" in done.stdout
    assert "\ntotal: cached" in done.stdout, "a log has no colours"


def test_what_the_module_has_done_the_notebook_does_not_do_again(made):
    done = command("python", "numbers_job.py", cwd=made)
    assert (done.returncode, log(made)) == (0, ALL), done.stderr
    notebook = made.parents[1] / "numbers.ipynb"
    assert command("nbflow", "run", notebook).returncode == 0
    assert log(notebook.parent) == []


def test_several_values_in_a_last_line_are_shown_as_a_notebook_shows_them(tmp_path):
    notebook = write(
        tmp_path / "n.ipynb",
        "a, b = 1, [2]",
        "a, b  # both",
        "*b, a",
        "#| step: pair -> c\nc = a\na, b",
        "(a,\n b)",
        "a,",
    )
    folder = nf.export(notebook, "python").folder
    done = command("python", "n_job.py", cwd=folder)
    assert (done.returncode, done.stdout) == (
        0,
        "(1, [2])\n(2, 1)\n(1, [2])\n(1, [2])\n(1,)\n",
    ), done.stderr
    assert command("nbflow", "run", notebook).returncode == 0
    assert "pair: cached" in command("python", "n_job.py", cwd=folder).stdout


def test_parameters_may_read_what_stands_above_them(tmp_path):
    """Imports first and the parameters second is how most notebooks begin."""
    notebook = write(
        tmp_path / "n.ipynb",
        "import datetime as dt\nfrom typing import Literal\nDAY = 24",
        (
            "day: dt.date = dt.date(2026, 11, DAY)\nmode: Literal['new', 'all'] = 'new'",
            "parameters",
        ),
        "print(day, mode)",
    )
    folder = nf.export(notebook, "python").folder
    done = command("python", "n_job.py", "-p", "mode=all", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "2026-11-24 all\n"), done.stderr


def test_parameters_that_read_what_a_cell_makes_are_refused(tmp_path):
    notebook = write(
        tmp_path / "n.ipynb",
        "import os\nhere = os.getcwd()",
        ("place = here", "parameters"),
    )
    with pytest.raises(nf.UsageError, match="Cell 2, the parameters, reads `here`"):
        nf.export(notebook, "python")


def test_a_module_takes_parameters_as_the_notebook_does(made):
    done = command(
        "python",
        "numbers_job.py",
        "-p",
        "count=1",
        "-p",
        "label=$(touch pwned)",
        cwd=made,
    )
    assert (done.returncode, log(made)) == (
        0,
        ["add 1", "double 0", "later", "total"],
    ), done.stderr
    assert "more 15" in done.stdout, (
        "the notebook's function reads the length of the label"
    )
    assert not (made / "pwned").exists()
    wrong = command("python", "numbers_job.py", "-p", "cuont=1", cwd=made)
    assert (wrong.returncode, "did you mean 'count'" in wrong.stderr) == (2, True)
    assert (
        "-p count=3  int  how many"
        in command("python", "numbers_job.py", "--help", cwd=made).stdout
    )


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
    ids=lambda number: number.name,
)
def test_a_module_that_waits_for_its_turn_ends_when_it_is_asked_to(made, number):
    module = made / "numbers_job.py"
    with job_lock(
        made.parents[1] / ".nbflow", [f"job {module.resolve()} []"], waits=None
    ):
        waiting = subprocess.Popen(
            [sys.executable, module],
            cwd=made,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert f"(process {os.getpid()}); waiting for it" in waiting.stdout.readline()
        waiting.send_signal(number)
        said = waiting.communicate(timeout=60)[1]
    assert (
        waiting.returncode,
        "Interrupted. What is done is saved" in said,
        log(made),
    ) == (130, True, []), said


def test_a_module_can_be_imported_for_its_steps_and_flows_and_runs_nothing(made):
    code = (
        "import numbers_job as n; assert n.double(1)[0] == 2; assert [f.name for f in "
        "n.nf.flows()] == ['work']; assert 'run' not in vars(n)"
    )
    done = command("python", "-c", code, cwd=made)
    assert (done.returncode, done.stderr, log(made)) == (0, "", ["double 1"])


def test_objects_of_the_notebooks_classes_are_found_wherever_the_class_is(
    tmp_path, monkeypatch
):
    """In the kernel and in the module that is run they are `__main__`'s, in the module that is imported its own."""
    monkeypatch.delenv("NBFLOW_STORE")
    label = (
        "import nbflow as nf\n"
        "from dataclasses import dataclass\n"
        "from enum import Enum\n\n"
        "class Kind(Enum):\n"
        "    A = 1\n\n"
        "@dataclass\n"
        "class Label:\n"
        "    text: str\n"
        "    kind: Kind"
    )
    write(
        tmp_path / "labels.ipynb",
        label,
        "@nf.step(retries=0)\ndef make(n):\n    print('made', n)\n    return Label(str(n), Kind.A)",
        "make(1)",
    )
    folder = nf.export(tmp_path / "labels.ipynb", "python").folder
    # A relative folder is meant from where the command is given, not from where the
    # module is.
    assert (
        "made 1"
        in command(
            "python", folder / "labels_job.py", "--store", ".nbflow", cwd=tmp_path
        ).stdout
    )
    code = (
        "import labels_job as l; found = l.make(1); assert type(found) is l.Label and "
        "found.kind is l.Kind.A, found; l.make(2)"
    )
    imported = command(
        "python",
        "-W",
        "error",
        "-c",
        code,
        cwd=folder,
        env=os.environ | {"NBFLOW_STORE": str(tmp_path / ".nbflow")},
    )
    assert (imported.returncode, imported.stdout) == (0, "made 2\n"), imported.stderr
    write(
        tmp_path / "labels.ipynb",
        label,
        "@nf.step(retries=0)\ndef make(n):\n    print('made', n)\n    return Label(str(n), Kind.A)",
        "print('found', make(1), make(2))",
    )
    assert command("nbflow", "run", tmp_path / "labels.ipynb").returncode == 0
    shown = nbformat.read(tmp_path / "labels.out.ipynb", 4).cells[-1].outputs[0].text
    assert "found Label(text='1'" in shown
    assert "made" not in shown


def test_a_module_needs_no_jupyter(made):
    """IPython, nbformat and the kernel are kept from being imported."""
    (made / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('IPython', 'nbformat', 'nbclient', 'ipykernel', 'ipywidgets', 'traitlets'):\n"
        "    sys.modules[name] = None\n"
    )
    done = command(
        "python",
        "numbers_job.py",
        cwd=made,
        env=os.environ | {"PYTHONPATH": f"{made}{os.pathsep}{ROOT}"},
    )
    assert (done.returncode, log(made)) == (0, ALL), done.stderr


def test_a_cell_that_fails_is_exit_code_1_and_what_was_done_stays(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("NBFLOW_STORE")
    write(
        tmp_path / "fails.ipynb",
        "import nbflow as nf",
        "@nf.step(retries=0)\ndef f(n):\n    print('ran', n)\n    return n",
        "f(1)",
        "1 / 0",
    )
    folder = nf.export(tmp_path / "fails.ipynb", "python").folder
    done = command("python", "fails_job.py", cwd=folder)
    assert (
        done.returncode,
        "ran 1" in done.stdout,
        "ZeroDivisionError" in done.stderr,
    ) == (1, True, True)
    done = command("python", "fails_job.py", cwd=folder)
    assert (done.returncode, "ran 1" in done.stdout) == (1, False)


@pytest.mark.parametrize(
    ("given", "code"), [("", 0), ("0", 0), ("3", 1), ("'no rows'", 1)]
)
def test_sys_exit_ends_a_module_as_it_ends_its_notebook(
    tmp_path, monkeypatch, given, code
):
    monkeypatch.delenv("NBFLOW_STORE")
    write(tmp_path / "exits.ipynb", "import sys", f"sys.exit({given})", "1 / 0")
    folder = nf.export(tmp_path / "exits.ipynb", "python").folder
    done = command("python", "exits_job.py", cwd=folder)
    assert done.returncode == code
    assert ("SystemExit: " in done.stderr) == bool(code)
    assert "ZeroDivisionError" not in done.stderr


def test_records_that_are_not_done_are_exit_code_3(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE")
    write(
        tmp_path / "some.ipynb",
        "import nbflow as nf",
        "@nf.flow(on='e')\ndef f(record):\n    return 1 // record['n']",
        "nf.send('e', [{'n': 0}, {'n': 1}], key='n')",
    )
    folder = nf.export(tmp_path / "some.ipynb", "python").folder
    assert command("python", "some_job.py", cwd=folder).returncode == 3
    assert (
        command("python", "some_job.py", "--max-failed", "50%", cwd=folder).returncode
        == 0
    )


def test_a_gate_that_is_not_met_is_exit_code_6(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE")
    write(
        tmp_path / "some.ipynb",
        "import nbflow as nf",
        "@nf.flow(on='e')\ndef f(record):\n    return {'label': record['n']}",
        "nf.send('e', [{'n': 'a'}, {'n': 'b'}], key='n')",
    )
    rules = ["share(a)<=0.5", "share(b)<0.5"]
    folder = nf.export(tmp_path / "some.ipynb", "python", gates=rules).folder
    script = (folder / "run.sh").read_text()
    assert "--gate 'share(a)<=0.5' --gate 'share(b)<0.5'" in script
    done = command("python", "some_job.py", "--gate", rules[0], cwd=folder)
    assert done.returncode == 0
    assert "share(a)<=0.5: 1 of 2 records (50.0%) are a" in done.stderr
    done = command("python", "some_job.py", "--gate", rules[1], cwd=folder)
    assert done.returncode == 6
    assert "share(b)<0.5: 1 of 2 records (50.0%) are b; less than" in done.stderr
    assert command("python", "some_job.py", "--gate", "b", cwd=folder).returncode == 2


def test_a_second_copy_ends_at_once_with_75(made):
    source = made / "slow.py"
    source.write_text(
        (made / "numbers_job.py")
        .read_text()
        .replace(
            '    """What the notebook does, in its order."""',
            "    import time; print('begun', flush=True); time.sleep(60)",
        )
    )
    first = subprocess.Popen(
        [sys.executable, source], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout.readline() == "begun\n"
        second = command("python", "slow.py", "--no-wait", cwd=made)
        assert (second.returncode, "at work" in second.stderr) == (75, True)
    finally:
        first.terminate()
    assert first.wait() == 130


@pytest.mark.parametrize(
    "cell",
    [
        "!ls",
        "files = !ls",
        "%%bash\nls",
        "%pip install x",
        "%cd ..",
        "%%step a\n%matplotlib inline\nx = 1",
    ],
)
def test_what_needs_ipython_is_refused_with_its_cell(cell, tmp_path):
    write(tmp_path / "magic.ipynb", "x = 1", cell)
    with pytest.raises(nf.UsageError, match=r"Cell 2 has `.*`, which needs IPython"):
        nf.export(tmp_path / "magic.ipynb", "python")


@pytest.mark.parametrize(
    ("cells", "top", "acts"),
    [
        (["A = 1", "B = A + 1", "C = input_() + B"], ["A", "B"], ["C"]),
        (["def f(): return x", "x = g()"], ["f"], ["x"]),
        (["x = g()", "@x\ndef f(): pass"], [], ["f", "x"]),
        (["x = g()", "def f(a=x): pass", "class C:\n    y = x"], [], ["C", "f", "x"]),
        (["n = 1", "n += 1", "def f(): return n"], ["f"], ["n"]),
        (
            ["try:\n    import orjson\nexcept ImportError:\n    orjson = None"],
            [],
            ["orjson"],
        ),
        (
            [
                "for i in [1]: pass",
                "with open('x') as f: pass",
                "[j for j in [1]]",
                "print(k := 1)",
            ],
            [],
            ["f", "i", "k"],
        ),
    ],
)
def test_what_defines_stands_at_the_top_and_what_acts_in_main(
    cells, top, acts, tmp_path
):
    text = translation.module(
        nbformat.read(write(tmp_path / "x.ipynb", *cells), 4), "x.ipynb", "x"
    )
    body = ast.parse(text).body
    main = next(
        node
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    bound = [
        name
        for node in body
        if node is not main
        for name in statements.bound_by(node)
        if name not in ("_script", "__notebook__", "orjson")
    ]
    assert bound == top
    assert (
        sorted(
            name
            for node in main.body
            if isinstance(node, ast.Global)
            for name in node.names
        )
        == acts
    )


def test_an_annotation_of_what_main_binds_is_left_out(tmp_path):
    """A function may bind a global and may annotate a name, but not both at once."""
    cell = "ü: list[str] = f('a: b = c'); y: int = g()  # both\nif y:\n    z: dict = {\n        1: 2}\nw: int"
    text = translation.module(
        nbformat.read(write(tmp_path / "x.ipynb", cell), 4), "x.ipynb", "x"
    )
    assert (
        "    ü = f('a: b = c'); y = g()  # both\n    if y:\n        z = {\n            1: 2}"
        in text
    )
    assert "    pass\n" in text or "\nw: int\n" in text


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("#| step: a\nx: int = 1", "gives `x` an annotation"),
        ("#| step: a\nfrom os import *", "cannot stand in a function"),
        ("x: dict[\n    str, int] = f()", "cannot stand in a function"),
    ],
)
def test_what_no_function_can_hold_is_refused(cell, said, tmp_path):
    with pytest.raises(nf.UsageError, match=said):
        nf.export(write(tmp_path / "x.ipynb", "def f(): return 1", cell), "python")


def test_a_title_is_a_comment_whatever_it_is(tmp_path):
    document = nbformat.read(
        write(tmp_path / "x.ipynb", "# a\nimport os; os.abort()", "x = 1"), 4
    )
    text = translation.module(
        document, "x.ipynb", "\n\nimport evil\n# -*- coding: utf-7 -*-\u2028import evil"
    )
    assert "\nimport evil" not in text
    compile(text.encode(), "x.py", "exec")


def test_texts_of_several_lines_stay_as_they_are(tmp_path):
    """Blank lines in them keep their spaces, whether the text defines or is shown."""
    cells = 'import nbflow\nA = """a\n   \nb"""', '"""a\n   \nb""".upper()  # shown'
    document = nbformat.read(write(tmp_path / "x.ipynb", *cells), 4)
    text = translation.module(document, "x.ipynb", "x")
    assert 'A = """a\n   \nb"""\n' in text
    assert '_script.show("""a\n   \nb""".upper())  # shown\n' in text


def test_what_a_step_cell_sets_up_is_set_up_by_a_module_that_finds_it(tmp_path):
    notebook = write(
        tmp_path / "n.ipynb",
        "import sys\nimport matplotlib.pyplot as plt\nimport numpy as np",
        "#| step: set -> c\nc = 1\nplt.rcParams['font.size'] = 7\nsys.setrecursionlimit(4321)\nnp.seterr(all='ignore')",
        "print(plt.rcParams['font.size'], sys.getrecursionlimit(), np.geterr()['divide'])",
    )
    folder = nf.export(notebook, "python").folder
    first = command("python", "n_job.py", cwd=folder)
    again = command("python", "n_job.py", cwd=folder)
    assert first.stdout.endswith("7.0 4321 ignore\n"), first.stderr
    said, shown = again.stdout.splitlines(), first.stdout.splitlines()
    assert said[1].startswith("set: cached")
    assert [said[0], *said[2:]] == shown


def test_a_closed_pipe_is_no_damage_to_what_is_saved(tmp_path):
    notebook = write(
        tmp_path / "n.ipynb", "import os", "#| step: much\nprint('x' * 100_000)"
    )
    folder = nf.export(notebook, "python").folder
    assert command("python", "n_job.py", cwd=folder).returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "n_job.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert "BrokenPipeError" in done.stderr
    assert "cannot be used" not in done.stderr


def test_a_seeded_module_draws_on_as_the_notebook_does(tmp_path):
    notebook = write(
        tmp_path / "n.ipynb",
        "import random",
        "random.seed(5)",
        "#| step: draw\ndrawn = random.random()\ndrawn",
        "random.random()",
    )
    folder = nf.export(notebook, "python").folder
    first = command("python", "n_job.py", cwd=folder).stdout.splitlines()
    again = command("python", "n_job.py", cwd=folder).stdout.splitlines()
    assert first[0] == "0.6229016948897019"
    assert [line for line in again if "cached" not in line] == first
    assert len(again) == 3
