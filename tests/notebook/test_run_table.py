"""What the kernel tells a live table: when, how often, and to whom."""

import threading
import time
from collections import deque
from types import SimpleNamespace

import pytest

import nbflow as nf
from nbflow._core.entry import Called, Failure, Item, Listed, Opened, RunState
from nbflow._core.lifecycle import CODES, State
from nbflow._core.sheet import Sheet
from nbflow.notebook import live_table
from nbflow.notebook import run_table as tables
from nbflow.notebook.run_table import RunPace, RunTable

EVENT = "e"


@pytest.fixture
def run(nb):
    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] % 10 == 7:
            raise ValueError("seven")
        return 1

    return nb.send(EVENT, [{"n": n} for n in range(100)])


class Page:
    """A page that hears a table."""

    def __init__(self, run, **options):
        self.heard, self.now = [], 1000.0
        self.table = RunTable(run, self.heard.append, lambda: None, **options)

    def view(self, n=1, who="v", **view):
        self.table.take(
            {"t": "view", "id": who, "n": n, "offset": 0, "limit": 10, **view}
        )

    def after(self, seconds):
        self.now += seconds
        before = len(self.heard)
        self.table.tick(self.now)
        return self.heard[before:]

    def settle(self):
        """Let the table read what its rows lack, until it has nothing more to tell."""
        table = self.table
        while True:
            while table._contents._is_reading:
                time.sleep(0.001)
            self.ack()
            ticks = [said for said in self.after(1) if said["t"] == "tick"]
            if not ticks and not any(view.stale for view in table.views.values()):
                return
            time.sleep(0.001)

    def ack(self, who="v"):
        self.table.take({"t": "ack", "id": who, "n": self.table._number})


def test_a_page_that_has_not_spoken_yet_gets_rows_all_the_same(run):
    """While a cell blocks, its messages may not arrive."""
    (tick,) = Page(run).after(0)
    assert [row[1] for row in tick["pages"][""]["rows"][:2]] == ["7", "17"]


def test_only_what_a_view_shows_travels(run):
    page = Page(run)
    page.view(offset=50, limit=7)
    (tick,) = page.after(0)
    assert (
        tick["pages"]["v"]["total"],
        tick["pages"]["v"]["offset"],
        len(tick["pages"]["v"]["rows"]),
    ) == (100, 50, 7)


def test_a_limit_beyond_reason_is_cut(run):
    page = Page(run)
    page.view(limit=10**9)
    assert len(page.after(0)[0]["pages"]["v"]["rows"]) == 100
    assert page.table.views["v"].limit == live_table._LIMIT


def test_nothing_new_is_nothing_sent_but_a_sign_of_life(run):
    page = Page(run)
    page.view()
    assert [message["t"] for message in page.after(0)] == ["tick"]
    page.settle()
    assert [message["t"] for message in page.after(2.5)] == ["beat"]
    assert page.after(0.5) == []
    assert [message["t"] for message in page.after(2)] == ["beat"]
    assert page.after(0.5) == []


def test_a_question_is_answered_at_once_whatever_the_pace(run):
    page = Page(run)
    page.view()
    page.after(0)
    page.view(n=2, query={"states": ["FAILED"]})
    (tick,) = page.after(0.001)
    assert (tick["pages"]["v"]["n"], tick["pages"]["v"]["total"]) == (2, 10)


def test_what_a_button_began_is_told_at_the_next_look_and_not_at_the_next_beat(run):
    """However short ago the last look was, and though the run had ended."""
    page = Page(run)
    page.view()
    page.settle()
    assert page.table.is_quiet
    page.table.take({"t": "act", "id": "v", "n": 1, "what": "rerun_failed"})
    while not any(said["t"] == "said" for said in page.heard):
        time.sleep(0.001)
    run.wait()
    assert not page.table.is_quiet, "its next look is not two seconds away"
    ticks = [said for said in page.after(0.01) if said["t"] == "tick"]
    assert len(ticks) == 1


def test_a_message_that_was_overtaken_does_not_bring_the_old_view_back(run):
    page = Page(run)
    page.view(n=2, query={"states": ["FAILED"]})
    page.view(n=1)
    assert page.after(0)[0]["pages"]["v"]["total"] == 10


def test_two_views_of_one_table_have_pages_of_their_own(run):
    page = Page(run)
    page.view(who="a", query={"states": ["FAILED"]})
    page.view(who="b")
    pages = page.after(0)[0]["pages"]
    assert (pages["a"]["total"], pages["b"]["total"]) == (10, 100)
    page.table.take({"t": "gone", "id": "a"})
    page.view(who="b", n=2)
    assert list(page.after(0)[0]["pages"]) == ["b"]


