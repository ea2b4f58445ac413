"""The page of a run: one file for people who run no code, which needs no script and asks no host for anything."""

import base64
import csv
import datetime as dt
import html
import io
import re
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow.notebook import page_of_run, results_csv
from tests._run.test_decisions_of_runs import decide
from tests._run.test_missing_classes import MODULE, cell  # noqa: F401  # a fixture

EVENT = "support/thread.created"
LABELS = ("billing", "billing", "billing", "shipping")


@pytest.fixture
def triage(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        number = int(thread["id"].removeprefix("t-"))
        if number % 10 == 7:
            raise TimeoutError(f"late by {number} s")
        if number == 11:
            raise nf.NonRetriableError("the thread has no text")
        return {"label": LABELS[number % 4], "sure": 0.5}


def threads(count):
    return [{"id": f"t-{n}", "subject": f"Invoice {n} is wrong"} for n in range(count)]


def text_of(page):
    """What somebody reads, in one line."""
    bare = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def csv_of(page):
    """The rows of the results that a page carries with it."""
    (data,) = re.findall(r'href="data:text/csv;charset=utf-8;base64,([^"]*)"', page)
    text = base64.b64decode(data).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def test_it_says_what_this_is_how_it_stands_and_what_needs_somebody(nb, triage):
    run = nb.send(EVENT, threads(40), key="id")
    page = run.to_html()
    said = text_of(page)
    assert said.startswith(EVENT)
    assert (
        f"What came of 40 records of {EVENT}: each went through the flow triage."
        in said
    )
    assert "35 of 40 records are done; 5 need somebody." in said
    assert "What needs somebody: 5 records" in said
    assert "It took too long to get an answer. 4 records, in triage" in said
    assert "Invoice 17 is wrong (t-17)" in said
    assert "\u201cthe thread has no text\u201d 1 record, in triage" in said
    (told, _) = re.findall("<details.*?</details>", page.partition("What came out")[0])
    assert "TimeoutError: late by 7 s" in text_of(told)
    assert "4 failures, after 1 attempt at most" in text_of(told)
    assert "TimeoutError" not in text_of(re.sub("<details.*?</details>", "", page))


def test_it_counts_what_came_out_with_shares(nb, triage):
    said = text_of(nb.send(EVENT, threads(40), key="id").to_html())
    assert "What came out triage 35 answers." in said
    assert "billing 28 80 %" in said
    assert "shipping 7 20 %" in said


def test_it_has_the_last_runs_of_the_event_and_none_that_came_later(nb, triage):
    first = nb.send(EVENT, threads(10), key="id")
    assert "The last" not in text_of(first.to_html())

    @nf.flow(on="another")
    def other(record):
        return 1

    nb.send("another", threads(3), key="id")
    second = nb.send(EVENT, threads(40), key="id")
    said = text_of(second.to_html())
    assert "The last 2 runs" in said
    assert re.search(r"\(this run\) 40 87\.5 % 5", said)
    assert "The last" not in text_of(first.to_html())


def test_beside_each_share_stands_that_of_the_run_before(nb, triage):
    nb.send(EVENT, threads(6), key="id")
    said = text_of(nb.send(EVENT, threads(40), key="id").to_html())
    assert "answer records share run before billing 28 80 % 83.3 %" in said
    assert "shipping 7 20 % 16.7 %" in said


@pytest.mark.parametrize("made", [list, iter, pd.DataFrame, pl.DataFrame])
def test_it_carries_all_results_as_csv(nb, triage, made):
    run = nb.send(EVENT, made(threads(12)), key="id")
    rows = csv_of(run.to_html())
    assert [row["key"] for row in rows] == [f"t-{n}" for n in range(12)]
    assert rows[0] == {
        "key": "t-0",
        "id": "t-0",
        "subject": "Invoice 0 is wrong",
        "triage.status": "COMPLETED",
        "triage.label": "billing",
        "triage.sure": "0.5",
    }
    assert (rows[7]["triage.status"], rows[7]["triage.label"]) == ("FAILED", "")


def test_a_row_that_stands_twice_in_the_batch_stands_twice_in_the_results(nb, triage):
    run = nb.send(EVENT, [*threads(2), *threads(1)], key="id")
    assert [row["key"] for row in csv_of(run.to_html())] == ["t-0", "t-1", "t-0"]


def test_results_that_are_too_many_for_a_mail_are_named_instead(nb, triage):
    run = nb.send(EVENT, threads(5_000), key="id")
    page = run.to_html()
    assert "data:" not in page
    assert "nbflow dashboard" in page
    assert len(page) < 60_000
    rows = list(csv.DictReader(io.StringIO("".join(results_csv.chunks_of(run.reader)))))
    assert len(rows) == 5_000
    assert rows[-2]["triage.label"] == "billing"


def test_a_field_that_only_later_rows_have_is_in_the_results(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        return {"label": "a"} | ({"why": "late"} if thread["n"] == 900 else {})

    run = nb.send(EVENT, [{"n": n} for n in range(1000)])
    rows = list(csv.DictReader(io.StringIO("".join(results_csv.chunks_of(run.reader)))))
    assert rows[900]["triage: further fields"] == '{"triage.why": "late"}'
    assert {row["triage: further fields"] for row in rows[:900]} == {""}


def test_it_needs_no_script_and_asks_no_host_for_anything(nb, triage):
    page = nb.send(EVENT, threads(40), key="id").to_html()
    assert "<script" not in page
    assert not re.search(r"\ssrc=|url\(|@import|<link|https?:|\son\w+=", page)
    assert [one[:14] for one in re.findall(r'href="([^"]*)"', page)] == [
        "data:text/csv;"
    ]


def test_every_value_has_a_cell_whatever_it_is(nb):
    class Odd:
        def __repr__(self):
            raise RuntimeError("no")

    @nf.flow(on=EVENT)
    def triage(thread):
        return {
            "status": "mine",
            "none": None,
            "parts": [1, {"a": Decimal("0.5")}],
            "day": dt.date(2026, 12, 1),
        }

    run = nb.send(EVENT, [{"key": "k", "odd": 1.5, "when": pd.NaT}])
    (row,) = csv_of(run.to_html())
    assert row == {
        "key'": "0",
        "key": "k",
        "odd": "1.5",
        "when": "",
        "triage.status": "COMPLETED",
        "triage.status'": "mine",
        "triage.none": "",
        "triage.parts": '[1, {"a": "0.5"}]',
        "triage.day": "2026-12-01",
    }
    assert results_csv._text(Odd()) == "(cannot be shown)"


HOSTILE = "</title><script>window.hacked=1</script><img src=x onerror=alert(1)>\"'&"


def test_hostile_content_stays_text(nb):
    @nf.flow(on=HOSTILE)
    def triage(thread):
        if thread["n"]:
            raise nf.NonRetriableError(f"{HOSTILE} is no text")
        return HOSTILE

    run = nb.send(HOSTILE, [{"subject": f"{HOSTILE} {n}", "n": n} for n in (0, 0, 1)])
    page = run.to_html(title=HOSTILE)
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</title>") == 1
    assert HOSTILE in text_of(page)


def test_no_cell_of_the_results_becomes_a_formula(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        return {"label": "=HYPERLINK(1)", "=2+2": -5}

    run = nb.send(EVENT, [{"subject": "@SUM(1)", "n": -1}])
    (row,) = csv_of(run.to_html())
    assert row["subject"] == "'@SUM(1)"
    assert row["triage.label"] == "'=HYPERLINK(1)"
    assert (row["n"], row["triage.=2+2"]) == ("-1", "-5")


def test_secrets_are_masked(nb, monkeypatch):
    monkeypatch.setenv("MY_KEY", "k3y-9f8e7d6c5b4a")
    monkeypatch.setenv("DB_PASSWORD", "correct horse battery")

    @nf.flow(on=EVENT)
    def triage(thread):
        if thread["n"] == 2:
            raise nf.NonRetriableError(f"{thread['subject']} was refused")
        return thread["subject"]

    texts = [
        "sk-live-0123456789abcdefghij",
        "correct horse battery",
        "k3y-9f8e7d6c5b4a",
    ]
    run = nb.send(
        EVENT, [{"subject": text, "n": n % 3} for n, text in enumerate(texts * 2)]
    )
    nf.secret("MY_KEY")
    page = run.to_html(title="of k3y-9f8e7d6c5b4a")
    whole = page + str(csv_of(page))
    for text in texts:
        assert text not in whole


def test_fields_that_are_secrets_by_name_are_masked_in_the_results(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        return {"label": "a", "tokens": 12}

    run = nb.send(EVENT, [{"id": "a", "api_key": "letmein-please", "password": ""}])
    (row,) = csv_of(run.to_html())
    assert (row["api_key"], row["password"]) == ("<hidden>", "")
    assert row["triage.tokens"] == "12"


def test_answers_whose_class_is_not_defined_are_shown_by_their_fields(nb, cell):  # noqa: F811  # the fixture
    @nf.flow(on=EVENT)
    def triage(thread):
        return cell.Model(label="billing", sure=0.9)

    run = nb.send(EVENT, threads(3), key="id")
    nb.forget()
    del sys.modules[MODULE]
    page = nf.open_run(run.id).to_html()
    assert "billing 3 100 %" in text_of(page)
    assert csv_of(page)[0]["triage.sure"] == "0.9"


def test_records_that_were_not_kept_are_named_by_their_keys(nb, triage):
    run = nb.send(EVENT, threads(8), key="id", keep_records=False)
    nb.forget()
    page = nf.open_run(run.id).to_html()
    assert re.search(r"in triage t-7", text_of(page))
    assert list(csv_of(page)[0]) == [
        "key",
        "triage.status",
        "triage.label",
        "triage.sure",
    ]


def test_what_people_decided_counts_in_the_place_of_the_label(nb, triage):
    run = nb.send(EVENT, threads(6), key="id")
    decide(run, 0, "refunds")
    page = run.to_html()
    assert "6 answers; people gave 1 label." in text_of(page)
    assert "billing 4 66.7 % shipping 1 16.7 % refunds 1 16.7 %" in text_of(page)
    assert csv_of(page)[0]["triage.label"] == "refunds"
    assert [row["triage.by"] for row in csv_of(page)][:2] == ["human", "model"]


def test_answers_that_are_all_different_are_no_categories(nb):
    @nf.flow(on=EVENT)
    def summarize(thread):
        return f"about {thread['id']}"

    said = text_of(nb.send(EVENT, threads(4), key="id").to_html())
    assert "All 4 records are done." in said
    assert "summarize 4 answers, all of them different." in said
    assert "What needs somebody" not in said


def test_a_value_that_is_gone_is_said_to_be_gone(nb, triage):
    run = nb.send(EVENT, threads(3), key="id")
    state = run.reader.state()
    run.engine.store.delete([state.checkpoint(0, 0)])
    nb.forget()
    page = nf.open_run(run.id).to_html()
    assert "(not in the store any more) 1 33.3 %" in text_of(page)
    assert csv_of(page)[0]["triage"] == "(not in the store any more)"


def test_a_cancelled_run_says_what_was_not_finished(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        if thread["id"] == "t-3":
            run.append(nf.open_run(nf.runs().run[0]).cancel())
        return 1

    run = []
    nb.send(EVENT, threads(20), key="id", max_in_flight=1)
    said = text_of(run[0].to_html())
    assert re.search(
        r"\d+ of 20 records are done; \d+ were not finished, as the run was cancelled\.",
        said,
    )


def test_a_run_under_way_says_how_it_stands_so_far(nb):
    begun, goes_on = threading.Event(), threading.Event()

    @nf.flow(on=EVENT)
    def triage(thread):
        if thread["id"] == "t-3":
            begun.set()
            assert goes_on.wait(60)
        return 1

    run = nb.send(EVENT, threads(9), key="id", max_in_flight=1, wait=False)
    assert begun.wait(60)
    said = text_of(run.to_html())
    goes_on.set()
    run.wait()
    assert "3 of 9 records are done so far." in said
    assert "6 records still to do (66.7 %)" in said
    assert "Took" not in said


def test_a_run_that_stopped_at_its_budget_says_so(nb):
    @nf.step
    def ask(n):
        nf.usage(cost=1.0)
        return n

    @nf.flow(on=EVENT)
    def triage(thread):
        return ask(thread["id"])

    run = nb.send(EVENT, threads(9), key="id", max_in_flight=1, budget=3)
    said = text_of(run.to_html())
    assert re.search(r"not finished, as the run was cancelled: .*budget", said)
    assert "Cost of models: $3.00 (US dollars)" in said


def test_the_page_of_a_map_names_its_step(nb):
    @nf.step
    def size(text):
        return len(text)

    said = text_of(size.map(["one", "three"]).to_html())
    assert "What the step size made of 2 records." in said


def test_records_are_named_by_the_fields_that_are_asked_for(nb):
    @nf.flow(on=EVENT)
    def triage(thread):
        raise TimeoutError("late")

    run = nb.send(
        EVENT, [{"id": "a", "who": "Ana Anders", "subject": "Refund"}], key="id"
    )
    assert "Ana Anders (a)" in text_of(run.to_html())
    assert "Refund (a)" in text_of(run.to_html(columns=["subject"]))
    with pytest.raises(nf.UsageError, match="list of names"):
        run.to_html(columns=[1])


def test_a_run_without_records_has_a_page(nb, triage):
    assert "There were no records." in text_of(nb.send(EVENT, []).to_html())


def test_a_file_is_written_as_a_whole_and_named(nb, triage, tmp_path):
    run = nb.send(EVENT, threads(3), key="id")
    path = tmp_path / "monday.html"
    path.write_text("the page of last monday")
    assert run.to_html(str(path), title="Threads of Monday") == path
    assert path.read_text().startswith("<!doctype html>")
    assert "<title>Threads of Monday, " in path.read_text()
    assert [one.name for one in Path(tmp_path).glob("*.html")] == ["monday.html"]


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 3, "0 %"),
        (1, 3, "33.3 %"),
        (3, 3, "100 %"),
        (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"),
        (0, 0, "\u2013"),
    ],
)
def test_a_share_never_says_nothing_or_all_where_it_is_not(part, whole, said):
    assert page_of_run.share(part, whole) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": "/nonexistent/x.html"}, "is in no folder that exists"),
        ({"path": "."}, "is a folder"),
        ({"path": 5}, "has to be the name of a file"),
        ({"title": 5}, "has to be a text"),
        ({"columns": 5}, "has to be a list of names"),
        ({"path": "/proc/x.html"}, "cannot be written to /proc/x.html"),
    ],
)
def test_a_page_that_cannot_be_made_is_refused_in_a_sentence(nb, arguments, said):
    @nf.step
    def size(text):
        return len(text)

    run = size.map(["a"])
    with pytest.raises(nf.UsageError, match=said):
        run.to_html(**arguments)


def test_a_store_has_to_be_a_folder():
    with pytest.raises(nf.UsageError, match="3 cannot be the store"):
        nf.use(3)
