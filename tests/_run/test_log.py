"""What a run says to the standard library's logging."""

import logging
import warnings
from collections import deque

import pytest

import nbflow as nf

EVENT = "thread"
ROWS = [{"id": "ada@example.org", "body": "the card 4929 was lost"}]


@pytest.fixture
def said(caplog):
    """Everything that is logged, from a level on."""

    def since(level):
        caplog.set_level(level, "nbflow")
        return lambda: "\n".join(
            f"{record.name} {record.levelname} {record.getMessage()}"
            for record in caplog.records
        )

    return since


def fail(retries):
    @nf.step(retries=retries)
    def classify(text):
        raise ValueError(f"no label for {text}")

    @nf.flow(on=EVENT)
    def triage(thread):
        return classify(thread["body"])


def test_info_names_runs_failures_and_retries_and_nothing_of_the_records(nb, said):
    fail(retries=1)
    text = said(logging.INFO)
    run = nb.send(EVENT, ROWS, key="id")
    logged = text()
    assert f"nbflow.run INFO {run.id}: sends 'thread' to triage" in logged
    assert "failed in flow triage at classify: ValueError, attempts: 2" in logged
    assert f"{run.id}: FAILED, 1 failed" in logged
    assert "nbflow.call INFO step classify: attempt 1 ended in ValueError" in logged
    assert "DEBUG" not in logged
    assert not [word for word in ("ada", "4929", "label") if word in logged]


def test_debug_names_records_and_messages(nb, said):
    fail(retries=0)
    text = said(logging.DEBUG)
    nb.send(EVENT, ROWS, key="id")
    logged = text()
    assert "record 'ada@example.org': no label for the card 4929 was lost" in logged
    assert "code of classify: new" in logged


def test_a_secret_is_logged_at_no_level(nb, said, monkeypatch):
    monkeypatch.setenv("API_KEY", "sk-abcdefgh12345678")
    key = nf.secret("API_KEY")

    @nf.step(retries=1)
    def ask(text):
        raise ValueError(f"refused {key}")

    @nf.flow(on=EVENT)
    def triage(thread):
        return ask(thread["body"])

    text = said(logging.DEBUG)
    nb.send(EVENT, ROWS, key="id")
    assert "refused" in text()
    assert "sk-abcdefgh12345678" not in text()


def test_nothing_is_logged_by_itself(nb, capfd):
    """The library adds no handler; a program that configures no logging sees nothing of it."""
    fail(retries=0)
    nb.send(EVENT, ROWS, key="id")
    assert "INFO" not in capfd.readouterr().err
    assert not logging.getLogger("nbflow").handlers


class Looks(logging.Handler):
    """A handler that looks at the run, as one that alerts somebody may."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        self.seen.append(len(nf.runs()))
        if "failed" in record.getMessage():
            raise RuntimeError("the alert could not be sent")


@pytest.fixture
def looks(caplog):
    handler, logger = Looks(), logging.getLogger("nbflow")
    caplog.set_level(logging.INFO, "nbflow")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.filterwarnings("ignore:A handler of the log")
def test_a_handler_that_looks_at_the_run_or_raises_costs_the_run_nothing(nb, looks):
    @nf.flow(on=EVENT)
    def triage(thread):
        raise ValueError("no")

    run = nb.send(EVENT, ROWS, key="id")
    assert looks.seen
    assert run.counts == {"triage": {"FAILED": 1}}
    assert run.state == "FAILED"
    nb.forget()
    assert nf.open_run(run.id).state == "FAILED"


def test_names_and_messages_forge_no_line_and_control_no_terminal(
    nb, said, monkeypatch
):
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    nf.secret("TOKEN")

    @nf.step(name="ask hunter2-hunter2\x1b[2J", retries=1)
    def ask(text):
        raise ValueError("x\n2026-01-01 INFO nbflow.run: FAKE")

    text = said(logging.DEBUG)
    ask.map(["a"])
    assert "hunter2" not in text()
    assert "\x1b" not in text()
    assert not [line for line in text().splitlines() if line.startswith("2026")]


def test_two_threads_that_log_share_what_there_is(nb):
    """The one that notes and the one that ends a run: neither may find it empty under its hand."""
    from nbflow._core.entry import Remark, RunState
    from nbflow._run.ledger_writer import LedgerWriter

    notes = LedgerWriter(nb.engine.ledger, "20260101-000000-000ab", RunState())

    class Emptied(deque):
        def __bool__(self):
            return True

    notes._unlogged = Emptied([Remark(1.0, "only one")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        notes._log()
        notes._log()
    notes.close()
