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
import re
import shlex
import signal
import sys
import threading
import time
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from nbflow._core.policy import Policy, seconds
from nbflow._core.table import duration
from nbflow._key import call as calls
from nbflow._key import cell as cells
from nbflow._key import code as codes
from nbflow._key.code import Part
from nbflow._key.value import digest
from nbflow._run import keys, orders
from nbflow._run.explanation import Explanation, clock, explain, forget_all
from nbflow._run.keys import Identity
from nbflow._state import checkpoint, codec
from nbflow.errors import CodecError, NbflowWarning, StepTimeoutError, StoreError, UnkeyableError, UsageError
from nbflow.notebook import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from nbflow._run.engine import Engine
    from nbflow._state.checkpoint import Checkpoint

_LINE = re.compile(r"^(?:%%step\b|#\|\s*step\s*:)(.*)$")
_OPTION = re.compile(r"^#\|")
_NAME = "__nbflow__"
_HISTORY = frozenset(("In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_oh", "_ih", "_dh", "exit", "quit"))
#: Cells whose trees are kept between the compiling and the running.
_KEPT = 64
_POLL = 0.05
#: What a cell must not be remembered for: its flows are found by an event's name, which no key can follow.
_SENDS = frozenset(("send", "runs", "open_run", "plan"))


@dataclass(frozen=True, slots=True)
class Spec:
    """What the first line of a step cell says."""

    name: str
    outputs: tuple[str, ...] | None = None
    force: bool = False
    dry: bool = False
    ignore: frozenset[str] = frozenset()
    policy: Policy = Policy(retries=0)  # noqa: RUF009  # frozen
    version: str | None = None


_SWITCHES = ("--force", "--dry")
_VALUES = ("--ignore", "--retries", "--timeout", "--ttl", "--version")


def parse(text: str) -> Spec:
    """Read ``NAME -> OUT, ... --flag value``.

    Raises:
        UsageError: no name, an unknown flag, a flag without its value; says what to write.
    """
    head, *tail = re.split(r"\s(?=--)", f" {text.strip()}", maxsplit=1)
    name, arrow, outs = (part.strip() for part in head.partition("->"))
    if not name or len(name.split()) > 1:
        raise UsageError(f"A step cell needs one name: `%%step NAME -> OUTPUT, ...` or `#| step: NAME -> OUTPUT, ...`, not {text.strip()!r}.")
    named = tuple(part.strip() for part in outs.split(",")) if arrow else None
    for out in named or ():
        if not out.isidentifier():
            raise UsageError(f"Step cell {name!r}: {out!r} is not the name of an output; write names with commas between them.")
    switches: set[str] = set()
    values: dict[str, list[str]] = {}
    words = iter(shlex.split(tail[0]) if tail else [])
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in _SWITCHES:
            switches.add(flag)
        elif flag in _VALUES:
            given = value if equals else next(words, None)
            if given is None or given.startswith("--"):
                raise UsageError(f"Step cell {name!r}: {flag} needs a value.")
            values.setdefault(flag, []).append(given)
        else:
            import difflib

            close = difflib.get_close_matches(flag, [*_SWITCHES, *_VALUES], n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join((*_SWITCHES, *_VALUES))}."
            raise UsageError(f"Step cell {name!r}: unknown flag {flag}. {hint}")
    last = {flag: given[-1] for flag, given in values.items()}
    if not last.get("--retries", "0").isdigit():
        raise UsageError(f"Step cell {name!r}: --retries needs a whole number, not {last['--retries']!r}.")
    policy = Policy(
        retries=int(last.get("--retries", 0)),
        timeout=_seconds(last.get("--timeout"), "--timeout"),
        ttl=_seconds(last.get("--ttl"), "--ttl"),
    )
    return Spec(name, named, "--force" in switches, "--dry" in switches, frozenset(values.get("--ignore", ())), policy, last.get("--version"))


def _seconds(text: str | None, flag: str) -> float | None:
    if text is None:
        return None
    return float(text) if text.replace(".", "", 1).isdigit() else seconds(text, flag)


# From text to tree.


def mark(lines: list[str]) -> list[str]:
    """Replace the first line of a step cell by the mark, the same line as a text; an input transformer of IPython."""
    for place, line in enumerate(lines):
        found = _LINE.match(line.rstrip("\n"))
        if found:
            try:
                parse(found[1])
            except UsageError as error:
                raise SyntaxError(str(error), ("<step cell>", place + 1, 1, line)) from None
            return [*lines[:place], f"{line.strip()!r}\n", *lines[place + 1 :]]
        if line.strip() and not _OPTION.match(line):
            return lines
    return lines


