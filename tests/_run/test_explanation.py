"""Every rerun has a reason that its author understands: a line, a global, a column, a field."""

import logging
import subprocess
import sys

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import nbflow as nf
from nbflow._call import keys
from nbflow._session import SESSION

EVENT = "thread.created"


def test_a_call_that_never_ran_would_run_for_that_reason(cells):
    explanation = cells.categorize.explain("x")
    assert (explanation.state, explanation.reason) == (
        "would run",
        "it has not run before",
    )
    assert str(explanation) == "categorize would run because it has not run before."


def test_a_saved_call_says_since_when(cells):
    cells.categorize("x")
    explanation = cells.categorize.explain("x")
    assert explanation.state == "cached"
    assert "has been cached since" in str(explanation)
    assert explanation.saved_at is not None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "Pick one",
            "Choose one",
            "`PROMPT` changed (line 3: 'Pick one.' -> 'Choose one.')",
        ),
        (
            '["billing", "bug"]',
            '["billing"]',
            "`LABELS` changed (['billing', 'bug'] -> ['billing'])",
        ),
        (
            "return text.strip()",
            "return text.lstrip()",
            "helper `clean` changed (line 3: 'return text.strip()' -> 'return text.lstrip()')",
        ),
        (
            "limit = 3",
            "limit = 4",
            "class `Rules` changed (line 2: 'limit = 3' -> 'limit = 4')",
        ),
        (
            "text[: self.limit]",
            "text[: self.limit + 1]",
            "'return text[: self.limit]' -> 'return text[: self.limit + 1]'",
        ),
        (
            "return model, PROMPT",
            "return PROMPT, model",
            "its own code changed (line 2: ",
        ),
    ],
)
def test_an_edit_is_named_with_its_line_before_and_after_the_rerun(
    cells, nb, old, new, reason
):
    cells.categorize("x")
    cells.edit(old, new)
    explanation = cells.categorize.explain("x")
    assert explanation.state == "would run"
    assert reason in explanation.reason
    assert explanation.diff()
    cells.categorize("x")
    assert nb.calls == ["categorize", "categorize"]
    ran = cells.categorize.explain("x")
    assert ran.state == "cached"
    assert ran.reason == explanation.reason
    cells.edit(old, old)
    assert cells.categorize.explain("x").state == "cached"


def test_a_comment_is_not_taken_for_the_edit(cells):
    cells.categorize("x")
    cells.run(
        'def clean(text):\n    """Strip it, on the left."""\n    # on the left\n    return text.lstrip()  # so\n'
    )
    assert (
        "'return text.strip()' -> 'return text.lstrip()'"
        in cells.categorize.explain("x").reason
    )


def test_options_of_the_decorator_are_not_taken_for_the_edit(cells):
    cells.categorize("x")
    cells.run(
        "@nf.step(retries=1)\ndef categorize(text, model='small'):\n    return text\n"
    )
    assert "retries" not in cells.categorize.explain("x").reason


