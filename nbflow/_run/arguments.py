"""Arguments: which fields of its record a step is called with, as calls of earlier records tell.

With them a plan knows the key of a call that was never made, and so whether it is saved
and which records share it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbflow._call import keys
from nbflow._core.signature import parameters_of
from nbflow._key.call import short_digest
from nbflow.errors import UnkeyableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nbflow._call.keys import Identity
    from nbflow._core.step import AnyStep
    from nbflow._key.call import Input
    from nbflow._run.batch import Row

#: A field's name, the whole record, and a default of the step: what an argument may be.
_WHOLE, _DEFAULT = ("whole", ""), ("default", "")
_Origin = tuple[str, str]


@dataclass(slots=True)
class _Learnt:
    """What is known of one step: what each argument may be, as long as each record calls it once."""

    origins: dict[str, set[_Origin]] = field(default_factory=dict)
    records: int = 0


class Arguments:
    """Where the arguments of steps come from, in one flow."""

    def __init__(self) -> None:
        self._learnt: dict[str, _Learnt] = {}
        self._unclear: set[str] = set()
        self._records = 0

    def learn(
        self,
        row: Row,
        calls: Iterable[tuple[str, Sequence[Input]]],
        steps: Mapping[str, AnyStep],
    ) -> None:
        """Take in the calls that a record made."""
        self._records += 1
        fields, met = _digests(row.record), set()
        for name, inputs in calls:
            step = steps.get(name)
            if step is None or name in met:
                self._unclear.add(name)
                continue
            met.add(name)
            known = self._learnt.setdefault(name, _Learnt())
            known.records += 1
            for argument in inputs:
                found = set(fields.get(argument.digest, ()))
                if _is_default(step, argument):
                    found.add(_DEFAULT)
                before = known.origins.setdefault(argument.name, found)
                known.origins[argument.name] = before & found

    @property
    def names(self) -> list[str]:
        """The steps that each record calls once, with nothing but what it holds."""
        return [
            name
            for name, known in self._learnt.items()
            if name not in self._unclear
            and known.records == self._records
            and all(known.origins.values())
        ]

    def key(self, step: AnyStep, identity: Identity, row: Row) -> str | None:
        """The key of the step's call for a record; ``None`` if it would not be called so."""
        given: dict[str, object] = {}
        if step.keyed.ignore:  # what is ignored has to be given, and is in no key
            parameters = parameters_of(step.__wrapped__)
            given = dict.fromkeys(step.keyed.ignore & parameters.keys())
        for argument, origins in self._learnt[step.name].origins.items():
            kind, name = min(origins, key=_trust)
            if kind == "whole":
                given[argument] = row.record
            elif kind == "field":
                if not isinstance(row.record, dict) or name not in row.record:
                    return None
                given[argument] = row.record[name]
        binder, _ = step.prepared
        try:
            return keys.step_key(step, identity, binder.arguments((), given), None)
        except (TypeError, UnkeyableError):
            return None


def _trust(origin: _Origin) -> tuple[bool, _Origin]:
    return origin == _DEFAULT, origin


def _digests(record: object) -> dict[bytes, list[_Origin]]:
    """What a record holds, by digest."""
    found: dict[bytes, list[_Origin]] = {}
    held = [(_WHOLE, record)]
    if isinstance(record, dict):
        held += [(("field", name), value) for name, value in record.items()]
    for origin, value in held:
        try:
            found.setdefault(short_digest(value), []).append(origin)
        except UnkeyableError:
            continue
    return found


def _is_default(step: AnyStep, argument: Input) -> bool:
    parameter = parameters_of(step.__wrapped__).get(argument.name)
    if parameter is None or parameter.default is parameter.empty:
        return False
    try:
        return short_digest(parameter.default) == argument.digest
    except UnkeyableError:
        return False
