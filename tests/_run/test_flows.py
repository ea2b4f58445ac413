"""A batch through its flows: each record in each flow apart, every one accounted for."""

import asyncio
import gc
import threading
import time
import warnings
from collections import Counter

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf
import nbflow.testing
from nbflow._core.lifecycle import Reuse, State
from nbflow._core.table import table_of
from nbflow._run.batch import Batch

EVENT = "ticket/created"


def rows(number):
    return [
        {"id": f"t{n}", "text": "bad" if n % 5 == 3 else f"text {n}"}
        for n in range(number)
    ]


@pytest.fixture
def flows():
    """Two flows: one that fails for bad texts, one that knows nothing of it."""

    @nf.step(retries=1)
    def label(text):
        if text == "bad":
            raise ValueError(f"no label for {text!r}")
        return {"label": text[-1], "length": len(text)}

    @nf.step
    def save(key, label):
        return None

    @nf.flow(on=EVENT)
    def triage(ticket):
        found = label(ticket["text"])
        save(ticket["id"], found["label"])
        return found

    @nf.flow(on=EVENT)
    def count(ticket):
        return len(ticket["text"])

    return triage, count


def test_one_record_s_failure_touches_no_other_record_and_no_other_flow(nb, flows):
    run = nb.send(EVENT, rows(10), key="id")
    assert run.state == "PARTIAL"
    assert run.counts == {
        "triage": {"COMPLETED": 8, "FAILED": 2},
        "count": {"COMPLETED": 10},
    }
    failures = run.failures()
    assert failures["record"].tolist() == ["t3", "t8"]
    assert failures.iloc[0].to_dict() == {
        "record": "t3",
        "flow": "triage",
        "step": "label",
        "error": "ValueError",
        "message": "no label for 'bad'",
        "attempts": 2,
    }


def test_sending_again_executes_only_what_is_not_done(nb, flows):
    nb.send(EVENT, rows(10), key="id")
    nb.calls.clear()
    again = nb.send(EVENT, rows(12), key="id")
    assert Counter(nb.calls) == {"label": 6 - 2, "save": 2} | {"label": 2 + 2 * 2 - 0}
    assert again.counts["triage"] == {"CACHED": 8, "COMPLETED": 2, "FAILED": 2}
    assert again.counts["count"] == {"CACHED": 10, "COMPLETED": 2}


def test_a_new_kernel_on_the_same_store_executes_nothing_that_is_done(nb, flows):
    nb.send(EVENT, rows(3), key="id")
    nb.forget()
    assert nb.send(EVENT, rows(3), key="id").state == "COMPLETED"
    assert nb.calls == []


def test_rerun_failed_runs_only_those_and_the_run_goes_on(nb, flows):
    run = nb.send(EVENT, rows(10), key="id")
    nb.stub("label", lambda text: {"label": "mended", "length": 0})
    nb.calls.clear()
    assert run.rerun_failed() is run
    assert Counter(nb.calls) == {
        "label": 1,
        "save": 2,
    }  # two records with one text are one call of label
    assert run.state == "COMPLETED"
    assert [row["triage.label"] for row in run.results()] == [
        "0",
        "1",
        "2",
        "mended",
        "4",
        "5",
        "6",
        "7",
        "mended",
        "9",
    ]
    assert len(nf.runs()) == 1


def test_a_run_outlives_its_kernel(nb, flows):
    run = nb.send(EVENT, rows(10), key="id")
    before = run.results()
    nb.forget()
    opened = nf.open_run(run.id[:12])
    assert opened.results() == before
    assert opened.state == "PARTIAL"
    assert opened.failures().equals(run.failures())
    nb.stub("label", lambda text: {"label": "x", "length": 1})
    assert opened.rerun_failed().state == "COMPLETED"
    assert len(nb.calls) == 3
    assert nf.open_run().id == run.id


def test_rerun_from_a_step_keeps_what_comes_before_it(nb, flows):
    run = nb.send(EVENT, rows(3), key="id")
    nb.calls.clear()
    run.rerun(["t0", "t2"], from_step="save")
    assert nb.calls == ["save", "save"]
    run.rerun(where=lambda ticket: ticket["id"] == "t1")
    assert sorted(nb.calls[2:]) == ["label", "save"]
    with pytest.raises(nf.UsageError, match=r"no such step.*label, save"):
        run.rerun(from_step="nothing")
    with pytest.raises(nf.UsageError, match="no record 't9'"):
        run.rerun("t9")


