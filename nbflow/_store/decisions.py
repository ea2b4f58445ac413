"""Decisions: the labels that people gave, kept beside the runs.

Like a run, each process that decides has a journal of sealed blocks: kernels that
review at the same time write to files of their own, never wait for each other and lose
nothing. A decision takes a person seconds, so each is synced to the disk before it
counts as made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from nbflow._core.decision import Decision
from nbflow.errors import StoreError

if TYPE_CHECKING:
    from nbflow._store.ledger import Ledger

_DECODER = msgspec.msgpack.Decoder(Decision)


class Decisions:
    """Every decision that was made on one store."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._writer = ""
        self._pid = 0

    def add(self, decision: Decision) -> None:
        """Keep ``decision``; once this returns, it survives a crash of the machine.

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
        self._ledger.add_records(self._writer, msgspec.msgpack.encode(decision))

    def all(self) -> list[Decision]:
        """All decisions, including those of other processes.

        Those of one process are in the order in which they were made.

        Raises:
            StoreError: they cannot be read, or were written by a version that this one
                cannot read.
        """
        found: list[Decision] = []
        try:
            for writer in self._ledger.runs():
                found += map(_DECODER.decode, self._ledger.records(writer))
        except msgspec.MsgspecError as error:
            raise StoreError(
                "Another version of nbflow wrote the reviews in this store; "
                "update this one."
            ) from error
        return found
