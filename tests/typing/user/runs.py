"""Runs as users read them: what editors and type checkers conclude.

A line that ends in ``# refused`` has to be an error, and no other line may be one.
"""

from collections.abc import Iterator
from typing import Any, assert_type

import pandas as pd
import polars as pl

import nbflow as nf

frame = pd.DataFrame({"id": [1], "body": ["refund"]})
polars_frame = pl.DataFrame({"id": [1], "body": ["refund"]})
records = [{"id": 1, "body": "refund"}]


def stream() -> Iterator[dict[str, object]]:
    yield {"id": 1}


# What is sent decides what comes out.

assert_type(nf.send("thread", frame, key="id"), nf.Run[pd.DataFrame])
assert_type(nf.send("thread", frame).results(), pd.DataFrame)
assert_type(nf.send("thread", frame).results("triage"), pd.Series[Any])
assert_type(nf.send("thread", frame).results(reviewed=False), pd.DataFrame)
assert_type(nf.send("thread", frame).failures(), pd.DataFrame)
assert_type(nf.send("thread", frame).failures(by="cause"), pd.DataFrame)

assert_type(nf.send("thread", polars_frame).results(), pl.DataFrame)
assert_type(nf.send("thread", polars_frame).results("triage"), pl.Series)
assert_type(nf.send("thread", polars_frame).failures(), pl.DataFrame)

assert_type(nf.send("thread", records).results(), list[dict[Any, Any]])
assert_type(nf.send("thread", records).results("triage"), list[Any])
assert_type(nf.send("thread", records).failures(), pd.DataFrame)
assert_type(nf.send("thread", stream()).results(), list[dict[Any, Any]])

nf.send("thread", frame).result()  # refused
nf.send("thread", polars_frame).results().iloc  # refused
nf.send("thread", frame).results(3)  # refused
nf.send("thread", frame).failures(by="step")  # refused
nf.send("thread", 3)  # refused
nf.send("thread", {"id": 1})  # refused
nf.send("thread", frame, key=3)  # refused
nf.send("thread", frame, retries=3)  # refused


# What one does with a run gives the same run.

run = nf.send("thread", frame, wait=False, budget="$5", max_in_flight=8)
assert_type(run.wait(timeout=60), nf.Run[pd.DataFrame])
assert_type(run.rerun_failed().results(), pd.DataFrame)
assert_type(run.rerun(["1"], from_step="categorize").results(), pd.DataFrame)
assert_type(run.rerun(lambda record: record["id"] > 1).state, str)
assert_type(run.raise_for_failures().cancel().results(), pd.DataFrame)
assert_type(run.counts, dict[str, dict[str, int]])
assert_type(run.usage, nf.Usage)

run.wait("a minute")  # refused
run.rerun(3.5)  # refused


async def awaited() -> None:
    assert_type((await run).results(), pd.DataFrame)


# One record.

for view in run.inspect("1").flows:
    assert_type(view, str)


# From the ledger: which library it was is known when it is opened.

earlier = nf.open_run()
assert_type(earlier, nf.Run[Any])
assert_type(earlier.results(), Any)
assert_type(earlier.results("triage"), Any)
assert_type(earlier.failures(), Any)
assert_type(earlier.compare(run), pd.DataFrame)
nf.open_run(3)  # refused


def typed(run: nf.Run) -> nf.Run:
    return run.wait()


def of_polars(run: nf.Run[pl.DataFrame]) -> pl.DataFrame:
    return run.results()


of_polars(earlier)
of_polars(run)  # refused


# The history and the plan.

assert_type(nf.runs()["state"], pd.Series[Any])
history: pd.DataFrame = nf.runs()
nf.runs().head(3)
nf.runs().widget(3)  # refused
plan = nf.plan("thread", records, key="id")
assert_type(plan, nf.Plan)
assert_type(plan.cached, int)
nf.plan("thread", 3)  # refused
names: list[str] = [flow.name for flow in nf.flows()]
