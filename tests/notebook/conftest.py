"""Notebooks made for one test, and the command run on them as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import nbflow as nf
from nbflow import cli

ROOT = Path(__file__).parents[2]

#: A batch whose records note in a file that they were executed.
WORK = """
@nf.step(retries=0, ignore=["bad", "pause"])
def work(n):
    with open("log", "a") as file:
        file.write(f"{n}\\n")
    time.sleep(pause)
    if n in bad:
        raise ValueError(f"no {n}")
    return n

@nf.flow(on="e")
def look(record):
    return work(record["n"])

run = nf.send("e", [{"n": n} for n in range(count)], key="n", max_in_flight=4)
"""


class Folder:
    """A folder with notebooks, a store, and a log of what was executed."""

    work = WORK

    def __init__(self, path):
        self.path = path
        self.store = path / ".nbflow"

    def write(self, *cells, name="job.ipynb"):
        """A notebook of these cells: text is code, (text, tag, ...) tagged code, a heading markdown."""
        made = []
        for cell in cells:
            source, *tags = (cell,) if isinstance(cell, str) else cell
            made.append(
                new_markdown_cell(source)
                if source.startswith("# ")
                else new_code_cell(source, metadata={"tags": tags} if tags else {})
            )
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(
            new_notebook(cells=made, metadata={"kernelspec": kernel}), self.path / name
        )
        return self.path / name

    def write_work(self, *after, bad=(), count=20, pause=0.0):
        """A notebook that sends a batch in its third cell."""
        declared = f"bad: list[int] = {list(bad)}\ncount = {count}\npause = {pause}"
        return self.write(
            (declared, "parameters"), "import time, nbflow as nf", WORK, *after
        )

    @property
    def log(self):
        file = self.path / "log"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def output(self, name="job"):
        return nbformat.read(self.path / f"{name}.out.ipynb", as_version=4)

    def report(self, name="job"):
        return json.loads((self.path / f"{name}.out.run.json").read_text())

    def states(self, name="job"):
        states = [
            cell.metadata["nbflow"]["state"]
            for cell in self.output(name).cells
            if cell.cell_type == "code"
        ]
        assert states == [cell["state"] for cell in self.report(name)["cells"]]
        return states

    def start(self, *arguments, **environment):
        """The command in a process of its own."""
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        command = [
            sys.executable,
            "-m",
            "nbflow.cli",
            "run",
            str(self.path / "job.ipynb"),
            *arguments,
        ]
        return subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": path} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("NBFLOW_STORE")
    path = tmp_path / "job"
    path.mkdir()
    nf.use(path / ".nbflow")
    return Folder(path)


@pytest.fixture
def run(folder, capsys):
    """Run the folder's notebook in this process: the exit code and what was printed."""

    def run(*arguments, name="job.ipynb"):
        before = {
            number: signal.getsignal(number)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        code = cli.main(["run", str(folder.path / name), *arguments])
        assert before == {number: signal.getsignal(number) for number in before}
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run
