"""Steps called directly: durable, retried, limited, shared."""

import asyncio
import copy
import copyreg
import dataclasses
import inspect
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

import nbflow as nf


def test_a_call_is_executed_once(nb):
    @nf.step
    def double(x):
        return 2 * x

    assert [double(1), double(1), double(2)] == [2, 2, 4]
    assert nb.calls == ["double", "double"]


def test_what_one_kernel_did_the_next_one_finds(nb):
    @nf.step
    def double(x):
        return 2 * x

    double(1)
    nb.forget()
    assert double(1) == 2
    assert nb.calls == []


def test_signature_docstring_and_name_survive():
    @nf.step(retries=1)
    def double(x: int, *, y: int = 1) -> int:
        """Twice."""
        return 2 * x

    assert str(inspect.signature(double)) == "(x: int, *, y: int = 1) -> int"
    assert (double.__doc__, double.__name__, double.name) == (
        "Twice.",
        "double",
        "double",
    )


def test_positional_keyword_and_default_arguments_are_one_call(nb):
    @nf.step
    def add(x, y=1):
        return x + y

    assert {add(1), add(x=1), add(1, 1), add(1, y=1), add(y=1, x=1)} == {2}
    assert nb.calls == ["add"]


class Forgetful:
    """Loses an attribute when it is pickled, as some classes of libraries do."""

    def __init__(self):
        self.data, self.note = [1], "as it was made"

    def __setstate__(self, state):
        self.data = state["data"]


def test_what_loses_something_on_disk_is_handed_on_as_it_will_be_loaded(nb):
    @nf.step
    def make():
        return [Forgetful()]

    @nf.step
    def notes(things):
        return [hasattr(thing, "note") for thing in things]

    assert notes(make()) == [False]
    nb.forget()
    assert notes(make()) == [False]
    assert nb.calls == []


def test_each_caller_gets_an_object_of_its_own(nb):
    @nf.step
    def make():
        return {"labels": []}

    make()["labels"].append("mine")
    make()["labels"].append("mine")
    assert make() == {"labels": []}


def test_falsy_results_are_results(nb):
    @nf.step
    def nothing(x):
        return x

    for value in (None, 0, "", [], False):
        nothing(value)
        nothing(value)
    assert len(nb.calls) == 5


def test_a_failure_is_no_checkpoint_and_names_its_cause(nb):
    @nf.step(retries=2)
    def fail(x):
        raise ValueError("not a label")

    for _ in range(2):
        with pytest.raises(
            nf.StepError,
            match=r"not a label\nstep 'fail' failed, tried 3 times",
        ) as caught:
            fail(1)
    assert isinstance(caught.value.__cause__, ValueError)
    assert (
        caught.value.step,
        caught.value.attempts,
        caught.value.flow,
        caught.value.record_key,
    ) == ("fail", 3, None, None)
    assert len(nb.calls) == 6


def test_a_later_attempt_that_passes_is_saved(nb):
    left = [TimeoutError(), ConnectionError()]

    @nf.step
    def flaky(x):
        if left:
            raise left.pop()
        return x

    assert flaky(7) == 7
    assert flaky(7) == 7
    assert nb.calls == ["flaky"] * 3


def test_keyboard_interrupt_passes_through_and_leaves_nothing_locked(nb):
    interrupts = [KeyboardInterrupt()]

    @nf.step
    def work(x):
        if interrupts:
            raise interrupts.pop()
        return x

    with pytest.raises(KeyboardInterrupt):
        work(1)
    assert work(1) == 1


def test_async_steps_are_awaited(nb):
    @nf.step
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    async def main():
        return await asyncio.gather(double(1), double(1), double(2))

    assert asyncio.run(main()) == [2, 2, 4]
    assert asyncio.run(main()) == [2, 2, 4]
    assert nb.calls == ["double", "double"]


