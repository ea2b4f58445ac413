"""`nbflow check`: what may go wrong when nobody watches, found without running anything."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

import nbflow as nf
from nbflow import cli
from nbflow.notebook.check import LEVELS, check
from nbflow.notebook.rewrite import near_step


@pytest.fixture
def found(folder):
    """(rule, cell, line) of what is found in a notebook of these cells; none is about pins."""

    def found(*cells, counts=None, outputs=None):
        path = folder.write(*cells)
        if counts or outputs:
            document = nbformat.read(path, as_version=4)
            for cell, count in zip(document.cells, counts or (), strict=False):
                cell.execution_count = count
            for place, texts in (outputs or {}).items():
                document.cells[place].outputs = [
                    new_output("stream", text=text) for text in texts
                ]
            nbformat.write(document, path)
        return [
            (one.rule, one.cell, one.line)
            for one in check(path)
            if one.rule != "unpinned"
        ]

    return found


@pytest.mark.parametrize(
    "cell",
    [
        "%%step --retries 2 a -> b\nb = 1",
        "#| step: a -> b --nonsense\nb = 1",
        "#| step: a --version 'x\nb = 1",
        "#| step:\nb = 1",
    ],
)
def test_a_step_cell_whose_first_line_cannot_be_read_is_found(cell, found):
    assert found(cell) == [("syntax", 1, 1)]


NEAR = [
    ("#| step load -> small\nsmall = 1", 1, "#| step: load -> small"),
    ("#| Step: load -> small\nsmall = 1", 1, "#| step: load -> small"),
    ("# step: load\nsmall = 1", 1, "#| step: load"),
    ("# | step: load\nsmall = 1", 1, "#| step: load"),
    ("\n#| steps: load --ttl 1d\nsmall = 1", 2, "#| step: load --ttl 1d"),
    ("# the data\n#| step: load\nsmall = 1", 2, "first line"),
    ("import math\n#| step: load\nsmall = 1", 2, "first line"),
]


@pytest.mark.parametrize(("cell", "line", "todo"), NEAR)
def test_a_comment_that_reads_like_the_line_of_a_step_is_found(cell, line, todo, found):
    assert found(f"\n{cell}") == [("step-line", 1, line + 1)]
    assert todo in near_step(cell).todo


@pytest.mark.parametrize(
    "cell",
    [
        "# Step 1: load the data\nx = 1",
        "# step: clean the names, then count\nx = 1",
        "# a step of its own\nx = 1",
        "x = 1\n# step: load",
        'text = """\n#| step: load\n"""',
        "#| label: fig-step\nx = 1",
        "%%time\n#| step: load\nx = 1",
    ],
)
def test_comments_about_steps_are_comments(cell, found):
    assert found(cell if cell.startswith("%") else f"\n{cell}") == []


@pytest.mark.parametrize(
    ("cell", "findings"),
    [
        ("#| step: a -> b\nc = 1", [("step-line", 1, 1)]),
        ("%%step a -> x\nx = _", [("uncacheable-step", 1, 1)]),
        ("\n#| step: a\nfrom math import *\nx = pi", [("uncacheable-step", 1, 2)]),
        ("#| step: a\nx = eval('1')", [("uncacheable-step", 1, 1)]),
        (
            "#| step: a\nx = open('x.txt').read() + open('y.txt').read()",
            [("unseen-input", 1, 2)],
        ),
        ("#| step: a --ttl 1d\nimport time\nx = time.time()", []),
        ("#| step: a --version 2\nx = open('x.txt').read()", []),
        ("#| step: a -> Model\nclass Model:\n    size = 1", []),
        (
            "import nbflow as nf\n#| step: in the middle of a cell\nx = open('x.txt').read()",
            [],
        ),
    ],
)
def test_what_a_step_cell_does_not_save_or_see_is_found(cell, findings, found):
    assert found(cell) == findings


def test_two_step_cells_of_one_name_are_found(found):
    assert found("#| step: a\nx = 1", "#| step: b\ny = 1", "#| step: a\nz = 1") == [
        ("step-line", 3, 1)
    ]


def test_a_step_cell_may_read_a_file_whose_content_it_is_given(found):
    assert (
        found(
            "import nbflow as nf\npath = nf.file('x.txt')",
            "#| step: a\nx = open(path).read()",
        )
        == []
    )


@pytest.mark.parametrize(
    "cell",
    [
        "if 'df' in globals():\n    print(df)",
        "x = 1 if 'df' not in dir() else df",
        "try:\n    df\nexcept NameError:\n    df = 1",
        "try:\n    df.size\nexcept (AttributeError, NameError):\n    pass",
    ],
)
def test_a_name_that_the_cell_asks_for_need_not_be_there(cell, found):
    assert found(cell) == []
    assert (
        found(
            cell.replace("NameError", "KeyError")
            .replace("globals()", "[]")
            .replace("dir()", "[]")
        )
        != []
    )


