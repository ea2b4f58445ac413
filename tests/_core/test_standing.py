"""How records stand, over all flows of a run."""

import random
from collections import Counter

from nbflow._core.entry import Closed, Failure, Item, Listed, Opened, RunState
from nbflow._core.lifecycle import Reuse, State

#: From what matters most.
ORDER = (
    State.FAILED,
    State.TIMED_OUT,
    State.RUNNING,
    State.QUEUED,
    State.INTERRUPTED,
    State.CANCELLED,
    State.COMPLETED,
    Reuse.SAME,
    State.CACHED,
)


def counted(state):
    """What `RunState.standing` gives, the long way."""
    flows = range(len(state.flows))
    return Counter(
        min((state.shown_item(record, flow) for flow in flows), key=ORDER.index)
        for record in range(len(state.keys))
    )


def test_standings_are_those_of_a_count_whatever_happens_in_whatever_order():
    rng = random.Random(4)
    for flows in (1, 2, 5):
        state = RunState()
        names = tuple(f"flow{number}" for number in range(flows))
        state.apply(Opened("1", "e", names, 1.0, "records", True, 30))
        for record in range(30):
            state.apply(Listed(record, f"k{record}"))
            for _ in range(8):
                shown = rng.choice(ORDER)
                same = shown is Reuse.SAME
                now = State.CACHED if same else shown
                failed = Failure("ask", "E", "no") if now is State.FAILED else None
                place = rng.randrange(record + 1), rng.randrange(flows)
                state.apply(Item(*place, now, 2.0, failure=failed, same=same))
                assert state.standing() == counted(state)
        for record in range(30):
            assert state.stands(record) == min(
                (state.shown_item(record, flow) for flow in range(flows)),
                key=ORDER.index,
            )


def test_a_ledger_of_old_says_nothing_of_standings():
    assert Closed("COMPLETED", 1.0, 1, {State.COMPLETED: 2}).standing == {}


def test_rows_that_were_never_read_stand_as_interrupted():
    state = RunState()
    for entry in (
        Opened("1", "e", ("a", "b"), 1.0, "records", True, 5),
        Listed(0, "k"),
    ):
        state.apply(entry)
    for entry in state.interrupt(2.0):
        state.apply(entry)
    state.state = "INTERRUPTED"
    assert state.standing() == {State.INTERRUPTED: 5}
    assert state.total_records == 5
