"""What is saved is taken without a claim, where the step's latest look-up found something."""

import threading

import pytest

import nbflow as nf


@pytest.fixture
def locked(nb, monkeypatch):
    """The keys that were locked, in order."""
    store, keys = nb.engine.store, []
    lock = store.lock

    def noted(key):
        keys.append(key)
        return lock(key)

    monkeypatch.setattr(store, "lock", noted)
    return keys


def test_hits_after_the_first_take_no_lock(nb, locked):
    ran = []

    @nf.step
    def double(n):
        ran.append(n)
        return 2 * n

    assert [double(n) for n in range(5)] == [0, 2, 4, 6, 8]
    locked.clear()
    assert [double(n) for n in range(5)] == [0, 2, 4, 6, 8]
    assert len(locked) == 1
    assert double(9) == 18
    assert ran == [0, 1, 2, 3, 4, 9]
    assert len(locked) == 2


def test_a_step_that_finds_nothing_is_looked_up_once_a_call(nb, monkeypatch):
    """To look before the claim as well would cost each new call one more search."""
    store, asked = nb.engine.store, []
    get = store.get_buffer

    def get_buffer(key):
        asked.append(key)
        return get(key)

    @nf.step
    def double(n):
        return 2 * n

    double(0)
    monkeypatch.setattr(store, "get_buffer", get_buffer)
    for n in range(1, 6):
        double(n)
    assert len(asked) == 5


def test_who_comes_while_a_saved_call_is_made_again_waits_for_it(nb):
    """The old value is there, and is not what a rerun that is under way will give."""
    begun, ends, values = threading.Event(), threading.Event(), ["new", "old"]

    @nf.step(version="1")
    def fetch(n):
        if (value := values.pop()) == "new":
            begun.set()
            assert ends.wait(10)
        return value

    assert fetch(1) == fetch(1) == fetch(1) == "old"
    nb.engine.runner.forced = frozenset({"fetch"})
    again = threading.Thread(target=fetch, args=(1,))
    again.start()
    assert begun.wait(10)
    nb.engine.runner.forced = frozenset()
    found = []
    other = threading.Thread(target=lambda: found.append(fetch(1)))
    other.start()
    other.join(0.05)
    assert found == []
    ends.set()
    again.join()
    other.join()
    assert found == ["new"]


def test_a_call_that_calls_itself_is_refused_although_it_is_saved(nb):
    """As when it was called first."""
    deep = []

    @nf.step(version="1")
    def count(n):
        return count(n) if deep else n

    assert count(1) == count(1) == 1
    deep.append(True)
    nb.engine.runner.forced = frozenset({"count"})
    with pytest.raises(RecursionError, match="calls itself"):
        count(1)


def test_a_value_that_is_out_of_date_is_computed_again(nb):
    ran = []

    @nf.step(ttl=60)
    def now(n):
        ran.append(n)
        return len(ran)

    assert now(1) == now(1) == 1
    nb.engine.clock.wait(61, None)
    assert now(1) == 2
