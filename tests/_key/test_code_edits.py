"""Generated functions, edited at random: a cosmetic edit keeps the digest, a semantic one changes it."""

import ast
import linecache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._key.reader import read

NAMES = st.sampled_from(["x", "y", "LIMIT", "helper(x)", "len"])
LITERALS = (
    st.integers(0, 99).map(str)
    | st.text("ab '\"{}#", max_size=4).map(repr)
    | st.sampled_from(["None", "True", "1.5", "b'a'"])
)
EXPRESSIONS = st.recursive(
    NAMES | LITERALS,
    lambda inner: (
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(["+", "-", "*", "<", "==", "and", "in"]),
            inner,
        )
        | st.builds("[{} for z in {}]".format, inner, inner)
        | st.builds("({} if {} else {})".format, inner, inner, inner)
        | st.builds("(lambda y: {})".format, inner)
        | st.builds("{{'a': {}, **{}}}".format, inner, inner)
        | st.builds("f(a={}, *{})".format, inner, inner)
        | st.builds("x.attribute[{}]".format, inner)
    ),
    max_leaves=6,
)
SIMPLE = st.builds(
    "{} = {}".format, st.sampled_from("xyz"), EXPRESSIONS
) | EXPRESSIONS.map("f({})".format)
STATEMENTS = st.recursive(
    SIMPLE.map(lambda line: [line]),
    lambda inner: (
        st.builds(
            lambda test, body: [f"if {test}:", *indented(body)], EXPRESSIONS, inner
        )
        | st.builds(
            lambda items, body: [f"for y in {items}:", *indented(body)],
            EXPRESSIONS,
            inner,
        )
        | st.builds(
            lambda body: ["try:", *indented(body), "except ValueError:", "    raise"],
            inner,
        )
        | st.builds(lambda body: ["def g(y):", *indented(body)], inner)
        | st.builds(lambda one, other: [*one, *other], inner, inner)
    ),
    max_leaves=4,
)
CELLS = st.builds(
    lambda own, helper, limit: [
        f"LIMIT = {limit}",
        "def helper(y):",
        *indented(helper),
        "def step(x, y=1):",
        *indented(own),
    ],
    STATEMENTS,
    STATEMENTS,
    LITERALS,
)
QUIET = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def indented(lines):
    return ["    " + line for line in lines]


def code(text):
    filename = f"/tmp/ipykernel_9/{abs(hash(text))}.py"
    linecache.cache[filename] = (
        len(text),
        None,
        text.splitlines(keepends=True),
        filename,
    )
    space = {"__name__": "__main__"}
    exec(compile(text, filename, "exec"), space)
    return read(space["step"])


@QUIET
@given(CELLS, st.data())
def test_a_cosmetic_edit_keeps_every_digest(lines, data):
    edited = []
    for line in lines:
        blank = data.draw(
            st.sampled_from([[], [""], ["# why"], ["", "    # why: 'x' (y)"]])
        )
        edited += [
            *blank,
            line + data.draw(st.sampled_from(["", "  # because", "   "])),
        ]
        if line.lstrip().startswith("def ") and data.draw(st.booleans()):
            depth = len(line) - len(line.lstrip()) + 4
            edited.append(" " * depth + '"""Say what it does."""')
            edited[-2] = (
                edited[-2]
                .replace("(y)", "(y: int) -> 'str'")
                .replace("x, y=1", "x: list[int], y: int=1")
            )
    one, other = code("\n".join(lines)), code("\n".join(edited))
    assert one == other
    assert code(ast.unparse(ast.parse("\n".join(lines)))) == one


def test_a_docstring_above_dead_code_keeps_every_digest():
    """The compiler keeps the first constant of a function as a docstring would be, also that of dead code."""
    body = "    if 0:\n        f([LIMIT for z in x])\n"
    plain, told = (
        code(f"LIMIT = 0\ndef step(x):\n{doc}{body}")
        for doc in ("", '    """Say what it does."""\n')
    )
    assert plain == told


class Edit(ast.NodeTransformer):
    """Changes the node at one place: a constant, an operator, a name, a branch."""

    def __init__(self, place):
        self.place = place
        self.seen = -1

    def edit(self, node, make):
        self.seen += 1
        return make() if self.seen == self.place else self.generic_visit(node)

    def visit_Constant(self, node):
        return self.edit(
            node, lambda: ast.Constant(("edited", 1)[isinstance(node.value, str)])
        )

    def visit_Add(self, node):
        return self.edit(node, ast.Sub)

    def visit_Lt(self, node):
        return self.edit(node, ast.LtE)

    def visit_And(self, node):
        return self.edit(node, ast.Or)

    def visit_IfExp(self, node):
        return self.edit(node, lambda: ast.IfExp(node.test, node.orelse, node.body))

    def visit_Attribute(self, node):
        return self.edit(
            node, lambda: ast.Attribute(node.value, node.attr + "s", node.ctx)
        )


