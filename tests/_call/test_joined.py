"""What the caller of a failed step sees raised: the user's exception and a `StepError` in one."""

import asyncio
import inspect
import json
import pickle
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

import attrs
import numpy as np
import pydantic
import pytest

import nbflow as nf

RUST = pytest.importorskip("polars")
httpx = pytest.importorskip("httpx")


class Score(pydantic.BaseModel):
    points: int


class Asks(Exception):
    """Its `__init__` cannot be called again with its `args`."""

    def __init__(self, status, *, response):
        super().__init__(f"status {status}")
        self.status, self.response = status, response


class Made(Exception):
    def __new__(cls, one, two):
        return super().__new__(cls, one)

    def __init__(self, one, two):
        self.two = two


class Slots(Exception):
    __slots__ = ("left",)

    def __init__(self, left):
        self.left = left


@dataclass(frozen=True)
class Frozen(Exception):
    points: int


class Named(Exception):
    """Has the names of ours."""

    attempts = property(lambda self: "three")

    def __init__(self):
        self.step = 17


class Registered(Exception):
    def __init_subclass__(cls, code):
        raise AssertionError("no class of the user's was made")


class Own(BaseException):
    pass


class Both(KeyError, OSError):
    pass


def _http_error():
    request = httpx.Request("GET", "http://localhost/labels")
    response = httpx.Response(422, request=request, text="no such label")
    response.raise_for_status()


def _group():
    raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])


RAISING = {
    "value": lambda: int("x"),
    "key": lambda: {}["text"],
    "os": lambda: Path("/no/such/file").read_text(),
    "decode": lambda: b"\xff".decode(),
    "syntax": lambda: compile("a b", "cell", "exec"),
    "attribute": lambda: object().label,
    "json": lambda: json.loads("{"),
    "pydantic": lambda: Score(points="many"),
    "polars": lambda: RUST.DataFrame({"a": [1]}).select("b"),
    "httpx": _http_error,
    "group": _group,
    "keyword": lambda: _raise(Asks(429, response={"wait": 3})),
    "new": lambda: _raise(Made(1, 2)),
    "slots": lambda: _raise(Slots([1])),
    "frozen": lambda: _raise(Frozen(3)),
    "names": lambda: _raise(Named()),
    "registered": lambda: _raise(Registered("r")),
    "base": lambda: _raise(Own("o")),
    "both": lambda: _raise(Both("b")),
    "plain": lambda: _raise(Exception("e")),
    "ours": lambda: _raise(nf.RetryAfterError(retry_after=3)),
}
if sys.version_info >= (3, 15):
    # Its errors cannot be derived from there: they are raised as they are, with a note.
    del RAISING["pydantic"]


def _raise(error):
    raise error


def caught(function, *args):
    with pytest.raises(BaseException) as raised:
        function(*args)
    return raised.value


def failed(function):
    """What a caller of a step sees that raises what ``function`` raises."""
    return caught(nf.step(retries=0, name="work")(function))


@pytest.fixture(params=RAISING)
def raising(request):
    return RAISING[request.param]


def held(error):
    """What code that catches an error may look at."""
    fields = (
        "args", "errno", "filename", "start", "reason", "lineno", "name", "obj", "status",
        "response", "two", "left", "points", "title", "exceptions", "message", "doc", "pos",
        "request", "step", "retry_after",
    )  # fmt: skip
    found = {}
    for field in fields:
        try:
            found[field] = repr(getattr(error, field))
        except AttributeError:
            continue
    return found


def test_a_failed_step_is_caught_as_what_its_code_raised_and_as_a_step_error(
    nb, raising
):
    error, mine = failed(raising), caught(raising)
    assert isinstance(error, type(mine))
    assert isinstance(error, nf.StepError)
    assert type(error).__name__ == type(mine).__name__
    assert str(error) == str(mine)
    assert type(error.__cause__) is type(mine)
    with pytest.raises(type(mine)):
        nf.step(retries=0)(raising)()


