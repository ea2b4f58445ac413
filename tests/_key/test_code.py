"""What a function reaches is part of what it is; how it is written down is not."""

import functools
import importlib
import linecache
import sys
import types

import pytest

from nbflow._key import mutation
from nbflow._key.reader import read
from nbflow._session import SESSION
from nbflow.errors import UnkeyableError


def names(function):
    return [part.name for part in read(function).parts]


def differs(new_notebook, before, after, name="step"):
    """Run two versions of a cell in two kernels; tell whether the step is another one."""
    one, other = new_notebook(), new_notebook()
    one.run(before)
    other.run(after)
    return read(one[name]).digest != read(other[name]).digest


HELPERS = """
LIMIT = 3
def clean(text):
    return text.strip()[:LIMIT]
def step(text):
    return clean(text).upper()
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text.strip()[:LIMIT]", "text.strip()[:LIMIT]  # a comment"),
        ("def clean(text):", "def clean(text: str) -> str:"),
        ("def clean(text):", 'def clean(text):\n    """Say what it does."""'),
        ("def step(text):", 'def step(\n    text,\n):\n    """Say what it does."""\n'),
        ("LIMIT = 3", "\n\n\nOTHER = 4\nLIMIT = 0x3"),
        ("return clean(text).upper()", "return (clean(text)\n            .upper())"),
        (
            "return clean(text).upper()",
            "result: str = clean(text).upper()\n    return result",
        ),
    ],
)
def test_cosmetic_edits(new_notebook, old, new):
    before = HELPERS
    if "result: str" in new:
        before = HELPERS.replace(old, "result = clean(text).upper()\n    return result")
    assert not differs(new_notebook, before, HELPERS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text.strip()[:LIMIT]", "text.lstrip()[:LIMIT]"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = None"),
        (".upper()", ".lower()"),
        ("def clean(text)", "def clean(text, extra=1)"),
        ("def step(text)", "def step(text, *, extra=None)"),
    ],
)
def test_semantic_edits(new_notebook, old, new):
    assert differs(new_notebook, HELPERS, HELPERS.replace(old, new))


def test_parts_name_what_is_reached(notebook):
    notebook.run(HELPERS)
    assert names(notebook["step"]) == ["step", "clean", "LIMIT"]


def test_the_part_that_changed_is_the_one_that_differs(notebook):
    notebook.run(HELPERS)
    before = read(notebook["step"]).parts
    notebook.run("LIMIT = 4")
    after = read(notebook["step"]).parts
    assert [part.name for part in before if part not in after] == ["LIMIT"]


def test_parts_have_the_text_that_they_were_read_from(notebook):
    notebook.run(
        "LIMITS = {'a': [1]}\nPROMPT = 'Pick one.'\n\nclass Label:\n    names ="
        " ['a']\ndef step(x):\n    # why\n    return LIMITS, PROMPT, Label\n"
    )
    texts = {part.name: (part.kind, part.text) for part in read(notebook["step"]).parts}
    assert texts["step"] == (
        "function",
        "def step(x):\n    # why\n    return LIMITS, PROMPT, Label\n",
    )
    assert texts["LIMITS"] == ("value", "{'a': [1]}")
    assert texts["PROMPT"] == ("value", "Pick one.")
    assert texts["Label"] == ("class", "class Label:\n    names = ['a']")


@pytest.mark.parametrize(
    "line",
    [
        "API_KEY = 'hunter2hunter2'",
        "KEY = 'sk-proj-hunter2hunter2hunter2'",
        "OPTIONS = {'password': 'hunter2hunter2'}",
        "URL = 'postgres://me:hunter2hunter2@host/db'",
        "FROM_ENVIRONMENT = 'hunter2hunter2'",
    ],
)
def test_no_text_holds_a_secret(notebook, monkeypatch, line):
    monkeypatch.setenv("SERVICE_TOKEN", "hunter2hunter2")
    name = line.partition(" ")[0]
    notebook.run(
        f"{line}\ndef step(x):\n    password = 'hunter2hunter2'\n    return {name}, call(token='hunter2hunter2')\n"
    )
    code = read(notebook["step"])
    assert name in [part.name for part in code.parts]
    assert "hunter2" not in repr(code)


def test_a_cell_run_again_changes_nothing(notebook):
    notebook.run(HELPERS)
    before = read(notebook["step"])
    notebook.run(HELPERS)
    assert read(notebook["step"]) == before


def test_a_helper_redefined_in_a_later_cell_is_noticed_at_once_and_so_is_its_return(
    notebook,
):
    notebook.run(HELPERS)
    step, before = notebook["step"], read(notebook["step"]).digest
    notebook.run("def clean(text):\n    return text\n")
    assert read(step).digest != before
    notebook.run("def clean(text):\n    return text.strip()[:LIMIT]\n")
    assert read(step).digest == before


def test_a_helper_defined_only_later_is_noticed(notebook):
    notebook.run("def step(x):\n    return later(x)\n")
    before = read(notebook["step"]).digest
    notebook.run("def later(x):\n    return x\n")
    assert read(notebook["step"]).digest != before


def test_new_code_put_into_an_old_function_is_noticed(notebook):
    notebook.run(HELPERS + "def other(text):\n    return text\n")
    before = read(notebook["step"]).digest
    notebook["clean"].__code__ = notebook["other"].__code__
    assert read(notebook["step"]).digest != before


def test_an_unchanged_function_is_not_read_again(notebook):
    notebook.run(HELPERS)
    assert read(notebook["step"]) is read(notebook["step"])


def test_each_of_two_functions_of_one_name_has_its_own_source(notebook):
    notebook.run("def step(x):\n    return x + 1\n")
    first = notebook["step"]
    notebook.run("def step(x):\n    return x + 2\n")
    assert read(first).digest != read(notebook["step"]).digest


def test_the_source_is_not_believed_once_the_file_says_something_else(
    local_module, monkeypatch
):
    monkeypatch.setattr(
        sys, "dont_write_bytecode", True
    )  # Python takes an edit within a second for none
    path = local_module("edited", "def step(x):\n    return x + 1\n")
    step = importlib.import_module("edited").step
    path.write_text("def step(x):\n    return x + 2\n")
    old = read(step).digest
    local_module("edited", "def step(x):\n    return x + 2\n")
    assert read(importlib.import_module("edited").step).digest != old


def test_a_function_that_moved_in_its_file_is_known_without_a_reload(
    local_module, notebook
):
    path = local_module(
        "words",
        "def f(x):\n    return x + 1\nclass A:\n    def f(self):\n        return 1\n",
    )
    notebook.run("import words\ndef step(x):\n    return words.f(x)\n")
    before = read(notebook["step"]).digest
    path.write_text("# more to read\nLIMIT = 3\n\ndef f(x):\n    return x + 1\n")
    linecache.checkcache()
    notebook.run("def step(x):  # run again\n    return words.f(x)\n")
    assert read(notebook["step"]).digest == before
    path.write_text("# more to read\nLIMIT = 3\n\ndef f(x):\n    return x + 2\n")
    linecache.checkcache()
    notebook.run("def step(x):  # and again\n    return words.f(x)\n")
    assert read(notebook["step"]).digest != before


def test_mutual_recursion(new_notebook):
    cell = "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    assert not differs(new_notebook, cell, cell, "even")
    assert differs(new_notebook, cell, cell.replace("n != 0", "n > 0"), "even")
    assert differs(new_notebook, cell, cell, "odd") is False


CLOSURE = """
def make(factor, shift):
    def scale(x):
        return x * factor
    def step(x):
        return scale(x) + shift
    return step
