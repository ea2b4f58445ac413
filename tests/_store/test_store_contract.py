"""What every store promises. A new store is one more line in the list."""

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbflow._store.disk.disk_store import DiskStore
from nbflow._store.location import open_store
from nbflow._store.store import MemoryStore, Store

ROOT = Path(__file__).parents[2]
SECRET = "a secret for the tests"


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


MAKERS = {
    "memory": lambda path: MemoryStore(),
    "disk": DiskStore,
    "disk, power": lambda path: DiskStore(path, durability="power"),
}


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv("NBFLOW_STORE_KEY", SECRET)


@pytest.fixture(params=MAKERS.values(), ids=MAKERS)
def store(request, tmp_path):
    store = request.param(tmp_path / ".nbflow")
    yield store
    store.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".nbflow"


@pytest.fixture
def disk(path):
    store = DiskStore(path)
    yield store
    store.close()


def child(code, path, **kwargs):
    """A process with ``store`` open on ``path``, and ``key``."""
    head = (
        "import sys, hashlib, os, signal; from nbflow._store.disk.disk_store import DiskStore\n"
        "key = lambda name: hashlib.sha1(str(name).encode()).hexdigest()\n"
        "store = DiskStore(sys.argv[1])\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + code, str(path)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **kwargs,
    )


def output_of(code, path):
    process = child(code, path)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out.strip()


def test_it_is_a_store(store):
    """It has every method of the protocol."""
    assert isinstance(store, Store)


@pytest.mark.parametrize("size", [0, 1, 200, 3443, 3444, 3445, 100_000, 3_000_000])
def test_what_was_put_is_got(store, size):
    """Any number of bytes, before and after tidying up, and after opening again."""
    data = hashlib.shake_128(b"data").digest(size)
    store.put(key("a"), data)
    assert store.get(key("a")) == data
    store.flush()
    assert store.get(key("a")) == data
    assert type(store.get(key("a"))) is bytes
    store.close()
    assert store.get(key("a")) == data


def test_what_was_not_put_is_none(store):
    """A miss is None, in an empty store and in one that has others."""
    assert store.get(key("a")) is None
    store.put(key("b"), b"b")
    assert store.get(key("a")) is None
    assert store.get_many([key("a")]) == {}


@pytest.mark.parametrize("tidy", ["never", "between", "after"])
@pytest.mark.parametrize("sizes", [(9, 9), (9, 9999), (9999, 9), (9999, 9999)])
def test_a_second_put_replaces_the_first(store, sizes, tidy):
    """Small by large and large by small, wherever the first one lies by then."""
    store.put(key("a"), b"1" * sizes[0])
    if tidy == "between":
        store.flush()
    store.put(key("a"), b"2" * sizes[1])
    if tidy == "after":
        store.flush()
    assert store.get(key("a")) == b"2" * sizes[1]
    assert store.get_many([key("a")]) == {key("a"): b"2" * sizes[1]}
    assert list(store.keys()) == [key("a")]


@pytest.mark.parametrize("tidy", [True, False])
@pytest.mark.parametrize("known", ["looked up", "unknown", "another process's"])
@pytest.mark.parametrize("sizes", [(3, 3), (3, 9999), (9999, 3), (9999, 9999)])
def test_a_second_put_wins_although_the_clock_went_back(
    path, monkeypatch, sizes, known, tidy
):
    """The stamps decide when the journal moves, or a process died, so they must not follow the clock."""
    before, after = sizes
    if known == "another process's":
        output_of(f"store.put(key('a'), b'x' * {before})", path)
    store = DiskStore(path)
    if known != "another process's":
        store.put(key("a"), b"x" * before)
    if tidy:
        store.flush()
    if known == "looked up":
        assert store.get(key("a"))
    monkeypatch.setattr("time.time_ns", lambda: 1)
    for data in (b"y" * after, b"z" * after):
        store.put(key("a"), data)
        assert store.get(key("a")) == data
    store.close()
    assert store.get(key("a")) == b"z" * after
    store.close()


def test_many_are_got_at_once(store):
    """Journal, rows and files in one answer; what is not there is not in it."""
    data = {key(i): bytes([i % 256]) * (i if i % 100 else 5000) for i in range(1300)}
    for number, (name, value) in enumerate(data.items()):
        store.put(name, value)
        if number == 900:
            store.flush()
    asked = [*data, key("no"), *data]
    assert store.get_many(asked) == data
    large = key(100)
    assert store.get_many([large, large]) == {large: data[large]}
    assert store.get_many([]) == {}


def test_keys_are_those_that_were_put(store):
    """Each once, wherever it lies."""
    for i in range(30):
        store.put(key(i), b"x" * (i * 200))
        if i == 15:
            store.flush()
    store.put(key(0), b"again")
    assert sorted(store.keys()) == sorted(key(i) for i in range(30))


@pytest.mark.parametrize("tidy", [False, True])
def test_what_was_deleted_is_gone(store, tidy):
    """It says how many there were, and nothing comes back by tidying up."""
    for i in range(6):
        store.put(key(i), b"x" * (i * 1000))
    if tidy:
        store.flush()
    assert store.delete([key(0), key(5), key("no"), key(5)]) == 2
    assert store.get(key(0)) is None
    assert store.get_many([key(i) for i in range(6)]).keys() == {
        key(i) for i in range(1, 5)
    }
    store.close()
    assert sorted(store.keys()) == sorted(key(i) for i in range(1, 5))
    store.put(key(0), b"new")
    assert store.get(key(0)) == b"new"


