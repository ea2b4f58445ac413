"""The history of runs: a frame that a notebook shows as a table of runs."""

import pandas as pd

import nbflow as nf

EVENT = "e<b>"


def sent(nb):
    @nf.flow(on=EVENT)
    def look(record):
        if record["n"] == 2:
            raise ValueError("two")

    return [nb.send(EVENT, [{"n": n} for n in range(count)]) for count in (2, 5)]


def test_a_notebook_shows_each_run_with_its_state_in_words_and_nothing_as_html(nb):
    sent(nb)
    shown = nf.runs()._repr_html_()
    assert "e&lt;b&gt;" in shown
    assert "e<b>" not in shown
    assert shown.index("◑ partial") < shown.index("✓ completed")


def test_it_is_a_frame_and_what_is_made_of_it_is_a_plain_one(nb):
    first, second = sent(nb)
    history = nf.runs()
    assert isinstance(history, pd.DataFrame)
    assert history["run"].tolist() == [second.id, first.id]
    assert type(history[history["failed"] > 0]) is pd.DataFrame
    assert type(history.head(1)) is pd.DataFrame


def test_no_runs_say_so(nb):
    assert "No runs yet" in nf.runs()._repr_html_()


def test_a_long_history_is_cut_and_says_how_much_there_is(nb):
    sent(nb)
    row = nf.runs().iloc[[0]]
    from nbflow._run.render import runs_to_html

    assert "and 50 earlier runs" in runs_to_html(pd.concat([row] * 150))


def test_a_run_gone_on_with_a_day_later_did_not_take_a_day(nb):
    """Neither as its own handle, nor in the list, where its last entry alone is read."""
    mended = []

    @nf.flow(on=EVENT)
    def look(record):
        if not mended:
            raise ValueError("not yet")

    run = nb.send(EVENT, [{"n": 1}])
    nb.advance(86_400)
    mended.append(True)
    run.rerun_failed()
    nb.forget()
    assert nf.runs()["state"].tolist() == ["COMPLETED"]
    assert nf.runs()["seconds"].max() < 60
