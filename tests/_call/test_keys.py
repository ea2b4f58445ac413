"""What a call is remembered by, as the engine makes it: what steps depend on, ignore, change, and are good for."""

import asyncio
import importlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

import nbflow as nf

EVENT = "thread.created"
PRICES = {"a": 1}
SEEN = []
COUNTS = {}
CACHE = {}


@pytest.fixture(autouse=True)
def _as_they_were():
    PRICES.clear()
    PRICES["a"] = 1
    SEEN.clear()
    COUNTS.clear()
    CACHE.clear()


def sent(nb, records=({"n": 1}, {"n": 2})):
    """Send, and say what was executed."""
    nb.calls.clear()
    run = nb.send(EVENT, list(records))
    assert run.state == "COMPLETED"
    return list(nb.calls)


def test_a_global_that_is_changed_in_place_runs_everything_that_reads_it_again(nb):
    @nf.step
    def price(n):
        return PRICES["a"] * n

    @nf.step
    def other(n):
        return n

    @nf.flow(on=EVENT)
    def bill(record):
        return price(record["n"]) + other(record["n"])

    assert sorted(sent(nb)) == ["other", "other", "price", "price"]
    assert sent(nb) == []
    PRICES["a"] = 2
    assert sent(nb) == ["price", "price"]
    assert price(1) == 2
    PRICES["a"] = 1
    assert sent(nb) == []
    assert price(1) == 1


def test_what_steps_change_themselves_makes_nothing_run_again(nb):
    @nf.step(retries=3)
    def flaky(n):
        SEEN.append(n)
        COUNTS[n] = COUNTS.get(n, 0) + 1
        if COUNTS[n] < 3:
            raise ConnectionError("not yet")
        return n

    @nf.flow(on=EVENT)
    def look(record):
        SEEN.append("flow")
        return flaky(record["n"])

    assert len(sent(nb)) == 6
    assert sent(nb) == []
    assert [flaky(1), flaky(2), flaky(3), flaky(3)] == [1, 2, 3, 3]
    assert nb.calls == ["flaky"] * 3
    assert sent(nb) == []
    COUNTS["somebody else"] = 1
    assert len(sent(nb)) == 2


def test_what_async_calls_change_side_by_side_makes_nothing_run_again(nb):
    @nf.step
    async def ask(n):
        COUNTS["under way"] = COUNTS.get("under way", 0) + 1
        await asyncio.sleep(0.001)
        COUNTS["under way"] -= 1
        SEEN.append(n)
        return n

    async def all_of_them():
        return await asyncio.gather(*(ask(n) for n in range(50)))

    assert asyncio.run(all_of_them()) == list(range(50))
    assert asyncio.run(all_of_them()) == list(range(50))
    assert len(nb.calls) == 50
    nb.forget()
    SEEN.clear()
    COUNTS.clear()
    asyncio.run(all_of_them())
    assert nb.calls == []


def test_what_threads_change_side_by_side_makes_nothing_run_again(nb):
    @nf.step
    def ask(n):
        COUNTS[n] = COUNTS.get(n, 0) + 1
        SEEN.append(n)
        return n

    for _ in range(3):
        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(ask, range(300))) == sum(range(300))
    assert len(nb.calls) == 300
    SEEN.append("somebody else")
    ask(1)
    assert len(nb.calls) == 301


