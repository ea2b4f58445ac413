"""Gates are judged for the runs that they are about, and compared with a run that can be trusted."""

import pytest

import nbflow as nf
from nbflow._core.gate import gate
from nbflow.quality.gates import judge, remember


@pytest.fixture
def triage(nb):
    """Send records to a flow that gives these labels."""

    def send(labels):
        given = tuple(labels)

        @nf.flow(on="e")
        def triage(record):
            label = given[record["id"]]
            if label == "stop":
                raise nf.NonRetriableError("stop")
            return {"label": label}

        return nb.send("e", [{"id": number} for number in range(len(given))], key="id")

    return send


def judged(rule, *runs):
    """What becomes of a gate in a job that made these runs."""
    return judge([gate(rule)], runs, lambda told: nf.open_run(told.run))


def test_runs_of_one_job_are_not_compared_with_each_other(triage):
    before = triage(["a"] * 10)
    first, second = triage(["a"] * 9 + ["b"]), triage(["b"] * 10)
    verdicts = judged("flips<=0.5", first, second)
    assert [(one.met, one.value, one.since) for one in verdicts] == [
        (True, 0.1, before.id),
        (False, 1.0, before.id),
    ]


def test_a_run_that_was_cut_short_or_missed_a_gate_is_not_what_others_are_compared_with(
    triage,
):
    good = triage(["a"] * 10)
    missed = triage(["b"] * 10)
    remember(judged("share(b)<=0.5", missed), [missed])
    failed = triage(["stop"] * 10)
    assert failed.state == "FAILED"
    now = triage(["a"] * 10)
    (verdict,) = judged("flips<=0", now)
    assert verdict.since == good.id
    assert verdict.met
    # What cannot be judged speaks against no run.
    remember(judged("share(typo)<=0.5", now), [now])
    assert judged("flips<=0", triage(["a"] * 10))[0].since == now.id
    # A run that goes on, and meets its gates then, is as good as any.
    last = triage(["b"] * 10)
    remember(judged("share(b)<=0.5", last), [last])
    remember(judged("share(b)<=1", last), [last])
    assert judged("flips<=0", triage(["b"] * 10))[0].since == last.id


def test_records_that_say_something_else_under_an_old_key_are_no_flips(nb):
    @nf.flow(on="text")
    def sort(record):
        return {"label": record["text"][0]}

    nb.send("text", [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}], key="id")
    now = nb.send("text", [{"id": 1, "text": "a"}, {"id": 2, "text": "c"}], key="id")
    assert "0 of 1 record (0.0%)" in judged("flips<=0", now)[0].said
    other = nb.send("text", [{"id": 9, "text": "a"}], key="id")
    (verdict,) = judged("flips<=0", other)
    assert not verdict.judged
    assert f"run {now.id} had none of its records." in verdict.said
    again = nb.send("text", [{"id": 9, "text": "b"}], key="id")
    (verdict,) = judged("flips<=0", again)
    assert (
        f"of the 1 record that run {other.id} had as well, none says the same as then"
        in verdict.said
    )


def test_a_flow_that_gives_no_labels_is_left_out_and_two_that_do_both_count(nb, triage):
    @nf.flow(on="load")
    def load(record):
        return None

    loaded = nb.send("load", [{"id": 1}])
    runs = loaded, triage(["a"] * 9 + ["b"]), triage(["b"] * 10)
    assert [one.met for one in judged("share(b)<=0.5", *runs)] == [True, False]
    (verdict,) = judged("load: unknown<=0.5", *runs)
    assert verdict.run == loaded.id


def test_several_columns_are_named_before_the_gate(nb):
    @nf.flow(on="understand")
    def understand(record):
        return {"mood": "good", "topic": "bug"}

    run = nb.send("understand", [{"id": 1}])
    (verdict,) = judged("share(bug)>=0.5", run)
    assert not verdict.met
    assert 'the column comes first: "triage.label: share(bug)>=0.5"' in verdict.said
    assert judged("understand.topic: share(bug)>=0.5", run)[0].met
    assert judged("topic: share(bug)>=0.5", run)[0].met
    assert "no column 'mod'" in judged("mod: share(bug)>=0.5", run)[0].said


def test_a_run_without_an_answer_cannot_be_judged(triage):
    triage(["a"] * 10)
    for rule in ("share(a)>=0", "shares unchanged", "share(a) within 1 of last"):
        (verdict,) = judged(rule, triage(["stop"] * 10))
        assert not verdict.met
        assert "none of its records has an answer" in verdict.said


def test_a_run_can_be_compared_with_one_that_is_named(triage):
    first, empty = triage(["a"] * 10), triage(["stop"] * 10)
    triage(["b"] * 10)
    now = triage(["a"] * 10)
    assert judged(f"flips<=0 since {first.id}", now)[0].met
    assert judged(f"shares unchanged since {first.id}", now)[0].since == first.id
    (verdict,) = judged(f"share(a) within 0.1 of {empty.id}", now)
    assert f"none of the records of run {empty.id} has an answer" in verdict.said
    assert "0 runs in" in judged("flips<=0 since nothing", now)[0].said


def test_of_many_labels_some_are_named_and_none_can_paint_the_screen(triage):
    run = triage([f"label {number:02}\x1b[31m" for number in range(12)])
    (verdict,) = judged("share(typo)<=0.5", run)
    assert "label 09" in verdict.said
    assert verdict.said.endswith("and 2 more.")
    assert "\x1b" not in verdict.said


def test_what_nobody_expected_is_said_and_the_gate_is_not_met(triage, monkeypatch):
    def breaks(*_, **__):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("nbflow.quality.drift.shifts", breaks)
    triage(["a"])
    (verdict,) = judged("shares unchanged", triage(["a"]))
    assert not verdict.met
    assert verdict.said.endswith("it is not met: ZeroDivisionError: by zero")


def test_a_rare_label_that_nobody_has_tonight_is_no_typo(triage):
    triage(["a"] * 9 + ["rare"])
    triage(["a"] * 10)
    (verdict,) = judged("share(rare)<=0.1", triage(["a"] * 10))
    assert verdict.met
    assert "0 of 10 records (0.0%) are rare" in verdict.said
    assert judged("share(rare) within 0.1 of last", triage(["a"] * 10))[0].met


def test_a_store_from_before_gates_has_missed_none(triage):
    before, now = triage(["a"] * 10), triage(["a"] * 10)
    ledger = now.engine.ledger.beside("gates")
    assert ledger.runs() == []
    assert judged("flips<=0", now)[0].since == before.id
