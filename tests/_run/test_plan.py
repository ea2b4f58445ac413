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
    assert plan.seconds < 1
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
    assert plan.flows[0].steps["size"].span == (0, 3, 3)
    assert (
        "0 to 3  calls of size, as many as get inputs that are new; 3 more are cached"
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


# What a plan says and what the send then does.

SHARED = """
@nf.step
def label(text):
    nf.usage("known", input_tokens=1000)
    return "a", text[:4]

@nf.step
def store(key, made):
    return None

@nf.flow(on="thread.created")
def triage(thread):
    made = label(thread["body"])
    store(thread["id"], made)
    return made

@nf.flow(on="thread.created")
def billing(thread):
    return label(thread["body"])
"""


def equal_texts(count, start=0):
    """Records of which twenty have one text."""
    return [{"id": f"t-{n}", "body": f"text {n % 20}"} for n in range(start, count)]


def made(run):
    """The calls that a run made and did not find, by step."""
    calls = {}
    for steps in run.reader.state().steps:
        for step, count in steps.items():
            number = sum(count.states[state] for state in ("COMPLETED", "FAILED"))
            calls[step] = calls.get(step, 0) + number
    return calls


@pytest.fixture
def shared(cells):
    nf.set_price("known", input=1, output=1)
    cells.run(SHARED)
    return cells


def test_a_plan_counts_a_call_once_that_records_and_flows_share(nb, shared):
    first = nb.send(EVENT, equal_texts(200), key="id")
    assert made(first) == {"label": 20, "store": 200}
    shared.run(SHARED.replace('"a"', '"b"'))
    plan = nf.plan(EVENT, equal_texts(200), key="id")
    run = nb.send(EVENT, equal_texts(200), key="id")
    assert plan.calls == made(run) == {"label": 20, "store": 200}
    assert plan.cost == pytest.approx(run.usage.cost)
    assert plan.calls["label"] == 20


def test_a_plan_counts_records_first(nb, shared):
    nb.send(EVENT, equal_texts(30), key="id")
    shared.run(SHARED[SHARED.index("@nf.flow") :].replace("return made", "return 1"))
    plan = nf.plan(EVENT, equal_texts(40), key="id")
    assert (plan.records, plan.records_cached, plan.records_to_run) == (40, 0, 40)
    assert (plan.cached, plan.would_run) == (30, 50)
    assert "40 records, 0 cached, 40 would run (50 times in 2 flows)." in repr(plan)


def test_a_plan_says_that_calls_behind_an_edit_run_only_if_they_get_other_inputs(
    nb, shared
):
    nb.send(EVENT, equal_texts(200), key="id")
    shared.run(SHARED.replace("text[:4]", "text[0:4]"))
    plan = nf.plan(EVENT, equal_texts(200), key="id")
    assert "0 to 200  calls of store" in repr(plan)
    run = nb.send(EVENT, equal_texts(200), key="id")
    assert made(run) == {"label": 20, "store": 0}


def test_a_plan_after_a_try_with_some_records_knows_what_the_others_share(nb, shared):
    nb.send(EVENT, equal_texts(30), key="id")
    plan = nf.plan(EVENT, equal_texts(400), key="id")
    run = nb.send(EVENT, equal_texts(400), key="id")
    assert plan.calls == made(run) == {"label": 0, "store": 370}
    assert (plan.cost, run.usage.cost) == (0.0, None)


def test_a_plan_knows_shared_calls_of_async_flows_whichever_ends_first(nb, cells):
    cells.run("""
@nf.step
async def label(text):
    return text[:4]

@nf.flow(on="thread.created")
async def triage(thread):
    return await label(thread["body"])

@nf.flow(on="thread.created")
async def billing(thread):
    return await label(thread["body"])
""")
    nb.send(EVENT, equal_texts(19), key="id")
    plan = nf.plan(EVENT, equal_texts(400), key="id")
    run = nb.send(EVENT, equal_texts(400), key="id")
    assert plan.calls == made(run) == {"label": 1}


def test_a_plan_estimates_how_often_new_records_repeat_a_call_that_is_made_of_them(
    nb, shared
):
    derived = SHARED.replace('label(thread["body"])', 'label(thread["body"].upper())')
    shared.run(derived)
    nb.send(EVENT, equal_texts(60), key="id")
    plan = nf.plan(EVENT, equal_texts(400), key="id")
    assert plan.calls == {"label": 0, "store": 340}
    shared.run(derived.replace('"a"', '"b"'))
    plan = nf.plan(EVENT, equal_texts(400), key="id")
    assert plan.calls == {"label": 20, "store": 400}


def test_a_plan_expects_of_failed_records_what_they_did_and_what_is_left(nb, cells):
    flow = """
@nf.step(retries=0)
def check(text):
    if text == "text 1" and {fails}:
        raise ValueError("no")
    return text

@nf.step
def store(key):
    return key

@nf.flow(on="thread.created")
def triage(thread):
    categorize(thread["id"])
    check(thread["body"])
    store(thread["id"])
"""
    cells.run(flow.format(fails=True))
    nb.send(EVENT, equal_texts(100), key="id")
    plan = nf.plan(EVENT, equal_texts(100), key="id")
    assert plan.flows[0].would_run == {"failed before": 5}
    assert plan.calls == {"categorize": 0, "check": 5, "store": 5}
    assert plan.flows[0].steps["store"].span.least == 0
    cells.run(flow.format(fails=False))
    plan = nf.plan(EVENT, equal_texts(100), key="id")
    run = nb.send(EVENT, equal_texts(100), key="id")
    assert made(run) == {"categorize": 0, "check": 20, "store": 5}
    assert 20 <= plan.calls["check"] <= 24
    assert plan.calls["categorize"] == 0
    assert plan.flows[0].steps["store"].span == pytest.approx((0, 100, 100), abs=1)


def test_a_plan_says_that_it_does_not_know_what_never_ran(nb, shared):
    plan = nf.plan(EVENT, equal_texts(50), key="id")
    assert (plan.seconds, plan.cost) == (None, None)
    assert "?  calls of label, store: nobody knows how many" in repr(plan)
    nb.send(EVENT, equal_texts(50), key="id")
    shared.run(
        "@nf.step\ndef tag(text):\n    return text\n"
        "@nf.flow(on='thread.created')\n"
        "def billing(thread):\n"
        "    return tag(label(thread['body']))\n"
    )
    plan = nf.plan(EVENT, equal_texts(50), key="id")
    assert plan.flows[1].unknown == ("tag",)
    assert (plan.seconds, plan.cost) == (None, None)
    assert "Time: not known" in repr(plan)
    assert "?  calls of tag" in repr(plan)


def test_a_plan_of_a_map_counts_equal_items_once(nb):
    @nf.step
    def double(n):
        return 2 * n

    plan = double.plan([1, 1, 2, 2, 2])
    assert (plan.records, plan.would_run, plan.flows[0].same) == (5, 2, 3)
    assert plan.calls == {"double": 2}
    assert "3  records the same as another record" in repr(plan)
    assert made(double.map([1, 1, 2, 2, 2])) == {"double": 2}


def test_a_plan_uses_a_price_that_was_given_after_the_calls(nb, cells):
    flow = """
@nf.step
def ask(text):
    nf.usage("home:model", input_tokens=1000, output_tokens=100)
    return "a", text

@nf.flow(on="thread.created")
def triage(thread):
    return ask(thread["body"])
"""
    cells.run(flow)
    nb.send(EVENT, equal_texts(40), key="id")
    cells.run(flow.replace('"a"', '"b"'))
    assert nf.plan(EVENT, equal_texts(40), key="id").cost is None
    nf.set_price("home:model", input=1, output=10)
    plan = nf.plan(EVENT, equal_texts(40), key="id")
    assert plan.cost == pytest.approx(20 * 0.002)
    assert nb.send(EVENT, equal_texts(40), key="id").usage.cost == pytest.approx(0.04)


def test_a_plan_knows_what_a_throttle_makes_of_many_calls(nb, cells):
    flow = """
@nf.step(throttle="10/s")
def ask(text):
    return "a", text

@nf.flow(on="thread.created")
def triage(thread):
    return ask(thread["id"])
"""
    cells.run(flow)
    nb.send(EVENT, equal_texts(5), key="id")
    plan = nf.plan(EVENT, equal_texts(105), key="id")
    assert plan.calls == {"ask": 100}
    assert plan.seconds == pytest.approx(9, abs=1)


def test_a_plan_counts_the_calls_inside_of_an_edited_step(nb, cells):
    flow = """
@nf.step
def inner(text):
    return "a", text

@nf.step
def outer(text):
    return inner(text), inner(text[:4])

@nf.flow(on="thread.created")
def triage(thread):
    return outer(thread["body"])
"""
    cells.run(flow)
    nb.send(EVENT, equal_texts(100), key="id")
    cells.run(flow.replace('"a"', '"b"'))
    plan = nf.plan(EVENT, equal_texts(100), key="id")
    run = nb.send(EVENT, equal_texts(100), key="id")
    assert plan.calls == made(run) == {"outer": 20, "inner": 21}


def test_a_step_that_other_events_called_has_a_known_time_and_price(nb, shared):
    nb.send(EVENT, equal_texts(40), key="id")
    plan = shared.label.plan(["another", "text 1"])
    assert (plan.cached, plan.would_run) == (1, 1)
    assert plan.cost == pytest.approx(0.001)
