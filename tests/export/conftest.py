"""A folder with a notebook as somebody would export it, and jobs whose texts are as bad as texts get."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nbflow import cli
from nbflow.export import schema
from nbflow.export.schedule import schedule
from nbflow.export.spec import Job
from nbflow.notebook import parameters

#: Texts that are something else to a shell, cron, systemd, YAML, Kubernetes, GitHub,
#: Markdown, Python or a terminal.
HOSTILE = [
    'it\'s "quoted"',
    "100% of %h %n",
    "$(touch pwned) `touch pwned` ${HOME} $HOME $$ $(HOME)",
    "two\nlines\n",
    "tab\there\r",
    "back\\slash \\n \\",
    "-p --force=x",
    "yes",
    "1e3",
    "0o17",
    "2026-11-24",
    "~",
    "",
    " spaces  around ",
    "# comment: [a, {b: c}] & *anchor !tag |",
    "${{ secrets.TOKEN }} }} {{ params.x }}",
    "größe 北京 \U0001f600 \u2028 \u0085",
    "; rm -rf / && exit | cat > /dev/null < x",
    "'''\"\"\"",
    "a=b=c",
    "\x1b[31mred\x07",
]


def job_of(
    folder,
    texts=(),
    title="Threads of support",
    program="/opt/venv/bin/nbflow",
    cron="0 6 * * 1-5",
    zone="Europe/Berlin",
    document=None,
    notebook="threads.ipynb",
    **more,
):
    """A job whose parameters p0, p1, ... are these texts."""
    declared = parameters.declared(
        "".join(f'p{number} = ""  # number {number}\n' for number in range(len(texts)))
    )
    given = [f"p{number}={text}" for number, text in enumerate(texts)]
    return Job(
        name="threads",
        title=title,
        notebook=notebook,
        folder=folder,
        schedule=schedule(cron, zone) if cron else None,
        settings=schema.settings(declared, given),
        program=program,
        python="3.12",
        document=document,
        **more,
    )


@pytest.fixture
def program(tmp_path):
    """A stand-in for `nbflow` that says which arguments reached it, in which folder: a list of JSON lines in a file."""
    place = tmp_path / "bin" / "nbflow"
    place.parent.mkdir()
    place.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"with open({str(tmp_path / 'told')!r}, 'a') as file:\n"
        "    json.dump([os.getcwd(), sys.argv[1:], dict(os.environ)], file)\n"
        "    file.write('\\n')\n"
    )
    place.chmod(0o755)
    return place


@pytest.fixture
def told(tmp_path):
    """What the stand-in was told: folder, arguments, environment, of the last call."""

    def told():
        return json.loads((tmp_path / "told").read_text().splitlines()[-1])

    return told


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a notebook that has parameters, local modules, data, a secret, and outputs of an earlier run."""
    monkeypatch.delenv("NBFLOW_STORE")
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "clean.py").write_text(
        "import words.lists\n\ndef clean(text):\n    return text.strip()\n"
    )
    (folder / "words").mkdir()
    (folder / "words" / "__init__.py").write_text("")
    (folder / "words" / "lists.py").write_text(
        "import os\nfrom . import more\nKEY = os.environ['WORDS_KEY']\n"
    )
    (folder / "words" / "more.py").write_text("MORE = 1\n")
    (folder / "words" / "prompt.txt").write_text("Pick one.")
    (folder / "unused.py").write_text("")
    (folder / "threads.csv").write_text("id\n1\n")
    (folder / "done.db").write_text("")
    write(
        folder / "threads.ipynb",
        "# Threads",
        ("day: str = 'x'  # the day to load\nlimit = 10", "parameters"),
        "import nbflow as nf\nfrom clean import clean\nimport pandas as pd, sqlite3",
        "threads = pd.read_csv('threads.csv')\nclean('x')",
        "import os\n"
        "key = os.getenv('MODEL_KEY'), os.environ.get('HOME')\n"
        "sqlite3.connect('done.db')\n"
        "threads.to_csv('out.csv')",
    )
    return folder


def write(path, *cells):
    """A notebook of these cells: text is code, (text, tag) tagged code, a heading markdown."""
    made = []
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell
        made.append(
            new_markdown_cell(source)
            if source.startswith("# ")
            else new_code_cell(source, metadata={"tags": tags} if tags else {})
        )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=made, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture
def export(capsys):
    """The command: its exit code and what it printed."""

    def export(notebook, *arguments):
        code = cli.main(["export", str(notebook), *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return export


def command(*arguments, cwd=None, **more):
    """A command of this Python's environment, as a process."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(arguments[0])), *map(str, arguments[1:])],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        **more,
    )
