"""What a step prints or logs is kept with its call, and shown as before."""

import asyncio
import contextlib
import io
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import nbflow as nf
from nbflow._call import output
from nbflow._call.screen import SCREEN
from nbflow._core.entry import Printed
from nbflow._key.secret import KNOWN
from nbflow._session import SESSION
from nbflow._store import checkpoint
from nbflow._store.ledger import FileLedger
from nbflow._store.seal import Seal

LOG = logging.getLogger("tests.printed")
#: A checkpoint as it was written before there was anything of what calls print.
BEFORE = (
    "6b00000099a4776f726bcb3ff8000000000000cb3fd0000000000000c09192a56665746368d928"
    "6162616261626162616261626162616261626162616261626162616261626162616261626162616"
    "2c414636363636363636363636363636363636363636390c0a76d73677061636b81a56c6162656c"
    "a762696c6c696e67"
)


def _held():
    """What stands before the methods of the streams: IPython may have left something."""
    return [
        vars(stream).get(name)
        for stream in (sys.stdout, sys.stderr)
        for name in ("write", "flush")
    ]


@pytest.fixture(autouse=True)
def _streams_as_they_were():
    """Whatever a call did, the streams are what they were."""
    before, held = (sys.stdout, sys.stderr), _held()
    yield
    assert (sys.stdout, sys.stderr) == before
    assert _held() == held
    assert not SCREEN.watchers


class Handler(logging.Handler):
    """Writes to whatever ``sys.stderr`` is."""

    def emit(self, record):
        sys.stderr.write(self.format(record) + "\n")


@pytest.fixture
def log():
    """Handlers as `logging.basicConfig(level="INFO")` sets them up."""
    handler = Handler()
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel("INFO")
    yield
    root.removeHandler(handler)
    root.setLevel(level)


def sent(nb, step, records=1, **options):
    """A run of one flow that only calls the step."""

    @nf.flow(on="e")
    def look(record):
        return step(record["n"])

    batch = [{"n": n} for n in range(records)]
    return nb.send("e", batch, key="n", **options)


def printed(run, record, step, flow="look"):
    return run.inspect(record)[flow][step].printed


def test_what_a_step_prints_and_logs_is_kept_in_order_and_shown_as_before(
    nb, capfd, log
):
    @nf.step
    def work(n):
        print("one", n)
        print("two", file=sys.stderr)
        LOG.info("three %s", n)
        LOG.debug("not at this level")
        logging.getLogger().warning("four")
        sys.stdout.writelines(["five\n", "six\n"])
        return n

    run = sent(nb, work)
    assert printed(run, 0, "work").splitlines() == [
        "one 0",
        "two",
        "INFO tests.printed: three 0",
        "WARNING root: four",
        "five",
        "six",
    ]
    shown = capfd.readouterr()
    assert shown.out == "one 0\nfive\nsix\n"
    assert "two\nthree 0\nfour\n" in shown.err
    (found,) = run.inspect(0)["look"]["work"].printouts
    assert [stream for stream, _ in found.parts] == [
        "stdout",
        "stderr",
        "log",
        "stdout",
    ]


def test_what_is_logged_is_kept_with_its_traceback_whoever_handles_it(nb, caplog):
    """A logger that hands nothing on, arguments that do not fit, and nbflow's own loggers."""
    quiet = logging.getLogger("tests.printed.quiet")
    quiet.propagate = False

    @nf.step
    def work(n):
        quiet.warning("alone")
        try:
            raise KeyError("price")
        except KeyError:
            quiet.exception("no %s", "price")
        logging.getLogger("nbflow.call").warning("ours")
        return n

    lines = printed(sent(nb, work), 0, "work").splitlines()
    assert lines[:2] == [
        "WARNING tests.printed.quiet: alone",
        "ERROR tests.printed.quiet: no price",
    ]
    assert lines[2].startswith("Traceback")
    assert lines[-1] == "KeyError: 'price'"