class Rebuild(ast.NodeTransformer):
    """Rebuilds the tree of a marked cell; an AST transformer of IPython.

    Args:
        interactivity: which expressions IPython shows.
    """

    def __init__(self, interactivity: Callable[[], str]) -> None:
        self._interactivity = interactivity

    def visit_Module(self, node: ast.Module) -> ast.Module:  # the name that ast asks for
        """Put the statements of a step cell into the loop and the ``with`` around them."""
        if not node.body or (text := _marked(node.body[0])) is None:
            return node
        body = node.body[1:]
        future = [part for part in body if isinstance(part, ast.ImportFrom) and part.module == "__future__"]
        body = [part for part in body if part not in future]
        try:
            compile(ast.Module(body, []), "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError:  # `return` outside of a function and the like: IPython says it best
            return ast.Module(body, node.type_ignores)
        number = _keep(CellStep(parse(text), body))
        first = ast.parse(f"for {_NAME} in __import__('nbflow.notebook.cells', fromlist=['cells']).enter({number}):\n with {_NAME}:\n  pass").body[0]
        assert isinstance(first, ast.For)
        inner = first.body[0]
        assert isinstance(inner, ast.With)
        if _awaits(body):
            inner = first.body[0] = ast.AsyncWith(inner.items, inner.body)
        inner.body = _guarded(self._shown(body)) or [ast.Pass()]
        ast.copy_location(first, node.body[0])
        return ast.fix_missing_locations(ast.Module([*future, first], node.type_ignores))

    def _shown(self, body: list[ast.stmt]) -> list[ast.stmt]:
        which = self._interactivity()
        last = len(body) - 1
        return [_show(part) if isinstance(part, ast.Expr) and not _sets_up(part) and (which == "all" or (place == last and which != "none")) else part for place, part in enumerate(body)]


def _marked(node: ast.stmt) -> str | None:
    value = node.value if isinstance(node, ast.Expr) else None
    found = _LINE.match(value.value) if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return found[1] if found else None


def _awaits(body: list[ast.stmt]) -> bool:
    module = ast.Module(body, [])
    code = compile(module, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    import inspect

    return bool(code.co_flags & inspect.CO_COROUTINE)


def _show(node: ast.Expr) -> ast.stmt:
    call = ast.Call(ast.Attribute(ast.Name(_NAME, ast.Load()), "show", ast.Load()), [node.value], [])
    return ast.fix_missing_locations(ast.copy_location(ast.Expr(ast.copy_location(call, node.value)), node))


def _sets_up(node: ast.stmt) -> bool:
    return cells.magic_of(node) in cells.SETTING_UP if isinstance(node, ast.Expr) else False


def _runs_always(node: ast.stmt) -> bool:
    is_lambda = isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda)
    return isinstance(node, cells.DEFINITIONS) or is_lambda or _sets_up(node)


def _guarded(body: list[ast.stmt]) -> list[ast.stmt]:
    """Put ``if __nbflow__.live:`` before what a hit does not run."""
    found: list[ast.stmt] = []
    open_block: ast.If | None = None
    for part in body:
        if _runs_always(part):
            found.append(part)
            open_block = None
        elif open_block is not None:
            open_block.body.append(part)
        else:
            live = ast.Attribute(ast.Name(_NAME, ast.Load()), "live", ast.Load())
            open_block = ast.fix_missing_locations(ast.copy_location(ast.If(live, [], []), part))
            open_block.body.append(part)
            found.append(open_block)
    return found


# From tree to result.


@dataclass(slots=True)
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

    def identify(self, code: codes.Code) -> Identity:
        """What the cell is: its code, or the version that stands for it."""
        version = self.spec.version
        per_run = any(getattr(step, "keyed", None) is not None and step.keyed.per_run for step in code.steps)
        if version is None:
            return Identity(code.digest, code, code.parts, per_run, methods=True)
        whole = digest(("version", version))
        return Identity(whole, code, (Part(self.spec.name, whole, "version", version),), per_run, methods=False)

    @property
    def ttl(self) -> float | None:
        """Seconds that it is good for: not longer than the outputs of the steps that it reaches."""
        steps = self.identity.steps if self.identity is not None else ()
        limits = [step.policy.ttl for step in steps if getattr(step, "policy", None) is not None] + [self.spec.policy.ttl]
        known = [limit for limit in limits if limit is not None]
        return min(known) if known else None


_CELLS: OrderedDict[int, CellStep] = OrderedDict()
_NUMBER = [0]


def _keep(cell: CellStep) -> int:
    _NUMBER[0] += 1
    _CELLS[_NUMBER[0]] = cell
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
        reads = {chain for chain in cells.reach(cell.body).reads if chain[0] != "get_ipython"}  # of magics that only set up
        roots = {chain[0] for chain in reads}
        if history := sorted(roots & _HISTORY):
            return f"it reads `{history[0]}`, which is another thing after each cell"
        data = sorted(name for name in roots if name in space and name not in cell.spec.ignore and codes.is_data(space[name]))
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
    shell.ast_transformers.append(Rebuild(lambda: str(shell.ast_node_interactivity)))
    shell.user_ns_hidden[_NAME] = None
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
        elif self._number == 1 or self.live:
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
        gone = [name for name in cells.reach(cell.body).deletes if name not in space]
        cell.saved_at = engine.clock.time()
        identity = cell.identity
        assert identity is not None
        engine.runner.sources.note(cell.subject, identity)
        try:
            # Each for itself: an object of a class that the cell defines is read after that definition has run.
            payload = {"names": {name: _encoded(name, space[name]) for name in names}, "gone": gone, "shown": self._recorder.shown}
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
            reach = cells.reach(cell.body)
            named = [name for name in reach.outputs if name in space and name not in _HISTORY and not _is_module(space[name])]
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
    """One dim line under the cell."""
    print(f"\x1b[2m{text}\x1b[0m")  # noqa: T201


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
