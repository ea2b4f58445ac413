"""Labels and examples, in every form that an analyst has them in."""

import enum
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

import nbflow as nf
from nbflow.llm import examples, taxonomy


class Topic(enum.Enum):
    BILLING = "billing"
    BUG = "bug"
    CRASH = "bug"  # noqa: PIE796 - another name of the same label


class Plain(enum.Enum):
    billing = 1
    bug = 2


class Ticket(pydantic.BaseModel):
    """What customers of a plant sensor write about."""

    topic: Literal["billing", "bug"] | None = pydantic.Field(
        description="the main concern"
    )
    urgent: bool = False


@pytest.mark.parametrize(
    "labels",
    [
        ["billing", "bug"],
        ("billing", "bug"),
        {"bug", "billing"},
        {"billing": None, "bug": ""},
        Topic,
        Plain,
        Literal["billing", "bug"],
        Ticket,
        pd.Series(["billing", "bug"]),
    ],
    ids=str,
)
def test_labels_are_the_same_in_every_form(labels):
    assert taxonomy.read(labels).labels == {"billing": "", "bug": ""}


class Text(enum.StrEnum):
    BILLING = "billing"
    BUG = "bug"


@pytest.mark.parametrize(
    "labels",
    [
        [Topic.BILLING, Topic.BUG], [Plain.billing, Plain.bug], list(Text), np.array(["billing", "bug"]),
        Literal["billing", "bug"] | None, Annotated[Literal["billing", "bug"], "of a ticket"],
        {Topic.BILLING: None, Topic.BUG: float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_labels_are_texts_whatever_class_they_are_of(labels):
    found = taxonomy.read(labels).labels
    assert found == {"billing": "", "bug": ""}
    assert {type(label) for label in found} == {str}


def test_of_members_of_an_enum_examples_and_answers_mean_the_same_labels(nb):
    categorize = nf.llm.categorizer(
        Plain, examples={Plain.bug: ["crash"]}, unknown=Plain.billing
    )
    assert categorize("it did crash").label == "bug"
    assert (
        nf.llm.categorizer(Plain, model=lambda text: Plain.bug)("crash").label == "bug"
    )


def test_a_letter_with_an_accent_is_one_however_it_is_written():
    assert taxonomy.read(["caf\u00e9", "bar"]).find("Cafe\u0301") == "caf\u00e9"
    with pytest.raises(nf.UsageError, match="appears twice"):
        taxonomy.read(["caf\u00e9", "cafe\u0301"])


def test_labels_that_differ_by_capitals_are_two_and_neither_is_guessed():
    twins = taxonomy.read(["Bug", "bug"])
    assert [twins.find("Bug"), twins.find(" bug"), twins.find("BUG")] == [
        "Bug",
        "bug",
        None,
    ]


def test_several_labels_a_text_are_no_labels_to_choose_one_from():
    with pytest.raises(
        nf.UsageError,
        match="Tags needs one field that is a Literal or an Enum, whose choices are the labels; it has none",
    ):
        taxonomy.read(
            pydantic.create_model("Tags", tags=(list[Literal["a", "b"]], ...))
        )


def test_what_a_model_says_of_its_labels_is_kept():
    assert (
        taxonomy.read(Ticket).about
        == "What customers of a plant sensor write about.\nthe main concern"
    )
    assert taxonomy.read(Topic).about == ""


def test_unknown_is_a_label_only_if_asked_for():
    assert list(taxonomy.read(["a", "b"]).labels) == ["a", "b"]
    assert list(taxonomy.read(["a", "b"], "unknown").labels) == ["a", "b", "unknown"]
    assert list(taxonomy.read(["a", "other"], "other").labels) == ["a", "other"]


def test_a_label_is_found_whatever_its_capitals_but_never_guessed():
    known = taxonomy.read(["Billing", "bug", "BUG"])
    assert known.find(" billing ") == "Billing"
    assert known.find("bug") == "bug"
    assert known.find("Bug") is None
    assert known.find("Billing question") is None


class TwoChoices(pydantic.BaseModel):
    topic: Literal["a", "b"]
    tone: Literal["c", "d"]


class NoChoice(pydantic.BaseModel):
    topic: str


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", "b", "a"], "'a' appears twice"),
        (["a", ""], r"labels\[1\] is ''"),
        (["a", " b"], r"labels\[1\] is ' b'"),
        (["a", 3], r"labels\[1\] is 3"),
        ([], "no labels"),
        (["a"], "one label"),
        ("billing", "labels='billing' has to be"),
        (7, "labels=7 has to be"),
        ({"a": 1, "b": ""}, "description of 'a' is 1"),
        (TwoChoices, r"TwoChoices .* has 2 \(topic, tone\)"),
        (NoChoice, "NoChoice .* has none"),
    ],
)
def test_labels_that_cannot_be_right_are_named(labels, said):
    with pytest.raises(nf.UsageError, match=said):
        nf.llm.categorizer(labels)


PAIRS = [("refund", "billing"), ("crash", "bug")]


@pytest.mark.parametrize(
    "given",
    [
        PAIRS,
        {"billing": ["refund"], "bug": ["crash"]},
        {"billing": "refund", "bug": "crash"},
        {"refund": "billing", "crash": "bug"},
        {"refund": Topic.BILLING, "crash": Topic.BUG},
        [{"text": "refund", "label": "billing"}, {"text": "crash", "label": "bug"}],
        pd.DataFrame(PAIRS, columns=["body", "topic"]),
        pd.DataFrame(
            {"id": [1, 2], "label": ["billing", "bug"], "text": ["refund", "crash"]}
        ),
        pl.DataFrame({"text": ["refund", "crash"], "label": ["billing", "bug"]}),
        pa.table({"text": ["refund", "crash"], "label": ["billing", "bug"]}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_examples_are_the_same_in_every_form(given):
    assert examples.read(given, taxonomy.read(Topic), str) == tuple(PAIRS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            [("refund", "Billing")],
            "Example 0 has the label 'Billing', which is not one of the labels: billing, bug",
        ),
        ([("refund", "billing"), ("", "bug")], "Example 1 is ''"),
        ([("refund", None)], "has the label None"),
        (["refund"], r"examples\[0\] is 'refund'"),
        ("refund", "examples='refund' has to be"),
        (
            pd.DataFrame({"body": ["a"], "topic": ["bug"], "id": [1]}),
            "it has body, topic, id",
        ),
    ],
)
def test_examples_that_cannot_be_right_are_named(given, said):
    with pytest.raises(nf.UsageError, match=said):
        nf.llm.categorizer(["billing", "bug"], examples=given)
