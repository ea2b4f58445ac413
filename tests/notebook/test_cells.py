"""Step cells: a cell is remembered as a whole, in real kernels, as a person or a scheduler runs it."""

import ast
import contextlib
import re
import sys

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from test_kernel import Kernel

from nbflow._key.cell_names import blind, reach
from nbflow.errors import UsageError
from nbflow.notebook import rewrite


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    kernel.run("import nbflow as nf, pandas as pd")
    yield kernel
    kernel.close()


def lines(text):
    return [
        re.sub(r"\x1b\[[0-9;]*m", "", line)
        for line in text.splitlines()
        if line.strip()
    ]


def test_a_class_and_a_function_that_a_cell_defines_may_be_declared_outputs(kernel):
    cell = "#| step: schema -> Model, size, n\nclass Model:\n    size = 1\ndef size():\n    return Model.size\nn = 3"
    assert "is not saved" not in kernel.run(cell)
    kernel.run("del n, Model, size")
    assert "schema: cached" in kernel.run(cell)
    assert kernel.run("Model().size + size() + n") == "5"


def test_what_cannot_be_keyed_is_told_with_the_flag_that_leaves_it_out(kernel):
    kernel.run("rows = iter([1, 2])")
    said = kernel.run("#| step: first\nx = 1 if rows else 2")
    assert "leave it out of the key with --ignore rows" in said
    assert "ignore=" not in said
    kernel.run("#| step: first --ignore rows\nx = 1 if rows else 2")
    assert "cached" in kernel.run("#| step: first --ignore rows\nx = 1 if rows else 2")


def test_names_in_query_texts_are_inputs_of_a_step_cell(kernel):
    kernel.run(
        "import polars as pl\nLIMIT = 1\nQUERY = 'a > @LIMIT'\n"
        "df = pd.DataFrame({'a': [1, 2, 3]}); rows = pl.DataFrame({'a': [1, 2]})"
    )
    own = "#| step: own -> n\nn = len(df.query('a > @LIMIT'))\nn"
    given = "#| step: given -> m\nm = len(df.query(QUERY))\nm"
    sql = "#| step: total -> t\nt = pl.sql('select sum(a) as n from rows', eager=True)['n'][0]\nt"
    assert [kernel.run(cell) for cell in (own, given, sql)] == ["2", "2", "3"]
    assert all("cached" in kernel.run(cell) for cell in (own, given, sql))
    kernel.run("LIMIT = 2; rows = pl.DataFrame({'a': [5]})")
    assert [kernel.run(cell) for cell in (own, given, sql)] == ["1", "1", "5"]
    kernel.run("LIMIT = 1")
    assert all("cached" in kernel.run(cell) for cell in (own, given))
    kernel.run(
        "def where():\n    return 'a > @LIMIT'\ndef find(df, text):\n    return df.query(text)"
    )
    helped = "#| step: helped -> h\nh = len(df.query(where()))\nh"
    finds = "#| step: finds -> f\nf = len(find(df, 'a > @LIMIT'))\nf"
    assert [kernel.run(cell) for cell in (helped, finds)] == ["2", "2"]
    assert all("cached" in kernel.run(cell) for cell in (helped, finds))
    kernel.run("LIMIT = 2")
    assert [kernel.run(cell) for cell in (helped, finds)] == ["1", "1"]


# What a cell reads and binds


