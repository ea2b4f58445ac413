"""Processes are killed at random, over and over: everything acknowledged is readable, and nobody warns."""

import hashlib
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nbflow._store.disk.disk_store import DiskStore

ROOT = Path(__file__).parents[2]

WRITER = """
import hashlib, random, sys, warnings
from nbflow._store.disk.disk_store import DiskStore
warnings.simplefilter("error")
store = DiskStore(sys.argv[1], secret=bytes(32))
name, rng = sys.argv[2], random.Random(sys.argv[2])
print("ready", flush=True)
for i in range(10**9):
    key = hashlib.sha1(f"{name} {i}".encode()).hexdigest()
    size = rng.choice([0, 10, 200, 3000, 3443, 3445, 20_000, 500_000 if i % 50 == 0 else 99])
    assert store.get(key) is None
    assert store.lock(key)
    store.put(key, hashlib.shake_128(key.encode()).digest(size))
    store.unlock(key)
    print(key, size, flush=True)
    if rng.random() < 0.01:
        store.flush()
    if rng.random() < 0.002:
        store.close()
"""


def start(path, name):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_loses_nothing_that_was_acknowledged(tmp_path, seed):
    """Three processes at a time on one store, each killed at a moment of its own, twelve times."""
    path = tmp_path / ".nbflow"
    rng = random.Random(seed)
    acknowledged = {}
    complaints = []

    def live_and_die(name, seconds):
        process = start(path, name)
        process.stdout.readline()
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        for line in process.stdout:
            key, _, size = line.rstrip("\n").partition(" ")
            if line.endswith("\n"):
                acknowledged[key] = int(size)
        complaints.append(process.stderr.read())
        process.wait()

    for generation in range(12):
        lives = [
            threading.Thread(
                target=live_and_die, args=(f"{generation} {n}", rng.uniform(0.01, 0.6))
            )
            for n in range(3)
        ]
        for life in lives:
            life.start()
        for life in lives:
            life.join()

    assert not any(complaints), "".join(complaints)
    assert len(acknowledged) > 500
    store = DiskStore(path, secret=bytes(32))
    for key, size in acknowledged.items():
        assert store.get(key) == hashlib.shake_128(key.encode()).digest(size)
    assert store.get_many(list(acknowledged)).keys() == acknowledged.keys()
    # A put that was killed before it was acknowledged may be there or not, one for each
    # death.
    assert acknowledged.keys() <= set(store.keys())
    assert len(list(store.keys())) <= len(acknowledged) + 36
    large = sum(len(store.get(key)) > 3444 for key in list(store.keys()))
    store.close()
    (home,) = (folder for folder in path.iterdir() if folder.is_dir())
    assert list((home / "journal").iterdir()) == []
    assert len(list((home / "shelf").glob("??/??/*.val"))) == large
