"""Cell replay: a step cell that was found on disk: its outputs come back, and what it showed is shown again."""

from __future__ import annotations

import importlib
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbflow._call import job_link
from nbflow._core.duration import duration
from nbflow._core.table import short
from nbflow._key.setting_up import changes_left_out, left_out
from nbflow._run.wall_time import wall_time
from nbflow._store import codec
from nbflow.errors import CodecError
from nbflow.notebook import generators, outputs, shared_axes, shared_objects
from nbflow.notebook.step_cell import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbflow._store.checkpoint import Checkpoint
    from nbflow.notebook.cell_recording import CellContent
    from nbflow.notebook.shared_objects import Encoded
    from nbflow.notebook.shell import Shell, Space
    from nbflow.notebook.step_cell import StepCell


#: Packages whose functions draw, log or wait, where they do not set up.
_KNOWN = frozenset(
    ("matplotlib", "seaborn", "plotly", "IPython", "logging", "time", "gc", "nbflow")
)


class CellReplay:
    """Puts what is saved of a step cell back into the notebook, in two rounds.

    `begin` runs before the imports and definitions of the cell, which are executed on a
    hit and may read its values, as in ``def f(x=limit)``. `finish` runs after them, when
    the classes exist whose objects could not be made before.

    Args:
        shell: the IPython whose names they are.
        cell: the cell.
        head: what is known of the saved result.
        content: what was saved.
    """

    def __init__(
        self, shell: Shell, cell: StepCell, head: Checkpoint, content: CellContent
    ) -> None:
        self._shell = shell
        self._space = shell.user_ns
        self._cell = cell
        self._head = head
        self._content = content
        self._objects: shared_objects.Restored | None = None
        #: Outputs that `begin` could not make, and why.
        self._late: dict[str, Exception] = {}
        #: What the names that it binds were bound to before.
        self._replaced: dict[str, object] = {}
        #: What its imports and definitions show on a hit.
        self._held = outputs.Recorder(shell, holds=True)
        #: The indexes that its inputs hold now.
        self._axes = shared_axes.axes_of(cell.inputs)
        #: The random generators that the cell would leave as it did then.
        self._drawn = generators.fitting(
            content.get("drawn", {}), generators.states(), cell.key
        )

    def begin(self) -> None:
        """Bind every output that can be made without the definitions of the cell."""
        self._late = self._bind_encoded(self._content["names"])
        with suppress(CodecError):
            self._bind_objects()
        # What imports and settings say is among what the cell showed.
        self._held.start()

    def abandon(self) -> None:
        """Leave the streams as they were; does no harm twice."""
        self._held.abandon()

    def finish(self) -> None:
        """Bind the rest, and change inputs as the cell did.

        Raises:
            Exception: what is saved cannot be used here; `undo` then.
        """
        __tracebackhide__ = True
        cell, head, content = self._cell, self._head, self._content
        # An attribute of a class (`A.n`) belongs to the class as just defined, even if
        # `begin` found an older one.
        again = {
            name: encoded
            for name, encoded in content["names"].items()
            if name in self._late or "." in name
        }
        for error in self._bind_encoded(again).values():
            raise error
        objects = self._bind_objects()
        for name, module in content.get("modules", {}).items():
            self._space[name] = importlib.import_module(module)
        objects.change(self._space)
        shared_axes.share(
            content.get("axes", ()), self._space, dict(cell.inputs), self._axes
        )
        for name in content["gone"]:
            self._space.pop(name, None)
        generators.go_on(self._drawn, cell.key)
        cell.state = "cached"
        cell.saved_at = head.saved_at
        cell.seconds = cell.seconds_saved = head.seconds
        cell.size = len(head.payload)
        job_link.tell_replayed(cell.spec.name)
        self._remember()

    def _remember(self) -> None:
        """Have ``_`` and ``Out`` hold what the cell showed."""
        update = getattr(self._shell.displayhook, "update_user_ns", None)
        if update is not None:  # a script has no history
            for kept in self._content.get("values", ()):
                update(self._value(kept))

    def _value(self, kept: list[Any]) -> object:
        if not kept:
            return NotKept(self._cell.spec.name)
        return codec.decode(*kept) if len(kept) > 1 else self._space[kept[0]]

    def show(self) -> None:
        """Show what the cell showed, what its imports say besides, and that it comes from disk."""
        __tracebackhide__ = True
        shown, head = self._content["shown"], self._head
        outputs.replay(self._shell, shown)
        outputs.replay(self._shell, outputs.unlike(self._held.shown, shown))
        outputs.say(
            f"{self._cell.spec.name}: cached {wall_time(head.saved_at)},"
            f" saved {duration(head.seconds)}{self._left_out()}"
        )

    def _left_out(self) -> str:
        """Say which calls on modules, that may have set something up, a hit did not repeat."""
        body, modules = self._cell.body, self._cell.modules
        left = [
            call
            for function, call in left_out(body, modules)
            if not _is_known(_module_of(self._space, function))
        ]
        left += changes_left_out(body, modules)
        said = [f"`{short(one, 60)}`" for one in dict.fromkeys(left)]
        return f"; not repeated: {', '.join(said)}" if said else ""

    def undo(self) -> None:
        """Bind the names as they were before, for the cell to run after all."""
        for name, value in self._replaced.items():
            if value is NOWHERE:
                self._space.pop(name, None)
            else:
                self._space[name] = value

    def _bind_encoded(self, names: Mapping[str, Encoded]) -> dict[str, Exception]:
        """Bind outputs; returns the names of those whose class is not there, with the error."""
        late: dict[str, Exception] = {}
        for name, (written_as, data) in names.items():
            try:
                self._bind(name, codec.decode(written_as, data))
            except (CodecError, KeyError) as error:
                late[name] = error
        return late

    def _bind_objects(self) -> shared_objects.Restored:
        """Bind the outputs that share objects."""
        if self._objects is None:
            self._objects = shared_objects.Restored(self._content, self._cell.objects)
        for name, value in self._objects.names().items():
            self._bind(name, value)
        return self._objects

    def _bind(self, name: str, value: object) -> None:
        owner, _, attribute = name.rpartition(".")
        if owner:
            setattr(self._space[owner], attribute, value)
            return
        self._replaced.setdefault(name, self._space.get(name, NOWHERE))
        self._space[name] = value


class NotKept:
    """What ``_`` is behind a hit of a cell that showed something which is not kept for it."""

    def __init__(self, cell: str) -> None:
        self._cell = cell

    def __repr__(self) -> str:
        return f"<the value that step cell {self._cell} showed is not kept: bind it to a name>"


def _is_known(module: str) -> bool:
    """Return whether what a module's functions do is left out on purpose, or made good."""
    return module in generators.NAMES or module.partition(".")[0] in _KNOWN


def _module_of(space: Space, function: str) -> str:
    """Return the name of the module that a dotted name reaches: ``np.random.shuffle``."""
    first, *parts = function.split(".")
    value = space.get(first)
    for part in parts:
        inner = getattr(value, part, None)
        if not isinstance(inner, ModuleType):
            break
        value = inner
    return str(getattr(value, "__module__", None) or getattr(value, "__name__", ""))
