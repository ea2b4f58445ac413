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
from nbflow._run import byte_search, kept_batch
from nbflow._run.wanted import Wanted
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


def kill_midway(folder):
    """A send that is killed when its second step has begun: nobody noted what the first one saved."""
    code = """
import os, signal, sys
import nbflow as nf
nf.use(sys.argv[1])
@nf.step
def first(text):
    return text * 2
@nf.step
def second(text):
    os.kill(os.getpid(), signal.SIGKILL)
@nf.flow(on="killed")
def flow(record):
    return second(first(record["text"]))
nf.send("killed", [{"id": "a", "text": "Anna and "}], key="id")
"""
    command = [sys.executable, "-c", code, str(folder)]
    assert subprocess.run(command, capture_output=True).returncode == -9


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "work" / ".nbflow"
    path.parent.mkdir()
    nf.use(path)
    return path


def holders(folder, text):
    codes = ("utf-8", "utf-16-le", "utf-32-le")
    needles = [text] if isinstance(text, bytes) else [text.encode(one) for one in codes]
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
    assert nf.store.erase(record="c-4", event="mail").outputs == 2, "place is shared"
    assert nf.send("call", PEOPLE[:3], key="id").counts == {"call": {"CACHED": 3}}


def test_the_same_record_of_another_event_keeps_its_outputs(folder):
    """Its flow has the same input."""
    work = Work()

    @nf.flow(on="call")
    def call(record):
        return record["text"] * 2

    for event in ("mail", "call"):
        nf.send(event, PEOPLE[:2], key="id")
    nf.store.erase(record="c-1", event="mail")
    assert nf.send("call", PEOPLE[:2], key="id").counts == {"call": {"CACHED": 2}}
    assert work.again([PEOPLE[1]]) == []


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


def test_the_outputs_of_a_deleted_run_are_found_by_the_key_of_the_record(folder):
    work = Work()
    run = work.send()
    nf.store.delete_runs(run.id, keep_outputs=True)
    notebook = folder.parent / "mail.out.ipynb"
    notebook.write_text(f'{{"cells": "{run.id}"}}')
    assert holders(folder, "BERT ASKS")
    assert not holders(folder, "c-1"), "there are digests of keys"
    planned = nf.store.erase(record="c-1", dry_run=True)
    done = nf.store.erase(record="c-1")
    assert (planned.outputs, done.outputs, done.runs) == (2, 2, (run.id,))
    assert done.elsewhere == (str(notebook),)
    assert holders(folder, "Bert asks") == holders(folder, "BERT ASKS") == []
    assert work.again([PEOPLE[1], PEOPLE[3]]) == []
    nothing = nf.store.erase(record="c-1", event="mail")
    assert (nothing.outputs, nothing.notes) == (0, ())


def test_a_text_that_is_the_key_of_a_deleted_runs_record_finds_its_outputs(folder):
    work = Work()
    nf.store.delete_runs(work.send().id, keep_outputs=True)
    assert nf.store.erase(text="c-1").outputs == 2
    assert work.again([PEOPLE[1], PEOPLE[3]]) == []


def test_a_text_of_digits_is_a_number_of_a_record_and_none_of_a_note(folder):
    @nf.flow(on="call")
    def call(record):
        return record["number"] * 2

    rows = [{"id": f"n-{n}", "number": n} for n in (1, 2, 471123)]
    run = nf.send("call", rows, key="id")
    other = nf.send("call", [{"id": "o", "number": 9}], key="id")
    done = nf.store.erase(text="471123")
    assert (done.runs, done.records, done.outputs) == ((run.id,), 1, 1)
    assert list(nf.open_run(other.id).reader.state().keys) == ["o"]
    assert list(kept_batch.kept_rows(SESSION.engine.ledger, run.id)) == [
        *rows[:2],
        None,
    ]


def test_what_stays_for_a_run_under_way_is_found_by_the_key_of_the_record(folder):
    work = Work()
    run = work.send([PEOPLE[0], PEOPLE[3]])

    def source():
        yield PEOPLE[1]
        assert nf.store.prune(keep_runs=1).runs == (run.id,)

    work.send(source())
    assert holders(folder, "BERT ASKS")
    assert nf.store.erase(record="c-1", event="other").outputs == 0
    assert nf.store.erase(record="c-1", event="mail").outputs == 2
    assert holders(folder, "BERT ASKS") == []
    assert work.again([PEOPLE[3]]) == []


def test_what_a_killed_run_did_not_come_to_note_goes_with_the_record(folder):
    """The journal of its process has it, and no entry of the run names it."""
    kill_midway(folder)
    assert holders(folder, "Anna and Anna and")
    assert nf.store.erase(record="a").outputs == 1
    assert holders(folder, "Anna and") == []


