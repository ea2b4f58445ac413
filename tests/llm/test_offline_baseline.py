"""model="offline": a baseline that says so, and is good enough to learn on."""

import csv
import enum
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

import nbflow as nf
import nbflow.testing
from nbflow.demo.offline_model import EXAMPLES, LABELS
from nbflow.llm import taxonomy
from nbflow.llm.offline import Offline

QUESTIONS = list(
    csv.DictReader(
        (
            Path(__file__).parents[2] / "notebooks" / "data" / "banking_questions.csv"
        ).open(encoding="utf-8", newline="")
    )
)
THREADS = list(
    csv.DictReader(
        files("nbflow.demo").joinpath("threads.csv").open(encoding="utf-8", newline="")
    )
)
TEXT = "I was charged twice, please refund one payment"


@pytest.fixture
def nb():
    with nbflow.testing.isolated() as nb:
        yield nb


def topics(**options):
    return nf.llm.categorizer(
        {"billing": "invoice, charge, refund", "bug": "crash, error"}, **options
    )


def accuracy(categorize, rows):
    return sum(categorize(row["body"]).label == row["label"] for row in rows) / len(
        rows
    )


def test_it_answers_a_label_and_says_that_it_is_a_baseline_and_which_words_decided(nb):
    answer = topics()(TEXT)
    assert answer.label == "billing"
    assert 0.5 < answer.confidence <= 1
    assert answer.reason.startswith("baseline, not an LLM: ")
    assert "refund" in answer.reason


def test_it_gives_a_probability_for_each_label(nb):
    answer = topics(unknown="unclear")(TEXT)
    shares = answer.probabilities
    assert list(shares) == ["billing", "bug", "unclear"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == answer.label
    assert shares["billing"] >= answer.confidence
    assert set(topics()("?!").probabilities.values()) == {0.5}, "it knows nothing"


def test_the_table_of_a_run_says_once_that_it_is_a_baseline(nb):
    run = topics().map([TEXT, "crash", "error"])
    assert str(run).count('categorize: model="offline" is a baseline, not an LLM.') == 1


def test_examples_teach_it_words_that_no_description_has(nb):
    before = topics()("Die Rechnung ist zu hoch")
    after = topics(examples={"billing": ["Meine Rechnung stimmt nicht"]})(
        "Die Rechnung ist zu hoch"
    )
    assert before.confidence < 0.5 < after.confidence
    assert "Rechnung" in after.reason


def test_a_text_like_no_label_is_unknown_only_if_that_was_asked_for(nb):
    assert topics()("?!").label in ("billing", "bug")
    assert topics()("?!").confidence == 0
    assert topics(unknown="unclear")("?!").label == "unclear"
    assert topics(unknown="unclear")(TEXT).label == "billing"


def test_the_words_that_every_question_has_say_little_of_what_it_is_about(nb):
    """On a thousand questions to a bank, from the names of ten labels alone."""
    asked = [
        {"body": row["text"], "label": row["label"]}
        for row in QUESTIONS
        if row["use"] == "question"
    ]
    assert (
        accuracy(
            Offline(taxonomy.read(sorted({row["label"] for row in asked})), ()).ask,
            asked,
        )
        > 0.83
    )
    assert nf.llm.categorizer(["yes", "no"])("No, thanks").label == "no"


def test_one_label_and_one_for_all_else_is_a_question_like_any_other(nb):
    categorize = nf.llm.categorizer(["refund"], unknown="else")
    assert [categorize(text).label for text in ("a refund, please", "?!")] == [
        "refund",
        "else",
    ]


def test_it_beats_the_most_frequent_label_by_far_and_examples_help(nb):
    """On the demo's threads, in four languages."""
    rows = [row for row in THREADS if row["body"]]
    most = Counter(row["label"] for row in rows).most_common(1)[0][1] / len(rows)
    described = accuracy(nf.llm.categorizer(LABELS), rows)
    taught = accuracy(
        nf.llm.categorizer(
            LABELS, examples=[(text, label) for label, text in EXAMPLES]
        ),
        rows,
    )
    assert most < 0.25
    assert 0.5 < described < taught


def test_its_answers_are_the_fields_of_a_flow_in_results(nb):
    categorize = topics()

    @nf.flow(on="offline/thread")
    def triage(thread):
        return categorize(thread["body"])

    run = nb.send("offline/thread", [{"id": 1, "body": TEXT}], key="id")
    (row,) = run.results()
    assert row["triage.label"] == "billing"
    assert set(row) == {
        "id",
        "body",
        "triage.status",
        "triage.label",
        "triage.confidence",
        "triage.reason",
    }


class Tone(enum.Enum):
    billing = "billing"
    bug = "bug"


def shout(text):
    return text.upper()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            {"instructions": "Choose one."},
            "`instructions` changed ('Pick one.' -> 'Choose one.')",
        ),
        (
            {"labels": {"billing": "", "crash": ""}},
            "`labels` changed (['billing', 'bug'] -> ['billing', 'crash'])",
        ),
        (
            {"labels": ["bug", "billing"]},
            "`labels` changed (['billing', 'bug'] -> ['bug', 'billing'])",
        ),
        ({"examples": {"bug": ["it broke"]}}, "`examples` changed"),
        ({"unknown": "unclear"}, "`labels` changed"),
        ({"redact": shout}, "`redact` changed"),
    ],
    ids=lambda edit: str(edit)[:30],
)
def test_whatever_the_model_is_told_counts_and_explain_names_it(nb, edit, said):
    before = {"labels": ["billing", "bug"], "instructions": "Pick one."}
    nf.llm.categorizer(**before)(TEXT)
    categorize = nf.llm.categorizer(**before | edit)
    assert said in categorize.explain(TEXT).reason
    assert said in categorize.explain().reason
    assert nf.llm.categorizer(**before).explain(TEXT).state == "cached"


