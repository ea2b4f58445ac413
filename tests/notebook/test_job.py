"""`nbflow run`: parameters in; an output notebook, a report and an honest exit code out. Real kernels."""

import hashlib
import json
import os
import subprocess
import sys
import time

import nbformat
import pytest
import zmq
from nbclient import NotebookClient

import nbflow as nf
from nbflow._session import SESSION
from nbflow.notebook import report


def text_of(cell):
    return "".join(
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    )


def test_a_run_leaves_an_output_notebook_and_a_report_and_the_notebook_as_it_was(
    folder, run
):
    notebook = folder.write_work("len(run.results('look'))")
    before = notebook.read_bytes()
    code, said = run()
    assert code == 0
    assert notebook.read_bytes() == before
    assert folder.states() == ["ok", "ok", "ok", "ok"]
    assert text_of(folder.output().cells[3]) == "20"
    nbformat.validate(folder.output())
    report = folder.report()
    assert report["exit_code"] == 0
    assert (
        report["digests"]["notebook"] == "sha256:" + hashlib.sha256(before).hexdigest()
    )
    assert report["runs"][0]["flows"] == {"look": {"COMPLETED": 20}}
    assert report["cells"][2]["runs"] == [report["runs"][0]["run"]]
    assert report["cells"][2]["seconds"] > 0
    assert "\u2713 completed" in said
    assert {path.name for path in folder.path.iterdir()} == {
        "job.ipynb",
        "job.out.ipynb",
        "job.out.run.json",
        "log",
        ".nbflow",
    }


def test_the_same_command_again_executes_only_what_failed_or_was_never_done(
    folder, run
):
    folder.write_work(bad=[3, 4])
    code, said = run()
    assert code == 3
    assert "18 of 20 records done, 2 need you" in said
    assert sorted(folder.log) == list(range(20))
    failed = folder.report()["runs"][0]["failed"]
    assert failed == [
        {
            "record": str(n),
            "flow": "look",
            "step": "work",
            "error": "ValueError",
            "message": f"no {n}",
            "attempts": 1,
        }
        for n in (3, 4)
    ]
    (folder.path / "log").unlink()
    code, _ = run("-p", "count=22")
    assert code == 3
    assert sorted(folder.log) == [3, 4, 20, 21]
    (folder.path / "log").unlink()
    code, _ = run("-p", "bad=[]", "-p", "count=22")
    assert code == 0
    # `bad` is a list in a global: its class is in the key, its content is not, so what
    # is done stays done.
    assert sorted(folder.log) == [3, 4]
    (folder.path / "log").unlink()
    assert run("-p", "count=22")[0] == 0
    assert folder.log == []
    assert folder.states() == ["ok", "ok", "ok", "cached"]


def test_the_log_is_shown_on_request_and_quotes_no_record_unless_asked_twice(
    folder, run
):
    folder.write_work(bad=[3])
    said = run()[1]
    assert "nbflow.run" not in said
    said = run("-v")[1]
    assert "INFO  nbflow.run: " in said
    assert "failed in flow look at work: ValueError" in said
    assert "DEBUG" not in said
    said = run("-vv")[1]
    assert "DEBUG nbflow.run: " in said
    assert "record '3': no 3" in said


@pytest.mark.parametrize(
    ("allowed", "code"), [("2", 0), ("1", 3), ("10%", 0), ("9.9%", 3)]
)
def test_max_failed_is_a_number_or_a_share_of_the_records(folder, run, allowed, code):
    folder.write_work(bad=[3, 4])
    assert run("--max-failed", allowed)[0] == code
    assert folder.report()["not_done"] == 2


def test_a_run_that_a_later_cell_goes_on_with_belongs_to_both(folder, run):
    folder.write_work("bad.clear()\nrun.rerun_failed();", bad=[3])
    assert run()[0] == 0
    cells = folder.report()["cells"]
    assert cells[2]["runs"] == cells[3]["runs"] == [folder.report()["runs"][0]["run"]]
    assert folder.report()["runs"][0]["flows"] == {"look": {"COMPLETED": 20}}


