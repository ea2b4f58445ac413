"""Query texts: names that a library looks up for a text, as pandas does for ``df.query("a > @LIMIT")``.

Neither byte code nor syntax shows them. Which text ends up in which call, nobody knows:
code that makes such calls reads the names in all texts that it reaches.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from nbflow._key.origin import holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Asks(NamedTuple):
    """A call that looks up names for a text.

    Attributes:
        names: which words of the text are names: those after an ``"@"``, all
            (``"words"``), those of ``"tables"``, those of a ``"formula"``.
        hidden: local variables of the code around it, which hide globals.
    """

    names: str
    hidden: frozenset[str] = frozenset()


_MARKED, _WORDS, _TABLES, _FORMULA, _DUCKDB = (
    "@",
    "words",
    "tables",
    "formula",
    "duckdb",
)
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


def looks_up(name: str, owner: object) -> bool:
    """Return whether a call of this name may look up names for a text; see `asked_by`."""
    return any(asked_by(name, owner, frozenset()))


def texts_in(value: object) -> Iterator[str]:
    """Yield the texts in a plain value."""
    kind = type(value)
    if isinstance(value, str) and kind is str:
        yield value
    elif isinstance(value, dict) and kind is dict:
        yield from texts_in([*value.values()])
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from texts_in(item)


def names_for(asks: Asks, texts: Iterable[str]) -> set[tuple[str, ...]]:
    """Return the names, dotted ones as tuples, that a call may look up for one of these texts."""
    if asks.names == _DUCKDB and "duckdb" not in sys.modules:
        return set()
    name = _MARKED_NAME if asks.names == _MARKED else _NAME
    found: set[tuple[str, ...]] = set()
    for text in texts:
        if asks.names != _FORMULA or "~" in text:
            found.update(tuple(word.split(".")) for word in name.findall(text))
    return {chain for chain in found if chain[0] not in asks.hidden}


def is_read(asks: Asks, value: object) -> bool:
    """Return whether a value that a word of a text names is what the call reads: SQL reads tables alone."""
    if asks.names not in (_TABLES, _DUCKDB):
        return True
    if isinstance(value, (list, dict)):  # of arrays
        parts = value.values() if isinstance(value, dict) else value
        return any(type(part).__module__ == "numpy" for part in parts)
    library = type(value).__module__.partition(".")[0]
    return library in _TABULAR or holds(value, "__arrow_c_stream__")
