"""Generated functions, edited at random: a cosmetic edit keeps the digest, a semantic one changes it."""

import ast
import linecache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbflow._key.code import read

NAMES = st.sampled_from(["x", "y", "LIMIT", "helper(x)", "len"])
LITERALS = st.integers(0, 99).map(str) | st.text("ab '\"{}#", max_size=4).map(repr) | st.sampled_from(["None", "True", "1.5", "b'a'"])
EXPRESSIONS = st.recursive(
    NAMES | LITERALS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "<", "==", "and", "in"]), inner)
        | st.builds("[{} for z in {}]".format, inner, inner)
        | st.builds("({} if {} else {})".format, inner, inner, inner)
        | st.builds("(lambda y: {})".format, inner)
        | st.builds("{{'a': {}, **{}}}".format, inner, inner)
        | st.builds("f(a={}, *{})".format, inner, inner)
        | st.builds("x.attribute[{}]".format, inner)
    ),
    max_leaves=6,
)
SIMPLE = st.builds("{} = {}".format, st.sampled_from("xyz"), EXPRESSIONS) | EXPRESSIONS.map("f({})".format)
STATEMENTS = st.recursive(
    SIMPLE.map(lambda line: [line]),
    lambda inner: (
        st.builds(lambda test, body: [f"if {test}:", *indented(body)], EXPRESSIONS, inner)
        | st.builds(lambda items, body: [f"for y in {items}:", *indented(body)], EXPRESSIONS, inner)
        | st.builds(lambda body: ["try:", *indented(body), "except ValueError:", "    raise"], inner)
        | st.builds(lambda body: ["def g(y):", *indented(body)], inner)
        | st.builds(lambda one, other: [*one, *other], inner, inner)
    ),
    max_leaves=4,
)
CELLS = st.builds(
    lambda own, helper, limit: [f"LIMIT = {limit}", "def helper(y):", *indented(helper), "def step(x, y=1):", *indented(own)],
    STATEMENTS,
    STATEMENTS,
    LITERALS,
)
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def indented(lines):
    return ["    " + line for line in lines]


def code(text):
    filename = f"/tmp/ipykernel_9/{abs(hash(text))}.py"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    space = {"__name__": "__main__"}
    exec(compile(text, filename, "exec"), space)
    return read(space["step"])


@QUIET
@given(CELLS, st.data())
def test_a_cosmetic_edit_keeps_every_digest(lines, data):
    edited = []
    for line in lines:
        blank = data.draw(st.sampled_from([[], [""], ["# why"], ["", "    # why: 'x' (y)"]]))
        edited += [*blank, line + data.draw(st.sampled_from(["", "  # because", "   "]))]
        if line.lstrip().startswith("def ") and data.draw(st.booleans()):
            depth = len(line) - len(line.lstrip()) + 4
            edited.append(" " * depth + '"""Say what it does."""')
            edited[-2] = edited[-2].replace("(y)", "(y: int) -> 'str'").replace("x, y=1", "x: list[int], y: int=1")
    one, other = code("\n".join(lines)), code("\n".join(edited))
    assert one == other
    assert code(ast.unparse(ast.parse("\n".join(lines)))) == one


class Edit(ast.NodeTransformer):
    """Changes the node at one place: a constant, an operator, a name, a branch."""

    def __init__(self, place):
        self.place = place
        self.seen = -1

    def edit(self, node, make):
        self.seen += 1
        return make() if self.seen == self.place else self.generic_visit(node)

    def visit_Constant(self, node):
        return self.edit(node, lambda: ast.Constant(("edited", 1)[isinstance(node.value, str)]))

    def visit_Add(self, node):
        return self.edit(node, ast.Sub)

    def visit_Lt(self, node):
        return self.edit(node, ast.LtE)

    def visit_And(self, node):
        return self.edit(node, ast.Or)

    def visit_IfExp(self, node):
        return self.edit(node, lambda: ast.IfExp(node.test, node.orelse, node.body))

    def visit_Attribute(self, node):
        return self.edit(node, lambda: ast.Attribute(node.value, node.attr + "s", node.ctx))


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
