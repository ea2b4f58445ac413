"""Cell recording: a step cell that really runs: what it shows and leaves behind is taken down and saved."""

from __future__ import annotations

import ast
import math
import time
from collections import deque
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, final

from nbflow._call import keys
from nbflow._call.scope import GAPS
from nbflow._key import call as calls
from nbflow._key import captures
from nbflow._key.kinds import is_module
from nbflow._key.secret import KNOWN
from nbflow._key.warning import warn
from nbflow._store import checkpoint, codec
from nbflow._store.codecs.plain import is_native
from nbflow.errors import CodecError, NbflowWarning, StoreError, UsageError
from nbflow.notebook import generators, outputs, shared_axes, shared_objects
from nbflow.notebook.step_cell import HISTORY, NOWHERE, digest_of, value_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._call.engine import Engine
    from nbflow._store.pieces import Bytes
    from nbflow.notebook.generators import Drawn
    from nbflow.notebook.outputs import Shown
    from nbflow.notebook.shared_axes import Group
    from nbflow.notebook.step_cell import Notebook, StepCell


#: IPython has three names for the last values: `_`, `__`, `___`.
_REMEMBERED = 3
_MOST_REMEMBERED = 1_000_000
_DATA = frozenset(("numpy", "pandas", "polars", "pyarrow"))


@final
class CellContent(shared_objects.SavedObjects):
    """What is saved of a step cell.

    Attributes:
        gone: names that it deleted.
        modules: modules that it imported where a hit does not run the import.
        shown: what it showed, in order.
        drawn: the random generators of the kernel that it drew from or seeded.
        axes: the indexes of pandas that its outputs and inputs hold together.
        values: the values that it showed, the last ones, for ``_`` and ``Out``: the name
            of an output, or a codec and the bytes; nothing for what is not kept.
    """

    gone: list[str]
    modules: dict[str, str]
    shown: list[Shown]
    drawn: NotRequired[dict[str, Drawn]]
    axes: NotRequired[list[Group]]
    values: NotRequired[list[list[Any]]]


@final
class CellAlias(TypedDict):
    """What is saved under the key that a cell has once it changed its own inputs.

    Attributes:
        same_as: the key under which the cell is saved.
        together: the outputs that share objects, with the inputs as they are now.
        axes: the indexes that outputs hold together with the inputs as they are now.
    """

    same_as: str
    together: NotRequired[bytes]
    axes: NotRequired[list[Group]]