def frames():
    data = {"id": ["b", "a", "c", "a"], "n": [1.5, None, 3.0, None]}
    return {
        "pandas": pd.DataFrame(data, index=[10, 20, 30, 40]),
        "polars": pl.DataFrame(data),
        "pyarrow": pa.table(data),
        "records": pd.DataFrame(data)
        .astype(object)
        .where(pd.DataFrame(data).notna(), None)
        .to_dict("records"),
    }


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "records"])
def test_values_come_back_in_the_input_s_library_and_places(nb, library):
    @nf.flow(on=EVENT)
    def look(record):
        return {
            "missing": record["n"] is None,
            "twice": record["n"] and 2 * record["n"],
        }

    frame = frames()[library]
    run = nb.send(EVENT, frame, key="id")
    results, values = run.results(), run.results("look")
    if library == "records":
        assert [row["look.twice"] for row in results] == [3.0, None, 6.0, None]
        assert [value["missing"] for value in values] == [False, True, False, True]
        return
    assert type(results) is type(frame)
    if library == "pandas":
        assert results.index.tolist() == values.index.tolist() == [10, 20, 30, 40]
    columns = (
        results.to_pydict()
        if library == "pyarrow"
        else {name: results[name].to_list() for name in results.columns}
    )
    assert columns["id"] == ["b", "a", "c", "a"]
    assert columns["look.status"] == ["COMPLETED"] * 4
    assert columns["look.missing"] == [False, True, False, True]
    assert [value if value == value else None for value in columns["look.twice"]] == [
        3.0,
        None,
        6.0,
        None,
    ]
    assert run.counts == {"look": {"COMPLETED": 3}}


def test_a_stream_is_read_as_the_run_goes_on(nb, flows):
    read = []

    def stream():
        for row in rows(3_000):
            read.append(row["id"])
            yield row

    @nf.flow(on="stream")
    def look(row):
        return row["id"], len(read)

    run = nb.send("stream", stream(), key="id", max_in_flight=4)
    seen = run.results("look")
    assert [key for key, _ in seen] == [f"t{n}" for n in range(3_000)]
    assert seen[0][1] < 3_000
    assert len(run.results()) == 3_000


def test_rows_with_one_key_and_different_content_are_refused_before_anything_runs(
    nb, flows
):
    batch = [*rows(3), {"id": "t1", "text": "other"}]
    for form in (
        batch,
        pd.DataFrame(batch),
        pl.DataFrame(batch),
        pa.Table.from_pylist(batch),
    ):
        with pytest.raises(nf.DuplicateKeyError, match=r"'t1' \(rows 1 and 3\)"):
            nb.send(EVENT, form, key="id")
    assert nb.calls == []
    run = nb.send(EVENT, iter(batch), key="id")
    assert run.counts["count"] == {"COMPLETED": 3, "FAILED": 1}
    assert run.failures().iloc[-1]["error"] == "DuplicateKeyError"


def test_without_a_key_the_index_or_position_identifies(nb, flows):
    frame = pd.DataFrame(rows(3), index=["x", "y", "z"])
    assert nb.send(EVENT, frame).inspect("y").record == {"id": "t1", "text": "text 1"}
    assert nb.send(EVENT, rows(3)).inspect(2).record["id"] == "t2"
    twice = pd.DataFrame(rows(2), index=["x", "x"])
    assert nb.send(EVENT, twice).inspect(1).record["id"] == "t1"


def test_several_columns_may_identify_a_record(nb, flows):
    run = nb.send(
        EVENT,
        [{"id": 1, "part": "a", "text": "x"}, {"id": 1, "part": "b", "text": "y"}],
        key=["id", "part"],
    )
    assert run.inspect((1, "b")).record["text"] == "y"


