"""Gates are judged for the runs that they are about, and compared with a run that can be trusted."""

from typing import Literal

import pytest

import nbflow as nf
from nbflow._core.gate import gate
from nbflow.quality.baseline import acceptance
from nbflow.quality.gates import judge, put_off, remember
from nbflow.quality.nights import Nights


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
    # What cannot be judged is not met either.
    remember(judged("share(typo)<=0.5", now), [now])
    assert judged("flips<=0", triage(["a"] * 10))[0].since == good.id
    remember(judged("flips<=0", now), [now])
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
    assert f"run {now.id} had none of its records. Send both with the same key=" in (
        verdict.said
    )
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
    assert "and 2 more." in verdict.said
    assert "\x1b" not in verdict.said


def test_a_label_that_is_misspelt_is_said_with_the_one_that_may_be_meant(triage):
    (verdict,) = judged("share(Billing)<=0.5", triage(["billing", "bug"]))
    assert not verdict.judged
    assert verdict.said.endswith(
        "no record has the label 'Billing', and no categorizer lists it; there are billing, "
        "bug. Did you mean 'billing'?"
    )


def test_a_perfect_night_has_nothing_unknown(triage):
    (verdict,) = judged("unknown<=0.02", triage(["a"] * 9 + ["billing"]))
    assert (verdict.met, verdict.value) == (True, 0)
    assert "0 of 10 records (0.0%) are unknown or without a label" in verdict.said
    # Only the gate itself knows that label: a share of it is refused as a typo.
    assert not judged("share(unknown)<=0.02", triage(["a"] * 10))[0].judged
    (verdict,) = judged("unknown<=0.02", triage(["a"] * 9 + ["unknown"]))
    assert (verdict.met, verdict.value) == (False, 0.1)


def test_a_label_that_a_categorizer_lists_may_be_given_to_nobody(nb):
    @nf.step
    def declared(record) -> Literal["bug", "praise"]:
        return "bug"

    sort = nf.llm.categorizer(["billing", "bug"], unknown="unclear")
    for run in (sort.map(["billing", "billing"]), declared.map([1, 2])):
        rare = "praise" if "declared" in repr(run) else "bug"
        (verdict,) = judged(f"share({rare})<0.1", run)
        assert (verdict.met, verdict.value) == (True, 0)
        (verdict,) = judged(f"share({rare})>=0.1", run)
        assert (verdict.met, verdict.judged) == (False, True)
        (verdict,) = judged(f"share({rare}s)<0.1", run)
        assert not verdict.judged
        assert f"Did you mean '{rare}'?" in verdict.said


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


def test_nobodys_trial_is_what_a_night_is_compared_with_once_there_are_gates(triage):
    """Until the first gate any run serves; from then on those that met theirs, or were accepted."""
    first = triage(["a"] * 10)
    night = triage(["a"] * 9 + ["b"])
    (verdict,) = judged("flips<=0.1", night)
    assert verdict.since == first.id
    remember([verdict], [night])
    trial = triage(["b"] * 10)
    tonight = triage(["a"] * 9 + ["b"])
    assert judged("flips<=0.1", tonight)[0].since == night.id
    nf.accept(trial, "a new taxonomy", by="ann")
    (verdict,) = judged("flips<=0", triage(["b"] * 10))
    assert verdict.met
    assert verdict.said == (
        "flips<=0: 0 of 10 records (0.0%) are labelled otherwise than in run "
        f"{trial.id} (accepted by ann: a new taxonomy); at most 0.0% is asked for."
    )


def test_gates_of_another_event_change_nothing(nb, triage):
    first, second = triage(["a"] * 10), triage(["a"] * 9 + ["b"])

    @nf.flow(on="other")
    def other(record):
        return {"label": "x"}

    run = nb.send("other", [{"id": 1}], key="id")
    remember(judged("share(x)>=1", run), [run])
    third, now = triage(["a"] * 8 + ["b"] * 2), triage(["a"] * 10)
    nights = Nights([now], lambda told: nf.open_run(told.run))
    assert [one.id for one in nights.earlier(now)] == [third.id, second.id, first.id]
    remember(judged("unknown<=1", second), [second])
    remember(judged("share(a)<=1", second), [second])
    assert [one.id for one in nights.earlier(now)] == [second.id, first.id]


