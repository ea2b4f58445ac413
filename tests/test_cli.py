"""The commands that look at a store: what they say where there is none, and that they make none."""

import pytest

from nbflow import cli


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A folder without a store."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.delenv("NBFLOW_STORE")
    monkeypatch.chdir(folder)
    return folder


def test_asking_where_the_store_is_makes_none(nowhere, capsys):
    assert cli.main(["store"]) == 0
    assert f"{nowhere}/.nbflow (not made yet)" in capsys.readouterr().out
    assert not list(nowhere.iterdir())


def test_no_runs_are_said_with_the_place_that_was_looked_at(nowhere, capsys):
    """Whoever stands one folder too high sees it."""
    assert cli.main(["runs"]) == 0
    assert f"No runs yet in {nowhere}/.nbflow." in capsys.readouterr().out
    assert cli.main(["runs", "2026"]) == 2
    said = capsys.readouterr().err
    assert f"There is no run '2026' in {nowhere}/.nbflow." in said
    assert not list(nowhere.iterdir())


def test_the_demo_ends_with_how_to_look_at_it(nowhere, capsys):
    """It allows failures that nobody asked for, and so names no option."""
    assert cli.main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (came_out,) = (line for line in lines if line.startswith("exit 0"))
    assert "within the 100% allowed" in came_out
    assert "--max-failed" not in came_out
    assert lines[-1].endswith("jupyter lab nbflow-demo/support_threads.ipynb")


def test_the_store_is_looked_at_and_pruned_by_commands(tmp_path, capsys):
    import nbflow as nf

    nf.use(tmp_path / "store")

    @nf.step
    def size(text):
        return len(text)

    first, second = (size.map(texts).id for texts in (["a"], ["bc"]))
    capsys.readouterr()

    def said(*words):
        assert cli.main(list(words)) == 0
        return capsys.readouterr().out

    assert "outputs  2, the oldest of 20" in said("store", "info")
    dry = said("store", "prune", "--keep-runs", "1", "--dry-run")
    assert dry.startswith("Would remove 1 run and 1 saved output: about ")
    assert first in dry
    assert "Would remove 1 run" in said("runs", "delete", second, "--dry-run")
    assert "Removed 1 run and 0 saved outputs" in said(
        "runs", "delete", second, "--keep-outputs"
    )
    assert "Removed 1 run" in said(
        "store", "prune", "--older-than", "0s", "--keep-runs", "0", "--max-size", "1GB"
    )
    assert "outputs  0" in said("store", "info")
    assert cli.main(["store", "prune"]) == 2
    assert "Say what may go" in capsys.readouterr().err
    assert cli.main(["runs", "delete"]) == 2


def test_the_latest_runs_are_listed_and_all_if_that_is_asked_for(tmp_path, capsys):
    import nbflow as nf

    nf.use(tmp_path / "store")

    @nf.step
    def size(text):
        return len(text)

    ids = [size.map(["a"]).id for _ in range(4)]
    assert list(nf.runs(last=2)["run"]) == [ids[3], ids[2]]
    assert list(nf.runs()["run"]) == ids[::-1]
    capsys.readouterr()

    def listed(*words):
        assert cli.main(["runs", *words]) == 0
        said = capsys.readouterr().out
        return [one for one in ids if one in said], said.splitlines()[-1]

    latest, told = listed("--last", "3")
    assert latest == ids[1:]
    assert told.startswith("The latest 3 of 4 runs; `nbflow runs --last 0` lists all")
    assert listed()[0] == listed("--last", "0")[0] == listed("--last", "4")[0] == ids
    assert "latest" not in listed("--last", "4")[1]
    assert cli.main(["runs", "--last", "-1"]) == 2
