"""A person is forgotten: no file of the store holds the text, what is left verifies, and the others still hit."""

import shutil
import subprocess
import sys
import warnings

import pandas as pd
import pytest

import nbflow as nf
from nbflow import cli
from nbflow._core.decision import Decision
from nbflow._session import SESSION

ANNA = "Anna Müller-Lüdenscheidt"
PEOPLE = [
    {"id": "c-1", "text": "Bert asks for a refund", "country": "DE"},
    {"id": "c-2", "text": f"{ANNA} lost her key", "country": "DE"},
    {"id": "c-3", "text": f"{ANNA} cannot log in, fails", "country": "CH"},
    {"id": "c-4", "text": "Carla says thanks", "country": "CH"},
]


class Work:
    def __init__(self):
        self.calls = calls = []

        @nf.step(retries=0)
        def place(country):
            calls.append(country)
            return country.lower()

        @nf.step(retries=0)
        def read(text):
            calls.append(text)
            if "fails" in text:
                raise nf.NonRetriableError(f"no answer for {text!r}")
            return text.upper() if "asks" in text else text, "x" * (
                9000 if "key" in text else 9
            )

        @nf.flow(on="mail")
        def mail(record):
            place(record["country"])
            return read(record["text"])

        @nf.step
        def report(run):
            calls.append("report")
            return run

        self.read, self.report = read, report

    def send(self, people=PEOPLE, **how):
        return nf.send("mail", people, key="id", **how)

    def again(self, people=PEOPLE):
        self.calls.clear()
        self.send(people)
        return self.calls


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "work" / ".nbflow"
    path.parent.mkdir()
    nf.use(path)
    return path


def holders(folder, text):
    needles = [text.encode(code) for code in ("utf-8", "utf-16-le", "utf-32-le")]
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def test_afterwards_no_file_of_the_store_holds_the_text(folder):
    work = Work()
    run = work.send()
    work.send()
    work.report(str(run.results("mail")))
    nf.send("mail", pd.DataFrame(PEOPLE), key="id")
    SESSION.engine.store.flush()
    work.read(f"{ANNA} in the journal")
    notebook = folder.parent / "mail.out.ipynb"
    notebook.write_text(f'{{"cells": "{run.id}"}}')
    assert len(holders(folder, ANNA)) >= 5
    planned = nf.store.erase(text=ANNA, dry_run=True)
    assert holders(folder, ANNA)
    done = nf.store.erase(text=ANNA)
    assert (done.left, holders(folder, ANNA)) == ((), [])
    assert (done.runs, done.records, done.outputs) == (
        planned.runs,
        planned.records,
        planned.outputs,
    )
    assert (len(done.runs), done.records) == (3, 6)
    assert done.elsewhere == (str(notebook),)
    assert len(done.batches) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nf.store.check().is_sound
        others = [PEOPLE[0], PEOPLE[3]]
        assert work.again(others) == []
        opened = nf.open_run(run.id)
        assert opened.counts == {"mail": {"COMPLETED": 3, "FAILED": 1}}
        assert "*" * 8 in str(opened.failures().to_dict())
    with pytest.warns(nf.StoreWarning, match="cannot be had from the store any more"):
        assert len(opened.results()) == 4


def test_a_record_goes_and_what_others_share_with_it_stays(folder):
    work = Work()
    run = work.send()
    assert nf.store.erase(record="c-1").records == 1
    assert holders(folder, "BERT ASKS") == holders(folder, "Bert asks") == []
    assert work.again([PEOPLE[1], PEOPLE[3]]) == []
    assert work.again([PEOPLE[0]]) == [PEOPLE[0]["text"]]
    keys = list(nf.open_run(run.id).reader.state().keys)
    assert keys == ["***", "c-2", "c-3", "c-4"]
    assert nf.store.erase(record="nobody").records == 0


def test_a_notice_that_waits_and_says_it_goes(folder, tmp_path, monkeypatch):
    from nbflow._core.notice import Message
    from nbflow._tell import address
    from nbflow._tell.outbox import Outbox

    box = Outbox(tmp_path / "store")
    nf.use(tmp_path / "store")
    to = address.addresses(["json://localhost"], "the test")
    said = box.post("job", Message("job", f"{ANNA} failed", "", "failure"), to)
    named = box.post("job", Message("job", "no (record c-9)", "", "failure"), to)
    other = box.post("job", Message("job", "1 failed", "", "failure"), to)
    assert box.pending() == [said, named, other]
    assert not nf.store.erase(text=ANNA).left
    assert box.pending() == [named, other]
    nf.store.erase(record="c-9")
    assert box.pending() == [other]


