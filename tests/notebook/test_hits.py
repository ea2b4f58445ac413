"""Small things of a cell that comes from disk, as they are behind a cell that ran."""

from test_kernel import Kernel
from test_ordinary import played


def check(folder, *cells):
    """The cells come out the same plain, at first and from disk; what the last time said."""
    bare = [one.partition("\n")[2] if one.startswith("#|") else one for one in cells]
    plain, _, _ = played(folder, bare, "1")
    first, _, _ = played(folder, cells, "1")
    again, told, _ = played(folder, cells, "1")
    lines = lambda texts: [text.strip().splitlines() for text in texts]
    assert lines(first) == lines(plain)
    assert lines(again) == lines(plain)
    return told


def test_attributes_of_the_cells_own_functions_are_there(tmp_path):
    told = check(
        tmp_path,
        "#| step: f\ndef f(x):\n    f.calls += 1\n    return x\nf.calls = 0\nf(1)\nf.note = 'n'\nf(2)",
        "f.calls, f.note",
    )
    assert "cached" in told[0]


def test_the_last_value_is_where_ipython_keeps_it(tmp_path):
    told = check(
        tmp_path,
        "import pandas as pd",
        "#| step: last\ndf = pd.DataFrame({'a': [1, 2]})\ndf.sum()",
        "_.to_list(), _ is Out[3], __",
        "#| step: same\ndouble = df * 2\ndouble",
        "_ is double",
        "#| step: quiet\nx = 3\ndf.sum();",
        "_",
    )
    assert [number for number, text in enumerate(told) if "cached" in text] == [1, 3, 5]


def test_a_last_value_that_is_not_kept_says_so_and_is_no_older_one(tmp_path):
    cells = ["class A: pass", "1", "#| step: odd\nn = 2\nlambda: n", "_"]
    played(tmp_path, cells, "1")
    *_, shown = played(tmp_path, cells, "1")[0]
    assert (
        shown == "<the value that step cell odd showed is not kept: bind it to a name>"
    )


def test_what_imports_and_settings_print_and_warn_is_shown_once(tmp_path):
    (tmp_path / "loud.py").write_text("print('imported')")
    cells = [
        "import warnings, pandas as pd",
        "#| step: loud\npd.set_option('mode.copy_on_write', True)\nimport loud\nprint('ran')",
    ]
    first, _, _ = played(tmp_path, cells, "1")
    again, told, _ = played(tmp_path, cells, "1")
    assert "cached" in told[1]
    for name in ("imported", "ran", "set_option"):
        assert (first[1].count(name), again[1].count(name)) == (1, 1)


def test_what_an_import_says_now_and_did_not_say_then_is_shown(tmp_path):
    (tmp_path / "loud.py").write_text("import os\nprint(os.environ['SAID'])")
    kernels = []
    for said in ("one", "two"):
        kernel = Kernel(tmp_path)
        kernel.run(f"import os, nbflow; os.environ['SAID'] = '{said}'")
        kernels.append(kernel.run("#| step: loud\nimport loud\nn = 1"))
        kernel.close()
    assert kernels[0] == "one\n"
    assert kernels[1].splitlines()[:2] == ["one", "two"]


def test_a_progress_bar_is_shown_as_it_ended_and_a_closed_one_not_at_all(tmp_path):
    cells = [
        "from tqdm.notebook import tqdm",
        "#| step: bar\nfor i in tqdm(range(5)):\n    pass\nfor i in tqdm(range(5), leave=False):\n    pass",
    ]
    played(tmp_path, cells, "1")
    again, told, _ = played(tmp_path, cells, "1")
    assert "cached" in told[1]
    assert again[1].count("5/5") == 1
    assert "0/5" not in again[1]


def test_a_comment_that_reads_like_the_line_of_a_step_is_told_once_and_listed(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import nbflow")
        cell = "#| step load -> small\nsmall = 1\nsmall"
        first = kernel.run(cell)
        assert (
            "`#| step load -> small` is a comment, so this is no step cell: write `#| step: load -> small`."
            in first
        )
        assert kernel.run(cell) == "1"
        assert "write `#| step: load -> small`" in kernel.run("%step list")
        kernel.run(cell.replace("step", "step:"))
        assert "write" not in kernel.run("%step list")
    finally:
        kernel.close()