step = make(2, 1)
"""


@pytest.mark.parametrize(
    "new", ["make(3, 1)", "make(2, 0)", "make(2, 1.0)", "make(2, True)"]
)
def test_closures_count_through_functions(new_notebook, new):
    assert differs(new_notebook, CLOSURE, CLOSURE.replace("make(2, 1)", new))


def test_a_counter_does_not_count_and_its_neighbour_does(notebook):
    notebook.run(
        "CALLS = 0\nSTEP = 1\ndef step(x):\n    global CALLS\n    CALLS += STEP\n    return x\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before
    notebook.run("STEP = 2")
    assert read(notebook["step"]).digest != before


def test_a_counter_rebound_by_a_helper_does_not_count(notebook):
    notebook.run(
        "N = 0\ndef bump():\n    global N\n    N += 1\ndef step(x):\n    bump()\n    return x, N > 100\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before


def test_a_nonlocal_counter_does_not_count(notebook):
    notebook.run(
        "def make():\n    n = 0\n    def step(x):\n        nonlocal n\n        n += 1\n        return x\n"
        "    return step\nstep = make()\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before


def test_a_client_made_on_first_use_does_not_count(notebook):
    notebook.run(
        "class Client:\n    def ask(self, x):\n        return x\n"
        "_client = None\n"
        "def client():\n    global _client\n    if _client is None:\n        _client = Client()\n    return _client\n"
        "def step(x):\n    return client().ask(x)\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before
    notebook.run("class Client:\n    def ask(self, x):\n        return -x\n")
    assert read(notebook["step"]).digest != before


def test_the_content_of_a_global_counts_wherever_it_was_changed(notebook):
    notebook.run("ROWS = [1]\ndef step(x):\n    return ROWS\n")
    before = read(notebook["step"]).digest
    notebook["ROWS"].append(2)
    appended = read(notebook["step"]).digest
    assert appended != before
    notebook.run("ROWS = [1, 2]")
    assert read(notebook["step"]).digest == appended
    notebook.run("ROWS = [1]")
    assert read(notebook["step"]).digest == before
    notebook.run("ROWS = (1,)")
    assert read(notebook["step"]).digest != before


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ("{'a': [1]}", "X['a'].append(2)"),
        ("{1, 2}", "X.discard(2)"),
        ("collections.deque([1])", "X.append(2)"),
        ("np.array([1, 2])", "X[0] = 3"),
        ("pd.DataFrame({'a': [1, 2]})", "X.loc[0, 'a'] = 3"),
        ("pd.DataFrame({'a': [1, 2]})", "X.columns = ['b']"),
        ("pl.DataFrame({'a': [1, 2]})", "X = X.with_columns(pl.lit(1).alias('b'))"),
        ("types.SimpleNamespace(n=1)", "X.n = 2"),
        ("Thing(1)", "X.n = 2"),
        ("[Thing(1)]", "X[0].n = 2"),
        ("functools.partial(max, [1])", "X.args[0].append(2)"),
        ("{'a': 1}.get", "X.__self__['a'] = 2"),
    ],
)
def test_a_change_in_place_is_noticed_and_so_is_its_reversal(notebook, value, change):
    notebook.run(
        "import collections, functools, types\nimport numpy as np\nimport pandas as pd\nimport polars as pl\n"
        "class Thing:\n    def __init__(self, n):\n        self.n = n\n"
        f"X = {value}\ndef step(x):\n    return X\n"
    )
    before = read(notebook["step"]).digest
    notebook.run(f"X = {value}")
    assert read(notebook["step"]).digest == before
    notebook.run(change)
    assert read(notebook["step"]).digest != before
    notebook.run(f"X = {value}")
    assert read(notebook["step"]).digest == before


@pytest.mark.parametrize(
    "held",
    [
        "{'a': f, 'b': g}",
        "[f, g]",
        "{f, g}",
        "Thing(f, g)",
        "{'a': [functools.partial(f, 1)], 'b': g}",
        "[Thing(1, 2)]",
    ],
)
def test_functions_and_methods_inside_a_global_are_reached(new_notebook, held):
    cell = (
        "import functools\nclass Thing:\n    def __init__(self, *held):\n        self.held = held\n"
        "    def ask(self, x):\n        return f(x)\n"
        f"def f(x):\n    return x + 1\ndef g(x):\n    return x - 1\nX = {held}\ndef step(x):\n    return X\n"
    )
    assert not differs(new_notebook, cell, cell)
    assert not differs(
        new_notebook, cell, cell.replace("return x + 1", "return x + 1  # one more")
    )
    assert differs(new_notebook, cell, cell.replace("return x + 1", "return x + 2"))


def test_functions_swapped_in_a_global_are_noticed(notebook):
    notebook.run(
        "X = {'a': lambda x: x + 1, 'b': lambda x: x - 1}\ndef step(x):\n    return X['a'](x)\n"
    )
    before = read(notebook["step"]).digest
    notebook["X"].update(a=notebook["X"]["b"], b=notebook["X"]["a"])
    assert read(notebook["step"]).digest != before


def test_functions_that_call_each_other_through_a_global_are_read(new_notebook):
    cell = (
        "def even(n):\n    return n == 0 or TABLE['odd'](n - 1)\ndef odd(n):\n   "
        " return n != 0 and TABLE['even'](n - 1)\nTABLE = {'even': even, 'odd': odd}\n"
    )
    assert not differs(new_notebook, cell, cell, "even")
    assert differs(new_notebook, cell, cell.replace("n != 0", "n > 0"), "even")
    assert differs(new_notebook, cell, cell.replace("n == 0", "n < 1"), "odd")


def test_values_in_a_class_count(notebook):
    notebook.run(
        "class Config:\n    LABELS = [x for x in 'ab']\n    def labels(self):\n      "
        "  return self.LABELS\ndef step(x):\n    return Config().labels()\n"
    )
    before = read(notebook["step"]).digest
    notebook["Config"].LABELS.append("c")
    assert read(notebook["step"]).digest != before


OWN_CHANGES = """
import collections
SEEN = {value}
LIMIT = 2
def step(x):
    {change}
    return LIMIT, SEEN
