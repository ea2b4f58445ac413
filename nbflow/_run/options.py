"""RunOptions: how a run is to be performed, as its sender asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._call.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is to be performed.

    Attributes:
        max_in_flight: the number of records under way at once; `None`: the default, or
            in a rerun what the sender set.
        only: the (record, flow) pairs that run, by number; `None`: all.
        force: run records although their results are saved.
        from_step: the step from which on saved results do not count.
        around: steps that call it inside: theirs do not count either.
        budget: what the calls of the run may cost together.
        resumes: the records that continue after a wait, with the key of the wait: what they
            did before it is noted already.
        cancels: nothing is executed: the records are noted as cancelled.
    """

    max_in_flight: int | None = None
    only: frozenset[tuple[int, int]] | None = None
    force: bool = False
    from_step: str | None = None
    around: frozenset[str] = frozenset()
    budget: Budget | None = None
    resumes: Mapping[tuple[int, int], str] = field(default_factory=dict)
    cancels: bool = False

    def __post_init__(self) -> None:
        most = self.max_in_flight
        if most is None or (type(most) is int and most >= 1):
            return
        raise UsageError(
            f"max_in_flight={most!r} has to be a whole number, 1 or more: the number of"
            " records under way at once."
        )

    @property
    def is_one_by_one(self) -> bool:
        """Whether no two records are under way at the same time, whatever the batch."""
        if self.max_in_flight == 1:
            return True
        return self.only is not None and len({record for record, _ in self.only}) == 1