def test_a_cell_that_fails_ends_the_run_and_the_rest_is_not_run(folder, run):
    folder.write("x = 1", "1 / 0", "y = 2", "# Title", "z = 3")
    code, said = run()
    assert code == 1
    assert "ZeroDivisionError: division by zero" in said
    assert folder.states() == ["ok", "failed", "not run", "not run"]
    assert folder.output().cells[1].outputs[0].ename == "ZeroDivisionError"
    assert folder.report()["cells"][1]["error"] == "ZeroDivisionError: division by zero"


def test_what_an_earlier_run_left_in_the_notebook_is_not_taken_for_this_one(
    folder, run
):
    """Run in place: the cell behind the failure showed a result the last time."""
    folder.write(("fails = False", "parameters"), "assert not fails", "'shown'")
    target = folder.path / "again.ipynb"
    assert run("-o", str(target))[0] == 0
    assert run("-o", str(target), "-p", "fails=yes", name="again.ipynb")[0] == 1
    cells = nbformat.read(target, as_version=4).cells
    assert [cell.metadata["nbflow"]["state"] for cell in cells] == [
        "ok",
        "ok",
        "failed",
        "not run",
    ]
    assert (cells[3].outputs, cells[3].execution_count) == ([], None)
    assert run("-o", str(target), name="again.ipynb")[0] == 0
    assert len(nbformat.read(target, as_version=4).cells) == 3, (
        "the parameters of an earlier run are gone"
    )


def test_tags_of_papermill_and_nbclient_are_kept(folder, run):
    folder.write(
        ("1 / 0", "raises-exception"),
        ("1 / 0", "skip-execution"),
        "import sys; sys.exit(0)",
        "1 / 0",
    )
    code, said = run()
    assert code == 0
    assert "sys.exit()" in said
    assert folder.states() == ["ok", "not run", "ok", "not run"]


@pytest.mark.parametrize(
    "cell",
    [
        "%run load.py",
        "%run exits.py",
        "%%capture\nraise ValueError('no rows')",
        "get_ipython().run_cell('1 / 0')\nprint('went on')",
        "import ipywidgets\nwith ipywidgets.Output():\n    1 / 0\nprint('went on')",
        "from ipywidgets import interact\ninteract(lambda x: 1 / 0, x=3)",
        "%run load.py\nfrom IPython.display import clear_output\nclear_output()",
        "from IPython.display import clear_output\n%run load.py\nclear_output(True); print(1)",
    ],
)
def test_a_cell_that_shows_an_error_failed_although_ipython_calls_it_ok(
    folder, run, cell
):
    (folder.path / "load.py").write_text("raise ValueError('no rows')")
    (folder.path / "exits.py").write_text("raise SystemExit(3)")
    folder.write("x = 1", cell, "x = 2")
    code, said = run()
    assert code == 1
    assert "Failed in cell 2." in said
    assert folder.states() == ["ok", "failed", "not run"]
    outputs = folder.output().cells[1].outputs
    assert [one.output_type for one in outputs].count("error") == 1


def test_an_error_that_is_shown_is_allowed_by_the_tag_and_belongs_to_its_cell_alone(
    folder, run
):
    (folder.path / "load.py").write_text("raise ValueError('no rows')")
    folder.write(
        ("%run missing.py", "raises-exception"),
        (
            "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    1 / 0",
            "raises-exception",
        ),
        "with out:\n    print('text')",
        "!false",
        (
            "%run load.py\nfrom IPython.display import clear_output\nclear_output()",
            "raises-exception",
        ),
    )
    assert run()[0] == 0
    assert folder.states() == ["ok"] * 5
    assert folder.output().cells[-1].outputs == []


def test_files_that_are_slow_to_write_say_what_is_under_way_while_it_is(
    folder, run, monkeypatch
):
    write = report.write

    def slowly(*what):
        time.sleep(0.1)
        write(*what)

    monkeypatch.setattr(report, "write", slowly)
    folder.write(
        "import json, time\n"
        "def state():\n"
        "    cells = json.load(open('job.out.ipynb'))['cells']\n"
        "    return cells[1]['metadata']['nbflow']['state']",
        "until = time.monotonic() + 30\n"
        "while state() == 'not run' and time.monotonic() < until:\n"
        "    time.sleep(0.01)\n"
        "state()",
    )
    assert run()[0] == 0
    assert text_of(folder.output().cells[1]) == "'interrupted'"


