"""A review without its page: whom it shows, what deciding does, and what is left."""

from enum import Enum
from typing import Literal, NamedTuple

import pandas as pd
import pytest

import nbflow as nf
from nbflow._core.flow import Listeners
from nbflow._session import SESSION

EVENT = "e"
TEXTS = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "text": ["refund", "crash", "<b>refund</b>", "crash"],
        "seen": [1, 2, 3, 4],
    }
)
SURE = {"a": 0.9, "b": 0.2, "c": 0.5, "d": 0.7}


@pytest.fixture
def send(nb):
    def send(label="bug", records=TEXTS, failing=()):
        @nf.flow(on=EVENT)
        def triage(record):
            if record["id"] in failing:
                raise nf.NonRetriableError("no answer")
            return {
                "label": label,
                "confidence": SURE[record["id"]],
                "reason": "a word",
            }

        return nb.send(EVENT, records, key="id")

    return send


def test_the_least_sure_come_first_and_those_without_an_answer_before_them(send):
    assert nf.review(send(failing={"d"})).keys == ["d", "b", "c", "a"]


def test_a_confidence_in_whatever_words_is_no_reason_to_fail(nb):
    sure = ["high", None, 0.9, float("nan"), 0.2, 95]

    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "bug", "confidence": sure[record["n"]]}

    review = nf.review(nb.send(EVENT, [{"n": number} for number in range(len(sure))]))
    assert review.keys == ["4", "2", "5", "0", "1", "3"], (
        "those that are no number come last"
    )
    assert [review.case(place).confidence for place in range(3)] == [0.2, 0.9, None], (
        "a share, or nothing"
    )


def test_records_that_look_the_same_are_decided_once(send):
    run = send()
    review = nf.review(run, text="text", choices=["bug", "billing"])
    assert review.keys == ["b", "c", "a"]
    review.decide("b", "billing")
    assert run.results().set_index("id")["triage.label"].to_dict() == {
        "a": "bug",
        "b": "billing",
        "c": "bug",
        "d": "billing",
    }


@pytest.mark.parametrize(
    "where",
    [
        ["c", "a"],
        pd.Series(["c", "a"]),
        [True, False, True, False],
        TEXTS["seen"] % 2 == 1,
        lambda row: (
            row["seen"] % 2 == 1
            and row["triage.label"] == "bug"
            and row["triage.confidence"] > 0
        ),
    ],
    ids=["keys", "series of keys", "truth values", "mask", "function"],
)
def test_where_takes_what_is_at_hand(send, where):
    assert nf.review(send(), where=where).keys == ["c", "a"]


def test_a_decision_survives_an_edit_of_the_prompt_and_the_kernel(nb, send):
    nf.review(
        send(),
        text="text",
        choices={"bug": "It breaks.", "billing": "Money."},
        by="Ana",
    ).decide("a", "billing")
    nb.forget()
    run = send("other", TEXTS.assign(seen=9))
    assert run.results()["triage.label"].tolist() == [
        "billing",
        "other",
        "other",
        "other",
    ]
    review = nf.review(run, text="text")
    assert review.left == ["b", "c"]
    assert review.to_frame()[
        ["record", "label", "model", "by"]
    ].to_numpy().tolist() == [["a", "billing", "bug", "Ana"]]


def test_accepting_says_that_the_model_is_right(send):
    run = send(failing={"c"})
    review = nf.review(run)
    assert review.accept("a").label == "bug"
    assert run.results()["triage.by"].tolist()[0] == "human"
    with pytest.raises(nf.UsageError, match="no label to accept"):
        review.accept("c")


def test_undo_takes_back_the_last_decision_then_the_one_before(send):
    review = nf.review(send(), choices=["bug", "billing"])
    review.decide("a", "billing")
    review.decide("b", "billing")
    assert review.undo().key == "b"
    assert review.left == ["b", "c", "d"]
    assert review.undo().key == "a"
    assert review.undo() is None
    review.decide("c", "billing")
    assert review.undo("c").label == "billing"
    assert review.left == review.keys
    assert len(review._run.engine.decisions.all()) == 6, "nothing is erased"


def test_undo_passes_over_what_does_not_stand_and_forgets_nothing_that_it_could_not_take_back(
    send, monkeypatch
):
    run = send()
    review, other = nf.review(run, choices=["bug", "billing"]), nf.review(run, by="bob")
    review.decide("a", "billing")
    review.decide("b", "billing")
    review.decide("b", "bug")
    review.decide("c", "billing")
    other.decide("c", "bug")
    with monkeypatch.context() as full:
        full.setattr(
            run.engine.decisions,
            "add",
            lambda _: (_ for _ in ()).throw(nf.StoreError("the disk is full")),
        )
        with pytest.raises(nf.StoreError):
            review.undo()
    assert [review.undo().key for _ in range(2)] == ["b", "a"]
    assert review.undo() is None
    assert review.decided["c"].by == "bob"