def test_each_attempt_has_its_own_and_a_failure_shows_it(nb):
    tries = []

    @nf.step(retries=2, ignore="tries")
    def work(n, tries):
        tries.append(n)
        print("try", tries.count(n))
        if n or tries.count(n) < 2:
            raise ConnectionError("no")
        return n

    run = sent(nb, lambda n: work(n, tries), 2)
    good, bad = (run.inspect(n)["look"]["work"] for n in (0, 1))
    assert [one.text for one in good.printouts] == ["try 1\n", "try 2\n"]
    assert [one.attempt for one in bad.printouts] == [1, 2, 3]
    assert bad.printed == "[attempt 1]\ntry 1\n[attempt 2]\ntry 2\n[attempt 3]\ntry 3\n"
    said = repr(run.inspect(1))
    assert "printed by look / work\n[attempt 1]\ntry 1" in said
    assert "try 3" in run.inspect(1)._repr_html_()


def test_a_remembered_call_shows_what_it_printed_when_it_ran_and_says_so(nb, capfd):
    @nf.step
    def work(n):
        print("asked")
        return n

    @nf.flow(on="e")
    def look(record):
        print("looks")
        return work(record["n"])

    records = [{"n": 1, "m": 1}]
    nb.send("e", records, key="n")
    whole = nb.send("e", records, key="n")
    nb.advance(60)
    step = nb.send("e", [{"n": 1, "m": 2}], key="n")
    assert capfd.readouterr().out == "looks\nasked\nlooks\n"
    for run in (whole, step):
        text = printed(run, 1, "work")
        assert text.startswith("[when it ran, ")
        assert text.endswith("; a remembered call does not print again]\nasked\n")
    assert "[when it ran" in whole.inspect(1)["look"].printed
    assert step.inspect(1)["look"].printed == "looks\n"


def test_flows_print_apart_from_their_steps_also_if_they_fail(nb):
    @nf.step
    def work(n):
        print("the step")
        return n

    @nf.flow(on="e")
    def look(record):
        print("before")
        work(record["n"])
        print("after")
        if record["n"]:
            raise nf.NonRetriableError("no")

    run = nb.send("e", [{"n": 0}, {"n": 1}], key="n")
    for n in (0, 1):
        view = run.inspect(n)["look"]
        assert view.printed == "before\nafter\n"
        assert view["work"].printed == "the step\n"


def test_async_steps_that_interleave_keep_their_own(nb, capfd):
    @nf.step
    async def work(n):
        for part in range(3):
            print(n, end=" ")
            await asyncio.sleep(0)
            print(part)
        return n

    @nf.flow(on="e")
    async def look(record):
        return await work(record["n"])

    run = nb.send("e", [{"n": n} for n in range(20)], key="n")
    for n in range(20):
        assert printed(run, n, "work") == f"{n} 0\n{n} 1\n{n} 2\n"
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == sorted(
        f"{n} | {n} {part}" for n in range(20) for part in range(3)
    )


def test_records_that_run_at_once_print_whole_lines_with_their_keys(nb, capfd):
    gate = threading.Barrier(4)

    @nf.step(ignore="gate")
    def work(n, gate):
        gate.wait(30)
        for part in range(50):
            print("part", part, "of", n)
        sys.stderr.write("no end of line")
        return n

    run = sent(nb, lambda n: work(n, gate), 4)
    shown = capfd.readouterr()
    for n in range(4):
        own = [f"part {part} of {n}" for part in range(50)]
        assert printed(run, n, "work").splitlines() == [*own, "no end of line"]
        begin = f"{n} | "
        found = [line for line in shown.out.splitlines() if line.startswith(begin)]
        assert found == [begin + line for line in own]
    assert len(shown.out.splitlines()) == 200
    assert sorted(shown.err.splitlines()) == [f"{n} | no end of line" for n in range(4)]


