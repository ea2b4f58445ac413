"""Every call of the operating system fails once, and once kills the process: nothing acknowledged is lost."""

import errno
import hashlib
import os
import signal
import warnings

import pytest

from nbflow._store.disk.disk_store import DiskStore
from nbflow.errors import StoreError

CALLS = [
    "open",
    "write",
    "pwrite",
    "rename",
    "replace",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "chmod",
    "fchmod",
    "ftruncate",
    "truncate",
]
SYNCS = ["fsync", "fdatasync"]


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


class Faults:
    """Counts the calls and does something at one of them, or at all from there on."""

    def __init__(self, monkeypatch, at, act, *, ever_after=False):
        self.count = 0
        self.at = at
        self.act = act
        self.ever_after = ever_after
        self.armed = True
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))
        for name in SYNCS:
            monkeypatch.setattr(
                os, name, self.wrap(name, lambda fd: None)
            )  # slow, and not what is tested

    def wrap(self, name, call):
        def fault(*args, **kwargs):
            if self.armed:
                self.count += 1
                if self.count == self.at or (self.ever_after and self.count > self.at):
                    self.act(name, call, args)
            return call(*args, **kwargs)

        return fault


def full(name, call, args):
    """What a full disk says; a write takes a part first."""
    if name in ("write", "pwrite") and len(args[1]) > 1:
        call(args[0], args[1][: len(args[1]) // 2], *args[2:])
    raise OSError(errno.ENOSPC, "No space left on device")


def die(name, call, args):
    """Killed in the middle of a write, or before anything else."""
    if name in ("write", "pwrite") and len(args[1]) > 1:
        call(args[0], args[1][: len(args[1]) // 2], *args[2:])
    os.kill(os.getpid(), signal.SIGKILL)


def cycle(path, acknowledge):
    """Put, flush, replace, delete, close and open again; says what may be relied upon after each step."""

    def attempt(work, *args):
        try:
            work(*args)
        except StoreError as error:
            refused.append(error)
            return False
        return True

    refused = []
    store = DiskStore(path, secret=bytes(32), durability="power", timeout=5)

    def put(name, data):
        acknowledge(name, None)  # from here on the new one may be there
        if attempt(store.put, key(name), data):
            acknowledge(name, data)

    for i in range(3):
        put(i, b"small" * i)
    put("large", b"large" * 999)
    attempt(store.flush)
    put(0, b"replaced")
    put("large", b"larger" * 999)
    put(1, b"grown" * 999)
    acknowledge(2, None)
    attempt(store.delete, [key(2)])
    put("temporary", b"t" * 9999)
    put("last", b"x")
    attempt(store.close)
    put("after", b"x")
    attempt(store.close)
    return store, refused


def verify(path, acknowledged):
    store = DiskStore(path, secret=bytes(32), timeout=5)
    for name, data in acknowledged.items():
        if data is not None:
            assert store.get(key(name)) == data, name
    assert store.get_many([key(name) for name in acknowledged]).keys() == set(
        store.keys()
    )
    store.put(key("new"), b"new")
    store.close()
    assert store.get(key("new")) == b"new"
    large = sum(len(store.get(name)) > 4000 for name in list(store.keys()))
    store.close()
    return large


def leftovers(path, large):
    home = path / DiskStore(path, secret=bytes(32))._seal.fingerprint
    assert [file.name for file in (home / "journal").iterdir()] == []
    assert len(list((home / "shelf").glob("??/??/*.val"))) == large
    assert sorted(file.name for file in home.iterdir()) == [
        "guard",
        "journal",
        "locks",
        *(["locks.d"] if (home / "locks.d").exists() else []),
        "shelf",
        "turnstile",
    ]


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "from there on"])
def test_no_failing_call_loses_what_was_acknowledged(tmp_path, monkeypatch, ever_after):
    """The n-th call fails, for every n: a StoreError at most, and afterwards the same store goes on."""
    at = 0
    while True:
        at += 1
        path = tmp_path / str(at)
        acknowledged = {}
        with monkeypatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("error")
            faults = Faults(patch, at, full, ever_after=ever_after)
            store, refused = cycle(path, acknowledged.__setitem__)
            faults.armed = False
            if not refused:
                assert set(acknowledged.values()) > {b"replaced", b"larger" * 999}
            store.put(key("goes on"), b"x")
            acknowledged["goes on"] = b"x"
            store.close()
            for name, data in acknowledged.items():
                assert data is None or store.get(key(name)) == data, (at, name)
            store.close()
        leftovers(path, verify(path, acknowledged))
        if at > faults.count:
            break
    assert at > 50


def printer(file):
    return lambda name, data: print(
        name, "" if data is None else data.hex() or "-", file=file, sep="\t"
    )


def test_no_moment_of_death_loses_what_was_acknowledged(tmp_path, monkeypatch):
    """Killed at the n-th call, for every n: everything acknowledged is there, silently, and nothing else stays."""
    at = 0
    status = None
    while status != 0:
        at += 1
        path = tmp_path / str(at)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            Faults(monkeypatch, at, die)
            try:
                _, refused = cycle(path, printer(os.fdopen(writer, "w", buffering=1)))
            except BaseException:
                os._exit(1)
            os._exit(1 if refused else 0)
        os.close(writer)
        with os.fdopen(reader) as lines:
            acknowledged = {}
            for line in lines:
                name, _, data = line.rstrip("\n").partition("\t")
                acknowledged[name] = (
                    None if not data else bytes.fromhex(data.replace("-", ""))
                )
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL), at
        if (path / ".gitignore").exists():
            leftovers(path, verify(path, acknowledged))
    assert at > 50
