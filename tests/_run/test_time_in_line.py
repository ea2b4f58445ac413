"""What a call took, and how long it was in line, are told apart."""

import asyncio
import time

import pytest

import nbflow as nf
from nbflow._run.render import to_html, to_text
from nbflow._store.ledger_lines import entry_of


def asking(is_async, **limits):
    @nf.step(**limits)
    def ask(n):
        time.sleep(0.02)

    @nf.step(name="ask", **limits)
    async def aask(n):
        await asyncio.sleep(0.02)

    return aask if is_async else ask


@pytest.mark.parametrize("is_async", [False, True])
def test_calls_that_run_one_by_one_take_no_longer_than_the_run(nb, is_async):
    run = asking(is_async, concurrency=1).map(range(6))
    views = [run.inspect(n)["ask"] for n in range(6)]
    assert sum(view["ask"].seconds for view in views) <= run.reader.state().seconds
    assert sum(view.seconds for view in views) <= run.reader.state().seconds
    last = max(views, key=lambda view: view.waited)
    assert last["ask"].waited > 0
    assert last.waited == pytest.approx(last["ask"].waited)


def test_every_picture_of_a_run_has_the_time_in_line_where_there_is_some(nb):
    run = asking(is_async=True, concurrency=1).map(range(6))
    assert "in line" in to_text(run.table())
    assert "in line" in to_html(run.table())
    assert any("in line" in repr(run.inspect(n)) for n in range(6))
    (row,) = run.table().flows
    assert row.waited > 0

    @nf.step
    def alone(n):
        return n

    run = alone.map([1])  # nobody waits
    assert "in line" not in to_text(run.table())
    assert "in line" not in repr(run.inspect(0))


def test_a_throttle_is_waited_for_in_line(nb):
    """On a clock that is put forward the throttle's time is none of ours."""
    run = asking(is_async=False, throttle="1/min").map(range(2))
    assert sum(run.inspect(n)["ask"]["ask"].seconds for n in range(2)) < 60


def test_waiting_for_money_is_waiting_in_line(nb):
    @nf.step
    async def ask(n):
        await asyncio.sleep(0.02)
        nf.usage(cost=1.0)

    run = ask.map(range(6), budget=10)
    views = [run.inspect(n)["ask"]["ask"] for n in range(6)]
    assert sum(view.seconds for view in views) <= run.reader.state().seconds
    assert max(view.waited for view in views) > 0


def test_calls_side_by_side_leave_a_record_its_own_time(nb):
    ask = asking(is_async=True, concurrency=1)

    @nf.flow(on="e")
    async def many(record):
        await asyncio.gather(*(ask((record["id"], n)) for n in range(5)))

    run = nb.send("e", [{"id": 1}], key="id")
    view = run.inspect(1)["many"]
    assert 0 < view.seconds <= run.reader.state().seconds
    assert view.seconds + view.waited <= run.reader.state().seconds
    assert sum(step.waited for step in view.steps) > view.waited


def test_a_ledger_of_before_knows_of_no_line():
    line = ["call", 0, 0, "ask", "COMPLETED", 1.0, 0.5, 1, None, None, 0.0]
    assert entry_of(line).waited == 0