def test_a_reply_is_heard_although_its_socket_tells_nothing(folder, run, monkeypatch):
    """The socket tells of a message once: here, as after a send, to somebody else."""
    process = NotebookClient.process_message

    def process_message(self, message, *where):
        if message["msg_type"] == "execute_input":
            assert zmq.Socket.shadow(self.kc.shell_channel.socket).poll(10_000)
        return process(self, message, *where)

    monkeypatch.setattr(NotebookClient, "process_message", process_message)
    folder.write("import time\ntime.sleep(0.2)", "1 + 1")
    assert run()[0] == 0
    assert folder.states() == ["ok", "ok"]


@pytest.mark.parametrize("above", ["", "%%capture\n"])
@pytest.mark.parametrize(
    ("given", "code"), [("", 0), ("0", 0), ("3", 1), ("'no rows'", 1)]
)
def test_sys_exit_is_a_failure_only_with_a_code(folder, run, above, given, code):
    folder.write(f"{above}import sys\nsys.exit({given})", "1 / 0")
    assert run()[0] == code
    assert folder.states() == ["failed" if code else "ok", "not run"]


NASTY = 'it\'s "q" $(touch PWNED) `touch PWNED` 50% \\ {x}\n--ünï \U0001f600 <b>'


def test_parameters_arrive_as_data(folder, run):
    folder.write(
        ("text = ''\ntags: list[str] = []\nn = 1", "parameters"),
        "import json; print(json.dumps([text, tags, n]))",
    )
    code, said = run(
        "-p",
        f"text={NASTY}",
        "-p",
        f"tags={json.dumps([NASTY, '--help'])}",
        "-p",
        "n=-5",
    )
    assert code == 0, said
    assert json.loads(text_of(folder.output().cells[2])) == [
        NASTY,
        [NASTY, "--help"],
        -5,
    ]
    assert folder.output().cells[1].metadata["tags"] == ["injected-parameters"]
    assert folder.report()["parameters"] == {
        "text": NASTY,
        "tags": [NASTY, "--help"],
        "n": -5,
    }
    assert not list(folder.path.rglob("PWNED"))


def test_a_leading_dash_is_data_too(folder, run):
    folder.write(("text = ''", "parameters"), "print(text)")
    assert run("-p", "text=--budget=5 -o x")[0] == 0
    assert text_of(folder.output().cells[2]) == "--budget=5 -o x\n"


def test_a_secret_parameter_is_in_no_file(folder, run):
    folder.write(
        ("api_key = ''\nmax_tokens = 5", "parameters"),
        "print('key', api_key)",
        "raise ValueError(api_key)",
    )
    secret = 'sk-it\'s "secret"\n123456'
    code, said = run("-p", f"api_key={secret}", "-p", "max_tokens=7")
    assert code == 1
    assert "sk-it" not in said
    written = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {"job.out.ipynb", "job.out.run.json"} <= {path.name for path in written}
    assert not [
        path
        for path in written
        if b"sk-it" in path.read_bytes() or b"123456" in path.read_bytes()
    ]
    assert folder.report()["parameters"] == {"api_key": "***", "max_tokens": 7}
    assert "***" in text_of(folder.output().cells[2])


