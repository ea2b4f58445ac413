"""Two runs of the same records: what differs, and nothing else."""

import numpy as np
import pytest

import nbflow as nf

EVENT = "e"


def sent(nb, label, records=range(4)):
    """A run whose flow is edited: what it makes of a record is what ``label`` says."""

    @nf.flow(on=EVENT)
    def triage(record):
        return label(record["n"])

    return nb.send(EVENT, [{"id": f"r{n}", "n": n} for n in records], key="id")


def rows(frame):
    return [tuple(row) for row in frame.itertuples(index=False)]


def test_only_fields_that_differ_are_shown(nb):
    before = sent(nb, lambda n: {"label": "billing", "sure": 1.0})
    after = sent(nb, lambda n: {"label": "bug" if n == 2 else "billing", "sure": 1.0})
    assert rows(before.compare(after)) == [("r2", "triage", "label", "billing", "bug")]
    assert list(before.compare(before).columns) == [
        "record",
        "flow",
        "field",
        "before",
        "after",
    ]
    assert before.compare(before).empty


def test_a_plain_value_goes_by_the_flow_s_name(nb):
    assert rows(sent(nb, lambda n: n).compare(sent(nb, lambda n: n + (n == 3)))) == [
        ("r3", "triage", "triage", 3, 4)
    ]


def test_records_that_come_and_go_and_those_that_fail_are_told(nb):
    def strict(n):
        if n == 1:
            raise ValueError("no")
        return n

    before, after = sent(nb, lambda n: n), sent(nb, strict, range(1, 5))
    assert rows(before.compare(after)) == [
        ("r1", "triage", "status", "COMPLETED", "FAILED"),
        ("r1", "triage", "triage", 1, None),
        ("r0", "", "record", True, False),
        ("r4", "", "record", False, True),
    ]


@pytest.mark.parametrize("value", [np.arange(3), [1.0, float("nan")]])
def test_values_are_compared_by_content(nb, value):
    assert (
        sent(nb, lambda n: value).compare(sent(nb, lambda n: (value, value)[1])).empty
    )
