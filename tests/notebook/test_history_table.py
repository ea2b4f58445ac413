"""What the kernel tells the live table of all runs."""

import pytest

import nbflow as nf
from nbflow._session import SESSION
from nbflow.notebook import history_table
from nbflow.notebook.history_table import HistoryTable

EVENT = "e"


@pytest.fixture
def send(nb):
    @nf.flow(on=EVENT)
    def look(record):
        return {"n": record["n"], "twice": 2 * record["n"]}

    return lambda *numbers: nb.send(
        EVENT, [{"id": f"t-{at}", "n": n} for at, n in enumerate(numbers)], key="id"
    )


class Page:
    """A page that hears the history."""

    def __init__(self, **options):
        self.heard, self.now = [], 1000.0
        self.table = HistoryTable(
            SESSION.chronicle, self.heard.append, lambda: None, **options
        )

    def say(self, t, **more):
        self.table.take(
            {"t": t, "id": "v", "n": 1, "query": HistoryTable.plain, **more}
        )

    def after(self, seconds):
        self.now += seconds
        before = len(self.heard)
        self.table.tick(self.now)
        return self.heard[before:]


def test_a_new_run_is_told_and_nothing_new_is_a_sign_of_life(send):
    send(1)
    page = Page()
    page.say("view")
    assert page.after(0)[0]["pages"]["v"]["total"] == 1
    page.say("ack")
    assert [message["t"] for message in page.after(2.5)] == ["beat"]
    send(1, 2)
    (tick,) = page.after(2.5)
    assert [row[5] for row in tick["pages"]["v"]["rows"]] == [2, 1]


def test_what_a_look_costs_gets_a_fiftieth_of_the_time(send):
    page = Page()
    page.say("view")
    page.after(0)
    page.table._cost = 1.0
    assert page.table.pace == 50


def test_only_what_is_seen_travels_however_many_runs_there_are(send):
    for _ in range(30):
        send(1)
    page = Page()
    page.say("view", limit=5, offset=10)
    rows = page.after(0)[0]["pages"]["v"]
    assert (rows["total"], rows["offset"], len(rows["rows"])) == (30, 10, 5)


def test_a_run_that_is_open_speaks_on_the_same_wire_until_it_is_closed(send):
    run = send(1, 2, 3)
    page = Page()
    page.say("view", of=run.id, limit=2)
    ticks = [message for message in page.after(0) if message.get("of") == run.id]
    assert [(tick["run"], len(tick["pages"]["v"]["rows"])) for tick in ticks] == [
        (run.id, 2)
    ]
    page.say("gone", of=run.id)
    assert page.table.opened == {}
    page.say("ack", of=run.id)
    assert page.table.opened == {}


def test_runs_that_are_open_are_few(send):
    page = Page()
    for _ in range(history_table._OPEN + 3):
        page.say("view", of=send(1).id)
    assert len(page.table.opened) == history_table._OPEN


def test_a_comparison_is_paged_and_made_once(send, monkeypatch):
    before, after = send(*range(50)), send(*range(100, 150))
    page = Page()
    first = page.table._compare({"runs": [after.id, before.id], "limit": 3})
    assert (
        first["runs"],
        first["differences"],
        first["changed"],
        first["records"],
    ) == ([before.id, after.id], 100, 50, 50)
    assert first["kinds"] == [["look", "n", 50], ["look", "twice", 50]]
    monkeypatch.setattr(nf.Run, "differences", None)
    second = page.table._compare(
        {
            "runs": [before.id, after.id],
            "only": ["look", "twice"],
            "offset": 48,
            "limit": 10,
        }
    )
    assert (second["total"], second["rows"]) == (
        50,
        [
            [48, "t-48", "look", "twice", "96", "296"],
            [49, "t-49", "look", "twice", "98", "298"],
        ],
    )


def test_a_comparison_counts_the_records_of_both_runs(send):
    """All of five may differ where the later run has two."""
    before, after = send(*range(5)), send(*range(2))
    told = Page().table._compare({"runs": [before.id, after.id]})
    assert (told["changed"], told["records"]) == (3, 5)


def test_a_comparison_keeps_so_many_differences_and_says_that_there_are_more(
    send, monkeypatch
):
    before, after = send(*range(50)), send(*range(100, 150))
    monkeypatch.setattr(history_table, "_DIFFERENCES", 10)
    told = Page().table._compare({"runs": [before.id, after.id]})
    assert (told["differences"], told["more"]) == (10, True)


def test_a_run_that_was_deleted_leaves_the_rows_that_were_held(send):
    run, _ = send(1), send(1)
    page = Page()
    page.say("view", held=True)
    page.after(0)
    del SESSION.engine.ledger._entries[run.id]
    assert page.after(3)[0]["pages"]["v"]["total"] == 1


def test_an_unknown_run_is_said(send):
    page = Page()
    page.table._answer(HistoryTable._compare, "v", {"runs": ["20260101-000000-00001"]})
    assert page.heard[-1]["text"] == "There is no run 20260101-000000-00001."
