"""Step cells: a cell whose first line is ``%%step NAME -> OUT`` or ``#| step: NAME -> OUT`` is remembered as a whole.

The line becomes a mark, and the tree of the cell is rebuilt around it: the statements stay where they are, with their
lines, and run in the notebook's own namespace, so that tracebacks, the debugger, top-level ``await`` and the cell's
status are those of any cell. Around them stand a loop (attempts) and a ``with`` (look up, take down, save)::

    for __nbflow__ in enter(7):
        with __nbflow__:
            import pandas as pd               # imports, functions and classes run on a hit, too
            if __nbflow__.live:
                df = load()                   # everything else only when the cell really runs
                __nbflow__.show(df.head())    # what IPython would show of the last expression
"""

from __future__ import annotations

import ast
import asyncio
import io
import signal
import sys
import threading
import time
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from nbflow._core.table import duration
from nbflow._key import call as calls
from nbflow._key import cell as cells
from nbflow._key import code as codes
from nbflow._key.code import Part
from nbflow._key.kinds import is_data
from nbflow._key.secret import KNOWN
from nbflow._key.value import digest
from nbflow._run import keys, orders
from nbflow._run.explanation import Explanation, clock, explain, forget_all
from nbflow._run.keys import identity_of
from nbflow._state import checkpoint, codec
from nbflow.errors import CodecError, NbflowWarning, StepTimeoutError, StoreError, UnkeyableError, UsageError
from nbflow.notebook import outputs
from nbflow.notebook.rewrite import NAME, Rebuild, mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from nbflow._run.engine import Engine
    from nbflow._run.keys import Identity
    from nbflow._state.checkpoint import Checkpoint
    from nbflow.notebook.rewrite import Spec

_HISTORY = frozenset(("In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_oh", "_ih", "_dh", "exit", "quit"))
#: Cells whose trees are kept between the compiling and the running.
_KEPT = 64
_POLL = 0.05
#: What a cell must not be remembered for: its flows are found by an event's name, which no key can follow.
_SENDS = frozenset(("send", "runs", "open_run", "plan"))


