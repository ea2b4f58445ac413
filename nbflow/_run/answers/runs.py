"""Runs: the history of a store, one run, and its failures, as programs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.table import failure_rows, short, table_of
from nbflow._run.answers.document import document, moment, plain, taken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._core.entry import RunState
    from nbflow._core.table import Cause, FailureRow, FlowRow
    from nbflow._core.usage import Usage
    from nbflow._run.answers.document import Facts
    from nbflow._run.chronicle import Line
    from nbflow._run.run import Run

#: Causes of failures that the answer about a run has.
_CAUSES = 10


def of_history(store: str, lines: Sequence[Line], there_are: int) -> str:
    """The latest runs of a store, the latest first: ``nbflow.runs/1``."""
    more = max(0, there_are - len(lines))
    facts = {"store": store, "runs": list(map(_line, lines)), "more": more}
    return document("nbflow.runs/1", facts)


def _line(line: Line) -> Facts:
    return {
        "run": line.run,
        "event": line.event,
        "state": line.state,
        "started": moment(line.started),
        "seconds": taken(line.seconds),
        "records": line.records,
        "failed": line.failed,
        "usage": usage_of(line.usage),
    }


def of_run(run: Run) -> str:
    """One run: ``nbflow.run/1``."""
    state = run.reader.state()
    table = table_of(state, failures=0)
    facts: Facts = {
        "run": run.id,
        "store": run.engine.store.url,
        "event": state.event,
        "state": state.state,
        "is_over": state.state != "RUNNING",
        "sentence": table.sentence,
        "started": moment(state.started),
        "seconds": taken(state.seconds),
        "records": state.total_records,
        "standing": {str(key): n for key, n in state.standing().items() if n},
        "flows": [_flow(row) for row in table.flows],
        "causes": list(map(_cause, table.causes[:_CAUSES])),
        "more_causes": max(0, len(table.causes) - _CAUSES),
        "usage": usage_of(state.usage),
        "saved": usage_of(state.saved),
        "stopped": state.stopped or None,
        "remarks": [plain(text) for text in table.remarks],
    }
    return document("nbflow.run/1", facts)


def _flow(row: FlowRow) -> Facts:
    """A flow, or a step of it."""
    return {
        "flow": row.flow,
        "step": row.step or None,
        "counts": {str(key): number for key, number in row.counts.items() if number},
        "retries": row.retries,
        "seconds": taken(row.seconds),
        "seconds_in_line": taken(row.waited),
        "why": row.why or None,
        "usage": usage_of(row.usage),
    }


def _cause(cause: Cause) -> Facts:
    return {
        "records": cause.records,
        "flow": cause.flow,
        "step": cause.step or None,
        "error": cause.error,
        "message": plain(cause.message),
        "example": plain(cause.example),
    }


def of_failures(run: Run, most: int) -> str:
    """The records of a run that failed: ``nbflow.failures/1``."""
    state = run.reader.state()
    rows = [_failure(row) for row in failure_rows(state, most)]
    facts: Facts = {
        "run": run.id,
        "state": state.state,
        "failed": len(state.failures),
        "failures": rows,
        "more": len(state.failures) - len(rows),
    }
    return document("nbflow.failures/1", facts)


def _failure(row: FailureRow) -> Facts:
    return {
        "record": plain(row.key),
        "flow": row.flow,
        "step": row.step or None,
        "error": row.error,
        "message": plain(row.message),
        "attempts": row.attempts,
    }


def usage_of(usage: Usage) -> Facts | None:
    """What calls of models used; ``None`` if none reported anything."""
    if not usage.requests:
        return None
    return {**usage._asdict(), "models": list(usage.models)}


def failures_text(state: RunState, most: int) -> str:
    """The same for a person: a line each."""
    rows = failure_rows(state, most)
    lines = [_failure_text(row) for row in rows]
    if left := len(state.failures) - len(rows):
        lines.append(f"and {left:,} more; --limit shows more")
    return "\n".join(lines) or "No record failed."


def _failure_text(row: FailureRow) -> str:
    where = f"{row.flow} / {row.step}" if row.step else row.flow
    return "  ".join(
        [
            short(row.key, 60),
            short(where, 60),
            short(f"{row.error}: {row.message}", 200),
        ]
    )
