"""One call, however it is spelled, has one key; two calls have two."""

import functools
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._key.call import Binder, call_key, inputs_of
from nbflow.errors import UnkeyableError

CODE = bytes(20)


def key(function, *args, ignore=(), **kwargs):
    return call_key("step", CODE, Binder(function, ignore).arguments(args, kwargs))


def classify(text, model="small", *rest, limit=3, **options):
    return text


def test_a_key_is_forty_hexadecimal_digits():
    found = key(classify, "a")
    assert len(found) == 40
    assert set(found) <= set(string.hexdigits.lower())


def test_spelling_does_not_count():
    spellings = {
        key(classify, "a", "small", limit=3),
        key(classify, "a"),
        key(classify, text="a"),
        key(classify, model="small", text="a"),
        key(classify, "a", limit=3),
    }
    assert len(spellings) == 1
    assert key(classify, "a", x=1, y=2) == key(classify, "a", y=2, x=1)


def test_everything_else_counts():
    keys = [
        *(
            key(classify, "a"),
            key(classify, "b"),
            key(classify, "a", "b"),
            key(classify, "a", "small", "b"),
        ),
        *(
            key(classify, "a", limit=4),
            key(classify, "a", x=1),
            key(classify, "a", x=2),
            key(classify, "a", y=1),
        ),
        *(
            key(classify, b"a"),
            key(classify, ["a"]),
            key(classify, ("a",)),
            key(classify, "a", x=(1,)),
            key(classify, "a", x=[1]),
        ),
        *(
            key(classify, float("nan")),
            key(classify, 2**64),
            key(classify, "\ud800"),
            key(classify, None),
            key(classify, {1}),
        ),
        call_key("other", CODE, Binder(classify).arguments(("a",), {})),
        call_key("step", b"\1" * 20, Binder(classify).arguments(("a",), {})),
    ]
    assert len(set(keys)) == len(keys)


def test_arguments_have_names_and_ignored_ones_are_left_out():
    binder = Binder(classify, ["model", "client"])
    assert binder.arguments(("a", "big", 1), {"z": 1, "b": 2, "client": object()}) == [
        ("text", "a"),
        ("rest", (1,)),
        ("limit", 3),
        ("options", {"b": 2, "z": 1}),
    ]
    assert Binder(classify, ["options"]).arguments(("a",), {"x": 1})[-1] == ("limit", 3)
    assert list(Binder(classify).arguments(("a",), {"z": 1, "b": 2})[-1][1]) == [
        "b",
        "z",
    ]


def test_the_callers_arguments_are_not_changed():
    options = {"z": 1, "client": 2}
    Binder(classify, ["client"]).arguments(("a",), options)
    assert list(options) == ["z", "client"]


def test_a_positional_only_name_may_come_again_among_the_options():
    def step(a, /, **options):
        return a

    assert Binder(step).arguments((1,), {"a": 2}) == [("a", 1), ("options", {"a": 2})]


def test_defaults_are_the_functions_own_objects():
    marker = object()

    def step(a=marker, *, b=marker):
        return a, b

    assert [value for _, value in Binder(step).arguments((), {})] == [marker, marker]


def test_names_that_builtins_have_can_be_arguments():
    def step(sorted, dict, list, bind):
        return sorted

    assert Binder(step).arguments((1, 2, 3, 4), {}) == [
        ("sorted", 1),
        ("dict", 2),
        ("list", 3),
        ("bind", 4),
    ]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((1, 2), {"model": 3}), ((), {"model": 3}), ((1,), {"text": 2})],
)
def test_a_wrong_call_fails_as_the_function_would(args, kwargs):
    with pytest.raises(TypeError) as expected:
        classify(*args, **kwargs)
    with pytest.raises(TypeError) as found:
        Binder(classify).arguments(args, kwargs)
    assert str(found.value) == str(expected.value)


def test_too_many_or_unknown_arguments_fail_as_the_function_would():
    def step(a, b=1, /, c=2, *, d):
        return a

    for args, kwargs in [
        ((1, 2, 3, 4), {"d": 1}),
        ((1,), {}),
        ((1,), {"d": 1, "e": 1}),
        ((1,), {"b": 1, "d": 1}),
    ]:
        with pytest.raises(TypeError) as expected:
            step(*args, **kwargs)
        with pytest.raises(TypeError) as found:
            Binder(step).arguments(args, kwargs)
        assert str(found.value) == str(expected.value)


def test_partials_classes_and_functions_of_c_can_be_bound():
    assert Binder(functools.partial(classify, "a")).arguments((), {})[0] == (
        "model",
        "small",
    )
    assert Binder(max).arguments((1, 2), {})[0] == ("args", (1, 2))


def test_what_cannot_be_keyed_is_named_by_its_argument():
    with pytest.raises(
        UnkeyableError,
        match=r'^options\["client"\] is a list_iterator.*ignore=\["options"\]',
    ):
        key(classify, "a", client=iter([]))
    with pytest.raises(UnkeyableError, match=r"^rest\[1\] is a "):
        key(classify, "a", "b", 1, iter([]))
    assert key(classify, "a", client=iter([]), ignore=["client"]) == key(classify, "a")


@given(
    st.lists(st.integers() | st.text(), max_size=4),
    st.dictionaries(st.sampled_from("abcd"), st.integers()),
)
def test_arguments_are_what_python_binds(args, kwargs):
    def step(a, b=0, *rest, c=1, **options):
        return [
            ("a", a),
            ("b", b),
            ("rest", rest),
            ("c", c),
            ("options", dict(sorted(options.items()))),
        ]

    assert outcome(Binder(step).arguments, tuple(args), kwargs) == outcome(
        step, *args, **kwargs
    )


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        return str(error)


def test_the_methods_of_an_object_that_is_passed_in_count(new_notebook):
    cell = (
        "class Rule:\n    def __init__(self, limit):\n        self.limit = limit\n"
        "    def allows(self, x):\n        return check(x, self.limit)\n"
        "def check(x, limit):\n    return x < limit\nrule = Rule(3)\nrules = {'a': [Rule(3)]}\n"
    )

    def key(name, text, **options):
        notebook = new_notebook()
        notebook.run(text)
        return call_key("step", bytes(20), [("rule", notebook[name])], **options)

    for name in ("rule", "rules"):
        assert key(name, cell) == key(
            name, cell.replace("return x < limit", "return x < limit  # strictly")
        )
        assert key(name, cell) != key(name, cell.replace("x < limit", "x <= limit"))
        assert key(name, cell) != key(name, cell.replace("Rule(3)", "Rule(4)"))
        versioned = [
            key(name, text, methods=False)
            for text in (cell, cell.replace("x < limit", "x <= limit"))
        ]
        assert versioned[0] == versioned[1]


def test_the_parts_of_an_input_are_its_columns_or_fields():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1], "b": [2]})
    [given] = inputs_of([("table", frame)])
    assert (given.kind, [name for name, _ in given.parts]) == ("column", ["a", "b"])
    [given] = inputs_of([("options", {"a": 1, "b": [2]})])
    assert (given.kind, [name for name, _ in given.parts]) == ("field", ["a", "b"])
    [given] = inputs_of([("many", dict.fromkeys(map(str, range(300))))])
    assert (given.kind, given.parts) == ("", ())


def test_an_object_may_have_columns_that_are_no_list():
    class Page:
        columns = 3

        def __init__(self):
            self.text = "a"

    [given] = inputs_of([("page", Page())])
    assert [name for name, _ in given.parts if name] == ["text"]
