"""A notice: who gets it, and what it says and does not say."""

import pytest

from nbflow._core.notice import Finished, NoticeCause, is_wanted, message_of, occasions
from nbflow._core.usage import Usage
from nbflow.errors import UsageError

CODES = (0, 1, 2, 3, 4, 5, 6, 130, 138)


@pytest.mark.parametrize(
    ("when", "before", "told"),
    [
        ("failure", None, {1, 2, 3, 4, 6, 130, 138}),
        ("always", None, set(CODES)),
        ("change", None, {1, 2, 3, 4, 6, 130, 138}),
        ("change", True, {0, 5}),
        ("change", False, {1, 2, 3, 4, 6, 130, 138}),
        ("waiting", None, {5}),
        ("budget", None, {4}),
        ("waiting,budget", None, {4, 5}),
    ],
)
def test_who_is_told_of_which_exit_code(when, before, told):
    asked = occasions([when])
    found = {
        code for code in CODES if is_wanted(asked, Finished("job", code, ""), before)
    }
    assert found == told


def test_an_occasion_that_is_none_is_refused():
    assert occasions([]) == {"failure"}
    with pytest.raises(UsageError, match="write one or more of failure, always"):
        occasions(["failure,", "always"])


ENDED = Finished(
    "threads.ipynb",
    3,
    "Every cell ran; 12 need you.",
    told="Every cell ran; 12 need you: Ada.",
    causes=(
        NoticeCause(1200, "timed out", "categorize", "Ada, record 7"),
        NoticeCause(3, "KeyError", "save"),
        NoticeCause(2, "ValueError", "save"),
        NoticeCause(1, "OSError", ""),
        NoticeCause(1, "TypeError", ""),
    ),
    used=Usage(1, 1000, 200, cost=1.5),
    seconds=424,
    opens='nf.open_run("x")',
    report="/srv/x.run.json",
    machine="worker",
)


TEXT = """\
Every cell ran; 12 need you.

Most common causes:
  1,200  timed out at categorize
      3  KeyError at save
      2  ValueError at save
         and 2 other causes

Cost: $1.50 for 1.2k tokens
Took: 7 min 04 s, exit code 3
Open it: nf.open_run("x")
Report: /srv/x.run.json
Machine: worker"""


def test_a_notice_has_the_sentence_three_causes_the_cost_and_how_to_open_it():
    message = message_of(ENDED, content=False)
    assert message.title == "\u2717 threads.ipynb: records failed"
    assert message.text == TEXT
    assert "Ada" not in "".join(message)
    assert "Ada" in message_of(ENDED, content=True).text
    assert "Ada" in message_of(ENDED, content=True).html


def test_no_text_becomes_markup_or_breaks_the_subject():
    nasty = "<img src=x onerror=alert(1)>\n\ud800\x1b[31m"
    ended = Finished(nasty, 1, nasty, causes=(NoticeCause(1, nasty, nasty),))
    message = message_of(ended, content=False)
    assert "<img" not in message.html
    assert "\n" not in message.title
    assert "\x1b" not in message.title + message.text
    for text in message:
        text.encode()