def test_a_flow_runs_again_when_what_its_step_depends_on_changed(nb, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("Pick one")

    @nf.step(depends_on=file)
    def ask(n):
        return file.read_text(), n

    @nf.flow(on=EVENT)
    def look(record):
        return ask(record["n"])

    assert sent(nb) == ["ask", "ask"]
    assert sent(nb) == []
    file.write_text("Choose one")
    assert sent(nb) == ["ask", "ask"]
    file.write_text("Pick one")
    assert sent(nb) == []


def test_what_a_step_depends_on_by_name_is_explained_by_its_name(nb):
    def define(prompt, rule):
        @nf.step(depends_on=["msgspec", {"prompt": prompt, "rule": rule}])
        def ask(n):
            return n

        return ask

    define("Pick one.", len)(1)
    assert define("Pick one.", len).explain(1).state == "cached"
    assert (
        define("Choose one.", len).explain(1).reason
        == "`prompt` changed ('Pick one.' -> 'Choose one.')"
    )
    assert (
        define("Pick one.", lambda text: 2)
        .explain(1)
        .reason.startswith("helper `rule` changed")
    )


def test_a_step_can_depend_on_a_whole_module_of_the_users_and_not_on_one_of_a_package(
    nb, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "handlers.py").write_text("def a(n):\n    return n\n")
    handlers = importlib.import_module("handlers")

    def define(module):
        @nf.step(depends_on=module)
        def ask(n):
            return n

        return ask

    define(handlers)(1)
    assert define(handlers).explain(1).state == "cached"
    monkeypatch.setattr(handlers, "a", len)
    assert define(handlers).explain(1).reason == "helper `handlers` changed"
    with pytest.raises(nf.UsageError, match="depends_on='pandas'"):
        define(pd).explain(1)


def test_an_ignored_global_does_not_count_in_steps_and_flows(nb):
    @nf.step(ignore="CACHE")
    def ask(n):
        return n, len(CACHE)

    @nf.flow(on=EVENT)
    def look(record):
        return ask(record["n"])

    assert sent(nb) == ["ask", "ask"]
    CACHE[1] = 2
    assert sent(nb) == []
    assert ask(1) == (1, 0)


def test_an_ignored_name_that_is_neither_argument_nor_global_is_refused():
    with pytest.raises(nf.UsageError, match=r"ignore='CACH'.*Did you mean 'CACHE'"):

        @nf.step(ignore=["CACH"])
        def ask(n):
            return n, CACHE


def test_what_is_ignored_is_given_by_name():
    with pytest.raises(nf.UsageError, match=r"ignore=.* is not a name"):

        @nf.step(ignore=CACHE.get)
        def ask(n):
            return n, CACHE


def test_the_outputs_of_a_step_with_ttl_run_are_fresh_once_per_run(nb):
    @nf.step(ttl="run")
    def todays_tickets():
        return len(SEEN)

    @nf.step
    def count(n):
        return n + todays_tickets()

    @nf.flow(on=EVENT)
    def look(record):
        return todays_tickets(), count(record["n"])

    assert sorted(sent(nb)) == ["count", "count", "todays_tickets"]
    assert sorted(sent(nb)) == ["count", "count", "todays_tickets"]
    run = nf.open_run()
    nb.calls.clear()
    run.rerun_failed()
    assert nb.calls == []
    assert todays_tickets() == todays_tickets()
    assert nb.calls == ["todays_tickets"] * 2


def test_a_flow_does_not_outlive_a_fresh_value_that_it_reached_by_a_detour(nb):
    @nf.step(ttl="run")
    def today():
        return 1

    steps = {"today": today}

    @nf.flow(on=EVENT)
    def look(record):
        return vars()["record"]["n"] + steps.get("today")()

    assert sent(nb) == ["today"]
    assert sent(nb) == ["today"]


def test_code_is_read_once_in_a_run(nb):
    begun, go_on = threading.Event(), threading.Event()

    @nf.step
    def price(n):
        return n

    @nf.flow(on=EVENT)
    def bill(record):
        begun.set()
        go_on.wait(10)
        return price(record["n"]), PRICES["a"]

    run = nb.send(EVENT, [{"n": n} for n in range(3)], wait=False, max_in_flight=1)
    begun.wait(10)
    PRICES["a"] = 2
    go_on.set()
    run.wait(10)
    PRICES["a"] = 1
    begun.clear()
    assert sent(nb, [{"n": n} for n in range(3)]) == []
    PRICES["a"] = 2
    nb.send(EVENT, [{"n": n} for n in range(3)])
    assert begun.is_set()


def test_a_run_that_could_not_begin_leaves_nothing_under_way(nb, monkeypatch):
    """Else what others change afterwards would be taken for the code's own doing."""

    @nf.flow(on=EVENT)
    def look(record):
        COUNTS[record["n"]] = 1
        return len(COUNTS)

    run = nb.send(EVENT, [{"n": 1}])
    with monkeypatch.context() as patch:
        patch.setattr(nb.engine.store, "lock", lambda key: False)
        with pytest.raises(nf.UsageError, match="another process"):
            run.rerun()
    COUNTS.update(a=1, b=2)
    assert nb.send(EVENT, [{"n": 1}]).counts == {"look": {"COMPLETED": 1}}


def test_an_iterator_that_a_flow_reads_stops_the_send(nb):
    rows = iter([1, 2])

    @nf.flow(on=EVENT)
    def look(record):
        return sum(rows)

    with pytest.raises(nf.UnkeyableError, match="rows is a list_iterator"):
        nb.send(EVENT, [{"n": 1}])
    assert nf.runs().empty


def test_a_method_of_an_object_among_the_inputs_is_part_of_the_key(nb):
    class Rule:
        def __init__(self, limit):
            self.limit = limit

        def allows(self, n):
            return n < self.limit

    @nf.step
    def check(rule, n):
        return rule.allows(n)

    @nf.step(version="1")
    def kept(rule, n):
        return rule.allows(n)

    assert (check(Rule(3), 3), kept(Rule(3), 3)) == (False, False)
    Rule.allows = lambda self, n: n <= self.limit
    assert (check(Rule(3), 3), kept(Rule(3), 3)) == (True, False)


def test_a_global_that_other_threads_fill_meanwhile_can_be_keyed(nb):
    filled, stop = {0: (0,)}, threading.Event()

    def fill():
        n = 0
        while not stop.is_set():
            n += 1
            filled[n % 5000] = (n,)
            if n % 5000 == 0:
                filled.clear()

    @nf.step
    def size(n):
        return n, len(filled) >= 0

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        assert [size(n)[0] for n in range(30)] == list(range(30))
    finally:
        stop.set()
        thread.join()


def test_a_frame_that_a_step_changes_in_place_does_not_make_it_run_again_and_an_edit_does(
    nb,
):
    frame = pd.DataFrame({"price": [1.0, 2.0], "count": [3, 4]})

    @nf.step
    def total(n):
        frame["total"] = frame["price"] * frame["count"]
        return float(frame["total"].sum()) * n

    assert [total(1), total(2), total(1), total(2)] == [11.0, 22.0, 11.0, 22.0]
    assert nb.calls == ["total", "total"]
    frame.loc[0, "price"] = 2.0
    assert total(1) == 14.0
    assert nb.calls == ["total"] * 3
