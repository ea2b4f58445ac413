"""Looking at another thread starts no garbage collection, which could stop the process for ever."""

import gc
import sys
import threading

from nbflow._key.thread_frames import frame_of


def test_no_garbage_is_collected_while_frames_are_made(monkeypatch):
    seen = []
    frames = sys._current_frames

    def watched():
        seen.append(gc.isenabled())
        return frames()

    monkeypatch.setattr(sys, "_current_frames", watched)
    assert frame_of(threading.get_ident()) is not None
    assert frame_of(-1) is None
    assert seen == [False, False]
    assert gc.isenabled()


def test_a_program_that_collects_no_garbage_is_left_so():
    gc.disable()
    try:
        frame_of(threading.get_ident())
        assert not gc.isenabled()
    finally:
        gc.enable()