@pytest.mark.parametrize(
    ("text", "reads", "outputs"),
    [
        ("df = df.dropna()\ny = df['a'] + z.b\n_t = 1", {"df", "z"}, ["df", "y"]),
        ("def f():\n    return total + x\ntotal = 3\nf()", {"x"}, ["total"]),
        ("def f():\n    return total\nf()\ntotal = 3", {"total"}, ["total"]),
        ("for i in k:\n    t = i\nt", {"k"}, ["i", "t"]),
        ("if a:\n    x = 1\nelse:\n    x = 2\nx", {"a"}, ["x"]),
        ("if a:\n    x = 1\nx", {"a", "x"}, ["x"]),
        ("df['b'] = df['a'] * q", {"df", "q"}, []),
        ("class A:\n    n = N\n    def f(self):\n        return M\na = A()", {"N", "M"}, ["a"]),
        ("import numpy as np\nx = [y * w for y in ys]\n(a, b), c = t", {"w", "ys", "t"}, ["x", "a", "b", "c"]),
        ("x += 1", {"x"}, ["x"]),
        ("with open(p) as file:\n    data = file.read()", {"p"}, ["data"]),
        ("try:\n    v = g()\nexcept ValueError as e:\n    v = h\nv", {"g", "h"}, ["v"]),
        ("_c = {}\ndef m(x):\n    return _c.get(x)", set(), ["_c"]),
        ("m = lambda x: x + n", {"n"}, []),
        ("async def g():\n    return await h(u)\nr = await g()", {"h", "u"}, ["r"]),
        ("match p:\n    case [a, *r]:\n        o = a\n    case _:\n        o = 2\no", {"p", "o"}, ["a", "r", "o"]),
        ("print(w := 1)\nw", set(), ["w"]),
        ("z = a and (n := 1)\nn", {"a", "n"}, ["n", "z"]),
        ("z = (n := a) and 1\nn", {"a"}, ["n", "z"]),
        ("z = (n := 1) if a else 2\nn", {"a", "n"}, ["n", "z"]),
        ("z = [(n := i) for i in a]\nn", {"a", "n"}, ["n", "z"]),
        ("while c:\n    x = 1\nx", {"c", "x"}, ["x"]),
        ("for i in k:\n    if i:\n        break\n    t = i\nelse:\n    t = n", {"k", "n"}, ["i", "t"]),
        ("while True:\n    if c:\n        continue\n    break", {"c"}, []),
        ("n: int = 1\nn", {"int"}, ["n"]),
    ],
)  # fmt: skip
def test_names_are_read_if_the_cell_may_not_have_bound_them(text, reads, outputs):
    found = reach(ast.parse(text).body)
    builtins = {"print", "open", "ValueError", "range", "__name__"}
    assert {chain[0] for chain in found.reads} - builtins == reads
    assert sorted(found.outputs) == sorted(outputs)


@pytest.mark.parametrize(
    "text",
    [
        "from x import *",
        "exec('1')",
        "globals()['x']",
        "get_ipython().system('ls')",
        "get_ipython().run_cell_magic('bash', '', 'ls')",
        "x = input()",
    ],
)
def test_what_no_key_can_follow_is_named(text):
    assert blind(ast.parse(text).body)


def test_magics_that_only_set_up_are_like_imports():
    assert (
        blind(ast.parse("get_ipython().run_line_magic('matplotlib', 'inline')").body)
        is None
    )


def test_the_first_line_is_read_in_both_spellings():
    spec = rewrite.parse(
        "classify -> labels, costs --ignore client --retries 2 --timeout 30 --ttl 1d --version 3 --force"
    )
    assert (spec.name, spec.outputs, spec.ignore, spec.version, spec.force) == (
        "classify",
        ("labels", "costs"),
        {"client"},
        "3",
        True,
    )
    assert (spec.policy.retries, spec.policy.timeout, spec.policy.ttl) == (
        2,
        30.0,
        86400.0,
    )
    assert (
        rewrite.mark(["\n", "#| label: x\n", "#| step: a -> b\n", "b = 1\n"])[2]
        == "'#| step: a -> b'\n"
    )
    assert rewrite.mark(["%%step a\n", "b = 1\n"]) == ["'%%step a'\n", "b = 1\n"]
    assert rewrite.mark(["b = 1\n", "#| step: a\n"]) == ["b = 1\n", "#| step: a\n"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a --forse", "Did you mean --force"),
        ("", "needs one name"),
        ("a b", "needs one name"),
        ("a -> 1x", "not the name of an output"),
        ("a --ttl", "needs a value"),
        ("a --retries x", "whole number"),
        ("a --force -> y", "flags come after the outputs: `a -> OUTPUT, ... --flag`"),
        ('a --version "x', "cannot be read .No closing quotation.: --version"),
    ],
)
def test_a_line_that_cannot_be_right_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        rewrite.parse(text)


# In a kernel


LOAD = "#| step: load -> df\nprint('loading')\ndf = pd.DataFrame({'a': [1, 2, 3]})\ndf.head(1)"


def test_a_hit_shows_what_the_cell_showed_and_brings_its_outputs(kernel):
    first = kernel.run(LOAD)
    kernel.run("del df")
    again = lines(kernel.run(LOAD))
    assert again[:-1] == lines(first)
    assert re.fullmatch(r"load: cached \d\d:\d\d, saved .*", again[-1])
    assert kernel.run("df['a'].tolist()") == "[1, 2, 3]"
    assert "cached" not in kernel.run(LOAD.replace("1, 2, 3", "1, 2, 4"))
    assert "cached" in kernel.run(LOAD.replace("print(", "# a comment\nprint("))


