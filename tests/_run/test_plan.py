"""What a send or a map would do is known before it does it."""

import pandas as pd
import pytest

import nbflow as nf

EVENT = "thread.created"


def records(count=3):
    return [{"id": f"t-{n}", "body": f"text {n}"} for n in range(count)]


def test_a_plan_says_what_is_saved_and_what_would_run_and_why(cells, nb):
    plan = nf.plan(EVENT, records(), key="id")
    assert (plan.cached, plan.would_run, plan.seconds) == (0, 3, None)
    assert plan.flows[0].would_run == {"new": 3}
    nb.send(EVENT, records(), key="id")
    nb.calls.clear()
    assert (
        nf.plan(EVENT, records(), key="id").cached,
        nf.plan(EVENT, records(), key="id").seconds,
    ) == (3, 0.0)
    cells.edit("Pick one", "Choose one")
    batch = [*records(5), records(1)[0]]
    batch[1] = {"id": "t-1", "body": "changed"}
    plan = nf.plan(EVENT, batch, key="id")
    why = "`PROMPT` changed (line 3: 'Pick one.' -> 'Choose one.')"
    assert plan.flows[0].would_run == {
        why: 2,
        "its content changed, or its result is out of date": 1,
        "new": 2,
    }
    assert (plan.records, plan.rows, plan.would_run, plan.cached) == (5, 6, 5, 0)
    assert plan.calls == {"categorize": 5}
    assert plan.seconds is not None
    assert nb.calls == []
    frame = plan.to_frame()
    assert list(frame.columns) == ["flow", "why", "records"]
    assert frame["records"].sum() == 5
    assert why in repr(plan)
    assert "Nothing was executed" in repr(plan)


def test_a_plan_knows_which_steps_are_saved_when_the_flow_changed(nb, cells):
    nb.send(EVENT, records(), key="id")
    cells.run(
        "@nf.flow(on='thread.created')\ndef triage(thread):\n    return categorize(thread['body'])[0]\n"
    )
    plan = nf.plan(EVENT, records(), key="id")
    assert plan.would_run == 3
    assert plan.calls == {"categorize": 0}
    assert plan.seconds == 0.0
    nb.calls.clear()
    nb.send(EVENT, records(), key="id")
    assert nb.calls == []


def test_a_plan_expects_calls_behind_a_changed_step_to_get_other_inputs(nb, cells):
    cells.run(
        "@nf.step\ndef size(answer):\n    return len(answer[1])\n"
        "@nf.flow(on='thread.created')\n"
        "def triage(thread):\n"
        "    return size(thread['id']) + size(categorize(thread['body']))\n"
    )
    cells.run("@nf.step\ndef categorize(text):\n    return text, PROMPT\n")
    nb.send(EVENT, records(), key="id")
    cells.edit("Pick one", "Choose one")
    plan = nf.plan(EVENT, records(), key="id")
    assert plan.calls == {"size": 3, "categorize": 3}
    assert (
        "calls of size, 3 of them only if what goes in changes, 3 more are cached"
        in repr(plan)
    )
    nb.calls.clear()
    nb.send(EVENT, records(), key="id")
    assert len(nb.calls) == 6


def test_a_plan_of_failed_records_says_so(nb):
    @nf.flow(on=EVENT)
    def look(record):
        raise ValueError("no")

    nb.send(EVENT, [{"n": 1}])
    assert nf.plan(EVENT, [{"n": 1}]).flows[0].would_run == {"failed before": 1}


def test_a_map_can_be_planned(nb):
    @nf.step
    def double(n):
        return 2 * n

    double(1)
    plan = double.plan(pd.Series([1, 2, 3]))
    assert (plan.cached, plan.would_run, plan.calls) == (1, 2, {"double": 2})
    double.map([2])
    assert double.plan([1, 2, 3]).calls == {"double": 1}
    assert double.plan([1, iter(())]).flows[0].refused == 1


def test_planning_an_event_that_nobody_listens_to_names_the_closest(cells):
    with pytest.raises(nf.UnknownEventError, match=r"thread\.created"):
        nf.plan("thread.create", records())