def test_a_helper_that_is_reached_now_or_no_longer_is_named(cells):
    cells.categorize("x")
    cells.run(
        "def lower(text):\n    return text.lower()\ndef clean(text):\n    return lower(text.strip())\n"
    )
    assert "it now reads `lower`" in cells.categorize.explain("x").reason
    cells.categorize("x")
    cells.run("def clean(text):\n    return text\n")
    assert "it no longer reads `lower`" in cells.categorize.explain("x").reason


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_the_column_that_changed_is_named(cells, make):
    cells.shape(make({"id": [1, 2], "body": ["a", "b"]}))
    assert (
        cells.shape.explain(make({"id": [1, 2], "body": ["a", "c"]})).reason
        == "column `body` of `df` changed"
    )
    assert (
        cells.shape.explain(
            make({"id": [1, 2], "body": ["a", "b"], "n": [1, 1]})
        ).reason
        == "column `n` of `df` is new"
    )
    assert (
        cells.shape.explain(make({"id": [1, 2]})).reason
        == "column `body` of `df` is gone"
    )
    assert (
        "order" in cells.shape.explain(make({"body": ["a", "b"], "id": [1, 2]})).reason
    )


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_the_column_of_a_frame_in_a_global_is_named(cells, make):
    cells.run("@nf.step\ndef total(n):\n    return len(frame) * n\n")
    cells.module.frame = make({"id": [1, 2], "body": ["a", "b"]})
    cells.total(1)
    cells.module.frame = make({"id": [1, 2], "body": ["a", "c"]})
    assert cells.total.explain(1).reason == "column `body` of `frame` changed"
    cells.total(1)
    cells.module.frame = make({"id": [1, 2]})
    assert cells.total.explain(1).reason == "column `body` of `frame` is gone"
    cells.module.frame = make({"id": [1, 3], "body": ["a", "c"]})
    assert cells.total.explain(1).reason == "column `id` of `frame` changed"
    cells.module.other = make({"x": [1]})
    cells.run(
        "def total(n):\n    return len(frame) * n\n"
        "@nf.step(name='total')\n"
        "def total(n):\n    return len(frame) * n + len(other)\n"
    )
    assert "it now reads `other`" in cells.total.explain(1).reason
    assert "column `x`" not in cells.total.explain(1).reason


def test_a_value_is_shown_as_it_is_written(cells):
    cells.run(
        "import re\nWORD = re.compile('a')\n@nf.step\ndef find(text):\n    return WORD.findall(text)\n"
    )
    cells.find("a")
    cells.run("import re\nWORD = re.compile('b')\n")
    assert (
        cells.find.explain("a").reason
        == "`WORD` changed (re.compile('a') -> re.compile('b'))"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.rename_axis("n"),
        lambda frame: frame.set_index([[5, 6]]),
        lambda frame: frame.attrs.update(unit="EUR") or frame,
    ],
)
def test_a_frame_whose_columns_are_as_they_were_is_not_said_to_have_other_columns(
    cells, change
):
    cells.run("@nf.step\ndef total(n):\n    return len(frame) * n\n")
    cells.module.frame = pd.DataFrame({"id": [1, 2], "body": ["a", "b"]})
    cells.total(1)
    cells.shape(cells.module.frame)
    cells.module.frame = change(cells.module.frame.copy())
    assert (
        cells.total.explain(1).reason
        == "`frame` changed (its index, its attrs or the order of its columns)"
    )
    assert (
        cells.shape.explain(cells.module.frame).reason
        == "`df` changed (its index, its attrs or the order of its columns)"
    )


def test_the_argument_and_the_field_that_changed_are_named(cells):
    cells.categorize("x")
    assert cells.categorize.explain("x", model="large").reason == "`model` changed"
    cells.shape([1])
    assert cells.shape.explain([2]).reason == "it has not run with this `df` before"
    cells.shape({"a": 1, "b": [2]})
    assert cells.shape.explain({"a": 1, "b": [3]}).reason == "field `b` of `df` changed"


DOCUMENT = (
    "class Document:\n    def __init__(self, text):\n        self.text = text\n"
    "    def __len__(self):\n        return len(self.text)\n"
)


def test_an_edited_method_of_an_argument_is_told_as_a_change_of_its_class(cells):
    def explained(text="a"):
        return cells.shape.explain(cells.module.Document(text)).reason

    cells.run(DOCUMENT)
    cells.shape(cells.module.Document("a"))
    assert explained("b") == "`df` changed"
    cells.run(DOCUMENT.replace("len(self.text)", "len(self.text) + 1"))
    assert explained() == "the class of `df` changed"
    cells.shape({"a": 1, "b": 2})
    assert (
        cells.shape.explain({"b": 2, "a": 1}).reason
        == "`df` changed (the order of its fields)"
    )


