"""Step cells: a cell whose first line is ``%%step NAME -> OUT`` or ``#| step: NAME -> OUT`` is remembered as a whole.

The line becomes a mark, and the tree of the cell is rebuilt around it: the statements
stay where they are, with their lines, and run in the notebook's own namespace, so that
tracebacks, the debugger, top-level ``await`` and the cell's status are those of any
cell. Around them stand a loop (attempts) and a ``with`` (look up, take down, save)::

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
import importlib
import io
import re
import signal
import sys
import threading
import time
import warnings
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from nbflow._call import job_link, keys
from nbflow._call.keys import identity_of
from nbflow._core.table import duration
from nbflow._key import call as calls
from nbflow._key import captures
from nbflow._key import cell_names as cells
from nbflow._key import code as codes
from nbflow._key.code import Part
from nbflow._key.kinds import is_data, is_module, loaded
from nbflow._key.secret import KNOWN
from nbflow._key.value import digest
from nbflow._run.explanation import Explanation, clock, explain, forget_all
from nbflow._store import checkpoint, codec
from nbflow.errors import (
    CodecError,
    NbflowWarning,
    StepTimeoutError,
    StoreError,
    UnkeyableError,
    UsageError,
)
from nbflow.notebook import outputs, shared_objects
from nbflow.notebook.rewrite import NAME, Rebuild, mark, modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from nbflow._call.engine import Engine
    from nbflow._call.keys import Identity
    from nbflow._store.checkpoint import Checkpoint
    from nbflow.notebook.rewrite import Spec

#: Names that are another thing after each cell.
HISTORY = frozenset((
    "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_oh", "_ih", "_dh", "exit",
    "quit",
))  # fmt: skip
#: Cells whose trees are kept between the compiling and the running.
_KEPT = 64
_POLL = 0.05
#: How an explanation calls what several inputs hold together.
_SHARED = "which inputs are one object"
#: What a cell must not be remembered for: its flows are found by an event's name, which
#: no key can follow.
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
    #: Values that functions reach, which are part of the code, and are looked at for
    #: changes all the same.
    others: list[tuple[str, object]] = field(default_factory=list)
    modules: frozenset[str] = frozenset()
    things: shared_objects.Objects = field(
        default_factory=lambda: shared_objects.Objects(())
    )
    #: Names that functions that it reaches bind anew.
    rebinds: set[str] = field(default_factory=set)
    #: Whether what is saved of it cannot be used in this kernel.
    is_lost: bool = False

    @property
    def given(self) -> list[tuple[str, object]]:
        """What its key is made of: its arguments, and which of them are one object."""
        return [
            *self.arguments,
            *([(_SHARED, self.things.again)] if self.things.again else []),
        ]

    @property
    def subject(self) -> str:
        """The name under which the store files it."""
        return f"cell {self.spec.name}"

    @cached_property
    def reach(self) -> cells.Reach:
        """What its statements read and bind."""
        return cells.reach(self.body, self.modules)

    def identify(self, code: codes.Code) -> Identity:
        """What the cell is: its code, or the version that stands for it."""
        identity, version = (
            identity_of(code, code.steps, methods=True),
            self.spec.version,
        )
        if version is None:
            return identity
        whole = digest(("version", version))
        return replace(
            identity,
            digest=whole,
            parts=(Part(self.spec.name, whole, "version", version),),
            methods=False,
        )

    @property
    def ttl(self) -> float | None:
        """Seconds that it is good for: not longer than the outputs of the steps that it reaches."""
        steps = self.identity.steps if self.identity is not None else ()
        limits = [
            step.policy.ttl
            for step in steps
            if getattr(step, "policy", None) is not None
        ] + [self.spec.policy.ttl]
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
            return Explanation(
                cell.spec.name, "would run", why or "it has not run in this kernel"
            )
        return explain(
            self.engine(),
            cell.subject,
            cell.identity,
            cell.given,
            cell.ttl,
            shown=cell.spec.name,
        )

    def forget(self, cell: CellStep) -> int:
        """Delete all that is saved of a step cell; answers how many results that were."""
        return forget_all(self.engine(), cell.subject)

    def read(self, cell: CellStep) -> str | None:
        """Make the key of a cell as of now; answers why there is none, if there is none."""
        space = self.shell.user_ns
        cell.modules = modules(cell.body, space)
        why = cells.blind(cell.body, cell.modules)
        if why is not None:
            return why
        reads = {
            chain for chain in cell.reach.reads if chain[0] != "get_ipython"
        }  # of magics that only set up
        roots = {chain[0] for chain in reads}
        if history := sorted(roots & HISTORY):
            return f"it reads `{history[0]}`, which is another thing after each cell"
        data = sorted(
            name
            for name in roots
            if name in space and name not in cell.spec.ignore and is_data(space[name])
        )
        chains = frozenset(
            chain
            for chain in reads
            if chain[0] not in data and chain[0] not in cell.spec.ignore
        )
        try:
            code = codes.read_cell(
                codes.Cell(cell.spec.name, cell.body, _source(cell.body), space, chains)
            )
            found = captures.held(
                space,
                [
                    space[name]
                    for name in sorted(roots - cell.spec.ignore)
                    if name in space
                ],
            )
            touched = found.rebound | {
                name for name in found.values if _slot(space, name) in code.changes
            }
            reached = {
                name: value
                for name, value in sorted(found.values.items())
                if name not in data and name.partition(".")[0] not in cell.spec.ignore
            }
            cell.arguments = [(name, loaded(space[name])) for name in data] + [
                (name, value)
                for name, value in reached.items()
                if name in touched and _has_content(value)
            ]
            cell.rebinds = cell.reach.rebinds | {
                name for name in found.rebound if "." not in name
            }
            cell.others = [
                (name, value) for name, value in reached.items() if name not in touched
            ]
            cell.things = shared_objects.Objects([*cell.arguments, *cell.others])
            cell.identity = cell.identify(code)
            cell.key = keys.call_key(cell.subject, cell.identity, cell.given, None)
        except UnkeyableError as error:
            return re.sub(r'ignore=\["(\w+)"\]', r"--ignore \1", str(error)).rstrip(
                "."
            )  # a cell's way to say it
        sends = sorted(
            function.__name__
            for function in code.installed
            if function.__module__ == "nbflow._api" and function.__name__ in _SENDS
        )
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
    shell.ast_transformers.append(
        Rebuild(lambda: str(shell.ast_node_interactivity), keep, shell.user_ns)
    )
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
        if attempt.is_lost:
            count = 0
        elif not attempt.failed:
            return


class Attempt:
    """One try of a step cell; see the module's docstring for how a cell is written around it."""

    def __init__(self, notebook: Notebook, cell: CellStep, number: int) -> None:
        self.live = True
        self.failed = False
        #: Does the cell have to run, as what is saved of it cannot be used?
        self.is_lost = False
        self._notebook = notebook
        self._cell = cell
        self._number = number
        self._found: Any = None
        self._restored: shared_objects.Restored | None = None
        #: What names were bound to before those that are saved were.
        self._replaced: dict[str, object] = {}
        self._late: dict[str, Any] = {}
        self._head: Checkpoint | None = None
        self._given: list[calls.Input] = []
        self._before: dict[str, bytes] = {}
        self._bound: dict[str, object] = {}
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        __tracebackhide__ = True
        if self._limit is not None:
            self._limit.__exit__(kind, error, trace)
        wait = self._end(error)
        if wait is None:
            return False
        time.sleep(wait)
        return True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
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
        cell, space = self._cell, self._notebook.shell.user_ns
        self._begun = time.perf_counter()
        why = self._notebook.read(cell)
        if cell.spec.dry:
            self.live = False
            _say(
                str(self._notebook.explain(cell))
                if why is None
                else f"{cell.spec.name} would run: {why}."
            )
            return
        if why is None:
            store = self._notebook.engine().store
            while not store.lock(cell.key):
                yield _POLL
            self._locked = cell.key
            if self._is_asked_for() or not self._look_up():
                self._given = calls.inputs_of(cell.given)
                self._before = {given.name: given.digest for given in self._given} | {
                    name: found
                    for name, value in cell.others
                    if (found := _digest_of(value)) is not None
                }
                self._bound = {name: space.get(name, _NOWHERE) for name in cell.rebinds}
        else:
            cell.key, cell.why = "", why
        if self._found is not None:
            self.live = False
            self._late = self._load(self._found["names"])
            self._restore()
        else:
            cell.state = "running"
            self._recorder.start()

    def _is_asked_for(self) -> bool:
        name = self._cell.spec.name
        return (
            self._cell.is_lost
            or self._cell.spec.force
            or name in self._notebook.forced
            or name in job_link.forced()
        )

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
                first: Any = head.value if head is not None else None
                value = first and {
                    **first,
                    "whole": (),
                    "together": value.get("together"),
                }
        except StoreError as error:
            warnings.warn(
                f"What step cell {cell.spec.name!r} saved cannot be read, so it runs again: {error}",
                NbflowWarning,
                stacklevel=2,
            )
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
            if self._found is not None and (
                error is None or isinstance(error, Exception)
            ):
                return self._replayed(error)
            if error is not None:
                self._recorder.abandon()
                return self._failed(error)
            if self.live:
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
        if (
            not isinstance(error, Exception)
            or self._number > policy.retries
            or not policy.retries_on(error)
        ):
            return None
        self.failed = True
        wait = policy.delay(self._number, self._notebook.engine().clock.random())
        _say(
            f"{cell.spec.name}: {type(error).__name__}, next attempt in {duration(wait)}"
        )
        return wait

    def _load(self, names: dict[str, Any]) -> dict[str, Any]:
        """Put saved outputs into the notebook; answers those whose class is not there, and why."""
        left = {}
        for name, (written_as, data) in names.items():
            try:
                self._bind(name, codec.decode(written_as, data))
            except (CodecError, KeyError) as error:
                left[name] = error
        return left

    def _restore(self) -> None:
        """Put what shares objects into the notebook, unless a class is not there yet."""
        with suppress(CodecError):
            self._restored = shared_objects.Restored(self._found, self._cell.things)
            for name, value in self._restored.names().items():
                self._bind(name, value)

    def _bind(self, name: str, value: object) -> None:
        space = self._notebook.shell.user_ns
        owner, _, attribute = name.rpartition(".")
        if owner:
            setattr(space[owner], attribute, value)
            return
        self._replaced.setdefault(name, space.get(name, _NOWHERE))
        space[name] = value

    def _replayed(self, error: BaseException | None) -> float | None:
        """Show what was shown, now that classes are there; what cannot be brought back is made anew, by running the cell."""
        __tracebackhide__ = True
        cell, space = self._cell, self._notebook.shell.user_ns
        trouble = error or self._trouble()
        if trouble is not None:
            for name, value in self._replaced.items():
                if value is _NOWHERE:
                    space.pop(name, None)
                else:
                    space[name] = value
            self.is_lost = cell.is_lost = True
            warnings.warn(
                f"What step cell {cell.spec.name!r} saved cannot be used here, so it runs again: {type(trouble).__name__}: {trouble}",
                NbflowWarning,
                stacklevel=2,
            )
            return 0.0
        return None

    def _trouble(self) -> Exception | None:
        try:
            self._replay()
        except Exception as error:
            return error
        return None

    def _replay(self) -> None:
        __tracebackhide__ = True
        cell, head, space = self._cell, self._head, self._notebook.shell.user_ns
        assert head is not None
        dotted = {
            name: value for name, value in self._found["names"].items() if "." in name
        }
        for error in self._load(
            {name: self._found["names"][name] for name in self._late} | dotted
        ).values():
            raise error
        if self._restored is None:
            self._restored = shared_objects.Restored(self._found, cell.things)
        for name, value in self._restored.names().items():
            self._bind(name, value)
        for name, module in self._found.get("modules", {}).items():
            space[name] = importlib.import_module(module)
        self._restored.change(space)
        for name in self._found["gone"]:
            space.pop(name, None)
        outputs.replay(self._notebook.shell, self._found["shown"])
        cell.state, cell.saved_at, cell.seconds, cell.saved = (
            "cached",
            head.saved_at,
            head.seconds,
            head.seconds,
        )
        cell.size = len(head.payload)
        job_link.tell_replayed(cell.spec.name)
        _say(
            f"{cell.spec.name}: cached {clock(head.saved_at)}, saved {duration(head.seconds)}"
        )

    def _save(self) -> None:
        __tracebackhide__ = True
        cell, engine, space = (
            self._cell,
            self._notebook.engine(),
            self._notebook.shell.user_ns,
        )
        self._notebook.forced.discard(cell.spec.name)
        cell.seconds, cell.state = time.perf_counter() - self._begun, "ran"
        if not cell.key:
            _say(f"{cell.spec.name}: ran, and is not saved: {cell.why}.")
            return
        names, changed = self._outputs(space)
        tools = {
            name: space[name]
            for name in cell.reach.inside
            if name in space and name not in names
        }
        gone = [name for name in cell.reach.deletes if name not in space]
        cell.saved_at = engine.clock.time()
        identity = cell.identity
        assert identity is not None
        engine.runner.sources.note(cell.subject, identity)
        try:
            _see_definitions(names, tools, cell.reach.defines)
            kept = shared_objects.saved(names, cell.things, changed)
            payload = kept | {
                "gone": gone,
                "modules": {
                    name: value.__name__
                    for name, value in tools.items()
                    if is_module(value)
                },
                "shown": KNOWN.masked(self._recorder.shown),
            }
            data = checkpoint.dump(
                cell.subject,
                payload,
                saved_at=cell.saved_at,
                seconds=cell.seconds,
                code=identity.digest,
                inputs=self._given,
            )
            engine.store.put(cell.key, data)
            if changed:
                self._save_again(
                    engine,
                    identity,
                    {
                        name: value
                        for name, value in names.items()
                        if name not in kept["names"]
                    },
                )
        except CodecError as error:
            cell.why = str(error).rstrip(".")
            _say(
                f"{cell.spec.name}: ran, and is not saved: {cell.why}. Name what is to be kept: %%step {cell.spec.name} -> NAME, or call it _name."
            )
            return
        except StoreError as error:
            warnings.warn(
                f"Step cell {cell.spec.name!r} ran, but could not be saved, so it runs again next time. {error}",
                NbflowWarning,
                stacklevel=2,
            )
            return
        cell.size, cell.why = len(data), ""
        if changed:
            _say(
                f"{cell.spec.name}: {', '.join(f'`{name}`' for name in changed)} changed in place and saved with the outputs"
            )
        if not self._recorder.is_whole:
            _say(
                f"{cell.spec.name}: it shows more than is kept; a hit shows the first 10 MB"
            )

    def _outputs(self, space: dict[str, Any]) -> tuple[dict[str, object], list[str]]:
        """What to save, and the names of those inputs that were changed in place."""
        __tracebackhide__ = True
        cell, reach = self._cell, self._cell.reach
        given = [*cell.arguments, *cell.others]
        changed = [
            name
            for name, value in given
            if name in self._before
            and _digest_of(value) not in (None, self._before[name])
        ]
        if cell.spec.outputs is not None:
            missing = [name for name in cell.spec.outputs if name not in space]
            if missing:
                cell.state = "failed"
                raise UsageError(
                    f"Step cell {cell.spec.name!r} declares the output {missing[0]!r}, but binds no such name."
                )
            named = [*cell.spec.outputs, *reach.tools]
        else:
            named = reach.outputs
        names = {
            name: space[name]
            for name in named
            if name in space and name not in HISTORY and not is_module(space[name])
        }
        for name, value in [*given, *self._bound.items()]:  # what functions bound anew
            now = _value(space, name)
            if (
                now is not value
                and now is not _NOWHERE
                and name not in reach.binds
                and name not in reach.defines
            ):
                names[name] = now
        kinds = [
            space[name] for name in reach.defines if isinstance(space.get(name), type)
        ]
        names |= {
            name: value
            for name, value in captures.held(space, kinds).values.items()
            if name.partition(".")[0] in reach.defines
            and "." in name
            and _can_be_saved(value)
        }
        names |= {
            name: space[name]
            for name in reach.closes
            if name in space and name not in names and _can_be_saved(space[name])
        }
        return names, changed

    def _save_again(
        self, engine: Engine, identity: Identity, together: dict[str, object]
    ) -> None:
        """The cell run again on what it left behind is the same call: its inputs were changed by itself."""
        cell, space = self._cell, self._notebook.shell.user_ns
        if any(_value(space, name) is not value for name, value in cell.arguments):
            return  # another input, which the cell bound anew
        cell.things = shared_objects.Objects([*cell.arguments, *cell.others])
        key = keys.call_key(cell.subject, identity, cell.given, None)
        if key != cell.key:
            shared = (
                {"together": shared_objects.among(together, cell.things)}
                if together
                else {}
            )
            engine.store.put(
                key,
                checkpoint.dump(
                    cell.subject,
                    {"same_as": cell.key, **shared},
                    saved_at=cell.saved_at,
                    seconds=cell.seconds,
                    code=identity.digest,
                    inputs=calls.inputs_of(cell.given),
                ),
            )


