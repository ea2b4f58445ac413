"""`nbflow run --notify` and `--heartbeat`: people are told once, and nothing of it fails a job. Real servers."""

import signal

import pytest

from nbflow import cli
from nbflow._tell.outbox import FOLDER


def everything_written(folder, said):
    """All that a person, a program or git may see of a job: without the outbox."""
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    return said.encode() + b"".join(path.read_bytes() for path in files)


def test_a_failure_is_told_with_causes_and_how_to_open_it_and_no_content(
    folder, run, hook, mail
):
    folder.write_work(bad=[3, 4])
    code, said = run("--notify", hook.url(), "--notify", mail.url)
    assert code == 3
    [message] = hook.messages
    assert message["type"] == "failure"
    assert message["title"] == "\u2717 job.ipynb: 18 of 20 records done, 2 need you"
    lines = message["message"].splitlines()
    assert lines[0] == (
        "Every cell ran; 18 of 20 records done, 2 need you; --max-failed is 0."
    )
    assert "  2  ValueError at work" in lines
    assert f'Open it: nf.open_run("{folder.path}/job.out.ipynb")' in lines
    assert f"Report: {folder.path}/job.out.run.json" in lines
    assert "no 3" not in hook.got[0]
    [mailed] = mail
    assert mailed["subject"] == message["title"]
    markup = mailed.get_body(("html",)).get_content()
    assert "ValueError at work" in markup
    assert "no 3" not in markup
    assert folder.report()["notices"] == [
        {"to": "address 1 (JSON)", "state": "sent", "why": ""},
        {"to": "address 2 (E-Mail)", "state": "sent", "why": ""},
    ]
    assert "warnings" not in folder.report()
    assert "T0kenOfTheTeam" not in everything_written(folder, said).decode("latin-1")
    assert not list((folder.store / FOLDER).glob("*.json"))


def test_content_is_told_only_if_it_is_asked_for(folder, run, hook):
    folder.write_work(bad=[3])
    run("--notify", hook.url(), "--notify-content")
    assert "  1  ValueError at work (no 3, record 3)" in hook.messages[0]["message"]
    folder.write("1 / 0", name="cell.ipynb")
    run("--notify", hook.url(), "--notify-content", name="cell.ipynb")
    assert "ZeroDivisionError: division by zero" in hook.messages[1]["message"]
    run("--notify", hook.url(), name="cell.ipynb")
    assert "division by zero" not in hook.got[2]
    assert "  1  ZeroDivisionError at cell 1" in hook.messages[2]["message"]


@pytest.mark.parametrize(
    ("when", "titles"),
    [
        ("failure", ["\u2717 job.ipynb: failed in cell 1"] * 2),
        (
            "always",
            [
                "\u2713 job.ipynb: done",
                "\u2717 job.ipynb: failed in cell 1",
                "\u2717 job.ipynb: failed in cell 1",
                "\u2713 job.ipynb: works again",
                "\u2713 job.ipynb: done",
            ],
        ),
        (
            "change",
            ["\u2717 job.ipynb: failed in cell 1", "\u2713 job.ipynb: works again"],
        ),
        ("waiting,budget", []),
    ],
)
def test_who_is_told_when(folder, run, hook, when, titles):
    for source in ("1", "1 / 0", "1 / 0", "1", "1"):
        folder.write(source)
        run("--notify", hook.url(), "--notify-on", when)
    assert hook.titles == titles


BUDGETED = """
import nbflow as nf

@nf.step
def ask(n):
    nf.usage(cost=1.0)
    return n

run = ask.map(range(9))
"""


def test_a_budget_a_gate_a_parameter_and_a_dead_kernel_are_each_told_rightly(
    folder, run, hook
):
    folder.write(BUDGETED)
    assert run("--budget", "3", "--notify", hook.url(), "--notify-on", "budget")[0] == 4
    folder.write(
        "import nbflow as nf\n@nf.step\ndef f(n):\n    return {'label': 'bug'}\nrun = f.map([1])"
    )
    assert run("--gate", "share(bug)<=0.1", "--notify", hook.url())[0] == 6
    assert run("-p", "nope=1", "--notify", hook.url())[0] == 2
    folder.write("import os\nos.kill(os.getpid(), 9)")
    assert run("--notify", hook.url())[0] == 138
    folder.write("import time\ntime.sleep(60)")
    assert run("--timeout", "1", "--notify", hook.url())[0] == 1
    assert hook.titles == [
        "\u26a0 job.ipynb: stopped at its budget",
        "\u2717 job.ipynb: a gate is not met",
        "\u2717 job.ipynb: did not start",
        "\u2717 job.ipynb: the kernel died",
        "\u2717 job.ipynb: failed in cell 1",
    ]
    said = [message["message"].splitlines()[0] for message in hook.messages]
    assert said[0].startswith("Stopped: the budget of $3.00")
    assert said[1] == "Every cell ran; not met: share(bug)<=0.1."
    assert "nope" in said[2]
    assert said[3].startswith("The kernel died in cell 1.")
    assert said[4] == "Failed: cell 1 took longer than --timeout 1.0 s."


