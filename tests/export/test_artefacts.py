"""What a target writes: the same files as last time, and in them a user's texts as data, whatever they are."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nbflow.export import (
    cron,
    docker,
    github_actions,
    kubernetes,
    markup,
    readme,
    shell,
    systemd,
)
from nbflow.export.targets import targets

from .conftest import HOSTILE, job_of, write

GOLDEN = Path(__file__).parent / "golden"
#: What no argument of a program can be.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize("name", sorted(targets()))
def test_a_target_writes_what_it_wrote_before(name, tmp_path, monkeypatch):
    """Golden files: a change of what users get shows in the review. `NBFLOW_GOLDEN=write` writes them."""
    import nbformat

    monkeypatch.setenv("TZ", "Europe/Berlin")
    notebook = write(
        tmp_path / "threads.ipynb",
        "# Threads",
        ("day = ''  # the day", "parameters"),
        "import nbflow as nf",
        "@nf.step\ndef f(x):\n    return x",
        "run = f.map([1, 2])\nrun.results()",
    )
    job = job_of(
        Path("/srv/jobs/threads"),
        ["2026-11-24", "50% of $HOME"],
        document=nbformat.read(notebook, 4),
        secrets=("MODEL_KEY", "NBFLOW_HEARTBEAT", "NBFLOW_NOTIFY"),
        options=(
            *("--notify", "env:NBFLOW_NOTIFY", "--notify-on", "change"),
            *("--heartbeat", "env:NBFLOW_HEARTBEAT", "--notify-content"),
        ),
        store=Path("/srv/.nbflow") if targets()[name].is_here else None,
    )
    made = {
        **targets()[name].files(job),
        "README.md": readme.as_text(job, targets()[name]),
    }
    for path, text in made.items():
        golden = GOLDEN / name / path
        if os.environ.get("NBFLOW_GOLDEN") == "write":
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert golden.read_text() == text, golden
    assert {
        str(path.relative_to(GOLDEN / name))
        for path in (GOLDEN / name).rglob("*")
        if path.is_file()
    } == set(made)


@pytest.mark.parametrize("name", sorted(targets()))
def test_a_readme_is_ten_lines_and_says_how_to_install_test_watch_and_remove(
    name, tmp_path
):
    job = job_of(tmp_path)
    lines = readme.as_text(job, targets()[name]).splitlines()[2:]
    assert len(lines) == 10
    assert {"**Install.**", "**Test.**", "**Watch.**", "**Remove.**"} <= {
        line.split(" ")[1] for line in lines
    }


# cron.


def through_cron(line):
    r"""What cron gives the shell of a line of a crontab: the sixth field, up to a bare %, where \% is a %."""
    command = line.split(" ", 5)[5]
    assert not re.search(r"(?<!\\)%", command)
    return command.replace(r"\%", "%")


@pytest.mark.parametrize(
    "folder", ["plain", "it's 100% $(touch pwned)", '-"größe" ; `x` #', "a  b"]
)
def test_cron_passes_folders_and_parameters_as_data(folder, tmp_path, program, told):
    """The line and the script are executed by a real shell, with nothing but what cron gives."""
    here = tmp_path / folder
    here.mkdir()
    job = job_of(here, HOSTILE, program=str(program), zone=None)
    for name, text in cron.TARGET.files(job).items():
        (here / name).write_text(text)
    (here / "run.sh").chmod(0o755)
    (here / "secrets.env").write_bytes(
        b'# mine\nMODEL_KEY=it\'s $(touch pwned) "x" %\r\n\nODD=a=b'
    )
    line = cron.TARGET.files(job)["crontab"].splitlines()[1]
    assert line.startswith("0 6 * * 1-5 ")
    bare = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "LOGNAME": "x",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", through_cron(line)],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), (
        here / "job.log"
    ).read_text()
    where, arguments, environment = told()
    assert where == str(here)
    assert arguments == job.command[1:]
    assert arguments[arguments.index("-p") :][1::2] == [
        f"p{number}={text}" for number, text in enumerate(HOSTILE)
    ]
    assert environment["MODEL_KEY"] == 'it\'s $(touch pwned) "x" %'
    assert environment["ODD"] == "a=b"
    assert environment["PATH"].startswith(str(program.parent))
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize(
    "line",
    [
        "FOO-BAR=hidden",
        "export KEY=hidden",
        " KEY=hidden",
        "hidden",
        "=hidden",
        "1KEY=hidden",
    ],
)
def test_a_line_of_secrets_that_cannot_be_one_is_told_by_its_number(
    line, tmp_path, program
):
    (tmp_path / "run.sh").write_text(
        shell.script(job_of(tmp_path, program=str(program), zone=None))
    )
    (tmp_path / "secrets.env").write_text(f"GOOD=x\n{line}\n")
    done = subprocess.run(
        ["/bin/sh", "run.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "secrets.env, line 2: write NAME=value, without spaces around the name\n",
    )


def test_cron_mails_the_end_of_the_log_and_has_the_exit_code_of_a_run_that_failed(
    tmp_path, program
):
    program.write_text("#!/bin/sh\necho went wrong\nexit 3\n")
    job = job_of(tmp_path, program=str(program), zone=None)
    (tmp_path / "run.sh").write_text(shell.script(job))
    (tmp_path / "run.sh").chmod(0o755)
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            through_cron(cron.TARGET.files(job)["crontab"].splitlines()[1]),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "went wrong\n")


def test_cron_refuses_a_zone_that_is_not_the_machines(tmp_path, monkeypatch):
    monkeypatch.setattr(cron, "machine_zones", lambda: ["America/New_York"])
    assert not list(cron.TARGET.refusals(job_of(tmp_path, zone="America/New_York")))
    monkeypatch.setenv("TZ", "Europe/Berlin")  # of a shell; its daemon never sees it
    assert list(cron.TARGET.refusals(job_of(tmp_path, zone="Europe/Berlin")))
    (refusal,) = cron.TARGET.refusals(job_of(tmp_path, zone="Asia/Tokyo"))
    assert "America/New_York" in refusal
    assert "--to systemd" in refusal


@pytest.mark.parametrize("folder", ["/two\nlines", "/a\x07", "/" + "long" * 300])
def test_a_folder_that_no_line_of_a_crontab_can_say_is_refused(folder):
    assert any(
        "name another one" in refusal
        for refusal in cron.TARGET.refusals(job_of(Path(folder), zone=None))
    )


# systemd.


def through_systemd(line):
    """The arguments that systemd makes of `ExecStart=`.

    By its manual: quotes, C escapes, specifiers, then variables.
    """
    words, word, quote, place = [], None, "", 0
    while place < len(line):
        one = line[place]
        place += 1
        if one == "\\":
            code = line[place]
            place += 1
            if code == "x":
                word = (word or b"") + bytes([int(line[place : place + 2], 16)])
                place += 2
            else:
                word = (word or b"") + {"\\": b"\\", '"': b'"', "n": b"\n", "t": b"\t"}[
                    code
                ]
        elif quote:
            quote, word = ("", word) if one == quote else (quote, word + one.encode())
        elif one in "\"'":
            quote, word = one, word or b""
        elif one == " ":
            words, word = [*words, word], None
        else:
            word = (word or b"") + one.encode()
    text = [part.decode() for part in [*words, word]]
    for part in text:
        assert not re.search("%(?!%)", part.replace("%%", "")), part
    text = [part.replace("%%", "%") for part in text]
    for part in text[1:]:
        assert "$" not in part.replace("$$", ""), part
    return [text[0], *(part.replace("$$", "$") for part in text[1:])]


@settings(deadline=None)
@given(st.lists(texts, max_size=4))
def test_systemd_passes_parameters_as_data(found):
    for given_texts in (found, HOSTILE):
        job = job_of(
            Path("/srv/it's 50% $x"), given_texts, program='/opt/50% "venv"/bin/nbflow'
        )
        line = next(
            line
            for line in systemd.TARGET.files(job)["nbflow-threads.service"].splitlines()
            if line.startswith("ExecStart=")
        )
        assert through_systemd(line.removeprefix("ExecStart=")) == job.command


def test_a_title_is_one_line_of_a_unit(tmp_path):
    job = job_of(tmp_path, title="50% off\n[Service]\nExecStart=/bin/evil \\")
    for text in systemd.TARGET.files(job).values():
        assert "\nExecStart=/bin/evil" not in text
        assert (
            "Description=50%% off [Service] ExecStart=/bin/evil \\: a notebook run by nbflow\n"
            in text
        )


# docker, kubernetes, github-actions.


@settings(deadline=None)
@given(st.lists(texts, max_size=4))
def test_docker_passes_parameters_as_data(found):
    for given_texts in (found, HOSTILE):
        lines = docker.TARGET.files(job_of(Path("/srv"), given_texts))[
            "Dockerfile"
        ].splitlines()
        said = [
            json.loads(line.partition(" ")[2])
            for line in lines
            if line.startswith(("ENTRYPOINT", "CMD"))
        ]
        whole = [word for part in said for word in part]
        assert whole[:2] == ["nbflow", "run"]
        assert whole[whole.index("-p") if "-p" in whole else len(whole) :] == [
            part
            for number, text in enumerate(given_texts)
            for part in ("-p", f"p{number}={text}")
        ]


def through_kubernetes(text):
    """Kubernetes' own replacement: `$$` is a `$`, `$(NAME)` a variable."""
    assert not re.search(r"\$\(", text.replace("$$", "")), text
    return text.replace("$$", "$")


