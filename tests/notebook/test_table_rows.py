"""Pages: which rows a view shows, in which order, and what a spreadsheet gets."""

import csv
import io

import pytest

import nbflow as nf
from nbflow._core.entry import Item, Listed, Opened, RunState, Waits
from nbflow._core.lifecycle import SHOWN, State
from nbflow._core.sheet import Sheet
from nbflow.notebook import table_rows
from nbflow.notebook.table_rows import Query

EVENT = "e"


@pytest.fixture
def run(nb):
    @nf.step(retries=1)
    def ask(n):
        if n % 7 == 3:
            raise TimeoutError(f"{n} is late")
        return n

    @nf.step
    def save(n):
        if n % 10 == 4:
            raise nf.NonRetriableError("no room")
        return n

    @nf.flow(on=EVENT)
    def triage(record):
        return save(ask(record["n"]))

    @nf.flow(on=EVENT)
    def bill(record):
        return record["n"]

    nb.send(EVENT, [{"id": f"K{n}", "n": n} for n in range(20)], key="id")
    return nb.send(EVENT, [{"id": f"K{n}", "n": n} for n in range(50)], key="id")


def chosen(run, **query):
    with run.reader.look() as (state, sheet):
        rows = table_rows.rows_of(state, sheet, Query(**query), 0.0).tolist()
        return [table_rows.row_of(state, sheet, number) for number in rows]


def test_every_record_is_a_row_in_every_flow(run):
    rows = chosen(run)
    assert [(row[1], row[2]) for row in rows] == [
        (f"K{n}", flow) for n in range(50) for flow in (0, 1)
    ]
    assert [row[0] for row in rows] == list(range(100))


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        # Of a record that failed in one flow, what it did in the other is left out; a
        # record is cached if it is in both.
        ({"states": (State.FAILED,)}, lambda key, flow, state, all: state == 6),
        (
            {"states": (State.CACHED, State.FAILED)},
            lambda key, flow, state, all: state == 6 or all == {5},
        ),
        (
            {"states": (State.COMPLETED,)},
            lambda key, flow, state, all: 4 in all and 6 not in all,
        ),
        ({"flow": 1}, lambda key, flow, state, all: flow == 1),
        ({"text": "k4"}, lambda key, flow, state, all: key.startswith("K4")),
        (
            {"flow": 0, "states": (State.CACHED,), "text": "k1"},
            lambda key, flow, state, all: (
                flow == 0 and all == {5} and key.startswith("K1")
            ),
        ),
    ],
)
def test_a_query_chooses_what_a_loop_over_all_rows_would(run, query, fits):
    rows = chosen(run, **query)
    every = chosen(run)
    states = {
        row[1]: {other[3] for other in every if other[1] == row[1]} for row in every
    }
    assert rows == [row for row in every if fits(*row[1:4], states[row[1]])]
    assert rows


def test_a_step_chooses_the_rows_that_stopped_at_it(run):
    assert {row[1] for row in chosen(run, step="ask")} == {
        f"K{n}" for n in range(50) if n % 7 == 3
    }
    assert {row[1] for row in chosen(run, step="save", flow=0)} == {
        f"K{n}" for n in range(50) if n % 10 == 4 and n % 7 != 3
    }


def test_words_are_looked_for_in_errors_too(run):
    assert {row[1] for row in chosen(run, text="NO ROOM")} == {
        f"K{n}" for n in range(50) if n % 10 == 4 and n % 7 != 3
    }


def test_a_cause_chooses_its_failures(run):
    with run.reader.look() as (_, sheet):
        numbers = {group.error: group.number for group in sheet.worst()}
    assert {row[1] for row in chosen(run, cause=numbers["TimeoutError"])} == {
        f"K{n}" for n in range(50) if n % 7 == 3
    }


def test_what_needs_a_person_comes_first_and_equals_keep_the_order_of_the_batch(run):
    rows = chosen(run, sort="state")
    states = [row[3] for row in rows]
    assert states == sorted(
        states, key=[table_rows.ATTENTION.index(state) for state in State].__getitem__
    )
    failed = [row[0] for row in rows if row[3] == 6]
    assert failed == sorted(failed)


@pytest.mark.parametrize(
    ("sort", "column"), [("key", 1), ("flow", 2), ("attempts", 5), ("seconds", 6)]
)
def test_rows_are_sorted_both_ways(run, sort, column):
    up = [row[column] for row in chosen(run, sort=sort)]
    assert up == sorted(up)
    assert [row[column] for row in chosen(run, sort=sort, descending=True)] == sorted(
        up, reverse=True
    )


@pytest.mark.parametrize(
    ("keys", "ordered"),
    [
        (["10", "9", "100", "0"], ["0", "9", "10", "100"]),
        (["10", "9", "a"], ["10", "9", "a"]),
        (["9" * 40, "8"], ["8", "9" * 40]),
    ],
)
def test_keys_that_are_numbers_are_sorted_by_their_size(nb, keys, ordered):
    @nf.flow(on=EVENT)
    def look(record):
        return 1

    run = nb.send(EVENT, [{"id": key} for key in keys], key="id")
    assert [row[1] for row in chosen(run, sort="key")] == ordered


def test_a_track_has_a_letter_for_each_step(run):
    tracks = {row[1]: row[4] for row in chosen(run, flow=0)}
    assert tracks["K30"] == "44"
    assert tracks["K31"] == "6-"
    assert tracks["K34"] == "46"


def test_a_view_of_nothing_is_empty(nb):
    @nf.flow(on=EVENT)
    def look(record):
        return 1

    assert chosen(nb.send(EVENT, []), sort="state") == []


def test_failures_as_csv_leave_out_what_is_done(run):
    with run.reader.look() as (state, _):
        rows = list(
            csv.DictReader(io.StringIO(table_rows.failures_csv(state, range(100))))
        )
    assert {row["record"] for row in rows} == {
        f"K{n}" for n in range(50) if n % 7 == 3 or n % 10 == 4
    }
    assert {row["attempts"] for row in rows if row["error"] == "TimeoutError"} == {"2"}


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1+1",
        "\uff20SUM(A1)",
    ],
)
def test_no_cell_is_a_formula(text):
    assert table_rows.harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("late;=1+1", "late;'=1+1"),
        ("late\n =1", "late\n '=1"),
        ("a\t@b", "a\t'@b"),
        ("=1;-2", "'=1;'-2"),
    ],
)
def test_nor_is_what_a_spreadsheet_with_another_separator_takes_for_one(text, harmless):
    assert table_rows.harmless(text) == harmless


@pytest.mark.parametrize(
    "text", ["t-0001 = fine", "a; b", "1 - 2, +3", "line\nline", ""]
)
def test_a_harmless_cell_stays_as_it_is(text):
    assert table_rows.harmless(text) == text


def test_a_record_that_waits_says_what_for():
    state, sheet = RunState(), Sheet()
    for entry in (
        Opened("1", "e", ("triage",), 100.0, "records"),
        Listed(0, "a"),
        Listed(1, "b"),
        Item(0, 0, State.COMPLETED, 101.0),
        Item(1, 0, State.RUNNING, 101.0),
        Waits(1, 0, "ask", 102.0, "process 4711 works on it"),
    ):
        state.apply(entry)
        sheet.apply(entry)
    waiting = Query(states=(State.WAITING,))
    assert table_rows.rows_of(state, sheet, waiting, 103.0).tolist() == [1]
    row = table_rows.row_of(state, sheet, 1)
    assert (SHOWN[row[3]], row[8]) == (State.WAITING, "process 4711 works on it")
