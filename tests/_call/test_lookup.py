"""What is saved is looked up in bulk, and large values few at a time."""

import numpy as np
import pytest

import nbflow as nf
from nbflow._call import lookup

VALUES, SIZE = 400, 200_000


@pytest.fixture
def held(nb, monkeypatch):
    """The bytes that each look-up holds at once."""
    store, sizes = nb.engine.store, []
    get_many = store.get_many

    def counted(keys):
        found = get_many(keys)
        sizes.append(sum(map(len, found.values())))
        return found

    monkeypatch.setattr(store, "get_many", counted)
    return sizes


def test_large_values_are_not_all_held_to_say_that_they_are_there(nb, held):
    @nf.step
    def load(n):
        return np.full(SIZE // 8, float(n))

    run = load.map(range(VALUES))
    held.clear()
    again = load.map(range(VALUES))
    assert again.counts["load"] == {"CACHED": VALUES}
    plan = load.plan(range(VALUES))
    assert plan.cached == VALUES
    values = run.results("load")
    assert [value[0] for value in values] == list(range(VALUES))
    load.forget()
    assert max(held) <= 2 * lookup._BYTES
    assert sum(held) >= 3 * VALUES * SIZE


def test_small_values_are_looked_up_many_at_once(nb, held):
    @nf.step
    def size(n):
        return n

    size.map(range(5_000))
    held.clear()
    size.map(range(5_000))
    assert len(held) < 30


def test_heads_of_every_checkpoint_hold_no_value(nb):
    @nf.step
    def load(n):
        return bytes(SIZE)

    load.map(range(3))
    heads = [head for _, head in lookup.every(nb.engine.store)]
    assert sum(head.name == "load" for head in heads) == 3
    assert {bytes(head.payload) for head in heads} == {b""}
