"""Record: one record of a run, step by step, as programs read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._run.answers.document import document, plain, taken
from nbflow._run.answers.runs import usage_of
from nbflow.errors import NbflowError

if TYPE_CHECKING:
    from nbflow._core.entry import Failure
    from nbflow._run.answers.document import Facts
    from nbflow._run.inspection import FlowView, Inspection, StepView

#: Calls of one flow.
_STEPS = 50


def of_record(run: str, found: Inspection) -> str:
    """One record: ``nbflow.record/1``."""
    facts: Facts = {"run": run, "record": plain(found.key)}
    try:
        facts["sent"] = plain(found.record)
    except NbflowError:  # the records were not kept, or cannot be read
        facts["sent"] = None
    facts["flows"] = [_flow(view) for view in found.flows.values()]
    return document("nbflow.record/1", facts)


def _flow(view: FlowView) -> Facts:
    return {
        "flow": view.flow,
        "state": str(view.state),
        "seconds": taken(view.seconds),
        "seconds_in_line": taken(view.waited),
        "why": view.why or None,
        "error": _error(view.failure),
        "output": _output(view),
        "printed": plain(view.printed) or None,
        "steps": [_step(step) for step in view.steps[:_STEPS]],
        "more": max(0, len(view.steps) - _STEPS),
    }


def _step(step: StepView) -> Facts:
    return {
        "step": step.step,
        "state": str(step.state),
        "attempts": len(step.attempts),
        "seconds": taken(step.seconds),
        "seconds_in_line": taken(step.waited),
        "why": step.why or None,
        "error": _error(step.failure),
        "output": _output(step),
        "printed": plain(step.printed) or None,
        "usage": usage_of(step.usage),
        "saved": usage_of(step.saved),
    }


def _error(failure: Failure | None) -> Facts | None:
    if failure is None:
        return None
    return {"error": failure.error, "message": plain(failure.message)}


def _output(view: FlowView | StepView) -> object:
    try:
        return plain(view.output)
    except NbflowError as error:
        return {"unreadable": plain(str(error))}