def test_a_night_that_missed_its_gates_twice_is_still_no_baseline(triage):
    good = triage(["a"] * 10)
    for _ in range(3):
        shifted = triage(["b"] * 10)
        verdicts = judged("flips<=0.1", shifted)
        assert [(one.met, one.since) for one in verdicts] == [(False, good.id)]
        remember(verdicts, [shifted])
    failed = triage(["b"] * 10)
    put_off([failed])
    undone = triage(["b"] * 10)
    remember(judged("share(b)<=1", undone), [undone], "too many records failed")
    assert judged("flips<=0.1", triage(["b"] * 10))[0].since == good.id


def test_a_gate_without_a_run_leaves_none_of_the_job_to_compare_with(triage):
    good, now = triage(["a"] * 10), triage(["a"] * 10)
    remember(judged("flips<=0", now) + judged("mood: unknown<=1", now), [now])
    assert judged("flips<=0", triage(["a"] * 10))[0].since == good.id


def test_a_run_that_was_accepted_and_missed_a_gate_since_is_no_baseline(triage):
    good, later = triage(["a"] * 10), triage(["b"] * 10)
    nf.accept(later, by="ann\nbob")
    assert acceptance(later.engine.ledger, later.id).by == "ann bob"
    assert judged("flips<=0", triage(["b"] * 10))[0].since == later.id
    remember(judged("share(b)<=0.5", later), [later])
    assert acceptance(later.engine.ledger, later.id) is None
    nf.accept(good)
    assert judged("flips<=0", triage(["a"] * 10))[0].since == good.id


def test_what_cannot_be_accepted_is_refused(triage):
    with pytest.raises(nf.UsageError, match="takes a run"):
        nf.accept("20261201")
    with pytest.raises(
        nf.UsageError, match="is FAILED: its labels are not those of all"
    ):
        nf.accept(triage(["stop"]))


def test_a_gate_says_how_many_records_are_those_of_the_last_night(nb):
    @nf.flow(on="e")
    def triage(record):
        return {"label": "a"}

    def night(start):
        records = [{"id": number} for number in range(start, start + 10)]
        return nb.send("e", records, key="id")

    before = night(0)
    (verdict,) = judged("shares unchanged", night(6))
    assert verdict.said == (
        f"shares unchanged: no share of 10 records has moved since run {before.id} "
        "(4 of 10 records are the same)."
    )
    before = night(0)
    (verdict,) = judged("share(a) within 0.1 of last", night(0))
    assert f"of 10 records since run {before.id}; by chance" in verdict.said


def test_sixty_copies_of_one_mail_are_no_shift(nb):
    @nf.step
    def label(text):
        return {"label": "outage" if "down" in text else "bug"}

    singles = [f"a bug {number}" for number in range(400)]
    first = label.map(singles)
    run = label.map(singles[:340] + ["it is down"] * 60)
    (verdict,) = judged("shares unchanged", run)
    assert verdict.met
    assert "bug went from 100.0% to 85.0% of 400 records" in verdict.said
    other = label.map(singles[:340] + [f"it is down, says {n}" for n in range(60)])
    assert not judged(f"shares unchanged since {first.id}", other)[0].met


@pytest.fixture
def mails(nb):
    """Twenty mails, of which one came forty times, and a column that knows the truth."""

    @nf.flow(on="mail")
    def triage(record):
        return {"label": "bug"}

    rows = [{"id": n, "text": f"bug {min(n, 20)}", "truth": "bug"} for n in range(60)]
    return nb.send("mail", rows, key="id")