def test_new_code_and_a_new_input_are_both_named(cells):
    cells.categorize("x")
    cells.edit("Pick one", "Choose one")
    assert (
        cells.categorize.explain("y", "large").reason
        == "`PROMPT` changed (line 3: 'Pick one.' -> 'Choose one.') "
        "and it has not run with this `text` and `model` before"
    )


def test_code_whose_source_is_not_known_any_more_is_said_to_have_changed(cells, nb):
    cells.categorize("x")
    code = cells.categorize.explain("x")
    nb.engine.store.delete(
        [
            keys.source_key(
                "categorize", nb.engine.runner.sources.history("categorize")[0].code
            )
        ]
    )
    cells.edit("Pick one", "Choose one")
    assert cells.categorize.explain("x").reason == "its code changed"
    assert code.state == "cached"


def test_two_processes_that_note_a_code_at_once_both_find_it(tmp_path):
    script = (
        "import sys, nbflow as nf\n"
        "nf.use(sys.argv[1])\n"
        "for n in range(20):\n"
        "    space = {'nf': nf}\n"
        "    exec(f'@nf.step(version={sys.argv[2]}{n:02})\\ndef ask(x):\\n    return x', space)\n"
        "    space['ask'](n)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "store"), name])
        for name in ("1", "2")
    ]
    assert [process.wait(60) for process in started] == [0, 0]
    nf.use(tmp_path / "store")
    assert len(SESSION.engine.runner.sources.history("ask")) == 40


def test_what_a_step_depends_on_is_named(nb, tmp_path):
    file = tmp_path / "prompt.txt"
    file.write_text("Pick one")

    @nf.step(depends_on=[file, "pandas"])
    def ask(n):
        return n

    ask(1)
    file.write_text("Choose one")
    assert ask.explain(1).reason == f"file {file} changed"


def test_an_output_past_its_ttl_and_one_for_each_run_say_so(nb):
    @nf.step(ttl="1h")
    def hourly(n):
        return n

    @nf.step(ttl="run")
    def fresh(n):
        return n

    hourly(1)
    fresh(1)
    nb.advance(3601)
    assert "out of date" in hourly.explain(1).reason
    assert 'ttl="run"' in fresh.explain(1).reason


def test_without_arguments_the_code_is_explained(cells):
    assert cells.categorize.explain().reason == "it has not run in this store"
    cells.categorize("x")
    assert cells.categorize.explain().state == "unchanged"
    cells.edit("Pick one", "Choose one")
    assert "has changed since it last ran" in str(cells.categorize.explain())
    assert "'Pick one.' -> 'Choose one.'" in str(cells.categorize.explain())
    cells.categorize("x")
    cells.edit("Pick one", "Pick one")
    assert "this code ran before" in cells.categorize.explain().reason


def test_an_explanation_executes_nothing_and_forgets_nothing(cells, nb):
    cells.categorize.explain("x")
    cells.edit("Pick one", "Choose one")
    cells.categorize.explain("x")
    assert nb.calls == []
    assert list(nb.engine.store.keys()) == []


def test_what_does_not_count_is_said(nb):
    import threading

    lock, seen = threading.Lock(), []

    @nf.step
    def ask(n):
        with lock:
            seen.append(n)
        return n

    assert {name for name, _ in ask.explain(1).uncounted} == {"lock", "seen"}
    assert "`lock`: a lock has no content; only its type counts." in repr(
        ask.explain(1)
    )


def test_a_logger_that_the_code_writes_to_is_said_to_count_by_its_type(nb):
    log = logging.getLogger("nbflow.tests.explained")

    @nf.step
    def ask(n):
        log.info("asked")
        return n

    assert ask.explain(1).uncounted == (
        ("log", "a Logger has no content; only its type counts"),
    )


def test_an_argument_without_content_is_named(nb):
    import threading

    @nf.step
    def ask(n, lock, options):
        return n

    assert [
        name
        for name, _ in ask.explain(
            1, threading.Lock(), {"lock": threading.Lock()}
        ).uncounted
    ] == ["lock", "options"]


