"""A store that an earlier version left behind, killed with entries in its journal, is read and goes on."""

import contextlib
import hashlib
import sqlite3
import tarfile
from pathlib import Path

import pytest

from nbflow._store import checkpoint
from nbflow._store.disk.disk_store import DiskStore

ARCHIVE = Path(__file__).parents[1] / "data" / "earlier_store.tar.xz"
LARGE = "large " * 2000


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


@pytest.fixture
def path(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="tar")
    return tmp_path / ".nbflow"


def check(store):
    """What its writer saved: six on the shelf, one in a file, three in the journal."""
    found = {i: checkpoint.load(store.get(key(i))) for i in range(10)}
    for i in range(6):
        value = {"label": "billing", "score": i / 7, "tags": ["a", i]}
        assert found[i].value == value
        assert found[i].built_on == [("fetch", key(("fetch", i)))]
    assert found[6].value == LARGE
    for i in range(7, 10):
        assert found[i].value["label"] == "bug"
        assert found[i].printed == (("stdout", f"line {i}\n"),)
    assert {one.inputs[0].name for one in found.values()} == {"thread"}
    assert [name for name, _ in found[1].inputs[0].parts] == ["id", "stars"]
    assert store.get(key("replaced")) == b"new"
    assert store.get(key("deleted")) is None


def test_it_is_read(path):
    """Each entry by itself, and in bulk, after it was tidied up as well."""
    store = DiskStore(path, secret=bytes(32))
    check(store)
    assert store.get_many([key(i) for i in range(20)]).keys() == set(
        map(key, range(10))
    )
    assert len(list(store.keys())) == 11
    assert store.audit().is_sound
    store.close()
    assert not list(path.glob("*/journal/*"))
    check(store)
    store.close()


def test_it_goes_on(path):
    """New entries beside old ones, replaced and deleted ones, each found by whoever opens it next."""
    store = DiskStore(path, secret=bytes(32))
    store.put(key(0), b"replaced")
    store.put(key("new"), b"new")
    assert store.delete([key(1), key(7)]) == 2
    store.close()
    store = DiskStore(path, secret=bytes(32))
    assert store.get(key(0)) == b"replaced"
    assert store.get(key("new")) == b"new"
    assert store.get(key(1)) is store.get(key(7)) is None
    assert checkpoint.load(store.get(key(2))).value["score"] == 2 / 7
    store.close()


def test_a_new_row_takes_no_more_than_it_has_to(path):
    """No times, which nobody reads, and no line in an index of what expires."""
    fresh = path.with_name("fresh")
    store = DiskStore(fresh, secret=bytes(32))
    for i in range(2000):
        store.put(key(i), b"x" * 100)
    store.close()
    file = next(fresh.rglob("cache.db"))
    with contextlib.closing(sqlite3.connect(file)) as con:
        times = "SELECT DISTINCT store_time, access_time FROM Cache"
        assert con.execute(times).fetchall() == [(0, 0)]
        (schema,) = con.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'Cache_expire_time'"
        ).fetchone()
    assert "WHERE expire_time IS NOT NULL" in schema
    assert file.stat().st_size / 2000 < 320