def test_records_that_wait_are_told_if_it_is_asked_for_and_no_failure(
    folder, run, hook
):
    folder.write(
        "import nbflow as nf\n@nf.flow(on='e')\ndef f(record):\n    nf.sleep('2 days')",
        "run = nf.send('e', [{'n': 1}, {'n': 2}], key='n')",
    )
    assert run("--notify", hook.url())[0] == 5
    assert hook.got == []
    assert run("--notify", hook.url(), "--notify-on", "waiting")[0] == 5
    [message] = hook.messages
    assert message["title"] == "\u2016 job.ipynb: records are waiting"
    assert message["type"] == "info"
    assert message["message"].startswith("Every cell ran; 0 of 2 records done")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_told_once(folder, hook, number):
    folder.write_work(pause=60)
    job = folder.start("--notify", hook.url())
    folder.wait_for(lambda: folder.log)
    job.send_signal(number)
    out, _ = job.communicate(timeout=60)
    assert job.returncode == 130, out
    assert hook.titles == ["\u26a0 job.ipynb: was interrupted"]


def test_another_copy_at_work_is_no_news(folder, hook):
    folder.write_work(pause=60)
    job = folder.start("--notify", hook.url())
    folder.wait_for(lambda: folder.log)
    again = folder.start("--no-wait", "--notify", hook.url())
    again.communicate(timeout=60)
    assert again.returncode == 75
    assert hook.got == []
    job.kill()
    job.wait()


# Servers that do not want it.


def test_a_server_that_answers_500_is_tried_again_and_fails_nothing(folder, run, hook):
    folder.write("1")
    hook.answers = [500]
    code, said = run("--notify", hook.url(), "--notify-on", "always")
    assert code == 0
    assert len(hook.got) == 2
    assert "was not confirmed" not in said


def test_what_is_refused_is_a_warning_in_the_report_and_goes_with_the_next_command(
    folder, run, hook, monkeypatch, capsys
):
    folder.write("1 / 0")
    hook.answers = [500] * 3
    code, said = run("--notify", hook.url())
    assert code == 1
    assert len(hook.got) == 3
    warning = (
        "The notice to address 1 (JSON) was not confirmed: it answered 500; nbflow tries "
        "again with the next command on this store."
    )
    assert f"! {warning}" in " ".join(said.split("\n"))
    assert folder.report()["exit_code"] == 1
    assert folder.report()["warnings"] == [warning]
    assert folder.report()["notices"][0]["state"] == "pending"
    # A command that knows other addresses leaves it alone.
    monkeypatch.setenv("NBFLOW_NOTIFY", hook.url("xml"))
    assert cli.main(["runs"]) == 0
    assert len(hook.got) == 3
    monkeypatch.setenv("NBFLOW_NOTIFY", hook.url())
    assert cli.main(["runs"]) == 0
    assert len(hook.got) == 4
    assert cli.main(["runs"]) == 0
    assert len(hook.got) == 4
    capsys.readouterr()


def test_a_server_that_takes_it_and_hangs_gets_it_once(folder, run, hook):
    """It may have arrived: nobody knows, so it is said and not sent again."""
    folder.write("1 / 0")
    hook.answers = ["hang"]
    code, _ = run("--notify", hook.url(more="?rto=1"))
    assert code == 1
    assert folder.report()["notices"][0]["state"] == "unknown"
    assert "may have arrived" in folder.report()["warnings"][0]
    folder.write("1")
    assert run("--notify", hook.url(more="?rto=1"))[0] == 0
    assert len(hook.got) == 1


def test_a_slow_address_delays_no_other_one(folder, run, hook, mail):
    folder.write("1 / 0")
    hook.answers = ["hang"]
    run("--notify", hook.url(more="?rto=1"), "--notify", mail.url)
    assert len(mail) == 1


def test_ctrl_c_ends_the_telling_and_not_the_outcome(folder, hook):
    folder.write("1")
    hook.answers = ["hang"]
    job = folder.start("--notify", hook.url(), "--notify-on", "always")
    folder.wait_for(lambda: hook.got)
    job.send_signal(signal.SIGINT)
    out, _ = job.communicate(timeout=10)
    assert job.returncode == 0, out
    assert "Stopped telling people" in out
    assert len(list((folder.store / FOLDER).glob("*.json"))) == 1


# Exactly once.


def test_kill_between_the_end_and_the_notice_leaves_one_for_the_next_command(
    folder, hook
):
    """The report says that the job has ended, and the notice is on disk: the same command sends it, once."""
    folder.write("1 / 0")
    # A server that hangs keeps the process where it can be killed.
    job = folder.start("--notify", hook.url("xml"), "--notify", hook.url())
    hook.answers = ["hang", "hang"]
    folder.wait_for(lambda: len(hook.got) == 2)
    assert folder.report()["exit_code"] == 1
    job.send_signal(signal.SIGKILL)
    job.wait()
    [kept] = (folder.store / FOLDER).glob("*.json")
    assert b"T0kenOfTheTeam" not in kept.read_bytes()
    assert kept.stat().st_mode & 0o777 == 0o600
    hook.got.clear()
    folder.write("1")
    jobs = [
        folder.start(
            *("--notify", hook.url("xml"), "--notify", hook.url()),
            *("-o", str(folder.path / f"{number}.ipynb")),
        )
        for number in range(2)
    ]
    for one in jobs:
        out, _ = one.communicate(timeout=60)
        assert one.returncode == 0, out
    # One for each address, although two commands found it.
    assert len(hook.got) == 2
    assert {text[0] for text in hook.got} == {"<", "{"}
    assert not list((folder.store / FOLDER).glob("*.json"))