#: In place of a name that is bound to nothing.
_NOWHERE = object()


def _value(space: dict[str, Any], name: str) -> object:
    """What a name, or an attribute of a class, is bound to."""
    owner, _, attribute = name.rpartition(".")
    return (
        vars(space[owner]).get(attribute, _NOWHERE)
        if owner in space
        else space.get(name, _NOWHERE)
        if not owner
        else _NOWHERE
    )


def _slot(space: dict[str, Any], name: str) -> tuple[int, str]:
    owner, _, attribute = name.rpartition(".")
    return (id(space.get(owner)), attribute) if owner else (id(space), name)


def _digest_of(value: object) -> bytes | None:
    try:
        return calls.short_digest(value)
    except UnkeyableError:
        return None


def _has_content(value: object) -> bool:
    return _digest_of(value) is not None


def _can_be_saved(value: object) -> bool:
    try:
        codec.encode(value)
    except CodecError:
        return False
    return True


def _see_definitions(
    names: dict[str, object], tools: dict[str, object], defines: Iterable[str]
) -> None:
    """Refuse functions and classes that nobody would define when the cell comes from disk; those that it ``defines`` it does."""
    for name, value in tools.items():
        if getattr(value, "__module__", None) == "__main__":
            raise CodecError(
                f"`{name}` is defined inside of another statement; define it at the top of a cell"
            )
        if not is_module(value):
            names[name] = value
    for name, value in names.items():
        if (
            name not in defines
            and getattr(value, "__module__", None) == "__main__"
            and getattr(value, "__qualname__", getattr(value, "__name__", None)) == name
        ):
            raise CodecError(
                f"`{name}` is made by a call, and found by its name only where it was made"
            )


def _source(body: list[ast.stmt]) -> str:
    return "\n".join(map(ast.unparse, body))


def _say(text: str) -> None:
    """One dim line under the cell: grey, since Jupyter knows no faint text, and one that is read on white and on black."""
    # A kernel's stream is none of these; a file, such as the log of a job, has no
    # colours.
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
