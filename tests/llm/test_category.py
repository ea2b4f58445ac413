"""Category: what a categorizer returns, in memory, on disk, in keys and in results."""

import doctest
import sys
import types
from typing import Literal

import pandas as pd
import polars as pl
import pydantic
import pytest

import nbflow as nf
from nbflow._core.headline import answer_of, rows_of
from nbflow._key.reader import digest
from nbflow._store.codec import decode, encode
from nbflow.llm import Category
from nbflow.testing import llm_server

PLAIN = Category("billing", 0.9, "it says so")
DECIDED = Category("billing", 0.9, None, {"billing": 0.9, "bug": 0.1})
#: `PLAIN` as it was saved, and what it counted as in keys, before there were
#: probabilities.
SAVED = (
    b"\xc7L!\x95\xaanbflow.llm\xa8Category\x90\xc0\x83\xa5label\xa7billing\xaaconfidence"
    b"\xcb?\xec\xcc\xcc\xcc\xcc\xcc\xcd\xa6reason\xaait says so"
)
DIGEST = "fba32566b510573535837b8254381e0cc355c812"


def test_an_answer_that_was_saved_before_there_were_probabilities_still_loads():
    assert decode("msgpack", SAVED) == PLAIN
    assert decode("msgpack", SAVED).probabilities is None


def test_an_answer_without_probabilities_is_saved_and_keyed_as_before():
    assert encode(PLAIN) == ("msgpack", SAVED)
    assert digest(PLAIN).hex() == DIGEST


def test_probabilities_are_saved_and_count_in_keys():
    assert decode(*encode(DECIDED)) == DECIDED
    other = Category("billing", 0.9, None, {"billing": 0.9, "bug": 0.05})
    assert len({digest(DECIDED), digest(other), digest(Category("billing", 0.9))}) == 3


def test_it_shows_probabilities_only_where_there_are_any():
    assert repr(PLAIN) == (
        "Category(label='billing', confidence=0.9, reason='it says so')"
    )
    assert repr(DECIDED).endswith(
        "reason=None, probabilities={'billing': 0.9, 'bug': 0.1})"
    )
    assert len({DECIDED, DECIDED, PLAIN}) == 2, "it can be counted"


def test_the_line_of_a_record_is_short_and_an_opened_one_has_all():
    assert answer_of(DECIDED) == ("billing", "confidence 0.9")
    assert dict(rows_of(DECIDED))["probabilities"] == "billing: 0.9\nbug: 0.1"
    assert "probabilities" not in dict(rows_of(PLAIN))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_keeps_its_columns_and_the_answers_have_the_probabilities(nb, frame):
    categorize = nf.llm.categorizer(["billing", "bug"], model=lambda text: DECIDED)

    @nf.flow(on="category/thread")
    def triage(thread):
        return categorize(thread["body"])

    run = nb.send("category/thread", frame({"id": [1], "body": ["?"]}), key="id")
    names = [name for name in run.results().columns if name.startswith("triage.")]
    assert names == [
        "triage.status",
        "triage.label",
        "triage.confidence",
        "triage.reason",
    ]
    (answer,) = categorize.map(["?"]).results("categorize")
    assert answer.probabilities == {"billing": 0.9, "bug": 0.1}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"billing": 0.7, "bug": 0.3}, {"billing": 0.7, "bug": 0.3}),
        ({"bug": 0.33, "billing": 0.66}, {"billing": 0.66, "bug": 0.33}),
        ({"billing": 0.7}, None),
        ({"billing": 0.7, "bug": 0.1}, None),
        ({"billing": 1.7, "bug": -0.7}, None),
        ({"billing": "high", "bug": 0}, None),
        ({"billing": 0.7, "bug": 0.2, "other": 0.1}, None),
        ("high", None),
    ],
)
def test_a_function_may_give_probabilities_and_what_is_no_distribution_is_none(
    nb, said, kept
):
    answer = {"label": "billing", "probabilities": said}
    given = nf.llm.categorizer(["billing", "bug"], model=lambda text: answer)("?")
    assert given.probabilities == kept
    assert given.confidence == (None if kept is None else kept["billing"])


@pytest.mark.parametrize(
    "public",
    [
        Category,
        nf.llm.categorizer,
        nf.llm.extractor,
        nf.llm.prompt,
        nf.llm.quote,
        llm_server,
    ],
)
def test_the_examples_in_docstrings_run(nb, public, monkeypatch):
    found = doctest.DocTestFinder(exclude_empty=True)
    module = types.ModuleType("examples")  # where saved values find their class
    monkeypatch.setitem(sys.modules, "examples", module)
    known = {
        "__name__": "examples",
        "nbflow": nf,
        "nf": nf,
        "pydantic": pydantic,
        "Field": pydantic.Field,
        "Literal": Literal,
    }
    (example,) = found.find(public, module=False, globs=known)
    vars(module).update(example.globs)
    example.globs = vars(module)
    result = doctest.DocTestRunner().run(example, clear_globs=False)
    assert result.attempted
    assert not result.failed
