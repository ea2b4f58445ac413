"""The chronicle: what a list of runs says, at the cost of what is new."""

import pytest

import nbflow as nf
from nbflow._core.entry import Closed, Item, Listed, Opened
from nbflow._core.lifecycle import State
from nbflow._run.chronicle import Chronicle
from nbflow._session import SESSION

EVENT = "e"


@pytest.fixture
def ledger(nb):
    """The ledger in use, which counts how many entries of each run are read."""
    ledger, read = SESSION.engine.ledger, {}

    def counted(method):
        def call(run, *rest):
            found = method(run, *rest)
            read[run] = read.get(run, 0) + len(
                found[0] if isinstance(found, tuple) else found
            )
            return found

        return call

    ledger.ends, ledger.read, ledger.counted = (
        counted(ledger.ends),
        counted(ledger.read),
        read,
    )
    return ledger


def lost(ledger, run, records, sent=None):
    """A run whose process was killed, before it had read all that was sent."""
    ledger.append(
        run,
        [
            Opened(run, EVENT, ("look",), 1e9, "records", False, sent or records),
            *(Listed(n, f"t-{n}") for n in range(records)),
        ],
    )
    ledger.append(run, [Item(0, 0, State.COMPLETED, 1e9 + 1)])


def test_a_run_that_has_ended_is_read_once(nb, ledger):
    @nf.flow(on=EVENT)
    def look(record):
        return 1

    run = nb.send(EVENT, [{"n": n} for n in range(100)])
    nb.forget()
    chronicle = Chronicle(SESSION.runs, SESSION)
    for _ in range(3):
        assert [(line.run, line.state, line.rows) for line in chronicle.lines()] == [
            (run.id, "COMPLETED", 100)
        ]
    assert ledger.counted[run.id] < 10


def test_a_run_that_ended_without_a_word_is_read_once(nb, ledger):
    lost(ledger, "20260101-000000-00001", 50)
    chronicle = Chronicle(SESSION.runs, SESSION)
    for _ in range(3):
        (line,) = chronicle.lines()
        assert (
            line.state,
            line.tally[State.INTERRUPTED],
            line.tally[State.COMPLETED],
        ) == ("INTERRUPTED", 49, 1)
    assert ledger.counted["20260101-000000-00001"] < 60


def test_a_run_that_was_killed_early_has_all_the_records_that_were_sent(nb, ledger):
    lost(ledger, "20260101-000000-00001", 50, sent=600)
    (line,) = Chronicle(SESSION.runs, SESSION).lines()
    assert (line.records, line.rows, line.tally[State.INTERRUPTED]) == (600, 600, 599)


def test_a_run_that_another_process_works_on_is_followed(nb, ledger, monkeypatch):
    """Each look takes in what was noted since the one before."""
    runs, run = SESSION.runs, "20260101-000000-00001"
    monkeypatch.setattr(type(runs), "is_worked_on", lambda self, run: True)
    lost(ledger, run, 50)
    chronicle = Chronicle(runs, SESSION)
    for n in range(1, 11):
        assert chronicle.lines()[0].tally[State.COMPLETED] == n
        ledger.append(run, [Item(n, 0, State.COMPLETED, 1e9 + n)])
    assert ledger.counted[run] < 80
    monkeypatch.undo()
    assert chronicle.lines()[0].state == "INTERRUPTED"


def test_a_run_that_goes_on_after_its_end_is_another_line(nb):
    broken = [True]

    @nf.flow(on=EVENT)
    def look(record):
        if broken[0]:
            raise ValueError(record["n"])

    run = nb.send(EVENT, [{"n": 1}])
    chronicle = SESSION.chronicle
    assert (chronicle.lines()[0].state, chronicle.lines()[0].failed) == ("FAILED", 1)
    broken.clear()
    broken.append(False)
    run.rerun_failed()
    assert (chronicle.lines()[0].state, chronicle.lines()[0].failed) == ("COMPLETED", 0)


def test_what_cannot_be_read_is_named_and_the_others_are_there(nb, ledger):
    lost(ledger, "20260101-000000-00001", 2)
    ledger.append("20260101-000000-00002", [Listed(0, "t-0")])
    chronicle = Chronicle(SESSION.runs, SESSION)
    assert [line.run for line in chronicle.lines()] == ["20260101-000000-00001"]
    assert chronicle.unreadable == ["20260101-000000-00002"]
    with pytest.warns(nf.errors.StoreWarning, match="20260101-000000-00002"):
        nf.runs()


