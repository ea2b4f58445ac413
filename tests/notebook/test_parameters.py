"""Parameters: what a cell declares, and what a command line may give."""

import ast

import pytest

import nbflow as nf
from nbflow.notebook import parameters

CELL = """
import os
day = "2026-01-01"  # the day to load
limit: int | None = None  # how many
ratio: float = 1
kind: Literal["a", "b"] = "a"
tags: list[str] = []
prices: dict[str, float] = {}
pair: tuple[int, int] = (1, 2)
dry = False
count = 5
old = 1  # type: float  as papermill spells it
when: date = date.today()
made = os.getcwd()
nothing = None
model: "str | None" = None
quiet = 1  # type: ignore[assignment]
broken: "int |" = 1
unhashable = {[1]: 2}
_private = 1
first = second = 2  # both
(left, right), other = ("l", 1.5), [1]
some, *rest = 1, 2
x, y = load()
top: Annotated[int, Field(gt=0)] = 3
each: list[Annotated[int, "a number"]] = []
maybe: Optional[Annotated[int, "n"]] = None
fixed: Final[int] = 3
bare: typing.Final = 3
"""


def given(*texts):
    return parameters.given(parameters.declared(CELL), list(texts))


def test_name_type_default_and_comment_are_read_from_the_cell():
    known = {
        one.name: (one.type, one.default, one.help) for one in parameters.declared(CELL)
    }
    assert known["day"] == ("str", "'2026-01-01'", "the day to load")
    assert known["limit"] == ("int | None", "None", "how many")
    assert known["old"] == ("float", "1", "as papermill spells it")
    assert known["made"] == ("Any", "os.getcwd()", "")
    assert known["first"] == known["second"] == ("int", "2", "both")
    assert [known[name][:2] for name in ("left", "right", "other")] == [
        ("str", "'l'"),
        ("float", "1.5"),
        ("list", "[1]"),
    ]
    assert not {"_private", "some", "rest", "x", "y", "os"} & set(known)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("day=1", "1"),
        ("day=", ""),
        ("day=None", "None"),
        ("limit=5", 5),
        ("limit=none", None),
        ("ratio=2", 2.0),
        ("kind=b", "b"),
        ('tags=["a", "b"]', ["a", "b"]),
        ("tags=['a']", ["a"]),
        ('prices={"a": 1}', {"a": 1}),
        ("pair=(3, 4)", (3, 4)),
        ("dry=yes", True),
        ("dry=0", False),
        ("count=-3", -3),
        ("old=1.5", 1.5),
        ("made=3", 3),
        ("made=[1, 'x']", [1, "x"]),
        ("made={[1]: 2}", "{[1]: 2}"),
        ("quiet=3", 3),
        ("nothing=true", True),
        ("nothing=some text", "some text"),
        ("model=gpt", "gpt"),
        ("model=None", None),
        ("second=5", 5),
        ("right=2", 2.0),
        ("top=4", 4),
        ("each=[1, 2]", [1, 2]),
        ("maybe=none", None),
        ("maybe=2", 2),
        ("fixed=4", 4),
        ("bare=4", 4),
    ],
)
def test_text_becomes_a_value_of_the_declared_type(text, value):
    found = given(text)[text.partition("=")[0]]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit=x", "not a value of type int"),
        ("count=1.5", "declare it as a float"),
        ("prices={[1]: 2}", "not a value of type dict"),
        ("broken=1", "'int |', is not one that Python can read"),
        ("kind=c", "Literal"),
        ("top=x", "not a value of type Annotated"),
        ("each=['x']", "not a value of type list"),
        ("fixed=x", "not a value of type Final"),
        ("tags=[1]", "list\\[str\\]"),
        ("tags=a, b", "list\\[str\\]"),
        ("prices={'a': 'b'}", "dict"),
        ("pair=(1, 2, 3)", "tuple"),
        ("dry=maybe", "true or false"),
        ("when=2026-01-01", "cannot give a date"),
        ("dai=x", "did you mean 'day'"),
        ("zzz=x", "it has day, limit"),
        ("day", "name=value"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(text, said):
    with pytest.raises(nf.UsageError, match=said):
        given(text)


def test_a_name_given_twice_is_refused():
    with pytest.raises(nf.UsageError, match="twice"):
        given("day=1", "day=2")


def test_a_name_without_a_default_has_to_be_given():
    known = parameters.declared("day: str\nlimit = 1")
    with pytest.raises(nf.UsageError, match="needs day: give -p day="):
        parameters.given(known, ["limit=3"])
    assert parameters.given(known, ["day=x"]) == {"day": "x"}


def test_a_cell_that_is_not_plain_python_is_refused():
    with pytest.raises(nf.UsageError, match="not plain Python"):
        parameters.declared("%pip install x\nday = 1")


NASTY = [
    "it's \"q\" $(touch PWNED) 50% \\ {x}", "--help", "-3", "a\nb\r\n\tc",
    "Ünï \U0001f600 \u202e", "'''\"\"\"", "\x00\x1b[31m", "\udc80", "); import os #",
    "None", "",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_values_are_injected_as_literals_whatever_they_hold(text):
    source = parameters.as_source({"day": text, "tags": [text]})
    assert [type(node) for node in ast.parse(source).body] == [ast.Assign, ast.Assign]
    names = {}
    exec(source, names)
    assert names["day"] == text
    assert names["tags"] == [text]


def test_numbers_without_a_literal_are_injected_all_the_same():
    names = {}
    exec(parameters.as_source({"a": float("inf"), "b": float("nan")}), names)
    assert names["a"] == float("inf")
    assert names["b"] != names["b"]
