"""Guard: many share it, or one has it alone; who waits for whom, and how long."""

import os
import threading

import pytest

from nbflow._store.disk.guard import Guard, Patience
from nbflow._store.folder import lock_file, open_private


@pytest.fixture
def path(tmp_path):
    return tmp_path / "guard"


def refuses(path, how):
    try:
        with getattr(Guard(path, timeout=0), how)():
            return False
    except TimeoutError:
        return True


def test_many_share_the_guard_or_one_has_it_alone(path):
    """The one who waits in vain is told so."""
    guard = Guard(path, timeout=0)
    with guard.shared(), guard.shared():
        assert refuses(path, "alone")
    with guard.alone():
        assert refuses(path, "shared")
    assert not refuses(path, "alone")


def test_a_child_forked_meanwhile_does_not_keep_the_guard(path):
    """It inherits the open file, which would hold the lock as long as it lives."""
    leash, holder = os.pipe()
    with Guard(path, timeout=0).alone():
        pid = os.fork()
        if pid == 0:
            os.close(holder)
            os.read(leash, 1)
            os._exit(0)
    assert not refuses(path, "alone")
    os.close(holder)
    os.close(leash)
    os.waitpid(pid, 0)


def test_who_must_be_alone_gets_in_among_those_who_come_and_go(path):
    """Each of them overlaps with the next, so that the guard is never free by itself."""
    stop, turns = threading.Event(), [threading.Event(), threading.Event()]

    def come_and_go(mine, theirs):
        while not stop.is_set():
            with Guard(path, timeout=60).shared():
                theirs.set()
                mine.wait(1)  # until the other one is in as well, unless it is kept out
                mine.clear()

    threads = [
        threading.Thread(target=come_and_go, args=order)
        for order in (turns, turns[::-1])
    ]
    for thread in threads:
        thread.start()
    try:
        with Guard(path, timeout=60).alone():
            pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_who_stands_in_the_turnstile_and_does_not_move_keeps_nobody_out(path):
    """He may be stopped: Ctrl-Z."""
    turnstile = open_private(path.with_name("turnstile"), os.O_RDWR | os.O_CREAT)
    assert lock_file(turnstile)
    assert not refuses(path, "shared")
    assert not refuses(path, "alone")
    os.close(turnstile)


def test_after_one_wait_in_vain_nobody_waits_until_something_is_granted():
    patience = Patience(30)
    assert patience.seconds == 30
    patience.learn(granted=False)
    assert patience.seconds < 1
    patience.learn(granted=True)
    assert patience.seconds == 30
