"""A budget is passed by one call at most, whatever calls turn out to cost: a server keeps the bill."""

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import nbflow as nf
from nbflow._call.budget import Budget
from nbflow._session import SESSION


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bill.append(asked)
        data = json.dumps(asked).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bill = []
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def post(server, cost):
    """Ask for an answer that costs so much; returns what the server says that it did."""
    connection = HTTPConnection(*server.server_address, timeout=30)
    connection.request("POST", "/", json.dumps(cost))
    cost = json.loads(connection.getresponse().read())
    connection.close()
    return cost


def asking(server, cost_of, is_async=False, name="ask", **options):
    """A step that pays ``cost_of(item)``."""

    @nf.step(name=name, **options)
    def ask(item):
        nf.usage(cost=post(server, cost_of(item)))
        return 1

    @nf.step(name=name, **options)
    async def aask(item):
        nf.usage(cost=await asyncio.to_thread(post, server, cost_of(item)))
        return 1

    return aask if is_async else ask


def flow_of(step, name="triage"):
    if step.is_async:

        @nf.flow(on="paid", name=name)
        async def asked(record):
            return await step(record["item"])
    else:

        @nf.flow(on="paid", name=name)
        def asked(record):
            return step(record["item"])


def send(nb, items, budget):
    records = [{"id": number, "item": item} for number, item in enumerate(items)]
    return nb.send("paid", records, key="id", budget=budget)


def assert_kept(server, budget):
    """At most one call, and that the dearest, is over."""
    assert sum(server.bill) <= budget + max(server.bill)


