"""systemd: its own check takes the units, its calendar has the times of cron, and a real manager starts the job."""

import json
import os
import random
import shutil
import subprocess
import time
from datetime import UTC, datetime

import pytest

from nbflow.export import systemd
from nbflow.export.schedule import schedule
from tests.export.conftest import HOSTILE, job_of
from tests.platforms.conftest import has_namespaces

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze") and not os.environ.get("CI"),
    reason="no systemd",
)
#: A manager of its own: nothing of the machine's is started, and it ends with the test.
ALONE = (
    "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system /run/user/0; "
    "export XDG_RUNTIME_DIR=/run/user/0; "
    "/lib/systemd/systemd --user --unit=nbflow-{name}.service & wait"
)
manager = pytest.mark.skipif(
    not has_namespaces(), reason="a manager of its own needs root, and namespaces"
)


def started(units, name, is_done):
    """Start a service with a user's manager that sees only these units."""
    running = subprocess.Popen(
        [
            "unshare",
            "-m",
            "-p",
            "-f",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            ALONE.format(name=name),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(units),
            "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user",
        },
    )
    try:
        deadline = time.monotonic() + 120
        while not is_done():
            assert time.monotonic() < deadline, "the service did not end"
            time.sleep(0.1)
    finally:
        running.kill()
        running.wait()


def analyze(*arguments, **environment):
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def units(tmp_path):
    """A folder for units, whose name says nothing, as systemd wants the path of its units."""
    folder = tmp_path / "units"
    folder.mkdir()
    return folder


def install(units, files):
    for name, text in files.items():
        (units / name).write_text(text)


@manager
def test_three_mornings_by_the_service(threads, units):
    threads.export("systemd")
    install(
        units, {path.name: path.read_text() for path in threads.folder.glob("nbflow-*")}
    )
    report = threads.folder / "support_threads.out.run.json"

    def start():
        before = json.loads(report.read_text())["started"] if report.exists() else None
        time.sleep(1)  # so that the time of its start is another one
        started(
            units,
            "support-threads",
            lambda: (
                report.exists()
                and (said := json.loads(report.read_text()))["started"] != before
                and said["exit_code"] is not None
            ),
        )

    threads.three_mornings(start)


@manager
def test_a_real_systemd_passes_folder_secrets_and_parameters_as_data(
    tmp_path, units, program, told
):
    folder = tmp_path / 'it\'s "50%" $HOME %h ü [1] * ? a\\b'
    folder.mkdir()
    (folder / "secrets.env").write_text("MODEL_KEY='it is $(touch pwned) \"x\" %h'\n")
    job = job_of(
        folder,
        HOSTILE,
        program=str(program),
        environment={"XDG_CONFIG_HOME": str(folder)},
    )
    install(units, systemd.TARGET.files(job))
    started(units, "threads", (tmp_path / "told").exists)
    time.sleep(0.5)
    where, arguments, environment = told()
    assert (where, arguments) == (str(folder), job.command[1:])
    assert environment["MODEL_KEY"] == 'it is $(touch pwned) "x" %h'
    assert environment["XDG_CONFIG_HOME"] == str(folder)


def test_systemd_verifies_the_units(units, program, tmp_path):
    folder = tmp_path / 'it\'s "50%" $HOME'
    folder.mkdir()
    install(
        units,
        systemd.TARGET.files(
            job_of(folder, HOSTILE, title="50% \\", program=str(program))
        ),
    )
    done = analyze("--user", "verify", *units.iterdir(), XDG_RUNTIME_DIR=str(tmp_path))
    assert (
        done.returncode,
        [line for line in done.stderr.splitlines() if "nbflow-threads" in line],
    ) == (0, []), done.stderr
    timer = units / "nbflow-threads.timer"
    timer.write_text(timer.read_text().replace("06:00:00", "26:00:00"))
    assert (
        "26:00:00"
        in analyze("--user", "verify", timer, XDG_RUNTIME_DIR=str(tmp_path)).stderr
    )


def schedules():
    """Seventy-seven schedules: what people write, and what chance does."""
    by_hand = [
        "0 6 * * 1-5", "*/15 * * * *", "0 6 1 * *", "30 2 * * *", "0 0 29 2 *",
        "5 4 * * 0", "0 9-17/2 * 1,7 *", "15,45 8 1-7 * *", "0 22 * * 5,6,0",
        "59 23 31 12 *", "0 */6 * * 2", "7 3 */10 * *", "* * * * 3", "0 12 * 2-4 1-3",
        "1-59/29 0 15 * *", "0 0 1 1 *", "10 10 10 10 *",
    ]  # fmt: skip
    dice = random.Random(7)

    def field(low, high):
        kind = dice.randrange(5)
        first = dice.randint(low, high)
        return [
            "*",
            f"*/{dice.randint(2, 9)}",
            str(first),
            f"{first}-{dice.randint(first, high)}",
            ",".join(map(str, sorted({dice.randint(low, high) for _ in range(3)}))),
        ][kind]

    made = []
    while len(made) < 60:
        minute, hour, day, month, weekday = (
            field(*bounds) for bounds in ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
        )
        one_kind = dice.random() < 0.5
        made.append(
            " ".join(
                [
                    minute,
                    hour,
                    day if one_kind else "*",
                    month,
                    "*" if one_kind else weekday,
                ]
            )
        )
    return [*by_hand, *made]


@pytest.mark.parametrize("text", schedules())
def test_the_calendar_has_the_times_of_the_schedule(text):
    """systemd says when it would start a timer; the schedule says when it is due."""
    made, base = (
        schedule(text, "Europe/Berlin"),
        datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC),
    )
    done = analyze(
        "calendar",
        "--iterations=8",
        f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC",
        systemd.calendar(made),
        TZ="UTC",
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(": ", 1) for line in done.stdout.splitlines()]
    zoned = [
        said
        for name, said in lines
        if name.strip().startswith(("Next elapse", "Iter."))
    ]
    times = [
        datetime.strptime(said, "%a %Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
        for said in zoned
    ]
    assert times == [due.astimezone(UTC) for due in made.next(len(times), base)]
    assert len(times) == 8
