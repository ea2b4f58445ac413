"""A secret's value is in no key, checkpoint, ledger, table or warning, whatever a step does with it."""

import dataclasses
import gzip
import json
import pickle
import queue
import threading
import types
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

import nbflow as nf
from nbflow._key.secret import KNOWN
from nbflow._store import codec
from nbflow.errors import CodecError, StepError, StoreWarning

VALUE = "k3y-9f8e7d6c5b4a"


@dataclasses.dataclass
class Client:
    api_key: str
    name: str = "c"


class Model(pydantic.BaseModel):
    api_key: str


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", VALUE)
    nf.use(tmp_path / "store")
    nf.secret("MY_KEY")

    def written():
        return b"".join(
            path.read_bytes()
            for path in (tmp_path / "store").rglob("*")
            if path.is_file()
        )

    yield written
    assert KNOWN.holder(written()) is None


def rotate(monkeypatch):
    monkeypatch.setenv("MY_KEY", "another-value-0123")


def test_a_rotation_runs_nothing_again_however_the_step_came_by_the_secret(
    store, monkeypatch
):
    ran = queue.SimpleQueue()  # counts by its type alone

    def ask(text, key):
        ran.put(text)
        assert key.startswith(("k3y", "another"))
        return len(text)

    def every_way():
        key = nf.secret("MY_KEY")
        client, options = Client(key), {"headers": [key]}

        @nf.step(name="argument")
        def by_argument(text, key):
            return ask(text, key)

        @nf.step(name="default")
        def by_default(text, key=key):
            return ask(text, key)

        @nf.step(name="closure")
        def by_closure(text):
            return ask(text, key)

        @nf.step(name="object")
        def by_object(text, client):
            return ask(text, client.api_key)

        @nf.step(name="container")
        def by_container(text):
            return ask(text, options["headers"][0])

        @nf.step(name="inside")
        def inside(text):
            return ask(text, nf.secret("MY_KEY"))

        return [
            by_argument("a", key),
            by_default("b"),
            by_closure("c"),
            by_object("d", client),
            by_container("e"),
            inside("f"),
        ]

    assert every_way() == [1] * 6
    assert ran.qsize() == 6
    rotate(monkeypatch)
    assert every_way() == [1] * 6
    assert ran.qsize() == 6


def test_a_client_that_holds_it_is_no_part_of_what_is_written(store):
    httpx = pytest.importorskip("httpx")
    client = httpx.Client(headers={"Authorization": f"Bearer {nf.secret('MY_KEY')}"})

    @nf.step
    def ask(text, client):
        return client.headers["Authorization"][:6]

    assert ask("x", client) == "Bearer"
    assert ask("x", httpx.Client()) == "Bearer"  # a hit: keyed by its type alone


def test_a_secret_that_is_returned_is_saved_by_its_name(store, monkeypatch):
    made = []

    @nf.step
    def connect(n):
        made.append(n)
        return {
            "key": nf.secret("MY_KEY"),
            "client": Client(nf.secret("MY_KEY")),
            "set": {nf.secret("MY_KEY")},
            "odd": types.SimpleNamespace(key=nf.secret("MY_KEY")),
        }

    connect(1)
    rotate(monkeypatch)
    found = connect(1)
    assert made == [1]
    assert [
        repr(key)
        for key in (
            found["key"],
            found["client"].api_key,
            *found["set"],
            found["odd"].key,
        )
    ] == ["Secret('MY_KEY')"] * 4
    assert found["key"] == "another-value-0123"


def test_where_a_saved_secret_is_not_to_be_had_the_step_runs_again(store, monkeypatch):
    @nf.step
    def connect(n):
        return [nf.secret("MY_KEY") if "MY_KEY" in __import__("os").environ else None]

    connect(1)
    monkeypatch.delenv("MY_KEY")
    with pytest.warns(StoreWarning, match=r"MY_KEY is not set"):
        assert connect(1) == [None]


HOLDING = {
    "a text": str,
    "a header": lambda key: "Bearer " + key,
    "a dict": lambda key: {"a": [{"auth": f"Bearer {key}"}]},
    "JSON": lambda key: json.dumps({"key": key}),
    "a dataclass": lambda key: Client(f"x{key}"),
    "a model": lambda key: Model(api_key=key),
    "an object": lambda key: types.SimpleNamespace(key=str(key)),
    "bytes": lambda key: key.encode(),
    "a pickle": lambda key: pickle.dumps(str(key)),
    "an array of texts": lambda key: np.array([str(key), "x"]),
    "an array of objects": lambda key: np.array([str(key), None], dtype=object),
    "pandas": lambda key: pd.DataFrame({"n": [1, 2], "key": ["x", key]}),
    "an index": lambda key: pd.Series([1], index=[str(key)]),
    "a category": lambda key: pd.Series([str(key)], dtype="category"),
    "polars": lambda key: pl.DataFrame({"key": ["x", str(key)]}),
    "a short text in polars": lambda key: pl.DataFrame({"key": [str(key)] * 200_000}),
    "Arrow": lambda key: pa.table({"key": [str(key)]}),
    "the name of a column": lambda key: pd.DataFrame({str(key): [1]}),
}


