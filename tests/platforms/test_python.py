"""python: three mornings by the module alone."""

import os
import subprocess
import sys
from pathlib import Path

import nbflow as nf


def test_three_mornings_by_the_module(threads, tmp_path):
    """No kernel, no output notebook: what it did is in the ledger."""
    threads.export("python")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"],
    }
    counted = []
    for more in (0, 0, 1):
        if more:
            threads.deliver(13)
        done = subprocess.run(
            ["/bin/sh", threads.folder / "run.sh"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        nf.use(threads.notebook.parent / ".nbflow")
        (alike,) = {
            tuple(sorted(flow.items())) for flow in nf.open_run().counts.values()
        }
        counted.append(dict(alike))
    assert counted == [
        {"COMPLETED": 12},
        {"CACHED": 12},
        {"CACHED": 12, "COMPLETED": 1},
    ]
    assert not list(threads.folder.rglob("PWNED"))


def test_the_module_finds_what_the_notebook_has_done(threads, tmp_path):
    """One store, one key: prototype in the notebook, then run the module, and nothing is paid for again."""
    done = subprocess.run(
        [Path(sys.executable).with_name("nbflow"), "run", threads.notebook],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    threads.export("python")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": os.environ["XDG_CONFIG_HOME"],
    }
    done = subprocess.run(
        ["/bin/sh", threads.folder / "run.sh"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    nf.use(threads.notebook.parent / ".nbflow")
    assert {tuple(flow.items()) for flow in nf.open_run().counts.values()} == {
        (("CACHED", 12),)
    }
