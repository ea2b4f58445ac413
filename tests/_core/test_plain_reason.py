"""Why a record failed, in words of somebody who writes no code."""

import pytest

from nbflow._core.plain_reason import reason_of


@pytest.mark.parametrize(
    ("error", "message", "words"),
    [
        ("TimeoutError", "late", "too long"),
        ("StepTimeoutError", "exceeded 3 s", "too long"),
        ("ReadTimeout", "", "too long"),
        ("RateLimitError", "429", "too busy"),
        ("ConnectionResetError", "reset by peer", "could not be reached"),
        ("APIConnectionError", "Connection error.", "could not be reached"),
        ("AuthenticationError", "bad key", "refused access"),
        ("ValidationError", "1 validation error for Label", "expected form"),
        ("JSONDecodeError", "Expecting value: line 1", "expected form"),
        ("HTTPStatusError", "500 Server Error for url", "answered with an error"),
        ("BudgetError", "the budget is used up", "budget"),
        ("KeyError", "'price'", "a developer has to look"),
        ("AttributeError", "'NoneType' object has no attribute 'x'", "a developer"),
        ("ValueError", "", "a developer has to look"),
    ],
)
def test_an_error_of_a_known_kind_is_said_in_plain_words(error, message, words):
    assert words in reason_of(error, message)
    assert error not in reason_of(error, message)


@pytest.mark.parametrize("error", ["NonRetriableError", "ValueError", "NoPrice"])
def test_a_message_that_was_written_to_be_read_is_quoted(error):
    said = reason_of(error, "the row has\nno price")
    assert said == "\u201cthe row has no price\u201d"
