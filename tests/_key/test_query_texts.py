"""Names in query texts are read: pandas, polars, DuckDB and the like look them up for a text."""

import ast
import sys
import types

import pandas as pd
import pytest

import nbflow as nf
from nbflow._key.cell_names import reach
from nbflow._key.reader import read


def names(function):
    return [part.name for part in read(function).parts]


FRAMES = "import pandas as pd, polars as pl\nthreads = pl.DataFrame({'a': [1, 2]})\n"


@pytest.mark.parametrize(
    "step",
    [
        "def step(df):\n    return df.query('a > @LIMIT')",
        "def step(df):\n    text = 'a > @LIMIT and b == '\n    return df.query(text + repr(df.b.max()))",
        "def step(df, b):\n    return df.query(f'a > @LIMIT and b == {b!r}')",
        "def step(df):\n    return df.eval('b = a * @LIMIT')",
        "def step(df):\n    return pd.eval('df.a + LIMIT')",
        "def step(df):\n    find = df.query\n    return find('a > @LIMIT')",
        "def step(dfs):\n    return [df.query('a > @LIMIT') for df in dfs]",
        "QUERY = 'a > @LIMIT'\ndef step(df):\n    return df.query(QUERY)",
        "QUERIES = {'big': ['a > @LIMIT']}\ndef step(df, name):\n    return df.query(QUERIES[name][0])",
        "import enum\nclass Q(enum.StrEnum):\n    BIG = 'a > @LIMIT'\ndef step(df):\n    return df.query(Q.BIG)",
        "class Query:\n    big = 'a > @LIMIT'\ndef step(df):\n    return df.query(Query.big)",
        (
            "class Settings:\n    def __init__(self):\n        self.query, self.me = 'a > @LIMIT', self\n"
            "SETTINGS = Settings()\ndef step(df):\n    return df.query(SETTINGS.query)"
        ),
        "def step(df):\n    return df.pipe(lambda part: part.query('a > @LIMIT'))",
        (
            "class Filter:\n    def big(self, df):\n        return df.query('a > @LIMIT')\n"
            "def step(df):\n    return Filter().big(df)"
        ),
        "def step(df, text='a > @LIMIT'):\n    return df.query(text)",
        "def find(df, text):\n    return df.query(text)\ndef step(df):\n    return find(df, 'a > @LIMIT')",
        "def where():\n    return 'a > @LIMIT'\ndef step(df):\n    return df.query(where())",
        "def step(df):\n    return smf.ols('y ~ center(x, LIMIT)', df)",
    ],
)
def test_a_name_in_a_query_text_is_read(notebook, step):
    notebook.run(f"LIMIT = 3\n{step}")
    before = read(notebook["step"])
    assert "LIMIT" in names(notebook["step"])
    notebook.run("LIMIT = 4")
    assert read(notebook["step"]).digest != before.digest
    notebook.run("LIMIT = 3")
    assert read(notebook["step"]).digest == before.digest


@pytest.mark.parametrize(
    "step",
    [
        "def step():\n    return pl.sql('select count(*) from threads', eager=True)",
        "from polars import sql\ndef step():\n    return sql('select a from threads', eager=True)",
        "def step():\n    c = pl.SQLContext(register_globals=True)\n    return c.execute('select * from threads')",
        "def step(n):\n    return pl.SQLContext.execute_global(f'select * from \"threads\" limit {n}')",
    ],
)
def test_a_table_that_sql_names_is_read(notebook, step):
    notebook.run(f"{FRAMES}count = 2\n{step}")
    before = read(notebook["step"])
    assert "threads" in names(notebook["step"])
    assert "count" not in names(notebook["step"])  # no table
    notebook.run("threads = pl.DataFrame({'a': [1, 3]})")
    assert read(notebook["step"]).digest != before.digest


def test_a_table_that_is_made_later_is_noticed(notebook):
    notebook.run(FRAMES.replace("threads =", "other ="))
    notebook.run("def step():\n    return pl.sql('select * from threads', eager=True)")
    before = read(notebook["step"])
    notebook.run("threads = 3")
    assert read(notebook["step"]).digest == before.digest
    notebook.run("threads = other")
    assert read(notebook["step"]).digest != before.digest


def test_a_cursor_reads_no_frame_that_is_called_as_its_table(notebook, monkeypatch):
    """What `cursor.execute` gives is often bound to the name of its table."""
    monkeypatch.delitem(sys.modules, "duckdb", raising=False)
    notebook.run(
        f"{FRAMES}def step(cursor):\n    return cursor.execute('select * from threads')"
    )
    assert "threads" not in names(notebook["step"])