def test_the_environment_is_in_no_file(folder, run, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment-12345")
    folder.write("import os; len(os.environ['OPENAI_API_KEY'])")
    assert run()[0] == 0
    assert not [
        path
        for path in folder.path.rglob("*")
        if path.is_file() and b"sk-environment" in path.read_bytes()
    ]


BAD = [
    (["-p", "cuont=3"], "did you mean 'count'"),
    (["-p", "count=x"], "not a value of type int"),
    (["--max-failed", "many"], "--max-failed many"),
    (["--max-failed", "nan%"], "--max-failed nan%: write a number"),
    (["--timeout", "soon"], "--timeout='soon' is not a duration"),
    (["--timeout", "0"], "--timeout 0 must be greater than 0"),
    (["--budget", "much"], "--budget='much' is not an amount of money"),
    (["--only-failed"], "does not exist: run without it first"),
    (["--store", "memory:"], "needs a store on disk"),
    (["-o", "/nowhere/out.ipynb"], "cannot be written"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), BAD, ids=[" ".join(arguments) for arguments, _ in BAD]
)
def test_what_is_wrong_is_found_before_anything_runs(folder, run, arguments, said):
    folder.write_work()
    code, printed = run(*arguments)
    assert code == 2
    assert said in printed
    assert folder.log == []
    assert not (folder.path / "job.out.ipynb").exists()


def test_a_file_that_is_no_notebook_is_refused(folder, run):
    (folder.path / "job.ipynb").write_text('{"cells": [\n  {"cell_type" "code"}]}')
    code, said = run()
    assert (code, "line 2" in said) == (2, True)
    (folder.path / "job.ipynb").write_text('{"some": "json"}')
    code, said = run()
    assert (code, "is not a notebook" in said) == (2, True)
    code, said = run(name="jop.ipynb")
    assert (code, "did you mean" in said) == (2, True)
    code, said = run(name="..")
    assert code == 2


def test_a_notebook_for_another_language_is_refused(folder, run):
    document = nbformat.read(folder.write("x <- 1"), as_version=4)
    document.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}
    nbformat.write(document, folder.path / "job.ipynb")
    code, said = run()
    assert (code, "notebook for R" in said) == (2, True)


def test_parameters_for_a_notebook_without_a_parameters_cell_are_refused(folder, run):
    folder.write("day = 1")
    code, said = run("-p", "day=2")
    assert code == 2
    assert "no cell tagged 'parameters'" in said


def test_help_notebook_lists_the_parameters_and_runs_nothing(folder, run):
    folder.write(
        "# Threads of a day",
        ("day: str  # the day to load\nlimit = 5", "parameters"),
        "open('log', 'w')",
    )
    code, said = run("--help-notebook")
    assert code == 0
    assert "Threads of a day" in said
    lines = [line.split() for line in said.splitlines()]
    assert ["-p", "day=", "str", "required", "the", "day", "to", "load"] in lines
    assert ["-p", "limit=", "int", "default", "5"] in lines
    assert not (folder.path / "log").exists()


def test_force_executes_a_step_again_and_no_other(folder, run):
    folder.write_work(
        "@nf.step\ndef other(n):\n    open('other', 'a').write('x')\nother(1)", count=3
    )
    assert run()[0] == 0
    (folder.path / "log").unlink()
    code, said = run("--force", "work", "--force", "nope")
    assert code == 0
    assert sorted(folder.log) == [0, 1, 2]
    assert (folder.path / "other").read_text() == "x"
    assert "--force nope: no run called a step of that name" in said
    (folder.path / "log").unlink()
    run("--force", "other")
    assert (folder.path / "other").read_text() == "xx"
    assert folder.log == []


def test_force_executes_a_step_cell_again_and_knows_its_name(folder, run):
    folder.write(
        "import nbflow as nf",
        "%%step one -> y\nopen('log', 'a').write('1 ')\ny = 1",
        "#| step: two -> z\nopen('log', 'a').write('2 ')\nz = y",
    )
    assert run()[0] == 0
    code, said = run("--force", "one", "--force", "nope")
    assert code == 0
    assert folder.log == [1, 2, 1]
    assert folder.states() == ["ok", "ok", "cached"]
    assert "--force one" not in said
    assert "--force nope: no run called a step of that name" in said