def test_sync_waits_for_an_async_step_and_aio_awaits_a_sync_one(nb):
    @nf.step
    async def slow(x):
        return x + 1

    @nf.step
    def fast(x):
        return x + 1, threading.current_thread().name

    assert slow.sync(1) == 2
    value, thread = asyncio.run(_awaited(fast.aio(1)))
    assert value == 2
    assert thread != threading.current_thread().name


async def _awaited(awaitable):
    return await awaitable


class _Ok(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections

    def do_GET(self):
        time.sleep(0.01)  # so that the client has to wait for the answer, on its loop
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def ask():
    """An async step over one client, and a real server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ok) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client, url = httpx.AsyncClient(), f"http://127.0.0.1:{server.server_port}"

        @nf.step(ignore=("client", "url"))
        async def ask(n):
            return (await client.get(url)).status_code

        yield ask
        server.shutdown()


async def _sends(ask):
    """As a cell does: its loop runs, and the run has another one."""

    @nf.flow(on="asked")
    async def flow(record):
        return await ask(record["n"])

    return await asyncio.to_thread(nf.send, "asked", [{"n": n} for n in range(8)])


def test_one_client_serves_a_cell_by_sync_and_a_run(nb, ask):
    async def cell():
        assert ask.sync(-1) == 200
        return await _sends(ask)

    run = asyncio.run(cell())
    assert run.results("flow") == [200] * 8
    assert not any(row.retries for row in run.table().flows)


def test_a_client_that_a_cell_awaited_fails_an_attempt_of_a_run_which_says_why(nb, ask):
    async def cell():
        assert await asyncio.gather(*map(ask, range(-8, 0))) == [200] * 8
        return await _sends(ask)

    run = asyncio.run(cell())
    assert run.results("flow") == [200] * 8
    told = "".join(str(run.inspect(n)) for n in range(8))
    assert "different event loop (something made for one event loop" in told


def test_sync_works_while_an_event_loop_runs_as_in_a_notebook_cell(nb):
    @nf.step
    async def slow(x):
        return x + 1

    async def cell():
        return slow.sync(1)

    assert asyncio.run(cell()) == 2


def test_methods_are_steps_keyed_by_their_instance(nb):
    class Model:
        def __init__(self, name):
            self.name = name

        @nf.step
        def ask(self, text):
            return f"{self.name}: {text}"

    assert Model("a").ask("x") == "a: x"
    assert Model("a").ask("x") == "a: x"
    assert Model("b").ask("x") == "b: x"
    assert len(nb.calls) == 2
    assert Model("a").ask.name.endswith("Model.ask")


def test_a_step_is_a_step_and_so_is_a_method_of_an_instance():
    class Model:
        @nf.step
        def ask(self, text):
            return text

    assert type(Model.ask) is type(Model().ask) is nf.Step
    assert nf.step(Model.ask).__wrapped__ is Model.ask.__wrapped__


def test_static_methods_are_steps(nb):
    class Tools:
        @staticmethod
        @nf.step
        def twice(x):
            return 2 * x

    assert Tools.twice(2) == Tools().twice(2) == 4
    assert len(nb.calls) == 1


def test_equal_calls_in_flight_are_one_call(nb):
    begun, go = threading.Event(), threading.Event()

    @nf.step
    def slow(x):
        begun.set()
        go.wait(5)
        return x

    values = []
    threads = [
        threading.Thread(target=lambda: values.append(slow(1))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    begun.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert values == [1] * 8
    assert nb.calls == ["slow"]


def test_equal_calls_in_flight_share_their_failure(nb):
    begun, go = threading.Event(), threading.Event()

    @nf.step(retries=0)
    def slow(x):
        begun.set()
        go.wait(5)
        raise ValueError("no")

    errors = []

    def call():
        try:
            slow(1)
        except nf.StepError as error:
            errors.append(error)

    first = threading.Thread(target=call)
    first.start()
    begun.wait(5)
    others = [threading.Thread(target=call) for _ in range(4)]
    for thread in others:
        thread.start()
    # Let them come to wait; were they late, each would fail by itself just the same.
    time.sleep(0.05)
    go.set()
    for thread in (first, *others):
        thread.join(5)
    assert len(errors) == 5
    assert all(isinstance(error.__cause__, ValueError) for error in errors)


def test_a_step_that_calls_itself_with_the_same_arguments_is_told_so(nb):
    @nf.step(retries=0)
    def loop(x):
        return loop(x)

    with pytest.raises(nf.StepError) as caught:
        loop(1)
    assert isinstance(caught.value.__cause__, RecursionError)


def test_a_step_may_recurse_within_its_own_limit(nb):
    @nf.step(concurrency=1)
    def factorial(n):
        return 1 if n < 2 else n * factorial(n - 1)

    assert factorial(5) == 120


def test_concurrency_bounds_calls_under_way(nb):
    now, most, mutex = [0], [0], threading.Lock()

    @nf.step(concurrency=3)
    def work(x):
        with mutex:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with mutex:
            now[0] -= 1
        return x

    work.map(range(20))
    assert most[0] <= 3
    assert len(nb.calls) == 20


def test_a_sync_attempt_that_takes_too_long_times_out_and_is_left_behind(nb):
    go = threading.Event()

    @nf.step(timeout=0.05, retries=1)
    def hang(x):
        go.wait(10)

    with pytest.raises(
        nf.StepError, match=r"no answer within timeout=0\.05 s"
    ) as caught:
        hang(1)
    go.set()
    assert isinstance(caught.value.__cause__, nf.StepTimeoutError)
    assert caught.value.attempts == 2


def test_an_async_attempt_that_takes_too_long_is_cancelled(nb):
    cancelled = []

    @nf.step(timeout=0.05, retries=0)
    async def hang(x):
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(x)
            raise

    with pytest.raises(nf.StepError) as caught:
        hang.sync(1)
    assert isinstance(caught.value.__cause__, nf.StepTimeoutError)
    assert cancelled == [1]


def test_a_users_own_timeout_error_is_kept(nb):
    @nf.step(timeout=5, retries=0)
    def fail(x):
        raise TimeoutError("mine")

    with pytest.raises(nf.StepError, match=r"^mine\n") as caught:
        fail(1)
    assert not isinstance(caught.value.__cause__, nf.StepTimeoutError)


def test_retry_after_pauses_every_call_of_the_throttle(nb):
    throttle = nf.Throttle("1000/s")
    seen = []

    @nf.step(throttle=throttle)
    def limited(x):
        if not seen:
            seen.append(nb.engine.clock.monotonic())
            raise nf.RetryAfterError(retry_after=60)
        return nb.engine.clock.monotonic()

    @nf.step(throttle=throttle)
    def neighbour(x):
        return nb.engine.clock.monotonic()

    assert limited(1) - seen[0] >= 60


def test_a_pause_is_one_of_all_steps_that_name_the_throttle(nb):
    throttle = nf.Throttle("1000/s")
    refused = []

    @nf.step(throttle=throttle, retries=0)
    def limited(x):
        refused.append(nb.engine.clock.monotonic())
        raise nf.RetryAfterError(retry_after=60)

    @nf.step(throttle=throttle)
    def neighbour(x):
        return nb.engine.clock.monotonic()

    with pytest.raises(nf.StepError):
        limited(1)
    assert neighbour(1) - refused[0] >= 60


def test_a_throttle_spreads_starts(nb):
    @nf.step(throttle="2/min")
    def work(x):
        return nb.engine.clock.monotonic()

    starts = [work(n) for n in range(6)]
    assert all(
        later - earlier >= 59.9
        for earlier, later in zip(starts, starts[2:], strict=False)
    )


def test_outputs_older_than_their_ttl_run_again(nb):
    @nf.step(ttl="1d")
    def today(x):
        return x

    @nf.step
    def report(x):
        return today(x)

    report(1)
    nb.advance(86_000)
    report(1)
    assert nb.calls == ["report", "today"]
    nb.advance(1_000)
    report(1)
    assert nb.calls == ["report", "today"] * 2


def test_a_version_keeps_outputs_across_edits(nb):
    def make(body, version):
        @nf.step(name="s", version=version)
        def s(x):
            return body + x

        return s

    assert make(1, "a")(1) == 2
    assert make(2, "a")(1) == 2
    assert make(2, "b")(1) == 3


def test_ignored_arguments_are_not_part_of_the_key(nb):
    @nf.step(ignore="client")
    def ask(client, text):
        return text

    ask(object(), "x")
    ask(object(), "x")
    assert nb.calls == ["ask"]


def test_what_a_step_depends_on_is_part_of_the_key(nb, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("one")

    @nf.step(depends_on=[file, "pandas"])
    def ask(text):
        return file.read_text()

    assert ask("x") == "one"
    file.write_text("two")
    assert ask("x") == "two"


def test_an_unkeyable_argument_is_refused_by_name(nb):
    @nf.step
    def total(numbers):
        return sum(numbers)

    with pytest.raises(nf.UnkeyableError, match="numbers"):
        total(n for n in range(3))


def test_a_value_that_cannot_be_saved_still_reaches_the_caller(nb):
    @nf.step
    def lock():
        return threading.Lock()

    with pytest.warns(nf.StoreWarning, match="could not be saved"):
        assert lock().acquire(blocking=False)
    with pytest.warns(nf.StoreWarning):
        lock()
    assert len(nb.calls) == 2


@pytest.mark.parametrize(
    ("options", "say"),
    [
        ({"retries": -1}, "retries=-1"),
        ({"retries": True}, "retries=True"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"timeout": 0}, "timeout"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"throttle": "fast"}, "300/min"),
        ({"backoff": 0.5}, "backoff=0.5"),
        ({"ignore": "nobody"}, "nobody"),
        ({"should_retry": 3}, "should_retry=3"),
        ({"name": ""}, "name=''"),
    ],
)
def test_misuse_fails_where_the_step_is_defined(options, say):
    with pytest.raises(nf.UsageError, match=say):

        @nf.step(**options)
        def s(x):
            return x


def test_an_option_that_a_step_does_not_have_is_refused_with_the_one_that_was_meant():
    with pytest.raises(
        TypeError,
        match=r"^step\(\) got an unexpected keyword argument 'retrys'\. Did you mean 'retries'\?$",
    ):
        nf.step(retrys=1)


def test_what_cannot_be_a_step_is_refused():
    with pytest.raises(nf.UsageError, match="generator"):

        @nf.step
        def g():
            yield 1

    with pytest.raises(nf.UsageError, match="above"):
        nf.step(staticmethod(lambda: 1))
    with pytest.raises(nf.UsageError, match="takes a function"):
        nf.step(3)
    with pytest.raises(TypeError):
        nf.step(retires=3)(lambda: 1)


@pytest.mark.parametrize("options", [{}, {"frozen": True}, {"slots": True}])
def test_a_class_stays_the_same_when_its_instances_have_been_pickled(nb, options):
    """Pickle and copy note on a class which slots it has."""

    @dataclasses.dataclass(**options)
    class Label:
        name: str

    @nf.step
    def label(text):
        return Label(text).name

    for _ in range(2):
        label("a")
        copy.copy(Label("a"))
        copyreg._slotnames(Label)
    assert nb.calls == ["label"]


def test_a_call_on_the_side_says_how_it_stands_where_nothing_draws_it(nb):
    @nf.step(retries=0)
    def half(n):
        return n / 2

    good, bad = half.submit(4), half.submit("x")
    assert good.result() == 2
    assert (
        repr(good) == "<call that returned a value of type float: .result() gives it>"
    )
    with pytest.raises(TypeError):
        bad.result()
    assert repr(bad) == "<call that raised TypeError: .result() raises it>"