def test_parts_of_a_key_are_not_taken_for_parts_of_another(nb, flows):
    pairs = [
        ("x / y", "z"),
        ("x", "y / z"),
        ("x /", "y"),
        ("x", "/ y"),
        ("'x'", "y"),
        ("x", "y"),
    ]
    batch = [{"id": one, "part": other, "text": "t"} for one, other in pairs]
    run = nb.send(EVENT, batch, key=["id", "part"])
    assert run.counts["count"] == {"COMPLETED": 6}
    assert [run.inspect(pair).record["id"] for pair in pairs] == [
        one for one, _ in pairs
    ]
    index = pd.MultiIndex.from_tuples(pairs)
    run = nb.send(EVENT, pd.DataFrame(batch, index), max_in_flight=2)
    assert run.inspect(("x", "y / z")).record["part"] == "y / z"


def test_a_key_that_is_once_a_number_and_once_a_text_is_refused_by_its_types(nb, flows):
    batch = [{"id": 1, "text": "a"}, {"id": "1", "text": "a"}]
    with pytest.raises(nf.DuplicateKeyError, match="'id' is once int, once str"):
        nb.send(EVENT, batch, key="id")


@pytest.mark.parametrize(
    ("batch", "key", "say"),
    [
        ([{"id": 1}, {"nr": 2}], "id", "row 1 has no 'id'"),
        ([{"id": None}], "id", "no value for 'id'"),
        ([{"id": 1}, "x"], None, "row 1 is a str, not a record"),
        (pd.DataFrame({"a": [1]}), "id", "not a column.*'a'"),
        (pd.Series([1], name="a"), None, r"step.map\(...\)"),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            None,
            "several columns called 'a'",
        ),
        ("text", None, "a frame, a list or an iterator"),
        ({"id": 1}, None, "Put a single record into a list"),
        (3, None, "a frame, a list or an iterator"),
        (pl.LazyFrame({"a": [1]}), None, r"collect\(\)"),
    ],
)
def test_a_bad_batch_is_refused_before_anything_runs(nb, flows, batch, key, say):
    with pytest.raises(nf.UsageError, match=say):
        nb.send(EVENT, batch, key=key)
    assert nb.calls == []


def test_a_bad_row_of_a_stream_fails_and_the_others_go_on(nb, flows):
    run = nb.send(
        EVENT,
        iter(
            [
                {"id": "a", "text": "x"},
                "no record",
                {"text": "no key"},
                {"id": "b", "text": "y"},
            ]
        ),
        key="id",
    )
    assert run.counts["count"] == {"COMPLETED": 2, "FAILED": 2}
    assert "is a str, not a record" in run.failures()["message"].iloc[0]


def test_rows_keep_their_places_around_repeated_and_clashing_ones(nb, flows):
    batch = [
        {"id": "a", "text": "1"},
        {"id": "b", "text": "2"},
        {"id": "a", "text": "1"},
        {"id": "a", "text": "9"},
        {"id": "c", "text": "3"},
        {"id": "a", "text": "1"},
    ]
    run = nb.send(EVENT, iter(batch), key="id")
    assert "4 records (6 rows)" in repr(run)
    states = ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    assert [row["count.status"] for row in run.results()] == states
    nb.forget()
    opened = nf.open_run(run.id).results()
    assert [row["count.status"] for row in opened] == states
    assert [row["triage.label"] for row in opened] == ["1", "2", "1", None, "3", "1"]


def test_what_is_done_to_the_batch_afterwards_is_not_done_to_the_run(nb, flows):
    frame, records = pd.DataFrame(rows(3)), rows(3)
    first, second = nb.send(EVENT, frame, key="id"), nb.send(EVENT, records, key="id")
    frame["extra"] = 1
    frame.loc[9] = ["t9", "late", 1]
    records.pop()
    assert list(first.results().columns)[:3] == ["id", "text", "triage.status"]
    assert len(first.results()) == len(second.results()) == 3


def test_a_run_that_nobody_holds_gives_its_memory_back(nb, flows):
    run = nb.send(EVENT, rows(3), key="id")
    name = run.id
    assert name in nb.runs.live
    del run
    deadline = time.monotonic() + 10
    while name in nb.runs.live and time.monotonic() < deadline:
        gc.collect()  # its threads are about to end
        time.sleep(0.01)
    assert name not in nb.runs.live
    assert nf.open_run(name).state == "COMPLETED"


