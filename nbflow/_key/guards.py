"""Guards: what must be as it was for a code that was read to hold.

They are checked at every call outside of a run.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from nbflow._key import mutation
from nbflow._key.origin import content
from nbflow._key.value import Content, Refusal, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CellType, CodeType, FunctionType

    from nbflow._key.mutation import Slot

    Space: TypeAlias = dict[str, object]

MISSING = object()


class Watch:
    """A value whose content counts, looked at again each time. Big values are not kept alive for it.

    Args:
        fetch: gives the value as it is now.
        found: the content that stood for it when the code was read.
        slot: where it is, if the code changes it itself.
    """

    __slots__ = ("_code", "_digest", "_fetch", "_slot")

    def __init__(
        self, fetch: Callable[[], object], found: Content, slot: Slot | None = None
    ) -> None:
        self._fetch = fetch
        self._slot = slot
        self._digest = found.digest
        self._code = [_reference(thing) for thing in found.code]

    def holds(self) -> bool:
        """Return whether the content is what it was."""
        value, slot = self._fetch(), self._slot
        try:
            found = identify(value) if slot is None else mutation.counted(slot, value)
        except Refusal:
            return False
        if found.digest != self._digest:
            return False
        return [reference() for reference in self._code] == [*found.code]


def _reference(thing: object) -> Callable[[], object]:
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: thing


@dataclass(slots=True)
class Guards:
    """Everything that a code was read from.

    Attributes:
        names: names, and the very objects that they stood for.
        sizes: namespaces that may get more names, and how many they had.
        kinds: names of values that `contents` watches or that are keyed by their type
            alone, and the types.
        cells: variables of outer functions, and what they held.
        functions: functions, and their code and defaults.
        own: code and defaults of the function itself, which is not kept alive.
        members: classes, how many members they had, and those that count.
        contents: values that count by their content.
    """

    names: list[tuple[Mapping[str, object], str, object]] = field(default_factory=list)
    sizes: list[tuple[Mapping[str, object], int]] = field(default_factory=list)
    kinds: list[tuple[Space, str, type]] = field(default_factory=list)
    cells: list[tuple[CellType, object]] = field(default_factory=list)
    functions: list[tuple[FunctionType, CodeType, object, object]] = field(
        default_factory=list
    )
    own: tuple[CodeType, object, object] | None = None
    members: list[tuple[type, int, list[tuple[str, object]]]] = field(
        default_factory=list
    )
    contents: list[Watch] = field(default_factory=list)

    def note_function(self, function: FunctionType) -> None:
        """Guard the code and the defaults of a function, all of which can be set."""
        defaults, keyword_only = function.__defaults__, function.__kwdefaults__
        self.functions.append((function, function.__code__, defaults, keyword_only))

    def disown(self, function: object) -> None:
        """Let go of the function that these guards belong to, or it would never die.

        Guards of one name become one.
        """
        once = {(id(guard[0]), guard[1]): guard for guard in self.names}
        self.names = [*once.values()]
        for reached, code, defaults, named in self.functions:
            if reached is function:
                self.own = code, defaults, named
        self.functions = [entry for entry in self.functions if entry[0] is not function]

    def hold(self, function: Any) -> bool:  # noqa: C901, PLR0911, PLR0912  # plain loops, as every call waits for it
        """Return whether everything is as it was."""
        if self.own:
            code, defaults, named = self.own
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not named
            ):
                return False
        for space, name, value in self.names:
            if space.get(name, MISSING) is not value:
                return False
        for reached, code, defaults, named in self.functions:
            if (
                reached.__code__ is not code
                or reached.__defaults__ is not defaults
                or reached.__kwdefaults__ is not named
            ):
                return False
        for known, size in self.sizes:
            if len(known) != size:
                return False
        for space, name, kind in self.kinds:
            if type(space.get(name, MISSING)) is not kind:
                return False
        for cell, value in self.cells:
            if content(cell) is not value:
                return False
        for owner, size, members in self.members:
            known = vars(owner)
            if len(known) != size:
                return False
            for name, value in members:
                if known.get(name) is not value:
                    return False
        return all(watch.holds() for watch in self.contents)
