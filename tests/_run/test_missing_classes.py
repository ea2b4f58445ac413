"""Answers whose class is not defined in this kernel are shown by their fields; no step is given them."""

import sys
import types

import pytest

import nbflow as nf
from nbflow._store import codec
from nbflow.errors import CodecError

MODULE = "cells_of_another_kernel"
CELL = f"""
import enum
from dataclasses import dataclass
from typing import NamedTuple
import attrs
import pydantic

class Label(str, enum.Enum):
    BILLING = "billing"
    BUG = "bug"

class Kind(enum.Enum):
    A = object

class Model(pydantic.BaseModel):
    model_config = {{"extra": "allow"}}
    label: Label
    sure: float = 0.5

@dataclass
class Data:
    label: str
    parts: list

@attrs.define
class Attrs:
    label: str

class Pair(NamedTuple):
    label: str
    sure: float

class Plain:
    def __init__(self, label):
        self.label = label

class Slots:
    __slots__ = ("label",)
    def __init__(self, label):
        self.label = label
    def __reduce__(self):
        return (Slots, (self.label,))

for each in (Label, Kind, Model, Data, Attrs, Pair, Plain, Slots):
    each.__module__ = {MODULE!r}
"""


@pytest.fixture
def cell():
    """A module with the classes; leaves with the kernel that has them."""
    module = types.ModuleType(MODULE)
    exec(CELL, module.__dict__)
    sys.modules[MODULE] = module
    yield module
    sys.modules.pop(MODULE, None)


def without_classes(value):
    written = codec.encode(value)
    sys.modules.pop(MODULE)
    with pytest.raises(CodecError, match="not defined"):
        codec.decode(*written)
    return codec.view(*written)


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (
            lambda m: m.Model(label="bug", sure=1, why="x"),
            {"label": "bug", "sure": 1.0, "why": "x"},
        ),
        (
            lambda m: m.Data("bug", [m.Pair("a", 1)]),
            {"label": "bug", "parts": [{"label": "a", "sure": 1}]},
        ),
        (lambda m: m.Attrs("bug"), {"label": "bug"}),
        (lambda m: m.Pair("bug", 1), {"label": "bug", "sure": 1}),
        (lambda m: m.Plain("bug"), {"label": "bug"}),
        (lambda m: m.Label.BUG, "bug"),
        (
            lambda m: [1, {"a": m.Data("x", [])}],
            [1, {"a": {"label": "x", "parts": []}}],
        ),
    ],
    ids=[
        "pydantic",
        "dataclass",
        "attrs",
        "namedtuple",
        "plain class",
        "enum",
        "nested",
    ],
)
def test_a_value_is_viewed_by_its_fields(cell, make, shown):
    assert without_classes(make(cell)) == shown


def test_the_class_is_named(cell):
    assert repr(without_classes(cell.Pair("bug", 1))) == "Pair(label='bug', sure=1)"


def test_a_class_whose_fields_have_changed_is_viewed_as_it_was(cell):
    written = codec.encode(cell.Pair("bug", 1))
    exec(
        "from typing import NamedTuple\nclass Pair(NamedTuple):\n    label: str",
        cell.__dict__,
    )
    assert codec.view(*written) == {"label": "bug", "sure": 1}


def test_an_object_that_is_made_by_a_call_is_viewed_by_its_arguments(cell):
    assert without_classes(cell.Slots("bug")) == {"args": ("bug",)}


def test_what_has_nothing_to_show_says_which_class_is_missing(cell):
    written = codec.encode(cell.Kind.A)
    sys.modules.pop(MODULE)
    with pytest.raises(CodecError, match="Kind is not defined"):
        codec.view(*written)


def test_a_value_whose_class_is_there_is_viewed_as_it_is(cell):
    value = cell.Data("bug", [])
    assert codec.view(*codec.encode(value)) == value
    assert type(codec.view(*codec.encode(value))) is cell.Data


@pytest.fixture
def run(nb, cell):
    @nf.step
    def categorize(text):
        return cell.Model(label="bug" if "x" in text else "billing", sure=0.9)

    @nf.flow(on="missing")
    def triage(record):
        return categorize(record["text"])

    before = nb.send("missing", [{"text": "x"}, {"text": "y"}])
    after = nb.send("missing", [{"text": "x"}, {"text": "xy"}])
    sys.modules.pop(MODULE)
    nb.forget()
    return nf.open_run(before.id), nf.open_run(after.id)


def test_results_have_the_fields(run):
    assert [row["triage.label"] for row in run[0].results()] == ["bug", "billing"]
    assert run[0].results("triage")[0]["sure"] == 0.9


def test_an_opened_record_has_them(run):
    view = run[0].inspect(1)["triage"]
    assert view.output == {"label": "billing", "sure": 0.9}
    assert view["categorize"].output["label"] == "billing"


def test_evaluate_reads_them(run):
    truth = {0: "bug", 1: "bug"}
    figures = nf.evaluate(run[0], truth=truth, column="triage.label")
    assert figures.accuracy.value == 0.5


def test_compare_reads_them(run):
    frame = run[0].compare(run[1])
    assert frame["field"].tolist() == ["label"]
    assert frame[["before", "after"]].values.tolist() == [["billing", "bug"]]


def test_a_review_corrects_them(run):
    nf.review(run[0], by="ann").decide(1, "bug")
    assert [row["triage.label"] for row in run[0].results()] == ["bug", "bug"]


MAKE = {
    "enum": lambda m, text: m.Label(text),
    "dataclass": lambda m, text: m.Data(text, []),
    "attrs": lambda m, text: m.Attrs(text),
    "named tuple": lambda m, text: m.Pair(text, 1.0),
    "plain class": lambda m, text: m.Plain(text),
    "list": lambda m, text: [m.Attrs(text)],
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_every_way_to_read_a_run_reads_every_kind_of_answer(nb, cell, make):
    @nf.step
    def categorize(text):
        return make(cell, text)

    @nf.flow(on="missing")
    def triage(record):
        return categorize(record["text"])

    batch = [{"id": "a", "text": "bug"}, {"id": "b", "text": "billing"}]
    runs = [nb.send("missing", batch, key="id") for _ in range(2)]
    runs.append(nb.send("missing", [*batch[:1], batch[1] | {"text": "bug"}], key="id"))
    sys.modules.pop(MODULE)
    nb.forget()
    first, _, third = (nf.open_run(run.id) for run in runs)
    assert "bug" in str(first.results())
    assert "bug" in str(first.results("triage"))
    assert "bug" in repr(first.inspect("a")["triage"].output)
    assert "bug" in first.inspect("a")._repr_html_()
    assert len(first.compare(third)) == 1
    assert categorize.explain("bug").state == "cached"
    assert "cached" in repr(categorize.explain("bug"))
    assert nf.plan("missing", batch, key="id").cached == 2
    if make is not MAKE["list"]:
        truth = {"a": "bug", "b": "bug"}
        assert nf.evaluate(first, truth=truth).accuracy.value == 0.5
        assert nf.compare(first, third, truth=truth).agreement.value == 0.5