def test_what_a_class_binds_may_annotate_what_is_in_it(found):
    cell = "class A:\n    Unit = int\n    size: Unit = 1\n    def use(self, x: Unit): return x\n"
    assert found(cell) == []
    assert (
        found(
            cell
            + "    if size:\n        more: Unit = 2\nn: int = 1\nif n:\n    m: int = n"
        )
        == []
    )
    assert found(cell.replace("    Unit = int\n", "")) != []


def test_a_module_that_the_notebook_writes_is_there(found):
    assert found("%%writefile made_here.py\nx = 1", "import made_here") == []
    assert found("%%writefile made_here.txt\nx = 1", "import made_here") == [
        ("missing-package", 2, 1)
    ]


def test_a_clean_notebook_has_no_findings(found):
    cells = [
        ("day: str\nlimit = 5", "parameters"),
        "import json\nimport nbflow as nf\nfrom pathlib import Path",
        "@nf.step(timeout=30)\ndef ask(text):\n    return helper(text) + LIMIT",
        "def helper(text):\n    return text\nLIMIT = limit",
        (
            "class Thread:\n"
            "    size = 1\n"
            "    double = 2 * size\n"
            "    def read(self):\n"
            "        return [line for line in open(day)]"
        ),
        (
            "rows = [{k: v for k, v in zip('ab', row)} for row in ['xy']]\n"
            "await_me = lambda x: x + LIMIT\n"
            "%time total = len(rows)\n"
            "print(total, _, _3)"
        ),
        "%matplotlib inline",
        "import asyncio\nawait asyncio.sleep(0)",
        "try:\n    import ujson_is_optional\nexcept ImportError:\n    ujson_is_optional = json",
        "del rows\nrows = 1\nrows",
        "%%capture out\nprint(1)",
        "out.show()",
    ]
    assert found(*cells) == []


def test_names_that_only_the_kernel_has(found):
    assert found("x = y", "y = 1\nz = 1") == [("undefined-name", 1, 1)]
    assert found("def f():\n    return never", "f()") == [("undefined-name", 1, 2)]
    assert found("a = 1\ndel a", "print(1)\nprint(a)") == [("undefined-name", 2, 2)]
    assert found("b\nb = 1") == [("undefined-name", 1, 1)]
    assert found("class A:\n    size = missing") == [("undefined-name", 1, 2)]
    assert found("[q for q in missing if q in gone]") == [("undefined-name", 1, 1)] * 2
    assert found("%time x = missing") == [("undefined-name", 1, 1)]
    assert found("\nopen(__file__)") == [("undefined-name", 1, 2)]


def test_behind_a_star_import_no_name_is_called_undefined(found):
    assert found("from os.path import *", "join('a', 'b')") == []


def test_it_says_where_a_name_is_defined(folder):
    (one,) = check(folder.write("print(df)", "x = 1", "df = 1"))
    assert one.what == "`df` is used here and defined in cell 3 only"
    assert one.level == "error"
    assert "Move cell 3 up" in one.todo


def test_cells_run_out_of_order_and_cells_not_run(found):
    assert found("a = 1", "b = 1", "c = 1", counts=[1, 3, 2]) == [
        ("out-of-order", 3, None)
    ]
    assert found("a = 1", "b = 1", "c = 1", counts=[4, None, 6]) == [
        ("not-run", 2, None)
    ]
    assert found("a = 1", "b = 1") == [], (
        "a notebook without outputs is nothing to wonder at"
    )


KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def test_secrets_in_sources_and_outputs_are_found_and_not_repeated(found, folder):
    assert found(f"x = 1\nkey = '{KEY}'") == [("secret", 1, 2)]
    assert found(
        "dict(api_key='abc12345')",
        "d = {'password': 'hunter22'}",
        "dict.token = 'abc12345'",
        "def f(*, secret='abc12345'): ...",
    ) == [("secret", cell, 1) for cell in (1, 2, 3, 4)]
    assert found("url = 'postgres://anna:geheim1@db/x'") == [("secret", 1, 1)]
    assert found(f"%env OPENAI_API_KEY={KEY}") == [("secret", 1, 1)]
    assert found(f"# Title {KEY}", "x = 1") == [("secret", None, None)]
    assert found("print(1)", outputs={0: ["hello", "AKIAABCDEFGHIJKLMNOP"]}) == [
        ("secret", 1, None)
    ]
    assert (
        found(
            "api_key = ''\ntoken = '<your token>'\npassword = None\nmax_tokens = 500\nsecret = input"
        )
        == []
    )
    for free in ("EMPTY", "ollama", "lm-studio", "not-needed", "local", "sk-no-key"):
        assert found(f"dict(api_key='{free}')") == [], free
    found(f"key = '{KEY}'", outputs={0: [KEY]})
    assert KEY[:8] not in str(check(folder.path / "job.ipynb"))


