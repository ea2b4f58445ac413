"""Outbox: notices that are to be sent, durable beside the runs that they are about.

A notice is written before anything says that its job has ended, and goes when every
address has it. Whatever kills the process in between, the next one on this store finds
it. Who sends it holds its lock, which the system gives back when the holder dies: two
processes send it once. A process that is killed while it waits for an answer leaves the
notice, and it is sent again: a message too many is better than silence.

A file begins with a digest over its name and content, made with the key of the store:
nobody without the key can make nbflow send anything. Of an address the file holds such a
digest, too, and not the address. So a notice is sent by a process that knows the address
itself: the same command again, or one with the same ``NBFLOW_NOTIFY`` or
``pyproject.toml``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from contextlib import contextmanager
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow._core.notice import Message
from nbflow._store.folder import (
    lock_file,
    open_private,
    prepare,
    private_folder,
    refusal,
    sync_file,
    sync_folder,
)
from nbflow._tell import keyed
from nbflow._tell.delivery import USUAL, Limits, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nbflow._tell.address import Address
    from nbflow._tell.apprise_door import Answer

FOLDER = "notices"
#: What the digest of a file is for.
_PURPOSE = "nbflow 2026 file of a notice"
_FORMAT = 1
#: Seconds after which a notice says nothing that anybody needs, and goes.
_KEPT = 7 * 24 * 3600.0
#: Processes that try an address before it is given up.
_TRIES = 5


class Delivered(NamedTuple):
    """What became of a notice at one address.

    Attributes:
        to: the address as a person may see it.
        state: ``"sent"``, ``"pending"`` (a later command tries again), ``"unknown"``
            (no answer: it may have arrived, and is not sent again) or ``"given up"``.
        why: what is wrong.
        about: the job, where it is not the one at hand.
    """

    to: str
    state: str
    why: str = ""
    about: str = ""

    @property
    def warning(self) -> str:
        """What a person has to know; nothing if it was sent."""
        if self.state == "sent":
            return ""
        what = f"The notice about {self.about}" if self.about else "The notice"
        end = {
            "pending": "nbflow tries again with the next command on this store",
            "unknown": "it may have arrived, and is not sent again",
            "given up": "it is given up",
        }[self.state]
        return f"{what} to {self.to} was not confirmed: {self.why}; {end}."


class Outbox:
    """The notices of one store.

    Args:
        store: its folder; made with the first notice.
        limits: how long to try.
    """

    def __init__(self, store: Path, limits: Limits = USUAL) -> None:
        self._store = store
        self._folder = store / FOLDER
        self._limits = limits

    # How the last execution of a job ended.

    def had_failed(self, job: str) -> bool | None:
        """Whether a job had failed the last time; ``None`` if nobody knows."""
        found = _read(self._last(job))
        return None if found is None else bool(found.get("failed"))

    def remember(self, job: str, *, failed: bool) -> None:
        """Note how a job ended.

        Raises:
            StoreError: it cannot be written.
        """
        self._write(self._last(job), {"format": _FORMAT, "failed": failed})

    def _last(self, job: str) -> Path:
        digest = hashlib.sha256(job.encode("utf-8", "surrogatepass")).hexdigest()[:40]
        return self._folder / f"{digest}.last"

    # Notices.

    def post(self, about: str, message: Message, to: Sequence[Address]) -> str:
        """Take a notice; from now on it outlives this process.

        Returns:
            Its id.

        Raises:
            StoreError: it cannot be written.
        """
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}"
        facts = {
            "format": _FORMAT,
            "about": about,
            "at": time.time(),
            "message": message._asdict(),
            "to": {one.fingerprint: 0 for one in to},
        }
        self._write(self._folder / f"{name}.json", facts)
        return name

    def drop(self, name: str) -> None:
        """Take a notice back."""
        (self._folder / f"{name}.json").unlink(missing_ok=True)

    def pending(self) -> list[str]:
        """The ids of the notices that are to be sent, the oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def forget(self, holds: Callable[[str], bool]) -> int:
        """Drop the notices that hold something; returns how many there were.

        Raises:
            StoreError: the folder cannot be used.
        """
        found = 0
        for name in self.pending():
            path = self._folder / f"{name}.json"
            facts = _read(path)
            if facts is not None and holds("\n".join(facts["message"].values())):
                found += 1
                with self._locked(name):
                    self.drop(name)
        return found

    def send(
        self, name: str, to: Sequence[Address], *, is_earlier: bool = False
    ) -> list[Delivered]:
        """Send a notice to those of its addresses that are known here.

        Nothing happens if another process is at it, or has sent it.

        Args:
            name: its id.
            to: the addresses that are known.
            is_earlier: it is that of an earlier job, which has to be named.

        Raises:
            StoreError: what became of it cannot be noted.
        """
        with self._locked(name) as is_mine:
            path = self._folder / f"{name}.json"
            facts = _read(path) if is_mine else None
            if facts is None:
                return []
            return list(self._sent(path, facts, to, is_earlier=is_earlier))

    def _sent(
        self,
        path: Path,
        facts: dict[str, Any],
        to: Sequence[Address],
        *,
        is_earlier: bool,
    ) -> Iterator[Delivered]:
        left: dict[str, int] = facts["to"]
        about = str(facts["about"]) if is_earlier else ""
        if time.time() - facts["at"] > _KEPT:
            self.drop(path.stem)
            yield Delivered("its addresses", "given up", "it is too old", about)
            return
        mine = {one: mark for one in to if (mark := one.fingerprint) in left}
        for one, answer in deliver(
            list(mine), Message(**facts["message"]), self._limits
        ):
            state = _after(answer, left, mine[one])
            # At once: a kill while others are slow must not send it to this one again.
            if left:
                self._write(path, facts)
            else:
                self.drop(path.stem)
            yield Delivered(str(one), state, answer.why, about)

    @contextmanager
    def _locked(self, name: str) -> Iterator[bool]:
        """Hold the lock of a notice; gives whether nobody else has it."""
        path = self._folder / f"{name}.lock"
        try:
            file = open_private(path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise refusal(error, "lock a notice", self._folder) from error
        try:
            is_mine = lock_file(file)
            yield is_mine
            if is_mine and not (self._folder / f"{name}.json").exists():
                # Who opened it before finds no notice, whatever lock it gets.
                path.unlink(missing_ok=True)
        finally:
            os.close(file)

    def _write(self, path: Path, facts: Mapping[str, Any]) -> None:
        """Write a file as a whole, so that neither a kill nor a power cut leaves half of it."""
        new = path.with_suffix(f".{os.getpid()}.new")
        try:
            prepare(self._store)
            private_folder(self._folder)
            file = open_private(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                os.write(file, _sealed(path, facts))
                sync_file(file)
            finally:
                os.close(file)
            new.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            raise refusal(error, "keep a notice", self._folder) from error


def _after(answer: Answer, left: dict[str, int], mark: str) -> str:
    """Note what became of a notice at an address; returns the state."""
    if answer.state == "refused" and left[mark] + 1 < _TRIES:
        left[mark] += 1
        return "pending"
    del left[mark]
    return "given up" if answer.state == "refused" else answer.state


def _sealed(path: Path, facts: Mapping[str, Any]) -> bytes:
    """What is written to a file: a digest that only who has the key of the store can make, and the facts."""
    # As they are said: who looks for a name in the store finds it.
    data = json.dumps(facts, ensure_ascii=False).encode()
    return f"{_mark(path, data)}\n".encode() + data


def _mark(path: Path, data: bytes) -> str:
    return keyed.digest(path.name.encode() + b"\0" + data, _PURPOSE)


def _read(path: Path) -> dict[str, Any] | None:
    """What a file of ours says; ``None`` if there is none, or somebody else made it, or it is of another version."""
    try:
        mark, _, data = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if not compare_digest(mark, _mark(path, data).encode()):
        return None
    found: dict[str, Any] = json.loads(data)
    return found if found["format"] == _FORMAT else None