def test_rows_that_are_held_stay_in_their_places_while_what_they_say_goes_on(run):
    page = Page(run)
    page.view(held=True, query={"sort": "state"})
    before = [row[0] for row in page.after(0)[0]["pages"]["v"]["rows"]]
    run.rerun(where="7")
    page.view(n=2, held=True, query={"sort": "state"})
    (tick,) = page.after(1)
    assert [row[0] for row in tick["pages"]["v"]["rows"]] == before
    page.view(n=3, held=False, query={"sort": "state"})
    assert len(page.after(1)[0]["pages"]["v"]["rows"]) == 10


def test_ticks_are_numbered_so_that_a_page_knows_the_newer_one(run):
    page = Page(run)
    for n in (1, 2, 3):
        page.view(n=n)
        page.after(1)
    assert [message["n"] for message in page.heard] == [1, 2, 3]


def test_an_unknown_row_is_said_and_not_raised(run):
    page = Page(run)
    page.table.take({"t": "open", "id": "v", "n": 5, "row": 10**6})
    while not page.heard:
        pass
    assert page.heard == [
        {
            "t": "said",
            "wrong": True,
            "text": f"Run {run.id} has no row 1000000.",
            "id": "v",
            "to": 5,
        }
    ]


def test_stop_does_not_wait_for_a_thread(nb, monkeypatch):
    """Whatever keeps the threads of the process busy, the word is given when it is heard."""
    begun, gate = threading.Event(), threading.Event()

    @nf.flow(on=EVENT)
    def look(record):
        begun.set()
        assert gate.wait(20)

    run = nf.send(EVENT, [{"n": n} for n in range(50)], wait=False, max_in_flight=1)
    assert begun.wait(20)
    page = Page(run)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    page.table.take({"t": "act", "id": "v", "n": 1, "what": "stop"})
    monkeypatch.undo()
    assert run.is_stopping
    gate.set()
    assert run.wait().state == "CANCELLED"


def test_a_query_for_what_is_not_there_finds_nothing(run):
    page = Page(run)
    page.view(query={"flow": 7, "step": "none", "cause": 99, "sort": "nonsense"})
    assert page.after(0)[0]["pages"]["v"]["total"] == 0


def test_a_row_tells_why_it_ran_once_somebody_knows(run, monkeypatch):
    """`why` is an attribute of what an inspection gives."""
    from nbflow._run.inspection import FlowView

    monkeypatch.setattr(FlowView, "why", "its code changed", raising=False)
    page = Page(run)
    page.table.take({"t": "open", "id": "v", "n": 5, "row": 7})
    while not page.heard:
        pass
    assert page.heard[0]["why"] == "its code changed"


def test_values_that_cannot_be_shown_say_so():
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    [(_, text)] = tables._fields(lambda: [Odd()])
    assert text.startswith("- <Odd")

    def gone():
        raise RuntimeError("no")

    assert tables._fields(gone) == [("", "(cannot be shown: RuntimeError: no)")]
    [(_, text)] = tables._fields(lambda: "x" * 30_000)
    assert text.endswith("10,000 characters more")


def test_the_size_of_a_tick_does_not_grow_with_the_run(nb):
    import json

    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] % 3 == 0:
            raise ValueError(f"{record['n']} is one of three")
        return 1

    sizes = []
    for count in (300, 6_000):
        page = Page(
            nb.send(EVENT, [{"n": n} for n in range(count)], keep_records=False)
        )
        page.view(limit=36)
        sizes.append(len(json.dumps(page.after(0)[0])))
    assert sizes[1] < sizes[0] * 1.2


def test_what_is_remembered_says_nothing_of_the_time_that_is_left():
    """A batch that is sent again begins with thousands of records in its first moments."""
    pace = RunPace()
    assert [
        pace.rate(*sample)
        for sample in ((10.0, 0), (10.5, 4_500), (11.0, 4_502), (11.5, 4_504))
    ] == [None, None, None, 4.0]
    # A rerun begins like that, too.
    assert [
        pace.rate(*sample)
        for sample in ((20.0, 30), (20.5, 2_000), (21.5, 2_010), (23.0, 2_025))
    ] == [None, None, 10.0, 10.0]