def test_both_spellings_are_one_step(kernel):
    kernel.run(LOAD)
    assert "cached" in kernel.run(LOAD.replace("#| step:", "%%step"))


def test_imports_functions_and_classes_run_on_a_hit_and_nothing_else(kernel):
    cell = (
        "%%step tools\n"
        "import json as j\n"
        "print('live')\n"
        "limit = 3\n"
        "_hidden = [1]\n"
        "def f(x, y=limit):\n"
        "    return x + y + len(_hidden)\n"
        "class A:\n"
        "    n = limit\n"
        "g = lambda x: x + limit"
    )
    kernel.run(cell)
    kernel.run("%reset_selective -f ^(limit|_hidden|f|A|g|j)$")
    assert "cached" in kernel.run(cell)
    assert kernel.run("f(1), A.n, g(1), j.dumps(1)") == "(5, 3, 4, '1')"


if sys.version_info >= (3, 12):  # where `type` is a statement

    def test_a_type_statement_runs_on_a_hit_and_counts_by_what_it_stands_for(kernel):
        cell, reader = (
            "#| step: types\ntype X = list[base]\ntype Pair[T] = tuple[T, T]\nn = 3",
            "#| step: told\nsaid = str(X.__value__)\nsaid",
        )
        kernel.run("base = int")
        kernel.run(cell)
        assert kernel.run(reader) == "'list[int]'"
        kernel.run("del X, Pair")
        assert "cached" in kernel.run(cell)
        assert "cached" in kernel.run(reader)
        assert kernel.run("Pair") == "Pair"
        kernel.run("type X = dict[base, int]")
        assert kernel.run(reader) == "'dict[int, int]'"


def test_the_cell_runs_again_exactly_when_what_it_reads_changed(kernel):
    kernel.run("rate = 2\ndef clean(x):\n    return x * rate\ndata = [1, 2]")
    cell = "%%step total\nresult = sum(map(clean, data))\nresult"
    assert "cached" not in kernel.run(cell)
    assert "cached" in kernel.run(cell)
    kernel.run("rate = 3")
    assert lines(kernel.run(cell)) == ["9"]
    assert "`rate` changed (2 -> 3)" in kernel.run("%step why total")
    kernel.run("data.append(3)")
    assert lines(kernel.run(cell)) == ["18"]
    kernel.run("def clean(x):\n    # the same\n    return x * rate")
    assert "cached" in kernel.run(cell)
    kernel.run("def clean(x):\n    return x + rate")
    assert lines(kernel.run(cell)) == ["15"]
    kernel.run("other = 1")
    assert "cached" in kernel.run(cell)


def test_a_cell_that_shows_an_error_and_goes_on_is_not_saved(kernel):
    cell = (
        "#| step: shown\nimport ipywidgets\nwith ipywidgets.Output():\n    1 / 0\nx = 1"
    )
    said = "shown: ran, but is not saved: it shows an error (ZeroDivisionError)."
    assert said in kernel.run(cell)
    assert said in kernel.run(cell)


def test_what_a_step_depends_on_counts_in_the_cell_that_calls_it(kernel):
    kernel.run(
        "from pathlib import Path\n"
        "Path('prompt.txt').write_text('Pick')\n"
        "@nf.step(depends_on=Path('prompt.txt'))\n"
        "def ask(n):\n"
        "    return Path('prompt.txt').read_text()"
    )
    cell = "%%step asks\nanswer = ask(1)\nanswer"
    assert lines(kernel.run(cell)) == ["'Pick'"]
    assert "cached" in kernel.run(cell)
    kernel.run("Path('prompt.txt').write_text('Choose')")
    assert lines(kernel.run(cell)) == ["'Choose'"]


def test_an_input_that_is_changed_in_place_becomes_an_output_and_twice_is_a_hit(kernel):
    kernel.run(LOAD)
    cell = "%%step double\ndf['b'] = df['a'] * 2"
    assert "`df` changed in place" in kernel.run(cell)
    assert "cached" in kernel.run(cell)
    assert kernel.run("df['b'].tolist()") == "[2, 4, 6]"
    kernel.run(LOAD)
    assert kernel.run("list(df.columns)") == "['a']"
    assert "cached" in kernel.run(cell)
    assert kernel.run("df['b'].tolist()") == "[2, 4, 6]"