@pytest.mark.parametrize("spoil", ["folder", "loop"])
def test_a_run_that_cannot_be_read_stops_no_other(tmp_path, spoil):
    """The disk gives an error for it, or it is somebody else's."""
    nf.use(tmp_path / "store")
    nf.flow(on=EVENT)(lambda record: record["n"])
    first = nf.send(EVENT, [{"n": 1}])
    [entries] = tmp_path.glob(f"**/{first.id}/entries")
    entries.unlink()
    if spoil == "folder":
        entries.mkdir()
    else:
        entries.symlink_to(entries)
    nf.use(tmp_path / "store")
    with pytest.warns(nf.errors.StoreWarning, match=first.id):
        assert len(nf.runs()) == 0
    with pytest.warns(nf.errors.StoreWarning, match=first.id):
        assert nf.plan(EVENT, [{"n": 2}]).would_run == 1
    with pytest.warns(nf.errors.StoreWarning, match=first.id):
        run = nf.send(EVENT, [{"n": 2}])
    assert run.state == "COMPLETED"
    with pytest.raises(nf.errors.StoreError, match="could not be read"):
        nf.open_run(first.id).results()


def test_a_run_of_which_nothing_was_noted_is_neither_listed_nor_opened(nb, tmp_path):
    """A process that was killed before its first note, or whose disk was full, leaves an empty folder."""
    nf.use(tmp_path / "store")

    @nf.flow(on=EVENT)
    def look(record):
        return 1

    run = nb.send(EVENT, [{"n": 1}])
    (tmp_path / "store" / "runs" / "99990101-000000-00001").mkdir()
    assert list(nf.runs()["run"]) == [run.id]
    assert nf.open_run().id == run.id


def test_who_finds_a_run_dead_notes_how_it_came_out(nb, ledger):
    """The next process reads its ends, as of any run that has ended."""
    run = "20260101-000000-000ab"
    lost(ledger, run, 200, sent=300)
    (found,) = Chronicle(SESSION.runs, SESSION).lines()
    ledger.counted.clear()
    (again,) = Chronicle(SESSION.runs, SESSION).lines()
    assert again == found
    assert again.state == "INTERRUPTED"
    assert again.tally == {State.COMPLETED: 1, State.INTERRUPTED: 299}
    assert ledger.counted[run] <= 2
    assert len([e for e in ledger.read(run)[0] if isinstance(e, Closed)]) == 1
    state = nf.open_run(run).reader.state()
    assert state.tally() == found.tally
    assert state.item(1, 0) is State.INTERRUPTED


def test_a_run_that_another_process_works_on_is_not_noted_as_ended(
    nb, ledger, monkeypatch
):
    """Not even if it took the run up just now: who notes an end has the run's lock."""
    run = "20260101-000000-000ab"
    lost(ledger, run, 3)
    position = ledger.read(run)[1]
    monkeypatch.setattr(type(SESSION.runs), "is_worked_on", lambda self, run: False)
    monkeypatch.setattr(type(SESSION.engine.store), "lock", lambda self, key: False)
    assert Chronicle(SESSION.runs, SESSION).lines()[0].state == "INTERRUPTED"
    assert ledger.read(run, position)[0] == []


def test_a_run_is_locked_before_anything_of_it_is_noted(nb, monkeypatch):
    """Or who looks at that moment would note its end."""
    seen = []
    append = SESSION.engine.ledger.append

    def noted(run, entries):
        seen.append(SESSION.runs.is_worked_on(run))
        append(run, entries)

    monkeypatch.setattr(SESSION.engine.ledger, "append", noted)

    @nf.flow(on=EVENT)
    def look(record):
        return 1

    nb.send(EVENT, [{"n": 1}]).rerun()
    assert seen
    assert all(seen)


def test_opening_and_planning_never_hold_a_run_s_entries_as_a_whole(nb, monkeypatch):
    @nf.flow(on=EVENT)
    def look(record):
        return 1

    run = nb.send(EVENT, [{"n": n} for n in range(5)])
    nb.forget()
    entries, _ = SESSION.engine.ledger.read(run.id)

    def one_by_one(_run, start=0):
        return (([entry], n + 1) for n, entry in enumerate(entries) if n >= start)

    def refuse(*_):
        raise AssertionError("reads all at once")

    monkeypatch.setattr(SESSION.engine.ledger, "read", refuse)
    monkeypatch.setattr(SESSION.engine.ledger, "blocks", one_by_one)
    assert nf.open_run(run.id).counts == {"look": {"COMPLETED": 5}}
    plan = nf.plan(EVENT, [{"n": n} for n in range(9)])
    assert (plan.cached, plan.would_run) == (5, 4)
