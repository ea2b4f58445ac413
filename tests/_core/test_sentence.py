"""What the picture of a run says in words."""

import pytest

from nbflow._core.duration import duration
from nbflow._core.entry import (
    Called,
    Closed,
    Failure,
    Item,
    Listed,
    Opened,
    Resumed,
    Sent,
    Waits,
    fold,
)
from nbflow._core.lifecycle import Reuse, State
from nbflow._core.table import brief_of, causes_of, kinds_of, sentence_of, table_of


def run(*entries, flows=("triage",), records=1):
    return fold(
        [
            Opened("r1", "event", flows, 1.0, "records", True, records),
            *(Listed(n, f"k{n}") for n in range(records)),
            Sent(records),
            *entries,
        ]
    )


def said(state):
    return sentence_of(state, kinds_of(causes_of(state)))


def failed(record, error, message, step="ask", state=State.FAILED):
    failure = Failure(step, error, message)
    return [
        Called(record, 0, step, state, 2.0, 0.1, 1, None, failure),
        Item(record, 0, state, 2.0, 0.1, failure=failure),
    ]


def test_a_run_of_nothing_had_nothing_to_do():
    assert (
        said(run(Closed("COMPLETED", 1.5, 0, {}), records=0)) == "No records. 500 ms."
    )
    assert table_of(run(Closed("COMPLETED", 1.5, 0, {}), records=0)).columns == (
        State.COMPLETED,
    )


def test_a_run_under_way_says_how_far_it_is_and_leaves_the_clock_to_who_shows_it():
    """The last entry may be minutes old."""
    assert said(run(records=2)) == "0 of 2 records done."
    assert (
        said(run(Item(0, 0, State.COMPLETED, 2.0), records=2)) == "1 of 2 records done."
    )


def test_how_many_an_iterator_will_yield_nobody_knows():
    state = fold(
        [
            Opened("r1", "event", ("triage",), 1.0, "records"),
            Listed(0, "a"),
            Listed(1, "b"),
            Item(0, 0, State.COMPLETED, 2.0),
        ]
    )
    assert said(state) == "1 of the 2 records read so far done."
    state.apply(Sent(2))
    assert said(state) == "1 of 2 records done."


def test_one_record_is_one_record():
    assert (
        said(run(Item(0, 0, State.CACHED, 2.0), Closed("COMPLETED", 2.0, 1, {})))
        == "1 record done, from an earlier run. 1.0 s."
    )


def test_a_run_gone_on_with_a_day_later_did_not_take_a_day():
    state = run(
        *failed(0, "ValueError", "no"),
        Closed("FAILED", 3.0, 1, {}),
        Resumed(86_403.0),
        Item(0, 0, State.COMPLETED, 86_404.0),
        Closed("COMPLETED", 86_405.0, 1, {}),
    )
    assert said(state) == "1 record done. 4.0 s."


def test_failures_are_told_by_what_they_failed_of_and_where():
    state = run(
        *failed(
            0, "StepTimeoutError", "no answer within timeout=3 s", state=State.TIMED_OUT
        ),
        *failed(
            1, "StepTimeoutError", "no answer within timeout=3 s", state=State.TIMED_OUT
        ),
        *failed(2, "ValueError", "no body", step=None),
        Closed("FAILED", 3.0, 3, {}),
        records=3,
    )
    assert (
        said(state)
        == "0 of 3 records done, 3 need you (2 timed out at ask; 1 ValueError). 2.0 s."
    )


def test_a_record_is_counted_once_however_many_flows_it_failed_in():
    flows = ("triage", "index", "notify")
    items = [
        Item(record, flow, State.COMPLETED, 2.0)
        for record in range(4)
        for flow in (0, 1, 2)
    ]
    for record, flow in [(0, 0), (0, 1), (1, 1)]:
        failure = Failure("ask", "ValueError", "no")
        items.append(Item(record, flow, State.FAILED, 2.0, failure=failure))
    items.append(Item(2, 2, State.CANCELLED, 2.0))
    state = run(*items, flows=flows, records=4)
    assert said(state) == (
        "1 of 4 records done, 2 need you (3 failures in 2 flows: 3 ValueError at ask), 1 cancelled."
    )
    assert brief_of(state) == "1 of 4 records done, 2 need you, 1 cancelled"
    assert brief_of(state, state) == "2 of 8 records done, 4 need you, 2 cancelled"


def test_what_ran_for_another_record_of_the_run_is_not_from_an_earlier_one():
    same = Item(1, 0, State.CACHED, 2.0, 0.0, "00" * 20, same=True)
    state = run(
        Item(0, 0, State.COMPLETED, 2.0),
        same,
        Item(2, 0, State.CACHED, 2.0),
        Closed("COMPLETED", 2.0, 3, {}),
        records=3,
    )
    assert said(state) == (
        "All 3 records done, 1 from an earlier run, 1 same as another. 1.0 s."
    )
    assert state.item(1, 0) is State.CACHED
    assert state.count(0)[State.CACHED] == 2
    assert state.records(0, [State.CACHED]) == [1, 2]
    (flow,) = table_of(state).flows
    assert flow.counts == {State.COMPLETED: 1, State.CACHED: 1, Reuse.SAME: 1}
    state.apply(same._replace(state=State.RUNNING, same=False))
    assert (state.shown(0)[Reuse.SAME], state.count(0)[State.CACHED]) == (0, 1)


def test_what_somebody_raised_to_be_read_is_read():
    raised = [
        failed(record, "NonRetriableError", message)
        for record, message in enumerate(
            [
                "row 1 has no body",
                "row 2 has no body",
                "it asks\x1b\nfor a refund" + " and more" * 9,
                "",
            ]
        )
    ]
    state = run(
        *(entry for entries in raised for entry in entries),
        Closed("FAILED", 3.0, 4, {}),
        records=4,
    )
    cut = "it asks␛ for a refund" + " and more" * 4 + " a…"
    assert (
        said(state) == '0 of 4 records done, 4 need you (2 "row 1 has no body" at ask; '
        f'1 "{cut}" at ask; 1 NonRetriableError at ask). 2.0 s.'
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0004, "<1 ms"),
        (0.25, "250 ms"),
        (0.9996, "1.0 s"),
        (99.94, "99.9 s"),
        (99.97, "1 min 40 s"),
        (3599.6, "1 h 00 min"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_it_is_rounded_to(seconds, words):
    assert duration(seconds) == words


def test_a_run_says_what_its_records_wait_for_until_they_go_on():
    running = [Item(record, 0, State.RUNNING, 2.0) for record in range(3)]
    away = [Waits(record, 0, "ask", 2.0, "nobody answers") for record in range(2)]
    assert said(run(*running, *away, records=3)) == (
        "0 of 3 records done, 2 waiting (nobody answers)."
    )
    on = [Waits(0, 0, "ask", 3.0, ""), Item(1, 0, State.COMPLETED, 3.0)]
    assert said(run(*running, *away, *on, records=3)) == "1 of 3 records done."
