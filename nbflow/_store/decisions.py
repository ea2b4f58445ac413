"""Reviews: the decisions of people, kept beside the runs.

A journal of sealed blocks like that of a run, one for each process that decides:
kernels that review at the same time write to files of their own, wait for nobody and
lose nothing. A decision costs a person seconds, so each is synced to the disk before it
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


class Reviews:
    """Every decision that was made on one store."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._writer = ""
        self._pid = 0

    def add(self, decision: Decision) -> None:
        """Keep ``decision``; once this returns it outlives the process and the machine.

        Raises:
            StoreError: it could not be written.
        """
        if self._pid != os.getpid():  # a forked child writes to a file of its own
            # No run has an id like this, so that no block of a batch can be passed off
            # as a decision.
            self._pid, self._writer = os.getpid(), f"reviewer-{os.urandom(8).hex()}"
        self._ledger.add_records(self._writer, msgspec.msgpack.encode(decision))

    def all(self) -> list[Decision]:
        """All of them, those of other processes too; those of one process in the order in which they were made.

        Raises:
            StoreError: they cannot be read, or were written by a version that this one
                cannot read.
        """
        try:
            return [
                _DECODER.decode(block)
                for writer in self._ledger.runs()
                for block in self._ledger.records(writer)
            ]
        except msgspec.MsgspecError as error:
            raise StoreError(
                "The reviews in this store were written by another version of nbflow; update this one."
            ) from error