def test_a_flow_may_send_and_an_async_one_is_told_how(nb, flows):
    @nf.flow(on="outer")
    def outer(record):
        return nf.send(EVENT, [{"id": record["n"], "text": "x"}], key="id").state

    @nf.flow(on="async outer")
    async def waits(record):
        return nf.send(EVENT, [{"id": 1, "text": "x"}]).state

    assert nb.send("outer", [{"n": 1}, {"n": 2}]).results("outer") == ["COMPLETED"] * 2
    assert "wait=False" in nb.send("async outer", [{}]).failures()["message"].iloc[0]


def test_an_event_nobody_listens_to_names_the_closest(nb, flows):
    with pytest.raises(nf.UnknownEventError, match="Did you mean 'ticket/created'"):
        nb.send("ticket/creatd", rows(1))


def test_an_empty_batch_is_a_run_too(nb, flows):
    for empty in (
        [],
        pd.DataFrame({"id": [], "text": []}),
        pl.DataFrame({"id": []}),
        iter(()),
    ):
        run = nb.send(EVENT, empty, key="id")
        assert run.state == "COMPLETED"
        assert len(run.results()) == 0
    assert len(run.failures()) == 0


def test_defining_a_flow_again_replaces_it(nb):
    for answer in (1, 2):

        @nf.flow(on=EVENT)
        def look(record, answer=answer):
            return answer

    assert [flow.name for flow in nf.flows()] == ["look"]
    assert nb.send(EVENT, [{}]).results("look") == [2]


def test_what_one_flow_does_to_its_record_another_does_not_see(nb):
    @nf.flow(on=EVENT)
    def first(record):
        record["tags"].append("first")
        record["n"] = 0
        return record["tags"]

    @nf.flow(on=EVENT)
    def second(record):
        return record["tags"], record["n"]

    batch = [{"tags": [], "n": 1}]
    run = nb.send(EVENT, batch)
    assert run.results("second") == [([], 1)]
    assert batch == [{"tags": [], "n": 1}]


def test_an_async_flow_has_a_thousand_calls_in_flight(nb):
    now, most, all_there = [0], [0], asyncio.Event()

    @nf.step
    async def wait(n):
        now[0] += 1
        most[0] = max(most[0], now[0])
        if most[0] == 1000:
            all_there.set()
        await all_there.wait()
        now[0] -= 1
        return n

    @nf.flow(on=EVENT)
    async def look(record):
        return await wait(record["n"])

    run = nb.send(EVENT, [{"n": n} for n in range(1000)])
    assert most[0] == 1000
    assert run.results("look") == list(range(1000))


def test_max_in_flight_bounds_the_records_under_way(nb):
    now, most, mutex = Counter(), [0], threading.Lock()

    def under_way(n, change):
        with mutex:
            now[n] += change
            most[0] = max(most[0], sum(count > 0 for count in now.values()))

    @nf.flow(on=EVENT)
    def sync(record):
        under_way(record["n"], 1)
        time.sleep(0.002)
        under_way(record["n"], -1)

    @nf.flow(on=EVENT)
    async def other(record):
        under_way(record["n"], 1)
        await asyncio.sleep(0.002)
        under_way(record["n"], -1)

    assert (
        nb.send(EVENT, [{"n": n} for n in range(50)], max_in_flight=3).state
        == "COMPLETED"
    )
    assert most[0] <= 3


def test_wide_fan_out_inside_flows_cannot_starve(nb):
    @nf.step
    def leaf(n):
        return n

    @nf.step
    def branch(n):
        return sum(leaf.map(range(n, n + 20)))

    @nf.flow(on=EVENT)
    def wide(record):
        futures = [branch.submit(record["n"] + part) for part in range(20)]
        return sum(future.result() for future in futures)

    run = nb.send(EVENT, [{"n": 1000 * n} for n in range(100)])
    assert run.state == "COMPLETED"
    assert run.results("wide")[0] == sum(sum(range(n, n + 20)) for n in range(20))


