"""A run's table shows what the records say and what came of them, and finds rows by both."""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._core.headline import answer_of, rows_of, words_of
from nbflow.notebook import contents
from tests.notebook.test_run_table import Page

EVENT = "contents"
TEXTS = ["Refund please", "It crashes", "Where is my invoice?", "Hello"]
LABELS = ["billing", "bug", "billing", "other"]
ROWS = [
    {"id": f"t-{n}", "subject": text, "customer": f"c{n}"}
    for n, text in enumerate(TEXTS)
]


@pytest.fixture
def flow(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        place = int(record["id"].removeprefix("t-"))
        return {"label": LABELS[place], "sure": 0.5 + place / 10, "why": None}


def shown(run, rest=None, **view):
    """The words, label and other fields of the rows that a view shows."""
    page = Page(run)
    page.view(**view)
    page.after(0)
    page.settle()
    page.view(n=9, **view)
    (tick,) = page.after(0)
    return [tuple(row[9:]) for row in tick["pages"]["v"]["rows"]], tick


@pytest.mark.parametrize("made", [list, iter, pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("reopened", [False, True])
def test_a_row_has_the_records_words_and_the_answer(nb, flow, made, reopened):
    run = nb.send(EVENT, made(ROWS), key="id")
    if reopened:
        nb.forget()
        run = nf.open_run(run.id)
    rows, _ = shown(run)
    assert rows == [
        (text, label, f"sure {0.5 + n / 10:.6g}")
        for n, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
    ]


def test_the_fields_that_are_asked_for_are_shown(nb, flow):
    run = nb.send(EVENT, ROWS, key="id", columns=["customer", "subject"])
    nb.forget()
    run = nf.open_run(run.id)
    assert shown(run)[0][1][0] == "c1 \u00b7 It crashes"
    run.show(columns="customer")
    assert shown(run)[0][1][0] == "c1"


def test_columns_that_are_not_there_are_refused_before_anything_runs(nb, flow):
    with pytest.raises(nf.UsageError, match="names 'subjekt', which is not a column"):
        nb.send(EVENT, pd.DataFrame(ROWS), key="id", columns=["subjekt"])
    with pytest.raises(nf.UsageError, match="list of names"):
        nb.send(EVENT, ROWS, key="id", columns=[1])
    assert len(nf.runs()) == 0


def test_a_parameter_of_the_steps_own_called_columns_is_the_steps(nb):
    @nf.step
    def pick(row, columns=()):
        return [row[name] for name in columns]

    @nf.step
    def first(row):
        return row["subject"]

    assert pick.map(ROWS[:1], columns=["id"]).results("pick") == [["t-0"]]
    run = first.map(ROWS[:2], columns=["customer"])
    assert [row[0] for row in shown(run)[0]] == ["c0", "c1"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("INVOICE", [2]), ("billing", [0, 2]), ("t-3", [3]), ("nowhere", [])],
)
def test_search_finds_words_and_labels(nb, flow, text, found):
    run = nb.send(EVENT, ROWS, key="id")
    rows, _ = shown(run, query={"text": text})
    assert [row[0] for row in rows] == [TEXTS[n] for n in found]


@pytest.mark.parametrize("descending", [False, True])
def test_rows_are_sorted_by_words_and_by_label(nb, flow, descending):
    run = nb.send(EVENT, ROWS, key="id")
    rows, _ = shown(run, query={"sort": "words", "descending": descending})
    assert [row[0] for row in rows] == sorted(TEXTS, reverse=descending)
    rows, _ = shown(run, query={"sort": "answer", "descending": descending})
    assert [row[1] for row in rows] == sorted(LABELS, reverse=descending)


def test_labels_are_counted_and_filter(nb, flow):
    run = nb.send(EVENT, ROWS, key="id")
    rows, tick = shown(run, query={"answer": "billing"})
    assert [row[0] for row in rows] == [TEXTS[0], TEXTS[2]]
    assert tick["answers"] == [(2, 0, "billing"), (1, 0, "bug"), (1, 0, "other")]
    assert (tick["labels"], tick["unread"]) == (3, False)
    assert shown(run, query={"answer": "never given"})[0] == []


def test_answers_that_are_all_different_are_no_labels(nb):
    @nf.flow(on=EVENT)
    def reply(record):
        return f"Dear {record['id']}"

    _, tick = shown(nb.send(EVENT, ROWS, key="id"))
    assert (tick["answers"], tick["labels"]) == ([], 0)


def test_a_label_is_of_its_flow(nb, flow):
    @nf.flow(on=EVENT)
    def urgency(record):
        return "high"

    _, tick = shown(nb.send(EVENT, ROWS, key="id"))
    assert tick["answers"][:2] == [(4, 1, "high"), (2, 0, "billing")]


def test_what_failed_has_no_answer(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["id"] == "t-1":
            raise ValueError("no")
        return "fine"

    rows, _ = shown(nb.send(EVENT, ROWS[:2], key="id"), query={})
    assert [row[1] for row in rows] == ["", "fine"] or [row[1] for row in rows] == [
        "fine",
        "",
    ]


def test_a_rerun_shows_the_new_answers(nb):
    label = "old"

    @nf.flow(on=EVENT)
    def triage(record):
        return label

    run = nb.send(EVENT, ROWS, key="id")
    page = Page(run)
    page.view()
    page.after(0)
    page.settle()
    label = "new"
    run.rerun()
    page.settle()
    page.view(n=9)
    (tick,) = page.after(0)
    assert {row[10] for row in tick["pages"]["v"]["rows"]} == {"new"}
    assert tick["answers"] == [(4, 0, "new")]


def test_rows_that_repeat_a_record_do_not_shift_the_words(nb, flow):
    run = nb.send(EVENT, [ROWS[0], ROWS[0], *ROWS[1:]], key="id")
    for query in ({}, {"sort": "key"}, {"text": "t-"}):
        assert [row[0] for row in shown(run, query=query)[0]] == TEXTS
    nb.forget()
    assert [row[0] for row in shown(nf.open_run(run.id))[0]] == TEXTS


@pytest.mark.parametrize("made", [list, iter])
def test_records_that_were_not_kept_have_no_words(nb, flow, made):
    run = nb.send(EVENT, made(ROWS), key="id", keep_records=False)
    nb.forget()
    rows, _ = shown(nf.open_run(run.id), query={"text": "t-"})
    assert [row[:2] for row in rows] == [("", label) for label in LABELS]


@pytest.mark.filterwarnings("ignore:.*could not be saved")
def test_an_answer_that_cannot_be_saved_is_shown_in_its_kernel(nb):
    import threading

    @nf.flow(on=EVENT)
    def look(record):
        return {"label": "lock", "lock": threading.Lock()}

    assert shown(nb.send(EVENT, ROWS[:1], key="id"))[0][0][1] == "lock"


def test_a_forgotten_answer_says_so(nb, flow):
    run = nb.send(EVENT, ROWS[:1], key="id")
    nb.engine.store._data.clear()
    assert shown(run)[0][0][1] == "(not in the store any more)"


def test_large_answers_are_not_read_for_a_line(nb, monkeypatch):
    monkeypatch.setattr(contents, "_LARGE", 10_000)

    @nf.flow(on=EVENT)
    def look(record):
        return np.zeros(10_000)

    assert shown(nb.send(EVENT, ROWS[:1], key="id"))[0][0][1] == "(0.1 MB)"


def test_a_table_that_nobody_searches_reads_only_what_it_shows(nb, flow, monkeypatch):
    monkeypatch.setattr("nbflow.notebook.run_table._SMALL", 10)
    many = [ROWS[n % 4] | {"key": n} for n in range(3_000)]
    run = nb.send(EVENT, many, key="key")
    page = Page(run)
    page.view(limit=20)
    page.after(0)
    page.settle()
    table = page.table._contents
    assert (len(table._words), table.index) == (20, None)
    page.view(n=2, limit=20, query={"text": "crashes"})
    page.after(0)
    page.settle()
    page.view(n=3, limit=20, query={"text": "crashes"})
    (tick,) = page.after(0)
    assert (tick["pages"]["v"]["total"], tick["unread"]) == (750, False)


def test_a_run_under_way_is_indexed_as_it_comes(nb):
    import threading

    gate, half = threading.Event(), threading.Event()

    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] == 500:
            half.set()
            gate.wait(20)
        return "odd" if record["n"] % 2 else "even"

    run = nb.send(
        EVENT,
        [{"n": n, "text": f"text {n}"} for n in range(1_000)],
        wait=False,
        max_in_flight=1,
    )
    half.wait(20)
    page = Page(run)
    page.view(query={"answer": "odd"})
    page.after(0)
    while not page.after(1)[-1:] or page.table._contents.index.words == []:
        time.sleep(0.001)
    gate.set()
    run.wait(20)
    page.settle()
    page.view(n=9, query={"answer": "odd"})
    (tick,) = page.after(0)
    assert (tick["pages"]["v"]["total"], tick["unread"]) == (500, False)


# What stands in one line.


@dataclass
class Point:
    x: int
    label: str


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, ("", "")),
        ("billing", ("billing", "")),
        (0.123456789, ("0.123457", "")),
        (True, ("True", "")),
        ({"sure": 0.9, "label": "bug"}, ("bug", "sure 0.9")),
        ({"topic": "a", "sure": None}, ("a", "")),
        (Point(3, "bug"), ("bug", "x 3")),
        (["a", "b"], ("a, b", "")),
        ({}, ("{}", "")),
        (np.zeros((3, 4)), ("ndarray, 3 x 4", "")),
        (pd.DataFrame({"a": [1]}), ("DataFrame, 1 x 1", "")),
        ("two\nlines \u202e", ("two lines \ufffd", "")),
    ],
)
def test_an_answer_in_one_line(value, answer):
    assert answer_of(value) == answer


@pytest.mark.parametrize(
    ("record", "columns", "words"),
    [
        ({"id": "k", "n": 1, "text": "Hello"}, (), "Hello"),
        ({"id": "k", "n": 1}, (), ""),
        ({"id": "t-1", "text": "Two words"}, (), "Two words"),
        ({"id": "t-1", "text": "One"}, (), "t-1"),
        ({"a": 1, "b": None, "c": "x"}, ("c", "a", "b", "gone"), "x \u00b7 1"),
        ("just a text", (), "just a text"),
        (7, (), "7"),
    ],
)
def test_a_record_in_one_line(record, columns, words):
    assert words_of(record, columns, "k") == words


def test_a_value_by_its_fields():
    assert rows_of({"a": "x\ny", "b": {"c": [1, {"d": 2}]}, 3: None}) == [
        ("a", "x\ny"),
        ("b", "c:\n  - 1\n  -\n    d: 2"),
        ("3", ""),
    ]
    assert rows_of("plain") == [("", "plain")]
