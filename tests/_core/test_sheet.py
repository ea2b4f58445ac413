"""The sheet: the rows of a run's table, kept up as entries come."""

import random

from nbflow._core.entry import Called, Failure, Item, Listed, Opened, Resumed, RunState
from nbflow._core.lifecycle import CODES, SHOWN, State
from nbflow._core.sheet import UNCALLED, WHOLE, Sheet
from nbflow._core.table import causes_of, kinds_of


def made(*entries, flows=("triage",)):
    state, sheet = RunState(), Sheet()
    for entry in (Opened("1", "e", flows, 100.0, "records"), *entries):
        state.apply(entry)
        sheet.apply(entry)
    return state, sheet


def failed(step="ask", message="late"):
    return Failure(step, "TimeoutError", message)


def track(sheet, step, record=0, flow=0):
    code = sheet.columns[flow].tracks[step].code(record)
    return None if code == UNCALLED else SHOWN[code]


def test_a_record_s_line_follows_its_calls():
    _, sheet = made(
        Listed(0, "a"),
        Item(0, 0, State.RUNNING, 101.5),
        Called(0, 0, "fetch", State.CACHED, 102.0, 0.0, 0, "00" * 20),
        Called(0, 0, "ask", State.RETRYING, 103.0, 0.5, 1, None, failed(), 2.0),
    )
    assert (track(sheet, "fetch"), track(sheet, "ask")) == (
        State.CACHED,
        State.RETRYING,
    )
    assert sheet.retrying == {(0, 0): ("ask", failed())}
    assert sheet.columns[0].seconds[0] == 1.5
    sheet.apply(Called(0, 0, "ask", State.COMPLETED, 106.0, 0.5, 2, "00" * 20))
    assert sheet.retrying == {}
    sheet.apply(Item(0, 0, State.COMPLETED, 106.0, 4.5, "00" * 20))
    assert (sheet.columns[0].seconds[0], sheet.columns[0].attempts[0]) == (4.5, 2)


def test_a_record_that_runs_again_begins_a_new_line_and_is_counted_once():
    first = [
        Listed(0, "a"),
        Item(0, 0, State.RUNNING, 101.0),
        Called(0, 0, "fetch", State.COMPLETED, 102.0, 1.0, 1),
        Called(0, 0, "ask", State.FAILED, 103.0, 1.0, 3, None, failed()),
        Item(0, 0, State.FAILED, 103.0, 2.0, None, 3, failed()),
    ]
    _, sheet = made(*first)
    assert [cause.records for cause in sheet.causes] == [1]
    for entry in (Resumed(110.0), Item(0, 0, State.RUNNING, 111.0)):
        sheet.apply(entry)
    assert track(sheet, "ask") is None
    assert [cause.records for cause in sheet.causes] == [0]
    for entry in (
        Called(0, 0, "fetch", State.CACHED, 111.0, 0.0, 0),
        Called(0, 0, "ask", State.COMPLETED, 112.0, 1.0, 1),
        Item(0, 0, State.COMPLETED, 112.0, 1.0),
    ):
        sheet.apply(entry)
    assert {step: found.counts for step, found in sheet.columns[0].tracks.items()} == {
        "fetch": {State.CACHED: 1},
        "ask": {State.COMPLETED: 1},
    }
    assert sheet.cause_of == {}


def test_a_flow_that_was_remembered_as_a_whole_counts_for_all_its_steps():
    _, sheet = made(Listed(0, "a"), Item(0, 0, State.CACHED, 101.0, 0.0, "00" * 20))
    assert track(sheet, WHOLE) is State.CACHED
    assert list(sheet.columns[0].tracks) == [WHOLE]


def test_a_map_s_cached_item_is_its_step_s_cached_call():
    _, sheet = made(
        Listed(0, "a"),
        Called(0, 0, "triage", State.CACHED, 101.0, 0.0, 0),
        Item(0, 0, State.CACHED, 101.0, 0.0, "00" * 20),
    )
    assert list(sheet.columns[0].tracks) == ["triage"]
    assert track(sheet, "triage") is State.CACHED


def test_causes_that_are_kept_up_are_those_that_are_counted_from_scratch():
    """Whatever fails and is mended, in whatever order."""
    luck = random.Random(7)
    state, sheet = made(*(Listed(n, f"r{n}") for n in range(40)), flows=("one", "two"))
    for _ in range(600):
        record, flow = luck.randrange(40), luck.randrange(2)
        kind = luck.choice(
            [
                State.RUNNING,
                State.COMPLETED,
                State.FAILED,
                State.TIMED_OUT,
                State.CANCELLED,
            ]
        )
        wrong = (
            failed(
                luck.choice(["ask", "save"]),
                luck.choice(["late by 3 s", "late by 4 s", "no 'body'"]),
            )
            if kind in (State.FAILED, State.TIMED_OUT)
            else None
        )
        entry = Item(record, flow, kind, 101.0, 1.0, None, 1, wrong)
        state.apply(entry)
        sheet.apply(entry)
    counted = sorted((*cause[:3], cause.records) for cause in causes_of(state))
    found = [cause for cause in sheet.causes if cause.records]
    assert sorted((*cause[:3], cause.records) for cause in found) == counted
    groups = sheet.worst()
    assert {group.message.partition(" by ")[0] for group in groups} <= {
        "late",
        "no 'body'",
    }
    assert sum(group.records for group in groups) == len(state.failures)
    assert len(sheet.cause_of) == len(state.failures)
    assert +sheet.kinds == kinds_of(causes_of(state))


def test_like_failures_are_one_group_wherever_they_happened():
    """The same message at twelve steps is one cause, not twelve."""
    sheet = Sheet()
    sheet.apply(Opened("r", "e", ("one", "two"), 100.0, "records"))
    messages = ["late by 3 s", "late by 4 s", "late by 5 s", "no body"]
    for record, message in enumerate(messages):
        wrong = failed(f"step{record}", message)
        sheet.apply(Item(record, record % 2, State.FAILED, 101.0, 1.0, None, 1, wrong))
    late, other = sheet.worst()
    assert (late.records, late.flows, late.steps) == (
        3,
        ["one", "two"],
        ["step0", "step1", "step2"],
    )
    assert sheet.alike(late.number) == [0, 1, 2]
    assert (other.records, sheet.alike(other.number)) == (1, [3])
    sheet.apply(Item(0, 0, State.COMPLETED, 102.0, 1.0))
    assert sheet.worst()[0].steps == ["step1", "step2"]


def test_the_number_of_a_state_is_its_place():
    """It travels to pages that know the same list."""
    assert [CODES[state] for state in State] == list(range(10))
