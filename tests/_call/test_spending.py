"""What calls use is noted, priced and saved; a budget is kept."""

import asyncio
import math
import threading
import time

import pandas as pd
import pytest

import nbflow as nf
from nbflow._session import SESSION

MODEL = "openai:gpt-4o-mini"
#: What that price list says of a request of 1,000 and 100 tokens; set here, so that the
#: test knows it whatever the list says.
CENT = 0.01


@pytest.fixture(autouse=True)
def prices():
    before = SESSION.prices
    SESSION.prices = type(before)()
    nf.set_price("test:cent", input=10, output=0)
    yield
    SESSION.prices = before


def cent():
    """One request that costs a cent."""
    return nf.usage("test:cent", input_tokens=1000)


RECORDS = [{"id": number} for number in range(10)]


def test_a_request_is_priced_from_the_list():
    used = nf.usage(MODEL, input_tokens=1_000_000, output_tokens=1_000_000)
    assert used.cost > 0
    assert used.unpriced == 0
    assert (
        nf.usage(
            "gpt-4o-mini",
            provider="openai",
            input_tokens=1_000_000,
            output_tokens=1_000_000,
        )
        == used
    )
    assert (
        nf.usage(MODEL, input_tokens=1_000_000, cached_tokens=1_000_000).cost
        < nf.usage(MODEL, input_tokens=1_000_000).cost
    )


def test_a_model_whose_name_has_a_colon_is_priced_as_well():
    assert (
        nf.usage(
            "bedrock:anthropic.claude-3-5-sonnet-20240620-v1:0", input_tokens=1000
        ).unpriced
        == 0
    )


def test_an_unknown_price_is_unknown_until_it_is_set():
    assert nf.usage("ollama:qwen3", input_tokens=5) == nf.Usage(1, 5, 0, 0, None, 1)
    nf.set_price("ollama:qwen3", input=0, output=0)
    assert nf.usage("ollama:qwen3", input_tokens=5) == nf.Usage(1, 5, 0, 0, 0.0, 0)
    assert nf.usage(cost=0.5).cost == 0.5
    assert nf.usage(input_tokens=3).unpriced == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"output_tokens": 1.5},
        {"requests": True},
        {"cost": -1},
        {"cost": float("nan")},
    ],
)
def test_numbers_that_cannot_be_right_are_refused(wrong):
    with pytest.raises(nf.UsageError, match=next(iter(wrong))):
        nf.usage(MODEL, **wrong)


def test_a_price_that_cannot_be_right_is_refused():
    with pytest.raises(nf.UsageError, match="per million tokens"):
        nf.set_price("m", input=-1, output=0)


def test_calls_records_steps_and_runs_know_what_they_used(nb):
    @nf.step
    def ask(number):
        cent()
        return number

    @nf.step
    def save(number):
        return None

    @nf.flow(on="used")
    def triage(record):
        ask(record["id"])
        if record["id"]:
            ask(-record["id"])
        save(record["id"])

    run = nb.send("used", pd.DataFrame(RECORDS), key="id")
    assert run.usage == nf.Usage(19, 19_000, 0, 0, pytest.approx(0.19), 0)
    frame = run.results()
    assert frame["triage.cost"].tolist() == pytest.approx([CENT] + [2 * CENT] * 9)
    assert frame["triage.tokens"].tolist() == [1000] + [2000] * 9
    assert run.inspect(3)["triage"]["ask"].usage.cost == pytest.approx(CENT)
    assert run.inspect(3)["triage"]["save"].usage.requests == 0
    rows = {row.step: row.usage for row in run.table().flows}
    assert rows["ask"].requests == 19
    assert rows["save"].requests == 0
    assert "$0.19 for 19.0k tokens." in run.table().sentence
    assert "$0.19" in repr(run)
    assert "$0.19" in run._repr_html_()
    assert nf.open_run(run.id).usage == run.usage


def test_the_model_that_answered_stands_beside_its_record_and_a_change_of_it_is_said(
    nb,
):
    model = ["m-1"]

    @nf.step(ignore=["model"])
    def ask(number):
        nf.usage("test:cent", answered_by=f"test:{model[0]}")
        return number

    @nf.flow(on="answered")
    def triage(record):
        return ask(record["id"])

    run = nb.send("answered", RECORDS[:3], key="id")
    assert run.usage.models == ("test:m-1",)
    assert "triage.model" not in run.results()[0]
    model[0] = "m-2"
    again = nb.send("answered", RECORDS[:4], key="id")
    answered = [row["triage.model"] for row in again.results(models=True)]
    assert answered == ["test:m-1"] * 3 + ["test:m-2"]
    (said,) = again.table().remarks
    assert said == (
        "The model has changed: test:m-2 answered; in the last run, "
        f"{run.id}, it was test:m-1."
    )
    assert nf.open_run(again.id).table().remarks == (said,)
    assert nb.send("answered", RECORDS, key="id").table().remarks == ()


