"""What a cell, a script and a job show of an error: the user's own lines, none of nbflow's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_kernel import Kernel

ROOT = Path(__file__).parents[2]
SETUP = """
import asyncio
import nbflow as nf

def helper(text):
    return {}[text]

@nf.step(retries=0)
def look(text):
    return helper(text)

@nf.step(retries=0)
async def alook(text):
    return helper(text)

@nf.step(retries=0)
def outer(text):
    return look(text)

@nf.step(retries=0)
async def grouped(text):
    async with asyncio.TaskGroup() as group:
        group.create_task(alook(text))

@nf.step(retries=0)
def chained(text):
    try:
        return helper(text)
    except KeyError as error:
        raise ValueError("of my own") from error

class Frozen(Exception):
    def __setattr__(self, name, value):
        raise AttributeError("nothing can be set")

@nf.step(retries=0)
def frozen(text):
    raise Frozen(text)

@nf.flow(on="e")
def flow(record):
    return look(record["text"])

run = nf.send("e", [{"text": "x"}])
"""
MISUSE = [
    'nf.send("q", [])',
    'nf.send("e", [{"text": "x"}], max_in_flight=0)',
    "look.map(3)",
    "look.map(['x'], wrong=1)",
    'run.results("q")',
    'run.inspect("q")',
    'run.rerun("q")',
    "run.rerun_failed(budget='much')",
    'run["0"]["flow"]["q"]',
    "run.retry()",
    "look(wrong=1)",
    "look((n for n in [1]))",
    "nf.step(wrong=1)",
    "nf.step(retries=-1)(helper)",
    'nf.open_run("q")',
    'nf.plan("q", [])',
    'nf.use("redis://host/0")',
    "nf.wrong",
    'nf.send(\n    "q",\n    [\n        {"text": "x"},\n    ],\n)',
]


class Shown(Kernel):
    """A kernel whose cells give the error that they show, as text."""

    def error(self, code):
        found = []

        def take(message):
            content = message["content"]
            if message["msg_type"] == "error":
                found.append("\n".join(content["traceback"]))
            elif message["msg_type"] == "stream" and content["name"] == "stderr":
                found.append(content["text"])

        self.client.execute_interactive(code, timeout=60, output_hook=take)
        return re.sub(r"\x1b\[[\d;]*m", "", "\n".join(found))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    kernel = Shown(tmp_path_factory.mktemp("tracebacks"))
    kernel.run(SETUP)
    yield kernel
    kernel.run("%xmode Context")
    kernel.close()


def has_frame_of_ours(text):
    return f"{ROOT / 'nbflow'}{os.sep}" in text or "nbflow/_" in text


@pytest.mark.parametrize("code", MISUSE)
def test_a_usage_error_is_at_most_six_lines_in_a_cell(shown, code):
    text = shown.error(code)
    assert len(text.splitlines()) <= 6, text
    assert f"----> 1 {code.splitlines()[0]}" in text
    assert not has_frame_of_ours(text)


@pytest.mark.parametrize("mode", ["Context", "Verbose", "Plain", "Minimal"])
@pytest.mark.parametrize(
    "code",
    [
        'look("k")',
        'await alook("k")',
        'alook.sync("k")',
        'await look.aio("k")',
        'outer("k")',
        'await grouped("k")',
        'chained("k")',
        'frozen("k")',
        "run.raise_for_failures()",
        'try:\n    look("k")\nexcept KeyError as error:\n    raise OSError("new") from error',
        'try:\n    look("k")\nexcept KeyError as error:\n    raise OSError("new")',
        "run.rerun(lambda record: record['wrong'])",
        "#| step: made -> q\nq = look('k')",
        "#| step: waited -> q\nq = await alook('k')",
    ],
)
def test_an_error_shows_the_user_s_frames_alone(shown, code, mode):
    shown.run(f"%xmode {mode}")
    text = shown.error(code)
    assert text
    assert "Unexpected exception" not in text
    assert not has_frame_of_ours(text), text
    assert "concurrent" not in text
    if "look" in code and mode != "Minimal":
        assert "helper(text)" in text
        assert "{}[text]" in text


def test_what_a_failed_step_raises_is_said_once_with_its_lines_from_the_cell_on(shown):
    shown.run("%xmode Context")
    text = shown.error('outer("k")')
    assert text.count("KeyError") == 2, "in the head, and with its message"
    assert "direct cause" not in text
    places = [
        text.index(line)
        for line in ('> 1 outer("k")', "return look(text)", "return helper(text)")
    ]
    assert places == sorted(places)
    assert text.endswith("KeyError: 'k'\nstep 'outer' failed, tried once")


def test_the_causes_that_the_user_s_code_gave_stay(shown):
    shown.run("%xmode Context")
    text = shown.error('chained("k")')
    places = [text.index(one) for one in ("KeyError: ", "direct cause", "ValueError: ")]
    assert places == sorted(places)


def test_another_error_is_shown_as_if_there_were_no_nbflow(shown):
    shown.run("%xmode Context")
    code = """
