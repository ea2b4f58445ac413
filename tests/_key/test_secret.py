"""A secret is used like any text, stands for itself by its name, and is found by its value in every form it takes."""

import base64
import collections
import copy
import dataclasses
import html
import json
import pickle
import sys
import types
from urllib.parse import quote, quote_plus

import pytest

import nbflow as nf
from nbflow._key.reader import digest
from nbflow._key.redaction import redacted
from nbflow._key.secret import KNOWN, Known
from nbflow.errors import NbflowWarning, UsageError

VALUE = 'k3y\'with "quotes" & <ütf> 100%\\'


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MY_KEY", VALUE)
    return nf.secret("MY_KEY")


@pytest.fixture
def keyring(monkeypatch):
    """A keyring in place of the one that may be installed."""
    entries = {}
    module = types.ModuleType("keyring")
    module.get_password = lambda service, name: entries.get((service, name))
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.delenv("MY_KEY", raising=False)
    return entries


def test_it_is_the_text_wherever_a_text_is_expected(key):
    assert key == VALUE
    assert isinstance(key, str)
    assert (f"Bearer {key}", "Bearer " + key, key.encode(), json.dumps(key)) == (
        f"Bearer {VALUE}",
        f"Bearer {VALUE}",
        VALUE.encode(),
        json.dumps(VALUE),
    )


def test_it_shows_its_name(key):
    assert repr(key) == "Secret('MY_KEY')"
    assert VALUE not in repr({"headers": [key]})


def test_the_environment_comes_before_the_keyring(keyring, monkeypatch):
    keyring["nbflow", "MY_KEY"] = "from the keyring"
    assert nf.secret("MY_KEY") == "from the keyring"
    keyring["team", "MY_KEY"] = "from another service"
    assert nf.secret("MY_KEY", service="team") == "from another service"
    monkeypatch.setenv("MY_KEY", "from the environment")
    assert nf.secret("MY_KEY") == "from the environment"


def test_where_it_is_in_neither_the_error_names_both_and_what_to_do(
    keyring, monkeypatch
):
    with pytest.raises(
        UsageError,
        match=r"MY_KEY is not set in the environment, nor is it in the keyring\."
        r".*export MY_KEY=.*keyring set nbflow MY_KEY",
    ):
        nf.secret("MY_KEY")
    monkeypatch.setitem(sys.modules, "keyring", None)  # as if it were not installed
    with pytest.raises(
        UsageError,
        match=r"there is no keyring to ask.*export MY_KEY=.*pip install keyring",
    ):
        nf.secret("MY_KEY")
    monkeypatch.setenv("MY_KEY", "")
    with pytest.raises(UsageError, match="is empty in the environment"):
        nf.secret("MY_KEY")
    for name in ("", None, 3):
        with pytest.raises(UsageError, match="needs the name"):
            nf.secret(name)


def test_a_keyring_that_cannot_be_asked_says_why(keyring, monkeypatch):
    def locked(service, name):
        raise RuntimeError("it is locked")

    monkeypatch.setattr(sys.modules["keyring"], "get_password", locked)
    with pytest.raises(
        UsageError, match=r"could not be asked \(RuntimeError: it is locked\)"
    ):
        nf.secret("MY_KEY")


def test_a_value_too_short_to_be_masked_is_said_to_be(monkeypatch):
    monkeypatch.setenv("PIN", "2026")
    with pytest.warns(NbflowWarning, match="PIN has 4 characters"):
        assert nf.secret("PIN") == "2026"
    assert KNOWN.mask("in 2026") == "in 2026"


@dataclasses.dataclass
class Client:
    key: str


