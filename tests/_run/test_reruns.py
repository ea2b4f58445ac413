"""Running records again from a step on, also where they were remembered as a whole."""

import pytest

import nbflow as nf
from nbflow._session import SESSION

EVENT = "tickets"


@pytest.fixture
def flows():
    @nf.step
    def label(text):
        return text[-1]

    @nf.step
    def save(key, label):
        return None

    @nf.flow(on=EVENT)
    def triage(ticket):
        save(ticket["id"], label(ticket["text"]))

    @nf.flow(on=EVENT)
    def count(ticket):
        return len(ticket["text"])


def rows(number):
    return [{"id": f"t{n}", "text": f"text {n}"} for n in range(number)]


@pytest.mark.parametrize("more", [0, 2])
def test_rerun_from_a_step_where_records_were_remembered_as_a_whole(nb, flows, more):
    nb.send(EVENT, rows(3), key="id")
    run = nb.send(EVENT, rows(3 + more), key="id")
    nb.calls.clear()
    with pytest.raises(
        nf.UsageError, match=r"no such step.*label, save.*Did you mean 'save'"
    ):
        run.rerun(from_step="sav")
    assert nb.calls == []
    run.rerun(["t0"], from_step="save")
    assert nb.calls == ["save"]


def test_rerun_from_a_step_that_another_step_calls(nb):
    @nf.step
    def read(n):
        return n

    @nf.step
    def check(n):
        return n

    @nf.step
    def load(n):
        return check(read(n))

    @nf.flow(on=EVENT)
    def look(record):
        return load(record["n"])

    nb.send(EVENT, [{"n": 1}])
    run = nb.send(EVENT, [{"n": 1}])
    nb.calls.clear()
    run.rerun(from_step="check")
    assert nb.calls == ["load", "check"]


def test_rerun_from_a_step_that_the_code_does_not_show(nb):
    @nf.step
    def check(n):
        return n

    @nf.flow(on=EVENT)
    def look(record):
        return SESSION.steps["check"](record["n"])

    nb.send(EVENT, [{"n": 1}])
    run = nb.send(EVENT, [{"n": 1}])
    nb.calls.clear()
    run.rerun(from_step="check")
    assert nb.calls == ["check"]


def test_rerun_of_a_map_from_its_step(nb):
    @nf.step
    def check(n):
        return n

    check.map([1, 2])
    run = check.map([1, 2])
    nb.calls.clear()
    with pytest.raises(nf.UsageError, match="its flows call check"):
        run.rerun(from_step="chek")
    run.rerun(from_step="check")
    assert nb.calls == ["check", "check"]