import json
formatter = get_ipython().InteractiveTB.structured_traceback
try:
    json.loads("{")
except ValueError as error:
    told = type(error), error, error.__traceback__
    print(formatter(*told) == formatter.__wrapped__(*told))
"""
    assert shown.run(code).strip() == "True"


def test_a_mistake_of_nbflow_s_own_is_shown_whole(shown):
    shown.run("%xmode Context")
    shown.run("from nbflow._core import table\nkept = table.table_of")
    text = shown.error(
        "import nbflow._run.run_reader as module\nmodule.table_of = 3\nrepr(run)"
    )
    shown.run("module.table_of = kept")
    assert "TypeError: 'int' object is not callable" in text
    assert has_frame_of_ours(text)


def test_all_frames_are_shown_to_whoever_asks(shown):
    shown.run("%xmode Context\nimport os\nos.environ['NBFLOW_TRACEBACK'] = 'full'")
    text = shown.error('look("k")')
    shown.run("del os.environ['NBFLOW_TRACEBACK']")
    assert "runner.py" in text
    assert "attempt.py" in text


@pytest.mark.parametrize("code", ['nf.send("q", [])', 'await grouped("k")'])
def test_a_debugger_sees_every_frame(shown, code):
    shown.error(code)
    seen = """
import sys, traceback
files = [place.filename for place in traceback.extract_tb(sys.last_traceback)]
print(any("nbflow/_" in file for file in files))
"""
    assert shown.run(seen).strip() == "True"


def test_debug_begins_where_the_error_was_raised_and_goes_up_to_the_cell(shown):
    shown.error('outer("k")')
    assert "direct cause" not in shown.error("%tb")
    asked = ["p 'here:', text", "up", "l", "q"]
    said = []

    def answer(_request):
        shown.client.input(asked.pop(0))

    shown.client.execute_interactive(
        "%debug",
        allow_stdin=True,
        timeout=60,
        stdin_hook=answer,
        output_hook=lambda message: said.append(message["content"].get("text", "")),
    )
    text = re.sub(r"\x1b\[[\d;]*m", "", "".join(said))
    assert "('here:', 'k')" in text
    assert "return helper(text)" in text


SCRIPT = SETUP.replace("run = nf.send", "run = 0 and nf.send")


@pytest.mark.parametrize(
    ("code", "most"),
    [
        ('nf.send("q", [])', 6),
        ("look.map(3)", 6),
        ('look("k")', 11),
        ('asyncio.run(alook("k"))', 30),
        (
            'import threading\nthread = threading.Thread(target=look, args=("k",))\nthread.start()\nthread.join()',
            20,
        ),
    ],
)
def test_a_script_shows_the_user_s_frames_alone(tmp_path, code, most):
    script = tmp_path / "script.py"
    script.write_text(f"{SCRIPT}\n{code}\n")
    ended = run_python(script, tmp_path)
    assert not has_frame_of_ours(ended.stderr), ended.stderr
    assert "Error: " in ended.stderr
    assert len(ended.stderr.splitlines()) <= most, ended.stderr
    whole = run_python(script, tmp_path, NBFLOW_TRACEBACK="full")
    assert has_frame_of_ours(whole.stderr)


def run_python(script, folder, **more):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "NBFLOW_STORE": str(folder / "s")} | more
    return subprocess.run(
        [sys.executable, str(script)],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("code", ['nf.send("q", [])', 'look("k")'])
def test_a_job_shows_the_user_s_frames_alone(folder, run, code):
    folder.write(SETUP, code)
    assert run()[0] == 1
    [error] = [
        one for one in folder.output().cells[-1].outputs if one.output_type == "error"
    ]
    assert not has_frame_of_ours("\n".join(error.traceback))
