"""Digests are a published format: a checkpoint of last year is found by today's key, in any process.

A literal that changes here makes every checkpoint of every user a miss. It needs a reason and a line in the
CHANGELOG.
"""

import datetime as dt
import decimal
import json
import pathlib
import subprocess
import sys
import uuid
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from test_code import CLASS, CLOSURE, HELPERS, LAMBDAS, MODELS
from test_value import AttrsRow, Colour, Model, Pair, Row, SlottedRow, Thing, cycle

from nbflow._key.call import Binder, call_key
from nbflow._key.reader import digest, read

RECORD = {
    "id": 7,
    "title": "Refund?",
    "score": 0.5,
    "tags": ["a", None, True],
    "raw": b"x",
}
FRAME = {"a": [1, 2], "b": ["x", None], "c": [0.5, None]}
VALUES = {
    "record": RECORD,
    "none": None,
    "text": "text",
    "surrogate": "\ud800",
    "bytes": b"bytes",
    "big": 2**70,
    "nan": float("nan"),
    "tuple": (1, "a", (2.0,)),
    "set": {1, "a", None, (1, 2)},
    "mixed": {
        "when": dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
        1: decimal.Decimal("1.50"),
    },
    "named": [
        Colour.RED,
        Pair(1, 2),
        uuid.UUID(int=5),
        pathlib.PurePosixPath("a/b"),
        range(3),
    ],
    "objects": [
        Row(1, [2]),
        SlottedRow(1),
        AttrsRow(1),
        Model(a=1, c=(2,)),
        Thing(x=1),
    ],
    "cycle": cycle(),
    "class": [int, len, json.dumps, sys],
    "annotated": [Annotated[int, "a number"], list[int], int | None, Literal["a", 1]],
    "numpy": [
        np.arange(6.0).reshape(2, 3),
        np.array([1, None], object),
        np.float32(1),
        np.array(["a"]),
    ],
    "pandas": pd.DataFrame(
        [[1, 0.5], [2, None]],
        pd.Index(["x", "y"], "string", name="i"),
        pd.Index(["a", 1], object),
    ),
    "nullable": pd.Series([1, None], dtype="Int64"),
    "category": pd.Series(pd.Categorical([2, 1, 2])),
    "polars": pl.DataFrame(FRAME),
    "arrow": pa.table(FRAME),
}
GOLDEN_VALUES = {
    "record": "61c526453ea98ed1b05a53e812fe4c10a7672cf5",
    "none": "7f42cbde59a4deb4132e483bc3aeaec9aefe6777",
    "text": "35923b286a11a8dba9b7cff4dd15634076590103",
    "surrogate": "b45b0d3e07d49420471eb43e60384d1f12287b77",
    "bytes": "ea8003d1fdf3388ddc9dd1cdb9d6ac1c77792610",
    "big": "523f3c1e45d110fa38fbe68e721d2de0d89198c1",
    "nan": "21e3f7c0758626cc7993e838b1ac6fb9e6d320f6",
    "tuple": "50169d6f3747745745f47dc3e1029895239d7f38",
    "set": "b126cfdfb2be1c876582c464360727718cbde168",
    "mixed": "e833b6c55ce058831c4d9fdec8e54a61abdcb5d6",
    "named": "061315dc6774d098a0bb5ba16d662d1c56cfa79c",
    "objects": "5df04fccee48dd7f4ac946d73873050413ec026c",
    "cycle": "ff1133d41520d216ef81d4c3a065535f6d984e2f",
    "class": "0ee4e0211ac5a3be0186bf88e86d82bcb43831dd",
    "annotated": "4c718bc0272d8db1a5062916875334b03d7ac11c",
    "numpy": "2e8eb17eb164d82e938ab148379be33ea83057f8",
    "pandas": "9a3ef4b63a41f7b04adbb5b003fe9cc8cdc6a699",
    "nullable": "b874822528c4c792bd785e69727bda8ac9bcb249",
    "category": "fa6134b711e0f02a5cb918c0fb0a6aa1f3a868b5",
    "polars": "d7fd535b0b21b685de840887a266a5462afd5674",
    "arrow": "6c077c2a0cb0935aba01b25c62603c6bd170b269",
}

