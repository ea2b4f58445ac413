"""Quotes: words that occur in a text, with their place, kept, keyed and shown."""

import copy
import pickle

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

import nbflow as nf
from nbflow._key.reader import digest
from nbflow._store.codec import decode, encode
from nbflow.llm import Quote
from nbflow.llm.quoting import find, moved

TEXT = "Order  A-17 is late.\nThe order A-17!"


@pytest.mark.parametrize(
    ("words", "kept", "start"),
    [
        ("A-17", "A-17", 7),
        ("The order", "The order", 21),
        ("order A-17", "order A-17", 25),
        ("ORDER\tA-17 IS", "Order  A-17 is", 0),
        ("late. the", "late.\nThe", 15),
    ],
)
def test_whitespace_and_case_do_not_count_and_the_texts_own_words_are_kept(
    words, kept, start
):
    found = find(words, TEXT)
    assert (found, found.start) == (kept, start)
    assert TEXT[found.start : found.end] == found


@pytest.mark.parametrize("words", ["A-18", "Order A17", "late!", "", " ", "A-17."])
def test_everything_else_does(words):
    with pytest.raises(ValueError, match=r"do not occur|are no quote"):
        find(words, TEXT)


def test_it_is_a_text_that_survives_copies_pickles_and_checkpoints():
    quote = Quote("A-17", 7)
    assert quote == "A-17"
    assert repr(quote) == "'A-17'"
    for other in (
        copy.deepcopy(quote),
        pickle.loads(pickle.dumps(quote)),
        decode(*encode([quote]))[0],
    ):
        assert (type(other), other, other.start, other.end) == (Quote, "A-17", 7, 11)


def test_its_place_counts_in_keys():
    digests = {digest(one) for one in ("A-17", Quote("A-17", 7), Quote("A-17", 8))}
    assert len(digests) == 3
    assert digest(Quote("A-17", 7)).hex() == "a9bb6754c9f0520c99170bbe89c2712a6ff9c65d"


class Inner(BaseModel):
    words: list[str] = nf.llm.quote("words")


class Outer(BaseModel):
    first: str | None = nf.llm.quote("the first")
    inner: Inner
    rest: list[Inner]


def test_quotes_move_with_the_part_that_they_are_in():
    inner = Inner.model_construct(words=[Quote("b", 2), Quote("c", 3)])
    outer = Outer.model_construct(first=Quote("a", 1), inner=inner, rest=[inner])
    found = moved(outer, 10)
    assert found.first.start == 11
    assert [one.start for one in found.inner.words + found.rest[0].words] == [
        12,
        13,
    ] * 2
    assert outer.first.start == 1


def test_without_a_text_a_field_is_a_plain_one():
    assert Inner(words=["anything"]).words == ["anything"]


@pytest.mark.parametrize(
    "frame", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"]
)
def test_the_place_is_a_column_beside_the_words_also_where_there_are_none(nb, frame):
    def rule(text):
        first = "A-17" if "A-17" in text else None
        return {"first": first, "inner": {"words": []}, "rest": []}

    read = nf.llm.extractor(Outer, model=rule)

    @nf.flow(on="quotes/text")
    def ask(row):
        return read(row["text"]) if "no" not in row["text"] else read("nothing")

    run = nf.send("quotes/text", frame({"text": ["is A-17", "none"]}))
    rows = run.results()
    rows = (
        rows.to_pylist()
        if frame is pa.table
        else rows.to_dict(**({"as_series": False} if frame is pl.DataFrame else {}))
    )
    if frame is pa.table:
        rows = {name: [row[name] for row in rows] for name in rows[0]}
    words, places = (
        list(_values(rows["ask.first"])),
        list(_values(rows["ask.first.at"])),
    )
    assert (words[0], places[0]) == ("A-17", 3)
    assert pd.isna(words[1])
    assert pd.isna(places[1])
    none = nf.send("quotes/text", [{"text": "none"}])
    assert none.results()[0]["ask.first.at"] is None


def _values(column):
    return column.values() if isinstance(column, dict) else column
