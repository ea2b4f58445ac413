"""A send that is killed again and again while others prune loses nothing, and the prunes stop nobody."""

import os
import random
import signal
import time
import warnings
from collections import Counter

import pytest

import nbflow as nf
from nbflow._session import SESSION

#: Kills, ten a second: 600 are a minute.
KILLS = int(os.environ.get("NBFLOW_KILLS", "15"))
RECORDS = 100 * KILLS


def work(store, log):
    """Send the batch, in a process that notes each call in a log that outlives a kill."""

    def note(what, number):
        os.write(log, f"{what} {number}\n".encode())

    @nf.step(retries=0)
    def fetch(number):
        note("fetch", number)
        time.sleep(0.02)
        return {"number": number, "text": "x" * (number % 5000)}

    @nf.step(retries=0)
    def load(row):
        note("load", row["number"])
        return row["number"]

    @nf.flow(on="job")
    def flow(record):
        return load(fetch(record["id"]))

    SESSION.shows = False
    nf.use(store)
    run = nf.send("job", [{"id": n} for n in range(RECORDS)], key="id")
    assert run.state == "COMPLETED", run.counts


def fork(store, log):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            warnings.simplefilter("error", nf.NbflowWarning)
            work(store, log)
            code = 0
        finally:
            os._exit(code)
    return pid


def prune(store, rules, say):
    """Prune, over and over, in a process of its own, and say how many runs went."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        warnings.simplefilter("error", nf.NbflowWarning)
        nf.use(store)
        while True:
            os.write(say, f"{len(nf.store.prune(**rules).runs)}\n".encode())
    finally:
        os._exit(code)


@pytest.mark.parametrize("rules", [{"older_than": 0}, {"max_size": 0}])
def test_kills_beside_prunes_cost_the_calls_in_flight_and_nothing_else(tmp_path, rules):
    store, chance = tmp_path / "store", random.Random(7)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log, said = (os.open(tmp_path / name, flags) for name in ("log", "said"))
    pruner = prune(store, rules, said)
    try:
        for _ in range(KILLS):
            worker = fork(store, log)
            time.sleep(chance.uniform(0.05, 0.15))
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
        assert os.waitpid(pruner, os.WNOHANG) == (0, 0), "it prunes still"
        worker = fork(store, log)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    finally:
        os.kill(pruner, signal.SIGKILL)
        os.waitpid(pruner, 0)
    calls = Counter((tmp_path / "log").read_text().splitlines())
    whole = {f"{step} {n}" for step in ("fetch", "load") for n in range(RECORDS)}
    assert calls.keys() == whole
    # At most the calls in flight at each kill are made twice: a thread has one.
    assert sum(calls.values()) - len(whole) <= 32 * KILLS
    assert (tmp_path / "said").read_text().split()
    worker = fork(store, log)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    assert Counter((tmp_path / "log").read_text().splitlines()) == calls