@pytest.mark.parametrize(
    "holding",
    [
        lambda key: key,
        lambda key: [key],
        lambda key: {"k": key},
        lambda key: {key},
        lambda key: {key: 1},
        lambda key: (1, key),
        Client,
        lambda key: types.SimpleNamespace(key=key),
    ],
)
def test_a_digest_covers_the_name_and_never_the_value(monkeypatch, holding):
    monkeypatch.setenv("MY_KEY", "the first value")
    before = digest(holding(nf.secret("MY_KEY")))
    monkeypatch.setenv("MY_KEY", "after a rotation")
    assert digest(holding(nf.secret("MY_KEY"))) == before
    monkeypatch.setenv("OTHER", "after a rotation")
    assert digest(holding(nf.secret("OTHER"))) != before
    assert digest(holding("MY_KEY")) != before


def test_a_digest_is_pinned(key):
    assert digest(key).hex() == "d69aef02453cf8fcd553995c8b41cfb4582f9a7b"


def test_pickled_it_is_its_name_and_read_again(key, monkeypatch):
    data = pickle.dumps({"key": key, "client": Client(key)})
    assert KNOWN.holder(data) is None
    monkeypatch.setenv("MY_KEY", "after a rotation")
    assert pickle.loads(data)["client"].key == "after a rotation"


def test_copied_it_stays_a_secret(key, monkeypatch):
    monkeypatch.delenv("MY_KEY")
    assert [
        repr(made)
        for made in (
            copy.copy(key),
            copy.deepcopy([key])[0],
            dataclasses.replace(Client(key)).key,
        )
    ] == ["Secret('MY_KEY')"] * 3


FORMS = {
    "as it is": str,
    "as Python writes it": repr,
    "in JSON": json.dumps,
    "in JSON with umlauts": lambda value: json.dumps(value, ensure_ascii=False),
    "in HTML": html.escape,
    "in a path": quote,
    "in a URL": lambda value: quote(value, safe=""),
    "in a form": quote_plus,
    "in a header": lambda value: base64.b64encode(f"u:{value}".encode()).decode(),
    "in base64, one on": lambda value: base64.b64encode(
        f"us:{value}:".encode()
    ).decode(),
    "in base64, two on": lambda value: base64.urlsafe_b64encode(
        f"use:{value}..".encode()
    ).decode(),
    "in the midst of a sentence": lambda value: f"The key {value} was refused.",
    "stripped": lambda value: f" {value} ".strip(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "value",
    [VALUE, "sk-abcDEF0123456789", "ÿÿ??>>~~ÿÿ??>>~~", "two\nlines", "pass phrase\n"],
)
def test_a_value_is_masked_in_the_forms_that_it_takes(form, value):
    known = Known()
    assert known.add("K", value)
    text = form(value)
    masked = known.mask(text)
    assert "***K***" in masked
    assert value.strip() not in masked
    assert known.holder(text.encode()) == "K"
    assert known.holder(json.dumps({"text": text}).encode()) == "K"


def test_the_longer_of_two_values_is_masked_first_and_an_old_value_stays_secret():
    known = Known()
    known.add("SHORT", "abcdef")
    known.add("LONG", "abcdefghij")
    known.add("SHORT", "rotated")
    assert (
        known.mask("abcdefghij abcdef rotated") == "***LONG*** ***SHORT*** ***SHORT***"
    )


def test_nothing_known_masks_nothing():
    known = Known()
    assert not known
    assert known.mask("text") == "text"
    assert known.holder(b"bytes") is None


def test_masking_keeps_the_shape_of_what_it_masks():
    known = Known()
    known.add("K", "geheimnis")
    node = {
        "a": ["x geheimnis", 1, None],
        "geheimnis": ("geheimnis",),
        "c": Client("geheimnis"),
        "n": b"geheimnis",
    }
    assert known.masked(node) == {
        "a": ["x ***K***", 1, None],
        "***K***": ("***K***",),
        "c": Client("***K***"),
        "n": b"geheimnis",
    }
    counted = collections.defaultdict(int, geheimnis=2)
    assert (known.masked(counted), type(known.masked(counted)), counted) == (
        {"***K***": 2},
        collections.defaultdict,
        {"geheimnis": 2},
    )


def test_the_kept_source_of_a_step_has_no_known_value(key):
    assert redacted(f"ask({VALUE!r})", "f") == "ask('***MY_KEY***')"
