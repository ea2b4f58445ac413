"""Decisions: the labels that people gave, and the samples they gave them for.

They are kept beside the runs.

Like a run, each process that decides has a journal of sealed blocks: kernels that
review at the same time write to files of their own, never wait for each other and lose
nothing. A decision takes a person seconds, so each is synced to the disk before it
counts as made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from nbflow._core.decision import Decision
from nbflow._core.sample import Sample
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from nbflow._store.ledger import Ledger

_Kept = TypeVar("_Kept", Decision, Sample)


class _Reviews(Generic[_Kept]):
    """Everything of one kind that reviewers made on one store."""

    def __init__(self, ledger: Ledger, kind: type[_Kept]) -> None:
        self._ledger = ledger
        self._decoder: msgspec.msgpack.Decoder[_Kept] = msgspec.msgpack.Decoder(kind)
        self._writer = ""
        self._pid = 0

    def add(self, made: _Kept) -> None:
        """Keep what was made; once this returns, it survives a crash of the machine.

        Raises:
            StoreError: it could not be written.
        """
        if self._pid != os.getpid():  # a forked child writes to a file of its own
            # No run has an id like this, so that no block of a batch can be passed off
            # as a decision.
            # Of two threads that come first, each may name one; both name it before they
            # say so.
            self._writer = f"reviewer-{os.urandom(8).hex()}"
            self._pid = os.getpid()
        self._ledger.add_records(self._writer, msgspec.msgpack.encode(made))

    def all(self) -> list[_Kept]:
        """All of them, including those of other processes.

        Those of one process are in the order in which they were made.

        Raises:
            StoreError: they cannot be read, or were written by a version that this one
                cannot read.
        """
        found: list[_Kept] = []
        try:
            for writer in self._ledger.runs():
                found += map(self._decoder.decode, self._ledger.records(writer))
        except msgspec.MsgspecError as error:
            raise StoreError(
                "Another version of nbflow wrote the reviews in this store; "
                "update this one."
            ) from error
        return found


class Decisions(_Reviews[Decision]):
    """Every decision that was made on one store."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, Decision)


class Samples(_Reviews[Sample]):
    """Every sample that was drawn on one store."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, Sample)