def test_a_progress_bar_goes_through_and_its_last_state_is_kept(nb, capfd):
    @nf.step
    def work(n):
        for part in range(3):
            sys.stderr.write(f"\r\x1b[32m{part}/2\x1b[0m")
        sys.stderr.write("\n")
        return n

    run = sent(nb, work, 2)
    assert printed(run, 0, "work") == "2/2\n"
    assert "\r\x1b[32m0/2\x1b[0m\r\x1b[32m1/2" in capfd.readouterr().err


def test_a_line_that_is_flushed_is_shown_before_it_ends(nb, capfd):
    seen = []

    @nf.step(ignore="seen")
    def work(n, seen):
        print("name? ", end="", flush=True)
        seen.append(capfd.readouterr().out)
        print("Ada")
        return n

    run = sent(nb, lambda n: work(n, seen), 2)
    assert [text.splitlines()[-1] for text in seen] == ["0 | name? ", "1 | name? "]
    assert capfd.readouterr().out == "Ada\n"
    assert printed(run, 0, "work") == "name? Ada\n"


def test_threads_and_pools_of_a_step_print_for_it(nb):
    @nf.step
    def work(n):
        thread = threading.Thread(target=print, args=("thread", n))
        thread.start()
        thread.join()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda part: print("pool", part), [n]))
        asyncio.run(asyncio.to_thread(print, "task", n))
        return n

    run = sent(nb, work, 3)
    for n in range(3):
        assert printed(run, n, "work") == f"thread {n}\npool {n}\ntask {n}\n"


def test_what_a_call_left_running_prints_is_shown_and_not_kept(nb, capfd):
    go, done = threading.Event(), threading.Event()

    @nf.step(retries=0, timeout=0.05, ignore=["go", "done"])
    def work(n, go, done):
        print("in time")
        go.wait(30)
        print("late")
        done.set()

    run = sent(nb, lambda n: work(n, go, done))
    go.set()
    assert done.wait(30)
    assert printed(run, 0, "work") == "in time\n"
    assert capfd.readouterr().out == "in time\nlate\n"


def test_what_a_step_redirects_is_its_own(nb, capfd):
    @nf.step
    def inner(n):
        print("inner")
        return n

    @nf.step
    def work(n):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            print("mine")
            inner(n)
        print("shown")
        return text.getvalue()

    run = sent(nb, work, 2)
    assert run.results("look") == ["mine\ninner\n"] * 2
    assert printed(run, 0, "work") == "shown\n"
    assert "mine" not in capfd.readouterr().out


def test_a_stream_that_the_user_put_there_gets_what_it_would_get(nb):
    text = io.StringIO()

    @nf.step
    def work(n):
        print("to whoever listens")
        return n

    with contextlib.redirect_stdout(text):
        run = sent(nb, work)
        assert "write" not in vars(text)
    assert text.getvalue() == "to whoever listens\n"
    assert printed(run, 0, "work") == "to whoever listens\n"


def test_a_stream_that_takes_no_attributes_is_left_alone(nb):
    class Odd:
        __slots__ = ("lines",)

        def write(self, text):
            self.lines.append(text)

        def flush(self):
            """As a stream has it."""

    odd = Odd()
    odd.lines = []

    @nf.step
    def work(n):
        print("plain")
        return n

    with contextlib.redirect_stdout(odd):
        run = sent(nb, work)
    assert odd.lines == ["plain", "\n"]
    assert printed(run, 0, "work") == ""


def test_what_others_put_before_ours_stays(nb):
    """As a tool does that shadows `write` while a run is under way."""
    text, theirs = io.StringIO(), []

    @nf.step
    def work(n):
        stream = sys.stdout
        ours = stream.write
        stream.write = lambda said: ours(said.upper())
        print("loud")
        return n

    with contextlib.redirect_stdout(text):
        sent(nb, work)
        theirs.append(text.write)
    assert text.getvalue() == "LOUD\n"
    assert text.write is theirs[0]
    print("still", file=text)
    assert text.getvalue() == "LOUD\nSTILL\n"