GENERATED = """
import collections, typing
Pair = collections.namedtuple("Pair", "a b")
class Named(typing.NamedTuple):
    a: int = 1
def step():
    return Pair, Named
"""
MATCHED = """
async def step(x):
    match x:
        case {"a": [1, *rest], **more} if (n := len(rest)):
            return [i async for i in more]
    async with x as y:
        return await y, -1
"""
INHERITED = """
class A:
    def __init__(self, x):
        self.x = x
class B(A):
    def __init__(self, x):
        super().__init__(x)
def step(x):
    return B(x)
"""
CODES = {
    "helpers": (HELPERS, "step"),
    "closure": (CLOSURE, "step"),
    "lambda": (LAMBDAS, "c"),
    "class": (CLASS, "step"),
    "models": (MODELS, "step"),
    "texts": ("def step(x):\n    return f'{x!r:>{10}}' 'a' f'{x:}b{x=}'\n", "step"),
    "generated": (GENERATED, "step"),
    "matched": (MATCHED, "step"),
    "inherited": (INHERITED, "step"),
    "constant": (
        "F = [lambda: 1, lambda: 2, lambda x=3: x]\ndef step(x):\n    return F\n",
        "step",
    ),
}
GOLDEN_CODES = {
    "helpers": "c11804dc2bc8fead1288b2f0d497a7a2c4b1c1c3",
    "closure": "9b0182d44c2536c1613194159ca078e55a615cf7",
    "lambda": "0f9d415a75feb704e7bdf0f611cb77a66123e863",
    "class": "15f2b6655e88122635f4e32ea5e262c7cd1a50da",
    "models": "02aeb28f0e2c1dc1b982a18be12bc4f3817345ff",
    "texts": "a4f8fc5a53668176eec0f9bf0062ccac2dd412de",
    "generated": "4222e2bd7cde50af0158293e12a07f83a1441501",
    "matched": "1a223cb1217201ec190eb84b30311fd8c553f503",
    "constant": "96b75b3c6768bac20767bc89e23908fcdcc7ff8c",
    "inherited": "27853ed53aa2f31cd455072dff4e69b235444aaa",
}
GOLDEN_CALL = "52313af261f2e8feda47db1e8d976bd8c3c79101"


@pytest.mark.parametrize("name", VALUES)
def test_digest_of_a_value(name):
    assert digest(VALUES[name]).hex() == GOLDEN_VALUES[name]


@pytest.mark.parametrize("name", CODES)
def test_digest_of_code(notebook, name):
    """The same literals on each Python from 3.11 to 3.15."""
    cell, function = CODES[name]
    notebook.run(cell)
    assert read(notebook[function]).digest.hex() == GOLDEN_CODES[name]


def test_key_of_a_call():
    def step(record, model="small"):
        return record

    assert (
        call_key("step", bytes(20), Binder(step).arguments((RECORD,), {}))
        == GOLDEN_CALL
    )


IN_A_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import test_key_golden as golden
from conftest import Notebook
from nbflow._key.reader import digest, read
for name, value in golden.VALUES.items():
    print(name, digest(value).hex())
for name, (cell, function) in golden.CODES.items():
    notebook = Notebook(None)
    notebook.run(cell)
    print(name, read(notebook[function]).digest.hex())
notebook = Notebook(None)
notebook.run("WORDS = frozenset({'a', 'b', 'c', 'd'})\\ndef step(x):\\n    return x in {'x', 'y', 'z'}, WORDS\\n")
print(read(notebook["step"]).digest.hex())
"""


def test_every_process_and_hash_seed_agree():
    here = pathlib.Path(__file__)
    printed = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS, str(here.parent)],
            capture_output=True,
            text=True,
            cwd=here.parents[2],
            env={
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(here.parents[2]),
                "PATH": "",
            },
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1
    assert [line.split()[-1] for line in printed.pop().splitlines()][
        : len(VALUES)
    ] == list(GOLDEN_VALUES.values())


def test_keys_need_no_library_that_the_user_has_not_loaded():
    script = (
        "import sys; from nbflow._key import call, reader; reader.digest({1: (2,)}); reader.read(reader.digest);"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'numpy', 'pydantic', 'IPython', 'attrs'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
