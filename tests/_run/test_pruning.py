"""What runs need stays and still hits, whatever else goes, and however that ends."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_erasing import kill_midway

import nbflow as nf
from nbflow._run import pruning
from nbflow._run.keeper import Keeper
from nbflow._session import SESSION
from nbflow.testing import SimulatedCrash

DAY = 86400


def rows(batch, count=3):
    return [{"id": n, "text": f"batch {batch}, text {n}"} for n in range(count)]


class Work:
    """Two events whose flows share a step."""

    def __init__(self):
        self.calls = []
        calls = self.calls

        @nf.step(retries=0)
        def measure(text):
            calls.append(text)
            return text, "x" * 5000 if text.endswith("0") else "y"

        @nf.step(retries=0)
        def double(measured):
            calls.append(measured[0])
            return 2 * len(measured[0])

        @nf.flow(on="one")
        def one(record):
            return double(measure(record["text"]))

        @nf.flow(on="two")
        def two(record):
            return measure(record["text"])

        self.measure = measure

    def send(self, event, batch):
        return nf.send(event, rows(batch), key="id")

    def again(self, event, batch):
        """The calls that sending a batch again makes."""
        self.calls.clear()
        self.send(event, batch)
        made, self.calls[:] = list(self.calls), []
        return made


@pytest.fixture(params=["memory", "disk"])
def work(request, tmp_path):
    nf.use("memory:" if request.param == "memory" else tmp_path / "store")
    return Work()


@pytest.fixture
def on_disk(tmp_path):
    nf.use(tmp_path / "store")
    return Work()


def later(monkeypatch, days):
    """Let days pass."""
    clock, now = SESSION.engine.clock, time.time() + days * DAY
    monkeypatch.setattr(clock, "time", lambda: now)


def total(folder):
    return sum(
        path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()
    )


def test_a_deleted_run_takes_along_what_only_it_needs(work):
    kept, gone = work.send("one", 1), work.send("one", 2)
    both = work.send("two", 1)
    planned = nf.store.delete_runs(gone.id, dry_run=True)
    assert (planned.runs, planned.outputs, planned.dry_run) == ((gone.id,), 9, True)
    assert gone.id in str(planned)
    assert "would come back" in str(planned)
    assert list(nf.runs()["run"]) == [both.id, gone.id, kept.id]
    done = nf.store.delete_runs(gone.id)
    assert (done.runs, done.outputs, done.bytes) == (
        planned.runs,
        planned.outputs,
        planned.bytes,
    )
    assert list(nf.runs()["run"]) == [both.id, kept.id]
    assert work.again("one", 1) == work.again("two", 1) == []
    assert len(work.again("one", 2)) == 6
    with pytest.raises(nf.UnknownRunError, match="There is no run"):
        nf.store.delete_runs(gone.id)


def test_outputs_can_stay_when_a_run_goes(work):
    run = work.send("one", 1)
    assert nf.store.delete_runs(run.id, keep_outputs=True).outputs == 0
    assert len(nf.runs()) == 0
    assert work.again("one", 1) == []


def test_old_runs_go_and_the_latest_of_each_event_stays(work, monkeypatch):
    old, rare = work.send("one", 1), work.send("two", 2)
    later(monkeypatch, 40)
    new = work.send("one", 3)
    done = nf.store.prune(older_than="30d")
    assert done.runs == (old.id,)
    assert set(nf.runs()["run"]) == {rare.id, new.id}
    assert work.again("two", 2) == work.again("one", 3) == []
    assert len(work.again("one", 1)) == 6


def test_the_last_runs_stay_however_old(work, monkeypatch):
    ids = [work.send("one", batch).id for batch in range(4)]
    later(monkeypatch, 40)
    assert nf.store.prune(older_than="30d", keep_runs=3).runs == (ids[0],)
    assert nf.store.prune(keep_runs=1).runs == (ids[1], ids[2])
    assert nf.store.prune(older_than="30d", keep_runs=0).runs == (ids[3],)
    assert nf.store.info().outputs == 0


def test_outputs_of_calls_outside_runs_go_by_their_age(work, monkeypatch):
    work.measure("old")
    later(monkeypatch, 40)
    work.measure("new")
    assert nf.store.prune(older_than="30d", dry_run=True).outputs == 1
    assert nf.store.prune(older_than="30d").outputs == 1
    work.calls.clear()
    work.measure("new")
    assert work.calls == []
    work.measure("old")
    assert work.calls == ["old"]


def test_a_step_is_pruned_alone_and_no_run_goes(work, monkeypatch):
    first = work.send("one", 1)
    later(monkeypatch, 40)
    work.send("one", 2)
    done = nf.store.prune(older_than="30d", step="double")
    assert (done.runs, done.outputs, set(done.steps)) == ((), 3, {"double"})
    assert first.id in set(nf.runs()["run"])


def test_a_store_is_brought_below_its_size(on_disk):
    for batch in range(8):
        nf.send("one", rows(batch, 100), key="id")
    nf.store.prune(max_size="1GB")  # the write-ahead log goes
    limit = nf.store.info().bytes // 2
    done = nf.store.prune(max_size=limit)
    assert done.runs
    assert nf.store.info().bytes < limit
    assert on_disk.again("one", 7) == []
    over = nf.store.prune(max_size=10, keep_runs=2, dry_run=True)
    assert "has to stay" in str(over)
    assert len(nf.runs()) - len(over.runs) == 2


def test_what_is_deleted_comes_back_to_the_disk(on_disk, tmp_path):
    kept = on_disk.send("one", 1)
    small = total(tmp_path / "store")
    many = nf.send("two", rows("many", 4000), key="id")
    large = total(tmp_path / "store")
    assert nf.store.delete_runs(many.id).bytes > (large - small) // 3
    assert total(tmp_path / "store") < small + (large - small) // 10
    nf.send("two", rows("many", 4000), key="id")
    on_disk.measure.forget()
    assert total(tmp_path / "store") < small + (large - small) // 2
    assert kept.id in set(nf.runs()["run"])


def test_what_a_run_under_way_may_look_up_stays(work, monkeypatch):
    """It has noted nothing of these records yet, and its code is that of an earlier run."""
    earlier = work.send("one", 1)
    later(monkeypatch, 40)

    def source():
        yield from rows(1)[:1]
        done.append(nf.store.prune(older_than=0, keep_runs=0))
        yield from rows(1)[1:]

    done, before = [], len(work.calls)
    run = nf.send("one", source(), key="id")
    assert [each.runs for each in done] == [(earlier.id,)]
    assert run.counts == {"one": {"CACHED": 3}}
    assert len(work.calls) == before
    assert work.again("one", 1) == []


def test_a_run_under_way_is_not_deleted(work):
    def source():
        (under_way,) = nf.runs()["run"]
        with pytest.raises(nf.UsageError, match="is being worked on"):
            nf.store.delete_runs(under_way)
        assert nf.store.info().under_way == (under_way,)
        yield from rows(1)

    assert nf.send("one", source(), key="id").state == "COMPLETED"


def test_a_run_that_is_taken_up_meanwhile_is_surveyed_again(work, monkeypatch):
    """Its outputs are needed from that moment on."""
    work.send("one", 1)
    run = work.send("one", 2)
    look = pruning.Survey.look_again

    def resume(survey, going):
        monkeypatch.setattr(pruning.Survey, "look_again", look)
        with pytest.raises(nf.UsageError, match="another process"):
            nf.open_run(run.id).rerun()
        # As another process: not this thread, which has the gate shut.
        SESSION.engine.ledger.append(
            kept.id, SESSION.engine.ledger.read(run.id)[0][-5:-1]
        )
        look(survey, going)

    kept = work.send("two", 3)
    monkeypatch.setattr(pruning.Survey, "look_again", resume)
    nf.store.delete_runs(run.id)
    assert len(nf.runs()) == 2


def test_an_output_that_is_saved_again_meanwhile_stays(work, monkeypatch):
    work.measure("a")
    unchanged = pruning.Survey.unchanged

    def save_again(survey, outputs):
        work.measure.forget("a")
        work.measure("a")
        return unchanged(survey, outputs)

    monkeypatch.setattr(pruning.Survey, "unchanged", save_again)
    later(monkeypatch, 40)
    nf.store.prune(older_than="30d")
    work.calls.clear()
    work.measure("a")
    assert work.calls == []


def test_rules_that_make_no_sense_are_refused(work):
    for wrong in (
        {},
        {"step": "x"},
        {"older_than": "long"},
        {"keep_runs": -1},
        {"max_size": "2 apples"},
        {"max_size": -1},
    ):
        with pytest.raises(nf.UsageError):
            nf.store.prune(**wrong)


def test_a_policy_prunes_after_a_run_and_says_so_once(on_disk, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.nbflow.store]\nkeep_runs = 2\n")
    monkeypatch.setattr(Keeper, "run_ended", Keeper._prune)
    nf.use(tmp_path / "store")
    for batch in range(2):
        on_disk.send("one", batch)
    with pytest.warns(nf.NbflowWarning, match="by its policy: Removed 1 run "):
        on_disk.send("one", 2)
    on_disk.send("one", 3)
    assert len(nf.runs()) == 2
    (tmp_path / "pyproject.toml").write_text("[tool.nbflow.store]\nmax = 2\n")
    with pytest.warns(nf.StoreWarning, match=r"there is no 'max'; it knows keep"):
        on_disk.send("one", 4)


def test_a_policy_of_nf_use_prunes_at_most_once_an_hour(tmp_path):
    nf.use(tmp_path / "store", keep="30d", max_size="1GB")
    work = Work()
    work.send("one", 1)
    deadline = time.monotonic() + 20
    while not (tmp_path / "store" / "pruned").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    before = (tmp_path / "store" / "pruned").stat().st_mtime_ns
    work.send("one", 2)
    assert (tmp_path / "store" / "pruned").stat().st_mtime_ns == before
    with pytest.raises(nf.UsageError, match="max_size"):
        nf.use(tmp_path / "store", max_size="lots")


def test_info_says_what_there_is(work):
    assert nf.store.info().outputs == 0
    run = work.send("one", 1)
    work.measure("alone")
    info = nf.store.info()
    assert {step.name: step.outputs for step in info.steps} == {
        "one": 3,
        "measure": 4,
        "double": 3,
    }
    assert (info.outputs, info.unneeded, len(info.runs)) == (10, 1, 1)
    text = str(info)
    assert run.id in text
    assert "1 output that no run needs" in text


OPERATIONS = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(["one", "two"]), st.integers(0, 3)),
    st.tuples(
        st.just("prune"),
        st.fixed_dictionaries(
            {},
            optional={
                "older_than": st.sampled_from([0, "1d"]),
                "max_size": st.sampled_from([0, 20_000, 60_000]),
                "step": st.sampled_from(["measure", "one"]),
            },
        ).flatmap(
            lambda rules: st.integers(0, 3).map(
                lambda keep: {**rules, "keep_runs": keep}
            )
        ),
        st.integers(0, 4),
    ),
    st.tuples(st.just("delete"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("erase"), st.integers(0, 3), st.integers(0, 4)),
    st.tuples(
        st.just("erase record"), st.sampled_from(["one", "two"]), st.integers(0, 4)
    ),
    st.tuples(st.just("reopen"), st.just(0), st.just(0)),
)


@settings(
    max_examples=int(os.environ.get("NBFLOW_EXAMPLES", "15")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(operations=st.lists(OPERATIONS, max_size=10))
def test_what_is_kept_still_hits_after_any_order_of_sends_prunes_erases_and_crashes(
    operations, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("work") / "store"
    nf.use(folder)
    work = Work()
    sent, partly = {}, set()
    for what, one, other in operations:
        if what == "send":
            sent[work.send(one, other).id] = (one, other)
            continue
        if what == "reopen":
            SESSION.engine.store.close()
            nf.use(folder)
            continue
        rules = one
        if what == "delete":
            known = list(nf.runs()["run"])
            if not known:
                continue
            rules = {"runs": known[one % len(known)]}
        if what == "erase":
            rules = {"erase": f"batch {one}, text 1"}
            partly |= {run for run, (_, batch) in sent.items() if batch == one}
        if what == "erase record":
            rules = {"erase record": one}
            partly |= {run for run, (event, _) in sent.items() if event == one}
        kept = set(nf.runs()["run"]) - go_and_crash(rules, other, partly)
        stay_and_hit(work, sent, kept - partly)


def go_and_crash(rules, crash_at, partly):
    """Prune; the process is as good as dead when something goes for the n-th time.

    Returns the runs that were to go; those that may have lost outputs are ``partly``
    there.
    """

    def act(**how):
        if "erase" in rules:
            return nf.store.erase(text=rules["erase"], **how)
        if "erase record" in rules:
            return nf.store.erase(record="1", event=rules["erase record"], **how)
        if "runs" in rules:
            return nf.store.delete_runs(rules["runs"], **how)
        return nf.store.prune(**rules, **how)

    planned = act(dry_run=True)
    is_erasure = not rules.keys().isdisjoint({"erase", "erase record"})
    going = set() if is_erasure else set(planned.runs)
    known = set(nf.runs()["run"])
    left = [crash_at]

    def reached(point):
        if point == "remove":
            left[0] -= 1
            if left[0] == 0:
                raise SimulatedCrash("here")

    SESSION.engine.runner._crash_point = reached
    try:
        done = act()
        assert done == replace(planned, dry_run=False) or "max_size" in rules
    except SimulatedCrash:
        nf.use(SESSION.engine.store.url)
        partly.update(going)
    finally:
        SESSION.engine.runner._crash_point = None
    if "step" in rules:  # runs stay, without what was asked to go
        partly.update(known)
    assert known - going <= set(nf.runs()["run"])
    assert nf.store.check().is_sound
    return going


def stay_and_hit(work, sent, kept):
    for run in kept & sent.keys():
        state = nf.open_run(run).reader.state()
        outputs = [state.checkpoint(record, 0) for record in range(3)]
        assert SESSION.engine.store.get_many(outputs).keys() == set(outputs), run
    for run in sorted(kept & sent.keys())[:2]:
        assert work.again(*sent[run]) == []


def test_what_stays_for_a_run_under_way_goes_with_the_next_prune(work):
    """That run may look up all of it, and has used nothing of it when it ends."""
    gone = work.send("one", 1)

    def source():
        yield from rows(2)[:1]
        done.append(nf.store.prune(keep_runs=1))
        yield from rows(2)[1:]

    done = []
    run = nf.send("one", source(), key="id")
    assert [(each.runs, each.outputs) for each in done] == [((gone.id,), 0)]
    assert nf.store.prune(keep_runs=1, dry_run=True).outputs == 9
    assert nf.store.prune(keep_runs=1).outputs == 9
    assert nf.store.prune(keep_runs=1).outputs == 0
    assert list(nf.runs()["run"]) == [run.id]
    assert SESSION.engine.ledger.beside("left").runs() == []
    assert work.again("one", 2) == []
    assert len(work.again("one", 1)) == 6


def test_outputs_that_were_kept_on_purpose_stay(work):
    run = work.send("one", 1)
    nf.store.delete_runs(run.id, keep_outputs=True)
    assert nf.store.prune(keep_runs=1).outputs == 0
    assert work.again("one", 1) == []
    assert nf.store.prune(older_than=0, keep_runs=0).outputs == 12, "sources too"
    assert SESSION.engine.ledger.beside("left").runs() == []


def test_what_a_killed_run_did_not_come_to_note_goes_with_it(tmp_path):
    nf.use(tmp_path / "store")
    kill_midway(tmp_path / "store")
    (run,) = nf.runs()["run"]
    assert nf.store.info().outputs == 1
    assert nf.store.delete_runs(run).steps["first"][0] == 1
    assert nf.store.info().outputs == 0


def test_a_batch_that_other_runs_refer_to_outlives_its_run_and_goes_with_the_last(
    on_disk, tmp_path
):
    ids = [on_disk.send("one", 1).id for _ in range(5)]
    batches = tmp_path / "store" / "batches"
    nf.store.delete_runs(ids[0])
    assert [path.name for path in batches.iterdir()] == [ids[0]]
    on_disk.calls.clear()
    nf.use(tmp_path / "store")
    assert nf.open_run(ids[3]).rerun().counts == {"one": {"COMPLETED": 3}}
    further = on_disk.send("one", 1).id
    assert [path.name for path in batches.iterdir()] == [ids[0]]
    nf.store.delete_runs(*ids[1:])
    assert nf.open_run(further).rerun().counts == {"one": {"COMPLETED": 3}}
    nf.store.delete_runs(further)
    assert list(batches.iterdir()) == []