class CellRecording:
    """One execution of a step cell, from the look at its inputs to the saving of its outputs."""

    def __init__(self, notebook: Notebook, cell: StepCell) -> None:
        self._notebook = notebook
        self._cell = cell
        self._recorder = outputs.Recorder(notebook.shell)
        self._begun = time.perf_counter()
        self._given: list[calls.Input] = []
        #: Digests of its inputs before it ran: a different one now, and the cell changed
        #: that input in place.
        self._before: dict[str, bytes] = {}
        #: What the names that its functions rebind were bound to before.
        self._bound: dict[str, object] = {}
        #: The states of the kernel's random generators before.
        self._states: generators.States = {}
        self._gaps = 0
        self._axes: shared_axes.Axes = {}
        self._values: deque[object] = deque(maxlen=_REMEMBERED)

    def look_at_inputs(self) -> None:
        """Note what the cell is given, to tell afterwards what it changed."""
        cell, space = self._cell, self._notebook.shell.user_ns
        self._given = calls.inputs_of(cell.given)
        self._before = {given.name: given.digest for given in self._given}
        for name, value in cell.others:
            found = digest_of(value)
            if found is not None:
                self._before[name] = found
        self._bound = {name: space.get(name, NOWHERE) for name in cell.rebinds}
        self._states = generators.states()
        self._gaps = GAPS.count
        self._axes = shared_axes.axes_of(cell.inputs)

    def note_value(self, value: object) -> None:
        """Note a value that the cell showed, unless IPython did not remember it."""
        hook = self._notebook.shell.displayhook
        if value is not None and getattr(hook, "_", None) is value:
            self._values.append(value)

    def start(self) -> None:
        """Begin to take down what the cell shows."""
        self._recorder.start()

    def stop(self) -> None:
        """The cell has ended: take down the figures that wait for its end, too."""
        self._recorder.stop()

    def abandon(self) -> None:
        """Leave the streams as they were; does no harm twice."""
        self._recorder.abandon()

    def save(self) -> None:
        """Save what the cell made, or say why that cannot be done."""
        __tracebackhide__ = True
        cell, engine = self._cell, self._notebook.engine()
        self._notebook.forced.discard(cell.spec.name)
        cell.seconds = time.perf_counter() - self._begun
        cell.state = "ran"
        if self._recorder.error:
            cell.key, cell.why = "", f"it shows an error ({self._recorder.error})"
        elif GAPS.count != self._gaps:
            cell.key, cell.why = "", "a saved value that it reads is gone"
        if not cell.key:
            outputs.say(f"{cell.spec.name}: ran, but is not saved: {cell.why}.")
            return
        changed = self._changed()
        names = self._outputs()
        cell.saved_at = engine.clock.time()
        assert cell.identity is not None
        engine.runner.sources.note(cell.subject, cell.identity)
        try:
            cell.size = self._put(engine, names, changed)
        except CodecError as error:
            cell.why = str(error).rstrip(".")
            outputs.say(
                f"{cell.spec.name}: ran, but is not saved: {cell.why}. Name what to"
                f" keep: %%step {cell.spec.name} -> NAME, or call it _name."
            )
        except StoreError as error:
            warn(
                f"Step cell {cell.spec.name!r} ran, but could not be saved, so it runs"
                f" again next time. {error}",
                NbflowWarning,
            )
        else:
            cell.why = ""
            self._tell(changed)

    def _tell(self, changed: list[str]) -> None:
        """Say what a reader of the cell would not expect of what was saved."""
        name = self._cell.spec.name
        if changed:
            listed = ", ".join(f"`{one}`" for one in changed)
            outputs.say(f"{name}: {listed} changed in place and saved with the outputs")
        if not self._recorder.is_whole:
            outputs.say(
                f"{name}: its output is longer than 10 MB; a hit shows the first 10 MB"
            )

    # What it leaves behind.

    def _changed(self) -> list[str]:
        """The names of those inputs that the cell changed in place."""
        changed = []
        for name, value in self._cell.inputs:
            if name in self._before:
                now = digest_of(value)
                if now is not None and now != self._before[name]:
                    changed.append(name)
        return changed

    def _outputs(self) -> dict[str, object]:
        """What the cell gives to other cells, by name."""
        __tracebackhide__ = True
        space = self._notebook.shell.user_ns
        names: dict[str, object] = {}
        for name in self._named():
            if name in space and name not in HISTORY and not is_module(space[name]):
                names[name] = space[name]
        names |= self._rebound()
        names |= self._class_attributes()
        names |= self._function_attributes()
        for name in self._cell.reach.closes:
            # What `with` binds is mostly closed by now; what is not, such as text that
            # was read, is an output.
            if name in space and name not in names and _can_be_saved(space[name]):
                names[name] = space[name]
        return names

    def _named(self) -> list[str]:
        """The outputs that the cell declares, or else every name that it binds.

        Raises:
            UsageError: it declares one that it does not bind.
        """
        __tracebackhide__ = True
        cell, space = self._cell, self._notebook.shell.user_ns
        if cell.spec.outputs is None:
            return cell.reach.outputs
        for name in cell.spec.outputs:
            if name not in space:
                cell.state = "failed"
                raise UsageError(
                    f"Step cell {cell.spec.name!r} declares the output {name!r}, but"
                    " binds no such name."
                )
        return [*cell.spec.outputs, *cell.reach.tools]

    def _rebound(self) -> dict[str, object]:
        """Names that functions, called by the cell, bound to something else."""
        reach, space = self._cell.reach, self._notebook.shell.user_ns
        names = {}
        for name, before in [*self._cell.inputs, *self._bound.items()]:
            now = value_at(space, name)
            is_same = now is before or now is NOWHERE
            if not is_same and name not in reach.binds and name not in reach.defines:
                names[name] = now
        return names

    def _class_attributes(self) -> dict[str, object]:
        """Attributes of the cell's own classes (``A.n``): a hit defines the class again, with its first values."""
        reach, space = self._cell.reach, self._notebook.shell.user_ns
        kinds = [name for name in reach.defines if isinstance(space.get(name), type)]
        found = captures.held(space, [space[name] for name in kinds]).values
        names = {}
        for name, value in found.items():
            owner, dot, _ = name.partition(".")
            if dot and owner in reach.defines and _can_be_saved(value):
                names[name] = value
        return names

    def _function_attributes(self) -> dict[str, object]:
        """Attributes that the cell's statements give to its own functions (``f.calls``)."""
        reach, space = self._cell.reach, self._notebook.shell.user_ns
        names = {}
        for node in ast.walk(ast.Module(self._cell.body, [])):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                owner = getattr(node.value, "id", "")
                function = space.get(owner) if owner in reach.defines else None
                if isinstance(function, FunctionType) and node.attr in vars(function):
                    value = vars(function)[node.attr]
                    if _can_be_saved(value):
                        names[f"{owner}.{node.attr}"] = value
        return names

    def _tools(self, names: dict[str, object]) -> dict[str, object]:
        """What imports and definitions inside other statements bind, which a hit does not run."""
        space = self._notebook.shell.user_ns
        return {
            name: space[name]
            for name in self._cell.reach.inside
            if name in space and name not in names
        }

    # What is saved.

    def _put(self, engine: Engine, names: dict[str, object], changed: list[str]) -> int:
        """Save the cell under its key; returns the number of bytes."""
        cell, space = self._cell, self._notebook.shell.user_ns
        modules: dict[str, str] = {}
        for name, tool in self._tools(names).items():
            if isinstance(tool, ModuleType):
                modules[name] = tool.__name__
            elif _is_defined_here(tool):
                raise CodecError(
                    f"`{name}` is defined inside of another statement; define it at the"
                    " top of a cell"
                )
            else:
                names[name] = tool
        _refuse_made_by_calls(names, cell.reach.defines)
        kept = shared_objects.saved(names, cell.objects, changed)
        content: CellContent = {
            **kept,
            "gone": [name for name in cell.reach.deletes if name not in space],
            "modules": modules,
            "shown": KNOWN.masked(self._recorder.shown),
            "drawn": generators.drawn(self._states, cell.body, cell.key),
            "axes": shared_axes.saved(names, self._inputs(changed), self._axes),
            "values": [_remembered(value, names) for value in self._values],
        }
        data = self._dump(content, self._given)
        engine.store.put(cell.key, data)
        if changed:
            shared = {
                name: value
                for name, value in names.items()
                if name not in kept["names"]
            }
            self._put_alias(engine, names, shared)
        return len(data)

    def _inputs(self, changed: list[str]) -> dict[str, object]:
        return {name: value for name, value in self._cell.inputs if name in changed}

    def _put_alias(
        self, engine: Engine, names: dict[str, object], shared: dict[str, object]
    ) -> None:
        """Let the cell, run again on what it left behind, be found: it changed its inputs itself."""
        cell, space = self._cell, self._notebook.shell.user_ns
        assert cell.identity is not None
        if any(value_at(space, name) is not value for name, value in cell.arguments):
            return  # another input, which the cell bound to the name
        cell.objects = shared_objects.Objects(cell.inputs)
        key = keys.call_key(cell.subject, cell.identity, cell.given, None)
        if key == cell.key:
            return
        alias: CellAlias = {"same_as": cell.key}
        axes = shared_axes.saved(names, {}, shared_axes.axes_of(cell.inputs))
        if axes:
            alias["axes"] = axes
        if shared:
            alias["together"] = shared_objects.among(shared, cell.objects)
        engine.store.put(key, self._dump(alias, calls.inputs_of(cell.given)))

    def _dump(
        self, content: CellContent | CellAlias, given: list[calls.Input]
    ) -> Bytes:
        cell = self._cell
        assert cell.identity is not None
        return checkpoint.dump(
            cell.subject,
            content,
            saved_at=cell.saved_at,
            seconds=cell.seconds,
            code=cell.identity.digest,
            inputs=given,
        )


