"""A file is its content: not its name, its place, its time or how often it is looked at."""

import os
import pathlib
import pickle
import shutil

import pandas as pd
import polars as pl
import pytest

import nbflow as nf
from nbflow._key.file import content_digest
from nbflow._key.reader import digest
from nbflow._store.codec import decode, encode
from nbflow.errors import UnkeyableError

LONG = bytes(range(256)) * 10_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.csv").write_text("x\n1\n")
    (tmp_path / "c.csv").write_text("x\n2\n")
    return tmp_path


def test_a_file_counts_by_its_content_alone(folder):
    before = digest(nf.file("a.csv"))
    os.utime("a.csv", (1, 1))
    pathlib.Path("a.csv").chmod(0o600)
    assert (
        digest(nf.file("a.csv"))
        == digest(nf.file("b.csv"))
        == digest(nf.file(folder / "a.csv"))
        == before
    )
    assert before == digest(nf.file(nf.file("a.csv"))) == content_digest("a.csv")
    assert before not in {
        digest(nf.file("c.csv")),
        digest(pathlib.Path("a.csv")),
        digest("a.csv"),
        digest(b"x\n1\n"),
    }


def test_a_change_that_keeps_size_and_time_is_noticed(folder):
    times = pathlib.Path("a.csv").stat()
    before = digest(nf.file("a.csv"))
    pathlib.Path("a.csv").write_text("x\n7\n")
    os.utime("a.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest(nf.file("a.csv")) != before


@pytest.mark.parametrize("place", [0, 1_048_575, 1_048_576, len(LONG) - 1])
def test_every_byte_of_a_long_file_counts(folder, place):
    pathlib.Path("long").write_bytes(LONG)
    before = digest(nf.file("long"))
    pathlib.Path("long").write_bytes(LONG[:place] + b"!" + LONG[place + 1 :])
    assert digest(nf.file("long")) != before
    pathlib.Path("long").write_bytes(LONG)
    assert digest(nf.file("long")) == before


def test_a_folder_is_the_names_and_contents_of_all_files_in_it(folder):
    def made(name, files):
        for inner, text in files.items():
            path = folder / name / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return digest(nf.file(name))

    files = {"a": "1", "in/b": "2", "in/deep/c": "3"}
    one = made("one", files)
    assert made("other", dict(reversed(files.items()))) == one
    (folder / "other" / "empty").mkdir()
    assert digest(nf.file("other")) == one
    differing = [
        {"a": "1"},
        files | {"a": "2"},
        {"a": "1", "in/b": "2", "in/c": "3"},
        {"a": "1", "in_b": "2", "in/deep/c": "3"},
        files | {".d": ""},
    ]
    assert (
        len(
            {
                one,
                *(
                    made(f"folder {number}", inner)
                    for number, inner in enumerate(differing)
                ),
            }
        )
        == 6
    )
    shutil.move("one", "moved")
    assert digest(nf.file("moved")) == one


def test_links_are_what_they_lead_to(folder):
    for name in ("plain", "linked"):
        (folder / name / "in").mkdir(parents=True)
    (folder / "plain" / "in" / "a").write_text("1")
    (folder / "linked" / "in" / "a").symlink_to(folder / "plain" / "in" / "a")
    assert digest(nf.file("plain")) == digest(nf.file("linked"))
    shutil.rmtree("linked/in")
    (folder / "linked" / "in").symlink_to(folder / "plain" / "in")
    assert digest(nf.file("plain")) == digest(nf.file("linked"))
    (folder / "plain" / "in" / "loop").symlink_to(folder / "plain")
    with pytest.raises(UnkeyableError, match="symbolic links"):
        digest(nf.file("plain"))


def test_a_missing_file_is_an_error_that_says_what_where_and_what_to_do(folder):
    with pytest.raises(UnkeyableError) as caught:
        digest({"tables": [nf.file("d.csv")]}, "options")
    message = str(caught.value)
    assert message.startswith('options["tables"][0] is a nbflow.File')
    assert f"No such file or directory: {folder / 'd.csv'}" in message
    assert "Fix the path, or pass a plain Path" in message
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        content_digest("d.csv")


def test_what_reading_would_use_up_is_refused(folder):
    os.mkfifo("pipe")
    for name in ("pipe", "/dev/zero", "."):
        with pytest.raises(UnkeyableError, match="neither a file nor a folder"):
            digest(nf.file(name))


def test_a_file_opens_like_the_path_that_it_is(folder):
    table = nf.file("a.csv")
    assert isinstance(table, pathlib.Path)
    assert (
        pd.read_csv(table).to_dict("list")
        == pl.read_csv(table).to_dict(as_series=False)
        == {"x": [1]}
    )
    with open(table) as opened:  # noqa: PTH123  # what a user writes
        assert opened.read() == table.read_text() == table.read_bytes().decode()
    assert repr(table) == "File('a.csv')"
    assert (os.fspath(table), table.name, table.suffix) == ("a.csv", "a.csv", ".csv")


def test_what_is_derived_from_a_file_is_a_plain_path(folder):
    table = nf.file("a.csv")
    derived = [
        table.path,
        table.parent,
        table / "x",
        table.with_suffix(".x"),
        table.resolve(),
        table.absolute(),
        *nf.file(".").iterdir(),
    ]
    assert {type(path) for path in derived} == {type(pathlib.Path())}
    assert digest(table.path) == digest(pathlib.Path("a.csv"))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x, {"a": (x,)}]])
def test_a_file_is_saved_and_loaded_as_one(folder, wrap):
    value = wrap(nf.file("a.csv"))
    codec, payload = encode(value)
    assert codec == "msgpack"
    for copied in (decode(codec, payload), pickle.loads(pickle.dumps(value))):
        assert copied == value
        assert repr(copied) == repr(value)
        assert digest(copied) == digest(value)


def test_a_step_runs_again_when_the_content_has_changed(folder, nb):
    @nf.step
    def load(table, options=None):
        return pl.read_csv(table).height

    assert load(nf.file("a.csv")) == load(nf.file("b.csv")) == 1
    assert nb.calls == ["load"]
    pathlib.Path("a.csv").write_text("x\n1\n2\n")
    assert load(nf.file("a.csv")) == 2
    assert load(nf.file("b.csv"), {"also": nf.file("a.csv")}) == 1
    assert nb.calls == ["load"] * 3
    with pytest.raises(UnkeyableError, match=r"^table is a nbflow\.File"):
        load(nf.file("d.csv"))


def test_a_step_depends_on_a_file(folder, nb):
    @nf.step(depends_on=nf.file("a.csv"))
    def load(number):
        return pd.read_csv("a.csv")["x"].sum() + number

    assert [load(1), load(1)] == [2, 2]
    pathlib.Path("a.csv").write_text("x\n5\n")
    assert load(1) == 6
    assert nb.calls == ["load"] * 2