def test_the_store_holds_source_and_short_globals_and_no_argument_or_secret(
    nb, monkeypatch
):
    monkeypatch.setenv("MY_API_KEY", "from-the-environment")
    settings = {"prompt": "Pick one", "token": "t0p-s3cret"}
    key = "from-the-environment"

    @nf.step
    def ask(text):
        password = "hunter2-hunter2"
        return len(text) + len(settings) + len(key) + len(password)

    ask("the argument itself")
    stored = b"".join(
        map(bytes, nb.engine.store.get_many([*nb.engine.store.keys()]).values())
    )
    assert b"def ask(text)" in stored
    assert b"Pick one" in stored
    for secret in (
        b"t0p-s3cret",
        b"from-the-environment",
        b"hunter2",
        b"the argument itself",
    ):
        assert secret not in stored


def test_an_explanation_is_html_with_everything_escaped(cells):
    cells.categorize("x")
    cells.edit("Pick one", "<script>alert(1)</script>")
    shown = cells.categorize.explain("x")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


# Runs


def records(count=3):
    return [{"id": f"t-{n}", "body": f"text {n}"} for n in range(count)]


def test_the_table_says_why_a_step_ran_again(cells, nb):
    nb.send(EVENT, records(), key="id")
    cells.edit("Pick one", "Choose one")
    run = nb.send(EVENT, records(), key="id")
    why = "`PROMPT` changed (line 3: 'Pick one.' -> 'Choose one.')"
    assert {(row.flow, row.step): row.why for row in run.table().flows} == {
        ("triage", ""): why,
        ("triage", "categorize"): why,
    }
    assert "why it ran" in repr(run)
    assert "why it ran" not in repr(nb.send(EVENT, records(), key="id"))


def test_the_reason_in_the_table_is_what_changed_since_the_event_was_last_sent(
    cells, nb
):
    """Although the step was called with the new prompt meanwhile."""
    nb.send(EVENT, records(), key="id")
    cells.edit("Pick one", "Choose one")
    cells.categorize("something else")
    run = nb.send(EVENT, records(), key="id")
    assert "Choose one" in run.table().flows[0].why


def test_each_record_says_why_it_ran(cells, nb):
    first = nb.send(EVENT, records(), key="id")
    assert first.inspect("t-0")["triage"].why == "the record is new"
    assert (
        first.inspect("t-0")["triage"]["categorize"].why
        == "it had not run with these inputs before"
    )
    changed = records(4)
    changed[1]["body"] = "changed"
    run = nb.send(EVENT, changed, key="id")
    assert run.inspect("t-0")["triage"].why.startswith("cached since")
    assert run.inspect("t-0")["triage"]["categorize"].why.startswith("cached since")
    assert run.inspect("t-1")["triage"].why == "field `body` of `record` changed"
    assert run.inspect("t-1")["triage"]["categorize"].why == "`text` changed"
    assert run.inspect("t-3")["triage"].why == "the record is new"
    cells.edit("return text.strip()", "return text.lstrip()")
    run = nb.send(EVENT, changed, key="id")
    assert "helper `clean` changed" in run.inspect("t-0")["triage"].why
    assert "helper `clean` changed" in run.inspect("t-0")["triage"]["categorize"].why
    assert "helper `clean` changed" in repr(run.inspect("t-0"))
    run.rerun("t-0")
    assert run.inspect("t-1")["triage"].why == run.inspect("t-0")["triage"].why


def test_a_record_that_failed_before_says_so(nb):
    down = [True]

    @nf.step(retries=0, ignore="down")
    def ask(n):
        if down[0]:
            raise ConnectionError("down")
        return n

    @nf.flow(on=EVENT)
    def look(record):
        return ask(record["n"])

    nb.send(EVENT, [{"n": 1}])
    down[0] = False
    run = nb.send(EVENT, [{"n": 1}])
    assert run.inspect("0")["look"].why == "it was sent before and then failed"
