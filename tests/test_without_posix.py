"""What Windows does not have is hidden from a process: what need not be on a disk works there."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbflow._store.locking import MsvcrtLocks

HERE = Path(__file__).parent
ROOT = HERE.parent
#: Loaded first: what they use of this system is not what is tested.
LOADED = "import pandas, IPython, nbformat, nbclient, rich, jupyter_client, zoneinfo\n"
WORK = """
import sys, without_posix
import nbflow as nf
from nbflow import cli
assert "fcntl" not in sys.modules

nf.use("memory:")

@nf.step
def size(text):
    return len(text)

@nf.flow(on="e")
def flow(record):
    return size(record["text"])

rows = [{"id": 1, "text": "one"}, {"id": 2, "text": "three"}]
run = nf.send("e", rows, key="id")
assert run.results("flow") == [3, 5]
assert nf.send("e", rows, key="id").counts == {"flow": {"CACHED": 2}}
assert size.map(["one"]).counts == {"size": {"CACHED": 1}}
assert "COMPLETED" in run._repr_html_() or "completed" in run._repr_html_()
assert len(nf.runs()) == 3
assert nf.plan("e", rows).cached == 2
assert nf.store.info().outputs == 4
nf.store.prune(keep_runs=1)
assert size.explain("one").state
assert cli.main(["check", sys.argv[1]]) == 0
for target in ("cron", "airflow", "docker"):
    order = ["export", sys.argv[1], "--to", target, "--schedule", "0 6 * * *"]
    assert cli.main([*order, "--output", f"{sys.argv[2]}/{target}", "--force"]) == 0
try:
    nf.use(sys.argv[2])
    size("of a store on disk")
except nf.StoreError as error:
    assert "needs Linux, macOS or WSL" in str(error)
else:
    raise AssertionError("a store on disk was opened")
print("well")
"""


def test_import_memory_keys_tables_check_and_exports_work(tmp_path):
    path = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
    notebook = ROOT / "notebooks" / "categorize.ipynb"
    done = subprocess.run(
        [sys.executable, "-c", LOADED + WORK, str(notebook), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("well\n")


class Msvcrt:
    """``msvcrt.locking``: exclusive ranges from where the descriptor stands, no queue."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self):
        self.ranges = []

    def locking(self, fd, mode, length):
        start = os.lseek(fd, 0, os.SEEK_CUR)
        if mode == self.LK_UNLCK:
            if (fd, start, length) not in self.ranges:
                raise PermissionError(errno.EACCES, "Permission denied")
            self.ranges.remove((fd, start, length))
            return
        for _, other, size in self.ranges:
            if start < other + size and other < start + length:
                raise PermissionError(errno.EACCES, "Permission denied")
        self.ranges.append((fd, start, length))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "lock").touch()
    fds = [os.open(tmp_path / "lock", os.O_RDWR) for _ in range(3)]
    yield fds
    for fd in fds:
        os.close(fd)


def test_msvcrt_shares_a_file_among_many_or_gives_it_to_one(files):
    locks, (one, two, three) = MsvcrtLocks(system := Msvcrt()), files
    assert locks.take(one, alone=False)
    assert locks.take(two, alone=False)
    assert not locks.take(three, alone=True)
    locks.give(one)
    assert not locks.take(three, alone=True)
    locks.give(two)
    assert locks.take(three, alone=True)
    assert not locks.take(one, alone=False)
    assert not locks.take(two, alone=True)
    locks.give(three)
    assert system.ranges == []


def test_msvcrt_locks_a_byte_for_one(files):
    locks, (one, two, _) = MsvcrtLocks(Msvcrt()), files
    place = 2**40
    assert locks.take_byte(one, place)
    assert not locks.take_byte(two, place)
    assert locks.take_byte(two, place + 1)
    assert locks.holder(two, place) is None
    locks.give_byte(one, place)
    assert locks.take_byte(two, place)
    locks.give_byte(one, place + 7)
