"""Journal: what is appended is found, by its process and by others, whole or not at all."""

import errno
import hashlib
import os

import pytest

from nbflow._store.disk import journal as journal_module
from nbflow._store.disk.journal import Journal, Segment
from nbflow._store.folder import lock_file
from nbflow._store.seal import MAGIC, OVERHEAD, Seal

SEAL = Seal(bytes(32))


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


def make(folder, *, writable=True):
    def complain(where, what):
        raise AssertionError(f"{where}: {what}")

    return Journal(folder, SEAL, sync=False, writable=writable, report=complain)


@pytest.fixture
def mine(tmp_path):
    return make(tmp_path)


@pytest.fixture
def theirs(tmp_path):
    return make(tmp_path)


def add(journal, name, data):
    return journal.append(key(name), SEAL.seal(key(name), data))


def test_an_entry_is_one_write_and_nothing_else(mine, tmp_path):
    """A segment is sealed entries end to end; it appears with the first one."""
    assert mine.get(key("a")) is None
    assert list(tmp_path.iterdir()) == []
    add(mine, "a", b"first")
    add(mine, "b", b"second")
    (log,) = tmp_path.iterdir()
    assert log.stat().st_size == 2 * OVERHEAD + len(b"firstsecond")
    assert [entry.key for entry in SEAL.walk(log.read_bytes())] == [key("a"), key("b")]


def test_what_others_append_is_seen_as_it_grows(mine, theirs):
    """New segments and new entries, each at the next look."""
    assert mine.get(key("a")) is None
    for i in range(5):
        add(theirs, i, b"%d" % i)
        assert mine.get(key(i)) == b"%d" % i
        assert mine.get_many([key(i), key("no"), key(0)]) == {
            key(i): b"%d" % i,
            key(0): b"0",
        }
    assert mine.keys() == {key(i) for i in range(5)}


def test_a_segment_that_comes_within_a_tick_of_the_clock_is_seen(
    mine, tmp_path, monkeypatch
):
    """Two changes of a folder may have one time: a fresh listing is not trusted to be the last of its tick."""
    mine.get(key("a"))
    status = tmp_path.stat()
    for i in range(3):
        add(make(tmp_path), i, b"x")
        os.utime(tmp_path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert mine.get(key(i)) == b"x"
    # Once the time has passed, one stat is enough.
    monkeypatch.setattr(journal_module, "_UNTRUSTED", -(10**18))
    mine.get(key("a"))
    monkeypatch.setattr(mine, "_list", lambda: pytest.fail("listed again"))
    mine.get(key("a"))


def test_half_an_entry_is_not_seen_until_it_is_whole(mine, tmp_path):
    """A reader that comes in the middle of a write waits for the rest."""
    sealed = SEAL.seal(key("a"), b"data")
    log = tmp_path / "0123.log"
    for size in range(len(sealed)):
        log.write_bytes(sealed[:size])
        assert mine.get(key("a")) is None
    log.write_bytes(sealed)
    assert mine.get(key("a")) == b"data"


def test_a_torn_write_is_overwritten_by_the_next_entry(mine, tmp_path, monkeypatch):
    """Nothing lies in front of what comes later, even if the tail could not be cut off."""
    add(mine, "a", b"first")
    pwrite = os.pwrite

    def full(fd, data, offset):
        if data.startswith(MAGIC):
            return pwrite(fd, data[:70], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    def refuse(fd, size):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="No space"):
            add(mine, "b", b"torn" * 20)
    assert mine.get(key("b")) is None
    add(mine, "c", b"next")
    (log,) = tmp_path.iterdir()
    assert [(entry.start, entry.key) for entry in SEAL.walk(log.read_bytes())] == [
        (0, key("a")),
        (OVERHEAD + 5, key("c")),
    ]


def test_an_interrupted_put_moves_no_later_entry(mine, monkeypatch):
    """Ctrl-C between the write and its note: the next entry takes the place."""
    add(mine, "a", b"first")
    pwrite = os.pwrite

    def interrupted(*args):
        pwrite(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            add(mine, "b", b"interrupted")
    add(mine, "c", b"next")
    assert (mine.get(key("a")), mine.get(key("b")), mine.get(key("c"))) == (
        b"first",
        None,
        b"next",
    )


def test_a_segment_being_moved_stays_readable_until_the_end(mine, theirs, tmp_path):
    """New entries go to another one meanwhile; a reader that holds it open does not mind its removal."""
    add(mine, "a", b"a")
    assert theirs.get(key("a")) == b"a"
    (moving,) = mine.rotate()
    add(mine, "b", b"b")
    assert len(list(tmp_path.iterdir())) == 2
    assert mine.get(key("a")) == b"a"
    assert [name for name, _ in moving.live()] == [key("a")]
    mine.retire(moving)
    assert mine.get(key("a")) is None
    assert theirs.get(key("a")) is None
    assert theirs.get(key("b")) == b"b"


def test_only_the_segments_of_the_dead_are_orphans(mine, theirs):
    """A living writer holds its flock; the kernel lets go of a dead one's."""
    add(theirs, "a", b"a")
    assert list(mine.orphans()) == []
    theirs.abandon()
    (orphan,) = mine.orphans()
    assert [name for name, _ in orphan.live()] == [key("a")]
    # Whoever has an orphan has it alone.
    again = Segment.follow(orphan.path, writable=True)
    assert not lock_file(again.fd)


def test_an_entry_replaced_or_deleted_elsewhere_is_gone_for_its_owner(mine, theirs):
    """Its owner neither reads nor moves it."""
    add(theirs, "a", b"old")
    add(theirs, "b", b"old")
    assert mine.get(key("a")) == b"old"
    add(mine, "a", b"new")
    assert theirs.get(key("a")) == b"new"
    assert mine.delete([key("b"), key("no")]) == {key("b")}
    assert theirs.get(key("b")) is None
    (segment,) = theirs.rotate()
    assert segment.live() == []


def test_of_two_writers_the_newer_entry_is_served(mine, tmp_path):
    """Neither knew of the other's."""
    first, second = SEAL.seal(key("a"), b"first"), SEAL.seal(key("a"), b"second")
    for one, other in ((first, second), (second, first)):
        make_dir = tmp_path / one.hex()[-8:]
        make_dir.mkdir()
        (make_dir / "1.log").write_bytes(one)
        (make_dir / "2.log").write_bytes(other)
        assert make(make_dir).get(key("a")) == b"second"


def test_a_read_only_journal_is_read(tmp_path, theirs):
    """Whoever cannot write follows all the same, and one that is not there is empty."""
    add(theirs, "a", b"a")
    reader = make(tmp_path, writable=False)
    assert reader.get(key("a")) == b"a"
    assert make(tmp_path / "none", writable=False).get(key("a")) is None
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "none").get(key("a"))