def test_it_has_all_that_the_users_exception_holds(nb, raising):
    error = failed(raising)
    cause = held(error.__cause__)
    assert {
        name: shown for name, shown in held(error).items() if name in cause
    } == cause


def test_its_note_says_which_step_of_which_record_failed(nb):
    texts = {}

    @nf.step(retries=1)
    def pick(record):
        return texts[record["id"]]

    seen = []

    @nf.flow(on="e")
    def triage(record):
        try:
            pick(record)
        except KeyError as error:
            seen.append(error)
            raise

    run = nf.send("e", [{"id": 7}], key="id")
    (error,) = seen
    assert (error.step, error.flow, error.record_key, error.attempts) == (
        "pick", "triage", "7", 2,
    )  # fmt: skip
    shown = "".join(traceback.format_exception_only(error))
    assert shown == (
        "KeyError: 7\nstep 'pick' of flow 'triage' failed for record '7', tried 2 times\n"
    )
    (row,) = run.failures().to_dict("records")
    assert (row["step"], row["error"], row["attempts"]) == ("pick", "KeyError", 2)


def test_an_attribute_of_the_users_comes_before_ours_of_the_same_name(nb):
    error = failed(RAISING["names"])
    assert (error.step, error.attempts, error.record_key) == (17, "three", None)


def test_it_crosses_pickle_where_the_users_exception_does(nb, raising):
    error = failed(raising)
    try:
        pickle.loads(pickle.dumps(error.__cause__))
    except Exception:
        with pytest.raises(Exception):  # whatever it raises itself
            pickle.loads(pickle.dumps(error))
        return
    there = pickle.loads(pickle.dumps(error))
    assert isinstance(there, nf.StepError)
    assert isinstance(there, type(error.__cause__))
    assert str(there) == str(error)
    assert there.__notes__ == error.__notes__
    assert type(there.__cause__) is type(error.__cause__)
    assert there.record_key is None


def test_one_that_was_raised_again_without_its_cause_stays_both(nb):
    @nf.step(retries=0)
    def inner():
        return {}["text"]

    @nf.step(retries=0)
    def outer():
        try:
            inner()
        except KeyError as error:
            raise error from None

    error = caught(outer)
    assert isinstance(error, KeyError)
    assert (error.step, str(error)) == ("outer", "'text'")
    assert isinstance(pickle.loads(pickle.dumps(error.__cause__)), nf.StepError)


def test_our_own_exceptions_cross_pickle():
    error = pickle.loads(pickle.dumps(nf.StepError("no", step="s", attempts=3)))
    assert (str(error), error.step, error.attempts) == ("no", "s", 3)
    assert (
        pickle.loads(pickle.dumps(nf.RetryAfterError(retry_after=3))).retry_after == 3
    )


def test_a_group_is_split_by_its_members_and_caught_as_a_step_error(nb):
    work, seen = nf.step(retries=0)(_group), []
    try:
        work()
    except* ValueError as errors:
        seen += errors.exceptions
    except* KeyError as errors:
        seen += errors.exceptions
    try:
        work()
    except* nf.StepError as errors:
        seen += errors.exceptions
    assert [str(error) for error in seen] == ["one", "'two'"] * 2


def test_a_failure_of_steps_in_steps_is_that_of_the_innermost(nb):
    @nf.step(retries=2)
    def inner():
        return {}["text"]

    @nf.step
    def outer():
        return inner()

    @nf.flow(on="e")
    def look(record):
        outer()

    error = caught(outer)
    assert isinstance(error, KeyError)
    assert (error.step, error.attempts) == ("outer", 1)
    assert (error.__cause__.step, error.__cause__.attempts) == ("inner", 3)
    assert type(error.__cause__.__cause__) is KeyError
    assert nb.calls == ["outer", "inner", "inner", "inner"]
    (row,) = nf.send("e", [{"n": 1}]).failures().to_dict("records")
    assert (row["step"], row["error"], row["attempts"]) == ("inner", "KeyError", 3)


