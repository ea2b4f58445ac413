"""Children forked while threads are at work: they use the store, and wait for nobody who is not there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEAD = """
import multiprocessing, os, sys, threading, time, warnings
warnings.simplefilter("error", category=Warning)
warnings.filterwarnings("ignore", category=DeprecationWarning)  # Python's, of forks
import nbflow as nf
nf.use(sys.argv[1])
FORK = multiprocessing.get_context("fork")
"""

STORE = """
import hashlib, itertools
from nbflow._store.disk.disk_store import DiskStore
key = lambda *name: hashlib.sha1(repr(name).encode()).hexdigest()
store = DiskStore(sys.argv[1], timeout=20)
done = threading.Event()
def work(thread):
    for n in itertools.count():
        if done.is_set(): return
        store.put(key(thread, n), b"x" * (100, 9999)[n % 2])
        store.get(key(thread, n - 9)), store.get(key("missing", n))
threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
for thread in threads: thread.start()
failed = 0
for child in range(25):
    pid = os.fork()
    if not pid:
        try:
            for size in (100, 9999):
                store.put(key("child", child, size), b"y" * size)
                assert store.get(key("child", child, size)) == b"y" * size
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    failed += os.waitpid(pid, 0)[1] != 0
done.set()
for thread in threads: thread.join()
print(failed, sum(store.get(key("child", n, size)) == b"y" * size for n in range(25) for size in (100, 9999)))
"""

POOLS = """
@nf.step(concurrency=2)
def square(n):
    time.sleep(0.002)
    return n * n, "x" * 9999

@nf.step
def pooled(n):
    with FORK.Pool(2) as pool:
        return sum(pool.map(child, range(4 * n, 4 * n + 4)))

def child(n):
    return square(n)[0]

@nf.flow(on="numbers")
def alone(record):
    return square(-1 - record["n"])[0]

@nf.flow(on="numbers")
def many(record):
    return pooled(record["n"])

run = nf.send("numbers", [{"n": n} for n in range(12)])
print(run.state, sum(run.results("many")) == sum(n * n for n in range(48)))
"""

AGAIN = """
@nf.step(retries=0)
def endless(n):
    with FORK.Pool(1) as pool:
        return pool.map(again, [n])

def again(n):
    return endless(n)

try: endless(1)
except nf.StepError as error: print(type(error.__cause__).__name__)
"""


IMPORTS = """
from pathlib import Path
Path(sys.argv[1]).mkdir(exist_ok=True)
sys.path.insert(0, sys.argv[1])
Path(sys.argv[1], "slow.py").write_text("import threading; begun.set(); import time; time.sleep(0.5)")
import builtins
builtins.begun = threading.Event()
threading.Thread(target=__import__, args=("slow",)).start()
builtins.begun.wait()
pid = os.fork()
if not pid:
    import slow
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""


def output_of(code, path):
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[-2]


def test_children_forked_while_threads_read_and_write_use_the_store(tmp_path):
    """What SQLite holds in the midst of a transaction, and what it knows of its files, is not theirs."""
    assert output_of(STORE, tmp_path / "store") == "0 50"


def test_flows_whose_steps_use_pools_come_to_their_end(tmp_path):
    """A child has the step's places, and the calls under way are the parent's."""
    assert output_of(POOLS, tmp_path / "store") == "COMPLETED True"


def test_a_step_that_calls_itself_in_a_child_is_told_so(tmp_path):
    """The child would wait for the parent, and the parent for the child."""
    assert output_of(AGAIN, tmp_path / "store") == "RecursionError"


def test_a_child_waits_for_no_import_of_another_thread(tmp_path):
    """Python does not give back the lock of the module there."""
    assert output_of(IMPORTS, tmp_path) == "0"
