"""Steps and flows are made before what their annotations name is defined."""

import sys

import pytest

import nbflow
from nbflow.errors import UsageError

CELL = """
@nf.step(ignore=["z"])
def step(x: Later, y: list[Later] | None = None, *, z: "Later" = 1) -> Later.inner:
    return x
@nf.flow(on="support/thread.created")
def flow(record: Later) -> Later:
    return step(record)
"""


def test_annotations_in_quotes_need_not_be_defined(nb):
    space = {"nf": nbflow, "__name__": "__main__"}
    exec("from __future__ import annotations\n" + CELL, space)
    assert space["step"](3) == 3


if sys.version_info >= (3, 14):

    @pytest.mark.parametrize(
        "annotation", ["Later", "list[Later | None]", "later.inner(1)"]
    )
    def test_nor_do_those_without_quotes(nb, annotation):
        space = {"nf": nbflow, "__name__": "__main__"}
        exec(CELL.replace("-> Later:", f"-> {annotation}:"), space)
        assert space["step"](3) == 3
        assert space["flow"]({"id": 1}) == {"id": 1}
        with pytest.raises(UsageError, match="do not fit"):
            exec(
                CELL.replace(
                    "record: Later", f"record: {annotation}, other: {annotation}"
                ),
                space,
            )