@pytest.mark.parametrize("imported", [True, False])
def test_the_tables_of_duckdb_are_read(notebook, monkeypatch, imported):
    """Whether or not it is loaded before the step has run."""
    if imported:
        monkeypatch.setitem(sys.modules, "duckdb", types.ModuleType("duckdb"))
    else:
        monkeypatch.delitem(sys.modules, "duckdb", raising=False)
    notebook.run(
        f"{FRAMES}def step(connection):\n"
        "    return connection.execute('select sum(a) from threads').fetchall()\n"
        "def alone():\n    import duckdb\n    return duckdb.connect().execute('select a from threads')"
    )
    assert ("threads" in names(notebook["step"])) is imported
    assert "threads" in names(notebook["alone"])
    monkeypatch.setitem(sys.modules, "duckdb", types.ModuleType("duckdb"))
    assert "threads" in names(notebook["step"])


def test_duckdb_gives_another_answer_once_its_table_changed(notebook, tmp_path):
    pytest.importorskip("duckdb")
    nf.use(tmp_path / "store")
    notebook.run(
        f"import duckdb, nbflow as nf\n{FRAMES}@nf.step\ndef total():\n"
        "    return duckdb.sql('select sum(a) from threads').fetchall()[0][0]"
    )
    assert notebook["total"]() == 3
    notebook.run("threads = pl.DataFrame({'a': [5]})")
    assert notebook["total"]() == 5


def test_a_local_variable_hides_a_global_in_a_query_text(notebook):
    notebook.run(
        "LIMIT = 3\ndef step(df, LIMIT):\n    return df.query('a > @LIMIT')\n"
        "def other(df):\n    LIMIT = df.a.mean()\n    return df.query('a > @LIMIT')"
    )
    assert names(notebook["step"]) == ["step"]
    assert names(notebook["other"]) == ["other"]


def test_a_function_in_a_query_text_is_read_with_what_it_reads(notebook):
    notebook.run(
        "RATE = 2\ndef scaled(x):\n    return x * RATE\n"
        "def step(df):\n    return df.query('a > @scaled(3)')"
    )
    assert names(notebook["step"]) == ["step", "scaled", "RATE"]


def test_texts_of_code_that_looks_up_no_names_read_nothing(notebook):
    notebook.run("LIMIT = 3\ndef step(text):\n    return f'{text}: a > @LIMIT'")
    assert names(notebook["step"]) == ["step"]


def test_a_step_runs_again_when_a_name_in_its_query_changed(notebook, tmp_path):
    nf.use(tmp_path / "store")
    notebook.run(
        "import nbflow as nf\nLIMIT = 1\n@nf.step\ndef big(df):\n"
        "    return df.query('a > @LIMIT')['a'].tolist()\n"
    )
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert notebook["big"](frame) == [2, 3]
    notebook.run("LIMIT = 2")
    assert notebook["big"](frame) == [3]
    assert "`LIMIT`" in str(notebook["big"].explain(frame))


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        ("big = df.query('a > @LIMIT')", {("LIMIT",)}),
        ("text = 'a > @LIMIT'\nbig = df.query(text)", {("LIMIT",)}),
        ("LIMIT = 3\nbig = df.query('a > @LIMIT')", set()),
        ("def f():\n    return df.query('a > @LIMIT')\nLIMIT = 3\nbig = f()", set()),
        ("for LIMIT in (1, 2):\n    print(df.query('a > @LIMIT'))", set()),
        ("big = df.query('a > @np.pi')", {("np", "pi")}),
        ("print('a > @LIMIT')", set()),
    ],
)
def test_a_cell_reads_the_names_in_its_query_texts_unless_it_bound_them(cell, asked):
    found = reach(ast.parse(cell).body).asked
    assert (
        set().union(*(chains for asks, chains in found if asks.names == "@")) == asked
    )


def test_a_frame_is_a_table_of_sql_whatever_its_library(notebook):
    notebook.run(
        f"{FRAMES}import pyarrow as pa\nold = pd.DataFrame({{'a': [1]}})\n"
        "arrow = pa.table({'a': [1]})\nlabels = ['a']\n"
        "def step():\n    return pl.sql('select labels from old, arrow join threads')"
    )
    assert {"arrow", "old", "threads"} <= {*names(notebook["step"])}
    assert "labels" not in names(notebook["step"])