def test_a_model_that_is_no_text_is_refused_and_so_is_its_column_without_a_frame(nb):
    with pytest.raises(nf.UsageError, match="answered_by=7 has to be the name"):
        nf.usage(answered_by=7)

    @nf.step
    def ask(number):
        return number

    run = ask.map([1])
    with pytest.raises(nf.UsageError, match=r'results\(models=True\)\["ask.model"\]'):
        run.results("ask", models=True)
    assert run.results(models=True)[0]["ask.model"] is None


def test_a_flow_that_asks_by_itself_is_counted(nb):
    @nf.flow(on="used")
    def triage(record):
        cent()

    run = nb.send("used", RECORDS, key="id")
    assert run.usage.requests == 10
    assert run.results()[0]["triage.cost"] == pytest.approx(CENT)


def test_failed_attempts_are_paid_for_too(nb):
    tries = []

    @nf.step(retries=2)
    def ask(number):
        cent()
        tries.append(number)
        if len(tries) < 3:
            raise ValueError("no label")
        return number

    run = ask.map([1])
    assert run.usage.requests == 3
    assert run.results("ask") == [1]
    assert run.inspect(0)["ask"]["ask"].usage.requests == 3
    again = ask.map([1])
    assert again.usage.requests == 0
    assert again.saved.requests == 1, "made anew it would not fail as well"


def test_a_remembered_call_costs_nothing_and_says_what_it_saved(nb):
    @nf.step
    def inner(number):
        cent()
        return number

    @nf.step
    def ask(number):
        cent()
        return inner(number)

    @nf.flow(on="used")
    def triage(record):
        return ask(record["id"])

    first = nb.send("used", RECORDS, key="id")
    again = nb.send("used", RECORDS, key="id")
    assert (first.usage.requests, first.saved.requests) == (20, 0)
    assert (again.usage.requests, again.saved.requests) == (0, 20)
    assert "Checkpoints saved $0.20 and 20.0k tokens." in again.table().sentence
    assert "triage.cost" not in again.results()[0]
    mapped = ask.map(range(10))
    assert (mapped.usage.requests, mapped.saved.requests) == (0, 20)

    # Another flow on the same steps: its outcome is new, its calls are not.
    @nf.flow(on="used")
    def other(record):
        return ask(record["id"]), 1

    third = nb.send("used", RECORDS, key="id")
    assert (third.usage.requests, third.saved.requests) == (0, 40)


def test_async_steps_report_as_well(nb):
    @nf.step
    async def ask(number):
        await asyncio.sleep(0)
        cent()
        return number

    @nf.flow(on="used")
    async def triage(record):
        return await ask(record["id"])

    assert nb.send("used", RECORDS, key="id").usage.requests == 10


def test_an_attempt_that_timed_out_is_paid_for_when_it_reports(nb):
    reported = threading.Event()

    @nf.step(timeout=0.05, retries=0)
    def slow(number):
        time.sleep(0.2)
        cent()
        reported.set()

    @nf.step
    def wait(number):
        reported.wait(10)

    @nf.flow(on="used")
    def triage(record):
        try:
            slow(record["id"])
        except nf.StepError:
            wait(record["id"])

    assert nb.send("used", RECORDS[:1], key="id").usage.requests == 1


def test_an_unknown_price_is_no_price_in_results(nb):
    @nf.step
    def ask(number):
        nf.usage("nobody:knows", input_tokens=7)

    run = ask.map([1])
    assert run.usage == nf.Usage(1, 7, 0, 0, None, 1)
    assert run.results()[0]["ask.cost"] is None
    assert run.results()[0]["ask.tokens"] == 7
    assert math.isnan(run.reader.state().cost(0, 0))
    assert "cost unknown" in run.table().sentence


def test_a_plan_estimates_from_what_a_sample_cost(nb):
    @nf.step
    def ask(number):
        cent()
        return number

    @nf.flow(on="used")
    def triage(record):
        return ask(record["id"])

    assert nf.plan("used", RECORDS, key="id").cost is None
    nb.send("used", RECORDS[:2], key="id")
    plan = nf.plan("used", RECORDS, key="id")
    assert plan.cost == pytest.approx(0.08)
    assert "Cost: about $0.08" in repr(plan)
    assert nf.plan("used", RECORDS[:2], key="id").cost == 0.0


# Budgets


def asks(retries=3, cost=CENT):
    @nf.step(retries=retries)
    def ask(number):
        nf.usage(cost=cost if not callable(cost) else cost(number))
        return number

    return ask


