"""cron: its own check takes the line, a real cron starts it, and three mornings cost what they should."""

import json
import os
import shutil
import subprocess
import time

import pytest

from nbflow import cli
from nbflow.export import cron
from tests.export.conftest import HOSTILE, job_of
from tests.export.test_artefacts import through_cron
from tests.platforms.conftest import has_namespaces

cron_there = pytest.mark.skipif(
    not shutil.which("crontab") and not os.environ.get("CI"), reason="no crontab"
)
#: A private /var/spool and /etc, so that the machine's own tables are neither read nor
#: run.
ALONE = (
    "mount -t tmpfs tmpfs /var/spool/cron && "
    "mkdir -p /var/spool/cron/crontabs && chmod 1730 /var/spool/cron/crontabs && "
    "mount -t tmpfs tmpfs /etc/cron.d && mount -t tmpfs tmpfs /run && "
    ": > {scratch}/empty && mount --bind {scratch}/empty /etc/crontab && "
    "crontab {scratch}/table && exec cron -f"
)


@pytest.fixture
def _here(monkeypatch):
    """The zone that the export says is the machine's."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setattr(cron, "machine_zones", lambda: ["Europe/Berlin"])


@pytest.mark.usefixtures("_here")
def test_three_mornings_by_the_line_of_the_crontab(threads, tmp_path):
    """The shell that cron starts executes the line, with nothing but what cron gives."""
    threads.export("cron")
    table = (threads.folder / "crontab").read_text()
    bare = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "LOGNAME": "x",
    }

    def start():
        done = subprocess.run(
            ["/bin/sh", "-c", through_cron(table.splitlines()[1])],
            cwd=tmp_path,
            env=bare,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stdout

    threads.three_mornings(start)
    assert "\u2713 completed" in (threads.folder / "job.log").read_text()


@cron_there
def test_crontab_takes_the_block_and_not_a_bad_one(tmp_path):
    folder = tmp_path / "it's 50% $(x)"
    folder.mkdir()
    table = tmp_path / "table"
    table.write_text(cron.TARGET.files(job_of(folder, HOSTILE, zone=None))["crontab"])
    done = subprocess.run(
        ["crontab", "-n", table], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    table.write_text(table.read_text().replace("0 6 * * 1-5", "0 26 * * 1-5"))
    assert (
        subprocess.run(
            ["crontab", "-n", table], capture_output=True, check=False
        ).returncode
        != 0
    )


@cron_there
def test_the_readme_installs_the_block_once_and_removes_it(tmp_path):
    """Its commands leave the other lines alone; a stand-in keeps the table in a file."""
    job = job_of(tmp_path, zone=None)
    for name, text in cron.TARGET.files(job).items():
        (tmp_path / name).write_text(text)
    stand_in = tmp_path / "bin" / "crontab"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = -l ]; then cat {tmp_path}/table; else '
        f"cat > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/table; fi\n"
    )
    stand_in.chmod(0o755)
    (tmp_path / "table").write_text("0 0 * * * mine\n")
    path = {"PATH": f"{stand_in.parent}:/usr/bin:/bin"}
    guide = cron.TARGET.guide(job)
    for command in (guide.install, guide.install):
        subprocess.run(
            ["/bin/sh", "-c", command.strip("`")], cwd=tmp_path, env=path, check=True
        )
    assert (tmp_path / "table").read_text() == "0 0 * * * mine\n" + (
        tmp_path / "crontab"
    ).read_text()
    subprocess.run(
        ["/bin/sh", "-c", guide.remove.strip("`")], cwd=tmp_path, env=path, check=True
    )
    assert (tmp_path / "table").read_text() == "0 0 * * * mine\n"


@cron_there
@pytest.mark.usefixtures("_here")
@pytest.mark.skipif(
    not (shutil.which("cron") and has_namespaces()),
    reason="a cron of its own needs root, and namespaces",
)
def test_a_real_cron_starts_the_job(threads, tmp_path):
    """Every minute, in a folder that is hard to say; cron's own shell, environment and reading of %."""
    threads.folder.joinpath("threads.csv").write_text(
        "\n".join((threads.folder / "threads.csv").read_text().splitlines()[:1]) + "\n"
    )
    threads.deliver(2)
    output = threads.folder.parent / "cron \\ 50%"
    assert (
        cli.main(
            [
                "export",
                str(threads.notebook),
                "--to",
                "cron",
                "--schedule",
                "* * * * *",
                "--output",
                str(output),
                "-p",
                "text=50% $(x)\nnew",
            ]
        )
        == 0
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shutil.copy(output / "crontab", scratch / "table")
    running = subprocess.Popen(
        [
            "unshare",
            "-m",
            "-p",
            "-f",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-ec",
            ALONE.format(scratch=scratch),
        ],
        env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(tmp_path)},
    )
    try:
        deadline, report = (
            time.monotonic() + 150,
            output / "support_threads.out.run.json",
        )
        while (
            not report.exists() or json.loads(report.read_text())["exit_code"] is None
        ):
            assert running.poll() is None, "cron ended"
            assert time.monotonic() < deadline, (
                (output / "job.log").read_text()
                if (output / "job.log").exists()
                else "cron started nothing"
            )
            time.sleep(0.5)
    finally:
        running.kill()
        running.wait()
    assert json.loads(report.read_text())["exit_code"] == 0
    assert json.loads((output / "seen.json").read_text())[0] == "50% $(x)\nnew"
