"""`nbflow run --gate`: a job fails when its labels are not as they have to be. Real kernels."""

import pytest

import nbflow as nf
from nbflow import cli
from nbflow.errors import UsageError

DEFAULTS = 'billing = 78\ncount = 400\nmodel = ""\nbroken = 0\nday = "1"'
LABELLED = """
import nbflow as nf

@nf.step(retries=0)
def categorize(n):
    if model:
        nf.usage(answered_by=model)
    if n < broken:
        raise ValueError("no")
    return {"label": "billing" if n < billing else "bug"}

@nf.flow(on="e")
def triage(record):
    return categorize(record["n"])

run = nf.send("e", [{"n": n, "truth": "bug" if n else "billing"} for n in range(count)], key="n")
"""


@pytest.fixture
def labelled(folder):
    folder.write((DEFAULTS, "parameters"), LABELLED)
    return folder


def gates(*rules):
    return [part for rule in rules for part in ("--gate", rule)]


def test_a_share_beyond_its_bound_fails_the_job_with_the_figure_and_what_to_do(
    labelled, run
):
    code, said = run(*gates("share(billing)<=0.1", "triage.label: share(bug) >= 50%"))
    assert code == 6
    id = labelled.report()["runs"][0]["run"]
    sentence = (
        "share(billing)<=0.1: 78 of 400 records (19.5%) are billing; at most 10.0% is "
        "asked for. Read the records that are billing in "
        f'nf.open_run("{id}").results().'
    )
    held = (
        "triage.label: share(bug) >= 50%: 322 of 400 records (80.5%) are bug; at least "
        "50.0% is asked for."
    )
    assert f"exit 6    Every cell ran; not met: {sentence}\n" in said
    assert f"gate      {held}\n" in said
    report = labelled.report()
    assert report["exit_code"] == 6
    assert report["outcome"] == sentence
    assert report["gates"][0] == {
        "gate": "share(billing)<=0.1",
        "met": False,
        "judged": True,
        "said": sentence,
        "run": id,
        "since": "",
        "value": 0.195,
        "low": None,
        "high": None,
    }
    assert [gate["met"] for gate in report["gates"]] == [False, True]
    assert run(*gates("share(billing) <= 0.195"))[0] == 0


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("acuracy>=0.9", "Did you mean 'accuracy'?"),
        ("accuracy", "Quote it: a shell takes > and < for files."),
        ("accuracy>=90", "90 is no share; write a number between 0 and 1, such as 0.9"),
        ("share>=0.1", "share(billing)>=0.1"),
        ("unknown<=nan", "cannot be read"),
        ("share(a) within 0.1", "of last"),
        ("", "cannot be read"),
        (
            "accuracy<=0.9",
            'labels are bad: labels have to be right at least so often. Write "accuracy>=0.9"',
        ),
        ("flips > 5%", 'may be labelled otherwise. Write "flips <= 5%"'),
        ("a.label: unknown>=.1", 'may fit no label. Write "a.label: unknown<=.1"'),
        ("flips<0", 'can never be met: a share is between 0 and 1. Write "<="'),
        ("accuracy>=90", "Did you mean 0.9?"),
    ],
)
def test_a_gate_that_cannot_be_read_is_refused_before_anything_runs(
    labelled, run, rule, said
):
    code, told = run("--gate", rule)
    assert code == 2
    assert said in told
    assert not (labelled.path / "job.out.ipynb").exists()