def test_only_failed_goes_on_with_the_runs_of_the_last_time(folder, run):
    folder.write_work(
        "values = run.results('look')\nprint(len(values), values.count(None))",
        bad=[3, 4],
    )
    assert run()[0] == 3
    first = folder.report()["runs"][0]["run"]
    (folder.path / "log").unlink()
    notebook = folder.path / "job.ipynb"
    notebook.write_text(
        notebook.read_text()
        .replace("bad: list[int] = [3, 4]", "bad: list[int] = []")
        .replace("count = 20", "count = 25")
    )
    code, _ = run("--only-failed")
    assert code == 0
    assert sorted(folder.log) == [3, 4]
    assert [(found["run"], found["records"]) for found in folder.report()["runs"]] == [
        (first, 20)
    ]
    assert text_of(folder.output().cells[3]) == "20 0\n"
    (folder.path / "log").unlink()
    assert run("--only-failed")[0] == 0
    assert folder.log == []
    assert run()[0] == 0
    assert sorted(folder.log) == [20, 21, 22, 23, 24], (
        "new records are for the next whole run"
    )


def test_only_failed_takes_up_maps_as_well(folder, run):
    folder.write(
        ("bad: list[int] = [2]", "parameters"),
        (
            "import nbflow as nf\n"
            "@nf.step(retries=0)\n"
            "def work(n):\n"
            "    open('log', 'a').write(f'{n}\\n')\n"
            "    assert n not in bad\n"
            "    return n"
        ),
        "work.map([1, 2, 3]).results('work')",
    )
    assert run()[0] == 3
    assert run("--only-failed")[0] == 3
    assert folder.log.count(2) == 2
    code, said = run("--only-failed", "-p", "bad=[]")
    assert code == 2
    assert "other parameters" in said


def test_runs_in_the_background_are_waited_for(folder, run):
    folder.write_work(count=30, pause=0.03)
    notebook = folder.path / "job.ipynb"
    notebook.write_text(
        notebook.read_text().replace("max_in_flight=4", "wait=False, max_in_flight=4")
    )
    code, _ = run()
    assert code == 0
    assert folder.report()["runs"][0]["flows"] == {"look": {"COMPLETED": 30}}
    shown = text_of(folder.output().cells[2])
    assert "\u2713 completed" in shown, (
        "the table is brought up to date behind its cell"
    )
    assert "\u25d4 running" not in shown


def test_a_cell_may_not_take_longer_than_the_timeout(folder, run):
    folder.write("import time", "time.sleep(60)", "x = 1")
    code, said = run("--timeout", "500ms")
    assert code == 1
    assert "cell 2 took longer than --timeout 500 ms" in said
    assert folder.states() == ["ok", "failed", "not run"]


def test_the_runs_of_two_jobs_on_one_store_are_not_mixed_up(folder, run):
    folder.write_work(count=40, pause=0.02)
    (folder.path / "other").mkdir()
    other = folder.write_work(count=7, bad=[101]).rename(
        folder.path / "other" / "job.ipynb"
    )
    other.write_text(
        other.read_text().replace('\\"n\\": n}', '\\"n\\": n + 100}')
    )  # records that the other job does not have
    folder.write_work(count=40, pause=0.02)
    process = folder.start()
    folder.wait_for(lambda: folder.log)
    code, _ = run(
        "--store", str(folder.store), name=str(other.relative_to(folder.path))
    )
    assert code == 3
    assert process.wait(60) == 0, process.stdout.read()
    report = json.loads((folder.path / "other" / "job.out.run.json").read_text())
    assert [found["records"] for found in report["runs"]] == [7]
    assert [found["records"] for found in folder.report()["runs"]] == [40]


def test_runs_in_a_store_that_the_notebook_chose_are_counted(folder, run):
    folder.write(
        "import nbflow as nf\nnf.use('elsewhere')",
        "@nf.step(retries=0)\ndef fail(n):\n    raise ValueError",
        "fail.map([1, 2])",
    )
    code, _ = run()
    assert code == 3
    assert folder.report()["runs"][0]["store"] == str(folder.path / "elsewhere")


def test_a_job_leaves_nothing_in_the_folder_that_it_is_started_in(
    folder, run, tmp_path, monkeypatch
):

    folder.write_work(bad=[3])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(SESSION, "_runs", None)
    assert run()[0] == 3
    assert list(elsewhere.iterdir()) == []
    assert SESSION._runs is None
    assert nf.open_run(folder.path / "job.out.ipynb").state == "PARTIAL"