SHORT_THEN_LONG = ["short"] * 10 + [f"short {n}" for n in range(30)]
SHORT_THEN_LONG += ["long " * 100 + str(n) for n in range(60)]
#: What is asked, what that costs, and the budget.
CASES = {
    "a cheap first, then dear": (range(60), lambda n: 50.0 if n else 1.0, 100),
    "a free first, then dear": (range(60), lambda n: 10.0 if n else 0.0, 40),
    "short, then long": (SHORT_THEN_LONG, lambda t: 10 if len(t) > 20 else 0.5, 40),
    "cheap, then dear": (range(100), lambda n: 10.0 if n >= 40 else 0.5, 40),
    "dear from the first": (range(20), lambda n: 70.0, 40),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("limits", [{}, {"concurrency": 4}])
@pytest.mark.parametrize("is_async", [False, True])
def test_at_most_one_call_passes_a_budget(nb, server, case, limits, is_async):
    items, cost_of, budget = CASES[case]
    flow_of(asking(server, cost_of, is_async, **limits))
    run = send(nb, items, budget)
    assert_kept(server, budget)
    assert run.usage.cost == pytest.approx(sum(server.bill))
    assert run.state == "CANCELLED"


@pytest.mark.parametrize("is_async", [False, True])
def test_at_most_one_call_of_a_map_and_its_reruns_passes(nb, server, is_async):
    items, cost_of, budget = CASES["short, then long"]
    run = asking(server, cost_of, is_async).map(items, budget=budget)
    assert_kept(server, budget)
    before = sum(server.bill)
    run.rerun_failed(budget=25)
    assert sum(server.bill) <= before + 25 + 10
    assert sum(server.bill) > before


@pytest.mark.parametrize("is_async", [False, True])
def test_at_most_one_call_of_several_steps_passes(nb, server, is_async):
    for name in ("one", "two", "three"):
        step = asking(server, lambda n: 50.0 if n > 5 else 1.0, is_async, name)
        flow_of(step, f"flow {name}")
    send(nb, range(20), budget=100)
    assert_kept(server, 100)


@pytest.mark.parametrize("is_async", [False, True])
def test_first_calls_of_several_steps_are_made_one_by_one(nb, server, is_async):
    for name in ("one", "two", "three"):
        flow_of(asking(server, lambda n: 50.0, is_async, name), f"flow {name}")
    send(nb, range(9), budget=60)
    assert len(server.bill) <= 2, "the second begins with money left, and alone"


def test_a_budget_that_was_passed_is_said(nb, server):
    ask = asking(server, lambda n: 7.0 if n == 2 else 1.0)
    run = ask.map(range(3), budget=5)
    assert run.state == "COMPLETED"
    assert "the budget of $5.00 was passed by $4.00" in run.table().remarks[0]
    ask = asking(server, lambda n: 7.0 if n == 2 else 1.0, name="again")
    run = ask.map(range(4), budget=5)
    assert run.state == "CANCELLED"
    assert "the budget of $5.00 was passed by $4.00" in run.table().remarks[0]
    assert "1 record is left" in run.table().remarks[0]
    assert len(run.table().remarks) == 1


def test_a_budget_is_spent_although_texts_differ_in_length(nb, server):
    texts = ["word " * (1 + number * 7919 % 100) for number in range(200)]
    texts = [f"{number} {text}" for number, text in enumerate(texts)]
    ask = asking(server, lambda text: len(text) / 100)
    run = ask.map(texts, budget=300)
    assert 290 <= sum(server.bill) <= 300
    assert run.state == "CANCELLED"


def test_one_large_text_does_not_end_a_budget_that_it_would_fit_into(nb, server):
    ask = asking(server, lambda text: 1.0)
    run = ask.map(["yes", "a" * 10_000, "no"], budget=4)
    assert run.state == "COMPLETED"


def test_steps_that_say_which_model_they_call_are_never_taken_for_free(nb, server):
    nf.set_price("test:paid", input=1, output=1)

    @nf.step(model="test:paid")
    def ask(number):
        if number < 20:
            return  # nothing to ask about
        nf.usage(cost=post(server, 10.0))

    ask.map(range(60), budget=25)
    assert sum(server.bill) == 20


def test_who_waits_for_another_call_does_not_keep_the_money_from_it(nb, server):
    """One call waits for the outcome of another one, which waits for money."""
    inner = asking(server, lambda number: 10.0)
    begun = threading.Event()

    @nf.step
    def outer(number):
        begun.wait(10)
        return inner(number)

    @nf.flow(on="paid")
    def first(record):
        return outer(record["item"])

    @nf.flow(on="paid")
    def second(record):
        begun.set()
        return inner(record["item"])

    run = send(nb, range(3), budget=100)
    assert run.state == "COMPLETED"
    assert len(server.bill) == 3


def test_a_step_that_sends_a_run_does_not_keep_the_money_from_it(nb, server):
    """Of a job's budget: it holds for both runs."""
    flow_of(asking(server, lambda number: 1.0))

    @nf.step
    def work(number):
        return send(nb, [number, -number], None).state

    @nf.step
    def later(number):
        records = [{"id": 1, "item": 10 * number}]
        return nb.send("paid", records, key="id", wait=False).wait().state

    budget = Budget(4.0)
    SESSION.engine.runner.budgets = (budget,)
    assert work.map([1]).results("work") == ["COMPLETED"]
    assert later.map([1]).results("later") == ["COMPLETED"]
    assert work.map([7]).results("work") == ["CANCELLED"]
    assert budget.spent == 4.0


def test_calls_on_threads_of_a_paid_step_do_not_wait_for_it(nb, server):
    ask = asking(server, lambda number: 1.0)

    @nf.step
    def outer(number):
        with ThreadPoolExecutor(3) as pool:
            return sum(pool.map(ask, range(3)))

    budget = Budget(9.0)
    SESSION.engine.runner.budgets = (budget,)
    assert outer(1) == 3
    assert len(server.bill) == 3


@pytest.mark.parametrize("is_async", [False, True])
def test_what_follows_a_call_that_was_paid_for_gets_its_turn(nb, server, is_async):
    """Also its first one, of which nobody knows yet that it costs nothing."""
    ask = asking(server, lambda number: 1.0, is_async)

    @nf.step
    def save(number):
        return number

    if is_async:

        @nf.flow(on="paid")
        async def triage(record):
            await ask(record["item"])
            return await save.aio(record["item"])
    else:

        @nf.flow(on="paid")
        def triage(record):
            ask(record["item"])
            return save(record["item"])

    run = send(nb, range(40), budget=5)
    assert run.counts["triage"] == {"COMPLETED": 5, "CANCELLED": 35}


def test_a_sync_step_that_costs_nothing_is_never_refused_on_the_event_loop(nb):
    @nf.step
    def look(number):
        return number

    @nf.flow(on="paid")
    async def on_loop(record):
        return look(record["item"])

    @nf.flow(on="paid")
    def on_threads(record):
        return look(-record["item"] - 1)

    run = send(nb, range(200), budget=5)
    assert run.state == "COMPLETED"


def test_a_failing_step_does_not_keep_others_from_being_paid_for(nb, server):
    @nf.step(retries=0)
    def broken(number):
        raise ConnectionError("down")

    @nf.flow(on="paid")
    def other(record):
        broken(record["item"])

    flow_of(asking(server, lambda number: 1.0))
    run = send(nb, range(30), budget=10)
    assert sum(server.bill) == 10
    assert run.counts["other"]["FAILED"] >= 3


# What got no answer


@pytest.fixture
def silent():
    """A port that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


def read_nothing(address, timeout=0.05):
    with socket.create_connection(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\n\r\n")
        connection.settimeout(timeout)
        connection.recv(1)


LOST = nf.Usage(requests=1, unpriced=1, unanswered=1)


def test_a_request_without_an_answer_is_one_of_unknown_cost(nb, silent):
    nf.set_price("test:paid", input=1, output=1)

    @nf.step(model="test:paid", retries=1)
    def ask(number):
        read_nothing(silent)

    run = ask.map([1])
    assert run.usage == LOST + LOST
    assert run.inspect(0)["ask"]["ask"].usage.unanswered == 2
    assert run.results()[0]["ask.cost"] is None
    said = "2 of 2 requests got no answer, and what they cost is unknown"
    assert said in run.table().sentence


def test_so_is_one_of_a_step_that_has_told_what_it_used(nb, server, silent):
    @nf.step(retries=0)
    def ask(number):
        if number:
            read_nothing(silent)
        nf.usage(cost=post(server, 1.0))

    run = ask.map([0, 1])
    assert run.usage == nf.Usage(2, cost=1.0, unpriced=1, unanswered=1)
    assert "$1.00 for 0 tokens; 1 of 2 requests got no answer" in run.table().sentence
    assert [row["ask.cost"] for row in run.results()] == [1.0, None]


def test_a_request_that_was_not_sent_or_was_answered_is_not_counted(nb):
    inside = nf.StepError("x", step="inner")
    inside.__cause__ = nf.StepTimeoutError("late")
    errors = [ConnectionRefusedError("down"), ValueError("no label"), inside]

    @nf.step(model="test:paid", retries=0)
    def ask(number):
        raise errors[number]

    assert ask.map(range(3)).usage.requests == 0


def test_an_async_request_that_is_cancelled_is_counted(nb):
    nf.set_price("test:paid", input=1, output=1)
    sent = threading.Event()

    @nf.step(model="test:paid")
    async def ask(number):
        sent.set()
        await asyncio.sleep(60)

    run = ask.map([1], wait=False)
    assert sent.wait(10)
    assert run.cancel().wait(10).usage == LOST


def test_an_answer_that_comes_too_late_is_counted_once(nb):
    reported = threading.Event()

    @nf.step(model="test:paid", timeout=0.05, retries=0)
    def ask(number):
        threading.Event().wait(0.2)
        nf.usage(cost=2.0)
        reported.set()

    @nf.step
    def wait(number):
        reported.wait(10)

    @nf.flow(on="paid")
    def triage(record):
        try:
            ask(record["item"])
        except nf.StepError:
            wait(record["item"])

    nf.set_price("test:paid", input=1, output=1)
    run = send(nb, [1], budget=100)
    assert run.usage == nf.Usage(1, cost=2.0)


def test_a_budget_holds_what_got_no_answer_at_the_dearest_call(nb, server, silent):
    @nf.step(retries=0)
    def ask(number):
        if number % 2:
            read_nothing(silent)
        nf.usage(cost=post(server, 10.0))

    run = ask.map(range(20), budget=100)
    assert 90 <= 10 * run.usage.requests <= 100
    assert "are held back for requests without an answer" in run.table().remarks[0]


def test_a_plan_takes_what_got_no_answer_to_cost_what_the_others_do(nb, server, silent):
    @nf.step(retries=1)
    def ask(number):
        if number == 1:
            read_nothing(silent)
        nf.usage(cost=post(server, 1.0))

    @nf.flow(on="paid")
    def triage(record):
        return ask(record["item"])

    send(nb, [0, 1], None)
    records = [{"id": number, "item": number} for number in range(2, 12)]
    assert nf.plan("paid", records, key="id").cost == pytest.approx(15)


@pytest.mark.parametrize("way", ["call", "submit", "pool"])
def test_calls_inside_a_step_that_pays_nothing_itself_are_held_one_by_one(
    nb, server, way
):
    """A step that sums up two hundred chunks is one call, and spent two hundred dollars of ten."""
    inner = asking(server, lambda _item: 1.0, name="chunk", concurrency=4, model="m")
    nf.set_price("m", input=1, output=1)

    def summed(item):
        numbers = [(item, number) for number in range(50)]
        if way == "call":
            return sum(map(inner, numbers))
        if way == "submit":
            return sum(each.result() for each in [inner.submit(n) for n in numbers])
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(inner, numbers))

    outer = nf.step(name="summed")(summed)
    run = outer.map(range(3), budget=10)
    assert sum(server.bill) == 10.0
    assert run.state == "CANCELLED"
    assert run.rerun_failed(budget=200).state == "COMPLETED"
    assert sum(server.bill) == 150.0