def test_decisions_that_are_no_sample_do_not_count_for_an_accuracy(triage):
    run = triage(["a", "b"] * 100)
    review = nf.review(run)
    for key in review.keys[:40]:
        review.accept(key)
    (verdict,) = judged("accuracy>=0.5", run)
    assert "are no sample" in verdict.said
    sample = nf.review(run, sample=60)
    for key in sample.keys[:20]:
        sample.accept(key)
    (verdict,) = judged("accuracy>=0.5", run)
    assert not verdict.judged
    assert (
        "people made 20 decisions on a sample, and 30 are needed; 40 made before it was "
        "drawn say nothing of the others."
    ) in verdict.said
    seen = {*sample.keys, *review.decided}
    others = [key for key in review.keys if key not in seen][:15]
    beside = nf.review(run, where=others)
    for key in others:
        beside.accept(key)
    assert "(15 made for another reason do not count)" in (
        judged("accuracy>=0.5", run)[0].said
    )
    for key in sample.keys[20:40]:
        sample.accept(key)
    (verdict,) = judged("accuracy>=0.5", run)
    assert verdict.met
    assert (
        "estimated from 40 decisions on a sample and 40 made before it was drawn (15 made "
        "for another reason do not count)"
    ) in verdict.said


def test_copies_are_one_record_of_which_the_truth_is_known(mails):
    review = nf.review(mails, sample=5, text="text")
    review.accept(review.keys[0])
    (verdict,) = judged("accuracy(truth)>=0.5", mails)
    assert verdict.met  # all twenty-one texts are known
    assert "against column 'truth' of 60 records, 21 of them different" in verdict.said


def test_all_records_decided_are_enough_however_few(triage):
    run = triage(["a"] * 12)
    review = nf.review(run)
    for key in review.keys:
        review.accept(key)
    (verdict,) = judged("accuracy>=0.9", run)
    assert verdict.met
    assert "by decisions on all 12 of its records" in verdict.said


def test_a_column_that_few_records_have_does_not_say_it_of_all(nb):
    @nf.flow(on="e")
    def triage(record):
        return {"label": "a"}

    rows = [{"id": n, "truth": "a" if n < 40 else None} for n in range(100)]
    run = nb.send("e", rows, key="id")
    review = nf.review(run, choices=["a", "b"])
    for key in review.keys[50:80]:
        review.decide(key, "b")
    (verdict,) = judged("accuracy(truth)>=0.9", run)
    assert verdict.met
    assert "against column 'truth' of 40 records of 100" in verdict.said
    few = nb.send("e", [{**row, "truth": None if row["id"] else "a"} for row in rows])
    (verdict,) = judged("accuracy(truth)>=0.9", few)
    assert "column 'truth' has the truth of 1 record, and 30 are needed" in verdict.said


@pytest.mark.parametrize("given", [5, ["a"], None])
def test_what_is_said_of_an_accepted_run_has_to_be_a_text(triage, given):
    run = triage(["a"])
    with pytest.raises(nf.UsageError, match=r"why=.* has to be a text, such as"):
        nf.accept(run, given)
    with pytest.raises(nf.UsageError, match="by=7 has to be a text"):
        nf.accept(run, by=7)
    assert acceptance(run.engine.ledger, run.id) is None


def test_a_wrong_column_of_a_gate_is_not_in_the_advice(triage):
    for rule in ("nope: shares unchanged", "nope : share(a)<=0.5", "nope:flips<=0.1"):
        (verdict,) = judged(rule, triage(["a"]))
        right = rule.partition(":")[2].strip()
        assert verdict.said.endswith(f'column comes first: "triage.label: {right}".')


@pytest.mark.parametrize("column", ["", "triage.label: "])
def test_a_column_with_none_of_the_labels_is_not_the_truth_of_a_gate(nb, column):
    @nf.flow(on="e")
    def triage(record):
        return {"label": "a"}

    records = [{"id": n, "text": f"mail {n}", "truth": "ab"[n % 2]} for n in range(60)]
    run = nb.send("e", records, key="id")
    (verdict,) = judged(f"{column}accuracy(text)>=0.9", run)
    assert not verdict.judged
    assert (
        "no answer in triage.label is one of the labels in column 'text', such as"
        in (verdict.said)
    )
    assert judged(f"{column}accuracy(truth)>=0.9", run)[0].value == 0.5
