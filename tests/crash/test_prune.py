"""A send that is killed again and again while others prune loses nothing, and the prunes stop nobody."""

import os
import random
import threading
import warnings

import pytest
from test_runs import Job

import nbflow as nf
from nbflow._session import SESSION

#: Kills; 600, ten a second, are a minute.
KILLS = int(os.environ.get("NBFLOW_KILLS", "3"))


@pytest.mark.parametrize("rules", [{"older_than": 0}, {"max_size": 0}])
def test_kills_beside_prunes_cost_the_calls_in_flight_and_nothing_else(tmp_path, rules):
    records = 60 * KILLS
    job, chance, done = (
        Job(tmp_path, records, 0.001),
        random.Random(7),
        threading.Event(),
    )
    nf.use(job.store)
    pruned = []

    def prune():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            while not done.is_set():
                pruned.append(nf.store.prune(**rules))

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        kills = 0
        while kills < KILLS:
            process = job.start()
            seen = job.log.read_text().count("\n")
            job.wait_for(min(seen + chance.randrange(1, 60), 2 * records - 1))
            if process.poll() is None:
                kills += 1
            process.kill()
            process.communicate()
        code, out, err = job.run()
    finally:
        done.set()
        pruner.join()
    assert code == 0, err
    assert "COMPLETED" in out or "CACHED" in out
    assert set(job.calls) == {
        (step, str(n)) for step in ("fetch", "load") for n in range(records)
    }
    # At most the calls in flight at each kill are made twice: a thread has one.
    assert sum(job.calls.values()) - 2 * records <= 32 * kills
    assert len(pruned) > KILLS
    assert sum(len(each.runs) for each in pruned) >= 1
    before = job.calls
    assert job.run()[0] == 0
    assert job.calls == before
    SESSION.engine.store.close()
