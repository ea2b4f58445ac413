"""Real platforms, each in an environment of its own, and the support threads as the job that they run.

The environments are made by `.ci/platforms`, in the folder that NBFLOW_PLATFORMS names.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

import nbflow as nf
from nbflow import cli
from nbflow.notebook.job_lock import job_lock
from tests.export.conftest import program, told  # noqa: F401 - fixtures

#: What a text may hold that a shell, a template, a format or YAML would take for its
#: own.
HOSTILE = (
    'it\'s "q" $(touch PWNED) `touch PWNED` ${HOME} 50% %% {{ 7 * 7 }} {% raw %} {# no #} \\n \\ --help\n'
    "- line: [2] # &x *y !z\n"
    "\ttab ü 🙂 "
)
FEW = 12
#: The thread for which the model insists on a label of its own.
HOPELESS = "t-0138"


def pytest_collection_modifyitems(items):
    """Without the environments these tests are skipped on a laptop, and fail where everything has to be tested."""
    missing = "NBFLOW_PLATFORMS" not in os.environ and not os.environ.get("CI")
    for item in items:
        if "tests/platforms" in str(item.path):
            item.add_marker(
                pytest.mark.timeout(900)
            )  # a platform takes its time to start, several times
            if missing:
                item.add_marker(
                    pytest.mark.skip("no NBFLOW_PLATFORMS: see .ci/platforms")
                )


def has_namespaces():
    """May this user have mounts and processes apart from the machine's? In many containers not even root may."""
    command = [
        "unshare",
        "-m",
        "-p",
        "-f",
        "--mount-proc",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/run",
    ]
    return (
        bool(shutil.which("unshare"))
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


class Platform:
    """A platform's commands, in a home of the test's own."""

    def __init__(self, name, home):
        self.bin = Path(os.environ.get("NBFLOW_PLATFORMS", "")) / name / "bin"
        assert self.bin.is_dir(), f"no environment for {name}: run .ci/platforms {name}"
        home.mkdir(exist_ok=True)
        self.home = home
        # Nothing of the test's own Python, as on a server.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV", "NBFLOW"))
        }
        self.environment |= {
            "HOME": str(home),
            "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"],
            "PATH": f"{self.bin}:/usr/local/bin:/usr/bin:/bin",
            "NO_COLOR": "1",
        }

    def run(self, *command, cwd=None, code=0):
        """What a command printed; it has to end with ``code``."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd or self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, (
            f"{command} ended with {done.returncode}\n{done.stdout}"
        )
        return done.stdout

    @contextmanager
    def started(self, *command):
        """A server of the platform, ended with what it started."""
        with (self.home / f"{command[1]}.log").open("w") as log:
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def wait_for(self, address):
        """Until a server answers."""
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                logs = "\n".join(path.read_text() for path in self.home.glob("*.log"))
                assert time.monotonic() < deadline, f"{address} does not answer\n{logs}"
                time.sleep(0.2)
            else:
                return


class Threads:
    """The support-thread notebook of `nbflow demo` with few of its records, and a parameter that it notes down."""

    def __init__(self, folder):
        self.folder = folder
        self.notebook = folder / "support_threads.ipynb"
        shutil.copytree(
            files("nbflow.demo"), folder, ignore=shutil.ignore_patterns("__*")
        )
        with (folder / "threads.csv").open(newline="") as file:
            self._rows = list(csv.DictReader(file))
        document = nbformat.read(self.notebook, as_version=4)
        document.cells.insert(
            1,
            new_code_cell(
                'text = ""  # any text\nlimit: int | None = None\nnames: list[str] = []',
                metadata={"tags": ["parameters"]},
            ),
        )
        document.cells.append(
            new_code_cell(
                "import json\n"
                "import shutil\n"
                "from pathlib import Path\n\n"
                'Path("seen.json").write_text(json.dumps([text, limit, names]))\n'
                'Path("python.txt").write_text(shutil.which("python"))'
            )
        )
        nbformat.write(document, self.notebook)
        self.deliver(FEW)

    def deliver(self, count, *more):
        """The first ``count`` threads lie there, and those of these ids."""
        rows = self._rows[:count] + [row for row in self._rows if row["id"] in more]
        with (self.folder / "threads.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)

    def export(self, target):
        """Export the job as a user does; from now on its folder is the one that counts."""
        self.folder = self.folder.parent / target
        command = [
            "export",
            str(self.notebook),
            "--to",
            target,
            "--schedule",
            "0 6 * * 1-5",
            "--timezone",
            "Europe/Berlin",
        ]
        assert (
            cli.main(
                [
                    *command,
                    "-p",
                    f"text={HOSTILE}",
                    "-p",
                    'names=["ü", "-"]',
                    "--output",
                    str(self.folder),
                ]
            )
            == 0
        )

    # What the job did, as its own files and the ledger tell.

    @property
    def report(self):
        return json.loads((self.folder / "support_threads.out.run.json").read_text())

    def counts(self):
        """How many records of the last run came out how in each of its four flows: the same in all."""
        counts = nf.open_run(self.folder / "support_threads.out.ipynb").counts
        assert len(counts) == 4
        (alike,) = {tuple(sorted(flow.items())) for flow in counts.values()}
        return dict(alike)

    def seen(self):
        """The parameters as they arrived, `text` first."""
        return json.loads((self.folder / "seen.json").read_text())

    def busy(self):
        """Somebody runs the job by hand, as long as the context lasts."""
        return job_lock(
            self.notebook.parent / ".nbflow",
            [f"output {(self.folder / 'support_threads.out.ipynb').resolve()}"],
            waits=None,
        )

    def slow_down(self):
        """The exported notebook waits in its first cell."""
        notebook = self.folder / self.notebook.name
        document = nbformat.read(notebook, as_version=4)
        document.cells.insert(1, new_code_cell("import time\n\ntime.sleep(600)"))
        nbformat.write(document, notebook)

    def wait_until_running(self):
        """Until a cell of it is under way."""
        self._wait_for(
            lambda report: (
                any(cell["state"] == "interrupted" for cell in report["cells"])
                and report["exit_code"] is None
            )
        )

    def exit_code(self):
        """What the run under way ends with."""
        return self._wait_for(lambda report: report["exit_code"] is not None)[
            "exit_code"
        ]

    def _wait_for(self, is_so):
        path, deadline = (
            self.folder / "support_threads.out.run.json",
            time.monotonic() + 120,
        )
        while not path.exists() or not is_so(self.report):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return self.report

    def three_mornings(self, start):
        """Run the job three times.

        The second one finds everything done, the third has one more record and runs
        only that.
        """
        start()
        assert self.report["exit_code"] == 0
        assert self.counts() == {"COMPLETED": FEW}
        assert self.seen() == [HOSTILE, None, ["ü", "-"]]
        assert (
            Path((self.folder / "python.txt").read_text()).parent
            == Path(sys.executable).parent
        )
        start()
        assert self.counts() == {"CACHED": FEW}
        self.deliver(FEW + 1)
        start()
        assert self.counts() == {"CACHED": FEW, "COMPLETED": 1}
        assert not list(self.folder.rglob("PWNED"))


@pytest.fixture
def threads(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE")
    # A place with a name that is hard to say.
    return Threads(tmp_path / 'it\'s "50%" {{ 7 * 7 }} $HOME - ü' / "threads")