"""


@pytest.mark.parametrize(
    ("value", "change", "others"),
    [
        ("[]", "SEEN.append(x)", "SEEN.append('other')"),
        ("{}", "SEEN[x] = SEEN.get(x, 0) + 1", "SEEN['other'] = 1"),
        ("collections.Counter()", "SEEN[x] += 1", "SEEN['other'] += 1"),
        ("{}", "SEEN.setdefault('n', []).append(x)", "SEEN['other'] = 1"),
        ("type('State', (), {})()", "SEEN.last = x", "SEEN.other = 1"),
    ],
)
def test_what_the_code_changes_itself_does_not_count_and_what_others_change_does(
    notebook, value, change, others
):
    notebook.run(OWN_CHANGES.format(value=value, change=change))
    code = read(notebook["step"])
    for x in (1, 2, 1):
        mutation.begin(code.changes)
        assert read(notebook["step"]).digest == code.digest
        notebook["step"](x)
        assert read(notebook["step"]).digest == code.digest
        mutation.end(code.changes)
    assert read(notebook["step"]).digest == code.digest
    assert "SEEN" in dict(code.uncounted)
    notebook.run(others)
    assert read(notebook["step"]).digest != code.digest
    notebook.run(f"SEEN = {value}")
    assert read(notebook["step"]).digest == code.digest


def test_an_iterator_in_a_global_is_refused_and_the_ways_out_are_named(notebook):
    notebook.run(
        "rows = iter([1, 2])\ndef clean(x):\n    return sum(rows)\ndef step(x):\n    return clean(x)\n"
    )
    with pytest.raises(
        UnkeyableError, match=r'rows is a list_iterator.*pass a list.*ignore=\["rows"\]'
    ):
        read(notebook["step"])
    assert list(notebook["rows"]) == [1, 2]
    notebook.run("rows = [1, 2]")
    assert read(notebook["step"]).digest


def test_what_has_no_content_counts_by_its_type_and_is_named(notebook):
    notebook.run(
        "import threading, sqlite3, sys\nlock = threading.Lock()\nout = sys.stdout\n"
        "class Odd:\n    def __reduce_ex__(self, version):\n        raise TypeError('no')\nodd = Odd()\n"
        "def step(x):\n    return lock, odd\n"
    )
    before = read(notebook["step"])
    assert {name for name, _ in before.uncounted} == {"lock", "odd"}
    notebook.run("lock = threading.Lock()\nodd = Odd()")
    assert read(notebook["step"]).digest == before.digest
    notebook.run("lock = threading.RLock()")
    assert read(notebook["step"]).digest != before.digest


def test_an_ignored_global_does_not_count(notebook):
    notebook.run("CACHE = {}\nLIMIT = 1\ndef step(x):\n    return CACHE, LIMIT\n")
    before = read(notebook["step"], frozenset({"CACHE"})).digest
    notebook.run("CACHE = {1: 2}")
    assert (
        read(notebook["step"], frozenset({"CACHE"})).digest
        == before
        != read(notebook["step"]).digest
    )
    notebook.run("LIMIT = 2")
    assert read(notebook["step"], frozenset({"CACHE"})).digest != before


@pytest.mark.parametrize(
    "new",
    [
        "('a', ('b',))",
        "frozenset({'a', 'b'})",
        "re.compile('a')",
        "Path('a')",
        "Colour.RED",
        "Decimal(1)",
    ],
)
def test_constants_that_count(notebook, new):
    notebook.run(
        "import enum, re\nfrom pathlib import Path\nfrom decimal import Decimal\n"
        "class Colour(enum.Enum):\n    RED = 1\n    BLUE = 2\nWORDS = ('a', 'b')\ndef step(x):\n    return WORDS\n"
    )
    before = read(notebook["step"]).digest
    notebook.run(f"WORDS = {new}")
    after = read(notebook["step"]).digest
    notebook.run(f"WORDS = {new}")
    assert read(notebook["step"]).digest == after != before


def test_names_read_only_inside_nested_functions_and_comprehensions_are_reached(
    notebook,
):
    notebook.run(
        "A, B, C, D = 1, 2, 3, 4\n"
        "def step(x):\n"
        "    class Inner:\n        a = A\n"
        "    def nested():\n        return [B for _ in x if (lambda: C)()]\n"
        "    return nested, f'{D}'\n"
    )
    assert names(notebook["step"]) == ["step", "A", "B", "C", "D"]


def test_attributes_of_local_modules_are_followed_and_only_those_that_are_read(
    local_module, notebook
):
    local_module(
        "texts",
        "import json\nLIMIT = 2\nUNUSED = 3\ndef cut(s):\n    return json.dumps(s)[:LIMIT]\n",
    )
    notebook.run("import texts\ndef step(x):\n    return texts.cut(x)\n")
    before = read(notebook["step"]).digest
    assert names(notebook["step"]) == ["step", "cut", "LIMIT"]
    sys.modules["texts"].UNUSED = 4
    assert read(notebook["step"]).digest == before
    sys.modules["texts"].LIMIT = 4
    assert read(notebook["step"]).digest != before


def test_a_patched_attribute_of_a_local_module_is_noticed(
    local_module, notebook, monkeypatch
):
    local_module("texts", "def cut(s):\n    return s\n")
    notebook.run("import texts\ndef step(x):\n    return texts.cut(x)\n")
    before = read(notebook["step"]).digest
    monkeypatch.setattr("texts.cut", lambda s: s[:1])
    assert read(notebook["step"]).digest != before


@pytest.mark.parametrize(
    "body",
    [
        "from texts import cut\n    return cut(x)",
        "import texts\n    return texts.cut(x)",
    ],
)
def test_imports_inside_a_function_are_followed_before_it_has_run(
    local_module, notebook, body
):
    local_module("texts", "def cut(s):\n    return s\n")
    notebook.run(f"def step(x):\n    {body}\n")
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before
    assert names(notebook["step"]) == ["step", "cut"]


@pytest.mark.parametrize(
    "body",
    [
        "module = texts\n    return module.cut(x)",
        "return MODULES['a'].cut(x)",
        "return call(texts, x)",
        "return getattr(texts, NAME)(x)",
        "return vars(texts)[NAME](x)",
    ],
)
def test_what_is_read_of_a_local_module_that_is_handed_around_counts(
    local_module, notebook, monkeypatch, body
):
    local_module("texts", "UNUSED = open(__file__)\ndef cut(s):\n    return s\n")
    notebook.run(
        f"import texts\nMODULES = {{'a': texts}}\nNAME = 'cut'\ndef call(module,"
        f" x):\n    return module.cut(x)\ndef step(x):\n    {body}\n"
    )
    before = read(notebook["step"]).digest
    with monkeypatch.context() as patch:
        patch.setattr("texts.cut", lambda s: s[:1])
        assert read(notebook["step"]).digest != before
    assert read(notebook["step"]).digest == before
    sys.modules["texts"].UNUSED.close()


def test_what_is_not_read_of_a_local_module_that_is_handed_around_does_not_count(
    local_module, notebook
):
    local_module("texts", "OTHER = 1\ndef cut(s):\n    return s\n")
    notebook.run(
        "import texts\ndef step(x):\n    module = texts\n    return module.cut(x)\n"
    )
    before = read(notebook["step"]).digest
    sys.modules["texts"].OTHER = 2
    assert read(notebook["step"]).digest == before
    assert names(notebook["step"]) == ["step", "texts", "cut"]


def test_an_attribute_that_a_module_gets_later_is_noticed(local_module, notebook):
    local_module("texts", "")
    notebook.run(
        "import texts\ndef step(x):\n    module = texts\n    return module.cut(x)\n"
    )
    before = read(notebook["step"]).digest
    sys.modules["texts"].cut = len
    assert read(notebook["step"]).digest != before


@pytest.mark.parametrize(
    "inside",
    ["from shop import prices", "from . import prices", "import shop.prices as prices"],
)
def test_a_module_of_a_package_imported_in_a_function_is_followed(
    tmp_path, monkeypatch, new_notebook, inside
):
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "orders.py").write_text(
        f"def total(x):\n    {inside}\n    return prices.of(x)\n"
    )
    found = []
    for factor in (1, 22):
        (folder / "prices.py").write_text(f"def of(x):\n    return x * {factor}\n")
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        found.append(
            read(
                new_notebook()
                .run(
                    "import shop.orders\ndef step(x):\n    return shop.orders.total(x)\n"
                )
                .step
            ).digest
        )
    assert found[0] != found[1]


def test_a_module_that_a_function_imports_is_noticed_when_it_appears_and_when_it_is_another_one(
    local_module, notebook
):
    notebook.run(
        "def step(x):\n    try:\n        import appearing\n        return"
        " appearing.cut(x)\n    except ImportError:\n        return x\n"
    )
    without = read(notebook["step"]).digest
    local_module("appearing", "def cut(s):\n    return s\n")
    first = read(notebook["step"]).digest
    assert first != without
    local_module(
        "appearing", "def cut(s):\n    return s[:11]\n"
    )  # forgotten and imported anew, not reloaded
    importlib.import_module("appearing")
    assert read(notebook["step"]).digest not in (without, first)


def test_the_module_a_function_sits_in_does_not_count(local_module, notebook):
    local_module("job", HELPERS)
    notebook.run(HELPERS)
    assert read(importlib.import_module("job").step) == read(notebook["step"])


def test_installed_code_counts_by_name(notebook):
    notebook.run(
        "import json\nfrom json import dumps\ndef step(x):\n    return dumps(json.loads(x)), len(x)\n"
    )
    assert names(notebook["step"]) == ["step"]
    before = read(notebook["step"]).digest
    notebook.run("from json import loads as dumps")
    assert read(notebook["step"]).digest != before


STEPS = """
from nbflow_like import step as durable, Step
def inner(x):
    return x + 1