def test_a_closed_store_opens_by_itself(store):
    """close() may be called at any time, twice too."""
    store.close()
    store.put(key("a"), b"a")
    store.close()
    store.close()
    assert store.get(key("a")) == b"a"


def test_threads_share_it(store):
    """Puts, gets, deletes and tidying up from many threads lose and mix up nothing."""
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        for i in range(300):
            name = key((number, i))
            store.put(name, name.encode() * (1 if i % 30 else 100))
            assert (
                store.get(key((number, i // 2)))[:40] == key((number, i // 2)).encode()
            )
            if i % 100 == 50:
                store.flush()
            if i % 10 == 9:
                store.put(key(("temporary", number)), b"")
                assert store.delete([key(("temporary", number))]) == 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert (
        len(store.get_many([key((n, i)) for n in range(8) for i in range(300)])) == 2400
    )
    assert len(list(store.keys())) == 2400


def test_a_key_is_locked_and_given_back(store):
    """Nobody else is there: the lock is granted, again after it was given back."""
    assert store.lock(key("a"))
    store.unlock(key("a"))
    assert store.lock(key("a"))
    store.unlock(key("a"))


# --- processes


def test_another_process_sees_a_put_at_once(disk, path):
    """Without flush or close, small and large, in both directions."""
    disk.put(key("small"), b"small")
    disk.put(key("large"), b"large" * 9999)
    process = child(
        "print(store.get(key('small')) == b'small' and store.get(key('large')) == b'large' * 9999, flush=True)\n"
        "store.put(key('theirs'), b'1'); store.put(key('theirs'), b'2'); print('put', flush=True); input()",
        path,
    )
    assert process.stdout.readline() == "True\n"
    assert process.stdout.readline() == "put\n"
    assert disk.get(key("theirs")) == b"2"
    assert disk.get_many([key("theirs"), key("small")]) == {
        key("theirs"): b"2",
        key("small"): b"small",
    }
    assert set(disk.keys()) == {key("theirs"), key("small"), key("large")}
    process.communicate("\n")
    assert disk.get(key("theirs")) == b"2"


def test_a_delete_reaches_what_another_process_has_just_put(disk, path):
    """Its owner does not see it any more, and does not bring it back by tidying up."""
    process = child(
        "store.put(key('a'), b'a'); print(flush=True); input(); print(store.get(key('a')), flush=True); store.flush()",
        path,
    )
    process.stdout.readline()
    assert disk.delete([key("a")]) == 1
    assert process.communicate("\n")[0] == "None\n"
    assert disk.get(key("a")) is None


def test_the_later_put_wins_between_processes(disk, path):
    """Whichever process tidies up last."""
    process = child(
        "store.put(key('a'), b'old'); store.put(key('b'), b'old'); print(flush=True); input()\n"
        "print(store.get(key('a')), flush=True); store.flush(); print(flush=True); input()",
        path,
    )
    process.stdout.readline()
    assert disk.get(key("a")) == b"old"
    disk.put(key("a"), b"new")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "b'new'\n"
    process.stdout.readline()
    disk.flush()
    assert disk.get(key("a")) == b"new"
    process.communicate("\n")
    assert output_of("print(store.get(key('a')))", path) == "b'new'"


def test_a_lock_excludes_another_process_and_dies_with_it(disk, path):
    """kill -9 gives the lock back; no lease has to run out."""
    process = child("print(store.lock(key('a')), flush=True); input()", path)
    assert process.stdout.readline() == "True\n"
    assert not disk.lock(key("a"))
    assert disk.lock(key("b"))
    if sys.platform == "linux":
        assert disk.holder(key("a")) == process.pid
    assert disk.holder(key("c")) is None
    process.kill()
    process.wait()
    assert disk.lock(key("a"))
    assert output_of(
        "print(store.lock(key('a')), store.lock(key('b')), store.lock(key('c')))", path
    ) == ("False False True")
    disk.unlock(key("a"))
    assert (
        output_of("print(store.lock(key('a')), store.lock(key('b')))", path)
        == "True False"
    )
    disk.unlock(key("b"))


def test_thousands_of_keys_are_locked_each_for_itself(disk, path):
    keys = [key(n) for n in range(2_000)]
    assert all(map(disk.lock, keys))
    granted = "print(sum(map(store.lock, map(key, range(1_000, 3_000)))))"
    assert output_of(granted, path) == "1000"
    for name in keys:
        disk.unlock(name)
    assert output_of(granted, path) == "2000"


def test_a_lock_outlives_closing_and_a_second_store_object(disk, path):
    """POSIX drops a process's locks when it closes any descriptor of the file: none is ever closed."""
    assert disk.lock(key("a"))
    other = DiskStore(path)
    other.put(key("x"), b"x")
    assert other.lock(key("b"))
    other.close()
    disk.close()
    assert (
        output_of("print(store.lock(key('a')), store.lock(key('b')))", path)
        == "False False"
    )
    disk.unlock(key("a"))
    disk.unlock(key("b"))


def test_one_folder_is_one_store(path, monkeypatch):
    """open_store gives the same object however the path is spelled."""
    path.parent.mkdir(exist_ok=True)
    monkeypatch.chdir(path.parent)
    assert (
        open_store(path) is open_store(".nbflow") is open_store(path / ".." / ".nbflow")
    )
    assert open_store("memory:") is not open_store("memory:")