@settings(deadline=None)
@given(st.lists(texts, max_size=4), texts)
def test_kubernetes_passes_parameters_as_data(found, title):
    for given_texts in (found, HOSTILE):
        job = job_of(Path("/srv"), given_texts, title=title)
        volume, made = yaml.safe_load_all(kubernetes.TARGET.files(job)["threads.yaml"])
        container = made["spec"]["jobTemplate"]["spec"]["template"]["spec"][
            "containers"
        ][0]
        assert [through_kubernetes(text) for text in container.get("args", [])] == [
            part
            for number, text in enumerate(given_texts)
            for part in ("-p", f"p{number}={text}")
        ]
        assert made["metadata"]["annotations"]["nbflow/title"] == title
        assert volume["kind"] == "PersistentVolumeClaim"


def test_a_pod_is_not_started_twice_and_a_run_that_is_late_is_left_out(tmp_path):
    """What `kubernetes-validate` does not look at."""
    _, made = yaml.safe_load_all(
        kubernetes.TARGET.files(job_of(tmp_path, secrets=("MODEL_KEY",)))[
            "threads.yaml"
        ]
    )
    spec = made["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "0 6 * * 1-5",
        "Europe/Berlin",
        "Forbid",
    )
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    assert {
        "name": "MODEL_KEY",
        "valueFrom": {"secretKeyRef": {"name": "nbflow-threads", "key": "MODEL_KEY"}},
    } in pod["containers"][0]["env"]