def test_paths_of_this_machine(found):
    assert found(
        "a = '/home/anna/x.csv'\nb = '~/x.csv'\nc = r'C:\\data\\x.csv'\nd = '/Users/anna'"
    ) == [("absolute-path", 1, line) for line in (1, 2, 3, 4)]
    assert (
        found(
            "a = 'data/x.csv'\nb = '/api/v1/users'\nc = 'https://x.y/home/z'\nd = '~'\ne = '/'"
        )
        == []
    )


def test_magics_and_calls_that_do_not_hold_headless(found):
    assert found("%pip install x\n!pip install y\n!python -m pip install z") == [
        ("installs", 1, line) for line in (1, 2, 3)
    ]
    assert found("!ls\nfiles = !ls", "%%bash\nls") == [
        ("shell", 1, 1),
        ("shell", 1, 2),
        ("shell", 2, 1),
    ]
    assert found("%debug", "x = input('?')", "breakpoint()") == [
        ("waits-for-a-person", cell, 1) for cell in (1, 2, 3)
    ]
    assert found(
        "%matplotlib widget", "%%javascript\nalert(1)", "%cd ..", "%store -r x"
    ) == [
        ("front-end", 1, 1),
        ("front-end", 2, 1),
        ("working-directory", 3, 1),
        ("local-state", 4, 1),
    ]
    assert found("%sql select 1") == [("unknown-magic", 1, 1)]
    assert found("%load_ext sql", "%sql select 1") == []
    assert found("text = '''\n!not a shell line\n%nor a magic\n'''") == []


def test_what_is_no_python(found):
    assert found("x = (", "y = 1") == [("syntax", 1, 1)]
    assert found("return 1") == [("syntax", 1, 1)]


def test_parameters_that_no_job_could_give(found):
    assert found(("a = 1", "parameters"), ("b = 1", "parameters")) == [
        ("parameters", 2, None)
    ]


def test_what_a_step_s_key_does_not_see(found):
    step = "import nbflow as nf, time, os, random\n@nf.step({})\ndef f(x):\n    {}\n    return x"
    assert found(step.format("", "t = time.time()")) == [("unseen-input", 1, 4)]
    assert found(step.format("ttl='1d'", "t = time.time()")) == []
    assert found(step.format("", "t = random.random()")) == [("unseen-input", 1, 4)]
    assert found(step.format("", "t = os.environ['X']")) == [("unseen-input", 1, 4)]
    assert found(step.format("", "t = open('x').read()")) == [("unseen-input", 1, 4)]
    assert found(step.format("depends_on=1", "t = open('x').read()")) == []
    assert found(step.format("", "open('x', 'w').write(x)")) == []
    assert found(step.format("", "eval(x)")) == [("uncacheable-step", 1, 4)]
    assert found(step.format("", "yield x")) == [("uncacheable-step", 1, 4)]
    assert found("import time\ndef f():\n    return time.time()") == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("df.query('a > @LIMIT')", False),
        ("df.query(TEXT)", False),
        ("df.query(f'a > @LIMIT and b == {n}')", False),
        ("df.query(f'a > @{n}')", True),
        ("df.query(n)", True),
        ("df.query('a > @{}'.format(n))", True),
        ("df.eval('b = a * @' + n)", True),
        ("pl.sql(f'select * from {n}')", True),
        ("duckdb.execute(f'select * from {n}')", True),
        ("cursor.execute(f'select * from {n}')", False),
        ("other(f'select * from {n}')", False),
    ],
)
def test_a_query_text_that_is_built_at_run_time_is_found(found, line, is_found):
    top = "import nbflow as nf, polars as pl\nLIMIT, TEXT = 3, 'a > @LIMIT'\nother = duckdb = cursor = pl\n"
    assert found(f"{top}@nf.step\ndef f(df, n):\n    return {line}") == (
        [("unseen-input", 1, 6)] if is_found else []
    )


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("q = f'a > @{n}'", True),
        ("q: str = 'a > @{}'.format(n)", True),
        ("q = 'a > @'\n    q += n", True),
        ("q = 'a > @LIMIT'", False),
        ("q = f'a > @LIMIT and b == {n}'", False),
    ],
)
def test_a_query_text_that_has_a_name_of_its_own_is_found(found, text, is_found):
    top = "import nbflow as nf\nLIMIT = 3\n"
    rules = [("unseen-input", 1, 6 + text.count("\n"))] if is_found else []
    step = f"@nf.step\ndef f(df, n):\n    {text}\n    return df.query(q)"
    assert found(top + step) == rules
    cell = text.replace("\n    ", "\n")
    assert [
        rule
        for rule, _, _ in found(
            f"#| step: s -> out\nn, df = 'LIMIT', None\n{cell}\nout = df.query(q)"
        )
    ] == ["unseen-input"] * is_found


