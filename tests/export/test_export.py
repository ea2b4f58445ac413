"""An export: what it brings along, what stops it, and what it does to a folder that is there."""

import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

import nbflow as nf
from nbflow.export import environment as environments
from nbflow.export.targets import targets
from nbflow.notebook import report

from .conftest import write

CRON = ("--to", "systemd", "--schedule", "0 6 * * 1-5", "--timezone", "Europe/Berlin")


@pytest.fixture(autouse=True)
def _no_uv(monkeypatch):
    """uv asks an index, which tests do not."""
    monkeypatch.setattr(environments.shutil, "which", lambda _name: None)


def files(folder):
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_an_export_has_the_notebook_its_modules_its_data_its_packages_and_no_values_of_secrets(
    place, export, monkeypatch
):
    monkeypatch.setenv("MODEL_KEY", "sk-very-secret-0123456789")
    code, said = export(place / "threads.ipynb", *CRON, "-p", "limit=5")
    assert code == 0, said
    folder = place / "exports" / "threads-systemd"
    assert files(folder) == {
        ".gitignore", "README.md", "clean.py", "export.json", "nbflow-threads.service",
        "nbflow-threads.timer", "parameters.schema.json", "requirements.txt", "secrets.txt",
        "threads.csv", "threads.ipynb", "words/__init__.py", "words/lists.py", "words/more.py", "words/prompt.txt",
    }  # fmt: skip
    assert (folder / "secrets.txt").read_text() == "MODEL_KEY\nWORDS_KEY\n"
    assert (
        "sk-very-secret"
        not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
        + said
    )
    assert re.search(
        r"^pandas==\d", (folder / "requirements.txt").read_text(), re.MULTILINE
    )
    assert re.search(
        r"^nbflow==\d", (folder / "requirements.txt").read_text(), re.MULTILINE
    )
    schema = json.loads((folder / "parameters.schema.json").read_text())
    assert schema["properties"] == {
        "day": {"type": "string", "description": "the day to load", "default": "x"},
        "limit": {"type": "integer", "default": 10},
    }
    assert "At 06:00 on Monday through Friday, Europe/Berlin; next " in said
    assert f"{place / '.nbflow'}, shared with the notebook" in said
    assert "done.db stays where it is: the job makes its own" in said


def test_the_notebook_of_an_export_has_no_outputs(place, export):
    document = nbformat.read(place / "threads.ipynb", 4)
    document.cells[-1].outputs = [
        nbformat.v4.new_output("stream", text="names of customers")
    ]
    document.cells[-1].execution_count = 7
    document.metadata["papermill"] = {"parameters": {"day": "names of customers"}}
    nbformat.write(document, place / "threads.ipynb")
    export(place / "threads.ipynb", *CRON)
    assert (
        "customers" not in (place / "exports/threads-systemd/threads.ipynb").read_text()
    )
    assert "customers" in (place / "threads.ipynb").read_text()


def test_a_job_on_another_machine_says_that_the_store_is_not_shared(place, export):
    code, said = export(place / "threads.ipynb", "--to", "docker")
    assert code == 0
    assert "not that of the notebook, which is on another machine" in said
    readme = (place / "exports/threads-docker/README.md").read_text()
    assert "the first run executes everything" in readme
    assert (
        "NBFLOW_STORE_KEY" in (place / "exports/threads-docker/secrets.txt").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "systmd", "--schedule", "0 6 * * *"], "did you mean systemd?"),
        (["--schedule", "0 6 * * *"], "Say which scheduler it is for"),
        (["--to", "systemd"], "needs to know when"),
        (["--to", "systemd", "--schedule", "0 6 1 * 1"], "days that are both"),
        (
            ["--to", "systemd", "--schedule", "0 6 * * *", "--timezone", "Mars"],
            "not a time zone",
        ),
        ([*CRON, "-p", "dya=x"], "did you mean 'day'"),
        ([*CRON, "-p", "limit=many"], "not a value of type int"),
        ([*CRON, "-p", "day=sk-abcdefghijklmnopqrstuvwx"], "looks like a secret"),
        ([*CRON, "-p", "day=\udcff"], "not text that a file or a command can hold"),
        ([*CRON, "--name", "  "], "--name is empty"),
        ([*CRON, "--name", "a\udcff"], "not text that a file or a command can hold"),
    ],
)
def test_what_stands_against_an_export_is_said_before_anything_is_written(
    arguments, said, place, export
):
    code, printed = export(place / "threads.ipynb", *arguments)
    assert (code, said in printed) == (2, True), printed
    assert not (place / "exports").exists()


def test_a_required_parameter_has_to_be_given(place, export):
    write(place / "strict.ipynb", ("day: str", "parameters"), "print(day)")
    code, said = export(place / "strict.ipynb", *CRON)
    assert (code, "The notebook needs day: give -p day=..." in said) == (2, True)
    assert export(place / "strict.ipynb", *CRON, "-p", "day=x")[0] == 0


