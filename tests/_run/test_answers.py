"""`--json`: one object with its schema on stdout, small, without secrets, the same as last time."""

import json
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nbflow as nf
from nbflow import cli
from nbflow._run.answers.document import document, plain

GOLDEN = Path(__file__).parent / "golden" / "answers"
DOCS = Path(__file__).parents[2] / "docs" / "agents.md"
#: Values that differ from run to run, by their keys.
_VARYING = {
    "run", "store", "started", "oldest", "seconds", "seconds_in_line", "bytes",
    "unneeded_bytes", "seconds_range",
}  # fmt: skip


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """A run with two flows, failures, usage and a printing step, in a store on disk."""
    monkeypatch.setenv("MODEL_KEY", "s3cret-value")
    key = nf.secret("MODEL_KEY")
    nf.use(tmp_path / "store")

    @nf.step(retries=0)
    def categorize(text):
        nf.usage(input_tokens=100, output_tokens=10, cost=0.5, answered_by="m-1")
        if "bad" in text:
            raise ValueError(f"no category for {text!r}, {key}")
        return {"label": "bug", "score": float("nan")}

    @nf.flow(on="thread")
    def triage(record):
        print("looking")
        return categorize(record["text"])

    @nf.flow(on="thread")
    def count(record):
        return len(record["text"])

    texts = ["fine", "bad 1", "bad 2", "also fine"]
    rows = [
        {"id": n, "text": text, "when": pd.NaT, "password": "hunter22"}
        for n, text in enumerate(texts)
    ]
    return nf.send("thread", rows, key="id")


@pytest.fixture
def answer(capsys):
    """The object that a command prints, alone on stdout."""

    def answer(*arguments, code=0):
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == code
        out = capsys.readouterr().out
        assert "s3cret-value" not in out
        assert "hunter22" not in out
        return json.loads(out)

    return answer