def through_github(text):
    """The one expression that may be in a text of a user is the one that stands for its own beginning."""
    left = text.replace("${{ '${{' }}", "\0")
    assert "${{" not in left, text
    return left.replace("\0", "${{")


def test_github_passes_folders_titles_and_parameters_as_data(tmp_path, program, told):
    """The step is executed by a real bash, with the variables that the workflow gives it."""
    job = job_of(
        tmp_path,
        HOSTILE,
        title="${{ secrets.X }} 50%: yes",
        notebook="-it's ${{ x }} $(touch pwned).ipynb",
        secrets=("MODEL_KEY",),
    )
    text = github_actions.TARGET.files(job)[".github/workflows/threads.yml"]
    made = yaml.safe_load(text)
    assert through_github(made["name"]) == job.title
    steps = made["jobs"]["threads"]["steps"]
    step = next(step for step in steps if "PARAMETER_1" in step.get("env", {}))
    variables = {
        name: through_github(value)
        if name.startswith(("PARAMETER_", "NOTEBOOK"))
        else value
        for name, value in step["env"].items()
    }
    assert variables["MODEL_KEY"] == "${{ secrets.MODEL_KEY }}"
    subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env=variables | {"PATH": f"{program.parent}:/usr/bin:/bin", "STORE": "/s"},
        check=True,
    )
    _, arguments, _ = told()
    assert arguments[:2] == ["run", f"./{job.notebook}"]
    assert arguments[arguments.index("-p") :] == [
        part for text in job.given for part in ("-p", text)
    ]
    assert not list(tmp_path.rglob("pwned"))
    assert "secrets." not in "".join(str(step.get("run")) for step in steps)


