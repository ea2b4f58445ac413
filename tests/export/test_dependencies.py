"""What a notebook needs is read from its source, and nothing of it is run."""

import nbformat
import pytest

from nbflow.export.dependencies import dependencies
from nbflow.export.schema import settings
from nbflow.notebook import parameters

from .conftest import write


@pytest.fixture
def needs(tmp_path):
    """What a notebook of these cells needs, with these files beside it."""

    def needs(*cells, **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name(path.name.replace("_dot_", "."))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return dependencies(
            nbformat.read(write(tmp_path / "n.ipynb", *cells), 4), tmp_path
        )

    return needs


def test_local_modules_come_with_what_they_import_in_turn(needs):
    found = needs(
        "import a",
        "def f():\n    from b import x",
        a_dot_py="from c import y\nimport json, pandas",
        b_dot_py="raise SystemExit('nothing is run')",
        c_dot_py="",
        d_dot_py="",
    )
    assert set(found.modules) == {"a.py", "b.py", "c.py"}
    assert found.packages == {"pandas"}


def test_of_a_package_all_comes_and_its_relative_imports_are_followed(needs):
    found = needs(
        "import p.q",
        p__q_dot_py="from . import r\nfrom .. import nothing",
        p__r_dot_py="import s",
        s_dot_py="",
        p__prompt_dot_txt="x",
        p____pycache____x_dot_pyc="",
    )
    assert {"p/q.py", "p/r.py", "p/prompt.txt", "s.py"} <= set(found.modules)


def test_a_folder_that_the_notebook_puts_on_its_path_is_looked_into(needs):
    found = needs(
        "import sys\nsys.path.append('lib')\nimport helper", lib__helper_dot_py=""
    )
    assert set(found.modules) == {"helper.py"}


def test_an_import_that_may_fail_comes_if_it_is_there(needs):
    found = needs(
        "try:\n    import fast\nexcept ImportError:\n    import nowhere_at_all",
        fast_dot_py="",
    )
    assert set(found.modules) == {"fast.py"}


def test_files_that_are_read_come_and_those_that_are_written_do_not(needs):
    found = needs(
        "open('in.txt').read(), open('out.txt', 'w'), open(mode='a', file='log.txt')\npath = 'sub/in.txt'",
        "frame.to_csv('out.csv'); sqlite3.connect('x.db'); '/etc/passwd', '../outside.txt', 'missing.txt', '.'",
        in_dot_txt="", out_dot_txt="", sub__in_dot_txt="", out_dot_csv="", x_dot_db="",
    )  # fmt: skip
    assert set(found.data) == {"in.txt", "sub/in.txt"}
    assert found.left == {"x.db": "the job makes its own"}


def test_a_file_with_secrets_stays_and_its_names_are_told(needs):
    found = needs(
        "load_dotenv('.env'), open('service.json'), open('server.pem'), "
        "pd.read_csv('threads.csv'), open('labels.json')",
        _dot_env="# keys\nexport MODEL_KEY=sk-0123456789abcdef0123\nREGION = eu\n",
        service_dot_json='{"password": "hunter2"}',
        server_dot_pem="x",
        threads_dot_csv="id,body\n1,password: 'x'\n",
        labels_dot_json='{"label": "x"}',
    )
    assert set(found.data) == {"threads.csv", "labels.json"}
    assert set(found.left) == {".env", "service.json", "server.pem"}
    assert found.variables == {"MODEL_KEY", "REGION"}


def test_what_magics_and_shell_lines_name_comes_with_what_it_imports(needs):
    found = needs(
        "%run -i setup.py\n%load_ext my_ext\n!python 'script.py' > out.txt", "%%bash\ncat q.sql | wc",
        setup_dot_py="import used", used_dot_py="", my_ext_dot_py="", script_dot_py="", q_dot_sql="",
    )  # fmt: skip
    assert set(found.modules) == {"setup.py", "used.py", "my_ext.py", "script.py"}
    assert set(found.data) == {"q.sql"}


def test_a_file_that_a_parameter_is_given_comes(needs, tmp_path):
    needs("print(1)", b_dot_csv="")
    assert set(
        dependencies(
            nbformat.read(tmp_path / "n.ipynb", 4), tmp_path, ["b.csv", "7", ""]
        ).data
    ) == {"b.csv"}


def test_files_elsewhere_and_folders_stay_and_are_told(needs, tmp_path):
    (tmp_path.parent / f"{tmp_path.name}-outside.csv").write_text("")
    found = needs(
        f"pd.read_csv('../{tmp_path.name}-outside.csv'), Path('data').glob('*.csv'), Path('.'), '..', 'missing/x.csv'",
        data__a_dot_csv="",
    )
    assert found.data == {}
    assert {text: why.partition(",")[0] for text, why in found.left.items()} == {
        f"../{tmp_path.name}-outside.csv": "it is outside of the notebook's folder",
        "data": "it is a folder",
    }


def test_a_module_that_is_no_python_comes_and_is_told(needs, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "latin.py").write_bytes("name = 'caf\xe9'\n".encode("latin-1"))
    found = needs(
        "import p.new",
        p__new_dot_py="import q",
        p__old_dot_py="print 'two'",
        q_dot_py="",
    )
    assert set(found.modules) == {"p/new.py", "p/latin.py", "p/old.py", "q.py"}
    assert found.unread == {"p/latin.py", "p/old.py"}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("nf.secret('A_KEY')", {"A_KEY"}),
        ("from nbflow import secret\nsecret('A_KEY')", {"A_KEY"}),
        (
            "os.environ['A']; os.environ.get('B', ''); os.getenv('C'); environ['D']",
            {"A", "B", "C", "D"},
        ),
        ("os.environ['HOME'], os.environ['NBFLOW_STORE'], os.environ[name]", set()),
        ("nf.llm.categorizer(['a'], model='openai:gpt-4o-mini')", {"OPENAI_API_KEY"}),
        ("model = 'openai-decisions:gpt-6-luna'", {"OPENAI_API_KEY"}),
        ("model = 'typesafe:jev-1.14'", {"TYPESAFE_API_KEY"}),
        ("import anthropic", {"ANTHROPIC_API_KEY"}),
        ("'openai: is a company'", set()),
    ],
)
def test_secrets_are_found_by_name(source, names, needs):
    assert needs(source).variables == names


@pytest.mark.parametrize(
    ("declared", "schema"),
    [
        (
            "n = 3  # how many",
            {"type": "integer", "description": "how many", "default": 3},
        ),
        ("day: str", {"type": "string"}),
        (
            "n: int | None = None",
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        ),
        (
            "n: Optional[float] = 1.5",
            {"anyOf": [{"type": "number"}, {"type": "null"}], "default": 1.5},
        ),
        ("k: Literal['a', 1] = 'a'", {"enum": ["a", 1], "default": "a"}),
        (
            "xs: list[str] = []",
            {"type": "array", "items": {"type": "string"}, "default": []},
        ),
        (
            "xs: set[int] = {1}",
            {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        ),
        (
            "t: tuple[int, str] = (1, 'a')",
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        ("t: tuple[int, ...] = ()", {"type": "array", "items": {"type": "integer"}}),
        (
            "m: dict[str, bool] = {}",
            {
                "type": "object",
                "additionalProperties": {"type": "boolean"},
                "default": {},
            },
        ),
        ("d = date.today()", {}),
        ("x: float = float('nan')", {"type": "number"}),
    ],
)
def test_a_parameter_is_said_as_json_schema(declared, schema):
    (made,) = settings(parameters.declared(declared), [])
    assert made.schema == schema