def test_a_failure_is_one_traceback_with_the_cell_s_lines_and_stores_nothing(kernel):
    cell = "#| step: bad\nx = 1\n\ndef f(v):\n    return 1 / v\n\nf(0)"
    sent = kernel.start(cell)
    found = []
    while True:
        message = kernel.client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") == sent:
            found.append(message)
            if (
                message["msg_type"] == "status"
                and message["content"]["execution_state"] == "idle"
            ):
                break
    errors = [message["content"] for message in found if message["msg_type"] == "error"]
    assert len(errors) == 1
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(errors[0]["traceback"]))
    assert "----> 7 f(0)" in trace
    assert "----> 5     return 1 / v" in trace
    assert "nbflow" not in trace
    assert "ZeroDivisionError" in kernel.run(cell)
    assert "failed" in kernel.run("%step list")


def test_top_level_await_and_time_and_a_figure(kernel):
    cell = "#| step: waits\nimport asyncio\nawait asyncio.sleep(0.01)\nr = 5\nr"
    assert lines(kernel.run(cell)) == ["5"]
    assert "cached" in kernel.run(cell)
    assert "Wall time" in kernel.run("%%time\n#| step: timed\nw = 3\nw")
    plot = "#| step: plot\n%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    assert "Figure" in kernel.run(plot)
    shown = kernel.run(plot)
    assert "Figure" in shown
    assert "cached" in shown


def test_retries_timeout_and_force(kernel):
    kernel.run(
        "n = [0]\ndef flaky():\n    n[0] += 1\n    if n[0] % 3:\n        raise ConnectionError('no')\n    return n[0]"
    )
    assert "next attempt" in kernel.run("%%step again --retries 3\nv = flaky()")
    assert kernel.run("v") == "3"
    assert "timed out after 0.2 s (--timeout)" in kernel.run(
        "%%step slow --timeout 0.2\nimport time\ntime.sleep(5)"
    )
    assert "timed out after 0.2 s (--timeout)" in kernel.run(
        "%%step slow --timeout 0.2\nimport asyncio\nawait asyncio.sleep(5)"
    )
    kernel.run(LOAD)
    assert "cached" not in kernel.run(LOAD.replace("-> df", "-> df --force"))
    kernel.run("%step force load")
    assert "cached" not in kernel.run(LOAD)
    assert "cached" in kernel.run(LOAD)
    assert "has been cached since" in kernel.run(LOAD.replace("-> df", "-> df --dry"))


def test_what_the_cell_deletes_is_gone_after_a_hit_too(kernel):
    cell = "%%step tidy\ntmp = 1\ny = tmp + 1\ndel tmp, raw"
    kernel.run("raw = 1")
    kernel.run(cell)
    kernel.run("raw = 1\ntmp = 5")
    assert "cached" in kernel.run(cell)
    assert kernel.run("'raw' in dir(), 'tmp' in dir(), y") == "(False, False, 2)"


def test_what_cannot_be_saved_runs_and_says_why(kernel):
    assert "runs code that is made" in kernel.run("%%step live\nexec('q = 1')")
    assert "`con` cannot be saved" in kernel.run(
        "%%step con\nimport sqlite3\ncon = sqlite3.connect(':memory:')"
    )
    assert "cached" not in kernel.run(
        "%%step con\nimport sqlite3\ncon = sqlite3.connect(':memory:')"
    )
    kernel.run("rows = iter([1, 2])")
    assert "can be read only once" in kernel.run("%%step eat\ntotal = sum(rows)")
    assert "declares the output 'nope'" in kernel.run("%%step bad -> nope\nx = 1")
    assert "unknown flag --forse" in kernel.run("%%step x --forse\n1")
    kernel.run("@nf.flow(on='e')\ndef look(record):\n    return record['n']")
    assert "durable by itself" in kernel.run(
        "%%step sends -> out\nout = nf.send('e', [{'n': 1}]).results()"
    )


def test_a_run_is_an_input_by_what_came_out_of_it(kernel):
    kernel.run(
        "@nf.flow(on='e')\ndef look(record):\n    return record['n']\nrun = nf.send('e', [{'n': 1}, {'n': 2}])"
    )
    cell = "%%step weekly -> total\ntotal = sum(run.results('look'))\ntotal"
    assert lines(kernel.run(cell)) == ["3"]
    kernel.run("run = nf.send('e', [{'n': 1}, {'n': 2}])")
    kernel.run(cell)
    kernel.run("run = nf.send('e', [{'n': 1}, {'n': 2}])")
    assert "cached" in kernel.run(cell)
    kernel.run("run = nf.send('e', [{'n': 1}, {'n': 5}])")
    assert lines(kernel.run(cell)) == ["6"]


