"""What is not there is known without asking the database, and what others put is found nevertheless."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from nbflow._store.disk.disk_store import DiskStore
from nbflow._store.disk.salvage import ShelfRow
from nbflow._store.disk.shelf import Shelf
from nbflow._store.seal import stamp_of
from nbflow.errors import StoreWarning

ROOT = Path(__file__).parents[2]
HEAD = """
import hashlib, os, signal, sys
from nbflow._store.disk.disk_store import DiskStore
key = lambda name: hashlib.sha1(str(name).encode()).hexdigest()
store = DiskStore(sys.argv[1], secret=bytes(32), timeout=5)
"""


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


def open_(path):
    return DiskStore(path, secret=bytes(32), timeout=5)


def child(code, path):
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + textwrap.dedent(code), str(path)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def run(code, path, expect=0):
    process = child(code, path)
    said = process.communicate()[0]
    assert process.returncode == expect, said
    return said.strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".nbflow"


@pytest.fixture
def store(path):
    """A store with 200 entries on the shelf that has learnt which keys there are."""
    store = open_(path)
    for i in range(200):
        store.put(key(i), b"%d" % i)
    store.flush()
    learn(store)
    yield store
    store.close()


def learn(store):
    """Miss until the keys are known, which takes a moment after the last change of the journal."""
    until = time.monotonic() + 30
    while not asks_nothing(store):
        assert time.monotonic() < until
        assert store.get(key("nowhere")) is None
        time.sleep(0.002)


def settle(store):
    """Miss until the journal's folder is known not to have changed, and the keys as of then."""
    journal, shelf, _ = store._parts
    until = time.monotonic() + 30
    while True:
        assert store.get(key("nowhere")) is None
        changed = Path(journal._name).stat().st_mtime_ns
        if journal.mark == shelf._mark and journal.mark and journal.mark[1] == changed:
            return
        assert time.monotonic() < until
        time.sleep(0.002)


def asks_nothing(store):
    journal, shelf, _ = store._parts
    assert store.get(key("nobody")) is None
    return shelf.known(journal.mark) is not None


@contextlib.contextmanager
def no_database(monkeypatch):
    def asked(*args):
        pytest.fail("the database was asked")

    with monkeypatch.context() as patch:
        patch.setattr(Shelf, "_ask", asked)
        yield


def test_a_miss_asks_no_database(store, monkeypatch):
    """Neither alone nor in bulk; nor after entries of our own were moved."""
    with no_database(monkeypatch):
        assert store.get(key("a")) is None
        assert store.get_many([key(("b", i)) for i in range(100)]) == {}
    store.put(key("a"), b"a")
    store.put(key("large"), b"large" * 9999)
    store.flush()
    with no_database(monkeypatch):
        assert store.get(key("c")) is None
    assert store.get(key("a")) == b"a"
    assert store.get(key("large")) == b"large" * 9999
    assert store.get_many([key(i) for i in range(300)]).keys() == {
        key(i) for i in range(200)
    }


def test_of_a_store_without_a_database_nothing_is_asked(path, monkeypatch):
    """Nobody has put anything on the shelf: that is known without learning."""
    store = open_(path)
    store.put(key("a"), b"a")
    with no_database(monkeypatch):
        assert store.get(key("b")) is None
    store.put(key("large"), b"large" * 9999)
    assert store.get(key("large")) == b"large" * 9999
    store.close()


@pytest.mark.parametrize("data", [b"small", b"large" * 9999], ids=["small", "large"])
@pytest.mark.parametrize("ending", ["close", "flush", "kill"])
def test_what_another_process_puts_is_found(store, path, data, ending):
    """However it gets to the shelf: it was moved before, is moved later, or by somebody else."""
    ends = {
        "close": "store.close()",
        "flush": "store.flush()",
        "kill": "os.kill(os.getpid(), signal.SIGKILL)",
    }
    for name in ("one", "two"):
        assert store.get(key(name)) is None
        expect = -signal.SIGKILL if ending == "kill" else 0
        code = f"store.put(key({name!r}), {data!r}); {ends[ending]}"
        run(code, path, expect=expect)
        if ending == "kill" and name == "two":
            run("store.flush()", path)  # a third process tidies up after it
        assert store.get(key(name)) == data
        assert store.get_many([key(name)]) == {key(name): data}
        learn(store)
        assert store.get(key(name)) == data