def test_an_async_flow_gathers(nb):
    @nf.step
    async def leaf(n):
        await asyncio.sleep(0)
        return n

    @nf.flow(on=EVENT)
    async def wide(record):
        return sum(
            await asyncio.gather(*(leaf(record["n"] + part) for part in range(50)))
        ) + sum(await leaf.map([1, 2]))

    assert nb.send(EVENT, [{"n": 0}, {"n": 1000}]).results("wide") == [1228, 51228]


def test_a_failing_item_of_a_map_inside_a_flow_fails_the_record_after_all_have_ended(
    nb,
):
    @nf.step(retries=0)
    def leaf(n):
        if n == 1:
            raise ValueError("one")
        return n

    @nf.flow(on=EVENT)
    def wide(record):
        return leaf.map(range(4))

    run = nb.send(EVENT, [{}])
    assert run.failures()["message"].tolist() == ["one"]
    assert nb.calls == ["leaf"] * 4


def test_a_task_group_fails_with_the_cause_of_its_first_failure(nb):
    @nf.step(retries=0)
    async def leaf(n):
        raise ValueError(f"leaf {n}")

    @nf.flow(on=EVENT)
    async def wide(record):
        async with asyncio.TaskGroup() as group:
            group.create_task(leaf(1))

    failure = nb.send(EVENT, [{}]).failures().iloc[0]
    assert (failure["step"], failure["error"], failure["message"]) == (
        "leaf",
        "ValueError",
        "leaf 1",
    )


def test_a_sync_flow_that_forgets_to_await_is_told_so(nb):
    @nf.step
    async def ask(n):
        return n

    @nf.flow(on=EVENT)
    def look(record):
        return ask(1)

    assert "step.sync" in nb.send(EVENT, [{}]).failures()["message"].iloc[0]


def test_a_sync_step_that_holds_up_the_loop_is_reported_once(nb):
    @nf.step
    def slow(n):
        time.sleep(0.15)
        return n

    @nf.flow(on=EVENT)
    async def look(record):
        return slow(record["n"])

    with pytest.warns(nf.NbflowWarning, match=r"await slow\.aio") as warned:
        nb.send(EVENT, [{"n": 1}, {"n": 2}])
    assert len(warned) == 1


@pytest.mark.parametrize("who", ["step 'inner'", "step 'outer'", "flow 'look'"])
def test_async_code_that_holds_up_the_loop_is_reported_once_by_its_name(nb, who):
    """Who awaits it runs in one turn with it, and is not to blame."""
    done = []

    def work(me):
        if me == who and not done:
            done.append(me)
            time.sleep(1.5)

    @nf.step
    async def inner(n):
        await asyncio.sleep(0)
        work("step 'inner'")
        return n

    @nf.step
    async def outer(n):
        work("step 'outer'")
        return await inner(n)

    @nf.flow(on=EVENT)
    async def look(record):
        found = await outer(record["n"])
        work("flow 'look'")
        return found

    with pytest.warns(
        nf.NbflowWarning, match=f"async {who} holds up the event loop in line"
    ) as warned:
        run = nb.send(EVENT, [{"n": 1}, {"n": 2}])
    assert len(warned) == 1
    assert run.results("look") == [1, 2]


def test_on_failure_is_told_of_each_record_that_failed_for_good(nb):
    told = []

    @nf.step(retries=1)
    def fail(n):
        if n:
            raise ValueError("no")

    @nf.flow(
        on=EVENT,
        on_failure=lambda record, error: told.append(
            (record["n"], type(error.__cause__), error.attempts)
        ),
    )
    def look(record):
        fail(record["n"])

    nb.send(EVENT, [{"n": 0}, {"n": 1}])
    assert told == [(1, ValueError, 2)]


def test_an_on_failure_that_raises_is_reported_and_harms_nothing(nb):
    def broken(record, error):
        raise KeyError("oops")

    @nf.flow(on=EVENT, on_failure=broken)
    def look(record):
        raise ValueError("no")

    with pytest.warns(nf.NbflowWarning, match="on_failure of flow 'look' raised"):
        run = nb.send(EVENT, [{}])
    assert run.state == "FAILED"
    assert "oops" in repr(run)


