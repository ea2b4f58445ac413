"""A run as text and as HTML, whatever its records hold."""

import nbflow as nf
from nbflow._core.table import short, table_of
from nbflow._run.render import to_html, to_text

EVENT = "e"


def test_a_terminal_obeys_nothing_that_a_record_says(nb):
    r"""Not the title of the window (`\x1b]0;`), not a cleared screen, not a turned line.

    What is written stays readable.
    """

    @nf.flow(on=EVENT)
    def look(record):
        raise ValueError("\x1b]0;owned\x07 \x1b[2J \x9b31m \u202egnp.exe\n漢字")

    run = nb.send(EVENT, [{"id": "\x1b[31mred\x7f"}], key="id")
    for shown in (
        to_text(table_of(run.reader.state())),
        to_html(table_of(run.reader.state())),
    ):
        assert not set(shown) & {"\x1b", "\x07", "\x7f", "\x9b", "\u202e"}
        assert "␛[31mred␡" in shown
        assert "␛]0;owned␇" in shown
        assert "漢字" in shown


def test_a_long_text_is_cut_to_its_length():
    assert short("a\n  b" * 5, 8) == "a ba ba…"