def pins(folder):
    return [
        one
        for one in check(folder.path / "job.ipynb")
        if one.rule in ("unpinned", "missing-package")
    ]


def test_packages_are_here_and_pinned(folder):
    folder.write(
        "import json, sys\nimport pandas as pd",
        "import yaml_that_is_not_here",
        "from pydantic import BaseModel",
    )
    unpinned, missing = pins(folder)
    assert (unpinned.rule, unpinned.cell, unpinned.line) == ("unpinned", 1, 2)
    assert (
        "no file beside the notebook pins a version of pandas, pydantic"
        in unpinned.what
    )
    assert "pandas==" in unpinned.todo
    assert (missing.rule, missing.cell) == ("missing-package", 2)
    (folder.path / "yaml_that_is_not_here.py").touch()
    (folder.path / "requirements.txt").write_text(
        "# ours\npandas==2.2.3  # pinned\nPydantic>=2 ; python_version > '3'\n"
    )
    (one,) = pins(folder)
    assert one.what == "requirements.txt pins no version of pydantic"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("requirements.txt", "pandas==2\npydantic[email] == 2\n"),
        (
            "environment.yml",
            "dependencies:\n  - pandas=2.2\n  - pip:\n    - pydantic==2\n",
        ),
        (
            "pyproject.toml",
            '[project]\nname = "x"\ndependencies = ["pandas==2"]\n[dependency-groups]\ndev = ["pydantic==2"]\n',
        ),
        ("uv.lock", '[[package]]\nname = "pandas"\n[[package]]\nname = "pydantic"\n'),
        (
            "pylock.toml",
            '[[packages]]\nname = "pandas"\n[[packages]]\nname = "pydantic"\n',
        ),
    ],
)
def test_pins_are_read_from_what_projects_use(folder, name, content):
    folder.write("import pandas, pydantic")
    (folder.path / name).write_text(content)
    assert pins(folder) == []


def test_nothing_of_the_notebook_is_run(folder):
    folder.write("open('ran', 'w')", "import this_runs_nothing")
    (folder.path / "this_runs_nothing.py").write_text("open('ran', 'w')")
    check(folder.path / "job.ipynb")
    assert not (folder.path / "ran").exists()


def test_the_command_speaks_to_people_and_programs(folder, capsys):
    path = folder.write("x = 1", "print(y)\n!ls")
    assert cli.main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "1 error, 1 warning" in said
    assert "cell 2 line 1  `y` is defined in no cell [undefined-name]" in said
    assert "→ Define it in a cell above" in said
    assert not [line for line in said.splitlines() if line != line.rstrip()]
    assert cli.main(["check", "--json", str(path)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "nbflow.check/1"
    listed = answer["findings"]
    assert len(listed) == 2
    assert listed[0] | {"why": "", "todo": ""} == {
        "notebook": str(path),
        "rule": "undefined-name",
        "level": "error",
        "cell": 2,
        "line": 1,
        "what": "`y` is defined in no cell",
        "why": "",
        "todo": "",
    }


def test_what_makes_the_exit_code_is_told_by_fail_on(folder, capsys):
    path = folder.write("!ls")
    assert cli.main(["check", str(path)]) == 0
    assert cli.main(["check", str(path), "--fail-on", "warning"]) == 1
    assert cli.main(["check", str(folder.write("x = 1")), "--fail-on", "note"]) == 0
    assert "nothing found" in capsys.readouterr().out
    path.write_text("no notebook")
    assert cli.main(["check", str(path)]) == 2


def test_the_notebooks_of_this_project_pass(folder):
    for path in (Path(nf.__file__).parents[1] / "notebooks").glob("*.ipynb"):
        assert [one for one in check(path) if one.level == "error"] == []


def test_the_docs_list_every_rule():
    root = Path(nf.__file__).parents[1]
    sources = "".join(
        path.read_text()
        for path in (root / "nbflow" / "notebook" / "check").glob("*.py")
    )
    rules = set(
        re.findall(r'\(\s*"([a-z-]+)",\s+(?:level|"error"|"warning"|"note")', sources)
    )
    page = (Path(__file__).parents[2] / "docs" / "headless.md").read_text()
    listed = set(
        re.findall(
            r"`([a-z-]+)`",
            "".join(
                line.split("|")[2]
                for line in page.splitlines()
                if line.startswith("|")
                and line.rstrip().endswith(("error |", "warning |", "note |"))
            ),
        )
    )
    assert rules - set(LEVELS) == listed