def test_a_kill_before_the_end_leaves_no_notice_and_the_next_end_is_told(folder, hook):
    folder.write_work(pause=0.2, count=8, bad=[7])
    job = folder.start("--notify", hook.url())
    folder.wait_for(lambda: folder.log)
    job.kill()
    job.wait()
    assert hook.got == []
    job = folder.start("--notify", hook.url())
    job.communicate(timeout=60)
    assert len(hook.got) == 1


# The heartbeat.


def test_a_success_asks_the_dead_mans_switch_and_a_failure_does_not(folder, run, hook):
    folder.write("1")
    assert run("--heartbeat", hook.url("http"))[0] == 0
    assert len(hook.got) == 1
    assert folder.report()["heartbeat"] == {"state": "sent", "why": ""}
    folder.write("1 / 0")
    assert run("--heartbeat", hook.url("http"))[0] == 1
    assert len(hook.got) == 1
    assert "heartbeat" not in folder.report()


def test_a_heartbeat_that_nobody_takes_is_a_warning(folder, run, hook):
    folder.write("1")
    hook.answers = [404] * 3
    code, said = run("--heartbeat", hook.url("http"))
    assert code == 0
    assert "The heartbeat was not confirmed: it answered 404." in said
    assert "T0kenOfTheTeam" not in everything_written(folder, said).decode("latin-1")


# Where addresses come from, and wrong ones.


def test_addresses_come_from_a_variable_a_reference_or_pyproject(
    folder, run, hook, monkeypatch
):
    folder.write("1 / 0")
    (folder.path / "pyproject.toml").write_text(
        '[tool.nbflow]\nnotify = ["env:TEAM_HOOK"]\nnotify-on = "change"\n'
    )
    monkeypatch.setenv("TEAM_HOOK", hook.url())
    run()
    run()
    assert len(hook.got) == 1  # of the file, change
    monkeypatch.setenv("NBFLOW_NOTIFY", f"{hook.url('xml')}, {hook.url()}")
    run("--notify-on", "failure")
    assert len(hook.got) == 3
    run("--notify", "env:TEAM_HOOK", "--notify-on", "failure")
    assert len(hook.got) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--notify", "foo://T0kenOfTheTeam"],
            "begins with foo://, which Apprise does not know",
        ),
        (
            ["--notify", "https://example.com/x"],
            "json:// or jsons:// sends to any web hook",
        ),
        (
            ["--notify", "slack://T0kenOfTheTeam"],
            "lacks something that this service needs",
        ),
        (["--notify", "ops@example.com"], "address 1 is no URL"),
        (["--notify", "env:NOT_SET"], "NOT_SET is not set"),
        (["--notify", "env:"], "the name of an environment variable"),
        (
            ["--notify", "json://a", "--notify-on", "sometimes"],
            "--notify-on 'sometimes'",
        ),
        (["--notify-on", "always"], "nothing says who is told"),
        (["--heartbeat", "ftp://x"], "--heartbeat has to be the http"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence_before_anything_runs(
    folder, run, arguments, said
):
    folder.write_work()
    code, printed = run(*arguments)
    assert code == 2
    assert said in printed
    assert "T0kenOfTheTeam" not in printed
    assert printed.count("\n") == 1
    assert folder.log == []


def test_a_table_of_pyproject_that_makes_no_sense_is_named(folder, run):
    folder.write("1")
    file = folder.path / "pyproject.toml"
    for text, said in (
        ("notify = 3", "notify has to be a text, or a list of texts"),
        ('notify-content = "yes"', "notify-content has to be true or false"),
        ('notify = "foo://x"', "begins with foo://"),
    ):
        file.write_text(f"[tool.nbflow]\n{text}\n")
        code, printed = run()
        assert code == 2
        assert f"{file}, [tool.nbflow]" in printed
        assert said in printed


def test_the_notebook_of_a_job_tells_the_same_people_and_prints_no_address(
    folder, run, hook
):
    folder.write(
        "import nbflow as nf, os\nprint(os.environ['NBFLOW_NOTIFY'])\n"
        "nf.notify('Half way', 'as promised', level='success')",
        "@nf.step(retries=0)\ndef leak(n):\n    print(n)\n"
        "    raise ValueError(os.environ['NBFLOW_NOTIFY'])\nrun = leak.map([1])",
    )
    code, said = run("--notify", hook.url(), "--max-failed", "1")
    assert code == 0
    [message] = hook.messages
    assert (message["title"], message["message"]) == ("Half way", "as promised")
    assert message["type"] == "success"
    assert "T0kenOfTheTeam" not in everything_written(folder, said).decode("latin-1")