def test_errors_of_check_stop_an_export_and_force_says_that_it_overrides_them(
    place, export
):
    write(place / "bad.ipynb", "input('name?')")
    code, said = export(place / "bad.ipynb", *CRON)
    assert code == 2
    assert "cell 1: `input()` waits for somebody" in said
    assert "--force" in said
    code, said = export(place / "bad.ipynb", *CRON, "--force")
    assert code == 0
    assert re.search(
        r"forced +nbflow check: cell 1: `input\(\)` waits for somebody", said
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("clean.py", "API_KEY = 'sk-0123456789abcdef0123'"),
        ("words/lists.py", "connect(password='hunter2')"),
        ("pyproject.toml", "url = 'https://ann:hunter2@example.org/simple'"),
    ],
)
def test_a_secret_in_what_comes_along_stops_an_export(file, text, place, export):
    (place / file).write_text(
        f"{text}\ndef clean(text): ...\n" if file.endswith(".py") else text
    )
    code, said = export(place / "threads.ipynb", *CRON)
    assert (code, f"{file}, line 1: a secret in the source" in said) == (2, True), said
    assert (place / "exports").exists() is False
    assert (
        f"nbflow check: {file}, line 1: a secret"
        in export(place / "threads.ipynb", *CRON, "--force")[1]
    )


def test_two_notebooks_never_share_a_folder(place, export):
    """Their names may differ in what no platform takes."""
    write(place / "Threads!.ipynb", "print(1)")
    assert export(place / "threads.ipynb", *CRON)[0] == 0
    code, said = export(place / "Threads!.ipynb", *CRON)
    assert (code, f"is the export of {place / 'threads.ipynb'}" in said) == (2, True)
    assert (place / "exports/threads-systemd/threads.ipynb").exists()
    (place / "threads.ipynb").unlink()  # it was renamed
    assert export(place / "Threads!.ipynb", *CRON)[0] == 0
    for name in ("Отчёт 1", "План 1"):
        assert export(write(place / f"{name}.ipynb", "print(1)"), *CRON)[0] == 0


def test_what_is_to_be_typed_is_printed_as_it_is(place, export):
    said = export(place / "threads.ipynb", "--to", "python", "-p", "day=`x` $y")[1]
    assert "-p 'day=`x` $y'``" in said
    assert re.search(
        r"^test +\./run\.sh; echo exit code \$\?$",
        export(place / "threads.ipynb", "--to", "cron", "--schedule", "0 6 * * *")[1],
        re.MULTILINE,
    )


def test_warnings_of_check_are_counted(place, export):
    write(place / "meh.ipynb", "open('/srv/data.csv')\n!ls")
    assert (
        f"nbflow check has 2 warnings: nbflow check {place / 'meh.ipynb'}"
        in export(place / "meh.ipynb", *CRON)[1]
    )
    assert "nbflow check has" not in export(place / "threads.ipynb", *CRON)[1]


def test_the_name_of_a_job_may_be_any_text(place, export):
    code, _ = export(
        place / "threads.ipynb",
        *CRON,
        "--name",
        "größe/../../etc: $(touch pwned) 50%\n'",
    )
    assert code == 0
    (folder,) = (place / "exports").iterdir()
    assert folder.name == "groe-etc-touch-pwned-50-systemd"
    assert export(place / "threads.ipynb", *CRON, "--name", "北京")[0] == 0
    assert {
        path.name.startswith(("groe", "job-")) for path in (place / "exports").iterdir()
    } == {True}


# Again.


def test_exported_again_nothing_changes(place, export):
    export(place / "threads.ipynb", *CRON)
    folder = place / "exports/threads-systemd"
    before = {
        name: (folder / name).stat().st_ino for name in files(folder) - {"export.json"}
    }
    code, said = export(place / "threads.ipynb", *CRON)
    assert code == 0
    assert "14 files as before" in said
    assert {
        name: (folder / name).stat().st_ino for name in files(folder) - {"export.json"}
    } == before


def test_exported_again_the_difference_is_shown_cell_by_cell(place, export):
    export(place / "threads.ipynb", *CRON)
    write(
        place / "threads.ipynb",
        ("day = 'x'", "parameters"),
        "import nbflow as nf\nprint('new')",
    )
    code, said = export(
        place / "threads.ipynb",
        "--to",
        "systemd",
        "--schedule",
        "30 7 * * *",
        "--timezone",
        "Europe/Berlin",
    )
    assert code == 0
    assert "+print('new')" in said
    assert "-OnCalendar=Mon..Fri *-*-* 06:00:00 Europe/Berlin" in said
    assert "+OnCalendar=*-*-* 07:30:00 Europe/Berlin" in said
    assert re.search(r"removed +clean\.py", said)
    assert not (place / "exports/threads-systemd/clean.py").exists()


