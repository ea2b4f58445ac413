"""Step cell: what one is, what it reads from the notebook, and the key under which it is saved."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbflow._call import keys, lookup
from nbflow._key import call as calls
from nbflow._key import captures, cell_names, query_texts, reader
from nbflow._key.code import Cell, Code, Part
from nbflow._key.kinds import is_data, loaded
from nbflow._key.reader import digest
from nbflow._run.explanation import Explanation, explain
from nbflow._run.forgetting import forget_all
from nbflow.errors import UnkeyableError
from nbflow.notebook import generators, shared_objects
from nbflow.notebook.durable import is_durable
from nbflow.notebook.rewrite import modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nbflow._call.engine import Engine
    from nbflow._call.keys import Identity
    from nbflow._key.bytecode import Chain
    from nbflow.notebook.generators import Drawn
    from nbflow.notebook.rewrite import NearStep, Spec
    from nbflow.notebook.shell import Shell, Space

#: Names that IPython binds to something else after each cell.
HISTORY = frozenset((
    "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_oh", "_ih", "_dh", "exit",
    "quit",
))  # fmt: skip
#: The value of a name that is bound to nothing.
NOWHERE = object()
#: How an explanation calls what several inputs hold together.
_SHARED = "which inputs are one object"


@dataclass
class StepCell:
    """A step cell as it stands in the notebook, and what became of it in this kernel.

    Attributes:
        spec: what its first line says.
        body: its statements.
        state: ``"not run"``, ``"running"``, ``"ran"``, ``"cached"`` or ``"failed"``.
        key: the key under which it is saved; empty if it cannot be saved.
        saved_at: when it was saved, seconds since the epoch.
        seconds: how long it took when it really ran.
        seconds_saved: how long it would have taken, had it not been found on disk.
        size: bytes of what is saved.
        why: why it is not saved.
        identity: what it is, for its key; ``None`` until its key has been made.
        arguments: the inputs that its key is made of, by name.
        others: values that its functions reach, which are part of its code; watched for
            changes in place like its arguments.
        modules: names of modules that it can see.
        objects: the objects that its inputs hold, numbered.
        rebinds: names that functions which it reaches rebind with ``global``.
        is_lost: whether what is saved of it cannot be used in this kernel.
    """

    spec: Spec
    body: list[ast.stmt]
    state: str = "not run"
    key: str = ""
    saved_at: float = 0.0
    seconds: float = 0.0
    seconds_saved: float = 0.0
    size: int = 0
    why: str = ""
    identity: Identity | None = None
    arguments: list[tuple[str, object]] = field(default_factory=list)
    others: list[tuple[str, object]] = field(default_factory=list)
    modules: frozenset[str] = frozenset()
    objects: shared_objects.Objects = field(
        default_factory=lambda: shared_objects.Objects(())
    )
    rebinds: set[str] = field(default_factory=set)
    is_lost: bool = False

    @property
    def given(self) -> list[tuple[str, object]]:
        """What its key is made of: its arguments, and which of them are one object."""
        if not self.objects.again:
            return list(self.arguments)
        return [*self.arguments, (_SHARED, self.objects.again)]

    @property
    def inputs(self) -> list[tuple[str, object]]:
        """All that it may change in place: its arguments, and the values in its code."""
        return [*self.arguments, *self.others]

    @property
    def subject(self) -> str:
        """The name under which the store files it."""
        return f"cell {self.spec.name}"

    @property
    def ttl(self) -> float | None:
        """Seconds until it expires: no later than the outputs of the steps that it reaches."""
        steps = self.identity.steps if self.identity is not None else ()
        policies = [getattr(step, "policy", None) for step in steps]
        limits = [policy.ttl for policy in policies if policy is not None]
        limits.append(self.spec.policy.ttl)
        return min((limit for limit in limits if limit is not None), default=None)

    @cached_property
    def reach(self) -> cell_names.Reach:
        """What its statements read and bind."""
        return cell_names.reach(self.body, self.modules)

    def make_key(self, space: Space) -> Code:
        """Read its inputs and its code as they are now, and make its key; returns the code.

        Raises:
            UnkeyableError: it reads something that no key can be made of.
        """
        code = self._read_inputs(space)
        self.objects = shared_objects.Objects(self.inputs)
        self.identity = self._identify(code)
        self.key = keys.call_key(self.subject, self.identity, self.given, None)
        return code

    def _read_inputs(self, space: Space) -> Code:
        """Find what the cell is given: data by its content, everything else as its code."""
        ignore = self.spec.ignore
        # `get_ipython` is read by magics that only set up.
        reads = {chain for chain in self.reach.reads if chain[0] != "get_ipython"}
        values = [space[chain[0]] for chain in reads if chain[0] in space]
        given = {*query_texts.texts_in(values)}
        reads |= self._named_in(given, space)
        names = sorted(
            name for name in {chain[0] for chain in reads} - ignore if name in space
        )
        data = [name for name in names if is_data(space[name])]
        texts = given | self.reach.texts
        code = self._read_code(space, reads, ignore.union(data), texts)
        captured = captures.held(space, [space[name] for name in names])
        # What the code itself changes is an input, wherever it is found: the digest of
        # the code leaves it out.
        changing = captured.rebound | {
            name for name in captured.values if _slot(space, name) in code.changes
        }
        self.arguments = [(name, loaded(space[name])) for name in data]
        self.others = []
        for name, value in sorted(captured.values.items()):
            if name in data or name.partition(".")[0] in ignore:
                continue
            if name not in changing:
                self.others.append((name, value))
            elif digest_of(value) is not None:
                self.arguments.append((name, value))
        rebound = {name for name in captured.rebound if "." not in name}
        self.rebinds = self.reach.rebinds | rebound
        return code

    def _named_in(self, given: set[str], space: Space) -> set[Chain]:
        """The names that calls of the cell look up for its own texts, and for those that it is given."""
        found: set[Chain] = set()
        for asks, own in self.reach.asked:
            names = own | query_texts.names_for(asks, given)
            found |= query_texts.read_in(space, asks, names)
        return found

    def _read_code(
        self,
        space: Space,
        reads: Iterable[Chain],
        apart: frozenset[str],
        texts: Iterable[str],
    ) -> Code:
        """Read the code that the cell reaches; names that are ``apart`` are no part of it."""
        chains = frozenset(chain for chain in reads if chain[0] not in apart)
        ignored = self.spec.ignore
        asks = [one._replace(hidden=one.hidden | ignored) for one in self.reach.asks]
        cell = Cell(
            name=self.spec.name,
            body=self.body,
            text="\n".join(map(ast.unparse, self.body)),
            space=space,
            reads=chains,
            texts=frozenset(texts),
            asks=tuple(dict.fromkeys(asks)),
        )
        return reader.read_cell(cell)

    def _identify(self, code: Code) -> Identity:
        """What the cell is: its code, or the version that stands for it."""
        version = self.spec.version
        identity = keys.identity_of(code, code.steps, methods=True)
        if version is None:
            return identity
        whole = digest(("version", version))
        part = Part(self.spec.name, whole, "version", version)
        return replace(identity, digest=whole, parts=(part,), methods=False)


class Notebook:
    """The step cells of one kernel: its IPython, its engine, and each step cell as it was last run.

    Attributes:
        shell: the IPython that runs the cells.
        engine: returns the engine in use.
        cells: the step cells that were run, by name.
        forced: names of cells that are to run once although they are saved.
        seeded: modules whose random generators a cell of this kernel has seeded.
        near: comments of cells that ran which read like the line of a step.
    """

    def __init__(self, shell: Shell, engine: Callable[[], Engine]) -> None:
        self.shell = shell
        self.engine = engine
        self.cells: dict[str, StepCell] = {}
        self.forced: set[str] = set()
        self.seeded: set[str] = set()
        self.near: list[NearStep] = []

    def look_at(self, tree: ast.Module) -> None:
        """Note what a cell of the notebook seeds, whether it is a step cell or not."""
        seeded = generators.seeded(tree.body)
        generators.seed(seeded)
        self.seeded |= seeded

    def draws_anew(self, drawn: Mapping[str, Drawn], cell: str) -> list[str]:
        """Return the modules from whose seeded generators a cell would now draw other numbers than are saved."""
        fitting = generators.fitting(drawn, generators.states(), cell)
        return sorted((drawn.keys() - fitting.keys()) & self.seeded)

    def explain(self, cell: StepCell) -> Explanation:
        """Explain why a step cell would run now, or since when it is saved."""
        name = cell.spec.name
        why = self.read(cell)
        if why is not None or cell.identity is None:
            reason = why or "it has not run in this kernel"
            return Explanation(name, "would run", reason)
        found = explain(
            self.engine(), cell.subject, cell.identity, cell.given, cell.ttl, shown=name
        )
        anew = self._draws_anew(cell) if found.state == "cached" else []
        if anew:
            reason = f"the generator of {anew[0]} was seeded or drawn from otherwise"
            return Explanation(name, "would run", reason)
        return found

    def _draws_anew(self, cell: StepCell) -> list[str]:
        store = self.engine().store
        found: Any = lookup.saved(store, cell.key)
        if found is not None and "same_as" in found.value:
            found = lookup.saved(store, found.value["same_as"])
        return (
            []
            if found is None
            else self.draws_anew(found.value.get("drawn", {}), cell.key)
        )

    def forget(self, cell: StepCell) -> int:
        """Delete all that is saved of a step cell; returns the number of results deleted."""
        return forget_all(self.engine(), cell.subject)

    def read(self, cell: StepCell) -> str | None:
        """Make the key of a cell as of now; returns why it has none, or ``None`` if it has one."""
        space = self.shell.user_ns
        cell.modules = modules(cell.body, space)
        why = cell_names.blind(cell.body, cell.modules) or reads_history(cell.reach)
        if why is not None:
            return why
        try:
            code = cell.make_key(space)
        except UnkeyableError as error:
            return _as_flags(str(error)).rstrip(".")
        durable = sorted(
            found.__name__ for found in code.installed if is_durable(found)
        )
        return (
            f"it calls nf.{durable[0]}, which is durable by itself" if durable else None
        )


def reads_history(reach: cell_names.Reach) -> str | None:
    """Return why a cell cannot be saved that reads what IPython binds after each cell; ``None`` if it does not."""
    history = sorted({chain[0] for chain in reach.reads} & HISTORY)
    if not history:
        return None
    return f"it reads `{history[0]}`, which changes after each cell"


def _as_flags(message: str) -> str:
    """Turn the advice of a message about functions into that for a cell, which has flags in place of options."""
    return re.sub(r'ignore=\["(\w+)"\]', r"--ignore \1", message)


def value_at(space: Space, name: str) -> object:
    """Return what a name, or an attribute of a class (``"A.n"``), is bound to; `NOWHERE` if to nothing."""
    owner, _, attribute = name.rpartition(".")
    if not owner:
        return space.get(name, NOWHERE)
    if owner in space:
        return vars(space[owner]).get(attribute, NOWHERE)
    return NOWHERE


def _slot(space: Space, name: str) -> tuple[int, str]:
    """Where a name is bound, as `nbflow._key.mutation` says it."""
    owner, _, attribute = name.rpartition(".")
    return (id(space.get(owner)), attribute) if owner else (id(space), name)


def digest_of(value: object) -> bytes | None:
    """Return a short digest of a value's content; ``None`` if no key can be made of it."""
    try:
        return calls.short_digest(value)
    except UnkeyableError:
        return None