inner = Step(inner)
def step(x):
    return inner(x)
"""


class Step:
    def __init__(self, function, version=None):
        self.__wrapped__ = function
        self.code_version = version

    def __call__(self, *args):
        return self.__wrapped__(*args)


@pytest.fixture
def steps(monkeypatch):
    def step(function=None, **options):
        return Step(function) if function else Step

    step.__module__ = Step.__module__ = "nbflow._core.step"
    module = types.ModuleType("nbflow_like")
    module.step, module.Step = step, Step
    monkeypatch.setitem(sys.modules, "nbflow_like", module)


@pytest.mark.usefixtures("steps")
def test_steps_are_reached_as_their_functions(new_notebook):
    assert differs(new_notebook, STEPS, STEPS.replace("x + 1", "x + 2"))
    assert not differs(new_notebook, STEPS, STEPS.replace("inner = Step(inner)", ""))
    one = new_notebook()
    one.run(STEPS)
    assert read(one["inner"]) == read(one["inner"].__wrapped__)


@pytest.mark.usefixtures("steps")
def test_a_version_takes_the_place_of_the_code(new_notebook):
    versioned = STEPS.replace("Step(inner)", "Step(inner, 1)")
    assert not differs(new_notebook, versioned, versioned.replace("x + 1", "x + 2"))
    assert differs(new_notebook, versioned, versioned.replace("inner, 1", "inner, 2"))
    assert differs(
        new_notebook, versioned, versioned.replace("inner, 1", "inner, 2"), "inner"
    )


@pytest.mark.usefixtures("steps")
def test_a_step_redefined_with_another_version_or_another_body_is_noticed(notebook):
    notebook.run(STEPS.replace("Step(inner)", "Step(inner, 1)"))
    step = notebook["step"]
    found = [read(step).digest]
    for redefined in (
        "Step(lambda x: x, 2)",
        "Step(lambda x: x)",
        "Step(lambda x: -x)",
    ):
        notebook.run(f"inner = {redefined}")
        found.append(read(step).digest)
    assert len(set(found)) == 4


def test_a_decorator_of_the_users_own_class_counts_with_what_it_wraps(new_notebook):
    cell = (
        "import functools\nclass Loud:\n    def __init__(self, f):\n        functools.update_wrapper(self, f)\n"
        "    def __call__(self, x):\n        return self.__wrapped__(x)\n"
        "@Loud\ndef clean(x):\n    return x\ndef step(x):\n    return clean(x)\n"
    )
    assert not differs(new_notebook, cell, cell)
    assert differs(
        new_notebook,
        cell,
        cell.replace("self.__wrapped__(x)", "self.__wrapped__(x) * 2"),
    )
    assert differs(new_notebook, cell, cell.replace("return x\n", "return -x\n"))
    one = new_notebook()
    one.run(cell)
    before = read(one["step"]).digest
    one.run("@Loud\ndef clean(x):\n    return -x\n")
    assert read(one["step"]).digest != before


@pytest.mark.usefixtures("steps")
def test_options_of_our_decorators_do_not_count_and_foreign_decorators_do(new_notebook):
    cell = "from nbflow_like import step as durable\ndef loud(f):\n    return f\ndef step(x):\n    return x\n"
    ours = cell.replace("def step", "@durable\ndef step")
    assert not differs(new_notebook, cell, ours)
    assert not differs(
        new_notebook, ours, ours.replace("@durable", "@durable(retries=5)")
    )
    foreign = cell.replace("def step", "@loud\ndef step")
    assert differs(new_notebook, cell, foreign)
    assert differs(
        new_notebook,
        foreign,
        foreign.replace("return f\n", "f.loud = True\n    return f\n"),
    )


def test_code_behind_an_installed_decorator_is_reached(new_notebook):
    cell = "import functools\n@functools.{}\ndef clean(x):\n    return x\ndef step(x):\n    return clean(x)\n"
    for decorator in ("cache", "singledispatch"):
        before = cell.format(decorator)
        assert differs(
            new_notebook, before, before.replace("return x\n", "return -x\n")
        )


def test_a_function_given_to_a_partial_or_a_bound_method_is_reached(new_notebook):
    cell = (
        "import functools\ndef add(x, y):\n    return x + y\ninc = functools.partial(add, 1)\n"
        "class Tool:\n    def use(self, x):\n        return x\nuse = Tool().use\n"
        "def step(x):\n    return inc(use(x))\n"
    )
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace("x + y", "x - y"))
    assert differs(new_notebook, cell, cell.replace("add, 1", "add, 2"))
    assert differs(new_notebook, cell, cell.replace("return x\n", "return -x\n"))


def test_the_class_of_a_global_object_is_reached(new_notebook):
    cell = "class Tool:\n    def use(self, x):\n        return x\ntool = Tool()\ndef step(x):\n    return tool.use(x)\n"
    assert differs(new_notebook, cell, cell.replace("return x\n", "return -x\n"))


def test_defaults_count_by_their_value(new_notebook):
    cell = "N = 1\ndef clean(x, n=N, *, k=N):\n    return x\ndef step(x):\n    return clean(x)\n"
    assert differs(new_notebook, cell, cell.replace("N = 1", "N = 2"))
    assert not differs(
        new_notebook, cell.replace("n=N", "n={}"), cell.replace("n=N", "n={}")
    )
    helper = "def f(x):\n    return x\n" + cell.replace("n=N", "n=f")
    assert differs(
        new_notebook,
        helper,
        helper.replace("def f(x):\n    return x", "def f(x):\n    return 2"),
    )


LAMBDAS = (
    "a, b, c = (lambda x: x + 1), (lambda x: x + 2), (lambda y: lambda x: x + y)\n"
)


def test_lambdas_on_one_line_are_told_apart(notebook):
    notebook.run(LAMBDAS)
    assert len({read(notebook[name]).digest for name in "abc"}) == 3


def test_a_lambda_keeps_its_digest_when_its_line_changes(new_notebook):
    moved = "\n\na = (lambda x:  # add one\n     x + 1)\n"
    assert not differs(new_notebook, LAMBDAS, moved, "a")


def test_code_without_source_is_told_apart_by_its_instructions():
    def made(text):
        space = {"__name__": "__main__"}
        exec(text, space)
        return read(space["f"]).digest

    assert made("def f(x): return x + 1") == made(
        "\n\ndef f(x):\n    return x + 1  # one"
    )
    assert made("def f(x): return x + 1") != made("def f(x): return x + 2")
    assert made("def f(x): return x + 1") != made("def f(x): return x + 1.0")
    assert made("def f(x): return x + 1") != made("def f(x): return x + True")
    assert made("def f(x): return x in {1, 2}") == made("def f(x): return x in {1, 2}")


def test_functions_of_c_count_by_name():
    assert read(len).digest == read(len).digest != read(max).digest
    assert read(str.upper).digest != read(str.lower).digest


CLASS = """
class Base:
    def shared(self):
        return 1