@pytest.mark.parametrize("is_async", [False, True])
def test_a_budget_is_never_passed_and_what_is_done_is_kept(nb, is_async):
    if is_async:

        @nf.step
        async def ask(number):
            await asyncio.sleep(0.001)
            cent()
            return number

        @nf.flow(on="used")
        async def triage(record):
            return await ask(record["id"])

        @nf.flow(on="used")
        async def free(record):
            return 1

    else:

        @nf.step
        def ask(number):
            time.sleep(0.001)
            cent()
            return number

        @nf.flow(on="used")
        def triage(record):
            return ask(record["id"])

        @nf.flow(on="used")
        def free(record):
            return 1

    records = [{"id": number} for number in range(100)]
    run = nb.send("used", records, key="id", budget="$0.255")
    assert run.usage.cost == pytest.approx(0.25)
    assert run.state == "CANCELLED"
    assert run.counts == {
        "triage": {"COMPLETED": 25, "CANCELLED": 75},
        "free": {"COMPLETED": 100},
    }
    stopped = run.table().remarks[0]
    assert (
        "the budget of $0.26 is reached" in stopped
        or "the budget of $0.25 is reached" in stopped
    )
    assert "75 records are left" in stopped
    run.rerun_failed(budget="$0.10")
    assert run.usage.cost == pytest.approx(0.35)
    run.rerun_failed()  # as much again as at the send
    assert run.usage.cost == pytest.approx(0.60)
    assert run.state == "CANCELLED"
    run.rerun_failed(budget="$1")
    assert run.state == "COMPLETED"
    assert run.usage.requests == 100, "no call is paid twice"
    assert run.table().remarks == ()


def test_the_dearest_call_so_far_is_what_the_next_may_cost(nb):
    ask = asks(cost=lambda number: 0.01 if number else 0.04)
    run = ask.map(range(100), budget=0.10)
    assert run.usage.cost <= 0.10
    assert run.usage.requests >= 3


def test_steps_that_cost_nothing_go_on(nb):
    ask, done = asks(), []

    @nf.step
    def save(number):
        done.append(number)

    @nf.flow(on="used")
    def triage(record):
        save(record["id"])
        ask(record["id"])

    run = nb.send("used", RECORDS, key="id", budget=0.03)
    assert len(done) == 10
    assert run.counts["triage"] == {"COMPLETED": 3, "CANCELLED": 7}


def test_a_failing_step_under_a_budget_fails_its_record_only(nb):
    @nf.step(retries=0)
    def ask(number):
        if number % 2:
            raise ValueError("no")
        cent()

    run = ask.map(range(10), budget=1)
    assert run.counts == {"ask": {"COMPLETED": 5, "FAILED": 5}}


def test_retries_fit_into_the_budget_too(nb):
    @nf.step(retries=50)
    def ask(number):
        cent()
        raise ValueError("never")

    run = ask.map([1], budget=0.05)
    assert run.usage.requests == 5
    assert run.counts == {"ask": {"CANCELLED": 1}}


def test_a_call_inside_a_call_is_paid_with_it(nb):
    inner = asks()

    @nf.step
    def outer(number):
        return inner(number)

    run = outer.map(range(10), budget=0.04)
    assert run.usage.requests == 4
    assert run.counts == {"outer": {"COMPLETED": 4, "CANCELLED": 6}}


def test_a_budget_of_unknown_price_stops_at_the_first_report(nb):
    @nf.step
    def ask(number):
        nf.usage("nobody:knows", input_tokens=1)

    run = ask.map(range(10), budget=5)
    assert run.usage.requests == 1
    assert run.counts == {"ask": {"COMPLETED": 1, "CANCELLED": 9}}
    assert "is not known" in run.table().remarks[0]


def test_a_budget_is_refused_before_the_run_where_the_model_says_so(nb):
    @nf.step(model="nobody:knows")
    def ask(number):
        return number

    @nf.flow(on="used")
    def triage(record):
        return ask(record["id"])

    for start in (
        lambda: nb.send("used", RECORDS, key="id", budget=5),
        lambda: ask.map([1], budget=5),
    ):
        with pytest.raises(nf.UsageError, match="price of nobody:knows is not known"):
            start()
    assert nb.calls == []
    nf.set_price("nobody:knows", input=0, output=0)
    assert ask.map([1], budget=5).state == "COMPLETED"


def test_a_budget_that_is_no_money_is_refused(nb):
    with pytest.raises(nf.UsageError, match="not an amount of money"):
        asks().map([1], budget="much")


def test_cancelling_ends_the_waiting_for_money(nb):
    started = threading.Event()

    @nf.step
    def ask(number):
        started.set()
        time.sleep(0.3)
        cent()

    run = ask.map(range(20), budget=1, wait=False)
    started.wait(10)
    run.cancel().wait(20)
    assert run.state == "CANCELLED"
    assert run.usage.requests <= 1


def test_a_sync_step_in_an_async_flow_does_not_wait_for_itself(nb):
    @nf.step
    async def ask(number):
        await asyncio.sleep(0.02)
        cent()

    @nf.step
    def save(number):
        return number

    @nf.flow(on="used")
    async def triage(record):
        await ask(record["id"])
        return save(record["id"])

    run = nb.send("used", RECORDS, key="id", budget=5)
    assert run.counts == {"triage": {"COMPLETED": 10}}
