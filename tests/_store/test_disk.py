"""DiskStore: damage is noticed and survived, refusals are named, and the folder is its user's alone."""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path

import diskcache
import pytest

from nbflow._store.disk.disk_store import DiskStore
from nbflow._store.disk.diskcache_table import BytesDisk
from nbflow._store.disk.guard import Guard
from nbflow._store.seal import HEAD, Seal
from nbflow.errors import StoreError, StoreWarning

ROOT = Path(__file__).parents[2]
SECRET = bytes(32)


def ours(caught):
    """The store's warnings: Python 3.13 adds its own, for connections that a killed test left open."""
    return [warning for warning in caught if issubclass(warning.category, StoreWarning)]


def key(name):
    return hashlib.sha1(str(name).encode()).hexdigest()


SMALL = {key(i): hashlib.shake_128(key(i).encode()).digest(20 + i) for i in range(200)}
LARGE = {
    key(("large", i)): hashlib.shake_128(bytes([i])).digest(5000 + i) for i in range(5)
}
ALL = SMALL | LARGE


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".nbflow"


@pytest.fixture
def store(path):
    store = open_(path)
    yield store
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.close()


def open_(path, **kwargs):
    return DiskStore(path, secret=SECRET, **({"timeout": 5} | kwargs))


def fill(store, entries=ALL):
    for name, data in entries.items():
        store.put(name, data)