LIMIT = 5
class Tool(Base):
    '''A tool.'''
    size: int = 3
    limit = LIMIT
    def use(self, x):
        return clean(x)
    @property
    def long(self):
        return self.size > 10
def clean(x):
    return x
def step(x):
    return Tool().use(x)
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return 1", "return 2"),
        ("A tool.", "A hammer."),
        ("size: int", "size: float"),
        ("size: int = 3", "size: int = 4"),
        ("LIMIT = 5", "LIMIT = 6"),
        ("self.size > 10", "self.size > 11"),
        ("return x\n", "return -x\n"),
    ],
)
def test_edits_of_a_class(new_notebook, old, new):
    assert differs(new_notebook, CLASS, CLASS.replace(old, new))


def test_a_comment_in_a_class_does_not_count(new_notebook):
    assert not differs(
        new_notebook,
        CLASS,
        CLASS.replace("LIMIT\n    def", "LIMIT  # of use\n\n    def"),
    )


def test_a_patched_method_is_noticed(notebook):
    notebook.run(CLASS)
    before = read(notebook["step"]).digest
    notebook["Tool"].use = lambda self, x: x
    patched = read(notebook["step"]).digest
    notebook["Tool"].shared = lambda self: 3
    assert len({before, patched, read(notebook["step"]).digest}) == 3