def test_what_goes_wrong_in_printing_is_the_steps_as_before(nb):
    @nf.step(retries=0)
    def work(n):
        sys.stdout.write(n)

    run = sent(nb, work)
    assert run.failures()["error"].tolist() == ["TypeError"]


def test_a_call_outside_of_runs_keeps_its_own_with_its_checkpoint(nb, capfd):
    @nf.step
    def work(n):
        print("direct", n)
        return n

    assert work(0) == 0
    assert "write" not in vars(sys.stdout)
    assert capfd.readouterr().out == "direct 0\n"
    run = sent(nb, work)
    assert printed(run, 0, "work").endswith("print again]\ndirect 0\n")


def test_an_attempt_that_was_cut_off_shows_what_it_had_printed(nb):
    begun = threading.Event()

    @nf.step(ignore="begun")
    async def work(n, begun):
        print("begins")
        begun.set()
        await asyncio.sleep(60)

    @nf.flow(on="e")
    async def look(record):
        await work(record["n"], begun)

    run = nb.send("e", [{"n": 0}], key="n", wait=False)
    assert begun.wait(30)
    run.cancel()
    run.wait()
    view = run.inspect(0)["look"]["work"]
    assert (view.state, view.printed) == ("CANCELLED", "begins\n")


def test_a_value_that_cannot_be_saved_leaves_its_prints_in_the_ledger(nb):
    @nf.step
    def work(n):
        print("made")
        return threading.Lock()

    @nf.flow(on="e")
    def look(record):
        work(record["n"])

    with pytest.warns(nf.StoreWarning):
        run = nb.send("e", [{"n": 0}], key="n")
    assert printed(run, 0, "work") == "made\n"


# How much, and what not.


def test_of_much_the_beginning_and_the_end_are_kept_and_what_is_cut_is_said(nb):
    @nf.step
    def work(n):
        for number in range(100_000):
            print("line", number)
        return n

    text = printed(sent(nb, work), 0, "work")
    assert len(text) < 2 * output.HALF + 100
    lines = text.splitlines()
    assert lines[0] == "line 0"
    assert lines[-1] == "line 99999"
    (cut,) = [line for line in lines if line.startswith("...")]
    place = lines.index(cut)
    whole = sum(len(f"line {number}\n") for number in range(100_000))
    kept = 2 * output.HALF
    assert cut == f"... about {whole - kept:,} characters are not kept ..."
    assert all(line.startswith("line ") for line in lines if line != cut)
    assert lines[place - 1] in [f"line {number}" for number in range(1000)]


def test_a_run_keeps_so_much_and_says_what_it_does_not(nb, monkeypatch, capfd):
    monkeypatch.setattr(output.Room.__init__, "__defaults__", (300,))

    @nf.step(retries=0)
    def work(n):
        print("a line of twenty ch")
        if n >= 50:
            raise nf.NonRetriableError("no")
        return n

    run = sent(nb, work, 100)
    kept = [n for n in range(100) if printed(run, n, "work")]
    assert len(kept) == 2 * 15
    assert {n < 50 for n in kept} == {True, False}
    assert len(capfd.readouterr().out.splitlines()) == 100
    remarks = run.reader.state().remarks
    assert [text.partition(" of this run")[0] for text in remarks] == [
        "The calls",
        "The failed attempts",
    ]
    assert "300 characters" in remarks[0]