def test_records_a_second_are_those_that_were_worked_on(nb):
    """What was cancelled was not, and the night before a rerun was no work."""
    asked = []

    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] == 2 and not asked:
            raise ValueError("two")
        nb.advance(100)

    run = nb.send(EVENT, [{"n": n} for n in range(4)], max_in_flight=1)
    nb.advance(86_400)
    asked.append(True)
    run.rerun_failed()
    (tick,) = Page(run).after(0)
    assert tick["rate"] == pytest.approx(0.01, rel=0.2)
    assert tick["left"] is None
    assert tick["idle"] == pytest.approx(86_400, abs=60)


def test_the_rate_is_told_anew_while_nothing_happens(nb, monkeypatch):
    """All calls may wait for somebody; what was the rate before is none any more."""
    reached, go_on = threading.Event(), threading.Event()

    @nf.flow(on=EVENT)
    def look(record):
        reached.set()
        go_on.wait(20)

    run = nb.send(EVENT, [{"n": 1}], wait=False)
    try:
        assert reached.wait(20)
        page = Page(run)
        page.view()
        monkeypatch.setattr(
            tables, "time", SimpleNamespace(monotonic=lambda: page.now, time=time.time)
        )
        page.after(0)
        page.ack()
        assert [message["t"] for message in page.after(live_table.BEAT)] == ["tick"]
    finally:
        go_on.set()
        run.wait()


def test_the_sentence_counts_all_failures_however_many_causes_they_have(nb):
    @nf.step(retries=0)
    def ask(n):
        raise ValueError("abcdefghijklmnopqrstuvwxyz"[n % 26] * (n // 26 + 1))

    @nf.flow(on=EVENT)
    def look(record):
        return ask(record["n"])

    run = nb.send(EVENT, [{"n": n} for n in range(100)])
    (tick,) = Page(run).after(0)
    assert (tick["kinds"], len(tick["causes"])) == (100, 12)
    assert tick["sentence"] == run.table().sentence
    assert "100 need you (ValueError at ask)." in tick["sentence"]


def test_while_nobody_knows_how_many_records_come_nobody_knows_the_time_left(nb):
    go_on = threading.Event()

    @nf.flow(on=EVENT)
    def look(record):
        go_on.wait(20 * record["n"])  # the first is done at once

    run = nb.send(EVENT, ({"n": n} for n in range(200)), max_in_flight=1, wait=False)
    try:
        page = Page(run)
        page.view()
        while not any(
            message.get("counts", {}).get(CODES[State.COMPLETED])
            for message in page.after(5)
        ):
            page.ack()
            time.sleep(0.005)
        page.ack()
        page.table._pace = RunPace(deque([(page.now - 5, 0)]), begun=page.now - 9)
        page.view(n=2)
        (tick,) = page.after(0)
        assert tick["rate"]
        assert tick["left"] is None
        assert "1 of the " in tick["sentence"]
    finally:
        go_on.set()
        run.wait()


def test_a_flow_whose_records_were_all_remembered_as_a_whole_shows_its_steps(nb):
    @nf.step
    def fetch(text):
        return text

    @nf.step
    def label(text):
        return text[:1]

    @nf.flow(on=EVENT)
    def triage(record):
        return label(fetch(record["text"]))

    records = [{"text": f"text {number}"} for number in range(3)]
    lanes = []
    for _ in range(2):
        page = Page(nf.open_run(nb.send(EVENT, records).id))
        page.view()
        lanes.append(page.after(0)[0]["flows"][0])
    (_, _, wholes, first, _), (_, _, again, steps, _) = lanes
    assert [name for name, *_ in first] == [name for name, *_ in steps]
    assert (wholes, again) == (0, 3)


def test_records_that_wait_for_another_attempt_stand_apart_once(nb):
    """However many flows they wait in; one that has failed elsewhere stands as failed."""
    state, sheet = RunState(), Sheet()
    late = Failure("ask", "TimeoutError", "late")
    entries = [
        Opened("1", EVENT, ("triage", "index"), 1.0, "records", True, 3),
        *(Listed(record, str(record)) for record in range(3)),
        *(
            Item(record, flow, State.RUNNING, 1.0)
            for record in (0, 1)
            for flow in (0, 1)
        ),
        *(
            Called(record, flow, "ask", State.RETRYING, 1.0, 0.1, 1, None, late, 1.0)
            for record in (0, 1)
            for flow in (0, 1)
        ),
        Item(1, 0, State.FAILED, 2.0, failure=late),
    ]
    for entry in entries:
        state.apply(entry)
        sheet.apply(entry)
    assert tables._counts(state, sheet, state.standing()) == {
        CODES[State.RETRYING]: 1,
        CODES[State.FAILED]: 1,
        CODES[State.QUEUED]: 1,
        CODES[State.RUNNING]: 0,
    }