@pytest.mark.parametrize(
    "count", ["State.n += 1", "State.n = State.n + 1", "state.N += 1"]
)
def test_a_counter_in_a_class_or_module_does_not_count(notebook, local_module, count):
    local_module("state", "N = 0\n")
    notebook.run(
        f"import state\nclass State:\n    n = 0\ndef step(x):\n    {count}\n    return State.n, state.N\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before
    assert notebook["State"].n + sys.modules["state"].N == 1


def test_what_a_method_rebinds_counts_unless_the_code_may_call_the_method(new_notebook):
    cell = (
        "class Config:\n    prompt = 'a'\n    @staticmethod\n    def choose(text):\n  "
        "      Config.prompt = text\ndef step(x):\n    return Config.prompt\n"
    )
    notebook = new_notebook()
    notebook.run(cell)
    before = read(notebook["step"]).digest
    notebook["Config"].choose("b")
    assert read(notebook["step"]).digest != before
    notebook["Config"].choose("a")
    assert read(notebook["step"]).digest == before
    other = new_notebook()
    other.run(cell.replace("    return", "    Config.choose(x)\n    return"))
    before = read(other["step"]).digest
    other["step"]("b")
    assert read(other["step"]).digest == before


def test_an_attribute_of_another_object_hides_no_constant_of_a_class(new_notebook):
    cell = (
        "class Config:\n    limit = 3\nclass Tool:\n    def __init__(self, limit):\n        self.limit = limit\n"
        "def step(x):\n    return Tool(Config.limit)\n"
    )
    assert differs(new_notebook, cell, cell.replace("limit = 3", "limit = 4"))
    assert differs(new_notebook, cell, cell + "Config.limit = 4\n")
    assert differs(new_notebook, cell, cell + "Tool.limit = 4\n")


MODELS = """
import dataclasses, enum
from typing import Literal
import pydantic
class Part(pydantic.BaseModel):
    size: int = 1
class Category(pydantic.BaseModel):
    '''What a thread is about.'''
    label: Literal["billing", "bug"]
    score: float = pydantic.Field(0.5, ge=0)
    parts: list[Part] = pydantic.Field(default_factory=list)
@dataclasses.dataclass
class Row:
    id: int = 1
    tags: list = dataclasses.field(default_factory=list)
class Colour(enum.Enum):
    RED = 1
def step(x):
    return Category, Row(x), Colour
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("about.", "on."),
        ('"bug"]', '"other"]'),
        ("score: float", "score: int"),
        ("0.5", "0.6"),
        ("ge=0", "ge=0.1"),
        ("size: int = 1", "size: int = 2"),
        ("id: int = 1", "id: int = 2"),
        (
            "dataclasses.field(default_factory=list)",
            "dataclasses.field(default_factory=tuple)",
        ),
        ("RED = 1", "RED = 2"),
        ("@dataclasses.dataclass", "@dataclasses.dataclass(frozen=True)"),
    ],
)
def test_edits_of_models_without_methods(new_notebook, old, new):
    assert not differs(new_notebook, MODELS, "\n# moved\n" + MODELS)
    assert differs(new_notebook, MODELS, MODELS.replace(old, new))


@pytest.mark.parametrize("first", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("spelled", ["Sub", "'Sub'", "list['Sub'] | None"])
def test_a_class_that_is_named_in_an_annotation_is_reached(
    new_notebook, first, spelled
):
    cell = (
        f"{first}import dataclasses\n@dataclasses.dataclass\nclass Sub:\n    n: int\n"
        f"@dataclasses.dataclass\nclass Row:\n    s: {spelled}\ndef step(x):\n    return Row(x)\n"
    )
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace("n: int", "n: float"))


def test_models_in_a_notebook_and_in_a_module_are_the_same(local_module, notebook):
    local_module("models", MODELS + CLASS.replace("step", "use"))
    notebook.run(MODELS + CLASS.replace("step", "use"))
    module = importlib.import_module("models")
    assert read(module.step) == read(notebook["step"])
    assert read(module.use) == read(notebook["use"])


def test_a_class_made_on_the_fly_is_its_members(notebook):
    notebook.run("def step(x):\n    return Made()\n")

    def digest(**members):
        notebook.names["Made"] = type("Made", (), {"__module__": "__main__", **members})
        return read(notebook["step"]).digest

    assert digest(a=1) == digest(a=1) != digest(a=2)
    assert digest(f=lambda self: 1) != digest(f=lambda self: 2)


def test_async_functions_and_generators(new_notebook):
    cell = "async def step(x):\n    return [i async for i in helper(x)]\nasync def helper(x):\n    yield x\n"
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace("yield x", "yield -x"))


def test_reading_a_function_runs_none_of_its_globals(notebook):
    class Proxy:
        def __getattr__(self, name):
            raise AssertionError(f"asked for {name}")

    notebook.names["proxy"] = Proxy()
    notebook.run("def step(x):\n    return proxy.ask(x)\n")
    assert read(notebook["step"]).digest


def test_a_wrapper_counts_and_so_does_what_it_wraps(new_notebook):
    cell = (
        "import functools\ndef twice(times):\n    def outer(f):\n        @functools.wraps(f)\n"
        "        def inner(*a):\n            return [f(*a)] * times\n        return inner\n    return outer\n"
        "@twice(2)\ndef step(x):\n    return x\n"
    )
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace("twice(2)", "twice(3)"))
    assert differs(new_notebook, cell, cell.replace("return x\n", "return -x\n"))
    assert differs(new_notebook, cell, cell.replace("* times", "* times * 1"))


@pytest.mark.parametrize(
    ("held", "other"),
    [
        ("np.array([1, 2])", "np.array([1, 3])"),
        ("pd.DataFrame({'a': [1, 2]})", "pd.DataFrame({'a': [1, 3]})"),
    ],
)
def test_a_class_without_methods_may_hold_an_array_or_a_frame(
    new_notebook, held, other
):
    """Neither says whether it is empty when it is asked for its truth."""
    cell = f"""
import numpy as np
import pandas as pd

class Settings:
    table = {held}

def step(x):
    return Settings.table
"""
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace(held, other))


def test_memory_of_dead_functions_is_given_back(notebook):
    import gc

    from nbflow._key import reader

    notebook.run(HELPERS)
    read(notebook["step"])
    place = id(notebook["step"]), frozenset()
    assert place in reader._MEMO
    notebook.names.clear()
    gc.collect()
    assert place not in reader._MEMO


def test_memory_of_dead_steps_with_a_version_is_given_back(notebook):
    import gc
    import weakref

    notebook.run(
        "import nbflow as nf\n@nf.step(version='1')\ndef step(x):\n    return x\n"
    )
    step = notebook["step"]
    read(step)
    dead = weakref.ref(step)
    notebook.names.clear()
    SESSION.steps.clear()
    del step
    gc.collect()
    assert dead() is None


def test_a_partial_can_be_read():
    assert read(functools.partial(len)).digest != read(len).digest


IMPORTS = (
    "import collections, dataclasses, enum, functools, string, typing\nfrom pydantic"
    " import BaseModel, Field, TypeAdapter, create_model, field_validator\n"
)
REACHED = {
    "a Literal": (
        "L = typing.Literal['a', 'b']\ndef step(x):\n    return L\n",
        "'b'",
        "'c'",
    ),
    "a class in a type": (
        "class U:\n    def f(self):\n        return 1\nL = list[U]\ndef step(x):\n    return L\n",
        "return 1",
        "return 2",
    ),
    "a TypeAdapter": (
        "L = TypeAdapter(typing.Literal['a', 'b'])\ndef step(x):\n    return L.validate_python(x)\n",
        "'b'",
        "'c'",
    ),
    "a Field": (
        "F = Field(description='a')\ndef step(x):\n    return F\n",
        "'a'",
        "'b'",
    ),
    "a model made by a call": (
        "M = create_model('M', a=(int, Field(description='a')))\ndef step(x):\n    return M\n",
        "'a'",
        "'b'",
    ),
    "a validator": (
        (
            "class A(BaseModel):\n    x: int = 1\n    @field_validator('x')\n   "
            " @classmethod\n    def v(cls, x):\n        return x + 1\ndef step(x):\n   "
            " return A(x=x)\n"
        ),
        "x + 1",
        "x + 2",
    ),
    "a template": (
        "T = string.Template('hello $x')\ndef step(x):\n    return T\n",
        "hello",
        "bye",
    ),
    "a method of an enum": (
        "class E(enum.Enum):\n    A = 1\n    def f(self):\n        return 1\ne = E.A\ndef step(x):\n    return e.f()\n",
        "return 1",
        "return 2",
    ),
    "a callable object": (
        "class S:\n    def __call__(self, x):\n        return x + 1\ns = S()\ndef step(x):\n    return s(x)\n",
        "x + 1",
        "x + 2",
    ),
    "a method of a dict": (
        "class D(dict):\n    def f(self):\n        return 1\nd = D(a=1)\ndef step(x):\n    return d.f()\n",
        "return 1",
        "return 2",
    ),
    "an inherited method": (
        (
            "class A:\n    def f(self):\n        return 1\nclass B(A):\n    pass\nb ="
            " B()\ndef step(x):\n    return b.f()\n"
        ),
        "return 1",
        "return 2",
    ),
    "a lambda in a default": (
        "def step(x, key=lambda v: v + 1):\n    return key(x)\n",
        "v + 1",
        "v + 2",
    ),
    "a list in a default": (
        "def step(x, *, options=[1]):\n    return options\n",
        "[1]",
        "[2]",
    ),
    "a list in a closure": (
        "def make():\n    labels = ['a']\n    def step(x):\n        return labels\n    return step\nstep = make()\n",
        "'a'",
        "'b'",
    ),
    "a default of a field": (
        (
            "class A:\n    def f(self):\n        return 1\n@dataclasses.dataclass\nclass"
            " B:\n    a: object = A()\ndef step(x):\n    return B().a.f()\n"
        ),
        "return 1",
        "return 2",
    ),
    "what an exception says": (
        (
            "class Err(Exception):\n    code = 1\ndef step(x):\n    try:\n        return"
            " x\n    except Err:\n        return 1\n"
        ),
        "code = 1",
        "code = 2",
    ),
    "an attribute of a function": (
        "def f(x):\n    return f.table\nf.table = {'a': 1}\ndef step(x):\n    return f(x)\n",
        "'a': 1",
        "'a': 2",
    ),
    "a docstring that is read": (
        "def f(x):\n    'Pick one'\ndef step(x):\n    return f.__doc__ + x\n",
        "Pick",
        "Choose",
    ),
    "its own docstring that is read": (
        "def step(x):\n    'Pick one'\n    return step.__doc__ + x\n",
        "Pick",
        "Choose",
    ),
    "a class that decorates": (
        "def mark(c):\n    c.n = 1\n    return c\n@mark\nclass A:\n    pass\ndef step(x):\n    return A.n\n",
        "c.n = 1",
        "c.n = 2",
    ),
}


@pytest.mark.parametrize("what", REACHED)
def test_it_is_reached(new_notebook, what):
    cell, old, new = REACHED[what]
    assert cell.count(old) == 1
    assert not differs(new_notebook, IMPORTS + cell, IMPORTS + cell)
    assert differs(new_notebook, IMPORTS + cell, IMPORTS + cell.replace(old, new))


def test_a_docstring_that_is_not_read_does_not_count(new_notebook):
    cell = "def f(x):\n    'Pick one'\n    return 1\ndef step(x):\n    return f(x)\n"
    assert not differs(new_notebook, cell, cell.replace("Pick", "Choose"))


def test_a_function_put_into_a_library_is_noticed_and_reached(notebook, monkeypatch):
    import json

    notebook.run("import json\ndef step(x):\n    return json.dumps(x)\n")
    before = read(notebook["step"]).digest
    notebook.run("def fake(x):\n    return 'a'\n")
    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", notebook["fake"])
        patched = read(notebook["step"]).digest
        assert patched != before
        notebook.run("def fake(x):\n    return 'b'\n")
        patch.setattr(json, "dumps", notebook["fake"])
        assert read(notebook["step"]).digest not in (before, patched)
    assert read(notebook["step"]).digest == before


def test_a_reloaded_module_is_noticed(local_module, notebook, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = local_module("words", "LIST = ['a']\ndef f(x):\n    return x + 1\n")
    notebook.run("import words\ndef step(x):\n    return words.f(x), words.LIST\n")
    before = read(notebook["step"]).digest
    path.write_text("LIST = ['a']\ndef f(x):\n    return x + 22\n")
    importlib.reload(notebook["words"])
    changed = read(notebook["step"]).digest
    assert changed != before
    path.write_text("LIST = ['a', 'b']\ndef f(x):\n    return x + 1\n")
    importlib.reload(notebook["words"])
    assert read(notebook["step"]).digest not in (before, changed)
    path.write_text("LIST = ['a']\n\ndef f(x):  # as before\n    return x + 1\n")
    importlib.reload(notebook["words"])
    assert read(notebook["step"]).digest == before


def test_a_file_in_a_global_counts_by_its_content_and_a_path_by_its_text(
    notebook, tmp_path
):
    file = tmp_path / "prices.csv"
    file.write_text("a,1")
    notebook.run(
        f"import nbflow as nf, pathlib\nPRICES = nf.file({str(file)!r})\ndef step(x):\n    return open(PRICES).read()\n"
    )
    before = read(notebook["step"]).digest
    file.write_text("a,2")
    assert read(notebook["step"]).digest != before
    file.unlink()
    with pytest.raises(UnkeyableError, match=r"PRICES is .*cannot be read"):
        read(notebook["step"])
    notebook.run(f"PRICES = pathlib.Path({str(file)!r})")
    assert read(notebook["step"]).digest


def test_a_lazy_frame_in_a_global_is_refused(notebook):
    notebook.run(
        "import polars as pl\nPLAN = pl.DataFrame({'a': [1]}).lazy()\ndef step(x):\n    return PLAN.collect()\n"
    )
    with pytest.raises(UnkeyableError, match=r"PLAN is a .*LazyFrame.*collect"):
        read(notebook["step"])


@pytest.mark.parametrize(
    ("cell", "edit"),
    [
        (
            (
                "import math\ndef make():\n    op = math.sin\n    def swap(to):\n       "
                " nonlocal op\n        op = to\n    def step(x):\n        return op(x)\n  "
                "  return step, swap\nstep, swap = make()\n"
            ),
            "swap(math.cos)",
        ),
        (
            "def f(*, a=1):\n    return a\ndef step(x):\n    return f()\n",
            "f.__kwdefaults__ = {'a': 2}",
        ),
        (
            "import functools\n@functools.singledispatch\ndef f(x):\n    return 1\ndef step(x):\n    return f(x)\n",
            "@f.register\ndef _(x: int):\n    return 2\n",
        ),
        (
            "def f(x):\n    return f.labels\nf.labels = ['a']\ndef step(x):\n    return f(x)\n",
            "f.labels.append('b')",
        ),
        (
            "def f(x):\n    return f.label\nf.label = 'a'\ndef step(x):\n    return f(x)\n",
            "f.label = 'b'",
        ),
        (
            (
                "import itertools\ndef f(x):\n    return f.a or next(f.numbers)\nf.a,"
                " f.numbers = 1, itertools.count()\ndef step(x):\n    return f(x)\n"
            ),
            "f.a = 2",
        ),
    ],
)
def test_what_is_rebound_beside_the_code_after_it_was_read_is_noticed(
    notebook, cell, edit
):
    notebook.run(cell)
    before = read(notebook["step"]).digest
    assert read(notebook["step"]).digest == before
    notebook.run(edit)
    assert read(notebook["step"]).digest != before


def test_what_a_function_counts_in_an_attribute_of_its_own_does_not_count(notebook):
    notebook.run(
        "def step(x):\n    step.calls += 1\n    return step.calls\nstep.calls = 0\n"
    )
    before = read(notebook["step"]).digest
    notebook["step"](1)
    assert read(notebook["step"]).digest == before


def test_an_iterator_or_a_file_that_a_class_holds_stops_nobody(notebook):
    notebook.run(
        "import os\nclass A:\n    lines, file = iter('ab'), open(os.devnull)\n    def"
        " show(self):\n        return 1\ndef step(x):\n    return A().show()\n"
    )
    assert names(notebook["step"]) == ["step", "A", "A.show"]
    notebook["A"].file.close()


OVERLOADED = """
import functools
def f(x):
    return 1
def g(x):
    return 2
class A:
    @functools.singledispatchmethod
    def show(self, x):
        return 0
    @show.register
    def _(self, x: int):
        return f(x)
    @show.register
    def _(self, x: str):
        return g(x)
def step(x):
    return A().show(x)
"""
PROMPTS = "class Prompt:\n    def __init__(self, text):\n        self.text = text\n"


@pytest.mark.parametrize(
    ("cell", "edit"),
    [
        (
            PROMPTS
            + (
                "class Config:\n    prompt = Prompt('a')\n    def show(self):\n       "
                " return self.prompt\ndef step(x):\n    return Config.prompt.text\n"
            ),
            "Config.prompt.text = 'b'",
        ),
        (
            PROMPTS
            + (
                "class Config:\n    prompt = Prompt('a')\n    def show(self):\n       "
                " return self.prompt\ndef step(x):\n    return Config.prompt.text\n"
            ),
            "Config.prompt = Prompt('b')",
        ),
        (
            PROMPTS
            + "class Config:\n    prompt = Prompt('a')\ndef step(x):\n    return Config.prompt.text\n",
            "Config.prompt.text = 'b'",
        ),
        (
            "class Config:\n    _labels = ['a']\ndef step(x):\n    return Config._labels\n",
            "Config._labels.append('b')",
        ),
        (
            "class Config:\n    _labels = ['a']\ndef step(x):\n    return Config._labels\n",
            "class Config:\n    _labels = ['b']\n",
        ),
        (
            (
                "import collections\nclass Config:\n    counts ="
                " collections.Counter(a=1)\n    def show(self):\n        return"
                " self.counts\ndef step(x):\n    return Config().show()\n"
            ),
            "Config.counts['b'] = 1",
        ),
        (
            (
                "import operator\nclass Config:\n    op = operator.add\n    def"
                " show(self):\n        return self.op\ndef step(x):\n    return"
                " Config().show()\n"
            ),
            "Config.op = operator.sub",
        ),
        (
            (
                "import functools\nclass A:\n    def f(self, n):\n        return n\n    g"
                " = functools.partialmethod(f, 1)\ndef step(x):\n    return A().g()\n"
            ),
            "A.g = functools.partialmethod(A.f, 2)",
        ),
        (
            (
                "import enum\nclass Prompts(enum.Enum):\n    A = {'text': 'a'}\ndef"
                " step(x):\n    return Prompts.A.value['text']\n"
            ),
            "Prompts.A.value['text'] = 'b'",
        ),
        (OVERLOADED, "def f(x):\n    return 3\n"),
    ],
)
def test_what_a_class_holds_counts_whatever_it_is(notebook, cell, edit):
    notebook.run(cell)
    before = read(notebook["step"]).digest
    assert read(notebook["step"]).digest == before
    notebook.run(edit)
    assert read(notebook["step"]).digest != before


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        (
            (
                "import pydantic, typing\ndef clean(v):\n    return v.strip()\nclass"
                " Label(pydantic.BaseModel):\n    a: typing.Annotated[str,"
                " pydantic.AfterValidator(clean)]\ndef step(x):\n    return Label(a=x)\n"
            ),
            "strip",
            "lower",
        ),
        (
            (
                "import dataclasses, typing\nclass Say:\n    def __init__(self, text):\n "
                "       self.text = text\n@dataclasses.dataclass\nclass Label:\n    a:"
                " typing.Annotated[str, Say('a word')]\ndef step(x):\n    return Label\n"
            ),
            "a word",
            "two words",
        ),
        (
            (
                "import dataclasses\ndef clean(v):\n    return"
                " v.strip()\n@dataclasses.dataclass\nclass Label:\n    a: str ="
                " dataclasses.field(metadata={'by': [clean]})\ndef step(x):\n    return"
                " Label\n"
            ),
            "strip",
            "lower",
        ),
    ],
)
def test_what_fields_are_annotated_with_counts_and_so_do_functions_in_it(
    new_notebook, cell, old, new
):
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace(old, new))


COUNTING = (
    "class Model:\n    def __init__(self):\n        self.calls, self.prompt = 0, 'a'\n"
    "    def ask(self, x):\n        self.calls += 1\n        return x\n    __call__ ="
    " ask\n"
)
WRAPPING = "import functools\n" + COUNTING.replace(
    "__init__(self):", "__init__(self, f):\n        functools.update_wrapper(self, f)"
)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (
            COUNTING + "model = Model()\ndef step(x):\n    return model.ask(x)\n",
            "model",
        ),
        (COUNTING + "model = Model()\ndef step(x):\n    return model(x)\n", "model"),
        (
            COUNTING
            + "models = {'a': Model()}\nmodel = models['a']\ndef step(x):\n    return models['a'].ask(x)\n",
            "model",
        ),
        (
            COUNTING
            + "model = Model()\ndef ask(model, x):\n    return model.ask(x)\ndef step(x):\n    return ask(model, x)\n",
            "model",
        ),
        (
            COUNTING
            + "model = Model()\ndef step(x, model=model):\n    return model.ask(x)\n",
            "model",
        ),
        (
            COUNTING
            + "model = Model()\nask = model.ask\ndef step(x):\n    return ask(x)\n",
            "model",
        ),
        (
            WRAPPING
            + "@Model\ndef model(x):\n    return x\ndef step(x):\n    return model(x)\n",
            "model",
        ),
    ],
)
def test_what_an_object_counts_in_itself_does_not_count_and_what_others_change_in_it_does(
    notebook, cell, value
):
    notebook.run(cell)
    code = read(notebook["step"])
    mutation.begin(code.changes)
    notebook["step"](1)
    mutation.end(code.changes)
    assert notebook[value].calls == 1
    assert read(notebook["step"]).digest == code.digest
    notebook[value].prompt = "b"
    assert read(notebook["step"]).digest != code.digest


@pytest.mark.parametrize(
    "made",
    ["random.Random(1)", "numpy.random.default_rng(1)", "numpy.random.RandomState(1)"],
)
def test_random_numbers_that_the_code_draws_change_nothing_and_another_seed_does(
    new_notebook, made
):
    cell = f"import random, numpy\nrng = {made}\ndef step(x):\n    return rng.uniform(0, 1)\n"
    notebook = new_notebook()
    notebook.run(cell)
    code = read(notebook["step"])
    mutation.begin(code.changes)
    notebook["step"](1)
    mutation.end(code.changes)
    assert read(notebook["step"]).digest == code.digest
    assert not differs(new_notebook, cell, cell)
    assert differs(new_notebook, cell, cell.replace("(1)", "(2)"))


@pytest.mark.parametrize("who", ["cls", "self"])
@pytest.mark.parametrize("name", ["seen", "_seen"])
def test_a_cache_in_a_class_that_its_methods_fill_does_not_count(notebook, who, name):
    decorator = "@classmethod" if who == "cls" else ""
    notebook.run(
        f"class A:\n    {name} = {{}}\n    {decorator}\n    def of({who}, x):\n      "
        f"  {who}.{name}[x] = 1\n        return x\ndef step(x):\n    return A().of(x)\n"
    )
    code = read(notebook["step"])
    mutation.begin(code.changes)
    notebook["step"](1)
    mutation.end(code.changes)
    assert read(notebook["step"]).digest == code.digest
    getattr(notebook["A"], name)["other"] = 1
    assert read(notebook["step"]).digest != code.digest


@pytest.mark.parametrize(
    "taken",
    [
        "from random import choice as f",
        "from random import random as f",
        "from numpy.random import normal as f",
        "from os import environ as f",
    ],
)
def test_functions_of_a_library_that_are_methods_and_the_environment_do_not_count_by_their_state(
    new_notebook, monkeypatch, taken
):
    notebook = new_notebook()
    notebook.run(f"{taken}\nFUNCTIONS = [f]\ndef step(x):\n    return f, FUNCTIONS\n")
    before = read(notebook["step"])
    notebook.run("import random, numpy\nrandom.random(), numpy.random.rand()\n")
    monkeypatch.setenv("NEW", "1")
    assert read(notebook["step"]).digest == before.digest
    notebook.run("f = len")
    assert read(notebook["step"]).digest != before.digest


@pytest.mark.parametrize(
    "cell",
    [
        (
            "import pandas as"
            " pd\n@pd.api.extensions.register_dataframe_accessor('tidied')\nclass"
            " Tidied:\n    def __init__(self, frame):\n        self.frame = frame\n    def"
            " rows(self):\n        return len(self.frame) + 1\n"
        ),
        "import pandas as pd\ndef tidied(frame):\n    return len(frame) + 1\npd.DataFrame.tidied = tidied\n",
        (
            "import polars as pl\n@pl.api.register_dataframe_namespace('tidied')\nclass"
            " Tidied:\n    def __init__(self, frame):\n        self.frame = frame\n    def"
            " rows(self):\n        return self.frame.height + 1\n"
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_the_user_puts_on_frames_counts_where_it_is_read(notebook, cell):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    notebook.run(
        "def step(frame):\n    return frame.tidied.rows()\ndef other(frame):\n    return frame.columns\n"
    )
    try:
        bare, other = read(notebook["step"]).digest, read(notebook["other"]).digest
        notebook.run(cell)
        before = read(notebook["step"]).digest
        assert before != bare
        notebook.run(cell.replace("+ 1", "+ 2"))
        assert read(notebook["step"]).digest not in (bare, before)
        notebook.run("\n\n" + cell)
        assert read(notebook["step"]).digest == before
        assert read(notebook["other"]).digest == other
    finally:
        for kind in (pandas.DataFrame, polars.DataFrame):
            if "tidied" in vars(kind):
                del kind.tidied


LAZY = "def __getattr__(name):\n    if name == 'RATE':\n        return {}\n    raise AttributeError(name)\n"


@pytest.mark.parametrize(
    "step",
    [
        "import lazily\ndef step(x):\n    return x * lazily.RATE",
        "def step(x):\n    from lazily import RATE\n    return x * RATE",
        "def step(x):\n    import lazily\n    return x * lazily.RATE",
    ],
)
def test_what_a_module_makes_on_demand_counts_by_the_code_that_makes_it(
    new_notebook, local_module, step
):
    found = []
    for rate in (2, 3, 2):
        local_module("lazily", LAZY.format(rate))
        one = new_notebook()
        one.run(step)
        code = read(one["step"])
        found.append(code.digest)
        assert any("__getattr__" in name for name, _ in code.uncounted)
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize(
    "said", ["__match_args__ = ('a', 'b')", "__slots__ = ('a', 'b')", "__table__ = 'a'"]
)
def test_what_a_class_without_methods_says_in_pythons_names_counts(new_notebook, said):
    cell = "class Row:\n    {}\ndef step(x):\n    return Row"
    assert differs(
        new_notebook, cell.format(said), cell.format(said.replace("a'", "c'"))
    )
    assert not differs(new_notebook, cell.format(said), cell.format(said))


def test_subclasses_that_the_code_asks_for_are_read(local_module):
    rules = (
        "class Rule:\n    pass\nclass Short(Rule):\n    limit = 3\n"
        "def step(x):\n    return [kind.limit for kind in Rule.__subclasses__()]\n"
    )
    local_module("rules", rules)
    module = importlib.import_module("rules")
    before = read(module.step)
    assert "Short.limit" in names(module.step)
    exec("class Long(Rule):\n    limit = 9\n", vars(module))
    assert read(module.step).digest != before.digest
    assert "Long.limit" in names(module.step)
    del module.Long
    assert read(module.step).digest == before.digest