def test_a_call_that_prints_nothing_adds_nothing_to_the_store(nb):
    plain = checkpoint.dump("work", 1, saved_at=1.0)
    assert checkpoint.dump("work", 1, saved_at=1.0, printed=()) == plain
    old = checkpoint.load(bytes.fromhex(BEFORE))
    assert (old.value, old.built_on, old.printed) == (
        {"label": "billing"},
        [("fetch", "ab" * 20)],
        (),
    )
    same = {"built_on": old.built_on, "code": old.code, "seconds": old.seconds}
    written = checkpoint.dump(old.name, old.value, saved_at=old.saved_at, **same)
    assert written.hex() == BEFORE
    loud = checkpoint.dump("work", 1, saved_at=1.0, printed=(("stdout", "x\n"),))
    assert checkpoint.load(loud).printed == (("stdout", "x\n"),)
    assert checkpoint.load(loud).value == checkpoint.load(plain).value == 1
    assert checkpoint.load(plain).printed == ()

    @nf.step
    def work(n):
        return n

    run = sent(nb, work, 3)
    entries, _ = nb.engine.ledger.read(run.id)
    assert not [entry for entry in entries if isinstance(entry, Printed)]


def test_where_no_records_are_kept_nothing_that_quotes_them_is(nb):
    @nf.step(retries=0)
    def work(n):
        print("record", n)
        if n:
            raise nf.NonRetriableError("no")
        return n

    run = sent(nb, work, 2, keep_records=False)
    assert [printed(run, n, "work") for n in (0, 1)] == ["", ""]
    assert not run.reader.state().remarks


def test_secrets_are_masked_before_anything_is_kept(tmp_path, monkeypatch, capfd):
    """One that is known, in one piece or several, at a cut too; and what has the form of one."""
    value = "k3y-9f8e7d6c5b4a"
    monkeypatch.setenv("MY_KEY", value)
    nf.use(tmp_path / "store")

    @nf.step(retries=0)
    def work(n):
        key = nf.secret("MY_KEY")
        print("key", key)
        sys.stdout.write(key[:5])
        sys.stdout.write(key[5:] + "\n")
        logging.getLogger("tests.printed").warning("Bearer %s", key)
        print("sk-proj-abcdefghijklmnop1234567890")
        print(key * 3_000)
        if n:
            raise nf.NonRetriableError(f"no {key}")
        return n

    monkeypatch.setattr(SESSION, "shows", False)
    run = sent(nf, work, 2)
    for n in (0, 1):
        lines = printed(run, n, "work").splitlines()
        assert lines[:3] == [
            "key ***MY_KEY***",
            "***MY_KEY***",
            "WARNING tests.printed: Bearer ***MY_KEY***",
        ]
        assert lines[3] == "***"
        assert "k3y" not in "".join(lines)
        assert "5b4a" not in "".join(lines)
    written = b"".join(
        path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()
    )
    assert KNOWN.holder(written) is None


def test_a_ledger_of_files_gives_back_what_was_printed(tmp_path):
    entry = Printed(3, 0, "work", 2, (("stdout", "a\n"), ("log", "INFO b: c\n")))
    FileLedger(tmp_path / "runs", Seal(bytes(32))).append("1", [entry])
    reader = FileLedger(tmp_path / "runs", Seal(bytes(32)))
    assert reader.read("1")[0] == [entry]
    assert reader.about("1", 3) == [entry]


def test_halves_of_characters_are_kept_as_marks(nb, tmp_path):
    """A name of a file that is no UTF-8, printed, logged and raised: no record is lost by it."""
    name = "caf\udce9.txt"

    @nf.step(retries=1)
    def read(number):
        logging.getLogger("reader").warning("%s", name)
        if number == 1:
            raise ValueError(name)
        return {"file": name}

    @nf.flow(on="file")
    def load(record):
        return read(record["n"])

    nf.use(tmp_path / "store")
    run = nf.send(
        "file", [{"id": str(n), "n": n, "name": name} for n in range(3)], key="id"
    )
    assert run.counts == {"load": {"COMPLETED": 2, "FAILED": 1}}
    assert "caf" in run["0"]["load"]["read"].printed
    assert "caf" in str(run.failures())
    run.to_html().encode()


def test_what_a_mapped_step_prints_is_shown_once(nb):
    @nf.step
    def say(number):
        print("hello", number)
        return number

    assert str(say.map([1]).inspect(0)).count("hello 1") == 1
