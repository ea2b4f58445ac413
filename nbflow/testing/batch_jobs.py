"""Batch jobs: the state of files and batches, as the services at half price have it.

Time is counted in looks: a batch moves on when somebody asks how it is doing, so a test
never waits. What becomes of it is a `BatchScript`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nbflow.testing.fault import Fault
    from nbflow.testing.writing_protocols import Json

#: How a batch ends.
End = Literal["completed", "expired", "failed", "cancelled"]
#: The states that it goes through before.
_BEFORE = ("validating", "in_progress", "finalizing")


@dataclass(frozen=True, slots=True)
class BatchScript:
    """What becomes of one batch.

    Attributes:
        ends: as ``"completed"``, ``"expired"``, ``"failed"`` (at validation: no line is
            answered) or ``"cancelled"``.
        looks: how often one has to look until it ends: it is validating at first,
            finalizing at last, and in progress between.
        answered: the share of its lines that are answered before it expires or is
            cancelled.
        wrong: of a line, by its ``custom_id`` and body, the HTTP status of its error;
            ``None`` for a good answer.
        order: in which results are given.
        hidden: looks right after creation that find nothing (404).
        gone: whether its results are there no longer.
        code: why it failed: ``"token_limit_exceeded"``, ``"invalid_json_line"``, ...
        said: answers the request that creates it, which is accepted all the same: an
            error, a reset connection.
    """

    ends: End = "completed"
    looks: int = 3
    answered: float = 0.5
    wrong: Callable[[str, Json], int | None] = lambda _custom_id, _body: None
    order: Literal["given", "reversed", "shuffled"] = "given"
    hidden: int = 0
    gone: bool = False
    code: str = "invalid_json_line"
    said: Fault | None = None


@dataclass(slots=True)
class File:
    """A file that was uploaded, or written by a batch."""

    id: str
    content: bytes
    purpose: str
    is_gone: bool = False


@dataclass(slots=True)
class Line:
    """One request of a batch.

    Attributes:
        custom_id: what its result is known by.
        url: what it is sent to.
        body: of the request.
        fate: ``"succeeded"``, ``"errored"``, ``"expired"`` or ``"canceled"``, once the
            batch has ended.
        status: of HTTP.
        answer: the body that answers it.
    """

    custom_id: str
    url: str
    body: Json
    fate: str = ""
    status: int = 0
    answer: Json | None = None


@dataclass(slots=True)
class BatchJob:
    """One batch.

    Attributes:
        id: that the server gave it.
        kind: ``"openai"`` or ``"anthropic"``.
        lines: its requests.
        script: what becomes of it.
        asked: the request that created it.
        key: of the account that created it.
        looks: how often somebody looked at it.
        state: as OpenAI calls it.
        is_cancelled: whether somebody asked for that.
    """

    id: str
    kind: str
    lines: list[Line]
    script: BatchScript
    asked: Json
    key: str = ""
    looks: int = 0
    state: str = "validating"
    is_cancelled: bool = False
    files: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("completed", "expired", "failed", "cancelled")

    @property
    def is_hidden(self) -> bool:
        """Whether a look finds nothing yet."""
        return bool(self.script.hidden) and self.looks <= self.script.hidden

    def look(self, answer: Callable[[Line], tuple[int, Json]]) -> None:
        """Move on by one step; ``answer`` gives the status and body of each line at the end."""
        self.looks += 1
        if self.is_over or self.is_hidden:
            return
        seen = self.looks - self.script.hidden
        if self.is_cancelled:
            self._end("cancelled", answer)
        elif self.script.ends == "failed" and seen > 1:
            self._end("failed", answer)
        elif seen >= self.script.looks:
            self._end(self.script.ends, answer)
        elif seen == self.script.looks - 1 and seen > 1:
            self.state = _BEFORE[2]
        elif seen > 1 or self.script.looks <= 1:
            self.state = _BEFORE[1]

    def _end(self, end: End, answer: Callable[[Line], tuple[int, Json]]) -> None:
        self.state = end
        whole = len(self.lines)
        answered = {
            "completed": whole,
            "failed": 0,
        }.get(end, int(whole * self.script.answered))
        for place, line in enumerate(self.lines):
            if place >= answered:
                line.fate = "expired" if end == "expired" else "canceled"
                continue
            line.status, line.answer = answer(line)
            line.fate = "succeeded" if line.status < _ERRORS else "errored"

    def results(self) -> list[Line]:
        """The lines in the order in which results are given."""
        lines = list(self.lines)
        if self.script.order == "reversed":
            lines.reverse()
        elif self.script.order == "shuffled":
            random.Random(7).shuffle(lines)  # noqa: S311  # nothing secret, only no order
        return lines

    def counts(self) -> dict[str, int]:
        """The lines by their fate."""
        fates = ("succeeded", "errored", "expired", "canceled")
        return {fate: sum(line.fate == fate for line in self.lines) for fate in fates}


#: HTTP statuses from here on are errors.
_ERRORS = 400


class Batches:
    """The files and batches of a server.

    Attributes:
        scripts: what becomes of the next batches, one each; of those after them, that
            they complete.
        jobs: all batches, by their id.
        files: all files, by their id.
    """

    def __init__(self) -> None:
        self.scripts: list[BatchScript] = []
        self.jobs: dict[str, BatchJob] = {}
        self.files: dict[str, File] = {}

    @property
    def lines(self) -> list[Line]:
        """Every line that was ever submitted."""
        return [line for job in self.jobs.values() for line in job.lines]

    def add_file(self, content: bytes, purpose: str) -> File:
        """Keep a file."""
        found = File(f"file-{len(self.files) + 1}", content, purpose)
        self.files[found.id] = found
        return found

    def add(self, kind: str, lines: Iterable[Line], asked: Json, key: str) -> BatchJob:
        """Accept a batch."""
        script = self.scripts.pop(0) if self.scripts else BatchScript()
        stem = "batch" if kind == "openai" else "msgbatch"
        job = BatchJob(
            f"{stem}_{len(self.jobs) + 1}", kind, list(lines), script, asked, key
        )
        self.jobs[job.id] = job
        return job

    def of(self, kind: str, key: str) -> list[BatchJob]:
        """The batches of an account that can be found, the newest first."""
        found = [
            job
            for job in self.jobs.values()
            if job.kind == kind and job.key == key and not job.is_hidden
        ]
        return found[::-1]