def test_runs_in_memory_are_said_not_to_be_counted(folder, run):
    folder.write(
        "import nbflow as nf\nnf.use('memory:')",
        "@nf.step(retries=0)\ndef fail(n):\n    raise ValueError",
        "fail.map([1, 2])",
    )
    code, said = run()
    assert code == 0
    assert "are not counted" in said


def test_last_night_s_failures_are_opened_from_what_the_job_wrote(
    folder, run, tmp_path
):
    folder.write_work(bad=[3])
    assert run()[0] == 3
    nf.use(tmp_path / "another store")
    for path in (folder.path / "job.out.ipynb", str(folder.path / "job.out.run.json")):
        last = nf.open_run(path)
        assert last.failures()["record"].tolist() == ["3"]

    @nf.step(retries=0)
    def work(n):
        return -n

    @nf.flow(on="e")
    def look(record):
        return work(record["n"])

    last.rerun_failed()
    assert last.state == "COMPLETED"
    assert last.results("look")[:5] == [0, 1, 2, -3, 4]
    assert nf.open_run(folder.path / "job.out.ipynb").state == "COMPLETED"


def test_open_run_says_what_is_wrong_with_a_path(folder, run):
    folder.write("x = 1")
    with pytest.raises(nf.UnknownRunError, match="There is no file"):
        nf.open_run("nope.ipynb")
    with pytest.raises(nf.UnknownRunError, match="says nothing of runs"):
        nf.open_run(folder.path / "job.ipynb")
    assert run()[0] == 0
    with pytest.raises(nf.UnknownRunError, match="made no run"):
        nf.open_run(folder.path / "job.out.ipynb")
    folder.write_work()
    assert run()[0] == 0
    nf.use(folder.path / "another")
    folder.store.rename(folder.path / "moved")
    with pytest.raises(nf.UnknownRunError, match="no longer exists"):
        nf.open_run(folder.path / "job.out.ipynb")


def test_the_report_says_which_commit_the_notebook_is_of(folder, run):
    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(folder.path), *arguments],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    folder.write("x = 1")
    git("init", "-q")
    git("add", "job.ipynb")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Add a job")
    assert run()[0] == 0
    assert folder.report()["git"] == {
        "commit": git("rev-parse", "HEAD"),
        "changed": False,
    }
    folder.write("x = 2")
    assert run()[0] == 0
    assert folder.report()["git"]["changed"] is True


def test_an_old_notebook_without_cell_ids_runs(folder, run):
    document = nbformat.read(
        folder.write(("n = 1", "parameters"), "n + 1"), as_version=4
    )
    document.nbformat_minor = 4
    for cell in document.cells:
        del cell["id"]
    nbformat.write(document, folder.path / "job.ipynb")
    assert run("-p", "n=2")[0] == 0
    nbformat.validate(folder.output())
    assert text_of(folder.output().cells[2]) == "3"


def test_papermill_executes_a_notebook_with_nbflow_inside(folder):
    import papermill

    notebook = folder.write_work("len(run.results('look'))")
    done = papermill.execute_notebook(
        str(notebook),
        str(folder.path / "pm.ipynb"),
        parameters={"count": 5},
        cwd=str(folder.path),
        progress_bar=False,
    )
    assert text_of(done.cells[-1]) == "5"
    assert "injected-parameters" in done.cells[1].metadata.tags
    assert sorted(folder.log) == list(range(5))
    assert nf.open_run().state == "COMPLETED"


def test_the_front_page_of_the_command_tells_the_exit_codes():
    said = subprocess.run(
        [sys.executable, "-m", "nbflow.cli", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "110"},
    ).stdout
    assert all(f"\n  {code}  " in said for code in (0, 1, 2, 3, 4, 75, 130, 138))


PAID = (
    "import nbflow as nf\n"
    "@nf.step\n"
    "def ask(number):\n"
    "    nf.usage(cost=0.01, input_tokens=100)\n"
    "    return number\n"
    "@nf.flow(on='paid')\n"
    "def triage(record):\n"
    "    return ask(record['id'])"
)
SENT = "run = nf.send('paid', [{'id': number} for number in range(20)], key='id')"


