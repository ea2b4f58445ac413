"""The handle of a run: awaited, watched, cancelled from elsewhere."""

import asyncio
import importlib
import inspect
import re
import threading
import time

import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._core import guesses
from nbflow._run.run import Run
from nbflow._session import SESSION

EVENT = "e"


@pytest.fixture
def gate():
    """Records wait here until it is opened."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def flow(nb, gate):
    @nf.flow(on=EVENT)
    def look(record):
        assert gate.wait(20)
        return record["n"]


def elsewhere(nb, run):
    """The run as another process sees it, on the same store and ledger."""
    nb.forget()
    return Run(nb.runs, run.id, SESSION)


def test_a_run_is_awaited_and_the_event_loop_stays_free(nb, flow, gate):
    async def main():
        run = nf.send(EVENT, [{"n": n} for n in range(5)], wait=False)
        asyncio.get_running_loop().call_later(0.01, gate.set)
        assert await run is run
        assert (await run).state == "COMPLETED"

    asyncio.run(main())


def test_who_cancels_the_waiting_cancels_the_run(nb, flow, gate):
    async def main():
        run = nf.send(
            EVENT, [{"n": n} for n in range(500)], wait=False, max_in_flight=1
        )
        task = asyncio.ensure_future(run)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.set()
        assert run.wait().state == "CANCELLED"
        assert sum(run.counts["look"].values()) == 500

    asyncio.run(main())


def test_a_run_is_asked_to_stop_through_the_ledger(nb, flow, gate):
    """By whoever has the ledger: another kernel, a terminal."""
    run = nf.send(EVENT, [{"n": n} for n in range(500)], wait=False, max_in_flight=1)
    run.engine.ledger.ask_to_stop(run.id)
    while not run.is_stopping:
        assert run.state == "RUNNING"
    gate.set()
    assert run.wait().state == "CANCELLED"
    assert not run.is_stopping


def test_the_word_to_stop_is_taken_back_when_the_run_goes_on(nb, flow, gate):
    gate.set()
    run = nf.send(EVENT, [{"n": n} for n in range(5)])
    run.engine.ledger.ask_to_stop(run.id)
    run.rerun()
    assert not run.engine.ledger.is_asked_to_stop(run.id)
    assert run.state == "COMPLETED"


def test_another_process_sees_the_same_rows(nb, flow, gate):
    gate.set()
    run = nf.send(EVENT, [{"n": n} for n in range(5)])
    with (
        run.reader.look() as (state, sheet),
        elsewhere(nb, run).reader.look() as (other, theirs),
    ):
        assert other.counts == state.counts
        assert theirs.columns[0].seconds.tolist() == sheet.columns[0].seconds.tolist()


def test_a_rerun_has_as_many_records_under_way_as_the_send(nb):
    """Also in another process: the ledger has the number."""
    lock, under_way, most, healed = threading.Lock(), [0], [0], []

    @nf.step(retries=0)
    def work(n):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.002)
        with lock:
            under_way[0] -= 1
        if not healed:
            raise ValueError("in trouble")

    @nf.flow(on=EVENT)
    def triage(record):
        work(record["n"])

    run = nf.send(EVENT, [{"n": n} for n in range(60)], max_in_flight=2)
    healed.append(True)
    most[0] = 0
    assert elsewhere(nb, run).rerun_failed().state == "COMPLETED"
    assert most[0] <= 2


def test_a_rerun_can_be_told_anew_how_many_records_are_under_way(nb):
    together, healed = threading.Barrier(3), []

    @nf.step(retries=0)
    def work(n):
        if not healed:
            raise ValueError("in trouble")
        together.wait(30)

    run = work.map([1, 2, 3], max_in_flight=1)
    healed.append(True)
    assert run.rerun_failed(max_in_flight=3).state == "COMPLETED"
    assert run.rerun(max_in_flight=3).state == "COMPLETED"


def test_a_budget_holds_for_a_rerun_too_and_can_be_set_anew(nb):
    healed = []

    @nf.step(retries=0)
    def work(n):
        nf.usage(cost=1.0)
        if not healed:
            raise ValueError("in trouble")

    @nf.flow(on=EVENT)
    def triage(record):
        work(record["n"])

    records = [{"n": n} for n in range(4)]
    run = nf.send(EVENT, records, max_in_flight=1, budget="$2")
    assert run.usage.cost == 2
    healed.append(True)
    again = elsewhere(nb, run).rerun_failed()
    assert again.usage.cost == 4, "as much again as at the send"
    assert again.rerun_failed(budget="$9").state == "COMPLETED"


@pytest.mark.parametrize("again", [nf.Run.rerun, nf.Run.rerun_failed])
@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("max_in_flight", 0, r"max_in_flight=0 has to be a whole number, 1 or more"),
        ("max_in_flight", True, r"max_in_flight=True has to be a whole number"),
        ("max_in_flight", "4", r"max_in_flight='4' has to be a whole number"),
        ("budget", "much", r"budget='much' is not an amount of money"),
        ("budget", -1, r"budget=-1 is not an amount of money"),
    ],
)
def test_a_rerun_refuses_what_a_send_refuses(nb, again, option, value, said):
    @nf.step(retries=0)
    def work(n):
        raise ValueError("in trouble")

    run = work.map([1])
    with pytest.raises(nf.UsageError, match=said):
        again(run, **{option: value})
    assert run.state == "FAILED"


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, list])
def test_the_results_of_a_run_that_is_still_fed_say_queued(nb, flow, gate, make):
    rows = [{"n": n % 1990} for n in range(2000)]
    run = nf.send(EVENT, make(rows), max_in_flight=1, wait=False)
    found = run.results()
    if make is list:
        found = pd.DataFrame(found)
    states = list(found["look.status"])
    assert len(states) == 2000
    assert "QUEUED" in states
    assert set(states) <= {"QUEUED", "RUNNING"}
    run.cancel()
    gate.set()
    run.wait()


def test_a_field_that_is_called_status_does_not_hide_the_status(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] == 1:
            raise ValueError("no")
        return {"status": "open", "by": "mail"}

    frame = pd.DataFrame(nf.send(EVENT, [{"n": n} for n in range(2)]).results())
    assert frame["triage.status"].tolist() == ["COMPLETED", "FAILED"]
    assert frame["triage.status'"].tolist()[0] == "open"
    assert frame["triage.by"].tolist()[0] == "mail"


def test_waiting_ends_when_its_time_is_up(nb, flow):
    run = nf.send(EVENT, [{"n": 1}], wait=False)
    assert run.wait(0.01).state == "RUNNING"


def test_ids_of_runs_differ_and_sort_by_their_making_however_fast_they_are_made(nb):
    ids = [nb.runs.new_id() for _ in range(2000)]
    assert ids == sorted(set(ids))


def test_a_record_is_had_by_its_key(nb, flow, gate):
    gate.set()
    run = nb.send(EVENT, [{"id": "R17", "n": 1}], key="id")
    assert run["R17"].record == {"id": "R17", "n": 1}
    with pytest.raises(nf.UsageError, match="no record 'R18'"):
        run["R18"]
    with pytest.raises(TypeError, match="not iterable"):
        list(run)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("to_csv", r'run\.results\(\)\.to_csv\("file\.csv"\)'),
        ("errors", r"run\.failures\(\)"),
        ("retry", r"run\.rerun_failed\(\)"),
        ("stop", r"run\.cancel\(\)"),
        ("status", r"run\.state"),
    ],
)
def test_a_name_that_one_may_guess_says_what_does_what_is_meant(
    nb, flow, gate, name, way
):
    gate.set()
    run = nb.send(EVENT, [{"id": "a", "n": 1}])
    with pytest.raises(AttributeError, match=way):
        getattr(run, name)
    assert not hasattr(run, name)
    assert not hasattr(run, "_repr_png_")


@pytest.mark.parametrize(
    "known", [guesses.RUN, guesses.STEP, guesses.FLOW, guesses.NBFLOW]
)
def test_what_is_said_of_a_guessed_name_exists(nb, flow, gate, known):
    gate.set()

    @nf.step
    def size(text):
        return len(text)

    things = {
        "run": nb.send(EVENT, [{"id": "a", "n": 1}]),
        "step": size,
        "flow": nf.flows()[0],
        "nf": nf,
        "nbflow": importlib.import_module("nbflow"),
    }
    importlib.import_module("nbflow.testing")
    for way in set(known.values()):
        named = re.findall(r"\b(run|step|flow|nf|nbflow)\.(\w+)", way)
        assert named or "step(...)" in way or "nf.compare" in way, way
        for thing, name in named:
            assert hasattr(things[thing], name), way


def test_guessed_names_of_steps_flows_and_nbflow_say_what_does_what_is_meant(nb, flow):
    @nf.step
    def size(text):
        return len(text)

    for thing, name, way in [
        (size, "delay", r"A step has no 'delay'\. Use step\.submit"),
        (size, "with_options", r"@nf\.step\(\.\.\.\)"),
        (nf.flows()[0], "send", r"nf\.send\(event, records\)"),
        (nf, "task", r"nbflow has no 'task'\. Use @nf\.step\."),
        (nf, "map", r"step\.map\(items\)"),
    ]:
        with pytest.raises(AttributeError, match=way):
            getattr(thing, name)
    with pytest.raises(AttributeError) as caught:
        size.expain  # it is the reading that is refused
    assert caught.value.obj is size


def test_completion_knows_the_options_of_a_step():
    parameters = inspect.signature(nf.step).parameters
    assert {"retries", "timeout", "ttl", "throttle"} <= set(parameters)
    assert parameters["retries"].annotation == "int"


def test_a_step_over_a_run_is_found_once_the_run_is_all_cached(nb, flow, gate):
    """That is the second morning: nothing that the step could compute from has changed."""
    gate.set()

    @nf.step
    def shares(run):
        return run.results()["look"].value_counts().to_dict()

    def sent(*numbers):
        return nb.send(EVENT, pd.DataFrame({"n": numbers}), key="n")

    first = shares(sent(1, 2))
    nb.forget()
    second = sent(1, 2)
    assert second.counts["look"] == {"CACHED": 2}
    assert shares(second) == first
    assert "shares" not in nb.calls
    assert shares.explain(second).state == "cached"
    assert "field" not in shares.explain(sent(1, 3)).reason
    assert shares(sent(1, 3)) == {1: 1, 3: 1}


def test_a_budget_that_is_none_is_refused_also_where_nothing_is_left(nb):
    @nf.step
    def size(text):
        return len(text)

    run = size.map(["a"])
    for budget in ("abc", -1, "$"):
        with pytest.raises(nf.UsageError, match="budget"):
            run.rerun_failed(budget=budget)
