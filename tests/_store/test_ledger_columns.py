"""Entries as columns: they come back as they were, in their order, in few bytes, and hide what has to go."""

import math
import random
import tarfile
from pathlib import Path

import msgspec
import pytest

import nbflow as nf
from nbflow._core.entry import (
    Called,
    Failure,
    Item,
    Listed,
    Printed,
    Remark,
    Used,
    Waits,
)
from nbflow._core.lifecycle import State
from nbflow._core.usage import Usage
from nbflow._store import ledger_lines
from nbflow._store.ledger_columns import column_of, values_of

DATA = Path(__file__).parents[1] / "data"


def of_steps(records, at=1_764_590_000.25):
    """What a flow of three steps notes of each record."""
    for n in range(records):
        at += 0.0001220703125
        yield Listed(n, f"t-{n}")
        yield Item(n, 0, State.RUNNING, at)
        for step in "abc":
            at += 0.000030517578125
            key = random.Random(f"{step}{n}").randbytes(20).hex()
            yield Called(n, 0, step, State.COMPLETED, at, 0.0000152587890625, 1, key)
        key = random.Random(n).randbytes(20).hex()
        yield Item(n, 0, State.COMPLETED, at, 0.000244140625, key, 3)


def of_all_kinds(seed):
    """Entries as no run would have them: any field may hold what its type allows."""
    dice = random.Random(seed)

    def number():
        return dice.choice([0, 1, 1, 2, 7, -3, 200, 70_000, 2**40, 2**63 - 1])

    def seconds():
        return dice.choice([0.0, 0.5, 0.1, 1e-9, -2.0, 1e300, math.inf, 3])

    def text():
        return dice.choice(["", "a", "ask", "ab" * 20, "AB" * 20, "Zürich", "\udcff"])

    def failure():
        return dice.choice([None, Failure("ask", "E", text(), text())])

    def state():
        return dice.choice([State.RUNNING, State.COMPLETED, State.FAILED])

    def key():
        return dice.choice([None, "cd" * 20, "00" * 20, text()])

    def usage():
        return Usage(number() % 9, 7, cost=dice.choice([None, 0.1]), models=("m",))

    makers = [
        lambda: Listed(number(), text(), number()),
        lambda: Item(number(), 0, state(), seconds(), seconds(), key(), 1, failure()),
        lambda: Item(1, 1, state(), 1.5, waited=seconds(), same=dice.random() < 0.5),
        lambda: Called(2, 0, text(), state(), seconds(), 0.5, number(), key()),
        lambda: Called(2, 0, "a", state(), 1.0, 0.5, 1, None, failure(), seconds()),
        lambda: Used(number(), 0, text(), 1, seconds(), usage(), saved=False),
        lambda: Printed(number(), 0, "a", 1, (("stdout", text()),)),
        lambda: Waits(number(), 0, "a", seconds(), text()),
        lambda: Remark(1.0, text()),
    ]
    chosen = dice.sample(makers, dice.randrange(1, len(makers)))
    return [dice.choice(chosen)() for _ in range(dice.choice([1, 3, 40, 2000]))]


@pytest.mark.parametrize("seed", range(60))
def test_any_entries_come_back_as_they_were(seed):
    entries = of_all_kinds(seed)
    found = ledger_lines.decode(ledger_lines.encode(entries))
    surrogates = "\udcff" in repr(entries) or "\\udcff" in repr(entries)
    if not surrogates:
        assert found == entries
    assert list(map(type, found)) == list(map(type, entries))
    for one, other in zip(found, entries, strict=True):
        assert list(map(type, one)) == list(map(type, other))


def test_a_record_of_three_steps_takes_ninety_bytes_beside_its_key():
    entries = list(of_steps(1000))
    block = ledger_lines.encode(entries)
    assert ledger_lines.decode(block) == entries
    assert len(block) < 1000 * (90 + len("t-999"))


