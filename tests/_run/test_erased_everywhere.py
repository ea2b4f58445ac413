"""A text is put through every kind of file that a store has; after its erasure no byte of it is left."""

import html
import re
import warnings
from pathlib import Path

import pytest
from test_kernel import Kernel

import nbflow as nf
from nbflow._run.journals import JOURNALS
from nbflow._session import SESSION

MARK = 'Zoë <O\'Hara> & "Söhne" 4711'
ROOT = Path(nf.__file__).parent
OTHERS = [{"id": f"o-{n}", "text": f"Other {n}", "country": "DE"} for n in range(12)]
PEOPLE = [
    *OTHERS,
    {"id": "m-1", "text": f"{MARK} asks", "country": "DE"},
    {"id": "m-2", "text": f"{MARK} fails", "country": "CH"},
    {"id": "m-3", "text": f"{MARK} large", "country": "CH"},
]


def spelled():
    yield from (MARK, MARK.replace("'", "&#x27;"), "Zo\\u00eb", "Hara&gt;", "Hara>")


def holders(folder):
    needles = [
        one.encode(code)
        for one in spelled()
        for code in ("utf-8", "utf-16-le", "utf-32-le")
    ]
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    }


def definitions(calls):
    @nf.step(retries=0)
    def read(text):
        calls.append(text)
        print("read", text)
        if "fails" in text:
            raise nf.NonRetriableError(f"no answer for {text!r}")
        return {"said": text, "rest": "x" * (9000 if "large" in text else 9)}

    def told(record, error):
        raise RuntimeError(f"cannot tell of {record['text']}")

    @nf.flow(on="mail", on_failure=told)
    def mail(record):
        return {"label": read(record["text"])["said"], "all": record["text"]}

    @nf.step
    def report(run):
        return run

    return report


def review(run):
    """Decisions with the text in what was decided, and a sample whose strata have it."""
    session = nf.review(run, sample=5, choices=[f"{MARK} by hand"])
    for key in session.left:
        session.decide(key, f"{MARK} by hand")
    return session


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "work" / ".nbflow"
    path.parent.mkdir()
    nf.use(path)
    return path


def test_the_list_of_journals_is_whole():
    """Whoever adds one has to say how it is checked and erased."""
    found = {
        name
        for path in ROOT.rglob("*.py")
        for name in re.findall(r'\.beside\("(\w+)"\)', path.read_text())
    }
    assert found | {"batches"} == set(JOURNALS)


def fill(folder, calls):
    """A store with the text in each kind of file."""
    report = definitions(calls)
    run = nf.send("mail", PEOPLE, key="id")
    report(f"{MARK} in a report")
    again = nf.send("mail", PEOPLE, key="id")
    review(again)
    SESSION.engine.ledger.beside("gates").append(again.id, [remark()])
    SESSION.engine.store.flush()
    nf.store.delete_runs(run.id, keep_outputs=True)  # its batch is set aside
    nf.send("mail", PEOPLE[12:13], key="id")
    report(f"{MARK} forgotten")
    report.forget(f"{MARK} forgotten")
    home = folder / SESSION.engine.store._seal.fingerprint
    (home / "shelf" / "cache.db.damaged-1").write_bytes(MARK.encode())
    (home / "shelf" / "ab").mkdir(exist_ok=True)
    orphan = home / "shelf" / "ab" / "cd"
    orphan.mkdir(exist_ok=True)
    (orphan / f"{'0' * 28}.val").write_bytes(MARK.encode())
    (folder / "gone-1").mkdir()
    (folder / "gone-1" / "entries").write_bytes(MARK.encode())
    (folder / "runs" / again.id / "entries.new").write_bytes(MARK.encode())
    report(f"{MARK} in the journal")
    return again


def remark():
    from nbflow._core.entry import Remark

    return Remark(1.0, f"share({MARK})>=0.1: no record has the label {MARK!r}.")


def kinds(found):
    """Files by what they are."""
    names = (
        ("runs/*/records", r"runs/[^/]+/records"),
        ("runs/*/entries", r"runs/[^/]+/entries"),
        ("runs/*/entries.new", r"runs/[^/]+/entries\.new"),
        ("batches", r"batches/.+"),
        ("reviews", r"reviews/.+"),
        ("samples", r"samples/.+"),
        ("gates", r"gates/.+"),
        ("gone", r"gone-.+"),
        ("journal", r"\w+/journal/.+\.log"),
        ("database", r"\w+/shelf/cache\.db(-wal)?"),
        ("damaged", r"\w+/shelf/cache\.db\.damaged-1"),
        ("value file", r"\w+/shelf/..?/../.+\.val"),
    )
    return {
        kind for one in found for kind, pattern in names if re.fullmatch(pattern, one)
    }


def test_no_file_of_any_kind_holds_the_text_afterwards(folder):
    calls = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what on_failure raises is told
        again = fill(folder, calls)
    before = holders(folder)
    assert kinds(before) == {
        "runs/*/records", "runs/*/entries", "runs/*/entries.new", "batches", "reviews",
        "samples", "gates", "gone", "journal", "database", "damaged", "value file",
    }, before  # fmt: skip
    done = nf.store.erase(text=MARK)
    assert (done.left, holders(folder)) == ((), set())
    assert done.decisions == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nf.use(folder)
        assert nf.store.check().is_sound
        calls.clear()
        assert nf.send("mail", OTHERS, key="id").counts == {"mail": {"CACHED": 12}}
        assert calls == []
        (failure,) = nf.open_run(again.id).failures().to_dict("records")
        assert (failure["error"], failure["record"]) == ("NonRetriableError", "***")


CELL = """#| step: show -> people
people = pd.DataFrame({"name": [%r, "Bert"]})
print("shown", %r)
display({"text/html": "<b>%s</b>", "application/json": {"name": %r}}, raw=True)
people"""


def test_what_a_step_cell_showed_goes_as_it_was_written(tmp_path):
    """As text, as HTML of a frame, as JSON."""
    kernel = Kernel(tmp_path)
    try:
        kernel.run("import nbflow as nf, pandas as pd")
        said = kernel.run(CELL % (MARK, MARK, html.escape(MARK), MARK))
        assert "shown" in said
    finally:
        kernel.close()
    store = tmp_path / "store"
    assert holders(store)
    nf.use(store)
    assert nf.store.erase(text=MARK).outputs == 2, "its source says it, too"
    assert holders(store) == set()
    assert nf.store.check().is_sound
