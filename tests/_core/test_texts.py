"""Many short texts in few bytes: a list in all that it says."""

import sys
from array import array

import pytest

from nbflow._core.texts import Texts

WORDS = ["t-1", "", "t-10", "1", "t-1", "\udcff.txt", "Zürich / 'a'", "x" * 3000, "\0"]


def test_texts_are_the_list_that_they_were_made_of():
    texts = Texts(WORDS)
    assert texts == WORDS
    assert (len(texts), list(texts), texts[2], texts[-1]) == (9, WORDS, "t-10", "\0")
    assert [texts[place] for place in range(9)] == WORDS
    assert texts[1:4] == WORDS[1:4]
    assert texts[::-2] == WORDS[::-2]
    assert Texts() == []
    with pytest.raises(IndexError):
        texts[9]
    with pytest.raises(IndexError):
        Texts()[0]


def test_a_text_is_found_as_a_whole_and_at_its_first_place():
    texts = Texts(WORDS)
    for word in WORDS:
        assert word in texts
        assert texts.index(word) == WORDS.index(word)
    assert texts.index("t-1", 1) == 4
    for word in ("t-", "-1", "t-100", "10", 1, None, "\xff"):
        assert word not in texts
        with pytest.raises(ValueError, match="is not among"):
            texts.index(word)
    with pytest.raises(ValueError, match="is not among"):
        texts.index("t-1", 1, 4)


def test_what_was_written_down_is_read_again_and_continues():
    for words in (WORDS, []):
        texts = Texts(words)
        again = Texts.joined(bytearray(texts.raw), array("I", texts.lengths))
        assert again == texts
        again.append("new")
        assert again == [*words, "new"]
        assert again.index("new") == len(words)


def test_ten_thousand_keys_take_a_third_of_what_they_take_as_objects():
    keys = [f"t-{number}" for number in range(10_000)]
    texts = Texts(keys)
    held = texts.raw.__sizeof__() + sys.getsizeof(texts._ends)
    assert held * 3 < sys.getsizeof(keys) + sum(map(sys.getsizeof, keys))
    assert list(texts) == keys
