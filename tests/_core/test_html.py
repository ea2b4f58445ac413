"""Elements escape the text they hold."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbflow._core.html import Html, h, joined

HOSTILE = "</td><script>alert(1)</script>\"' onload=x &amp;"


class Reader(HTMLParser):
    """What a browser reads: the tags, the attributes and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.said, self.text = [], {}, ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.said |= dict(attrs)

    def handle_data(self, data):
        self.text += data


def test_text_is_escaped_and_elements_are_not():
    cell = h("td", "a < b ", h("b", "& c"), style="color:red")
    assert str(cell) == '<td style="color:red">a &lt; b <b>&amp; c</b></td>'


def test_hostile_text_stays_text():
    page = Reader(str(h("td", HOSTILE, title=HOSTILE)))
    assert page.tags == ["td"]
    assert page.said == {"title": HOSTILE}
    assert page.text == HOSTILE


@given(st.text(), st.text())
def test_any_text_is_read_back_as_it_was(text, title):
    page = Reader(str(h("p", text, title=title)))
    assert page.tags == ["p"]
    assert page.said == {"title": title}
    assert page.text == text


def test_markup_that_became_text_is_escaped():
    """Formatted or added into a text, it is a text, and no longer trusted."""
    bold = h("b", "x")
    assert str(h("p", f"{bold} y")) == "<p>&lt;b&gt;x&lt;/b&gt; y</p>"
    with pytest.raises(TypeError):
        "text" + bold


def test_attributes_have_the_names_of_html():
    shown = h("details", class_="wide", aria_label="a b", data_nbflow="n", open=True)
    assert str(shown) == (
        '<details class="wide" aria-label="a b" data-nbflow="n" open></details>'
    )
    assert str(h("details", open=False)) == "<details></details>"


def test_an_element_that_holds_nothing_is_not_closed():
    assert str(joined("a", h("br"), "b")) == "a<br>b"


def test_joined_parts_are_escaped_each_by_its_kind():
    assert joined("<", Html("<!-- fixed -->"), h("i", ">")) == Html(
        "&lt;<!-- fixed --><i>&gt;</i>"
    )
    assert joined() == Html()


@pytest.mark.parametrize("tag", ["script", "style"])
def test_what_cannot_be_escaped_is_refused(tag):
    with pytest.raises(ValueError, match="cannot hold escaped text"):
        h(tag, "a > b")
