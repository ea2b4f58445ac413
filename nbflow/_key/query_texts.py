"""Query texts: names that a library looks up for a text, as pandas does for ``df.query("a > @LIMIT")``.

Neither byte code nor syntax shows them. Which text ends up in which call, nobody knows:
code that makes such calls reads the names in all texts that it reaches.
"""

from __future__ import annotations

import enum
import re
import sys
from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key.origin import holds, is_users

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Asks(NamedTuple):
    """A call that looks up names for a text.

    Attributes:
        names: which words of the text are names: those after an ``"@"``, all
            (``"words"``), those of ``"tables"``, all in a ``"formula"``.
        hidden: local variables of the code around it, which hide globals.
    """

    names: str
    hidden: frozenset[str] = frozenset()

    @property
    def needs(self) -> str | None:
        """The library without which it looks up nothing."""
        return "duckdb" if self.names == _DUCKDB else None


_MARKED, _WORDS, _TABLES, _FORMULA = "@", "words", "tables", "formula"
_DUCKDB = "tables of duckdb"
#: Attributes and names that are called -> the words of the text that are names.
_CALLS = {
    "query": (_MARKED, _DUCKDB),
    "eval": (_MARKED,),
    "sql": (_TABLES,),
    "SQLContext": (_TABLES,),
    "execute_global": (_TABLES,),
    "execute": (_DUCKDB,),
    "from_query": (_DUCKDB,),
    **dict.fromkeys(
        ("ols", "gls", "wls", "glm", "rlm", "gee", "mixedlm", "logit", "probit", "mnlogit", "poisson", "quantreg"),
        (_FORMULA,),
    ),
    **dict.fromkeys(("dmatrix", "dmatrices", "from_formula", "model_matrix"), (_FORMULA,)),
}  # fmt: skip
#: Functions to which every word may be a name, by how their module is called.
_OF_MODULES = {"eval": ("pd", "pandas"), "evaluate": ("ne", "numexpr")}
#: Libraries whose objects SQL reads as tables.
_TABULAR = frozenset(("pandas", "polars", "pyarrow", "numpy", "duckdb", "_duckdb"))
_CHAIN = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_MARKED_NAME, _NAME = re.compile(f"@({_CHAIN})"), re.compile(_CHAIN)


def asked_by(name: str, owner: object, hidden: frozenset[str]) -> Iterator[Asks]:
    """Yield what a call of this name looks up.

    Args:
        name: of the function or method.
        owner: the name of what it is read from.
        hidden: see `Asks`.
    """
    if owner in _OF_MODULES.get(name, ()):
        yield Asks(_WORDS, hidden)
        return
    for names in _CALLS.get(name, ()):
        yield Asks(names, hidden)


def asked_by_import(module: str, hidden: frozenset[str]) -> Iterator[Asks]:
    """Yield what code looks up that imports a module: DuckDB is loaded by then."""
    if module.partition(".")[0] == "duckdb":
        yield Asks(_TABLES, hidden)


def looks_up(name: str, owner: object) -> bool:
    """Return whether a call of this name looks up names for a text, as far as its name says; see `asked_by`."""
    found = asked_by(name, owner, frozenset())
    return any(asks.needs is None or asks.needs == owner for asks in found)


def texts_in(value: object) -> Iterator[str]:
    """Yield the texts in a value: in lists and dicts, in enums and objects of the user's."""
    waiting, seen = [value], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield str.__str__(value)
        if id(value) not in seen:
            seen.add(id(value))
            waiting += _inside(value)


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [*value]
    if isinstance(value, enum.Enum):
        return [value._value_]
    if is_users(type(value)) and not isinstance(value, (type, FunctionType)):
        return [*getattr(value, "__dict__", {}).values()]
    return []


def names_for(asks: Asks, texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Return the names, dotted ones as tuples, that a call may look up for one of these texts."""
    if asks.needs is not None and asks.needs not in sys.modules:
        return set()
    name = _MARKED_NAME if asks.names == _MARKED else _NAME
    found: set[tuple[str, ...]] = set()
    for text in texts:
        if asks.names != _FORMULA or "~" in text:
            found.update(tuple(word.split(".")) for word in name.findall(text))
    return {chain for chain in found if chain[0] not in asks.hidden}


def read_in(
    space: dict[str, object], asks: Asks, names: Iterable[tuple[str, ...]]
) -> set[tuple[str, ...]]:
    """Return which of these names stand for something that a call reads."""
    return {
        chain for chain in names if chain[0] in space and is_read(asks, space[chain[0]])
    }


def is_read(asks: Asks, value: object) -> bool:
    """Return whether a value that a word of a text names is what the call reads: SQL reads tables alone."""
    if asks.names not in (_TABLES, _DUCKDB):
        return True
    if isinstance(value, (list, dict)):  # of arrays
        parts = value.values() if isinstance(value, dict) else value
        return any(type(part).__module__ == "numpy" for part in parts)
    library = type(value).__module__.partition(".")[0]
    return library in _TABULAR or holds(value, "__arrow_c_stream__")
