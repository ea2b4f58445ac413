"""What steps and flows raise that is no `Exception`: one record fails, nothing else."""

import asyncio
import sys

import pytest

import nbflow as nf

EVENT = "thread"
ROWS = [{"n": n} for n in range(6)]


class Panic(BaseException):
    """As a library in Rust raises it: `pyo3_runtime.PanicException` derives from `BaseException`."""


def group():
    return BaseExceptionGroup("several", [Panic("one"), ValueError("two")])


ERRORS = {
    "panic": lambda: Panic("range step is zero"),
    "group": group,
    "exit": lambda: SystemExit(2),
    "generator exit": lambda: GeneratorExit(),
}


@pytest.fixture(params=ERRORS)
def error(request):
    return ERRORS[request.param]


def check(run):
    """Record 3 failed, all others are done, and the run says so."""
    assert run.state == "PARTIAL"
    assert run.counts == {"triage": {"COMPLETED": 5, "FAILED": 1}}
    assert run.failures()["record"].tolist() == ["3"]


@pytest.mark.parametrize("wait", [True, False])
def test_a_step_that_raises_it_fails_its_record(nb, error, wait):
    @nf.step(retries=0)
    def work(n):
        if n == 3:
            raise error()
        return n

    @nf.flow(on=EVENT)
    def triage(record):
        return work(record["n"])

    run = nb.send(EVENT, ROWS, wait=wait)
    check(run.wait(20))


def test_a_flow_that_raises_it_fails_its_record(nb, error):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] == 3:
            raise error()
        return record["n"]

    check(nb.send(EVENT, ROWS))


async def gathered(*calls):
    return await asyncio.gather(*calls)


async def waited(first, *others):
    for other in others:
        other.close()
    return await asyncio.wait_for(first, 5)


async def tasks(*calls):
    made = [asyncio.ensure_future(call) for call in calls]
    return [await task for task in made]


async def grouped(*calls):
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(call) for call in calls]
    return [task.result() for task in made]


# A GeneratorExit in a coroutine is refused by asyncio itself.
@pytest.mark.parametrize("kind", ["panic", "group", "exit"])
@pytest.mark.parametrize("how", [gathered, waited, tasks, grouped])
def test_an_async_flow_that_raises_it_in_a_task_fails_its_record_and_the_loop_lives(
    nb, kind, how
):
    @nf.step(retries=0)
    async def work(n):
        await asyncio.sleep(0)
        if n == 3:
            error = ERRORS[kind]()
            raise error
        return n

    @nf.flow(on=EVENT)
    async def triage(record):
        return await how(work(record["n"]), work(100 + record["n"]))

    check(nb.send(EVENT, ROWS, wait=False).wait(20))
    assert work.sync(7) == 7
    assert work.submit(8).result(20) == 8


def test_a_loop_that_the_code_of_a_flow_stops_is_started_again(nb):
    @nf.flow(on=EVENT)
    async def triage(record):
        if record["n"] == 3:
            asyncio.get_running_loop().stop()
        await asyncio.sleep(0.001)
        return record["n"]

    run = nb.send(EVENT, ROWS, wait=False).wait(20)
    assert run.counts == {"triage": {"COMPLETED": 6}}


def test_it_is_retried_as_any_other_error(nb):
    tried = []

    @nf.step(retries=2)
    def work(n):
        tried.append(n)
        if len(tried) < 3:
            raise Panic("not yet")
        return n

    assert work(1) == 1
    assert tried == [1, 1, 1]


def test_sys_exit_in_a_step_that_is_called_directly_ends_the_script(nb):
    @nf.step
    def work(n):
        sys.exit(4)

    with pytest.raises(SystemExit) as ended:
        work(1)
    assert ended.value.code == 4


@pytest.mark.parametrize(
    "interrupt",
    [KeyboardInterrupt, lambda: BaseExceptionGroup("", [KeyboardInterrupt()])],
)
def test_an_interrupt_alone_or_in_a_group_ends_the_run(nb, interrupt):
    @nf.flow(on=EVENT)
    def triage(record):
        if record["n"] == 3:
            raise interrupt()
        return record["n"]

    with pytest.raises(BaseException) as ended:
        nb.send(EVENT, ROWS)
    assert isinstance(ended.value, KeyboardInterrupt | BaseExceptionGroup)
    assert nf.open_run().state == "INTERRUPTED"


@pytest.mark.parametrize("many", [False, True])
def test_an_async_flow_that_forgets_to_await_fails_with_the_advice(nb, many):
    @nf.step
    async def work(n):
        return n

    @nf.flow(on=EVENT)
    async def triage(record):
        return [work(record["n"])] if many else work(record["n"])

    run = nb.send(EVENT, ROWS[:1])
    (row,) = run.failures().to_dict("records")
    assert "flow 'triage' returned a coroutine" in row["message"]
    assert "`await`" in row["message"]


def test_a_step_that_forgets_to_await_fails_with_the_advice(nb):
    async def ask(n):
        return n

    @nf.step
    async def work(n):
        return ask(n)

    with pytest.raises(nf.StepError, match="returned a coroutine"):
        work.sync(1)