@QUIET
@given(CELLS, st.data())
def test_a_semantic_edit_changes_the_digest_and_its_reversal_restores_it(lines, data):
    text = "\n".join([*lines, "    return helper(LIMIT), x + 1"])
    counter = Edit(-1)
    counter.visit(ast.parse(text))
    place = data.draw(st.integers(0, counter.seen))
    edited = ast.fix_missing_locations(Edit(place).visit(ast.parse(text)))
    before = code(text)
    if ast.dump(edited) == ast.dump(ast.parse(text)):
        assert code(ast.unparse(edited)) == before
    else:
        assert code(ast.unparse(edited)).digest != before.digest
    assert code(text) == before


#: Ways in which one function leads to another; each defines `f{n}` over `f{n+1}`, and
#: is as good as any other.
LINKS = [
    "def f{n}(x):\n    return f{m}(x)\n",
    "import functools\nh{n} = functools.partial(f{m})\ndef f{n}(x):\n    return h{n}(x)\n",
    "T{n} = {{'a': [f{m}]}}\ndef f{n}(x):\n    return T{n}['a'][0](x)\n",
    "def f{n}(x, inner=f{m}):\n    return inner(x)\n",
    "def make{n}(inner):\n    def f{n}(x):\n        return inner(x)\n    return f{n}\nf{n} = make{n}(f{m})\n",
    "class C{n}:\n    def ask(self, x):\n        return f{m}(x)\nc{n} = C{n}()\ndef f{n}(x):\n    return c{n}.ask(x)\n",
    "class D{n}:\n    ask = staticmethod(f{m})\ndef f{n}(x):\n    return D{n}.ask(x)\n",
    "def deco{n}(g):\n    return lambda x: f{m}(g(x))\n@deco{n}\ndef f{n}(x):\n    return x\n",
    (
        "import functools\n@functools.lru_cache\ndef k{n}(x):\n    return f{m}(x)\ndef"
        " f{n}(x):\n    return [k{n}(y) for y in x]\n"
    ),
    "f{n} = lambda x: (lambda y: f{m}(y))(x)\n",
    "async def a{n}(x):\n    return f{m}(x)\ndef f{n}(x):\n    return a{n}(x)\n",
    "import types\ns{n} = types.SimpleNamespace(ask=f{m})\ndef f{n}(x):\n    return s{n}.ask(x)\n",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(0, 7), max_size=3)
    ),
    max_leaves=6,
)


def chain(links, last, value):
    """A step that reaches, link by link, the function at the end, and a value that it reads."""
    text = f"VALUE = {value!r}\ndef f{len(links)}(x):\n    {last}\n"
    for place in reversed(range(len(links))):
        text += links[place].format(n=place, m=place + 1)
    return text + "step = f0\n"


@QUIET
@given(st.lists(st.sampled_from(LINKS), min_size=1, max_size=5), VALUES, VALUES)
def test_the_end_of_every_chain_is_reached(links, value, other):
    last = "return x + 1, VALUE"
    before = code(chain(links, last, value)).digest
    assert (
        code(
            chain(links, last + "  # why", value).replace(
                "\ndef ", "\n\n# a comment\ndef "
            )
        ).digest
        == before
    )
    assert code(chain(links, "return x + 2, VALUE", value)).digest != before
    same = repr(other) == repr(value) and type(other) is type(value)
    assert (code(chain(links, last, other)).digest == before) is same


@QUIET
@given(VALUES, VALUES)
def test_a_value_that_is_changed_in_place_counts_as_the_one_that_is_assigned(
    value, other
):
    text = "VALUE = [{!r}]\ndef step(x):\n    return VALUE\n"
    filename = "/tmp/ipykernel_9/in_place.py"
    linecache.cache[filename] = (1, None, text.splitlines(keepends=True), filename)
    space = {"__name__": "__main__"}
    exec(compile(text.format(value), filename, "exec"), space)
    before = read(space["step"]).digest
    space["VALUE"][0] = other
    changed = read(space["step"]).digest
    space["VALUE"] = [other]
    assert read(space["step"]).digest == changed
    space["VALUE"] = [value]
    assert read(space["step"]).digest == before
    assert (changed == before) is (
        repr(value) == repr(other) and type(value) is type(other)
    )