def test_what_a_person_changed_by_hand_stays_and_the_new_one_is_written_beside_it(
    place, export
):
    export(place / "threads.ipynb", *CRON)
    folder = place / "exports/threads-systemd"
    timer = folder / "nbflow-threads.timer"
    timer.write_text(timer.read_text() + "# mine\n")
    code, said = export(place / "threads.ipynb", *CRON)
    assert "changed by hand, so it stays" in said
    assert not (folder / "nbflow-threads.timer.new").exists(), "nothing is new for it"
    code, said = export(
        place / "threads.ipynb", "--to", "systemd", "--schedule", "30 7 * * *"
    )
    assert code == 0
    assert "nbflow-threads.timer.new" in said
    assert timer.read_text().endswith("# mine\n")
    assert "07:30" in (folder / "nbflow-threads.timer.new").read_text()


def test_data_that_a_job_has_changed_is_the_jobs(place, export):
    export(place / "threads.ipynb", *CRON)
    data = place / "exports/threads-systemd/threads.csv"
    data.write_text("id\n1\n2\n")
    (place / "threads.csv").write_text("id\n9\n")
    code, _ = export(place / "threads.ipynb", *CRON)
    assert (code, data.read_text()) == (0, "id\n1\n2\n")
    assert not data.with_name("threads.csv.new").exists()


def test_a_dry_run_says_what_would_be_and_writes_nothing(place, export):
    code, said = export(place / "threads.ipynb", *CRON, "--dry-run")
    assert code == 0
    assert re.search(r"new +nbflow-threads\.timer", said)
    assert "Nothing was written" in said
    assert not (place / "exports").exists()


def test_drift_is_asked_for_and_said_with_the_files(place, export):
    assert "There is no export of" in export(place / "threads.ipynb", "--drift")[1]
    code, said = export(place / "treads.ipynb", "--drift")
    assert (code, f"did you mean {place / 'threads.ipynb'}?" in said) == (2, True)
    export(place / "threads.ipynb", *CRON, "-p", "limit=5")
    code, said = export(place / "threads.ipynb", "--drift")
    assert (code, "as the notebook is" in said) == (0, True)
    (place / "words" / "more.py").write_text("MORE = 2\n")
    code, said = export(place / "threads.ipynb", "--drift")
    assert (code, "has drifted from it: words/more.py" in said) == (1, True)


def test_a_folder_that_is_no_export_is_left_alone(place, export):
    code, said = export(place / "threads.ipynb", *CRON, "--output", place)
    assert (code, "is in use and is not an export" in said) == (2, True)
    assert not (place / "README.md").exists()


def test_an_export_that_fails_leaves_nothing_behind(place, export, monkeypatch):
    """The disk is full at the last file."""
    real = report.write

    def full(path, content):
        if path.name == "export.json":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(report, "write", full)
    code, said = export(place / "threads.ipynb", *CRON)
    assert (code, "No space left on device" in said) == (2, True)
    assert list((place / "exports").iterdir()) == []


def test_a_file_of_the_notebook_and_one_of_the_export_cannot_have_one_name(
    place, export
):
    (place / "README.md").write_text("x")
    write(place / "reads.ipynb", "open('README.md').read()")
    code, said = export(place / "reads.ipynb", *CRON)
    assert (code, "README.md belongs to the notebook" in said) == (2, True)


# Packages.


def test_a_lock_of_the_project_goes_before_what_is_installed(place, export):
    (place / "requirements.txt").write_text(
        "pandas==2.2.0\nnbflow==0.1.0\nnbclient==0.10.2\nipykernel==6.31.0\n"
    )
    code, _ = export(place / "threads.ipynb", *CRON)
    assert code == 0
    assert (
        (place / "exports/threads-systemd/requirements.txt")
        .read_text()
        .startswith("pandas==2.2.0\n")
    )


def test_a_lock_that_lacks_what_the_notebook_imports_is_said(place, export):
    (place / "requirements.txt").write_text("polars==1.20.0\npandas-stubs==3\n")
    assert (
        "requirements.txt does not name ipykernel, nbclient, nbflow, pandas, which the job needs."
        in export(place / "threads.ipynb", *CRON)[1]
    )


def test_a_plain_module_needs_no_jupyter(place, export):
    assert export(place / "threads.ipynb", "--to", "python")[0] == 0
    pins = (place / "exports/threads-python/requirements.txt").read_text()
    assert re.search(r"^nbflow==", pins, re.MULTILINE)
    assert not re.search(
        r"^(ipykernel|ipython|nbclient|jupyter.client)==",
        pins,
        re.MULTILINE | re.IGNORECASE,
    )
    assert re.search(
        r"^ipykernel==",
        (
            export(place / "threads.ipynb", *CRON),
            place / "exports/threads-systemd/requirements.txt",
        )[1].read_text(),
        re.MULTILINE,
    )


