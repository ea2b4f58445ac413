"""A run and its rows, written down and read again, are what they were, and continue."""

import random

import msgspec

from nbflow._core import snapshot
from nbflow._core.entry import (
    Awaits,
    Called,
    Closed,
    Coded,
    Failure,
    Item,
    Listed,
    Opened,
    Remark,
    RunState,
    Sent,
    Used,
    Waits,
)
from nbflow._core.lifecycle import State
from nbflow._core.sheet import Sheet
from nbflow._core.usage import Usage

RUN = "20260101-000000-000ab"


def entries_of(seed):
    """A run of all kinds of entries, whose records fail, wait, spend and are cached by chance."""
    dice = random.Random(seed)
    flows = ("a", "b")[: 1 + seed % 2]
    yield Opened(RUN, "e", flows, 1e9, "pandas", False, 30, 4, ("subject",), 5.0)
    yield Coded(
        "flow a", bytes(range(20)), 1e9, "new", ("ask",), "other", ("x", "other")
    )
    for record in range(30):
        yield Listed(record, f"t-{record}", 1 + record % 3)
        for flow in range(len(flows)):
            at, step = 1e9 + record, dice.choice(["ask", "tidy"])
            failed = Failure(step, "ValueError", f"no {record} 'x'", "line 3")
            yield Item(record, flow, State.RUNNING, at)
            yield Used(record, flow, step, 1, at, Usage(1, 5, cost=0.25, models=("m",)))
            yield Used(record, flow, step, 1, at, Usage(1, 2), saved=True)
            match dice.randrange(6):
                case 5:
                    yield Awaits(
                        record, flow, step, at, "ab", "answer", "Yes?", choices=("y",)
                    )
                    yield Item(record, flow, State.WAITING, at)
                case 0:
                    yield Called(
                        record, flow, step, State.FAILED, at, 1.0, 2, None, failed
                    )
                    yield Item(
                        record, flow, State.FAILED, at, 1.5, None, 2, failed, 0.5
                    )
                case 1:
                    yield Called(
                        record, flow, step, State.RETRYING, at, 1.0, 1, None, failed
                    )
                    yield Waits(record, flow, step, at, "process 7 works on it")
                case 2:
                    yield Item(
                        record, flow, State.CACHED, at, 0.0, "ab" * 20, same=True
                    )
                case _:
                    yield Called(
                        record, flow, step, State.COMPLETED, at, 1.0, 1, "cd" * 20
                    )
                    yield Item(
                        record, flow, State.COMPLETED, at, 1.5, f"{record:040x}", 1
                    )
    yield Remark(1e9 + 40, "something")
    yield Sent(30)
    yield Closed("PARTIAL", 1e9 + 41, 30, {State.FAILED: 1})


def written(one):
    """Facts and columns as a file would give them."""
    facts = msgspec.msgpack.decode(msgspec.msgpack.encode(one.facts))
    return snapshot.Snapshot(
        facts, [bytearray(memoryview(each).cast("B")) for each in one.columns]
    )


def said(thing):
    """All that a state or a sheet holds, in what compares."""
    if hasattr(thing, "__slots__"):
        return {name: said(getattr(thing, name)) for name in thing.__slots__}
    if isinstance(thing, RunState | Sheet):
        return {name: said(value) for name, value in vars(thing).items()}
    if isinstance(thing, list):
        return [said(each) for each in thing]
    if isinstance(thing, dict):
        return {key: said(each) for key, each in thing.items()}
    return thing


def test_a_snapshot_of_any_moment_is_what_was_known_and_continues():
    for seed in range(6):
        entries = list(entries_of(seed))
        for cut in (1, 7, len(entries) // 2, len(entries)):
            state, sheet = RunState(), Sheet()
            for entry in entries[:cut]:
                state.apply(entry)
                sheet.apply(entry)
            again = snapshot.state_of(written(snapshot.of_state(state)))
            rows = snapshot.sheet_of(written(snapshot.of_sheet(sheet)))
            assert said(again) == said(state)
            assert said(rows) == said(sheet)
            for entry in entries[cut:]:
                for one in (state, sheet, again, rows):
                    one.apply(entry)
            assert said(again) == said(state)
            assert said(rows) == said(sheet)
            assert again.standing() == state.standing()
            assert again.records(0, [State.FAILED]) == state.records(0, [State.FAILED])
            assert rows.worst() == sheet.worst()


def test_a_snapshot_of_another_form_is_not_read():
    found = snapshot.of_state(RunState())
    assert found.is_of_this_form
    assert not found._replace(facts=found.facts | {"form": "9 little"}).is_of_this_form
    assert not found._replace(facts={}).is_of_this_form
