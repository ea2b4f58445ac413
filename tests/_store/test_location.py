"""Location: one project, one store, wherever in it one works."""

from pathlib import Path

import pytest

import nbflow as nf
from nbflow._session import SESSION
from nbflow._store.disk.disk_store import DiskStore
from nbflow._store.location import find, make, open_store
from nbflow._store.store import MemoryStore
from nbflow.notebook.job_task import store_of


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE", raising=False)
    monkeypatch.setenv("NBFLOW_STORE_KEY", "a secret for the tests")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "home" / "project" / "notebooks"
    folder.mkdir(parents=True)
    return folder.parent


def test_a_new_store_is_where_one_works(project, monkeypatch):
    """Nothing is made by looking."""
    assert find(project) == project / ".nbflow"
    monkeypatch.chdir(project / "notebooks")
    assert find() == project / "notebooks" / ".nbflow"
    assert not find().exists()


def test_a_store_above_is_found(project):
    """The nearest one."""
    (project / ".nbflow").mkdir()
    assert find(project / "notebooks") == project / ".nbflow"
    (project / "notebooks" / ".nbflow").mkdir()
    assert find(project / "notebooks") == project / "notebooks" / ".nbflow"


def test_the_search_ends_at_home(project):
    """What lies above is not the user's; home itself is."""
    (project.parent.parent / ".nbflow").mkdir()
    assert find(project) == project / ".nbflow"
    (project.parent / ".nbflow").mkdir()
    assert find(project) == project.parent / ".nbflow"


def test_a_file_of_that_name_is_no_store(project):
    """Only a folder is one."""
    (project / ".nbflow").touch()
    assert find(project / "notebooks") == project / "notebooks" / ".nbflow"


def test_the_search_ends_at_a_mount_point(project, monkeypatch):
    """Another file system is another world."""
    (project / ".nbflow").mkdir()
    stat = Path.stat

    class Elsewhere:
        st_dev = -1

    monkeypatch.setattr(
        Path,
        "stat",
        lambda path, **kw: Elsewhere() if path == project else stat(path, **kw),
    )
    assert find(project / "notebooks") == project / "notebooks" / ".nbflow"


def test_the_environment_names_another(project, monkeypatch):
    """NBFLOW_STORE is taken as it is, ~ included."""
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.setenv("NBFLOW_STORE", "~/elsewhere")
    assert find() == project / "elsewhere"


def test_a_store_is_opened_from_its_url(project):
    """ "memory:" or a folder, which is made when it is first used."""
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(project / ".nbflow")
    assert isinstance(store, DiskStore)
    assert store.url == str(project / ".nbflow")
    assert not (project / ".nbflow").exists()


def test_a_store_that_cannot_be_is_refused_where_it_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    before = SESSION.runs
    for place, said in {
        file: "is a file",
        file / "store": r"No folder can be made at .*name another one with nf\.use",
        "/proc/nope": "No folder can be made",
        "": "names no folder",
    }.items():
        with pytest.raises(nf.NbflowError, match=said):
            nf.use(place)
    assert SESSION.runs is before


def test_the_folder_of_a_store_is_made_where_it_is_named(tmp_path):
    make(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    make("memory:")


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/team",
        "postgresql://user:secret@db/x",
        "postgresql+psycopg:///x?user=me&password=secret",
        Path("sqlite:///a.db"),
        "file:///home/me/.nbflow",
        "me:secret@db:5432/x",
        "me:secret@db/x",
        "  s3://bucket",
        "~me:secret@db",
        "host=db user=me password=secret",
        ":memory:",
    ],
)
def test_an_address_of_something_else_makes_no_folder_and_is_not_repeated(
    project, monkeypatch, address
):
    """Wherever it is said; there may be a password in it."""
    monkeypatch.chdir(project)
    monkeypatch.setenv("NBFLOW_STORE", str(address))
    for use in (
        lambda: open_store(address),
        lambda: nf.use(address),
        lambda: store_of(project / "a.ipynb", Path(address)),
        find,
    ):
        with pytest.raises(nf.UsageError, match="cannot be the store") as caught:
            use()
        assert "secret" not in str(caught.value)
    assert [path.name for path in project.iterdir()] == ["notebooks"]


@pytest.mark.parametrize("name", ["a:b", "x@y", "a=b", "C", "s3", "mail@me/x:y"])
def test_odd_names_of_folders_are_folders(project, name):
    assert Path(open_store(project / name).url) == project / name
