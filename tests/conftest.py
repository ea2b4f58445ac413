"""What tests share: an engine of their own, and flows that do not leak into the next test."""

import pytest

import nbflow.testing
from nbflow._core.flow import Listeners
from nbflow._key.secret import KNOWN
from nbflow._session import SESSION


@pytest.fixture(autouse=True)
def _no_leaks(tmp_path, monkeypatch):
    """Every test begins without flows and steps, with a key of its own, and never finds the store of the checkout."""
    monkeypatch.setattr(SESSION, "listeners", Listeners())
    monkeypatch.setattr(SESSION, "steps", {})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "store"))
    before = SESSION.replace(None)
    yield
    KNOWN.clear()
    SESSION.replace(before)


@pytest.fixture
def nb():
    """A store in memory, a clock that does not wait, no display."""
    with nbflow.testing.isolated() as nb:
        yield nb


@pytest.fixture
def hook():
    """A web hook on loopback."""
    from notice_servers import Hook

    with Hook() as hook:
        yield hook


@pytest.fixture
def mail():
    """A mail server on loopback: the mails that it took."""
    from notice_servers import mailbox

    with mailbox() as box:
        yield box
