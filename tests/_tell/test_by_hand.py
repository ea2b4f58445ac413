"""`nf.notify`: what code tells people."""

import sys

import pytest

import nbflow as nf
from nbflow.errors import NbflowWarning, UsageError


def test_it_tells_every_address_and_says_so(hook, mail):
    assert nf.notify(
        "Half way", "see there", to=[hook.url(), mail.url], level="warning"
    )
    [message] = hook.messages
    assert (message["title"], message["message"]) == ("Half way", "see there")
    assert message["type"] == "warning"
    assert mail[0]["subject"] == "Half way"


def test_a_secret_does_not_leave_and_no_line_forges_a_header(hook, mail, monkeypatch):
    monkeypatch.setenv("MODEL_KEY", "s3cret-value")
    key = nf.secret("MODEL_KEY")
    nf.notify(f"a\nBcc: x@y.z {key}", f"it is {key}\x1b[31m", to=[hook.url(), mail.url])
    assert "s3cret-value" not in hook.got[0] + str(mail[0])
    assert mail[0]["bcc"] is None


def test_a_server_that_refuses_is_a_warning(hook):
    hook.answers = [500] * 3
    with pytest.warns(NbflowWarning, match=r"address 1 \(JSON\) .* it answered 500"):
        assert not nf.notify("x", to=hook.url())


def test_in_a_step_the_same_inputs_tell_nobody_twice(nb, hook):
    url = hook.url()

    @nf.step(ignore="url")
    def tell(day, url):
        nf.notify(f"{day} is done", to=url)

    tell("monday", url)
    tell("monday", url)
    assert hook.titles == ["monday is done"]


def test_it_goes_to_the_addresses_of_the_environment(hook, monkeypatch):
    monkeypatch.setenv("NBFLOW_NOTIFY", hook.url())
    assert nf.notify("x")
    assert len(hook.got) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((" ",), "needs a title"),
        ((3,), "needs a title"),
        (("x", 3), "has to be a text"),
    ],
)
def test_what_is_no_notice_is_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        nf.notify(*arguments, to="json://host")


def test_without_an_address_it_says_where_one_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBFLOW_NOTIFY", raising=False)
    with pytest.raises(UsageError, match="set NBFLOW_NOTIFY"):
        nf.notify("x")
    with pytest.raises(UsageError, match="level='loud'"):
        nf.notify("x", to="json://host", level="loud")
    with pytest.raises(UsageError, match="foo://, which Apprise does not know"):
        nf.notify("x", to="foo://x")


def test_without_apprise_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UsageError, match=r"pip install 'nbflow\[notify\]'"):
        nf.notify("x", to="json://host")