def run(code, *args, expect=0):
    """Run ``code`` in a process of its own, with ``store`` open on the first of ``args``."""
    head = (
        "import sys, hashlib, os, signal, resource, nbflow._store.disk.shelf; from"
        " nbflow._store.disk.disk_store import DiskStore\n"
        "from nbflow.errors import StoreError\n"
        "key = lambda name: hashlib.sha1(str(name).encode()).hexdigest()\n"
        "store = DiskStore(sys.argv[1], secret=bytes(32), timeout=5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, args)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == expect, done.stderr
    return done.stdout.strip()


def die_with(path, tidy=False):
    """Leave the store as a killed process leaves it: everything put, nothing closed."""
    code = (
        "for i in range(200): store.put(key(i), hashlib.shake_128(key(i).encode()).digest(20 + i))\n"
        "for i in range(5): store.put(key(('large', i)), hashlib.shake_128(bytes([i])).digest(5000 + i))\n"
        f"if {tidy}: store.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    run(code, path, expect=-signal.SIGKILL)


def flip(file, place, mask=0x10):
    with file.open("r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ mask]))


def entry_in(file, name):
    """Where the sealed entry of ``name`` lies in ``file``."""
    return next(
        entry for entry in Seal(SECRET).walk(file.read_bytes()) if entry.key == name
    )


def home(path):
    return path / Seal(SECRET).fingerprint


def database(path):
    return home(path) / "shelf" / "cache.db"


def value_file(path, name):
    with sqlite3.connect(database(path)) as con:
        ((filename,),) = con.execute(
            "SELECT filename FROM Cache WHERE key = ?", (name,)
        )
    return home(path) / "shelf" / filename


def seen(store):
    """What a store gives for every key, one by one and at once; they must agree, and never be wrong."""
    single = {name: data for name in ALL if (data := store.get(name)) is not None}
    assert all(ALL[name] == data for name, data in single.items())
    assert store.get_many(list(ALL)) == single
    return single


# --- damage

PARTS = {
    "magic": 1,
    "length": 5,
    "stamp": 14,
    "key": 30,
    "data": HEAD.size + 3,
    "MAC": -4,
}


@pytest.mark.parametrize("place", PARTS.values(), ids=PARTS)
def test_a_flip_in_the_journal_costs_one_entry(store, path, place):
    """The process that wrote it notices at the next read, others when they follow."""
    fill(store, SMALL)
    (log,) = (home(path) / "journal").glob("*.log")
    victim = key(100)
    entry = entry_in(log, victim)
    flip(log, entry.start + place if place > 0 else entry.end + place)
    with pytest.warns(StoreWarning, match="does not verify") as caught:
        assert seen(store) == {
            name: data for name, data in SMALL.items() if name != victim
        }
    assert len(ours(caught)) == 1
    with pytest.warns(StoreWarning, match=r"part of this log is damaged") as caught:
        assert len(open_(path).get_many(list(SMALL))) == 199
    assert len(ours(caught)) == 1
    store.put(victim, SMALL[victim])
    assert store.get(victim) == SMALL[victim]


@pytest.mark.parametrize("place", PARTS.values(), ids=PARTS)
def test_a_flip_in_the_journal_of_a_dead_process_costs_one_entry(path, place):
    """It is noticed when the journal is taken over; what lies behind the damage is not lost."""
    die_with(path)
    (log,) = (home(path) / "journal").glob("*.log")
    entry = entry_in(log, key(100))
    flip(log, entry.start + place if place > 0 else entry.end + place)
    store = open_(path)
    with pytest.warns(StoreWarning, match="damaged") as caught:
        assert len(seen(store)) == len(ALL) - 1
    assert len(ours(caught)) == 1
    assert list((home(path) / "journal").iterdir()) == []


def test_a_write_cut_short_by_kill_is_dropped_silently(path):
    """The unfinished last entry was never acknowledged; every length of it is no reason to warn."""
    die_with(path)
    (log,) = (home(path) / "journal").glob("*.log")
    whole = log.read_bytes()
    shutil.copytree(path, path.with_name("copy"))
    last = entry_in(log, key(199))
    for cut in (1, 3, 4, 39, 40, 60, last.end - last.start - 1):
        shutil.rmtree(path)
        shutil.copytree(path.with_name("copy"), path)
        log.write_bytes(whole[: last.start + cut])
        assert len(seen(open_(path))) == len(ALL) - 1


def test_a_flip_in_a_row_costs_one_entry(store, path):
    """The others stay, and the result computed again takes its place."""
    fill(store)
    store.close()
    victim = key(100)
    flip(database(path), entry_in(database(path), victim).start + HEAD.size)
    with pytest.warns(StoreWarning, match="does not verify") as caught:
        assert len(seen(store)) == len(ALL) - 1
    assert len(ours(caught)) == 1
    store.put(victim, SMALL[victim])
    store.flush()
    assert seen(store) == ALL


@pytest.mark.parametrize(
    "how",
    [
        "flipped",
        "cut",
        "emptied",
        "deleted",
        "swapped",
        "lengthened",
        "a folder",
        "a link",
    ],
)
def test_a_damaged_value_file_costs_one_entry(store, path, how):
    """The others stay, and the result computed again takes its place."""
    fill(store)
    store.flush()
    victim, other = list(LARGE)[:2]
    file = value_file(path, victim)
    if how == "flipped":
        flip(file, 2000)
    elif how in ("cut", "emptied"):
        os.truncate(file, 1000 if how == "cut" else 0)
    elif how == "swapped":
        shutil.copy(value_file(path, other), file)
    elif how == "lengthened":
        file.write_bytes(file.read_bytes() + b"\x00")
    else:
        file.unlink()
        if how == "a folder":
            file.mkdir()
        if how == "a link":
            file.symlink_to(value_file(path, other))
    with pytest.warns(StoreWarning, match="does not verify") as caught:
        assert seen(store) == {
            name: data for name, data in ALL.items() if name != victim
        }
    assert len(ours(caught)) == 1
    store.put(victim, ALL[victim])
    assert seen(store) == ALL


DAMAGE = {
    "first page overwritten": lambda file: file.write_bytes(
        os.urandom(4096) + file.read_bytes()[4096:]
    ),
    "cut in half": lambda file: os.truncate(file, file.stat().st_size // 8192 * 4096),
    "cut to nothing": lambda file: os.truncate(file, 0),
    "deleted": lambda file: file.unlink(),
    "overwritten": lambda file: file.write_bytes(os.urandom(20_000)),
}


@pytest.mark.parametrize("again", [False, True], ids=["while open", "while closed"])
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_database_is_salvaged(store, path, how, again):
    """One warning, the damaged one set aside, what is intact in a fresh one: value files and rows on whole pages."""
    fill(store)
    store.close()
    if not again:
        assert store.get(key(0)) == SMALL[key(0)]
    DAMAGE[how](database(path))
    for log in database(path).parent.glob("cache.db-*"):
        log.unlink()
    store.close()
    with pytest.warns(StoreWarning, match="was damaged") as caught:
        left = seen(store)
    assert len(ours(caught)) == 1
    assert left.items() >= LARGE.items()
    assert len(left) >= {"first page overwritten": 180, "cut in half": 60}.get(how, 5)
    kept = sorted(file.name for file in database(path).parent.glob("cache.db.*"))
    assert kept == (
        [] if how in ("deleted", "cut to nothing") else ["cache.db.damaged-1"]
    )
    fill(store)
    store.close()
    assert seen(store) == ALL
    assert not (home(path) / "shelf" / "salvage").exists()


def test_no_flip_in_the_database_gives_a_wrong_value(store, path):
    """Bytes of every page, flipped one at a time: never an error, never another value, and puts go on."""
    fill(store)
    store.close()
    whole = database(path).read_bytes()
    rng = random.Random(7)
    places = [page + rng.randrange(4096) for page in range(0, len(whole), 4096)] + list(
        range(0, 110, 3)
    )
    for place in places:
        shutil.rmtree(home(path) / "shelf")
        store = open_(path)
        fill(store, LARGE)
        store.close()
        database(path).write_bytes(whole)
        flip(database(path), place, 1 << rng.randrange(8))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            left = seen(store)
            assert len(left) >= len(SMALL) - 60, place
            store.put(key("new"), b"new")
            store.flush()
            assert store.get(key("new")) == b"new"
            store.close()


@pytest.mark.parametrize("part", ["head", "first frame", "middle", "last frame's page"])
def test_a_damaged_write_ahead_log_is_noticed(path, part):
    """SQLite drops what follows the damage without a word; the entries in it are found all the same."""
    die_with(path, tidy=True)
    wal = database(path).with_name("cache.db-wal")
    frames = (wal.stat().st_size - 32) // (4096 + 24)
    assert frames > 10
    flip(
        wal,
        {"head": 9, "first frame": 200, "middle": 32 + frames // 2 * 4120 + 99}.get(
            part, -1
        )
        % wal.stat().st_size,
    )
    with pytest.warns(
        StoreWarning, match="write-ahead log lost transactions"
    ) as caught:
        left = seen(open_(path))
    assert len(ours(caught)) == 1
    assert len(left) >= len(ALL) - 20
    assert left.items() >= LARGE.items()


def test_an_intact_write_ahead_log_is_no_damage(path):
    """A killed process leaves one behind; everything in it is there, silently."""
    die_with(path, tidy=True)
    assert database(path).with_name("cache.db-wal").stat().st_size
    assert seen(open_(path)) == ALL


def test_processes_that_notice_damage_together_salvage_once(store, path):
    """One does it, the others open what it made."""
    fill(store)
    store.close()
    flip(database(path), 0, 0xFF)
    code = "print(len(store.get_many([key(i) for i in range(200)])), flush=True); store.put(key(sys.argv[2]), b'new')"
    head = (
        "import sys, hashlib; from nbflow._store.disk.disk_store import DiskStore\n"
        "key = lambda name: hashlib.sha1(str(name).encode()).hexdigest()\n"
        "store = DiskStore(sys.argv[1], secret=bytes(32)); sys.stdin.readline()\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", head + code, str(path), str(n)],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for n in ("a", "b", "c", "d")
    ]
    for process in children:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in children] == ["200\n"] * 4
    assert len(list(database(path).parent.glob("cache.db.damaged-*"))) == 1
    assert store.get_many([key(n) for n in "abcd"]).keys() == {key(n) for n in "abcd"}


def test_an_interrupted_salvage_is_taken_up(store, path):
    """A process killed after it moved the damaged database aside: the next one finds what is in there."""
    fill(store)
    store.close()
    aside = home(path) / "shelf" / "salvage"
    aside.mkdir()
    database(path).rename(aside / "0")
    (aside / "fresh").mkdir()
    with pytest.warns(StoreWarning, match="was damaged"):
        assert seen(store) == ALL
    assert not aside.exists()


# --- forgery


def test_an_entry_under_another_key_is_not_served(store, path):
    """Rows swapped in the database verify under neither key."""
    fill(store)
    store.close()
    with sqlite3.connect(database(path)) as con:
        con.execute("UPDATE Cache SET key = 'x' WHERE key = ?", (key(1),))
        con.execute("UPDATE Cache SET key = ? WHERE key = ?", (key(1), key(2)))
    with pytest.warns(StoreWarning, match="does not verify"):
        assert store.get(key(1)) is None
    assert key(1) not in store.get_many(list(ALL))


def test_a_file_name_in_a_row_reaches_nothing_outside(store, path, tmp_path):
    """A forged row can make us neither read nor remove a file of another name."""
    fill(store)
    store.close()
    victim = next(iter(LARGE))
    outside = tmp_path / "mine.txt"
    outside.write_text("mine")
    with sqlite3.connect(database(path)) as con:
        con.execute(
            "UPDATE Cache SET filename = '../../mine.txt' WHERE key = ?", (victim,)
        )
    with pytest.warns(StoreWarning, match="does not verify"):
        assert store.get(victim) is None
    store.put(victim, b"new")
    store.flush()
    assert store.get(victim) == b"new"
    store.delete([victim])
    assert outside.read_text() == "mine"


def test_a_pickle_in_the_table_is_never_loaded(store, path, tmp_path):
    """Neither by the store nor by diskcache with our Disk (CVE-2025-69872)."""

    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    fill(store, {key(1): b"1"})
    store.close()
    with diskcache.Cache(str(home(path) / "shelf"), disk=diskcache.Disk) as cache:
        cache.delete(key(1))
        cache.set(key(1), Bomb())
        cache.set(("a", "tuple"), b"bytes")
    with pytest.warns(StoreWarning, match="does not verify"):
        assert store.get(key(1)) is None
    with diskcache.Cache(str(home(path) / "shelf"), disk=BytesDisk) as cache:
        for refused in (lambda: cache.get(key(1)), lambda: list(cache)):
            with pytest.raises(StoreError, match="nbflow did not write it"):
                refused()
        with pytest.raises(TypeError):
            cache.set("key", 1)
        with pytest.raises(TypeError):
            cache.set(1, b"bytes")
    assert not (tmp_path / "ran").exists()


def test_the_folder_is_one_that_diskcache_reads(store, path):
    """Keys are text and values the sealed entries: the format is nobody's secret."""
    fill(store)
    store.close()
    with diskcache.Cache(str(home(path) / "shelf"), disk=BytesDisk) as cache:
        assert Seal(SECRET).unseal(key(5), cache[key(5)]) == SMALL[key(5)]
        assert {name: Seal(SECRET).unseal(name, cache[name]) for name in LARGE} == LARGE
        assert set(cache) == set(ALL)
        assert cache.check() == []


def test_who_only_reads_makes_no_folder(path):
    """To plan, to explain and to ask where the store is are no reasons to make one."""
    store = open_(path)
    assert store.get(key(1)) is None
    assert store.get_many([key(1)]) == {}
    assert store.delete([key(1)]) == 0
    assert list(store.keys()) == []
    assert not path.exists()
    store.put(key(1), b"1")
    assert store.get(key(1)) == b"1"


def test_each_secret_has_a_store_of_its_own(store, path):
    """One warning says why nothing is found; neither reads, replaces nor tidies away what is the other's."""
    die_with(path)
    stranger = DiskStore(path, secret=b"\x01" * 32)
    with pytest.warns(StoreWarning, match="another key") as caught:
        assert stranger.get_many(list(ALL)) == {}
    assert len(ours(caught)) == 1
    assert stranger.get(key(1)) is None
    fill(stranger, dict.fromkeys(ALL, b"theirs"))
    stranger.close()
    assert seen(store) == ALL
    store.close()
    assert stranger.get(key(1)) == b"theirs"


# --- refusals


def hold(path):
    con = sqlite3.connect(database(path), isolation_level=None)
    con.execute("BEGIN IMMEDIATE")
    return con


@pytest.mark.parametrize("opened", [True, False])
def test_a_locked_database_holds_up_no_small_put(path, opened):
    """What needs the database says who is in the way; the rest goes on, and nothing is lost."""
    fill(open_(path))
    store = open_(path)
    store.flush()
    if not opened:
        store.close()
    store._timeout = 0.05
    store.close()
    con = hold(path)
    fill(store, {key(("more", i)): b"x" for i in range(2500)})
    for refused in (
        lambda: store.put(key("big"), b"x" * 9999),
        store.flush,
        store.close,
    ):
        with pytest.raises(StoreError, match="Another process holds it"):
            refused()
    assert store.get(key(("more", 2499))) == b"x"
    con.execute("ROLLBACK")
    con.close()
    store.put(key("big"), b"x" * 9999)
    store.close()
    assert len(list(store.keys())) == 2500 + 1 + len(ALL)
    assert len(list((home(path) / "shelf").glob("??/??/*.val"))) == 6


def test_a_store_in_use_is_opened_without_waiting(path):
    """By processes that are busy, or stopped in the midst of it; only what needs the database waits."""
    die_with(path, tidy=True)
    run("store.put(key('dead'), b'x'); os._exit(0)", path)
    con = hold(path)
    with Guard(home(path) / "guard", timeout=0).shared():
        store = open_(path, timeout=0)
        assert seen(store) == ALL
        assert store.get(key("dead")) == b"x"
        store.put(key("new"), b"x")
        with pytest.raises(StoreError, match="Another process holds it"):
            store.put(key("new"), b"x" * 9999)
    con.execute("ROLLBACK")
    con.close()
    store.close()
    assert len(list(store.keys())) == len(ALL) + 2
    assert list((home(path) / "journal").iterdir()) == []
    store.close()


def test_who_cannot_look_for_damage_on_opening_does_so_later(path):
    die_with(path, tidy=True)
    log = database(path).with_name("cache.db-wal")
    flip(log, 32 + 24 + 100)
    store = open_(path)
    with Guard(home(path) / "guard", timeout=0).shared():
        store.get(key("other"))
    with pytest.warns(StoreWarning, match="write-ahead log"):
        store.flush()
    assert seen(store).keys() >= SMALL.keys()
    store.close()


def test_a_full_disk_is_named_and_survived(path):
    """Everything acknowledged is there; after making room the same store goes on."""
    code = """
    store.put(key("first"), b"x"); store.flush(); store.put(key("second"), b"x")
    kept = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        for i in range(10_000):
            store.put(key(i), b"y" * 999); kept.append(i)
    except StoreError as error:
        assert "full" in str(error), error
    for work in (lambda: store.put(key("big"), b"z" * 200_000), store.flush):
        try:
            work()
        except StoreError as error:
            assert "full" in str(error), error
        else:
            raise AssertionError(work)
    assert 50 < len(kept) < 100, len(kept)
    assert len(store.get_many([key(i) for i in kept])) == len(kept)
    store.put(key("tiny"), b"")     # there is room for this one, right behind what was torn
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.put(key("last"), b"x" * 3000)
    store.put(key("big"), b"z" * 200_000)
    print(*map(key, [*kept, "first", "second", "tiny", "last", "big"]), flush=True)
    if sys.argv[2] == "close": store.close()
    else: os._exit(0)
    """
    for how in ("close", "die"):
        shutil.rmtree(path, ignore_errors=True)
        keys = run(code, path, how).split()
        store = open_(path)
        assert store.get_many(keys).keys() == set(keys)
        refused = key(len(keys) - 5)  # is tried again
        assert set(keys) <= set(store.keys()) <= {*keys, refused}
        assert len(list((home(path) / "shelf").glob("??/??/*.val"))) == 1
        store.close()


@pytest.mark.parametrize("log", [True, False], ids=["with a log", "closed"])
def test_on_a_full_disk_a_new_process_reads_everything_and_goes_on_with_room(path, log):
    """SQLite finds no place for its shared memory there, and its log may hold the latest."""
    if log:
        die_with(path, tidy=True)
        database(path).with_name("cache.db-shm").unlink()
    else:
        with contextlib.closing(open_(path)) as store:
            fill(store)
    out = run(
        """
        limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        everything = [key(i) for i in range(200)] + [key(("large", i)) for i in range(5)]
        limit(100)
        print(len(store.get_many(everything)), len(list(store.keys())))
        print(store.get(key(3)) is not None, store.get(key("new")))
        for data in (b"x" * 999, b"x" * 9999):
            try: store.put(key("new"), data)
            except StoreError: print("refused")
        limit(resource.RLIM_INFINITY)
        store.put(key(3), b"x" * 9999); store.put(key("new"), b"")
        store.flush()
        print(len(store.get(key(3))), store.get(key("new")), len(store.get_many(everything)))
        store.close()
        print(len(store.get(key(3))))
        """,
        path,
    )
    assert out.split() == [
        *("205", "205", "True", "None", "refused", "refused"),
        *("9999", "b''", "205", "9999"),
    ]
    assert len(list(open_(path).keys())) == 206


@pytest.mark.parametrize(
    ("clean", "shared"), [(True, False), (False, True), (False, False)]
)
def test_a_read_only_store_is_read(clean, shared):
    """Every result is seen, nothing is written, and a put says what to do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".nbflow"
        if clean:
            store = open_(path)
            fill(store)
            store.close()
        else:
            die_with(path)
            die_with(path, tidy=True)
            fill(open_(path), {key("fresh"): b"x"})
            if not shared:
                database(path).with_name("cache.db-shm").unlink()
        for file in [Path(folder), path, *path.rglob("*")]:
            if os.geteuid() == 0:
                os.chown(file, 65534, 65534)
            file.chmod(0o500 if file.is_dir() else 0o400)
        before = sorted(
            (str(file), file.stat().st_mtime_ns) for file in path.rglob("*")
        )
        out = run(
            """
            import warnings; warnings.simplefilter("error")
            if os.geteuid() == 0: os.setuid(65534)
            print(len(store.get_many([key(i) for i in range(200)] + [key(("large", i)) for i in range(5)])))
            print(len(list(store.keys())), store.get(key(3)) is not None, store.lock(key(1)))
            for data in (b"x", b"x" * 9999):
                try: store.put(key("new"), data)
                except StoreError as error: print("NBFLOW_STORE" in str(error))
            store.flush(); store.close()
            """,
            path,
        )
        for file in [Path(folder), path, *path.rglob("*")]:
            file.chmod(0o700 if file.is_dir() else 0o600)
        assert before == sorted(
            (str(file), file.stat().st_mtime_ns) for file in path.rglob("*")
        )
    assert out.split() == [
        "205",
        "205" if clean else "206",
        "True",
        "True",
        "True",
        "True",
    ]


# --- the folder


def test_everything_is_its_users_alone(path):
    """Folders 0700 and files 0600, with a umask that would give all to everybody, and no git sees them."""
    code = (
        "os.umask(0)\nfor i in range(5): store.put(key(i), b'x' * 4 ** (3 * i %"
        " 13))\nstore.flush(); store.put(key(9), b'')\nos._exit(0)"
    )
    run(code, path)
    modes = {
        stat.S_IMODE(file.stat().st_mode) for file in path.rglob("*") if file.is_file()
    }
    folders = {
        stat.S_IMODE(file.stat().st_mode)
        for file in [path, *path.rglob("*")]
        if file.is_dir()
    }
    assert (modes, folders) == ({0o600}, {0o700})
    assert (path / ".gitignore").read_text() == "*\n"


def test_a_folder_that_others_can_write_is_refused(path):
    """Whoever can write there could replace what we read; the message has the command that mends it."""
    path.mkdir()
    path.chmod(0o777)
    with pytest.raises(StoreError, match=f"chmod go-w {path}"):
        open_(path).get(key(1))


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can make a folder of another user"
)
def test_a_folder_of_another_user_is_refused():
    """Not for root, who may do everything anyway."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / ".nbflow"
        path.mkdir(mode=0o755)
        out = run(
            "os.setuid(65534)\ntry: store.get(key(1))\nexcept StoreError as error: print(error)",
            path,
        )
        assert "belongs to another user" in out
        os.chown(path, 65534, 65534)
        assert open_(path).get(key(1)) is None


def test_a_file_in_the_place_of_the_folder_is_named(path):
    """A clear refusal, not a traceback of the operating system."""
    path.write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_(path).put(key(1), b"")


def test_a_store_removed_under_us_starts_afresh(store, path):
    """rm -rf .nbflow in a terminal: the next call makes a new one, and it is not poisoned by the old."""
    fill(store)
    store.flush()
    fill(store, {key("pending"): b"x"})
    shutil.rmtree(path)
    assert seen(store) == {}
    fill(store)
    store.close()
    assert seen(store) == ALL
    assert store.lock(key("a"))


def test_a_store_replaced_under_us_is_opened(store, path, tmp_path):
    """Another process removed it and made a new one: its results are seen."""
    fill(store)
    shutil.rmtree(path)
    other = open_(path)
    fill(other, {key("theirs"): b"x"})
    assert store.get(key("theirs")) == b"x"
    assert store.get(key(1)) is None
    other.close()


# --- leftovers and children


def test_what_dead_processes_leave_is_tidied(store, path):
    """Their logs are taken over, value files without a row and unborn logs and databases removed."""
    die_with(path)
    die_with(path)
    (home(path) / "shelf" / "ab" / "cd").mkdir(parents=True)
    (home(path) / "shelf" / "ab" / "cd" / f"{'0' * 28}.val").write_bytes(b"half")
    (home(path) / "fresh-1234").mkdir()
    (home(path) / "journal" / ".new-0123456789abcdef.log").touch()
    assert seen(store) == ALL
    store.close()
    assert list((home(path) / "journal").iterdir()) == []
    assert len(list((home(path) / "shelf").glob("??/??/*.val"))) == len(LARGE)
    assert not list(home(path).glob("fresh-*"))
    assert not (home(path) / "shelf" / "ab" / "cd").exists()


def test_a_living_process_keeps_its_log(store, path):
    """Only the dead are tidied up after."""
    store.put(key("mine"), b"x")
    (log,) = (home(path) / "journal").glob("*.log")
    assert run("store.flush(); print(store.get(key('mine')))", path) == "b'x'"
    assert log.exists()


def test_files_of_replaced_and_deleted_results_go(store, path):
    """Replacing large results by others, by small ones, and deleting them leaves no file."""
    for _ in range(3):
        fill(store)
    fill(store, dict.fromkeys(list(LARGE)[:2], b"small"))
    store.delete(list(LARGE)[2:4])
    store.close()
    assert len(list((home(path) / "shelf").glob("??/??/*.val"))) == 1


def test_many_entries_do_not_pile_up_in_the_journal(store, path):
    """Some thousands at most are indexed in memory; the rest is in the table."""
    for i in range(9000):
        store.put(key(i), b"x")
    assert (
        sum(file.stat().st_size for file in (home(path) / "journal").iterdir())
        < 300_000
    )
    assert len(store._parts[0]) <= 2000
    for i in range(4000):
        store.put(key(i), b"x" * 3000)
    assert (
        sum(file.stat().st_size for file in (home(path) / "journal").iterdir())
        < 4_100_000
    )


def test_a_forked_child_has_a_store_of_its_own(store, path):
    """It sees what its parent put, writes for itself, and hashes large results without the parent's threads."""
    fill(store)
    store.put(key("large"), b"p" * 3_000_000)
    store.flush()
    store.put(key("parent"), b"p")
    assert store.get(key("large")) is not None
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        good = (
            store.get(key("parent")) == b"p"
            and seen(store) == ALL
            and store.get(key("large")) is not None
        )
        store.put(key("child"), b"c")
        store.put(key("child's"), b"c" * 3_000_000)
        os._exit(0 if good else 1)
    store.put(key("parent, too"), b"p")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.get(key("child")) == b"c"
    assert store.get(key("child's")) == b"c" * 3_000_000
    store.close()
    assert store.get(key("parent, too")) == b"p"
    assert seen(store) == ALL


def test_a_forked_child_keeps_no_hold_on_its_parents_log(path):
    """The parent dies, the child lives on: the parent's log is tidied up all the same."""
    store = open_(path)
    leash, holder = os.pipe()
    born, birth = os.pipe()
    parent = os.fork()
    if parent == 0:
        store.put(key("parent"), b"p")
        if os.fork() == 0:
            os.close(holder)
            os.write(birth, b"!")
            os.read(leash, 1)
        os._exit(0)
    os.waitpid(parent, 0)
    os.read(born, 1)
    assert len(list((home(path) / "journal").iterdir())) == 1
    assert store.get(key("parent")) == b"p"
    assert list((home(path) / "journal").iterdir()) == []
    for fd in (leash, holder, born, birth):
        os.close(fd)
    store.close()
