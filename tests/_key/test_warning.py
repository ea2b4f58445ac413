"""Warnings stand at the line of the user's code that led to them."""

import linecache
import threading

import pytest

import nbflow as nf
from nbflow._key.warning import warn


@nf.step
def unsavable(n):
    return threading.Lock()


def here(recorded):
    """The source line at which each warning stands."""
    return [linecache.getline(one.filename, one.lineno).strip() for one in recorded]


def test_a_call_that_cannot_be_saved_warns_where_it_is_called():
    with pytest.warns(nf.StoreWarning, match="could not be saved") as recorded:
        unsavable(1)
    assert here(recorded) == ["unsavable(1)"]


def test_a_run_warns_where_it_is_waited_for():
    with pytest.warns(nf.StoreWarning, match="could not be saved") as recorded:
        unsavable.map([2]).wait()
    assert len(recorded) == 1
    assert "unsavable.map" in here(recorded)[0]


def test_a_thread_without_any_line_of_the_user_warns_where_the_main_thread_stands():
    def warn_in_a_thread():
        thread = threading.Thread(target=warn, args=("said", UserWarning))
        thread.start()
        thread.join()

    with pytest.warns(UserWarning, match="said") as recorded:
        warn_in_a_thread()
    assert here(recorded)[0] in ("thread.start()", "thread.join()")