def test_github_refuses_what_it_would_thin_out_or_has_no_name_for(tmp_path):
    assert "every five minutes" in next(
        iter(github_actions.TARGET.refusals(job_of(tmp_path, cron="* * * * *")))
    )
    assert "no secret of the name" in next(
        iter(github_actions.TARGET.refusals(job_of(tmp_path, secrets=("GITHUB_KEY",))))
    )
    assert not list(
        github_actions.TARGET.refusals(
            job_of(tmp_path, cron="*/5 * * * *", secrets=("GITHUB_TOKEN",))
        )
    )


def test_actions_are_pinned_to_commits_with_their_version_beside(tmp_path):
    text = github_actions.TARGET.files(job_of(tmp_path))[
        ".github/workflows/threads.yml"
    ]
    used = re.findall(r"uses: (.*)", text)
    assert len(used) == 5
    assert all(
        re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)
        for one in used
    ), used


# Texts in YAML and Markdown.


@settings(deadline=None)
@given(texts)
def test_a_text_is_the_same_text_in_yaml(text):
    assert yaml.safe_load(markup.as_yaml({"x": [text, {text: 1}]})) == {
        "x": [text, {text: 1}]
    }


@pytest.mark.parametrize("text", [
    "1e3", "0o17", "0x1f", ".5", "1_000", "12:30:00", "yes", "NO", "on", "y", "null",
    "~", "2026-11-24", "", "=", "<<", "-", "- x", "? x", "a: b", "a #b", "!x", "&x",
    "*x",
])  # fmt: skip
def test_what_some_reader_of_yaml_takes_for_something_else_is_in_quotes(text):
    """YAML 1.2 reads `1e3` as a number and `0o17` as seventeen in base eight; YAML 1.1 reads `12:30:00` as one."""
    assert markup.as_yaml([text]).strip() == f"- {json.dumps(text)}"


@settings(deadline=None)
@given(texts)
def test_a_text_stays_within_its_line_of_a_readme(text):
    assert len(readme.one_line(text).splitlines()) <= 1
    assert len(readme.code(text).splitlines()) <= 1


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=3))
def test_a_script_is_a_script_whatever_its_arguments(found):
    """Quoted for a shell, and read back by one."""
    script = shell.script(job_of(Path("/srv"), found))
    job = job_of(Path("/srv"), found)
    words = shlex.split(script[script.index("\ngiven p0") :], comments=False)
    told = [words[place + 1] for place, word in enumerate(words) if word == "-p"]
    assert told == job.given
    last = len(words) - words[::-1].index("exec")
    assert words[last:] == [*job.command_of(job.program, None, ()), "$@"]


def test_a_script_passes_its_arguments_on_in_the_place_of_the_jobs_parameters(
    tmp_path, program, told
):
    job = job_of(tmp_path, ["x", "p1=y", "z", "z"], program=str(program), zone=None)
    (tmp_path / "run.sh").write_text(shell.script(job))
    own = ["-p", "p0=a b", "-pp2=*", "--parameter=p3=", "--force", "step"]
    subprocess.run(["/bin/sh", "run.sh", *own], cwd=tmp_path, check=True)
    command = job.command_of(job.program, None, ())
    assert told()[1] == [*command[1:], *own, "-p", "p1=p1=y"]
