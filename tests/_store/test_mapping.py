"""Large results are read in place: verified as a whole, private, and safe from what happens to their file."""

import errno
import fcntl
import gc
import hashlib
import itertools
import mmap
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from nbflow._store import checkpoint
from nbflow._store.disk import mapping, value_file
from nbflow._store.disk.disk_store import DiskStore
from nbflow.errors import StoreError, StoreWarning

ROOT = Path(__file__).parents[2]
ROWS = 200_000
KEY = hashlib.sha1(b"a frame").hexdigest()

needs_leases = pytest.mark.skipif(
    not hasattr(fcntl, "F_SETLEASE"), reason="leases are Linux's"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".nbflow"


@pytest.fixture
def store(path):
    store = DiskStore(path, secret=bytes(32))
    yield store
    store.close()


def numbers():
    return pd.DataFrame(
        {"a": np.arange(ROWS), "b": np.arange(ROWS) / 7, "c": np.arange(ROWS) % 3}
    )


def put(store, value):
    store.put(KEY, checkpoint.dump("step", value, saved_at=1.0))


def taken(store):
    return checkpoint.load(store.get_buffer(KEY)).taken()


def value_path(path):
    (found,) = path.glob("*/shelf/??/??/*.val")
    return found


def address(array):
    return array.__array_interface__["data"][0]


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped_at(place):
    """What the process has mapped at an address: the name of a file, or nothing."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_ = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        if start <= place < end:
            return line.split(maxsplit=5)[5:] or [""]
    raise AssertionError(place)


@needs_leases
def test_what_is_only_read_is_not_copied(store, path):
    """The columns lie in pages of the value file, at a multiple of 64 bytes."""
    put(store, np.arange(ROWS))
    array = taken(store)
    assert mapped_at(address(array)) == [str(value_path(path))]
    assert address(array) % 64 == 0
    put(store, numbers())
    frame = taken(store)
    for name in frame:
        assert mapped_at(address(frame[name].to_numpy())) == [str(value_path(path))]


@pytest.mark.parametrize("is_mapped", [True, False])
def test_a_change_of_what_was_loaded_is_seen_by_nobody_else(
    store, path, monkeypatch, is_mapped
):
    """Neither by the file, nor by another load, before or after, here or in another process."""
    if not is_mapped:
        monkeypatch.setattr(value_file, "_mapped", lambda _: None)
    put(store, numbers())
    before = value_path(path).read_bytes()
    first, second = taken(store), taken(store)
    first.loc[:, "a"] = -1
    first["b"].array[:] = 0
    assert second.equals(numbers())
    assert taken(store).equals(numbers())
    assert value_path(path).read_bytes() == before
    code = (
        "import sys; sys.path.insert(0, 'tests/_store')\n"
        "from test_mapping import DiskStore, numbers, taken\n"
        "print(taken(DiskStore(sys.argv[1], secret=bytes(32))).equals(numbers()))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == "True"
    assert set(first["a"]) == {-1}


def test_a_checkpoint_that_is_asked_twice_gives_two_values(store):
    """`value` stays a fresh object each time."""
    put(store, numbers())
    found = checkpoint.load(store.get_buffer(KEY))
    first, second = found.value, found.value
    first.loc[:, "a"] = -1
    assert second.equals(numbers())
    assert found.taken().equals(numbers())


def shorten(path):
    os.truncate(path, 100)


def overwrite(path):
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))


def empty(path):
    path.open("wb").close()


@needs_leases
@pytest.mark.parametrize("change", [shorten, overwrite, empty])
def test_a_file_changed_in_place_changes_nothing_that_was_loaded(store, path, change):
    """No SIGBUS, and no other values: who changes it waits until the pages are copied. The next load is a miss."""
    put(store, numbers())
    frame, untouched = taken(store), taken(store)
    frame.loc[5, "a"] = -5
    by_hand = numbers()
    by_hand.loc[5, "a"] = -5
    changing = threading.Thread(target=change, args=[value_path(path)])
    changing.start()
    changing.join(30)
    assert not changing.is_alive()
    assert frame.equals(by_hand)
    assert untouched.equals(numbers())
    frame.loc[6, "a"] = -6
    assert frame.loc[6, "a"] == -6
    with pytest.warns(StoreWarning, match="does not verify"):
        assert store.get_buffer(KEY) is None


CHILD = """
import os, sys
sys.path.insert(0, "tests/_store")
from test_mapping import DiskStore, numbers, shorten, taken, value_path
from pathlib import Path
path = Path(sys.argv[1])
frame = taken(DiskStore(path, secret=bytes(32)))
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    os.read(reader, 1)
    os._exit(0 if frame.equals(numbers()) else 1)
changer = os.fork()
if changer == 0:
    shorten(value_path(path))
    os._exit(0)
os.waitpid(changer, 0)
os.write(writer, b"x")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), frame.equals(numbers()))
"""


@needs_leases
def test_a_forked_child_keeps_what_its_parent_loaded(store, path):
    """It copies the pages of its own."""
    put(store, numbers())
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert found.stdout.split() == ["0", "True"], found.stderr


@needs_leases
def test_a_file_that_somebody_can_write_to_is_read_instead(store, path):
    """There is no lease for it."""
    put(store, numbers())
    with value_path(path).open("r+b"):
        frame = taken(store)
    assert frame.equals(numbers())
    assert mapped_at(address(frame["a"].to_numpy())) != [str(value_path(path))]
    frame.loc[:, "a"] = -1
    assert taken(store).equals(numbers())


@needs_leases
@pytest.mark.parametrize("refused", ["lease", "thread", "descriptor", "memory"])
def test_what_cannot_be_mapped_is_read(store, path, monkeypatch, refused):
    """A network disk, a system at its limits."""

    def refuse(*_, **__):
        kinds = {"thread": RuntimeError("can't start new thread")}
        raise kinds.get(refused, OSError(errno.EINVAL, "no"))

    put(store, numbers())
    with monkeypatch.context() as patch:
        leases = mapping._Leases()
        patch.setattr(mapping, "_LEASES", leases)
        where, name = {
            "lease": (mapping, "_leased"),
            "thread": (threading.Thread, "start"),
            "descriptor": (os, "dup"),
            "memory": (mmap, "mmap"),
        }[refused]
        real = getattr(where, name)

        def act(*args, **kwargs):
            # Memory without a file is still to be had.
            if refused == "memory" and args[0] < 0:
                return real(*args, **kwargs)
            return refuse()

        patch.setattr(where, name, act)
        data = store.get_buffer(KEY)
    gc.collect()
    assert not leases._mappings
    frame = checkpoint.load(data).taken()
    assert frame.equals(numbers())
    frame.loc[:, "a"] = -1
    assert taken(store).equals(numbers())


@needs_leases
def test_few_files_are_mapped_at_once(store, monkeypatch):
    """Each takes two descriptors, which come back with the frame; the others are read."""
    monkeypatch.setattr(mapping, "_MOST", 3)
    monkeypatch.setattr(mapping, "_LEASES", mapping._Leases())
    put(store, np.arange(ROWS))
    taken(store)
    gc.collect()
    before = descriptors()
    frames = [taken(store) for _ in range(5)]
    assert descriptors() == before + 6
    assert all((frame == np.arange(ROWS)).all() for frame in frames)
    del frames
    gc.collect()
    assert descriptors() == before


def test_no_flip_in_a_large_file_gives_a_value(store, path):
    """In the head, the description, the numbers, the MAC: a miss that is reported."""
    put(store, numbers())
    file = value_path(path)
    intact = file.read_bytes()
    rng = np.random.default_rng(3)
    places = [*range(0, 400, 7), *rng.integers(0, len(intact), 20), len(intact) - 1]
    _, shelf, _ = store._parts
    reports = []
    shelf._report = lambda _, what: reports.append(what)
    for place in places:
        reports.clear()
        damaged = bytearray(intact)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.unlink()
        file.write_bytes(damaged)
        assert store.get_buffer(KEY) is None, place
        assert store.get(KEY) is None, place
        assert len(reports) == 2, place
    file.unlink()
    file.write_bytes(intact)
    assert taken(store).equals(numbers())


@pytest.mark.parametrize("length", [0, 10, 55, 56, 1000, 1 << 20, (1 << 20) + 77])
@pytest.mark.filterwarnings("ignore::nbflow.errors.StoreWarning")
def test_a_file_cut_short_is_a_miss(store, path, length):
    """Wherever it was cut."""
    put(store, numbers())
    file = value_path(path)
    cut = file.read_bytes()[:length]
    file.unlink()
    file.write_bytes(cut)
    assert store.get_buffer(KEY) is None


def test_a_file_that_becomes_shorter_while_it_is_read_is_a_miss(tmp_path):
    """Nothing is filled up with zeros."""
    file = tmp_path / "value"
    file.write_bytes(bytes(2 << 20))
    fd = os.open(file, os.O_RDONLY)
    assert value_file._copied(fd, 3 << 20) is None
    os.close(fd)


class Refusing:
    """Calls of the system, of which one is refused; a write takes a part of what it is given."""

    def __init__(self, at):
        self.at = at
        self.count = 0
        self.write = os.writev

    def __call__(self, fd, parts):
        self.count += 1
        if self.count >= self.at:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(fd, [memoryview(parts[0])[: 1 + len(parts[0]) // 2]])


@pytest.mark.parametrize("at", [1, 2, 5, 9])
def test_a_full_disk_keeps_the_value_as_it_was(store, path, monkeypatch, at):
    """What is refused is kept as a copy: what happens to the frame afterwards is not saved under the old key."""
    frame = numbers()
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", Refusing(at))
        with pytest.raises(StoreError, match="full"):
            put(store, frame)
    assert not list(path.glob("*/shelf/??/??/*.val"))
    frame.loc[:, "a"] = -1
    frame["b"].array[:] = 0
    assert taken(store).equals(numbers())
    store.flush()
    assert value_path(path).exists()
    assert taken(store).equals(numbers())


class KilledAt:
    """Writes one part a call, and half of the n-th, in which it kills the process."""

    def __init__(self, at):
        self.at = at
        self.count = 0
        self.write = os.writev

    def __call__(self, fd, parts):
        self.count += 1
        part = memoryview(parts[0])
        if self.count < self.at:
            return self.write(fd, [part])
        self.write(fd, [part[: len(part) // 2]])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_no_moment_of_death_leaves_half_a_value(path):
    """Killed in the n-th write, for every n: the old value or the new one, and nothing else stays."""
    old, new = np.zeros(ROWS), numbers()
    with_old = DiskStore(path, secret=bytes(32))
    put(with_old, old)
    with_old.close()
    for at in itertools.count(1):
        pid = os.fork()
        if pid == 0:
            os.writev = KilledAt(at)
            put(DiskStore(path, secret=bytes(32)), new)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        store = DiskStore(path, secret=bytes(32))
        found = taken(store)
        store.close()
        assert len(list(path.glob("*/shelf/??/??/*.val"))) == 1
        if status == 0:
            break
        assert found.shape == old.shape
        assert not found.any()
    assert at > 5
    assert found.equals(new)


def test_writes_that_take_a_part_are_continued(store, monkeypatch):
    """At 2 GiB, or at a limit of the system."""
    write = os.writev
    monkeypatch.setattr(
        os, "writev", lambda fd, parts: write(fd, [memoryview(parts[0])[:70_001]])
    )
    put(store, numbers())
    assert taken(store).equals(numbers())


@pytest.mark.filterwarnings("ignore::nbflow.errors.StoreWarning")
def test_a_frame_that_changes_while_it_is_saved_is_a_miss(store, monkeypatch):
    """What was hashed is not what was written, so it is never served."""
    frame = numbers()
    write = value_file._write_all

    def changed(fd, parts):
        frame["a"].array[:] = -1
        write(fd, parts)

    values = frame["a"].array
    monkeypatch.setattr(value_file, "Beside", lambda work: Done(work()))
    monkeypatch.setattr(value_file, "_write_all", changed)
    put(store, frame)
    assert (values == -1).all()
    assert store.get_buffer(KEY) is None


class Done:
    def __init__(self, value):
        self.result = lambda: value


LIMITED = """
import resource, sys
sys.path.insert(0, "tests/_store")
from test_mapping import DiskStore, KEY, taken
from nbflow.errors import StoreError
store = DiskStore(sys.argv[1], secret=bytes(32))
store.get_many([KEY[::-1]])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (20 << 20), resource.RLIM_INFINITY))
try:
    taken(store)
