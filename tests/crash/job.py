"""A job that crash tests start, kill, and start again: python job.py STORE LOG RECORDS [SECONDS]."""

import sys
import time
from pathlib import Path

import nbflow as nf

store, log, records, pause = (
    sys.argv[1],
    sys.argv[2],
    int(sys.argv[3]),
    float(sys.argv[4]) if len(sys.argv) > 4 else 0.0,
)
nf.use(store)


def note(what, key):
    """One line in the log that outlives a kill."""
    with Path(log).open("a") as file:
        file.write(f"{what} {key}\n")


@nf.step(retry_delay=0.01)
def fetch(key):
    note("fetch", key)
    time.sleep(pause)
    return {"key": key, "text": "x" * (key % 7)}


@nf.step
def load(row):
    note("load", row["key"])
    return row["key"]


@nf.flow(on="job")
def flow(record):
    return load(fetch(record["id"]))


run = nf.send("job", [{"id": n} for n in range(records)], key="id")
print(run.id, run.state, run.counts["flow"])
