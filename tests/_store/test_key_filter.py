"""KeyFilter: never wrong in saying no, and rarely wrong in saying perhaps."""

import hashlib

from nbflow._store.disk.key_filter import KeyFilter


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


def test_what_was_added_may_be_there_however_much_follows():
    """Beyond the room of its first layers as well."""
    known = KeyFilter(map(key, range(100)), 100)
    for start in range(0, 400_000, 50_000):
        known.add(map(key, range(start, start + 50_000)))
    assert all(map(known.may_have, map(key, range(400_000))))


def test_few_others_may_be_there():
    """So that a look-up of them need not ask."""
    none, some = KeyFilter(), KeyFilter(map(key, range(300_000)), 300_000)
    others = [key(("other", i)) for i in range(10_000)]
    assert sum(map(none.may_have, others)) == 0
    assert sum(map(some.may_have, others)) < 300
    some.add(map(key, range(300_000, 900_000)))
    assert sum(map(some.may_have, others)) < 600


def test_what_is_no_key_is_left_out():
    """A damaged or forged row costs nothing but itself."""
    known = KeyFilter(["no digits", "", None, 7, b"bytes", key(1)], 6)
    assert known.may_have(key(1))
    assert not known.may_have(key(2))