@pytest.mark.parametrize(
    "error", [nf.RetryAfterError(retry_after=1), TimeoutError("t"), Exception("e")]
)
def test_a_step_is_not_retried_for_what_a_nested_step_was_retried_for(nb, error):
    @nf.step(retries=1)
    def inner():
        raise error

    @nf.step
    def outer():
        return inner()

    with pytest.raises(type(error)):
        outer()
    assert nb.calls == ["outer", "inner", "inner"]


class Final(type):
    def __new__(cls, name, bases, names):
        if len(bases) > 1:
            raise TypeError("cannot be derived from")
        return super().__new__(cls, name, bases, names)


class Sealed(Exception, metaclass=Final):
    pass


UNJOINED = [
    Sealed("s"),
    BaseExceptionGroup("several", [Own("one"), ValueError("two")]),
]


@pytest.mark.parametrize("error", UNJOINED, ids=repr)
def test_what_no_class_can_be_joined_to_is_raised_itself_with_the_note(nb, error):
    @nf.step(retries=1)
    def inner():
        raise error

    @nf.step
    def outer():
        return inner()

    assert caught(outer) is error
    assert nb.calls == ["outer", "inner", "inner"]
    assert len(error.__notes__) == 2
    assert error.__notes__[0].startswith("step 'inner' failed, tried 2 times")
    assert "`except nf.StepError` does not catch it" in error.__notes__[0]


@pytest.mark.parametrize(
    "error", [StopIteration(3), StopAsyncIteration(), asyncio.CancelledError()]
)
def test_what_ends_loops_and_tasks_silently_is_a_step_error_only(nb, error):
    @nf.step(retries=0)
    def take(n):
        raise error

    with pytest.raises(nf.StepError, match=type(error).__name__) as raised:
        list(map(take, [1, 2]))
    assert raised.value.__cause__ is error


def test_calls_that_share_a_failure_each_get_their_own(nb):
    begun, go = threading.Event(), threading.Event()

    @nf.step(retries=0)
    def slow():
        begun.set()
        go.wait(5)
        raise KeyError("no")

    @nf.flow(on="e", on_failure=lambda record, error: errors.append(error))
    def look(record):
        if record["n"]:
            begun.wait(5)
            go.set()
        slow()

    errors = []
    nf.send("e", [{"n": 0}, {"n": 1}], key="n")
    assert sorted(error.record_key for error in errors) == ["0", "1"]


def test_async_steps_raise_the_same(nb, raising):
    @nf.step(retries=0)
    async def work():
        raising()

    error, mine = caught(work.sync), caught(raising)
    assert isinstance(error, type(mine))
    assert isinstance(error, nf.StepError)


def test_async_steps_and_flows_are_coroutine_functions_to_whoever_asks(nb):
    class Model:
        @nf.step
        async def ask(self, text):
            return text

    @nf.step
    async def ask(text: str) -> str:
        return text

    @nf.step
    def size(text):
        return len(text)

    @nf.flow(on="e")
    async def look(record):
        return await ask(record["text"])

    assert all(map(inspect.iscoroutinefunction, (ask, Model().ask, look)))
    assert not inspect.iscoroutinefunction(size)
    assert not inspect.isfunction(ask)
    assert str(inspect.signature(ask)) == "(text: str) -> str"


def test_a_slot_that_holds_none_holds_it_in_the_copy(nb):
    @attrs.define
    class ApiError(Exception):
        code: int
        detail: str | None = None

    error = failed(lambda: _raise(ApiError(500)))
    assert (error.code, error.detail) == (500, None)
    assert repr(error) == "ApiError(code=500, detail=None)"
    axis = failed(lambda: np.zeros(3).sum(axis=5))
    assert str(axis) == "axis 5 is out of bounds for array of dimension 1"