def test_what_is_at_any_distance_goes(folder):
    """A step inside a step, a report over all: what came from her, and what came of that."""

    @nf.step
    def inner(text):
        return f"{text} ..."

    @nf.step
    def middle(text):
        return inner(text)

    @nf.flow(on="deep")
    def deep(record):
        return len(middle(record["text"]))

    rows = [{"id": 1, "text": "Bert"}, {"id": 2, "text": "Anna"}]
    nf.send("deep", rows, key="id")
    assert nf.store.erase(record="2").outputs == 3
    assert holders(folder, "Anna") == []
    assert nf.send("deep", rows[:1], key="id").counts == {"deep": {"CACHED": 1}}


def test_only_the_records_of_one_event_go(folder):
    work = Work()
    work.send()

    @nf.flow(on="call")
    def call(record):
        return record["text"] * 2

    nf.send("call", PEOPLE, key="id")
    assert nf.store.erase(record="c-4", event="call").records == 1
    assert work.again() == [PEOPLE[2]["text"]]


def test_an_erased_record_cannot_be_run_again_and_the_others_can(folder):
    work = Work()
    run = work.send()
    nf.store.erase(record="c-3")
    work.calls.clear()
    nf.use("memory:")
    nf.use(folder)
    again = nf.open_run(run.id).rerun_failed()
    assert work.calls == []
    assert again.counts == {"mail": {"COMPLETED": 3, "FAILED": 1}}
    assert "was erased" in str(again.failures().to_dict())


def test_decisions_on_it_go(folder):
    work = Work()
    run = work.send()
    for key, text in (("c-1", "Bert"), ("c-2", ANNA)):
        SESSION.engine.decisions.add(
            Decision("mail", "", (), key.encode(), text, None, "me", 1.0, key, run.id)
        )
    assert nf.store.erase(record="c-1").decisions == 1
    assert nf.store.erase(text=ANNA).decisions == 1
    assert SESSION.engine.decisions.all() == []


def test_what_another_process_holds_in_its_journal_is_overwritten(folder):
    """It goes on, warns of nothing, and saves further values."""
    code = """
import sys, warnings
warnings.simplefilter("error")
import nbflow as nf
nf.use(sys.argv[1])
@nf.step
def keep(text):
    return text * 2
keep(sys.argv[2]); keep("other")
print("ready", flush=True)
sys.stdin.readline()
assert keep("other") == "otherother"
keep("further")
from nbflow._session import SESSION
SESSION.engine.store.close()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), ANNA],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert other.stdout.readline() == "ready\n"
    assert nf.store.erase(text=ANNA).outputs == 1
    assert holders(folder, ANNA) == []
    _, complaints = other.communicate("go\n", timeout=60)
    assert (other.returncode, complaints) == (0, "")
    assert nf.store.info().outputs == 2
    assert nf.store.check().is_sound


def test_a_run_under_way_that_has_it_is_refused(folder):
    work = Work()

    def source():
        yield from PEOPLE[:2]
        yield from ({"id": f"n-{n}", "text": "", "country": ""} for n in range(14))
        SESSION.runs.live[nf.runs()["run"][0]].notes.flush()
        with pytest.raises(nf.UsageError, match="is being worked on and has it"):
            nf.store.erase(record="c-1")
        yield PEOPLE[3]

    assert work.send(source()).state == "COMPLETED"


def test_what_was_interrupted_is_finished(folder, tmp_path):
    work = Work()
    work.send()
    SESSION.engine.store.flush()
    at = 0
    while True:
        at += 1
        copy = shutil.copytree(folder, tmp_path / f"copy{at}")
        nf.use(copy)
        left = [at]

        def reached(point, left=left):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        SESSION.engine.runner._crash_point = reached
        try:
            nf.store.erase(text=ANNA)
            break
        except KeyboardInterrupt:
            SESSION.engine.runner._crash_point = None
        nf.store.erase(text=ANNA)
        assert holders(copy, ANNA) == []
        assert nf.store.check().is_sound
    assert at > 3


def test_nonsense_is_refused_and_the_command_says_what_it_did(folder, capsys):
    Work().send()
    for wrong in (
        {},
        {"record": "a", "text": "b"},
        {"text": ""},
        {"text": "a", "event": "e"},
    ):
        with pytest.raises(nf.UsageError):
            nf.store.erase(**wrong)
    assert cli.main(["store", "erase", "--record", "c-1", "--event", "mail"]) == 0
    assert "Erased 1 record of 1 run," in capsys.readouterr().out