@pytest.mark.parametrize(
    "edit",
    [{"labels": Tone}, {"retries": 9}, {"labels": {"billing": None, "bug": None}}],
    ids=str,
)
def test_what_the_model_is_not_told_does_not_count(nb, edit):
    before = {"labels": ["billing", "bug"], "instructions": "Pick one."}
    nf.llm.categorizer(**before)(TEXT)
    assert nf.llm.categorizer(**before | edit).explain(TEXT).state == "cached"


def test_an_edit_of_the_redaction_shows_the_line(nb):
    nf.llm.categorizer(["a", "b"], redact=lambda text: text.upper())(TEXT)
    said = nf.llm.categorizer(["a", "b"], redact=lambda text: text.lower())
    assert "helper `redact` changed" in said.explain(TEXT).reason
    assert "lambda" not in said.explain(TEXT).reason.partition("(")[0]


def test_a_version_takes_over_from_labels_and_instructions(nb):
    nf.llm.categorizer(["a", "b"], version="1")(TEXT)
    assert nf.llm.categorizer(["a", "c"], version="1").explain(TEXT).state == "cached"
    assert (
        nf.llm.categorizer(["a", "b"], version="2").explain(TEXT).state == "would run"
    )


def test_a_flow_counts_what_its_categorizer_is_told(nb):
    def define(instructions):
        categorize = nf.llm.categorizer(["a", "b"], instructions=instructions)

        @nf.flow(on="offline/told")
        def triage(thread):
            return categorize(thread["body"]).label

        return nb.send("offline/told", [{"id": 1, "body": TEXT}], key="id")

    states = [
        nb.states(define(told))["triage"] for told in ("one", "one", "two", "one")
    ]
    assert states == [["COMPLETED"], ["CACHED"], ["COMPLETED"], ["CACHED"]]


def test_what_is_no_text_fails_at_once_and_says_so(nb):
    with pytest.raises(
        nf.StepError,
        match=r"a categorizer takes a text, not dict.*\n.*tried once",
    ):
        topics()({"body": TEXT})