def test_another_kernel_finds_what_this_one_did(kernel, tmp_path):
    kernel.run(LOAD)
    other = Kernel(tmp_path)
    try:
        other.run("import nbflow as nf, pandas as pd")
        assert "cached" in other.run(LOAD)
        assert "1 result" in other.run("%step forget load")
    finally:
        other.close()
    assert "cached" not in kernel.run(LOAD)


# Without a person


CELLS = (
    "import nbflow as nf, pandas as pd",
    LOAD,
    "%%step double\ndf['b'] = df['a'] * 2\nprint('doubled')",
    "#| step: bad\nif df['b'].sum() != total:\n    raise ValueError('not yet')\nok = 1",
)


def test_after_an_error_the_cells_before_it_come_from_disk_with_their_outputs(
    folder, run
):
    folder.write("total = 0", *CELLS)
    assert run()[0] == 1
    assert folder.states() == ["ok", "ok", "ok", "ok", "failed"]
    folder.write("total = 12", *CELLS)
    code, printed = run()
    assert code == 0
    assert "#| step: load -> df" in printed
    assert folder.states() == ["ok", "ok", "cached", "cached", "ok"]
    shown = "".join(
        output.get("text", "")
        for cell in folder.output().cells
        for output in cell.outputs
    )
    assert "loading" in shown
    assert "doubled" in shown
    assert run()[0] == 0
    assert folder.states() == ["ok", "ok", "cached", "cached", "cached"]


DIM = re.compile(r"\x1b\[38;5;243m.*?\x1b\[0m\n")


def part(number):
    """A step cell that reads the one before it, notes that it ran, and shows text and a table.

    Every third one shows a picture as well.
    """
    before = f"part{number - 1}" if number > 1 else "pd.DataFrame({'n': [1, 2]})"
    lines = (
        f"#| step: part{number}",
        f"open('ran', 'a').write('{number} ')",
        f"part{number} = {before} + 1",
        f"print('part {number}')",
    )
    return "\n".join(
        [
            *lines,
            *(() if number % 3 else (f"plt.plot(part{number}['n'])\nplt.show()",)),
            f"part{number}",
        ]
    )


def test_an_error_in_cell_9_of_14_is_mended_and_run_all_takes_1_to_8_from_disk_as_they_were(
    folder, monkeypatch
):
    monkeypatch.setenv("NBFLOW_STORE", str(folder.store))
    setup, cells = (
        "import nbflow as nf, pandas as pd, matplotlib.pyplot as plt\n%matplotlib inline",
        [part(number) for number in range(1, 15)],
    )

    def run_all(*cells, ends=None):
        document = nbformat.read(folder.write(setup, *cells), as_version=4)
        with ends or contextlib.nullcontext():
            NotebookClient(
                document,
                coalesce_streams=True,
                resources={"metadata": {"path": str(folder.path)}},
            ).execute()
        shown = [
            [
                DIM.sub("", output.get("text", "")) or dict(output.get("data", {}))
                for output in cell.outputs
            ]
            for cell in document.cells[1:]
        ]
        shown = [
            [output for output in outputs if output] for outputs in shown
        ]  # nothing is left where the line stood alone
        return shown, (folder.path / "ran").read_text().split()

    failed, ran = run_all(
        *cells[:8],
        cells[8].replace("part8 + 1", "part8['m'] + 1"),
        *cells[9:],
        ends=pytest.raises(CellExecutionError, match="part9"),
    )
    assert ran == list(map(str, range(1, 10)))
    mended, ran = run_all(*cells)
    assert ran[9:] == list(map(str, range(9, 15)))
    assert mended[:8] == failed[:8]
    assert [any("image/png" in shown for shown in outputs) for outputs in mended] == [
        number % 3 == 0 for number in range(1, 15)
    ]
    assert run_all(*cells) == (mended, ran)