def test_an_async_on_failure_has_ended_when_the_run_has(nb):
    told = []

    async def tell(record, error):
        await asyncio.sleep(0.05)
        told.append(record["n"])

    @nf.flow(on=EVENT, on_failure=tell)
    def look(record):
        raise ValueError("no")

    nb.send(EVENT, [{"n": 1}, {"n": 2}])
    assert sorted(told) == [1, 2]


def test_warnings_that_are_errors_end_the_run_and_nobody_waits_for_ever(nb):
    def broken(record, error):
        raise KeyError("oops")

    @nf.flow(on=EVENT, on_failure=broken)
    def look(record):
        raise ValueError("no")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(nf.NbflowWarning, match="on_failure"):
            nb.send(EVENT, [{"n": 1}, {"n": 2}])


def test_system_exit_fails_its_record_only(nb):
    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] == 1:
            raise SystemExit(3)
        return 1

    run = nb.send(EVENT, [{"n": n} for n in range(3)])
    assert run.counts == {"look": {"COMPLETED": 2, "FAILED": 1}}


def test_timed_out_records_are_told_apart(nb):
    @nf.step(timeout=0.02, retries=0)
    async def hang(n):
        await asyncio.sleep(5)

    @nf.flow(on=EVENT)
    async def look(record):
        await hang(record["n"])

    run = nb.send(EVENT, [{"n": 1}])
    assert run.counts == {"look": {"TIMED_OUT": 1}}
    assert run.failures()["error"].tolist() == ["StepTimeoutError"]


def test_cancel_starts_nothing_more_and_keeps_what_is_done(nb):
    begun = threading.Event()

    @nf.step
    def work(n):
        begun.set()
        time.sleep(0.005)
        return n

    @nf.flow(on=EVENT)
    def look(record):
        return work(record["n"])

    run = nb.send(EVENT, [{"n": n} for n in range(5000)], wait=False, max_in_flight=2)
    begun.wait(5)
    run.cancel().wait(10)
    counts = Counter(run.counts["look"])
    assert run.state == "CANCELLED"
    assert counts["CANCELLED"] > 0
    assert sum(counts.values()) == 5000
    done = counts["COMPLETED"]
    nb.calls.clear()
    run.rerun_failed()
    assert run.state == "COMPLETED"
    assert len(nb.calls) == 5000 - done


def test_a_cell_run_again_while_its_background_run_goes_on_makes_no_call_twice(nb):
    begun, go = threading.Event(), threading.Event()

    @nf.step
    def work(n):
        begun.set()
        go.wait(5)
        return n

    @nf.flow(on=EVENT)
    def look(record):
        return work(record["n"])

    batch = [{"n": n} for n in range(20)]
    first = nb.send(EVENT, batch, wait=False)
    begun.wait(5)
    second = nb.send(EVENT, batch, wait=False)
    go.set()
    assert (
        first.wait(10).results("look")
        == second.wait(10).results("look")
        == list(range(20))
    )
    assert sorted(nb.calls) == ["work"] * 20


def test_a_run_that_goes_on_cannot_be_rerun(nb):
    go = threading.Event()

    @nf.flow(on=EVENT)
    def look(record):
        go.wait(5)

    run = nb.send(EVENT, [{"n": 1}], wait=False)
    with pytest.raises(nf.UsageError, match="still running"):
        run.rerun_failed()
    go.set()
    assert run.wait(10).state == "COMPLETED"


def test_cancelled_async_calls_end_at_once(nb):
    begun = threading.Event()

    @nf.flow(on=EVENT)
    async def look(record):
        begun.set()
        await asyncio.sleep(60)

    run = nb.send(EVENT, [{"n": n} for n in range(10)], wait=False)
    begun.wait(5)
    assert run.state == "RUNNING"
    run.cancel().wait(10)
    assert run.counts == {"look": {"CANCELLED": 10}}


def test_keyboard_interrupt_accounts_for_every_record_and_goes_on_up(nb):
    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] == 7:
            raise KeyboardInterrupt
        return 1

    with pytest.raises(KeyboardInterrupt):
        nb.send(EVENT, [{"n": n} for n in range(2000)], max_in_flight=1)
    run = nf.open_run()
    assert run.state == "INTERRUPTED"
    assert sum(run.counts["look"].values()) == 2000


