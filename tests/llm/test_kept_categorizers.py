"""What categorizers saved before they were one case of a form is found again, and so is every key."""

import shutil
import zipfile
from pathlib import Path

import kept_categorizers as kept
import pytest

import nbflow as nf

STORE = Path(__file__).parents[1] / "data" / "categorizers.zip"
NEVER_ASKED = ("provider", "decisions")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store that an earlier version wrote, and its key."""
    with zipfile.ZipFile(STORE) as archive:
        archive.extractall(tmp_path)
    config = tmp_path / "config"
    (config / "nbflow").mkdir(parents=True, exist_ok=True)
    key = Path(shutil.move(tmp_path / "key", config / "nbflow" / "key"))
    key.chmod(0o600)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    nf.use(tmp_path / "store")
    yield
    nf.use("memory:")


@pytest.mark.parametrize("kind", kept.OPTIONS)
def test_a_call_has_the_key_that_it_had(nb, kind):
    assert kept.categorizer(kind).explain(kept.TEXT).key == kept.KEYS[kind]


@pytest.mark.parametrize(
    "kind", [kind for kind in kept.OPTIONS if kind not in NEVER_ASKED]
)
def test_an_answer_that_was_saved_is_not_asked_for_again(store, kind):
    categorize = kept.categorizer(kind)
    assert categorize.explain(kept.TEXT).state == "cached"
    assert categorize(kept.TEXT).label == ("bug" if kind == "coroutine" else "billing")
