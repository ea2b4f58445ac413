"""Iterators that end early: what they gave is in the run, and the run is never completed."""

import threading

import pytest

import nbflow as nf
from nbflow._run.run import Run
from nbflow._session import SESSION

EVENT = "thread"


@pytest.fixture
def flow(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return record["n"]


def broken(count, error):
    """An iterator that gives some records, then raises."""
    for n in range(count):
        yield {"n": n}
    raise error


def from_the_ledger(nb, run):
    nb.forget()
    return Run(nb.runs, run.id, SESSION)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 492, 1000])
def test_what_the_iterator_gave_before_it_raised_is_done_and_the_error_is_the_runs(
    nb, flow, count
):
    with pytest.raises(ConnectionError, match="page 3"):
        nb.send(EVENT, broken(count, ConnectionError("page 3")))
    run = nf.open_run()
    assert run.state == "INTERRUPTED"
    assert run.records == count
    assert run.counts["triage"] == ({"COMPLETED": count} if count else {})
    assert any("ConnectionError: page 3" in text for text in run.reader.state().remarks)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_background_run_whose_iterator_raises_says_so(nb, flow):
    run = nb.send(EVENT, broken(40, OSError("gone")), wait=False).wait(20)
    assert run.state == "INTERRUPTED"
    assert run.counts == {"triage": {"COMPLETED": 40}}
    assert "not read to the end" in str(run)
    with pytest.raises(nf.NbflowError, match="interrupted"):
        run.raise_for_failures()
    assert from_the_ledger(nb, run).state == "INTERRUPTED"


def test_an_interrupt_while_the_iterator_is_read_loses_none_of_its_rows(nb, flow):
    """A queue does not give them again; they run when the run is run again."""
    with pytest.raises(KeyboardInterrupt):
        nb.send(EVENT, broken(300, KeyboardInterrupt()))
    run = nf.open_run()
    assert (run.state, run.records) == ("INTERRUPTED", 300)
    again = from_the_ledger(nb, run).rerun_failed()
    assert again.counts == {"triage": {"COMPLETED": 300}}
    assert again.state == "INTERRUPTED", "the iterator may have had more"


def test_a_rerun_of_what_is_left_of_an_iterator_does_not_complete_it(nb, flow):
    with pytest.raises(ValueError, match="broken"):
        nb.send(EVENT, broken(30, ValueError("broken")))
    run = nf.open_run()
    assert run.rerun_failed().state == "INTERRUPTED"
    assert run.rerun().state == "INTERRUPTED"
    whole = nb.send(EVENT, ({"n": n} for n in range(50)))
    assert whole.state == "COMPLETED"


@pytest.mark.filterwarnings("ignore:The run was cancelled")
def test_an_iterator_that_is_cancelled_is_cancelled(nb, flow):
    reading, gate = threading.Event(), threading.Event()

    def records():
        yield {"n": 0}
        reading.set()
        assert gate.wait(20)
        yield {"n": 1}

    run = nb.send(EVENT, records(), wait=False)
    assert reading.wait(20)
    run.cancel()
    gate.set()
    assert run.wait(20).state == "CANCELLED"
