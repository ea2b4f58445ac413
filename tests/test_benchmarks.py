"""The benchmarks run. How fast is not for a test to say."""

import subprocess
import sys
from pathlib import Path

import pytest

main = pytest.importorskip(
    "benchmarks.__main__"
)  # an installed nbflow comes without them


def test_a_quick_run_of_the_benchmarks_prints_every_row():
    root = Path(main.__file__).parent.parent
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    printed = [line.strip() for line in ended.stdout.splitlines()]
    for question in main.QUESTIONS.values():
        for row in question.rows:
            assert any(
                line.startswith(row.what) and row.against in line for line in printed
            ), (row.what, row.against)


def test_a_short_job_shows_what_a_store_takes():
    root = Path(main.__file__).parent.parent
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.sizes", "--job", "20", "--keep", "2h"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    head, *lines = ended.stdout.splitlines()
    assert head.split()[:2] == ["runs", "kept"]
    assert [line.split()[:2] for line in lines][-1] == ["20", "9"]
