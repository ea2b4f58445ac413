"""Seal: what does not verify is nothing."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nbflow._store.seal import (
    HEAD,
    MAGIC,
    OVERHEAD,
    SMALL,
    Seal,
    load_secret,
    unfinished,
)
from nbflow.errors import StoreError

KEY = "ab" * 20
OTHER = "cd" * 20
ROOT = Path(__file__).parents[2]


@pytest.fixture
def seal():
    return Seal(bytes(range(32)))


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\x00" * 3000, os.urandom(2_000_000)], ids=len
)
def test_what_was_sealed_is_unsealed(seal, data):
    """Empty, small and large data come back, in one piece and in three."""
    parts = seal.parts(KEY, data)
    assert seal.unseal(KEY, seal.seal(KEY, data)) == data
    assert seal.unseal_parts(KEY, parts) == data
    assert seal.unseal(KEY, b"".join(parts)) == data


def test_the_format_is_fixed(seal, monkeypatch):
    """Stores outlive versions: the bytes of an entry are pinned."""
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_000)
    assert seal.seal(KEY, b"hello").hex() == (
        "9d4e4201050000000000000000002a36fe9c9717"
        + KEY
        + "68656c6c6fc9b75810cbb9cc1e1efa5c527fed1cba"
    )


def test_a_flip_of_any_byte_is_noticed(seal):
    """No byte of an entry is outside the MAC, the MAC itself included."""
    blob = seal.seal(KEY, b"hello")
    for place in range(len(blob)):
        flipped = bytearray(blob)
        flipped[place] ^= 0x10
        assert seal.unseal(KEY, bytes(flipped)) is None
        head, data, mac = (
            bytes(flipped[: HEAD.size]),
            bytes(flipped[HEAD.size : -16]),
            bytes(flipped[-16:]),
        )
        assert seal.unseal_parts(KEY, (head, data, mac)) is None


def test_every_cut_is_noticed(seal):
    """A truncated or lengthened entry is nothing."""
    blob = seal.seal(KEY, b"hello")
    assert all(seal.unseal(KEY, blob[:size]) is None for size in range(len(blob)))
    assert seal.unseal(KEY, blob + b"\x00") is None


def test_an_entry_moved_to_another_key_is_noticed(seal):
    """The key is under the MAC: results cannot be swapped."""
    assert seal.unseal(OTHER, seal.seal(KEY, b"hello")) is None
    assert seal.unseal_parts(OTHER, seal.parts(KEY, b"hello")) is None


def test_an_entry_of_another_secret_is_nothing(seal):
    """Whoever lacks the secret cannot make an entry."""
    assert seal.unseal(KEY, Seal(b"\x01" * 32).seal(KEY, b"hello")) is None


def test_entries_are_found_in_the_midst_of_anything(seal):
    """Carving finds each intact entry whatever lies around it, and passes over what is damaged."""
    first, second, third = (
        seal.seal(key * 20, b"data" * 9) for key in ("01", "02", "03")
    )
    blob = (
        os.urandom(99)
        + MAGIC
        + first
        + MAGIC[:2]
        + second[:-1]
        + b"?"
        + third
        + MAGIC
        + b"\xff" * 60
    )
    assert [entry.key for entry in seal.walk(blob)] == ["01" * 20, "03" * 20]
    entry = next(seal.walk(blob))
    assert blob[entry.start : entry.end] == first


def test_a_write_cut_short_is_told_from_damage(seal):
    """Every beginning of an entry may be a killed writer's; a whole one, or anything else, is not."""
    blob = seal.seal(KEY, b"hello")
    assert all(unfinished(blob[:size]) for size in range(len(blob)))
    assert not unfinished(blob)
    assert not unfinished(b"\x00" * 50)
    assert not unfinished(HEAD.pack(MAGIC, SMALL - OVERHEAD + 1, 0, b"") + b"x")


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "nbflow" / "key"


def test_the_secret_is_made_once_for_its_user_alone(config):
    """32 random bytes, 0600, the same ever after, and no temporary file stays."""
    os.umask(umask := os.umask(0))
    try:
        os.umask(0)
        secret = load_secret()
    finally:
        os.umask(umask)
    assert len(secret) == 32
    assert load_secret() == secret
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert [path.name for path in config.parent.iterdir()] == ["key"]


def test_processes_that_start_together_agree_on_the_secret(config):
    """The first link wins, and everybody reads what it made."""
    code = "from nbflow._store.seal import load_secret; print(load_secret().hex())"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    assert len({child.communicate()[0] for child in children}) == 1
    assert all(child.returncode == 0 for child in children)


def test_a_secret_that_others_can_read_is_refused(config):
    """The message has the command that mends it."""
    load_secret()
    config.chmod(0o640)
    with pytest.raises(StoreError, match=f"chmod 600 {config}"):
        load_secret()


def test_a_damaged_secret_is_refused(config):
    """A cut secret must not quietly become another one."""
    load_secret()
    config.write_bytes(b"short")
    with pytest.raises(StoreError, match="damaged"):
        load_secret()


def test_a_place_without_a_home_is_told_of_the_variable(tmp_path, config, monkeypatch):
    """Where the secret cannot be kept, the message names NBFLOW_STORE_KEY."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="NBFLOW_STORE_KEY"):
        load_secret()


def test_the_secret_may_come_from_the_environment(config, monkeypatch):
    """Any text of 16 characters gives 32 bytes, always the same; shorter is refused; no file is made."""
    monkeypatch.setenv("NBFLOW_STORE_KEY", "sixteen letters!")
    secret = load_secret()
    assert (len(secret), load_secret()) == (32, secret)
    monkeypatch.setenv("NBFLOW_STORE_KEY", "sixteen letters?")
    assert load_secret() != secret
    monkeypatch.setenv("NBFLOW_STORE_KEY", "short")
    with pytest.raises(StoreError, match="too short"):
        load_secret()
    assert not config.exists()