def test_each_put_of_another_process_is_found_at_once(store, path):
    """It puts, moves and deletes all the time; we learn in between, and believe nothing old."""
    code = """
    for i in range(200):
        name = key(("theirs", i))
        sys.stdin.readline()
        store.put(name, b"x" * (20_000 if i % 7 == 0 else 20))
        if i % 5 == 0: store.flush()
        if i % 50 == 0: store.close()
        print(name, flush=True)
        sys.stdin.readline()
        if i % 3 == 0: store.delete([name])
        print("gone" if i % 3 == 0 else "kept", flush=True)
        sys.stdin.readline()
    """
    process = child(code, path)

    def answer():
        process.stdin.write("\n")
        process.stdin.flush()

    for i in range(200):
        assert store.get(key(("theirs", i))) is None
        answer()
        name = process.stdout.readline().strip()
        assert store.get(name) is not None, i
        answer()
        is_gone = process.stdout.readline().strip() == "gone"
        assert (store.get(name) is None) == is_gone, i
        if i % 40 == 0:
            time.sleep(0.03)
            learn_some(store)
        answer()
    assert process.wait() == 0


def learn_some(store):
    for i in range(60):
        assert store.get(key(("nowhere", i))) is None


def test_a_store_that_another_process_salvaged_is_asked_again(store, path):
    """Its database is another one, and what follows goes there."""
    (home,) = (folder for folder in path.iterdir() if folder.is_dir())
    run(
        "file = next(p for p in __import__('pathlib').Path(sys.argv[1]).rglob('cache.db'))\n"
        "store.get(key(1)); file.write_bytes(b'broken' * 1000)\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "store.put(key('large'), b'large' * 9999); store.put(key('small'), b'small'); store.close()",
        path,
    )
    assert list((home / "shelf").glob("cache.db.damaged-*"))
    assert store.get(key("large")) == b"large" * 9999
    assert store.get(key("small")) == b"small"


def test_keys_are_not_known_once_the_connection_is_gone(store):
    """It tells whether others write: a fork, a repair and a close end it."""
    _, shelf, _ = store._parts
    table = shelf._table
    assert table.knows()
    table._drop()
    assert not table.knows()
    store.put(key("later"), b"later")
    store.flush()
    assert store.get(key("later")) == b"later"


def test_a_database_that_cannot_be_read_is_no_reason_to_miss(store, monkeypatch):
    """What is known is a short cut: without it everybody asks."""
    _, shelf, _ = store._parts

    def broken(*args):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(shelf._table, "knows", broken)
    assert shelf.known(None) is None
    assert store.get(key(5)) == b"5"


def test_a_forked_child_learns_for_itself(store, path):
    """The parent's connection is not its own."""
    pid = os.fork()
    if pid == 0:
        found = store.get(key(5)) == b"5" and store.get(key("no")) is None
        store.put(key("theirs"), b"theirs" * 9999)
        store.close()
        os._exit(0 if found else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.get(key("theirs")) == b"theirs" * 9999


def test_a_damaged_key_in_the_table_is_passed_over(path):
    """Whatever it is, nobody can ask for it."""
    store = open_(path)
    for i in range(50):
        store.put(key(i), b"x")
    store.close()
    file = next(path.rglob("cache.db"))
    with contextlib.closing(sqlite3.connect(file)) as con:
        con.execute("UPDATE Cache SET key = 'zz' WHERE key = ?", (key(1),))
        con.execute("UPDATE Cache SET key = 7 WHERE key = ?", (key(2),))
        con.commit()
    store.put(key("a"), b"a")
    learn(store)
    assert store.get(key(3)) == b"x"
    assert store.get_many([key(1), key(2), key(4)]) == {key(4): b"x"}
    store.close()


def test_who_brings_back_what_a_damaged_log_lost_is_noticed(store, path, monkeypatch):
    """It comes to the shelf without a segment: the journal's folder is touched, and the database asked."""
    other = open_(path)
    lost = key("lost")
    assert store.get(lost) is None
    other.put(lost, b"found again")
    journal, shelf, _ = other._parts
    (segment,) = journal.rotate()
    ((name, sealed),) = segment.live()
    # As after a loss: nobody has it, and a salvage finds it in the pages.
    journal.delete([name])
    journal.retire(segment)
    learn(store)
    settle(store)
    row = ShelfRow(name, stamp_of(sealed), 0, None, sealed)
    monkeypatch.setattr(shelf, "inspect", lambda: [row])
    with pytest.warns(StoreWarning, match="recovered 1"):
        other.flush()
    assert store.get(lost) == b"found again"
    other.close()