def test_nbclient_and_papermill_run_step_cells(folder, monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE", str(folder.store))
    path = folder.write("total = 12", *CELLS)
    document = nbformat.read(path, as_version=4)
    NotebookClient(
        document, resources={"metadata": {"path": str(folder.path)}}
    ).execute()
    papermill.execute_notebook(
        str(path),
        str(folder.path / "out.ipynb"),
        cwd=str(folder.path),
        kernel_name="python3",
        progress_bar=False,
    )
    out = nbformat.read(folder.path / "out.ipynb", as_version=4)
    assert (
        sum(
            "cached" in output.get("text", "")
            for cell in out.cells
            for output in cell.get("outputs", ())
        )
        == 3
    )


@pytest.mark.parametrize("step", ["#| step: quiet -> x", "%%step quiet -> x"])
@pytest.mark.parametrize("above", [True, False])
def test_a_cell_magic_around_a_step_cell_stands_above_or_below_its_line(
    kernel, step, above
):
    cell = "\n".join(
        [
            *(("%%capture shown", step) if above else (step, "%%capture shown")),
            "print('hello')",
            "x = 1",
        ]
    )
    for _ in range(2):
        assert kernel.run(cell) == ""
        assert kernel.run("print(shown.stdout.splitlines()[0], x)") == "hello 1\n"
    assert "cached" in kernel.run("shown.stdout")
    assert "Wall time" in kernel.run(f"{step.replace('quiet', 'timed')}\n%%time\nx = 2")
    assert "cached" in kernel.run(f"%%time\n{step.replace('quiet', 'timed')}\nx = 2")


@pytest.mark.parametrize("magic", ["bash", "html", "writefile a.txt"])
def test_a_cell_magic_that_runs_no_python_is_refused_below_a_steps_line(
    kernel, magic, tmp_path
):
    said = kernel.run(f"#| step: s\n%%{magic}\necho hello")
    assert f"%%{magic.partition(' ')[0]} runs something other than Python" in said
    assert not (tmp_path / "a.txt").exists()


def test_a_file_may_hold_the_line_of_a_step(kernel, tmp_path):
    kernel.run("%%writefile a.py\n#| step: s -> x\nx = 1")
    assert (tmp_path / "a.py").read_text() == "#| step: s -> x\nx = 1\n"


def test_the_ledger_says_in_which_cell_and_line_a_call_failed(kernel):
    """Not in which of the files that do not exist; the line is the one that the cell shows."""
    kernel.run("@nf.step(retries=0)\ndef ask(n):\n    return 1 / n")
    kernel.run("run = ask.map([0])")
    said = kernel.run("print(run.inspect('0')['ask']['ask'].failure.traceback)")
    assert "Cell In[2], line 3, in ask" in said
    assert "ipykernel" not in said


def test_loops_may_be_broken_out_of(kernel):
    cell = (
        "#| step: found -> i, seen\n"
        "seen = []\n"
        "for i in range(9):\n"
        "    if i % 2:\n"
        "        continue\n"
        "    seen.append(i)\n"
        "    if i == 4:\n"
        "        break\n"
        "else:\n"
        "    seen = None"
    )
    for said in ("", "cached"):
        assert said in kernel.run(cell)
        assert kernel.run("i, seen") == "(4, [0, 2, 4])"


@pytest.mark.parametrize(
    "test",
    [
        "if (n := len(data)) > 1",
        "if any((n := item) > 1 for item in data)",
        "while (n := len(data)) < 1",
    ],
)
def test_a_name_that_a_condition_binds_comes_back_on_a_hit(kernel, test):
    kernel.run("data = [1, 2]")
    cell = f"#| step: counted\n{test}:\n    pass"
    kernel.run(cell)
    kernel.run("del n")
    assert "cached" in kernel.run(cell)
    assert kernel.run("n") == "2"


def test_an_annotated_name_is_a_name(kernel):
    cell = "#| step: noted\nn: int = 3\nn"
    assert lines(kernel.run(cell)) == ["3"]
    kernel.run("other: str = 'another annotation in the notebook'")
    assert "cached" in kernel.run(cell)


@pytest.mark.parametrize("wait", ["", "wait=True"])
def test_what_a_cell_cleared_away_is_not_shown_again(kernel, wait):
    cell = (
        "#| step: progress -> n\n"
        "from IPython.display import clear_output\n"
        "for n in range(5):\n"
        f"    clear_output({wait})\n"
        "    print(n, 'of 5'); display(n)"
    )
    kernel.run(cell)
    assert lines(kernel.run(cell))[:-1] == ["4 of 5", "4"]


if sys.version_info >= (3, 15):  # where `lazy` is a word

    def test_a_lazy_import_runs_on_a_hit_and_is_no_output(kernel):
        cell = "#| step: lazily\nlazy import json as j\nprint('live')\nn = j.dumps(1)"
        kernel.run(cell)
        kernel.run("%reset_selective -f ^(n|j)$")
        assert "cached" in kernel.run(cell)
        assert kernel.run("n, j.dumps(2)") == "('1', '2')"
        assert "live" in kernel.run(cell.replace("dumps(1)", "dumps(3)"))