def test_numbers_that_differ_in_little_take_little():
    for values in (
        list(range(5000)),
        [1_764_590_000 + n / 8 for n in range(5000)],
        [-5, 2**62, -(2**62), 0, 1, 7],
        [2**63 - 1, -(2**63), 0, 1],
        [0.1, 0.2, math.nan][:2],
    ):
        column = column_of(values)
        assert list(values_of(column, len(values))) == values
    for values in (range(5000), [float(n) for n in range(5000)]):
        assert len(msgspec.msgpack.encode(column_of(list(values)))) < 150


@pytest.mark.parametrize("everywhere", [True, False])
def test_what_has_to_go_is_starred_in_its_place(everywhere):
    """Other records and all numbers stay, and the block keeps its length."""
    failed = Failure("ask", "ValueError", "no answer for Anna", "Anna, line 3")
    entries = [
        entry
        for n in range(40)
        for entry in (
            Listed(n, "Anna" if n == 7 else f"t-{n}"),
            Called(n, 0, "ask", State.FAILED, 1.5, 0.25, 1, None, failed),
            Used(n, 0, "ask", 1, 1.5, Usage(1, 7, models=("Anna-2",))),
            Item(n, 0, State.FAILED, 1.5, 0.25, None, 1, failed),
        )
    ]
    entries.append(Remark(2.0, "Anna called"))
    block = ledger_lines.encode(entries)
    hidden = ledger_lines.masked(
        block,
        {7, 9},
        lambda text: text.replace("Anna", "****"),
        everywhere=everywhere,
    )
    assert len(hidden) == len(block)
    found = ledger_lines.decode(hidden)
    assert (b"Anna" in hidden) is not everywhere
    assert found[-1] == Remark(2.0, "**** called")
    for before, after in zip(entries[:-1], found[:-1], strict=True):
        if before.record in (7, 9):
            assert "Anna" not in repr(after) or isinstance(after, Used)
        elif not everywhere:
            assert after == before
    assert [entry for entry in found if isinstance(entry, Listed)][8].key == "t-8"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A store that an earlier version left, whose ledger has lines."""
    monkeypatch.setenv(
        "NBFLOW_STORE_KEY", "of a store that tests read and nobody hides"
    )
    with tarfile.open(DATA / "store_of_lines.tar.xz") as packed:
        packed.extractall(tmp_path / "store", filter="data")
    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    nf.use(tmp_path / "store")
    return tmp_path / "store"


def test_a_store_of_an_earlier_version_is_read_and_continues(nb, old):
    again, first = (nf.open_run(run) for run in nf.runs()["run"])
    failed = [n for n in range(60) if n % 20 == 7]
    made = [None if n in failed else f"{n * n}!" for n in range(60)]
    for run in (first, again):
        assert run.state == "PARTIAL"
        assert run.results("reply") == [*made, "9!"]
        assert run.results("count") == [*range(60), 3]
        assert list(run.failures()["record"]) == [f"t-{n}" for n in failed]
        assert set(run.failures()["message"]) == {f"no answer for {n}" for n in failed}
    assert first.counts["reply"] == {"COMPLETED": 57, "FAILED": 3}
    assert again.counts["reply"] == {"CACHED": 57, "FAILED": 3}
    view = first.inspect("t-8")["reply"]
    assert [step.step for step in view.steps] == ["ask", "tidy"]
    assert view["ask"].printed == "asked 8\n"
    assert (view["ask"].usage.input_tokens, view["tidy"].output) == (8, "64!")
    assert len(first.inspect("t-7")["reply"]["ask"].attempts) == 2
    assert first.usage.cost == again.saved.cost == 57 * 0.25

    @nf.step(retries=1, retry_delay=0.0)
    def ask(n: int) -> int:
        return n * n

    @nf.step
    def tidy(n: int) -> str:
        return f"{n}!"

    @nf.flow(on="mail")
    def reply(r):
        return tidy(ask(r["n"]))

    @nf.flow(on="mail")
    def count(r):
        return r["n"]

    first.rerun_failed()
    assert first.counts["reply"] == {"COMPLETED": 60}
    nf.use(old)
    assert nf.open_run(first.id).results("reply")[7] == "49!"
