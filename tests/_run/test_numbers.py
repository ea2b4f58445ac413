"""Numbers of records by their keys: what a dict says, in a tenth of its memory."""

import random
import sys

from nbflow._run.batch import Batch
from nbflow._run.numbers import Numbers


def test_numbers_are_those_of_a_dict():
    dice, known, numbers, count = random.Random(3), {}, Numbers(), 0
    for _ in range(20_000):
        key = f"t-{dice.randrange(9000)}"
        if dice.random() < 0.1:
            count += 1  # a record without a key
        number = known.setdefault(key, count)
        assert numbers.setdefault(key, count) == number
        count += number == count
    assert len(known) > 7000


def test_keys_of_one_hash_place_are_told_apart():
    """However the table grows."""
    numbers = Numbers()
    keys = [f"{n}" for n in range(5000)]
    crowded = [key for key in keys if hash(key) & 63 == 5]
    for number, key in enumerate(crowded):
        assert numbers.setdefault(key, number) == number
    for number, key in enumerate(crowded):
        assert numbers.setdefault(key, 10**6) == number


def test_ten_thousand_keys_take_some_twenty_bytes_each():
    numbers = Numbers()
    for number in range(10_000):
        numbers.setdefault(f"t-{number}", number)
    held = sys.getsizeof(numbers._hashes) + sys.getsizeof(numbers._table)
    assert held < 10_000 * 24


def test_rows_of_one_key_are_one_record_if_their_content_is():
    rows = [{"id": n % 5, "n": n % 5 + (n == 7)} for n in range(10)]
    found = [
        (number, times, row.error is not None)
        for number, times, row in Batch(iter(rows), "id").numbered()
    ]
    assert found == [
        (0, 1, False),
        (1, 1, False),
        (2, 1, False),
        (3, 1, False),
        (4, 1, False),
        (0, 2, False),
        (1, 2, False),
        (5, 1, True),
        (3, 2, False),
        (4, 2, False),
    ]