def test_times_in_several_years_have_them(place):
    made = nf.export(
        place / "threads.ipynb", "systemd", schedule="0 6 29 2 *", dry_run=True
    )
    assert re.search(
        r"next \w+ 29 Feb 2\d{3} 06:00, \w+ 29 Feb 2\d{3} 06:00", str(made)
    )


def test_loose_requirements_are_pinned_to_what_is_installed(place, export):
    (place / "requirements.txt").write_text("pandas>=2\n")
    export(place / "threads.ipynb", *CRON)
    assert re.search(
        r"^pandas==\d",
        (place / "exports/threads-systemd/requirements.txt").read_text(),
        re.MULTILINE,
    )


def test_what_a_project_says_of_itself_comes_along(place, export):
    (place / "environment.yml").write_text("name: x\n")
    export(place / "threads.ipynb", *CRON)
    assert (
        place / "exports/threads-systemd/environment.yml"
    ).read_text() == "name: x\n"


# From Python.


def test_the_function_does_what_the_command_does(place):
    made = nf.export(
        place / "threads.ipynb",
        "systemd",
        schedule="0 6 * * 1-5",
        timezone="Europe/Berlin",
        parameters={"limit": 5, "day": "it's"},
    )
    assert made.is_written
    assert made.folder == place / "exports/threads-systemd"
    assert sorted(made.job.given) == ["day=it's", "limit=5"]
    assert "next" in str(made)
    assert {
        change.kind
        for change in nf.export(
            place / "threads.ipynb",
            "systemd",
            schedule="0 6 * * 1-5",
            timezone="Europe/Berlin",
            parameters={"limit": 5, "day": "it's"},
            dry_run=True,
        ).changes
    } == {"same"}


def test_a_parameter_that_no_text_means_is_refused(place):
    with pytest.raises(nf.UsageError, match="would reach the notebook as"):
        nf.export(
            place / "threads.ipynb",
            "systemd",
            schedule="0 6 * * *",
            parameters={"day": 5},
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": None}, r"to=None has to be a text"),
        ({"to": "cron", "schedule": 6}, r"schedule=6 has to be a text, as in .*0 6"),
        (
            {"to": "cron", "parameters": ["day=5"]},
            r"parameters=\['day=5'\] has to be a dict",
        ),
    ],
)
def test_what_is_of_another_kind_is_refused_by_its_name(place, options, said):
    with pytest.raises(nf.UsageError, match=said):
        nf.export(place / "threads.ipynb", **options)


def test_the_job_calls_the_nbflow_of_this_python(place):
    made = nf.export(place / "threads.ipynb", "systemd", schedule="0 6 * * *")
    assert made.job.command[0] == str(Path(sys.executable).with_name("nbflow"))


def test_limits_reach_every_target(place, export):
    for name in targets():
        code, said = export(
            place / "threads.ipynb",
            "--to",
            name,
            "--schedule",
            "0 6 * * *",
            "--max-failed",
            "5%",
            "--budget",
            "$5",
            "--gate",
            'share(a "b" $c) within 0.1 of last',
            "--gate",
            "model unchanged",
        )
        assert code == 0, said
        texts = "".join(
            path.read_text()
            for path in (place / f"exports/threads-{name}").rglob("*")
            if path.is_file() and path.name not in ("README.md", "export.json")
        )
        assert "--max-failed" in texts, name
        assert "--budget" in texts, name
        assert texts.count("--gate") % 2 == 0, name
        assert "--gate" in texts, name


def test_what_each_run_may_leave_undone_spend_and_take_is_a_part_of_the_job(
    place, export
):
    code, _ = export(
        place / "threads.ipynb",
        *CRON,
        "--max-failed",
        "5%",
        "--budget",
        "$5",
        "--timeout",
        "30m",
        "--gate",
        "flips<=5%",
        "--gate",
        "model unchanged",
    )
    assert code == 0
    service = (place / "exports/threads-systemd/nbflow-threads.service").read_text()
    assert ' --max-failed "5%%" --budget "$$5" --timeout 30m' in service
    assert '--gate "flips<=5%%" --gate "model unchanged"' in service
    assert export(place / "threads.ipynb", "--drift")[0] == 0
    for wrong in (
        ["--max-failed", "few"],
        ["--budget", "much"],
        ["--timeout", "long"],
        ["--gate", "good"],
    ):
        assert export(place / "threads.ipynb", *CRON, *wrong)[0] == 2
    assert (
        "has no cells"
        in export(place / "threads.ipynb", "--to", "python", "--timeout", "30m")[1]
    )