@dataclass
class CellStep:
    """A step cell as it stands in the notebook, and what became of it in this kernel."""

    spec: Spec
    body: list[ast.stmt]
    state: str = "not run"
    key: str = ""
    saved_at: float = 0.0
    seconds: float = 0.0
    saved: float = 0.0
    size: int = 0
    why: str = ""
    identity: Identity | None = None
    arguments: list[tuple[str, object]] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The name under which the store files it."""
        return f"cell {self.spec.name}"

    @cached_property
    def reach(self) -> cells.Reach:
        """What its statements read and bind."""
        return cells.reach(self.body)

    def identify(self, code: codes.Code) -> Identity:
        """What the cell is: its code, or the version that stands for it."""
        identity, version = identity_of(code, code.steps, methods=True), self.spec.version
        if version is None:
            return identity
        whole = digest(("version", version))
        return replace(identity, digest=whole, parts=(Part(self.spec.name, whole, "version", version),), methods=False)

    @property
    def ttl(self) -> float | None:
        """Seconds that it is good for: not longer than the outputs of the steps that it reaches."""
        steps = self.identity.steps if self.identity is not None else ()
        limits = [step.policy.ttl for step in steps if getattr(step, "policy", None) is not None] + [self.spec.policy.ttl]
        known = [limit for limit in limits if limit is not None]
        return min(known) if known else None


_CELLS: OrderedDict[int, CellStep] = OrderedDict()
_NUMBER = [0]


def keep(spec: Spec, body: list[ast.stmt]) -> int:
    """Keep a step cell until it is run; answers the number under which `enter` finds it."""
    _NUMBER[0] += 1
    _CELLS[_NUMBER[0]] = CellStep(spec, body)
    while len(_CELLS) > _KEPT:
        _CELLS.popitem(last=False)
    return _NUMBER[0]


class Notebook:
    """The step cells of one kernel: its IPython, its engine, and each step cell as it was last run."""

    def __init__(self, shell: Any, engine: Callable[[], Engine]) -> None:
        self.shell = shell
        self.engine = engine
        self.cells: dict[str, CellStep] = {}
        #: Names of cells that are to run once although they are saved.
        self.forced: set[str] = set()

    def explain(self, cell: CellStep) -> Explanation:
        """Why a step cell would run now, or since when it is saved."""
        why = self.read(cell)
        if why is not None or cell.identity is None:
            return Explanation(cell.spec.name, "would run", why or "it has not run in this kernel")
        return explain(self.engine(), cell.subject, cell.identity, cell.arguments, cell.ttl, shown=cell.spec.name)

    def forget(self, cell: CellStep) -> int:
        """Delete all that is saved of a step cell; answers how many results that were."""
        return forget_all(self.engine(), cell.subject)

    def read(self, cell: CellStep) -> str | None:
        """Make the key of a cell as of now; answers why there is none, if there is none."""
        space = self.shell.user_ns
        why = cells.blind(cell.body)
        if why is not None:
            return why
        reads = {chain for chain in cell.reach.reads if chain[0] != "get_ipython"}  # of magics that only set up
        roots = {chain[0] for chain in reads}
        if history := sorted(roots & _HISTORY):
            return f"it reads `{history[0]}`, which is another thing after each cell"
        data = sorted(name for name in roots if name in space and name not in cell.spec.ignore and is_data(space[name]))
        chains = frozenset(chain for chain in reads if chain[0] not in data and chain[0] not in cell.spec.ignore)
        try:
            code = codes.read_cell(codes.Cell(cell.spec.name, cell.body, _source(cell.body), space, chains))
            cell.arguments = [(name, space[name]) for name in data]
            cell.identity = cell.identify(code)
            cell.key = keys.call_key(cell.subject, cell.identity, cell.arguments, None)
        except UnkeyableError as error:
            return str(error).rstrip(".")
        sends = sorted(function.__name__ for function in code.installed if function.__module__ == "nbflow._wiring" and function.__name__ in _SENDS)
        return f"it calls nf.{sends[0]}, which is durable by itself" if sends else None


_NOTEBOOK: list[Notebook] = []


def install(shell: Any, engine: Callable[[], Engine]) -> Notebook:
    """Turn step cells on in an IPython; once is enough, and twice does no harm."""
    for known in _NOTEBOOK:
        if known.shell is shell:
            return known
    notebook = Notebook(shell, engine)
    _NOTEBOOK[:] = [notebook]
    shell.input_transformers_cleanup.append(mark)
    shell.ast_transformers.append(Rebuild(lambda: str(shell.ast_node_interactivity), keep))
    shell.user_ns_hidden[NAME] = None
    outputs.guard(shell)
    return notebook


def enter(number: int) -> Iterator[Attempt]:
    """The attempts at a cell: one, or as many as ``--retries`` allows."""
    notebook, cell = _NOTEBOOK[0], _CELLS[number]
    notebook.cells[cell.spec.name] = cell
    count = 0
    while True:
        count += 1
        attempt = Attempt(notebook, cell, count)
        yield attempt
        if not attempt.failed:
            return


class Attempt:
    """One try of a step cell; see the module's docstring for how a cell is written around it."""

    def __init__(self, notebook: Notebook, cell: CellStep, number: int) -> None:
        self.live = True
        self.failed = False
        self._notebook = notebook
        self._cell = cell
        self._number = number
        self._found: Any = None
        self._late: dict[str, Any] = {}
        self._head: Checkpoint | None = None
        self._given: list[calls.Input] = []
        self._recorder = outputs.Recorder(notebook.shell)
        self._begun = 0.0
        #: The key that is ours alone while the cell runs.
        self._locked: str | None = None
        self._limit: Any = None

    def show(self, value: object) -> None:
        """Show the value of an expression as IPython does."""
        sys.displayhook(value)

    # Around the statements.

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        with self._given_back():
            for pause in self._begin():
                time.sleep(pause)
        self._limit = _alarm(self._cell.spec.policy.timeout) if self.live else None
        if self._limit is not None:
            self._limit.__enter__()
        return self

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        with self._given_back():
            for pause in self._begin():
                await asyncio.sleep(pause)
        if self.live and self._cell.spec.policy.timeout is not None:
            self._limit = asyncio.timeout(self._cell.spec.policy.timeout)
            await self._limit.__aenter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        __tracebackhide__ = True
        if self._limit is not None:
            self._limit.__exit__(kind, error, trace)
        wait = self._end(error)
        if wait is None:
            return False
        time.sleep(wait)
        return True

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        __tracebackhide__ = True
        if self._limit is not None:
            try:
                await self._limit.__aexit__(kind, error, trace)
            except TimeoutError:
                error = _too_late(self._cell.spec.policy.timeout)
        wait = self._end(error)
        if wait is not None:
            await asyncio.sleep(wait)
            return True
        if isinstance(error, StepTimeoutError):
            raise error
        return False

    def _begin(self) -> Iterator[float]:
        """Look the cell up, alone among kernels; yields waits for another one."""
        __tracebackhide__ = True
        cell = self._cell
        self._begun = time.perf_counter()
        why = self._notebook.read(cell)
        if cell.spec.dry:
            self.live = False
            _say(str(self._notebook.explain(cell)) if why is None else f"{cell.spec.name} would run: {why}.")
            return
        if why is None:
            store = self._notebook.engine().store
            while not store.lock(cell.key):
                yield _POLL
            self._locked = cell.key
            if self._is_asked_for() or not self._look_up():
                self._given = calls.inputs_of(cell.arguments)
        else:
            cell.key, cell.why = "", why
        if self._found is not None:
            self.live = False
            space = self._notebook.shell.user_ns
            self._late = self._load(self._found["names"])
            for name in self._found["gone"]:
                space.pop(name, None)
        else:
            cell.state = "running"
            self._recorder.start()

    def _is_asked_for(self) -> bool:
        name = self._cell.spec.name
        return self._cell.spec.force or name in self._notebook.forced or name in orders.forced()

    def _look_up(self) -> bool:
        engine, cell = self._notebook.engine(), self._cell
        assert cell.identity is not None
        if cell.identity.per_run:
            return False
        try:
            head = self._fetch(engine, cell.key)
            if head is None:
                return False
            until = head.fresh_until(cell.ttl)
            if until is not None and until <= engine.clock.time():
                return False
            value: Any = head.value
            if "same_as" in value:  # the cell left its own inputs like this
                cell.key = value["same_as"]
                head = self._fetch(engine, cell.key)
                value = head.value if head is not None else None
        except StoreError as error:
            warnings.warn(f"What step cell {cell.spec.name!r} saved cannot be read, so it runs again: {error}", NbflowWarning, stacklevel=2)
            return False
        self._head, self._found = head, value
        return value is not None

    @staticmethod
    def _fetch(engine: Engine, key: str) -> Checkpoint | None:
        data = engine.store.get(key)
        return checkpoint.load(data) if data is not None else None

    # After the statements.

    def _end(self, error: BaseException | None) -> float | None:
        """Save or replay. Answers how long to wait before the next attempt; ``None``: there is none."""
        __tracebackhide__ = True
        with self._given_back(always=True):
            if error is not None:
                self._recorder.abandon()
                return self._failed(error)
            if self._found is not None:
                self._replay()
            elif self.live:
                self._recorder.stop()
                self._save()
            return None

    @contextmanager
    def _given_back(self, *, always: bool = False) -> Iterator[None]:
        """Leave streams and lock as they were, if what is done here fails, or in any case."""
        try:
            yield
        except BaseException:
            always = True
            raise
        finally:
            if always:
                self._recorder.abandon()
                if self._locked is not None:
                    self._notebook.engine().store.unlock(self._locked)
                    self._locked = None

    def _failed(self, error: BaseException) -> float | None:
        cell, policy = self._cell, self._cell.spec.policy
        cell.state, cell.why = "failed", f"{type(error).__name__}: {error}"
        if not isinstance(error, Exception) or self._number > policy.retries or not policy.retries_on(error):
            return None
        self.failed = True
        wait = policy.delay(self._number, self._notebook.engine().clock.random())
        _say(f"{cell.spec.name}: {type(error).__name__}, next attempt in {duration(wait)}")
        return wait

    def _load(self, names: dict[str, Any]) -> dict[str, Any]:
        """Put saved outputs into the notebook; answers those whose class is not there, and why."""
        left = {}
        for name, (written_as, data) in names.items():
            try:
                self._notebook.shell.user_ns[name] = codec.decode(written_as, data)
            except CodecError as error:
                left[name] = error
        return left

    def _replay(self) -> None:
        __tracebackhide__ = True
        cell, head = self._cell, self._head
        assert head is not None
        for name, error in self._load({name: self._found["names"][name] for name in self._late}).items():
            raise StoreError(f"The output {name!r} of step cell {cell.spec.name!r} cannot be read: {error} Run %step forget {cell.spec.name}, and the cell again.")
        outputs.replay(self._notebook.shell, self._found["shown"])
        cell.state, cell.saved_at, cell.seconds, cell.saved = "cached", head.saved_at, head.seconds, head.seconds
        cell.size = len(head.payload)
        orders.tell_replayed(cell.spec.name)
        _say(f"{cell.spec.name}: cached {clock(head.saved_at)}, saved {duration(head.seconds)}")

    def _save(self) -> None:
        __tracebackhide__ = True
        cell, engine, space = self._cell, self._notebook.engine(), self._notebook.shell.user_ns
        self._notebook.forced.discard(cell.spec.name)
        cell.seconds, cell.state = time.perf_counter() - self._begun, "ran"
        if not cell.key:
            _say(f"{cell.spec.name}: ran, and is not saved: {cell.why}.")
            return
        names, changed = self._outputs(space)
        gone = [name for name in cell.reach.deletes if name not in space]
        cell.saved_at = engine.clock.time()
        identity = cell.identity
        assert identity is not None
        engine.runner.sources.note(cell.subject, identity)
        try:
            # Each for itself: an object of a class that the cell defines is read after that definition has run.
            payload = {"names": {name: _encoded(name, space[name]) for name in names}, "gone": gone, "shown": KNOWN.masked(self._recorder.shown)}
            data = checkpoint.dump(cell.subject, payload, saved_at=cell.saved_at, seconds=cell.seconds, code=identity.digest, inputs=self._given)
            engine.store.put(cell.key, data)
            if changed:
                self._save_again(engine, identity)
        except CodecError as error:
            cell.why = str(error).rstrip(".")
            _say(f"{cell.spec.name}: ran, and is not saved: {cell.why}. Name what is to be kept: %%step {cell.spec.name} -> NAME, or call it _name.")
            return
        except StoreError as error:
            warnings.warn(f"Step cell {cell.spec.name!r} ran, but could not be saved, so it runs again next time. {error}", NbflowWarning, stacklevel=2)
            return
        cell.size, cell.why = len(data), ""
        if changed:
            _say(f"{cell.spec.name}: {', '.join(f'`{name}`' for name in changed)} changed in place and saved with the outputs")
        if not self._recorder.is_whole:
            _say(f"{cell.spec.name}: it shows more than is kept; a hit shows the first 10 MB")

    def _outputs(self, space: dict[str, Any]) -> tuple[list[str], list[str]]:
        """The names to save, and those among them that are inputs which were changed in place."""
        __tracebackhide__ = True
        cell = self._cell
        before = {given.name: given.digest for given in self._given}
        changed = [name for name, value in cell.arguments if space.get(name) is value and self._differs(value, before[name])]
        if cell.spec.outputs is not None:
            missing = [name for name in cell.spec.outputs if name not in space]
            if missing:
                cell.state = "failed"
                raise UsageError(f"Step cell {cell.spec.name!r} declares the output {missing[0]!r}, but binds no such name.")
            named = list(cell.spec.outputs)
        else:
            named = [name for name in cell.reach.outputs if name in space and name not in _HISTORY and not _is_module(space[name])]
        return [*named, *(name for name in changed if name not in named)], changed

    @staticmethod
    def _differs(value: object, before: bytes) -> bool:
        try:
            return calls.short_digest(value) != before
        except UnkeyableError:
            return False

    def _save_again(self, engine: Engine, identity: Identity) -> None:
        """The cell run again on what it left behind is the same call: its inputs were changed by itself."""
        key = keys.call_key(self._cell.subject, identity, self._cell.arguments, None)
        if key != self._cell.key:
            cell, inputs = self._cell, calls.inputs_of(self._cell.arguments)
            engine.store.put(key, checkpoint.dump(cell.subject, {"same_as": cell.key}, saved_at=cell.saved_at, seconds=cell.seconds, code=identity.digest, inputs=inputs))


def _encoded(name: str, value: object) -> list[object]:
    try:
        return [*codec.encode(value)]
    except CodecError as error:
        raise CodecError(str(error).replace("value", f"`{name}`", 1)) from error


def _is_module(value: object) -> bool:
    from types import ModuleType

    return isinstance(value, ModuleType)


def _source(body: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, body))


def _say(text: str) -> None:
    """One dim line under the cell: grey, since Jupyter knows no faint text, and one that is read on white and on black."""
    # A kernel's stream is none of these; a file, such as the log of a job, has no colours.
    is_file = isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty()
    print(text if is_file else f"\x1b[38;5;243m{text}\x1b[0m")  # noqa: T201


def _too_late(timeout: float | None) -> StepTimeoutError:
    return StepTimeoutError(f"no end within --timeout {timeout:g} s")


@contextmanager
def _alarm(timeout: float | None) -> Iterator[None]:
    """Interrupt sync statements when time is up. Only the main thread can be interrupted, and that is where cells run."""
    if timeout is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_: object) -> None:
        raise _too_late(timeout)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