def test_a_shift_since_the_last_run_fails_the_job_until_somebody_accepts_it(
    labelled, run, capsys
):
    within = gates("share(billing) within 0.1 of last")
    for _ in range(2):  # what cannot be judged is no night to be compared with
        code, said = run(*within)
        assert code == 6
        assert "cannot be judged for run" in said
        assert "so it is not met: there is no earlier run of 'e'" in said
        first = labelled.report()["runs"][0]["run"]
        assert f"nbflow runs accept {first}" in said
    assert cli.main(["runs", "accept", first[:-2], "--why", "looked at 50"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"Run {first} is accepted by ")
    assert told.endswith(": looked at 50.\n")
    shifted = ["-p", "billing=125"]
    for _ in range(2):  # tried again, it is not compared with itself
        code, said = run(*shifted, *within)
        assert code == 6
        assert (
            f"billing went from 19.5% to 31.2% of 400 records since run {first} (accepted "
        ) in said
        assert (
            ": looked at 50); by chance that happens in fewer than 1 of 1,000 nights; a "
            "move of 10 points is allowed."
        ) in said
    assert run(*shifted, *gates("shares unchanged"))[0] == 6
    # Without a gate it is no night to be compared with either: nobody looked.
    assert run(*shifted)[0] == 0
    assert run(*shifted, *within)[0] == 6
    last = labelled.report()["runs"][0]["run"]
    assert (
        f"If that is right, nbflow runs accept {last} makes it normal."
        in (labelled.report()["gates"][0]["said"])
    )
    nf.accept(nf.open_run(labelled.path / "job.out.ipynb"), "new product", by="ann")
    code, said = run(*shifted, *within, *gates("shares unchanged"))
    assert code == 0
    assert "by chance that happens in most nights" in said
    assert (
        "shares unchanged: no share of 400 records has moved since run "
        f"{last} (accepted by ann: new product).\n"
    ) in said
    since = gates(
        f"share(billing) within 0.1 of {first}", "shares unchanged since 1999"
    )
    code, said = run(*shifted, *since)
    assert code == 6
    assert f"since run {first}" in said
    assert "0 runs in" in said
    assert "begin with '1999'" in said


def test_small_moves_add_up_against_the_run_that_was_accepted(labelled, run):
    assert run("-p", "billing=80")[0] == 0
    accepted = nf.open_run(labelled.path / "job.out.ipynb")
    both = gates("share(billing) within 0.1 of last")
    anchored = gates("share(billing) within 0.1 of accepted")
    code, said = run(*anchored)
    assert code == 6
    assert "nobody has accepted an earlier run of 'e' with these labels." in said
    nf.accept(accepted)
    for billing in (112, 144):
        assert run("-p", f"billing={billing}", *both)[0] == 0
    code, said = run("-p", "billing=160", *both, *anchored)
    assert code == 6
    assert [gate["met"] for gate in labelled.report()["gates"]] == [True, False]
    assert "billing went from 20.0% to 40.0% of 400 records" in said


def test_a_night_that_left_records_undone_is_not_what_the_next_is_compared_with(
    labelled, run
):
    assert run()[0] == 0
    first = labelled.report()["runs"][0]["run"]
    assert run("-p", "broken=300", *gates("flips<=0.05"))[0] == 3
    code, said = run("-p", "billing=90", *gates("flips<=0.05"))
    assert code == 0
    assert f"labelled otherwise than in run {first};" in said


def test_a_move_that_chance_explains_fails_nothing(labelled, run):
    few = ["-p", "count=30"]
    assert run(*few, "-p", "billing=6")[0] == 0
    code, said = run(
        *few, "-p", "billing=11", *gates("share(billing) within 0.1 of last")
    )
    assert code == 0
    assert "billing went from 20.0% to 36.7% of 30 records" in said
    assert (
        "by chance that happens in 1 of 4 nights; a move of 10 points is allowed, "
        "and chance makes larger ones." in said
    )


def test_flips_count_the_same_records_that_are_labelled_otherwise(labelled, run):
    assert run("-p", "count=300")[0] == 0
    first = labelled.report()["runs"][0]["run"]
    code, said = run("-p", "billing=90", *gates("flips<=0.05", "flips<0.04"))
    assert code == 6
    assert (
        f"12 of 300 records (4.0%) are labelled otherwise than in run {first} (300 of 400 "
        "records are the same); less than 4.0% is asked for."
    ) in said
    assert [gate["met"] for gate in labelled.report()["gates"]] == [True, False]


def test_unknown_is_what_the_categorizer_says_it_is(folder, run):
    folder.write(
        'unknown = "unclear"',
        "import nbflow as nf\n"
        'categorize = nf.llm.categorizer(["billing", "bug"], unknown=unknown)\n'
        'run = categorize.map(["billing", "a bug", "", "billing"])',
    )
    code, said = run(*gates("unknown<=0.25", "share(bugs)<=0.9"))
    assert code == 6
    assert (
        "1 of 4 records (25.0%) are unclear or without a label; at most 25.0%" in said
    )
    assert (
        "no record has the label 'bugs', and no categorizer lists it; there are billing, "
        "bug, unclear."
    ) in said


def test_what_a_categorizer_lists_and_gives_nobody_is_met_by_a_job(folder, run):
    """The job that judges does not have the kernel's categorizer: the run says its labels."""
    folder.write(
        "import nbflow as nf\n"
        'categorize = nf.llm.categorizer(["billing", "bug"], unknown="unclear")\n'
        'run = categorize.map(["billing", "billing"])',
    )
    code, said = run(*gates("share(bug)<=0.02", "unknown<=0.02", "share(unclear)<0.1"))
    assert code == 0, said
    assert "0 of 2 records (0.0%) are bug" in said


def test_accuracy_is_that_of_what_people_decided_or_of_a_column(labelled, run):
    gate = gates("accuracy>=0.9")
    code, said = run(*gate)
    assert code == 6
    assert "nobody has decided any of its records. Let a person decide a sample" in said
    last = nf.open_run(labelled.path / "job.out.ipynb")
    nf.review(last, choices=["billing", "bug"]).decide(399, "bug")
    code, said = run(*gate)
    assert code == 6
    assert "cannot be judged" in said
    assert "sample=200" in said
    review = nf.review(last, choices=["billing", "bug"], sample=60)
    keys = iter(list(review.left))
    for _ in range(20):
        review.accept(next(keys))
    code, said = run(*gate)
    assert code == 6
    assert (
        "people made 20 decisions on a sample, and 30 are needed; 1 made before it was "
        "drawn say nothing of the others. Let a person decide more, nf.review("
    ) in said
    for key in keys:
        review.decide(key, "billing")
    code, said = run(*gate)
    assert code == 6
    report = labelled.report()["gates"][0]
    assert "accuracy>=0.9: accuracy is " in said
    assert (
        ", estimated from 60 decisions on a sample and 1 made before it was drawn; at "
        "least 90.0% is asked for. Read nf.evaluate("
    ) in said
    assert report["low"] < report["value"] < report["high"] < 0.9
    code, said = run(*gates("accuracy(truth)>=0.8", "accuracy(nothing)>=0.8"))
    assert code == 6
    assert "against column 'truth' of 400 records; at least 80.0% is asked for." in said
    assert "truth='nothing' is not a column of the records" in said


def test_another_model_fails_the_job_that_asks_for_the_same_one(labelled, run):
    same = gates("model unchanged")
    code, said = run(*same)
    assert code == 6
    assert "no call said which model answered" in said
    assert run("-p", "model=m-1", *same)[0] == 6
    assert "no earlier run of its event" in labelled.report()["outcome"]
    nf.accept(nf.open_run(labelled.path / "job.out.ipynb"))
    assert run("-p", "model=m-1", *same)[0] == 0
    code, said = run("-p", "model=m-2", *same)
    assert code == 6
    assert "model unchanged: m-2 answered, m-1 in run" in said
    assert "The model has changed: m-2 answered; in the last run" in said


def test_gates_are_not_judged_where_cells_failed_and_do_not_hide_records_that_did(
    labelled, run
):
    code, said = run("-p", "broken=3", *gates("share(billing)>=0.5"))
    assert code == 3
    assert "gate      share(billing)>=0.5: 75 of 397 records" in said
    assert labelled.report()["gates"][0]["met"] is False
    labelled.write("1 / 0")
    code, said = run(*gates("unknown<=0.5"))
    assert code == 1
    assert "No gate was judged" in said
    assert labelled.report()["gates"] == []
    labelled.write("1")
    code, said = run(*gates("unknown<=0.5"))
    assert code == 6
    assert (
        "unknown<=0.5: cannot be judged, so it is not met: the notebook made no run."
        in said
    )


def test_a_job_that_failed_after_its_run_is_not_compared_with_itself_when_it_is_tried_again(
    labelled, run
):
    assert run()[0] == 0
    first = labelled.report()["runs"][0]["run"]
    shifted = ["-p", "billing=200", *gates("shares unchanged", "flips<=0.05")]
    labelled.write((DEFAULTS, "parameters"), LABELLED, "1 / 0")
    assert run(*shifted)[0] == 1
    labelled.write((DEFAULTS, "parameters"), LABELLED, "1")
    code, said = run(*shifted)
    assert code == 6
    assert [gate["since"] for gate in labelled.report()["gates"]] == [first] * 2
    assert "From 1 earlier run nobody knows how much nights vary" in said


def test_values_that_the_store_has_lost_are_no_labels(labelled, run):
    assert run()[0] == 0
    last = nf.open_run(labelled.path / "job.out.ipynb")
    last.engine.store.delete([last.reader.state().checkpoint(0, 0)])
    with pytest.warns(nf.StoreWarning, match="cannot be had from the store"):
        code, said = run("-p", "billing=80", *gates("flips<=0.5"))
    assert code == 6
    assert "there is no earlier run" in said


def test_a_gate_reads_a_column_a_label_with_brackets_and_a_percentage():
    from nbflow._core.gate import gate

    read = gate(" triage.label:share(a (b)) within 10% of 20261123-091502-417a6f0 ")
    assert (read.column, read.of, read.limit) == ("triage.label", "a (b)", 0.1)
    assert read.base == "20261123-091502-417a6f0"
    assert gate("share(billing: cards)<=.5").of == "billing: cards"
    assert gate("shares unchanged").base == gate("flips<1").base == "last"
    assert (gate("accuracy \u2265 90 %").limit, gate("flips \u2264 1").sign) == (
        0.9,
        "<=",
    )
    assert gate("share(a\u2264b) > 1%").of == "a\u2264b"
    assert gate("unknown<=0.1").holds(0.1)
    assert gate("flips<=0.3").holds(0.1 + 0.2)
    assert not gate("unknown<0.1").holds(0.1)
    with pytest.raises(UsageError, match="cannot be read"):
        gate("share() <= 0.1")


def test_of_several_gates_that_are_not_met_each_has_a_line(labelled, run):
    code, said = run(*gates("share(bug)<=0.02", "share(billing)>=0.9", "unknown<=0.5"))
    assert code == 6
    lines = said.splitlines()
    at = lines.index("exit 6    Every cell ran; not met:")
    assert lines[at + 1].startswith("- share(bug)<=0.02: ")
    assert any(line.startswith("- share(billing)>=0.9: ") for line in lines)
