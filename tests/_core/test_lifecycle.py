"""The life of one call, without a store, a clock or a thread."""

import pytest

import nbflow as nf
from nbflow._core.lifecycle import (
    Attempt,
    Claim,
    Lookup,
    Note,
    Outcome,
    Release,
    Save,
    Saved,
    State,
    Tried,
    Wait,
    life_of_call,
)
from nbflow._core.policy import Policy

HIT = Outcome(State.CACHED, "saved")
SAVED = Saved("v", stored=True)


def drive(steps, replies):
    """Answer each command with the next reply for its kind; give the kinds in order, and the outcome."""
    seen, reply = [], None
    try:
        while True:
            command = steps.send(reply)
            seen.append(type(command).__name__)
            queue = replies.get(type(command), [])
            reply = queue.pop(0) if queue else None
    except StopIteration as end:
        return seen, end.value


def ok(value="v"):
    return Tried(value, None, 1.0)


def bad(error):
    return Tried(None, error, 1.0)


def test_a_saved_call_is_claimed_and_looked_up_and_nothing_else():
    seen, outcome = drive(life_of_call(Policy(), lambda: 0.5), {Lookup: [HIT]})
    assert seen == ["Claim", "Lookup", "Release", "Note"]
    assert outcome is HIT


def test_a_value_is_saved_before_it_is_noted_or_seen():
    seen, outcome = drive(
        life_of_call(Policy(), lambda: 0.5), {Attempt: [ok()], Save: [SAVED]}
    )
    assert seen == ["Claim", "Lookup", "Attempt", "Save", "Release", "Note"]
    assert (outcome.state, outcome.value, outcome.attempts) == (State.COMPLETED, "v", 1)


def test_the_outcome_of_an_equal_call_in_flight_is_shared():
    theirs = Outcome(State.FAILED, error=ValueError())
    seen, outcome = drive(life_of_call(Policy(), lambda: 0.5), {Claim: [theirs]})
    assert seen == ["Claim", "Note"]
    assert outcome is theirs


def test_retries_count_attempts_after_the_first():
    errors = [bad(TimeoutError()) for _ in range(4)]
    seen, outcome = drive(
        life_of_call(Policy(retries=3), lambda: 0.5), {Attempt: errors}
    )
    assert seen.count("Attempt") == 4
    assert seen.count("Wait") == 3
    assert "Save" not in seen
    assert (outcome.state, outcome.attempts) == (State.FAILED, 4)


def test_a_typo_fails_at_once():
    seen, outcome = drive(
        life_of_call(Policy(retries=3), lambda: 0.5), {Attempt: [bad(NameError())]}
    )
    assert seen.count("Attempt") == 1
    assert outcome.state is State.FAILED


def test_a_timeout_is_told_apart():
    _, outcome = drive(
        life_of_call(Policy(retries=0), lambda: 0.5),
        {Attempt: [bad(nf.StepTimeoutError())]},
    )
    assert outcome.state is State.TIMED_OUT


def test_retry_after_is_waited_for_and_pauses_the_throttle():
    steps = life_of_call(Policy(retries=1, retry_delay=0.1), lambda: 0.5)
    assert isinstance(next(steps), Claim)
    assert isinstance(steps.send(None), Lookup)
    assert isinstance(steps.send(None), Attempt)
    wait = steps.send(bad(nf.RetryAfterError(retry_after=9)))
    assert isinstance(wait, Wait)
    assert (wait.seconds, wait.pause) == (9, 9)
    drive(steps, {Attempt: [ok()], Save: [SAVED]})


def test_whoever_waits_is_released_when_the_call_is_torn_away():
    steps = life_of_call(Policy(), lambda: 0.5)
    for reply in (None, None, None):
        command = steps.send(reply)
    assert isinstance(command, Attempt)
    release = steps.throw(KeyboardInterrupt())
    assert isinstance(release, Release)
    assert release.outcome is None
    with pytest.raises(KeyboardInterrupt):
        steps.send(None)


def test_force_runs_what_is_saved():
    seen, _ = drive(
        life_of_call(Policy(), lambda: 0.5, force=True),
        {Attempt: [ok()], Save: [SAVED]},
    )
    assert seen == ["Claim", "Attempt", "Save", "Release", "Note"]


def test_a_note_carries_the_outcome():
    steps = life_of_call(Policy(), lambda: 0.5)
    for reply in (None, None, HIT, None):
        command = steps.send(reply)
    assert isinstance(command, Note)
    assert command.outcome is HIT


def test_who_is_turned_away_waits_its_turn_without_an_attempt():
    refused = Tried(None, nf.RetryAfterError(retry_after=9), 1.0, is_turned_away=True)
    steps = life_of_call(Policy(retries=1), lambda: 0.5)
    for reply in (None, None, None):
        command = steps.send(reply)
    for _ in range(20):
        assert command == Attempt(1)
        wait = steps.send(refused)
        assert (wait.seconds, wait.pause, wait.is_attempt) == (0.0, 9, False)
        command = steps.send(None)
    assert isinstance(steps.send(ok()), Save)
    note = steps.send(Saved("value", stored=True))
    assert note.outcome.attempts == 1


def test_who_is_turned_away_and_may_not_retry_has_failed():
    refused = Tried(None, nf.RetryAfterError(retry_after=9), 1.0, is_turned_away=True)
    seen, outcome = drive(
        life_of_call(Policy(retries=0), lambda: 0.5), {Attempt: [refused]}
    )
    assert seen.count("Attempt") == 1
    assert outcome.state is State.FAILED
