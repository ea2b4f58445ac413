"""Secret: a text that is used like any other and written nowhere; and the known ones.

A `Secret` stands for itself by its name, in keys and in checkpoints. What was made of
it (``"Bearer " + key``) is a plain text: it is found by its value, in what nbflow
writes and in what leaves the kernel, as it is and in the forms that it takes on its
way: escaped for Python, JSON, HTML and URLs, in base64.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import importlib
import json
import os
import re
from typing import TYPE_CHECKING, Any, Self, final
from urllib.parse import quote, quote_plus

from nbflow._key import fork
from nbflow._key.warning import warn
from nbflow.errors import NbflowWarning, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Characters of a value, at least, that it is looked for: a shorter one is found in the
#: middle of other words.
SHORTEST = 6
#: Of base64, where what stands around a value changes its first and its last character.
_SHORTEST_CORE = 8


@final
class Secret(str):
    """A text that shows its name instead of its value.

    It is keyed, saved, copied and pickled by its name alone.

    Attributes:
        name: of the variable or the entry that it was read from.
        service: under which the keyring has it.
    """

    __slots__ = ("name", "service")
    name: str
    service: str

    def __new__(cls, value: str, name: str, service: str) -> Self:
        self = super().__new__(cls, value)
        self.name, self.service = name, service
        return self

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return secret, (self.name, self.service)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


Secret.__module__ = "nbflow"  # where it is found


def secret(name: str, service: str = "nbflow") -> Secret:
    """Return a secret: the environment variable of this name, or what the keyring has under it.

    ::

        client = openai.OpenAI(api_key=nf.secret("OPENAI_API_KEY"))

    It is a ``str`` and serves wherever one does. A step that reads it is keyed by its
    name, so another value of it runs nothing again. Its value is in no key, checkpoint,
    ledger, traceback, live table, report or output of the notebook: texts have
    ``***OPENAI_API_KEY***`` instead, and data that hold it are not saved, with a
    warning.

    Args:
        name: of the variable, and of the entry in the keyring.
        service: of the entry in the keyring, which is asked only if the package
            ``keyring`` is installed and the variable is not set.

    Raises:
        UsageError: it is in neither; the message says how to put it there.
    """
    if not isinstance(name, str) or not name:
        raise UsageError(
            "nf.secret needs the name of an environment variable, "
            f'such as "OPENAI_API_KEY", not {name!r}.'
        )
    value = os.environ.get(name) or _from_keyring(name, service)
    if not KNOWN.add(name, value):
        warn(
            f"The secret {name} has {len(value)} characters, fewer than {SHORTEST}: "
            "too few to be told from other text, so it is not masked.",
            NbflowWarning,
        )
    return Secret(value, name, service)


def _from_keyring(name: str, service: str) -> str:
    state = "empty" if name in os.environ else "not set"
    unset = f"The secret {name} is {state} in the environment"
    set_it = f"Set it before the notebook starts (export {name}=...)"
    store_it = f"store it with `keyring set {service} {name}`"
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise UsageError(
            f"{unset}, and there is no keyring to ask. "
            f"{set_it}, or pip install keyring and {store_it}."
        ) from None
    try:
        value = keyring.get_password(service, name)
    except Exception as error:
        # As many as there are keyrings: locked, no service to talk to.
        raise UsageError(
            f"{unset}, and the keyring could not be asked "
            f"({type(error).__name__}: {error}). {set_it}."
        ) from error
    if not value:
        raise UsageError(f"{unset}, nor is it in the keyring. {set_it}, or {store_it}.")
    return str(value)


class Known:
    """Values that are known to be secret, each with its name.

    What is said of one stays true: a value that was replaced stays secret.
    """

    def __init__(self) -> None:
        self._mutex = fork.free_lock()
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self._names: dict[str, str] = {}
        self._texts: tuple[str, ...] = ()
        self._bytes: tuple[tuple[bytes, str], ...] = ()
        self._any = re.compile("(?!)")

    def add(self, name: str, value: str) -> bool:
        """Look for this value from now on, and return whether it is long enough to."""
        if len(value) < SHORTEST:
            return False
        if value in self._names:
            return True
        with self._mutex:
            # In the order in which a reader that holds no lock needs them.
            self._names = names = self._names | dict.fromkeys(_forms(value), name)
            texts = tuple(sorted(names, key=len, reverse=True))
            self._any = re.compile("|".join(map(re.escape, texts)))
            written: dict[bytes, str] = {}
            for text, holder in names.items():
                written |= dict.fromkeys(_written(text), holder)
            self._bytes = tuple(written.items())
            self._texts = texts
        return True

    def __bool__(self) -> bool:
        return bool(self._texts)

    @property
    def longest(self) -> int:
        """The most characters that a value takes in a text."""
        return len(self._texts[0]) if self._texts else 0

    def holder(self, data: bytes) -> str | None:
        """Return the name of a secret whose value is in these bytes, if there is one."""
        return next((name for known, name in self._bytes if known in data), None)

    def mask(self, text: str) -> str:
        """Return the text with names instead of values."""
        if not self._texts or not any(known in text for known in self._texts):
            return text
        find, names = self._any, self._names
        return find.sub(lambda found: f"***{names[found[0]]}***", text)

    def masked(self, node: Any) -> Any:
        """Return the same without values in its texts.

        Those in lists, dicts, tuples and dataclasses are texts, too.
        """
        return self._masked(node) if self._texts else node

    def _masked(self, node: Any) -> Any:
        if isinstance(node, str):
            return self.mask(node)
        if isinstance(node, dict):
            made = copy.copy(node)  # of its class, whatever that is made with
            made.clear()
            pairs = [(self._masked(key), self._masked(node[key])) for key in node]
            made.update(dict(pairs))
            return made
        if isinstance(node, list | tuple):
            parts = [self._masked(value) for value in node]
            return type(node)(*parts) if hasattr(node, "_fields") else type(node)(parts)
        if dataclasses.is_dataclass(node) and not isinstance(node, type):
            names = [field.name for field in dataclasses.fields(node)]
            fields = {name: self._masked(getattr(node, name)) for name in names}
            return dataclasses.replace(node, **fields)
        return node


KNOWN = Known()


def _forms(value: str) -> Iterator[str]:
    """Yield how a value stands in a text."""
    import html

    for text in {value, value.strip()}:
        yield from (
            text,
            repr(text)[1:-1],
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
            html.escape(text),
            html.escape(text, quote=False),
        )
        data = text.encode("utf-8", "surrogateescape")
        yield from (quote(data), quote(data, safe=""), quote_plus(data))
        for before in range(3):
            # Six bits a character: those that hold bits of the value alone.
            first, last = -(-8 * before // 6), 8 * (before + len(data)) // 6
            core = base64.b64encode(bytes(before) + data).decode()[first:last]
            if len(core) >= _SHORTEST_CORE:
                yield from (core, core.replace("+", "-").replace("/", "_"))


def _written(text: str) -> Iterator[bytes]:
    """Yield how a form stands in bytes: as text, in the texts of JSON, in arrays of numpy and wide strings."""
    yield text.encode("utf-8", "surrogateescape")
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
    yield text.encode("utf-32-le", "surrogatepass")
    yield text.encode("utf-16-le", "surrogatepass")
