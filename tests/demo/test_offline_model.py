"""The stand-in for an LLM: deterministic trouble, honest answers."""

import csv
import json
import subprocess
import sys
from importlib.resources import files

import pytest

from nbflow._core.policy import may_pass, retry_after
from nbflow.demo.offline_model import LABELS, RateLimited, ask

THREADS = list(
    csv.DictReader(
        files("nbflow.demo").joinpath("threads.csv").open(encoding="utf-8", newline="")
    )
)


def outcome(text, task="label"):
    """What one request comes to, as text."""
    try:
        return ask(text, task)
    except Exception as error:
        return repr(error)


def test_there_are_two_hundred_rows_and_one_thread_came_twice():
    assert len(THREADS) == 200
    assert len({thread["id"] for thread in THREADS}) == 199
    assert len({tuple(thread.values()) for thread in THREADS}) == 199


def test_every_true_label_is_one_that_the_model_knows():
    assert {thread["label"] for thread in THREADS} == set(LABELS)


def test_the_same_request_meets_the_same_trouble_in_every_process():
    """A digest decides, not chance: a notebook's outputs can be held to."""
    code = (
        "from nbflow.demo.offline_model import ask\n"
        "for number in range(100):\n"
        "    try: print(ask(f'refund for order {number}'))\n"
        "    except Exception as error: print(repr(error))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert {"TimeoutError", "RateLimited"} <= {
        line.partition("(")[0] for line in runs[0].splitlines()
    }


def test_a_later_request_for_the_same_text_may_pass():
    """Trouble belongs to the request, not to the text."""
    first = [outcome(f"my parcel {number} is late") for number in range(40)]
    second = [outcome(f"my parcel {number} is late") for number in range(40)]
    broken = [
        number
        for number, answer in enumerate(first)
        if not answer.startswith('{"label": "shipping"')
    ]
    assert broken
    assert any(second[number].startswith('{"label": "shipping"') for number in broken)


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_empty_text_is_refused_for_good(text):
    """The engine reads the status, 422, and doesn't try again."""
    with pytest.raises(Exception, match="empty") as refused:
        ask(text)
    assert not may_pass(refused.value)


def test_a_very_long_text_times_out_every_time():
    for _ in range(6):
        with pytest.raises(TimeoutError, match=r"4,000"):
            ask("word " * 1_000)


def test_a_job_application_gets_a_label_nobody_offered():
    answers = [outcome("My CV is attached") for _ in range(20)]
    labels = {
        json.loads(answer)["label"] for answer in answers if answer.startswith("{")
    }
    assert "recruiting" in labels
    assert not labels & set(LABELS)


def test_a_rate_limit_says_how_long_to_wait():
    """As an attribute, and as the header that clients read."""
    error = RateLimited(retry_after=0.1)
    assert may_pass(error)
    assert retry_after(error) == 0.1
    assert error.response.headers["Retry-After"] == "0.1"