except StoreError as error:
    print(error)
"""


@needs_leases
def test_a_result_that_memory_is_too_small_for_is_named(store, path):
    """And is no damage."""
    put(store, np.zeros((8_000_000,)))
    store.flush()
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "not enough memory" in found.stdout, found.stderr


@pytest.mark.parametrize(
    "make",
    [
        lambda: pl.DataFrame(
            {"a": range(ROWS), "t": [f"text {n}" for n in range(ROWS)]}
        ),
        lambda: pa.table({"a": range(ROWS), "t": [f"text {n}" for n in range(ROWS)]}),
        lambda: np.arange(ROWS * 3).reshape(3, ROWS).T,
        lambda: pd.Series(np.arange(ROWS), name="s"),
        lambda: pd.Index([f"text {n}" for n in range(ROWS)]),
    ],
    ids=["polars", "arrow", "numpy", "series", "index"],
)
def test_every_kind_of_table_is_read_in_place(store, make):
    """As it was."""
    value = make()
    put(store, value)
    for _ in range(2):
        found = taken(store)
        assert type(found) is type(value)
        if isinstance(value, np.ndarray):
            assert (found == value).all()
            assert found.flags.f_contiguous
            found[:] = 0
        else:
            assert found.equals(value)


def test_what_was_loaded_outlives_its_store_and_its_file(store, path):
    """A replaced or removed result is one that nobody finds any more; who has it keeps it."""
    put(store, numbers())
    frame = taken(store)
    put(store, np.arange(ROWS))
    store.delete([KEY])
    store.close()
    gc.collect()
    assert not list(path.glob("*/shelf/??/??/*.val"))
    assert frame.equals(numbers())
