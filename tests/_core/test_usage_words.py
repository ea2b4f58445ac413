"""Usage adds up, and is told in words that keep unknown prices apart from none."""

import pytest

from nbflow import Usage, UsageError
from nbflow._core.usage import dollars, money, short_number

PRICED, UNPRICED = Usage(1, 1000, 100, 0, 0.25, 0), Usage(1, 500, 50, 0, None, 1)


def test_a_sum_keeps_unknown_prices_apart():
    both = PRICED + UNPRICED
    assert both == Usage(2, 1500, 150, 0, 0.25, 1)
    assert both - UNPRICED == PRICED
    assert sum([PRICED, PRICED]) == Usage(2, 2000, 200, 0, 0.5, 0)
    assert (UNPRICED + UNPRICED).cost is None
    with pytest.raises(TypeError):
        PRICED.__add__((1, 2)) + 1


def test_a_sum_names_each_model_that_answered_once():
    old, new = Usage(1, models=("m-1",)), Usage(1, models=("m-2",))
    assert (old + old).models == ("m-1",)
    assert (old + new + old).models == ("m-1", "m-2")
    assert (Usage(1) + old).models == (old + Usage(1)).models == ("m-1",)


def test_words_never_show_an_unknown_price_as_nothing():
    assert str(PRICED) == "$0.25 for 1.1k tokens"
    assert str(UNPRICED) == "550 tokens, cost unknown"
    assert (
        str(PRICED + UNPRICED)
        == "$0.25 for 1.6k tokens; the price of 1 of 2 requests is unknown"
    )
    lost = Usage(1, unpriced=1, unanswered=1)
    assert (
        str(PRICED + lost)
        == "$0.25 for 1.1k tokens; 1 of 2 requests got no answer, and what they cost is unknown"
    )
    assert str(lost).startswith("0 tokens, cost unknown; 1 of 1 requests got no answer")
    assert (PRICED + lost) - lost == PRICED
    assert [
        use.told_cost for use in (PRICED, UNPRICED, PRICED + UNPRICED, Usage())
    ] == ["$0.25", "unknown", "$0.25+", ""]


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0, "$0.00"),
        (0.00189, "$0.0019"),
        (0.0000021, "$0.0000021"),
        (0.00999, "$0.01"),
        (0.000999, "$0.0010"),
        (0.5, "$0.50"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_below_a_cent_keeps_two_digits(amount, said):
    assert money(amount) == said


def test_short_numbers():
    assert [
        short_number(number)
        for number in (
            0,
            999,
            1000,
            12_345,
            99_960,
            123_456,
            999_499,
            999_500,
            1_234_567,
        )
    ] == ["0", "999", "1.0k", "12.3k", "100k", "123k", "999k", "1.0M", "1.2M"]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$5", 5),
        ("0.50", 0.5),
        ("US$1,000.25", 1000.25),
        ("5 USD", 5),
        (".5", 0.5),
        (3, 3),
        (0.1, 0.1),
    ],
)
def test_a_budget_is_read_as_people_write_it(text, amount):
    assert dollars(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "much",
        "$0",
        "-5",
        "5 EUR",
        0,
        -1,
        True,
        None,
        float("nan"),
        float("inf"),
        "5$5",
    ],
)
def test_what_is_no_amount_of_money_is_refused(text):
    with pytest.raises(UsageError, match="is not an amount of money"):
        dollars(text)
