"""What ledger entries add up to."""

from nbflow._core.entry import (
    Called,
    Closed,
    Failure,
    Item,
    Listed,
    Opened,
    Resumed,
    Sent,
    fold,
)
from nbflow._core.lifecycle import State

BOOM = Failure("s", "ValueError", "boom")
KEY = "ab" * 20


def opened(flows=("a",), total=2):
    """A list of records; with ``total=None`` an iterator."""
    return Opened("r1", "event", flows, 1.0, "records", total=total)


def test_records_are_queued_until_something_happens_to_them():
    state = fold([opened(("a", "b")), Listed(0, "x"), Listed(1, "y")])
    assert state.item(1, 0) is State.QUEUED
    assert [dict(counts) for counts in state.counts] == [{State.QUEUED: 2}] * 2
    assert state.records(1, [State.QUEUED]) == [0, 1]


def test_every_record_is_in_exactly_one_state_a_flow():
    state = fold(
        [
            opened(),
            Listed(0, "x"),
            Listed(1, "y"),
            Item(1, 0, State.RUNNING, 2.0),
            Item(1, 0, State.COMPLETED, 3.0, 1.0, KEY),
            Item(0, 0, State.FAILED, 3.0, failure=BOOM),
        ]
    )
    assert {key: number for key, number in state.counts[0].items() if number} == {
        State.COMPLETED: 1,
        State.FAILED: 1,
    }
    assert state.checkpoint(1, 0) == KEY
    assert state.checkpoint(0, 0) is None
    assert state.verdict == "PARTIAL"


def test_a_record_that_passes_later_is_no_failure_any_more():
    first = [
        opened(),
        Listed(0, "x"),
        Called(0, 0, "s", State.FAILED, 2.0, 0.1, 1, None, BOOM),
        Item(0, 0, State.FAILED, 2.0, failure=BOOM),
    ]
    state = fold(first)
    assert state.verdict == "FAILED"
    for entry in (
        Resumed(3.0),
        Item(0, 0, State.RUNNING, 3.0),
        Called(0, 0, "s", State.COMPLETED, 4.0, 0.1, 1, KEY),
        Item(0, 0, State.COMPLETED, 4.0, 1.0, KEY),
    ):
        state.apply(entry)
    assert not state.failures
    assert state.steps[0]["s"].states[State.FAILED] == 0
    assert state.verdict == "COMPLETED"


def test_a_record_in_several_rows_is_one_record():
    state = fold(
        [
            opened(),
            Listed(0, "x"),
            Listed(0, "x", 2),
            Listed(0, "x", 3),
            Listed(1, "y"),
            Sent(2),
        ]
    )
    assert (len(state.keys), state.rows, state.total) == (2, 4, 2)


def test_an_iterator_that_was_not_read_to_its_end_is_never_completed():
    entries = [opened(total=None), Listed(0, "x"), Item(0, 0, State.COMPLETED, 1.0)]
    assert fold(entries).is_cut_short
    assert fold(entries).verdict == "INTERRUPTED"
    assert not fold([*entries, Sent(1)]).is_cut_short
    assert fold([*entries, Sent(1)]).verdict == "COMPLETED"


def test_verdicts():
    def verdict(*states):
        return fold(
            [
                opened(),
                *(Listed(n, str(n)) for n in range(len(states))),
                *(Item(n, 0, s, 1.0) for n, s in enumerate(states)),
            ]
        ).verdict

    assert verdict() == "COMPLETED"
    assert verdict(State.CACHED, State.COMPLETED) == "COMPLETED"
    assert verdict(State.FAILED, State.TIMED_OUT) == "FAILED"
    assert verdict(State.CACHED, State.FAILED) == "PARTIAL"
    assert verdict(State.FAILED, State.CANCELLED) == "CANCELLED"
    assert verdict(State.CANCELLED, State.INTERRUPTED) == "INTERRUPTED"


def test_a_run_left_alone_has_its_unfinished_records_interrupted():
    state = fold(
        [
            opened(),
            Listed(0, "x"),
            Listed(1, "y"),
            Listed(2, "z"),
            Item(0, 0, State.COMPLETED, 2.0, 1.0, KEY),
            Item(1, 0, State.RUNNING, 2.0),
        ]
    )
    for entry in state.interrupt(5.0):
        state.apply(entry)
    assert state.records(0, [State.INTERRUPTED]) == [1, 2]
    assert state.item(0, 0) is State.COMPLETED


def test_rows_that_a_killed_run_had_not_read_are_interrupted_like_the_others():
    state = fold(
        [
            Opened("r1", "event", ("a", "b"), 1.0, "records", True, 5),
            Listed(0, "x"),
            Listed(1, "y"),
            Item(0, 0, State.COMPLETED, 2.0, 1.0, KEY),
        ]
    )
    for entry in state.interrupt(5.0):
        state.apply(entry)
    state.state = "INTERRUPTED"
    assert state.lost == 3
    assert state.count(0) == {State.COMPLETED: 1, State.INTERRUPTED: 4}
    assert state.tally().total() == 10
    assert state.item(4, 1) is State.INTERRUPTED
    state.apply(Resumed(9.0))
    assert (state.lost, state.item(4, 1)) == (0, State.QUEUED)


def test_closing_gives_the_run_its_state():
    assert fold([opened(), Closed("PARTIAL", 9.0, 1, {})]).state == "PARTIAL"


def test_the_time_between_two_rounds_is_none_in_which_the_run_was_worked_on():
    state = fold(
        [
            opened(),
            Listed(0, "x"),
            Item(0, 0, State.FAILED, 2.0, failure=BOOM),
            Closed("FAILED", 3.0, 1, {}),
            Resumed(90_003.0),
            Item(0, 0, State.COMPLETED, 90_004.0, 1.0, KEY),
        ]
    )
    assert (state.idle, state.seconds) == (90_000.0, 3.0)


def test_a_crash_ended_its_round_with_the_last_thing_noted():
    assert (
        fold(
            [opened(), Listed(0, "x"), Item(0, 0, State.RUNNING, 4.0), Resumed(60.0)]
        ).idle
        == 56.0
    )
