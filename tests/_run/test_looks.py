"""A state has one word and one sign wherever it is shown, and they are written down once."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import nbflow as nf
from nbflow._core.lifecycle import SHOWN
from nbflow._core.looks import LOOKS, RUN_LOOKS, word_of
from nbflow._core.table import WORDS, FlowRow, table_of
from nbflow._run import render
from nbflow.notebook.page_looks import PAGE_LOOKS, colours
from nbflow.notebook.table_rows import failures_csv
from nbflow.notebook.table_widget import TableWidget
from nbflow.quality.notes import counted
from nbflow.quality.review_widget import ReviewWidget

PACKAGE = Path(nf.__file__).parent
EVENT = "e"


@pytest.fixture
def run(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] % 2:
            raise nf.NonRetriableError(f"no {record['n']}")
        return record["n"]

    records = [{"n": n, "text": f"the words of record {n}"} for n in range(100)]
    return nf.send(EVENT, records)


@pytest.mark.parametrize("state", WORDS)
def test_records_in_pictures_and_terminals(run, state):
    row = FlowRow("triage", "", {state: 3}, 0, 0.0)
    table = replace(run.table(), columns=(state,), flows=(row,))
    look = LOOKS[state]
    assert look.brief_sign in render.to_text(table)
    assert look.brief_sign in render.to_html(table)
    assert f"3 {look.word}" in render.to_html(table)
    assert look.colour in render.to_html(table)


@pytest.mark.parametrize("name", RUN_LOOKS)
def test_runs_in_pictures_terminals_histories_and_pages(run, name):
    look = RUN_LOOKS[name]
    table = replace(run.table(), state=name)
    history = nf.runs()
    history["state"] = name
    shown = (
        render.to_text(table),
        render.to_html(table),
        render.runs_to_text(pd.DataFrame(history)),
        render.runs_to_html(pd.DataFrame(history)),
    )
    for text in shown:
        assert f"{look.mark} {look.word}" in text
        assert name not in text
    assert [name, look.word, look.icon] in PAGE_LOOKS["runs"]


def test_pages_are_handed_the_words_signs_and_colours():
    shapes = (PACKAGE / "notebook/page/dom.js").read_text().partition("SHAPES = {")[2]
    for state, told in zip(SHOWN, PAGE_LOOKS["states"], strict=True):
        look = LOOKS[state]
        assert told == [str(state), look.word, look.icon, look.brief]
        assert f"  {look.icon}: " in shapes
        css = str(state).lower().replace("_", "-")
        assert f"--nbf-solid-{css}: {look.colour};" in colours()
    for css in (TableWidget._css, ReviewWidget._css):
        assert css.startswith(colours())


def test_inspections_files_errors_and_figures(run):
    inspected = repr(run.inspect("1"))
    assert "\u2717 failed" in inspected
    assert "\u2713 completed" in repr(run["0"])
    assert ",failed,NonRetriableError," in failures_csv(run.reader.state(), [1])
    ends = Counter({"TIMED_OUT": 2, "CANCELLED": 1})
    assert counted(ends) == "3 records (2 timed out, 1 cancelled)"
    with pytest.raises(nf.RunFailedError, match="is partial: 50 of 100 records done"):
        run.raise_for_failures()


def test_a_word_is_the_one_of_the_look():
    for state, look in LOOKS.items():
        assert word_of(str(state)) == look.word
    for name, look in RUN_LOOKS.items():
        assert word_of(name) == look.word
    assert word_of("no label") == "no label"


def test_no_two_states_share_a_word_or_a_sign():
    looks = {*LOOKS.values(), *RUN_LOOKS.values()}
    for part in ("word", "mark", "icon"):
        assert len({getattr(look, part) for look in looks}) == len(looks)


def test_signs_and_colours_are_written_down_once():
    """Who needs one takes it from `LOOKS`."""
    looks = [*LOOKS.values(), RUN_LOOKS["PARTIAL"]]
    # These two are words of other things as well: a tick and a warning.
    signs = {look.mark for look in looks} - {"\u2713", "\u26a0"}
    wanted = signs | {look.colour for look in looks}
    escaped = {f"\\u{ord(sign):04x}" for sign in signs}
    for file in PACKAGE.rglob("*"):
        if file.suffix in {".py", ".js", ".css"} and file.name != "looks.py":
            text = file.read_text()
            found = {one for one in wanted | escaped if one in text}
            assert not found, file


def test_state_names_are_made_words_in_one_place():
    for file in PACKAGE.rglob("*.py"):
        if file.name not in {"looks.py", "page_looks.py"}:
            assert not re.search(r"state\.lower\(\)", file.read_text()), file


def test_the_picture_shows_the_first_twenty_failures_open(run):
    html = run._repr_html_()
    assert "<details open" in html
    assert html.count("NonRetriableError") == 20 + html.partition("<details")[0].count(
        "NonRetriableError"
    )
    assert "the words of record 1<" in html
    assert "no 39" in html
    assert "no 41" not in html
    assert "20 of 50 failures" in html
    assert "and 30 more failures: run.failures()" in html
    assert "the words of record 39" in repr(run)


def test_the_words_of_records_that_were_not_to_be_kept_are_in_no_picture(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        raise nf.NonRetriableError("no")

    run = nf.send(EVENT, [{"text": "a private word"}], keep_records=False)
    assert "private" not in run._repr_html_()
    assert "private" not in repr(run)


def test_a_picture_of_another_kernels_run_has_the_words_too(run):
    table = nf.open_run(run.id).table()
    assert table.failures[0].words == "the words of record 1"
    assert table_of(run.reader.state()).failures[0].words == ""
