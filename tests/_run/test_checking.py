"""A check reads everything; a store that was moved says why it finds nothing, and how to bring its key."""

import shutil
import subprocess
import sys
import warnings

import pytest

import nbflow as nf
from nbflow import cli
from nbflow._core.entry import Remark
from nbflow._run.journals import JOURNALS
from nbflow._session import SESSION


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    nf.use(path)
    use_it()
    SESSION.engine.store.close()
    return path


def use_it():
    @nf.step
    def measure(n):
        return n, "x" * (5000 if n else 1)

    return measure.map([0, 1, 2])


def test_a_sound_store_is_said_to_be_sound(store, capsys):
    found = nf.store.check()
    assert (found.is_sound, found.runs, found.problems) == (True, 1, ())
    assert found.entries >= 3
    assert cli.main(["store", "check"]) == 0
    assert "Nothing is damaged." in capsys.readouterr().out
    nf.use("memory:")
    assert nf.store.check().is_sound


def test_damage_is_found_and_removed(store, capsys):
    files = list(store.glob("*/shelf/??/??/*.val"))
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"?")
    orphan = files[0].with_name("0" * 28 + ".val")
    orphan.write_bytes(b"?")
    (run,) = (store / "runs").iterdir()
    blob = (run / "entries").read_bytes()
    (run / "entries").write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    copy = files[0].parents[2] / "cache.db.damaged-1"
    copy.write_bytes(b"?")
    nf.use(store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nf.store.check()
        assert len(found.problems) == 4, found
        assert cli.main(["store", "check"]) == 1
        assert "--repair" in capsys.readouterr().out
        assert cli.main(["store", "check", "--repair"]) == 0
        assert nf.store.check().is_sound
        assert not orphan.exists()
        assert not copy.exists()
    assert use_it().counts == {"measure": {"CACHED": 2, "COMPLETED": 1}}


def test_every_journal_beside_the_runs_is_checked(store):
    nf.use(store)
    ledger = SESSION.engine.ledger
    for name in JOURNALS:
        ledger.beside(name).append("a-run", [Remark(1.0, "noted")])
        ledger.beside(name).add_records("a-run", b"kept")
    assert nf.store.check().is_sound
    for name in JOURNALS:
        for file in ("entries", "records"):
            path = store / name / "a-run" / file
            data = path.read_bytes()
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    problems = nf.store.check().problems
    for name, what in JOURNALS.items():
        of_it = [one for one in problems if one.startswith(f"{what} do not verify")]
        assert len(of_it) == 2, (name, problems)
    assert len(nf.store.check(repair=True).problems) == 2 * len(JOURNALS)
    assert nf.store.check().is_sound


def test_a_moved_store_says_that_it_is_the_key_and_how_to_bring_it(
    store, tmp_path, monkeypatch, capsys
):
    assert cli.main(["store", "key", "backup", str(tmp_path / "backup")]) == 0
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with pytest.raises(nf.UsageError, match="is there already"):
        nf.store.backup_key(tmp_path / "backup")
    moved = tmp_path / "elsewhere" / ".nbflow"
    shutil.copytree(store, moved)
    moved.chmod(0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other machine"))
    monkeypatch.setenv("NBFLOW_STORE", str(moved))
    before = nf.store.key().fingerprint
    nf.use(moved)
    how = r"every call is a miss .*`nbflow store key install FILE` here"
    with (
        pytest.warns(nf.StoreWarning, match="made with another key"),
        pytest.warns(nf.StoreWarning, match=how),
    ):
        assert nf.store.info().outputs == 0
    assert "another key" in str(nf.store.check())
    assert cli.main(["store", "key"]) == 0
    assert "nbflow store key install" in capsys.readouterr().out
    with pytest.raises(nf.UsageError, match="Another key is in use"):
        nf.store.install_key(tmp_path / "backup")
    file = str(tmp_path / "backup")
    assert cli.main(["store", "key", "install", "--force", file]) == 0
    kept = tmp_path / "other machine" / "nbflow" / f"key.{before}"
    assert kept.stat().st_size == 32
    command = [sys.executable, "-m", "nbflow.cli", "store", "check"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 run verify" in said.stdout
    assert "Nothing is damaged" in said.stdout
    with pytest.raises(nf.UsageError, match="holds no key"):
        nf.store.install_key(moved / ".gitignore")


def test_runs_of_another_key_are_told_of_once(store, tmp_path, monkeypatch):
    use_it()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other machine"))
    nf.use(store)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        nf.runs()
    said = [str(one.message) for one in caught if "made with" in str(one.message)]
    assert len(said) == 1
    assert len(caught) == 2, "and that both are left out"
