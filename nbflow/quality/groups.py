"""Groups: the units of a run by what their records say, for an estimate of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from nbflow._core.label import is_missing
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow.quality.answers import Answers
    from nbflow.quality.estimation import Seen
    from nbflow.quality.looking import Looked

_Said = TypeVar("_Said")


def grouped(
    answers: Answers, what: Looked, of: str | Callable[[dict[object, object]], object]
) -> dict[object, list[Seen]]:
    """The units of each group, the largest group first.

    A unit whose records are in several groups is in each with those that are in it.

    Raises:
        UsageError: there is no such column, or a group is nothing to group by.
    """
    if isinstance(of, str):
        values = answers.column(of, "of")
    elif callable(of):
        values = each_row(answers, of, "of")
    else:
        raise UsageError(
            f"of={of!r} has to be a column of the records, or a function of a record."
        )
    names = [_named(value) for value in values]
    found: defaultdict[object, list[Seen]] = defaultdict(list)
    said: defaultdict[object, list[str | None]] = defaultdict(list)
    for numbers, unit, label in zip(what.numbers, what.units, what.said, strict=True):
        for group, mine in _apart(numbers, names).items():
            given = Counter(answers.labels[number] for number in mine)
            found[group].append(unit._replace(records=len(mine), given=given))
            said[group].append(label)
    for group, labels in said.items():
        if None not in labels:  # nothing is left, however it was decided
            found[group] = [
                unit._replace(label=label, is_known=True)
                for unit, label in zip(found[group], labels, strict=True)
            ]
    sizes = {group: sum(one.records for one in units) for group, units in found.items()}
    return {group: found[group] for group in sorted(found, key=lambda one: -sizes[one])}


def _apart(numbers: Sequence[int], names: Sequence[object]) -> dict[object, list[int]]:
    """The records of each group."""
    found: defaultdict[object, list[int]] = defaultdict(list)
    for number in numbers:
        found[names[number]].append(number)
    return found


def _named(value: object) -> object:
    """What a group is called."""
    if is_missing(value):
        return "nothing"
    try:
        hash(value)
    except TypeError:
        raise UsageError(
            f"of= gives {value!r}, which cannot be a group: text, a number or a truth "
            "value can."
        ) from None
    return value


def each_row(
    answers: Answers, function: Callable[[dict[object, object]], _Said], argument: str
) -> list[_Said]:
    """What a function of the user's says of each record with its answer.

    Args:
        answers: of the run.
        function: of the record.
        argument: that it was given as, for the error.

    Raises:
        UsageError: it raised an error.
    """
    found = []
    for number, key in enumerate(answers.keys):
        try:
            found.append(function(row_of(answers, number)))
        except Exception as error:
            raise UsageError(
                f"{argument}= raised {type(error).__name__} on record {key!r}: {error}. It "
                "gets each record with its answer, as a dict: let it return something for "
                "this one, too."
            ) from error
    return found


def row_of(answers: Answers, number: int) -> dict[object, object]:
    """A record with its answer, as a function of the user's gets it."""
    record = (answers.rows or [])[number].record
    row: dict[object, object] = {"value": record}
    if isinstance(record, Mapping):
        row = dict(record)
    row[answers.name] = answers.labels[number]
    stem = f"{answers.name}."
    if answers.field:
        stem = answers.name.removesuffix(answers.field)
    for name, values in answers.beside.items():
        row[f"{stem}{name}"] = values[number]
    return row
