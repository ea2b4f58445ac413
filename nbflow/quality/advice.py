"""Advice: the calls that sentences suggest, with the columns that people are shown.

A sample of other columns is another sample, so a call without them would not go on with
what was decided.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from nbflow.quality.alike import shown
from nbflow.quality.sampling import LEAST, decided_of, sample_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow.quality.answers import Answers


def review_call(
    answers: Answers, run: str = "run", on: Sequence[str] | None = None
) -> str:
    """``nf.review(run, sample=200, text="body")``.

    Args:
        answers: whose records people are to look at.
        run: how the run is called.
        on: the columns to show; when left out those of its sample, or of its decisions.
    """
    columns = _columns(answers) if on is None else on
    text = f", {text_argument(columns)}" if columns or on is not None else ""
    return f"nf.review({run}, sample=200{text})"


def text_argument(on: Sequence[str]) -> str:
    """``text="body"``, as it is given to `review`; ``text=[]`` for the whole record."""
    return f"text={json.dumps(on[0] if len(on) == 1 else list(on), ensure_ascii=False)}"


def how_to_speak_of_all(answers: Answers) -> str:
    """How figures of the whole run are had, in a sentence."""
    assert answers.run is not None  # people decide on records of runs alone
    engine, call = answers.run.engine, review_call(answers)
    sample = sample_of(engine, answers)
    if sample is None:
        return f"{call} draws one, nf.estimate(run) says it of the whole run."
    number = decided_of(sample, engine.decisions.all())
    if number >= LEAST:
        return f"nf.estimate(run) says it of the whole run, by {number:,} decisions on a sample."
    return f"{call} goes on with the one that was drawn, nf.estimate(run) says it of the whole run."


def _columns(answers: Answers) -> Sequence[str]:
    if answers.run is None or answers.rows is None:
        return ()
    sample = sample_of(answers.run.engine, answers)
    return shown(answers) if sample is None else sample.on