@pytest.mark.parametrize("make", HOLDING.values(), ids=HOLDING)
def test_what_holds_the_value_is_returned_and_not_saved(store, make):
    ran = []

    @nf.step
    def leak(n):
        ran.append(n)
        return make(nf.secret("MY_KEY"))

    for _ in range(2):
        with pytest.warns(
            StoreWarning,
            match=r"could not be saved.*contains the value of nf.secret\('MY_KEY'\)",
        ) as caught:
            assert leak(1) is not None
        assert VALUE not in str(caught[0].message)
    assert ran == [1, 1]


def test_the_warning_says_where_the_value_is(store):
    with pytest.raises(
        CodecError,
        match=r"value\['a'\]\[1\]\['auth'\] cannot be saved: it contains the value of nf.secret\('MY_KEY'\)",
    ):
        codec.encode({"a": [1, {"auth": f"Bearer {VALUE}"}]})


def test_what_is_compressed_is_not_seen(store):
    """A limit that the docs say: the value is looked for in what is written, not in what that means."""
    assert codec.encode(gzip.compress(VALUE.encode()))


def test_neither_ledger_nor_table_nor_error_has_it(store):
    @nf.step(retries=0)
    def ask(n):
        if n == 1:
            raise ValueError(f"401: invalid key {nf.secret('MY_KEY')}")
        raise RuntimeError({"auth": f"Bearer {nf.secret('MY_KEY')}"})

    @nf.flow(
        on="e",
        on_failure=lambda record, error: 1 / len(str(error).partition(VALUE)[1][:0]),
    )
    def look(record):
        return ask(record["n"])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = nf.send("e", [{"n": 1}, {"n": 2}], key="n")
    shown = [
        repr(run),
        run._repr_html_(),
        str(run.failures().to_dict()),
        str(run.failures(by="cause").to_dict()),
        repr(run.inspect("1")),
        str(caught),
    ]
    assert all("***MY_KEY***" in text for text in shown[:1] + shown[2:3])
    assert not any(VALUE in text for text in shown)
    again = nf.open_run(run.id)
    assert "***MY_KEY***" in again.failures()["message"].iloc[0]
    assert VALUE not in again.inspect("1")["look"]["ask"].failure.traceback
    with pytest.raises(StepError, match=r"invalid key \*\*\*MY_KEY\*\*\*"):
        ask(1)


def test_a_batch_that_holds_it_is_sent_and_not_kept(store):
    @nf.flow(on="e")
    def look(record):
        return len(record["auth"])

    with pytest.warns(
        nf.NbflowWarning,
        match=r"could not be kept.*contains the value of nf.secret\('MY_KEY'\)",
    ):
        run = nf.send("e", [{"n": 1, "auth": f"Bearer {VALUE}"}], key="n")
    assert run.results("look") == [len(VALUE) + 7]
    with pytest.warns(nf.NbflowWarning, match="could not be kept"):
        nf.send("e", iter([{"n": 2, "auth": f"Bearer {VALUE}"}]), key="n")


def test_a_secret_in_a_record_is_kept_by_its_name(store):
    @nf.flow(on="e")
    def look(record):
        return len(record["auth"])

    nf.send("e", [{"n": 1, "auth": nf.secret("MY_KEY")}], key="n")
    assert nf.open_run().inspect("1").record["auth"] == VALUE


def test_a_key_of_a_record_is_masked_in_the_ledger(store):
    @nf.flow(on="e")
    def look(record):
        return 1

    nf.send("e", [{"n": f"x-{VALUE}"}], key="n", keep_records=False)


def test_fields_of_an_input_are_kept_without_it(store):
    @nf.step
    def count(fields):
        return len(fields)

    assert count({VALUE: 1, "b": 2}) == 2


def test_explain_tells_no_value(store):
    text = f"use {VALUE}"
    space = {"nf": nf, "PROMPT": text}
    exec("@nf.step\ndef ask(n):\n    return len(PROMPT)", space)
    space["ask"](1)
    space["PROMPT"] = f"please {text}"
    assert VALUE not in str(space["ask"].explain(1))
    space["ask"](1)


def test_secrets_may_be_read_in_many_threads_at_once(store, monkeypatch):
    names = [f"KEY_{n}" for n in range(50)]
    for name in names:
        monkeypatch.setenv(name, f"value-of-{name}-{'x' * 10}")
    threads = [threading.Thread(target=nf.secret, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        KNOWN.mask(f"a value-of-{name}-{'x' * 10}.") == f"a ***{name}***."
        for name in names
    )