def test_a_record_says_what_its_key_does_not_find(folder):
    work = Work()
    work.send()
    work.read("Bert, by hand")
    work.report(work.read("Bert, by hand"))
    (note,) = nf.store.erase(record="c-1").notes
    assert note.startswith("2 saved outputs came from no run that is known")
    assert "--text" in note
    assert nf.store.erase(text="Bert, by hand").notes == ()
    assert nf.store.erase(record="c-4").notes == ()


def test_what_was_saved_with_another_key_is_named(folder, monkeypatch, tmp_path):
    Work().send()
    SESSION.engine.store.close()
    monkeypatch.setenv("NBFLOW_STORE_KEY", "another key of some length")
    moved = shutil.copytree(folder, tmp_path / "moved")
    moved.chmod(0o700)
    nf.use(moved)
    with pytest.warns(nf.StoreWarning):
        done = nf.store.erase(text=ANNA)
    assert any("do not verify" in note for note in done.notes)
    assert any("with another key" in note for note in done.notes)
    assert done.left
    assert nf.store.erase(record="c-1").notes == done.notes


def test_notebooks_that_hold_the_text_are_listed_though_no_run_has_it(folder):
    Work().send([PEOPLE[0]])
    beside = folder.parent / "out" / "old.html"
    beside.parent.mkdir()
    beside.write_text("<p>Anna M\u00fcller-L\u00fcdenscheidt</p>")
    (folder.parent / "other.csv").write_text("nobody")
    assert nf.store.erase(text=ANNA).elsewhere == (str(beside),)


def test_notebooks_of_deleted_runs_are_listed_as_nobody_knows_their_records(folder):
    work = Work()
    gone, stays = work.send([PEOPLE[0]]), work.send([PEOPLE[3]])
    for run in (gone, stays):
        (folder.parent / f"{run.id}.ipynb").write_text(f"run {run.id}, all done")
    nf.store.delete_runs(gone.id)
    listed = (str(folder.parent / f"{gone.id}.ipynb"),)
    assert nf.store.erase(record="c-9").elsewhere == listed
    assert nf.store.erase(text="nobody").elsewhere == ()


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_looking_for_what_is_left_gives_up_no_lock(folder):
    """Who closes a file that he has read loses his locks on it: another process would call again."""
    Work().send()
    key = "ab" * 20
    assert SESSION.engine.store.lock(key)
    nf.store.erase(text=ANNA)
    code = """
import sys
from nbflow._store.disk.disk_store import open_disk
sys.exit(open_disk(sys.argv[1]).lock(sys.argv[2]))
"""
    command = [sys.executable, "-c", code, str(folder), key]
    assert subprocess.run(command).returncode == 0, "another process gets no lock"
    SESSION.engine.store.unlock(key)
    assert subprocess.run(command).returncode == 1


def test_a_file_that_vanishes_while_it_is_read_holds_nothing(tmp_path):
    assert not byte_search.holds(tmp_path / "gone", [b"x"])
    long = tmp_path / "long"
    long.write_bytes(b"." * (byte_search._CHUNK - 2) + b"needle")
    assert byte_search.holds(long, [b"needle", b"other"])
    assert not byte_search.holds(long, [b"needles"])


def test_a_remark_that_is_about_the_record_goes_and_figures_stay():
    wanted = Wanted(record="7")
    assert wanted.hide("7 of 0.7, 7% and 1,7: 7.") == "* of 0.7, 7% and 1,7: *."
    about = "on_failure of flow 'mail' raised for record '7': ValueError: Anna"
    assert set(wanted.hide(about)) == {"*"}
    assert Wanted(record="c-1").hide("c-1 and c-12 (c-1)") == "*** and c-12 (***)"


def test_a_sample_goes_on_without_the_record(folder):
    """Its digest is in the sample no more, and the others are a sample as before."""

    @nf.flow(on="review")
    def sort(record):
        return {"label": "bug", "confidence": 0.5}

    people = [{"id": n, "text": f"text {n}"} for n in range(60)]
    run = nf.send("review", people, key="id")
    drawn = nf.review(run, sample=50, choices=["bug", "feature"])
    for key in drawn.left:
        drawn.decide(
            key,
            "bug" if int(key) % 5 else "feature",
        )
    before = nf.estimate(run).decided
    gone = drawn.keys[3]
    (sample,) = SESSION.engine.samples.all()
    unit = sample.units[3]
    assert holders(folder, unit)
    assert nf.store.erase(record=gone).decisions == 1
    assert not [path for path in holders(folder, unit) if "samples" in path]
    with pytest.warns(nf.StoreWarning, match="cannot be had from the store any more"):
        assert nf.estimate(nf.open_run(run.id)).decided == before - 1
    assert len(SESSION.engine.samples.all()) == 1
    rest = [one for one in people if str(one["id"]) != gone]
    assert nf.estimate(nf.send("review", rest, key="id")).decided == before - 1
