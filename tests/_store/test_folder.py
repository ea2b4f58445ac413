"""Folder: who may write, one at a time, and what a refusal says."""

import errno
import fcntl
import os
import sqlite3
import stat
from types import SimpleNamespace

import pytest

from nbflow._store.disk.disk_store import DiskStore
from nbflow._store.folder import open_private, prepare, refusal


def test_a_link_is_not_followed(tmp_path):
    """Somebody who can plant one cannot have us write elsewhere."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "target").exists()


def test_a_folder_with_a_life_of_its_own_is_not_hidden_from_git(tmp_path):
    """Only what was made for the store is."""
    assert prepare(tmp_path)
    assert not (tmp_path / ".gitignore").exists()
    assert prepare(tmp_path / "a" / "store")
    assert (tmp_path / "a" / "store" / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE((tmp_path / "a" / "store").stat().st_mode) == 0o700


def coded(code):
    error = sqlite3.OperationalError("said")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "said"), "free some space"),
        (OSError(errno.EDQUOT, "said"), "quota"),
        (OSError(errno.EROFS, "said"), "NBFLOW_STORE"),
        (OSError(errno.EMFILE, "said"), "ulimit -n"),
        (OSError(errno.EIO, "said"), "disk failed"),
        (OSError(errno.EBADF, "said"), "restart the kernel"),
        (coded(sqlite3.SQLITE_FULL), "free some space"),
        (coded(sqlite3.SQLITE_BUSY_SNAPSHOT), "fuser -v {where}"),
        (coded(sqlite3.SQLITE_READONLY_DIRECTORY), "NBFLOW_STORE"),
    ],
)
def test_a_refusal_says_what_where_and_what_to_do(tmp_path, error, remedy):
    """In one sentence each."""
    text = str(refusal(error, "save a result", tmp_path))
    assert text.startswith(f"Cannot save a result in {tmp_path}: said. ")
    assert remedy.format(where=tmp_path) in text


@pytest.mark.parametrize(
    ("space", "error", "remedy"),
    [
        ((0, 9, 9), OSError(errno.ENOSPC, "said"), "free some space"),
        ((9, 9, 0), OSError(errno.ENOSPC, "said"), "no place for more files"),
        ((9, 9, 0), coded(sqlite3.SQLITE_FULL), "no place for more files"),
        ((9, 0, 0), OSError(errno.ENOSPC, "said"), "free some space"),
        ((0, 9, 9), coded(sqlite3.SQLITE_IOERR), "free some space"),
        ((0, 9, 9), coded(sqlite3.SQLITE_CANTOPEN), "free some space"),
        ((9, 9, 9), coded(sqlite3.SQLITE_IOERR), "disk failed"),
    ],
)
def test_a_refusal_tells_what_of_the_disk_is_full(
    tmp_path, monkeypatch, space, error, remedy
):
    """A disk of many small files has space left; SQLite takes a full one for a failing one."""
    free, some, left = space
    disk = SimpleNamespace(f_bavail=free, f_files=some, f_favail=left)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    assert remedy in str(refusal(error, "save a result", tmp_path / "not" / "there"))


def test_syncing_reaches_the_platter_where_fsync_does_not(tmp_path, monkeypatch):
    """macOS has no fdatasync, and its fsync ends in the drive's memory."""
    asked = []
    monkeypatch.delattr(os, "fdatasync", raising=False)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda fd, what: asked.append(what))
    store = DiskStore(tmp_path / "store", secret=bytes(32), durability="power")
    store.put("ab" * 20, b"x")
    assert 51 in asked
    monkeypatch.delattr(fcntl, "F_FULLFSYNC")
    store.put("ab" * 20, b"y" * 9999)
    store.close()
    assert store.get("ab" * 20) == b"y" * 9999


def test_files_that_go_while_somebody_lists_them_are_no_error(tmp_path):
    import shutil

    from nbflow._store.folder import files_in

    for name in "abc":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    found = files_in(tmp_path)
    next(found)
    for name in "abc":
        shutil.rmtree(tmp_path / name)
    assert list(found) == []
