"""Disagreements: frames of single records, with what was said about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nbflow._run import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from nbflow._run.results import Columns
    from nbflow.quality.answers import Answers


def frame_of(
    answers: Answers,
    numbers: Sequence[int],
    columns: Columns,
) -> pd.DataFrame:
    """A pandas frame of some records: the key, what was sent, then ``columns``."""
    data: Columns = {"record": [answers.keys[number] for number in numbers]}
    rows = answers.rows
    sent = []
    if rows is not None:
        sent = [rows[number].record for number in numbers]
    named = [record for record in sent if isinstance(record, Mapping)]
    names = dict.fromkeys(str(name) for record in named for name in record)
    for name in names:
        if name not in columns:
            data[name] = [record.get(name) for record in sent]
    if sent and not names and answers.flow:
        data["value"] = sent
    frame: pd.DataFrame = results.frame_from("pandas", data | columns)
    return frame


def said_of(answers: Answers, name: str, numbers: Sequence[int]) -> Columns:
    """The labels of some records as ``name``, and what the model said beside them."""
    columns: Columns = {name: [answers.labels[number] for number in numbers]}
    stem = name.removesuffix(".label")
    for field, values in answers.beside.items():
        columns[f"{stem}.{field}"] = [values[number] for number in numbers]
    return columns