def steady(value):
    """The same without what differs from run to run; types stay."""
    if isinstance(value, dict):
        return {
            name: _type(part) if name in _VARYING and _varies(part) else steady(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return list(map(steady, value))
    if isinstance(value, str):
        text = re.sub(r"\d+(\.\d+)? (ms|s)\b|<1 ms", "TIME", value)
        return re.sub(r"\d{8}-\d{6}-[0-9a-f]{7}", "RUN", text)
    return value


def _varies(part):
    return isinstance(part, str | int | float) or part == [] or _is_range(part)


def _is_range(part):
    return isinstance(part, list) and all(isinstance(one, float) for one in part)


def _type(part):
    return type(part).__name__


def compare(name, found):
    text = json.dumps(steady(found), indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("NBFLOW_GOLDEN") == "write":
        golden.write_text(text)
    assert golden.read_text() == text, golden


COMMANDS = {
    "runs": ("runs",),
    "run": ("runs", "latest"),
    "failures": ("runs", "latest", "--failures"),
    "record": ("inspect", "latest", "1"),
    "store": ("store", "info"),
    "store-check": ("store", "check"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_answers_as_it_did_before(name, sent, answer):
    """Golden files: what programs read changes only on purpose. `NBFLOW_GOLDEN=write` writes them."""
    found = answer(*COMMANDS[name])
    assert found["schema"] == f"nbflow.{name}/1"
    compare(name, found)


def test_a_plan_answers_as_it_did_before(sent):
    plan = nf.plan("thread", [{"id": 9, "text": "new"}], key="id")
    compare("plan", json.loads(plan.to_json()))


def test_a_check_of_a_notebook_answers_as_it_did_before(tmp_path, answer, monkeypatch):
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.chdir(tmp_path)
    cell = new_code_cell("print(y)", id="a", execution_count=None)
    nbformat.write(new_notebook(cells=[cell]), "job.ipynb")
    compare("check", answer("check", "job.ipynb", code=1))


def test_every_key_of_every_schema_is_documented():
    text = DOCS.read_text("utf-8")
    for golden in GOLDEN.glob("*.json"):
        found = json.loads(golden.read_text())
        assert f"`{found['schema']}`" in text
        for name in keys_of(found):
            assert f"`{name}`" in text, f"{golden.name}: {name}"


#: Objects whose keys are a user's or states, which the page describes as a whole.
_OPEN = {"sent", "output", "counts", "standing"}


def keys_of(value):
    if isinstance(value, list):
        for part in value:
            yield from keys_of(part)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            if name not in _OPEN:
                yield from keys_of(part)


# Errors.


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("runs", "nope"), "UnknownRunError", "There is no run 'nope'"),
        (("inspect", "latest", "nope"), "UsageError", "has no record 'nope'"),
        (("runs", "--failures"), "UsageError", "--failures goes with one run"),
        (("runs", "delete", "x"), "UsageError", "--json goes with"),
        (("check", "none.ipynb"), "UsageError", "none.ipynb"),
    ],
)
def test_an_error_is_an_object_with_the_exit_code(
    arguments, kind, said, sent, answer, capsys
):
    found = answer(*arguments, code=2)
    assert found["schema"] == "nbflow.error/1"
    assert (found["error"], found["exit_code"]) == (kind, 2)
    assert said in found["message"]


def test_wrong_arguments_are_an_object_too(capsys):
    for wrong in (["runs", "--jsom"], ["inspect", "latest"], ["runs", "--limit", "0"]):
        with pytest.raises(SystemExit) as ended:
            cli.main([*wrong, "--json"])
        assert ended.value.code == 2
        captured = capsys.readouterr()
        assert json.loads(captured.out)["error"] == "UsageError"
        assert "usage: nbflow" in captured.err


def test_a_warning_is_no_part_of_the_answer(sent, answer, capsys, tmp_path):
    """A ledger that cannot be read is said on stderr."""
    (tmp_path / "store" / "runs" / f"{sent.id}-x").mkdir(parents=True)
    assert answer("runs")["schema"] == "nbflow.runs/1"


# Small.


def test_an_answer_is_small_however_much_there_is(tmp_path, answer, nb):
    nf.use(tmp_path / "store")

    @nf.step(retries=0)
    def fail(text):
        raise ValueError(f"{text} " * 10_000)

    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    fail.map([f"{a} {b} {c}" for a in words for b in words for c in words])
    for arguments in (("runs", "latest"), ("runs", "latest", "--failures")):
        assert len(json.dumps(answer(*arguments))) < 30_000
    found = answer("runs", "latest", "--failures", "--limit", "3")
    assert (found["failed"], len(found["failures"]), found["more"]) == (512, 3, 509)
    assert found["failures"][0]["message"].endswith(" characters more)")
    assert (
        len(json.dumps(answer("inspect", "latest", found["failures"][0]["record"])))
        < 5000
    )


def test_people_read_failures_a_line_each(sent, capsys):
    capsys.readouterr()
    assert cli.main(["runs", "latest", "--failures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "1  triage / categorize  ValueError: no category for 'bad 1', ***MODEL_KEY***",
        "2  triage / categorize  ValueError: no category for 'bad 2', ***MODEL_KEY***",
    ]
    assert cli.main(["runs", "latest", "--failures", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "and 1 more; --limit shows more"
    ]
    assert cli.main(["inspect", "latest", "1"]) == 0
    assert capsys.readouterr().out.startswith("record 1\n")
    assert cli.main(["runs", "--limit", "1"]) == 0
    assert sent.id in capsys.readouterr().out


# Values.


@dataclass
class Point:
    x: float
    token: str = "t0ken-of-somebody"


class Nasty:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("inf"), "inf"),
        (np.float32("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.datetime64("2026-12-01"), "2026-12-01"),
        (np.datetime64("NaT"), None),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Timestamp("2026-12-01"), "2026-12-01T00:00:00"),
        (Decimal("1.10"), "1.10"),
        (b"\xff\x00", "<2 bytes>"),
        (Path("/a"), "/a"),
        (10**30, 10**30),
        ("\ud800", "\\ud800"),
        ({1: {2: 3}}, {"1": {"2": 3}}),
        ((1, 2), [1, 2]),
        ("x" * 600, "x" * 500 + "... (100 characters more)"),
        (list(range(22)), [*range(20), "... 2 more"]),
        (Nasty(), "<Nasty, whose repr raises RuntimeError>"),
    ],
)
def test_a_value_is_json_whatever_it_is(value, expected):
    made = plain(value)
    assert made == expected
    assert json.loads(document("x/1", {"value": made}))["value"] == expected


def test_fields_are_an_object_and_those_of_secrets_are_hidden():
    assert plain(Point(1.5)) == {"x": 1.5, "token": "<hidden>"}
    wide = plain({f"f{n}": n for n in range(60)})
    assert len(wide) == 51
    assert wide["..."] == "10 more fields"
    deep = value = {}
    for _ in range(100):
        deep["a"] = {}
        deep = deep["a"]
    assert len(json.dumps(plain(value))) < 1000


def test_a_list_that_holds_itself_ends():
    value = [1]
    value.append(value)
    json.dumps(plain(value))


# What a cell shows without HTML.


def test_what_the_store_says_reads_well_as_the_last_line_of_a_cell(sent):
    for shown in (
        nf.store.info(),
        nf.store.check(),
        nf.store.prune(keep_runs=0, dry_run=True),
    ):
        assert repr(shown) == str(shown)
        assert not repr(shown).startswith(type(shown).__name__)
    assert repr(sent.table()).startswith(f"<table of run {sent.id}: ")