def test_a_budget_ends_the_job_with_4_and_the_same_command_goes_on(folder, run):
    folder.write(PAID, SENT, "print(run.state)")
    code, said = run("--budget", "$0.05")
    assert code == 4, said
    assert "the budget of $0.05 is reached" in said
    assert folder.states() == ["ok", "ok", "ok"]
    report = folder.report()
    assert report["exit_code"] == 4
    assert report["cost"] == pytest.approx(0.05)
    assert report["usage"]["requests"] == 5
    assert report["runs"][0]["flows"] == {"triage": {"COMPLETED": 5, "CANCELLED": 15}}
    assert "15 records are left" in report["runs"][0]["stopped"]
    code, said = run("--budget", "1")
    assert code == 0, said
    assert folder.report()["cost"] == pytest.approx(0.15)
    assert folder.report()["runs"][0]["saved"]["requests"] == 5


def test_a_budget_that_the_last_call_passed_is_said(folder, run):
    dear = "import nbflow as nf\n@nf.step\ndef ask(n):\n    nf.usage(cost=7.0 if n == 2 else 1.0)"
    folder.write(dear, "run = ask.map(range(3))")
    code, said = run("--budget", "$5")
    assert code == 0, said
    assert "The budget of $5.00 was passed: $9.00 are spent." in said
    assert folder.report()["cost"] == 9.0


def test_only_failed_counts_what_this_job_spent(folder, run):
    folder.write(PAID, SENT)
    assert run("--budget", "0.05")[0] == 4
    code, said = run("--only-failed", "--budget", "0.10")
    assert code == 4, said
    assert folder.report()["cost"] == pytest.approx(0.10)
    assert folder.report()["runs"][0]["usage"]["requests"] == 15


def test_a_budget_holds_for_calls_outside_a_run_and_for_raising_notebooks(folder, run):
    folder.write(PAID, "for number in range(20):\n    ask(number)")
    code, said = run("--budget", "0.05")
    assert code == 4, said
    assert folder.states() == ["ok", "failed"]
    assert folder.report()["cost"] == pytest.approx(0.05)
    folder.write(PAID, SENT + "\nrun.raise_for_failures()")
    assert run("--budget", "0.05")[0] == 4
    folder.write(PAID, SENT, "1 / 0")
    assert run("--budget", "0.01")[0] == 1


@pytest.mark.parametrize(
    ("text", "printed", "noted"),
    [
        ("f=nan", "nan", "nan"),
        ("l=[NaN, 1.5, -Infinity]", "[nan, 1.5, -inf]", ["nan", 1.5, "-inf"]),
        ("s={3}", "{3}", [3]),
        ("t=(1, 2)", "(1, 2)", [1, 2]),
        ('d={"a": [NaN], "b": {}}', "{'a': [nan], 'b': {}}", {"a": ["nan"], "b": {}}),
        ("t=()", "()", []),
    ],
)
def test_a_parameter_of_any_type_reaches_the_notebook_and_the_files_are_json(
    folder, run, text, printed, noted
):
    declared = (
        "f = 1.5\nl: list[float] = []\ns: set[int] = {1}\nt: tuple = (1,)\nd: dict = {}"
    )
    name = text[0]
    folder.write((declared, "parameters"), f"print({name})")
    code, said = run("-p", text)
    assert code == 0, said
    assert text_of(folder.output().cells[2]) == f"{printed}\n"
    assert folder.report()["parameters"] == {name: noted}
    for file in ("job.out.ipynb", "job.out.run.json"):
        json.loads(
            (folder.path / file).read_text(),
            parse_constant=lambda word: pytest.fail(f"{word} is no JSON"),
        )


def test_only_failed_knows_the_same_parameters_again_whatever_their_type(folder, run):
    folder.write(("t: tuple = (1,)", "parameters"), "t")
    assert run("-p", "t=(1, 2)")[0] == 0
    code, said = run("-p", "t=(1, 2)", "--only-failed")
    assert "other parameters" not in said
    assert code == 0


def test_a_notebook_that_begins_with_a_byte_order_mark_is_one(folder, run):
    notebook = folder.write("print(1)")
    notebook.write_bytes(b"\xef\xbb\xbf" + notebook.read_bytes())
    assert run()[0] == 0