def test_two_people_see_each_other_and_the_latest_stands(send):
    run = send()
    ana, bo = (
        nf.review(run, choices=["bug", "billing"], by="Ana"),
        nf.review(run, choices=["bug", "billing"], by="Bo"),
    )
    ana.decide("a", "billing")
    assert bo.decided["a"].by == "Ana"
    bo.decide("a", "bug")
    assert (ana.decided["a"].label, ana.decided["a"].by) == ("bug", "Bo")
    bo.undo("a")
    assert "a" not in ana.decided


def test_choices_are_those_that_were_given_unless_they_are_named(send):
    review = nf.review(send())
    assert review.choices == {"bug": ""}
    with pytest.raises(
        nf.UsageError,
        match=r"'billing' is not one of the choices 'bug'; to allow it, nbflow\.review\(\.\.\., choices",
    ):
        review.decide("a", "billing")


def test_a_label_that_the_model_never_gave_can_be_chosen_if_its_categorizer_has_it(
    nb, monkeypatch
):
    labels = {"bug": "It breaks.", "billing": "Money.", "praise": None}
    categorize = nf.llm.categorizer(labels, model=lambda text: "billing")

    @nf.flow(on=EVENT)
    def triage(record):
        return categorize(record["text"])

    @nf.flow(on=EVENT)
    def tone(record):
        return mood(record["text"])

    mood = nf.llm.categorizer(["good", "bad"], model=lambda text: "bad", name="mood")
    run = nb.send(EVENT, TEXTS, key="id")
    review = nf.review(run, column="triage")
    assert review.choices == {"billing": "Money.", "bug": "It breaks.", "praise": ""}
    assert review.decide("a", "praise").label == "praise"
    assert list(nf.review(run, column="tone").choices) == ["bad", "good"]
    assert list(nf.review(categorize.map(["x"])).choices) == [
        "billing",
        "bug",
        "praise",
    ]
    later = nf.open_run(run.id)
    assert list(nf.review(later, column="tone").choices) == ["bad", "good"]
    monkeypatch.setattr(SESSION, "listeners", Listeners())
    later = nf.open_run(run.id)
    assert list(nf.review(later, column="tone").choices) == ["bad"], "not defined here"


class Kind(Enum):
    BUG = "bug"
    BILLING = "billing"


class Ticket(NamedTuple):
    kind: Kind
    tone: Literal["good", "bad"]
    text: str


def test_labels_that_a_step_says_it_returns_can_be_chosen(nb):
    @nf.step
    def read(text: str) -> Ticket:
        return Ticket(Kind.BUG, "good", text)

    @nf.step
    def plain(text: str) -> Literal["yes", "no"]:
        return "no"

    @nf.step
    def other(text: str) -> Literal["yes", "no"]:
        return "maybe"

    run = read.map(["one"])
    assert list(nf.review(run, column="kind").choices) == ["bug", "billing"]
    assert list(nf.review(run, column="tone").choices) == ["good", "bad"]
    assert list(nf.review(run, column="text").choices) == ["one"]
    assert list(nf.review(plain.map(["one"])).choices) == ["no", "yes"]
    assert list(nf.review(other.map(["one"])).choices) == ["maybe"]


def test_elsewhere_than_in_a_notebook_it_is_a_picture_of_what_is_left(send):
    review = nf.review(send())
    review.accept("a")
    assert repr(review).splitlines() == [
        "Review of triage.label: 1 of 4 records decided, 3 left.",
        "  b  bug (20%)",
        "  c  bug (50%)",
        "  d  bug (70%)",
    ]
    page = review._repr_html_()
    assert "1 of 4 decided" in page
    assert "&lt;b&gt;refund&lt;/b&gt;" in page
    assert "<b>refund" not in page
    for key in review.left:
        review.accept(key)
    assert (
        repr(review)
        == "Review of triage.label: 4 of 4 records decided. Nothing is left."
    )


def test_a_map_is_reviewed_by_its_values(nb):
    @nf.step
    def label(text):
        return text[0]

    run = label.map(pd.Series(["xa", "yb"]))
    review = nf.review(run, choices=["x", "y", "z"])
    assert review.case(0).fields == [("value", "xa")]
    review.decide(0, "z")
    assert label.map(pd.Series(["yb", "xa"])).results("label").tolist() == ["y", "z"]


def test_what_cannot_be_reviewed_is_said(nb, send):
    run = send()
    with pytest.raises(
        nf.UsageError,
        match="text='txt' is not a column of the records; they have 'id', 'seen', 'text'",
    ):
        nf.review(run, text="txt")
    with pytest.raises(nf.UsageError, match="the run has no record 'zz'"):
        nf.review(run, where=["zz"])
    with pytest.raises(nf.UsageError, match="has 2 truth values and there are 4 rows"):
        nf.review(run, where=[True, False])
    with pytest.raises(nf.UsageError, match="takes a run"):
        nf.review(run.results())
    with pytest.raises(nf.UsageError, match="There is no record 'zz' in this review"):
        nf.review(run).decide("zz", "bug")