@pytest.mark.parametrize("after", [1, 20, 150, 333, 1999])
def test_an_interrupt_while_the_batch_is_read_loses_no_record(nb, monkeypatch, after):
    """Wherever it comes: here between the reading of one row and the next."""
    rows, read = Batch.rows, []

    def interrupted(batch):
        for row in rows(batch):
            read.append(row)
            if len(read) == after:
                raise KeyboardInterrupt
            yield row

    free = threading.Event()

    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] == 1499:
            free.wait(10)  # else all records could be done when the interrupt comes
        return record["n"]

    monkeypatch.setattr(Batch, "rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        nb.send(EVENT, [{"n": n % 1500} for n in range(2000)], key="n")
    free.set()
    run = nf.open_run()
    assert run.state == "INTERRUPTED"
    assert sum(run.counts["look"].values()) == 1500
    assert len(run.results()) == 2000
    nb.send(EVENT, [{"n": n % 1500} for n in range(2000)], key="n").raise_for_failures()


def test_raise_for_failures_names_the_causes(nb, flows):
    run = nb.send(EVENT, rows(10), key="id")
    with pytest.raises(nf.RunFailedError, match=r"2 x ValueError at label, such as t3"):
        run.raise_for_failures()
    assert nb.send(EVENT, rows(3), key="id").raise_for_failures().state == "COMPLETED"


def test_failures_are_grouped_by_cause(nb):
    @nf.flow(on=EVENT)
    def look(record):
        raise ValueError(f"bad {record['n']}") if record["n"] % 3 else KeyError("k")

    causes = nb.send(EVENT, pl.DataFrame({"n": range(9)})).failures(by="cause")
    assert causes["error"].to_list() == ["ValueError", "KeyError"]
    assert causes["records"].to_list() == [6, 3]


def test_inspect_shows_steps_attempts_inputs_and_outputs(nb, flows):
    run = nb.send(EVENT, rows(5), key="id")
    good, bad = run.inspect("t0"), run.inspect("t3")
    assert [step.step for step in good["triage"].steps] == ["label", "save"]
    assert (
        good["triage"]["label"].output
        == good["triage"].output
        == {"label": "0", "length": 6}
    )
    assert good["triage"]["label"].inputs == (("text 0",), {})
    assert [str(attempt.state) for attempt in bad["triage"]["label"].attempts] == [
        "RETRYING",
        "FAILED",
    ]
    assert bad["triage"]["label"].inputs == (("bad",), {})
    assert bad["triage"].failure.message == "no label for 'bad'"
    assert "no label for" in repr(bad)
    assert "test_flows.py" in bad["triage"].failure.traceback
    assert "runner.py" not in bad["triage"].failure.traceback
    cached = nb.send(EVENT, rows(1), key="id").inspect("t0")
    assert cached["triage"]["label"].output["label"] == "0"
    with pytest.raises(nf.UsageError, match="no record 'x'"):
        run.inspect("x")


def test_values_that_cannot_be_saved_are_results_in_this_kernel(nb):
    @nf.flow(on=EVENT)
    def look(record):
        return threading.Lock()

    with pytest.warns(nf.StoreWarning, match="could not be saved"):
        run = nb.send(EVENT, [{}])
    assert run.state == "COMPLETED"
    assert hasattr(run.results("look")[0], "acquire")


def test_records_need_not_be_kept(nb, flows):
    run = nb.send(EVENT, rows(3), key="id", keep_records=False)
    assert run.results()[0]["id"] == "t0"
    nb.forget()
    opened = nf.open_run(run.id)
    assert opened.results()[0]["key"] == "t0"
    with pytest.raises(nf.UsageError, match="not kept"):
        opened.inspect("t0").record


def test_two_flows_of_one_name_from_two_modules_are_refused(nb):
    for module in ("one", "two"):

        def look(record):
            return 1

        look.__module__ = module
        nf.flow(on=EVENT)(look)
    with pytest.raises(nf.UsageError, match="another name"):
        nb.send(EVENT, [{}])


def test_a_flow_called_directly_is_the_function_it_is(nb, flows):
    triage, _ = flows
    assert triage({"id": "x", "text": "abc"}) == {"label": "c", "length": 3}
    assert nb.calls == ["label", "save"]


def test_misuse_of_flow_fails_where_it_is_defined():
    with pytest.raises(nf.UsageError, match="needs the event"):
        nf.flow(lambda record: 1)
    with pytest.raises(nf.UsageError, match="one record"):
        nf.flow(on=EVENT)(lambda: 1)
    with pytest.raises(nf.UsageError, match="on=''"):
        nf.flow(on="")(lambda record: 1)
    with pytest.raises(nf.UsageError, match="on_failure"):
        nf.flow(on=EVENT, on_failure=3)(lambda record: 1)


def test_runs_lists_the_history(nb, flows):
    first, second = (
        nb.send(EVENT, rows(10), key="id"),
        nb.send(EVENT, rows(1), key="id"),
    )
    history = nf.runs()
    assert history["run"].tolist() == [second.id, first.id]
    assert history["failed"].tolist() == [0, 2]
    assert history["state"].tolist() == ["COMPLETED", "PARTIAL"]
    with pytest.raises(nf.UnknownRunError, match=first.id):
        nf.open_run("nothing")
    assert nbflow.testing.CRASH_POINTS


def test_a_slow_iterator_is_not_waited_for(nb, monkeypatch):
    """What it has given runs while it makes the next record; and in large pieces where it is quick."""
    from nbflow._run import intake

    monkeypatch.setattr(intake, "_SLOW", -1)
    ran = [threading.Event() for _ in range(4)]

    @nf.flow(on=EVENT)
    def look(record):
        ran[record["n"]].set()

    def records():
        for n in range(4):
            yield {"n": n}
            assert ran[n].wait(20), "the record before did not run"

    assert nb.send(EVENT, records()).state == "COMPLETED"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_value_that_the_run_made_itself_does_not_look_like_an_earlier_one(
    nb, is_async
):
    """Equal texts, and a step that two flows share: after an edit none of it is stale."""
    if is_async:

        @nf.step
        async def label(text):
            return text[:1]

        @nf.flow(on="mail")
        async def triage(mail):
            return await label(mail["text"])

        @nf.flow(on="mail")
        async def index(mail):
            return await label(mail["text"])

    else:

        @nf.step
        def label(text):
            return text[:1]

        @nf.flow(on="mail")
        def triage(mail):
            return label(mail["text"])

        @nf.flow(on="mail")
        def index(mail):
            return label(mail["text"])

    mails = [{"id": str(number), "text": "equal"} for number in range(6)]
    first = nb.send("mail", mails, key="id").reader.state()
    shown = first.shown(0) + first.shown(1)
    assert sum(shown.values()) == 12
    assert shown[State.COMPLETED] == 1
    assert shown[Reuse.SAME] == 11
    assert first.standing() == {State.COMPLETED: 1, Reuse.SAME: 5}
    assert "earlier run" not in sentence(first)
    calls = [first.steps[flow]["label"] for flow in range(2)]
    assert sum(one.same for one in calls) == 11
    again = nb.send("mail", mails, key="id").reader.state()
    assert again.standing() == {State.CACHED: 6}
    assert "all from an earlier run" in sentence(again)
    more = [*mails, {"id": "7", "text": "equal"}]
    third = nb.send("mail", more, key="id").reader.state()
    assert third.standing() == {State.CACHED: 7}


def sentence(state):
    return table_of(state).sentence


def test_one_cause_in_two_flows_is_told_once(nb):
    @nf.step(retries=0)
    def ask(text):
        raise ValueError(f"no answer to {len(text)}")

    @nf.flow(on="mail")
    def triage(mail):
        return ask(mail["text"])

    @nf.flow(on="mail")
    def index(mail):
        return ask(mail["text"] + "!")

    run = nb.send("mail", [{"id": n, "text": "a" * n} for n in range(1, 4)], key="id")
    with pytest.raises(nf.RunFailedError) as failed:
        run.raise_for_failures()
    _, *causes = str(failed.value).splitlines()
    assert causes == ["  6 x ValueError at ask, such as 1: no answer to 1"]
