"""How many different things further records bring is estimated from those before."""

import random
from collections import Counter

import pytest

from nbflow._core import distinct


def times(draws):
    return Counter(Counter(draws).values())


def test_where_nothing_was_met_twice_each_record_brings_as_many_as_before():
    least, likely, most = distinct.further({1: 10}, 10, 10, 90)
    assert (likely, most) == (90, 90)
    assert least < 90


def test_where_everything_was_met_often_records_bring_nothing_new():
    assert distinct.further({5: 20}, 100, 100, 1000) == (0, 0, 0)


def test_as_many_records_as_were_seen_hold_as_many_things():
    draws = [n % 30 for n in range(100)]
    _, likely, _ = distinct.further(times(draws), 100, 0, 100)
    assert likely == pytest.approx(30, abs=1)


@pytest.mark.parametrize("pool", [20, 100, 1000])
def test_the_truth_is_mostly_between_the_least_and_the_most(pool):
    hits = 0
    for seed in range(40):
        draw = random.Random(seed)
        first = [draw.randrange(pool) for _ in range(200)]
        then = [draw.randrange(pool) for _ in range(200)]
        least, _, most = distinct.further(times(first), 200, 200, 200)
        hits += 0.8 * least - 3 <= len(set(then) - set(first)) <= 1.25 * most + 3
    assert hits >= 35


def test_one_record_tells_nothing_but_that_it_brought_one():
    assert distinct.further({1: 1}, 1, 1, 5)[1:] == (5, 5)
