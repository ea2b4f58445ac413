"""What code of a step starts on threads of its own belongs to the step's call."""

import asyncio
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

import nbflow as nf

EVENT = "e"


def in_pool(step, items):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(step, items))


def in_threads(step, items):
    values = {}

    def work(item):
        values[item] = step(item)

    threads = [threading.Thread(target=work, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [values[item] for item in items]


class Worker(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self, step, item):
        super().__init__()
        self.step, self.item = step, item

    def run(self):
        self.value = self.step(self.item)


def in_workers(step, items):
    workers = [Worker(step, item) for item in items]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.value for worker in workers]


def in_thread_pool(step, items):
    with ThreadPool(2) as pool:
        return pool.map(step, items)


def in_executor_of_a_loop(step, items):
    async def work():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(None, step, item) for item in items)
        )

    return asyncio.run(work())


def in_tasks_of_tasks(step, items):
    """A pool's task that uses a pool."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(in_pool, step, items).result()


SHARED = ThreadPoolExecutor(1)


def in_a_pool_of_before(step, items):
    SHARED.submit(int).result()  # its thread was started elsewhere
    return list(SHARED.map(step, items))


HOW = [
    in_pool,
    in_threads,
    in_workers,
    in_thread_pool,
    in_executor_of_a_loop,
    in_tasks_of_tasks,
    in_a_pool_of_before,
]
#: Those that raise for the caller what was raised in a thread.
RAISING = [how for how in HOW if how not in (in_threads, in_workers)]


@pytest.fixture(params=HOW, ids=lambda how: how.__name__)
def how(request):
    return request.param


@pytest.fixture
def fetch(nb):
    @nf.step(ttl="1h")
    def fetch(n):
        nf.usage(input_tokens=10, cost=0.25)
        return n

    return fetch


@pytest.fixture
def report(nb, how, fetch):
    @nf.step(ignore=["how"])
    def report(n):
        return sum(how(fetch, [n, n + 1]))

    return report


def test_a_ttl_reaches_the_result_that_is_built_on_it(nb, report):
    assert report(1) == report(1) == 3
    assert sorted(nb.calls) == ["fetch", "fetch", "report"]
    nb.advance(3601)
    assert report(1) == 3
    assert sorted(nb.calls) == ["fetch"] * 4 + ["report"] * 2


def test_forgetting_reaches_the_result_that_is_built_on_it(nb, report, fetch):
    report(1)
    assert fetch.forget(2) == 2
    report(1)
    assert sorted(nb.calls) == ["fetch"] * 3 + ["report"] * 2


def test_the_calls_are_in_the_table_and_the_costs_of_the_record(nb, report):
    @nf.flow(on=EVENT)
    def weekly(record):
        return report(record["n"])

    run = nb.send(EVENT, [{"n": 1}], key="n")
    steps = run.inspect("1")["weekly"].steps
    assert sorted(step.step for step in steps) == ["fetch", "fetch", "report"]
    assert run.usage.cost == 0.5


@pytest.mark.parametrize("how", RAISING)
def test_a_budget_reaches_them(nb, how, fetch):
    @nf.flow(on=EVENT)
    def weekly(record):
        return sum(how(fetch, [record["n"], record["n"] + 1]))

    run = nb.send(EVENT, [{"n": n} for n in range(0, 40, 2)], key="n", budget="$1")
    assert run.usage.cost <= 1.25
    assert "CANCELLED" in nb.states(run)["weekly"]


@pytest.mark.parametrize("how", RAISING)
def test_a_failure_of_theirs_is_that_of_the_record(nb, how):
    @nf.step(retries=0)
    def fetch(n):
        raise KeyError(n)

    @nf.flow(on=EVENT)
    def weekly(record):
        return sum(how(fetch, [record["n"]]))

    (failed,) = nb.send(EVENT, [{"n": 1}], key="n").failures().to_dict("records")
    assert (failed["step"], failed["error"]) == ("fetch", "KeyError")


def test_a_thread_that_outlives_its_call_is_outside(nb, fetch):
    go, values = threading.Event(), []

    def work():
        go.wait(5)
        values.append(fetch(5))
        values.append(fetch.map([6]))

    @nf.step
    def start(n):
        thread = threading.Thread(target=work)
        thread.start()
        return [id(thread)] and threads.append(thread)

    @nf.flow(on=EVENT)
    def look(record):
        start(record["n"])

    threads = []
    run = nb.send(EVENT, [{"n": 1}])
    go.set()
    threads[0].join()
    assert values[0] == 5
    assert isinstance(values[1], type(run))
    assert not run.usage.cost


def test_threads_outside_calls_start_as_ever(nb, fetch):
    assert in_pool(fetch, [1, 2]) == in_threads(fetch, [1, 2]) == [1, 2]
    thread = threading.Thread(target=int)
    thread.start()
    assert "run" not in vars(thread)
    with pytest.raises(TypeError):
        ThreadPoolExecutor(1).submit()


def test_a_call_on_a_thread_of_before_is_warned_of_once(nb, fetch):
    with ThreadPool(1) as pool:

        @nf.step(ignore=["pool"])
        def report(n):
            return sum(pool.map(lambda n: fetch(n), [n, n + 1]))

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert report(1) == 3
            assert report(2) == 5
        (warned,) = caught
        assert issubclass(warned.category, nf.NbflowWarning)
        assert warned.filename == __file__
        assert "'fetch' is called on thread" in str(warned.message)
        assert "does not belong to 'report'" in str(warned.message)


def test_calls_on_threads_while_something_else_is_under_way_are_no_mistake(nb, fetch):
    begun, go = threading.Event(), threading.Event()

    @nf.step
    def slow():
        begun.set()
        go.wait(5)

    thread = threading.Thread(target=slow)
    thread.start()
    begun.wait(5)
    assert in_pool(fetch, [1, 2]) == [1, 2]
    go.set()
    thread.join()
