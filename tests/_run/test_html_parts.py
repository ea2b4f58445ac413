"""The parts of pictures hold whatever text they are given."""

import pytest

from nbflow._run.explanation import Explanation
from nbflow._run.html_parts import framed, static_beside, table, with_code
from nbflow._run.plan import FlowForecast, Plan, StepForecast

HOSTILE = "</div><script>alert(1)</script>\"'&"
ESCAPED = "&lt;/div&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;"


def test_names_between_backticks_are_code():
    assert str(with_code("`a<b` changed, so did `c`")) == (
        "<code>a&lt;b</code> changed, so did <code>c</code>"
    )
    assert str(with_code("no names")) == "no names"


def test_only_messages_and_reasons_are_broken_into_lines():
    shown = str(table(["record", "message"], [[HOSTILE, HOSTILE]], right={0}))
    assert shown.count(ESCAPED) == 2
    assert "<script" not in shown
    record, message = shown.split("<td ")[1:]
    assert "white-space:nowrap" in record
    assert "text-align:right" in record
    assert "white-space:normal" in message


def test_amounts_in_dollars_are_no_formula():
    """JupyterLab gives outputs to MathJax, which takes what is between two for one."""
    assert str(framed("$0.02 of $5")).startswith(
        '<div class="tex2jax_ignore mathjax_ignore" '
    )


def test_a_static_picture_is_marked_for_the_widget_that_hides_it():
    assert static_beside('a"b', "<b>picture</b>") == (
        '<div class="nbflow-static" data-nbflow="a&quot;b"><b>picture</b></div>'
    )


@pytest.mark.parametrize(
    "shown",
    [
        Plan(
            HOSTILE,
            records=1,
            rows=1,
            flows=(FlowForecast(HOSTILE, steps={HOSTILE: StepForecast(calls=1)}),),
            seconds=None,
        ),
        Explanation(HOSTILE, HOSTILE, HOSTILE, uncounted=((HOSTILE, HOSTILE),)),
    ],
    ids=["plan", "explanation"],
)
def test_a_result_escapes_whatever_it_shows(shown):
    page = shown._repr_html_()
    assert type(page) is str
    assert page.count(ESCAPED) >= 3
    assert "<script" not in page
