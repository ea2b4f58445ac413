"""Teller: tells people how one job ended, once, and a dead man's switch that it is well.

Nothing here fails a job: what goes wrong comes back as a warning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow._core.notice import is_wanted, message_of
from nbflow._tell import heartbeat
from nbflow._tell.delivery import Limits, deliver
from nbflow._tell.outbox import Delivered, Outbox
from nbflow._tell.telling import telling
from nbflow.errors import StoreError, UsageError

if TYPE_CHECKING:
    from nbflow._core.notice import Finished, Message
    from nbflow._tell.telling import Telling

#: Notices of earlier jobs wait no second time: they are tried once.
_ONCE = Limits(waits=(), seconds=15.0)


class Teller:
    """One execution of a job.

    Args:
        telling: who is told, and when.
        job: what tells the job from others: the path of its notebook.
        store: the folder of its store; ``None`` if it has none to keep a notice in.
    """

    def __init__(self, telling: Telling, job: str, store: Path | None) -> None:
        self.telling = telling
        self._job = job
        self._outbox = None if store is None else Outbox(store)
        self._posted: str | None = None
        self._unkept: Message | None = None
        self._before: bool | None = None
        #: Whether it was decided who is told.
        self.is_posted = False
        #: What a person has to know.
        self.warnings: list[str] = []

    def post(self, ended: Finished) -> None:
        """Decide who is told of this end, and keep the notice; call it before anything says that the job has ended.

        What it kept before, of an end that turned out otherwise, goes.
        """
        if not self.is_posted:
            self._before = self._had_failed()
        elif self._outbox is not None and self._posted is not None:
            self._outbox.drop(self._posted)
            self._posted = None
        self.is_posted, self._unkept, before = True, None, self._before
        if self.telling.addresses and is_wanted(self.telling.when, ended, before):
            is_well = bool(before) and not ended.has_failed
            message = message_of(ended, content=self.telling.content, recovered=is_well)
            self._keep(ended.job, message)
        if self._outbox is not None and self.telling.addresses:
            try:
                self._outbox.remember(self._job, failed=ended.has_failed)
            except StoreError as error:
                self.warnings.append(f"How the job ended is not remembered: {error}")

    def _had_failed(self) -> bool | None:
        if self._outbox is None or not self.telling.addresses:
            return None
        try:
            return self._outbox.had_failed(self._job)
        except StoreError as error:
            self.warnings.append(f"How the job ended last is not known: {error}")
            return None

    def _keep(self, about: str, message: Message) -> None:
        if self._outbox is not None:
            try:
                self._posted = self._outbox.post(about, message, self.telling.addresses)
            except StoreError as error:
                self.warnings.append(f"The notice would not outlive a crash: {error}")
            else:
                return
        self._unkept = message

    def send(self, ended: Finished) -> dict[str, Any]:
        """Send what was posted, and the heartbeat after a success; returns what a report says of it."""
        told = self._send()
        facts: dict[str, Any] = {}
        if told:
            facts["notices"] = [
                {"to": one.to, "state": one.state, "why": one.why} for one in told
            ]
        if self.telling.heartbeat and not ended.code:
            answer = heartbeat.beat(self.telling.heartbeat)
            facts["heartbeat"] = answer._asdict()
            if answer.state != "sent":
                self.warnings.append(
                    f"The heartbeat was not confirmed: {answer.why}. The dead man's "
                    "switch may raise its alarm although the job is well."
                )
        self.warnings += [one.warning for one in told if one.warning]
        if self.warnings:
            facts["warnings"] = list(self.warnings)
        return facts

    def _send(self) -> list[Delivered]:
        to = self.telling.addresses
        if self._outbox is not None and self._posted is not None:
            try:
                return self._outbox.send(self._posted, to)
            except StoreError as error:
                self.warnings.append(f"What became of the notice is not noted: {error}")
                return []
        if self._unkept is None:
            return []
        return [
            Delivered(
                str(one),
                "given up" if answer.state == "refused" else answer.state,
                answer.why,
            )
            for one, answer in deliver(to, self._unkept)
        ]


def send_pending(telling: Telling, store: Path) -> list[str]:
    """Send what an earlier process left, to the addresses that are known here; returns warnings."""
    if not telling.addresses:
        return []
    outbox, told = Outbox(store, _ONCE), list[Delivered]()
    to = list(telling.addresses)
    try:
        for name in outbox.pending():
            told += outbox.send(name, to, is_earlier=True)
            # Who did not take one is asked for no further one, and holds up nothing.
            lost = {one.to for one in told if one.state in ("pending", "unknown")}
            to = [one for one in to if str(one) not in lost]
    except StoreError as error:
        return [f"A notice of an earlier job could not be sent: {error}"]
    return [one.warning for one in told if one.warning]


def send_left(store: str) -> list[str]:
    """Send what an earlier process left in a store, to the addresses of the working directory; returns warnings."""
    folder = Path(store)
    if not Outbox(folder).pending():
        return []
    try:
        return send_pending(telling(Path.cwd()), folder)
    except UsageError as error:
        return [f"A notice of an earlier job waits: {error}"]