def _remembered(value: object, names: dict[str, object]) -> list[Any]:
    """Return how a value that the cell showed is kept for ``_``: an output, or a little data."""
    for name, output in names.items():
        if output is value and "." not in name:
            return [name]
    if not _is_little_data(value):
        return []
    try:
        written_as, data = codec.encode(value)
    except CodecError:
        return []
    is_kept = written_as != "pickle" and len(data) <= _MOST_REMEMBERED
    return [written_as, data] if is_kept else []


def _is_little_data(value: Any) -> bool:
    """Return whether a value is worth a try: to pickle a figure, or write a large frame, costs time for nothing."""
    if type(value).__module__.partition(".")[0] in _DATA:
        return math.prod(getattr(value, "shape", ())) <= _MOST_REMEMBERED
    return is_native(value)


def _refuse_made_by_calls(names: dict[str, object], defines: Iterable[str]) -> None:
    """Refuse functions and classes that nothing defines when the cell comes from disk.

    The cell defines those in ``defines`` itself, on a hit as well. Any other one of this
    notebook would be looked up by its name, and is not there.

    Raises:
        CodecError: there is one; says which.
    """
    for name, value in names.items():
        own_name = getattr(value, "__qualname__", getattr(value, "__name__", None))
        if name not in defines and _is_defined_here(value) and own_name == name:
            raise CodecError(
                f"`{name}` is made by a call, so its name finds it only where it was"
                " made"
            )


def _is_defined_here(value: object) -> bool:
    return getattr(value, "__module__", None) == "__main__"


def _can_be_saved(value: object) -> bool:
    try:
        codec.encode(value)
    except CodecError:
        return False
    return True
