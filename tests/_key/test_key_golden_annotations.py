"""Digests of what later Pythons keep, spell or place in another way: the same literals on each of them.

Annotations first: evaluated where they stand up to Python 3.13, and when somebody asks since 3.14. Then unions, which
were two classes, docstrings, and names that Python's library moved. A literal that changes here changes keys, as in
`test_key_golden`.
"""

import ast
import dataclasses
import sys
import threading
import typing
import urllib.parse
import warnings
from pathlib import Path

import pytest

from nbflow._key.cell_names import reach
from nbflow._key.reader import digest, read

FIELDS = """
    plain: int
    maybe: Optional[int] = None
    either: Union[int, str, None] = 1
    bars: int | None = None
    many: list[Optional[Part]] = dataclasses.field(default_factory=list)
    quoted: "Part" = None
    inside: list["Part"] | None = None
    old: Optional["Part"] = None
    word: Literal["a", 1] = "a"
    said: Annotated[str, "as the customer says it"] = ""
    call: Callable[[int], Part] | None = None
"""
HEAD = """
import dataclasses, enum
from typing import *
@dataclasses.dataclass
class Part:
    '''A part
        of many lines

    of the whole.
    '''
    size: int = 1
"""
STEP = """
def step(x):
    return Row, Row(x)
"""
DATACLASS = f"{HEAD}\n@dataclasses.dataclass\nclass Row:{FIELDS}    shared: ClassVar[Part | None] = None{STEP}"
CODES = {
    "dataclass": DATACLASS,
    "future": "from __future__ import annotations\n" + DATACLASS,
    "keywords": f"{HEAD}\n@dataclasses.dataclass(slots=True)\nclass Row:\n    a: int\n    _: dataclasses.KW_ONLY\n"
    f"    b: int = dataclasses.field(default=1, metadata={{'unit': 'EUR'}}){STEP}",
    "bare": f"{HEAD}\nclass Row:{FIELDS.replace('dataclasses.field(default_factory=list)', 'None')}{STEP}",
    "named tuple": f"{HEAD}\nclass Row(NamedTuple):{FIELDS.replace('dataclasses.field(default_factory=list)', '()')}{STEP}",
    "typed dict": f"{HEAD}\nclass Row(TypedDict, total=False):\n    a: int\n    b: 'Part'\n    c: Optional[Part]{STEP}",
    "protocol": f"{HEAD}\nclass Row(Protocol):\n    a: Part\n    b: 'Part'\ndef step(x):\n    return Row\n",
    "enum": f"{HEAD}\nclass Row(enum.Enum):\n    _ignore_ = 'note'\n    note: Part\n    A = 1\ndef step(x):\n    return Row\n",
    "pydantic": f"import pydantic{HEAD}\nclass Row(pydantic.BaseModel):\n    a: Optional[Part] = None\n"
    f"    b: 'Part | None' = None\n    c: Annotated[int, pydantic.Field(ge=0)] = 1{STEP}",
    "attrs": f"import attrs{HEAD}\n@attrs.define\nclass Row:\n    a: Optional[Part] = None\n    b: 'Part | None' = None{STEP}",
    "methods": f"{HEAD}\nclass Row:\n    Unit = int\n    a: Optional[Part]\n    b: Union[Unit, 'Part']\n"
    f"    c: Annotated[Unit, Part]\n    def use(self, x: Unit, y: Part | None = None) -> 'Part':\n        return x\n{STEP}",
    "dataclass with methods": DATACLASS.replace(
        "shared:", "def use(self, x: Part) -> int:\n        return x\n    shared:"
    ),
    "self": f"{HEAD}\n@dataclasses.dataclass\nclass Row:\n    next: 'Row | None' = None\n    part: Optional['Row'] = None{STEP}",
    "function": f"{HEAD}\ndef step(x: Part, *y: 'Part', z: Optional[int] = 1) -> Union[int, Part]:\n    return x\n",
    "inner function": f"{HEAD}\nimport functools\ndef step(x):\n    T = int\n    @functools.cache\n"
    "    def inner(y: T, z: Part) -> Optional[Part]:\n        return y\n"
    "    def bare(y: T, z: Part) -> Optional[Part]:\n        return y\n    n: Part = x\n    return inner, bare, n\n",
    "inner class": f"{HEAD}\ndef step(x):\n    T = int\n    class Inner:\n        U = str\n        a: T\n        b: U\n"
    "        c: Part = x\n        def use(self, y: U, z: Part): return super().use(y)\n    return Inner\n",
    "said": f"{HEAD}\ndef f(x: Part, y: Optional[int] = None) -> 'Part':\n    '''Say\n        what\n    it does.'''\n"
    "def step(x):\n    return f.__annotations__, f.__doc__\n",
    "decorated": f"{HEAD}\nimport functools\n@functools.cache\ndef step(x: Optional[Part], y: 'Part') -> Annotated[int, Part]:\n"
    "    return x\n",
    "imports": "def step(x):\n    import re, os.path as p\n    from json import dumps\n    return re.match(x, ''), p, dumps\n",
    "moved": "from pathlib import Path, PurePath\nfrom re import error, match, sub\nfrom math import gcd, sqrt\n"
    "from warnings import catch_warnings, simplefilter\nfrom threading import Lock\nfrom decimal import getcontext\n"
    "from asyncio import all_tasks, current_task\nfrom os.path import islink, join, lexists, normpath\n"
    "from typing import Annotated, ForwardRef, Optional, Union\nfrom inspect import get_annotations\nfrom io import open\n"
    "def step(x, kind=Path):\n    try:\n        return Path(x), PurePath, match, sub, gcd, sqrt, catch_warnings, Lock, current_task\n"
    "    except error:\n        return simplefilter, getcontext, all_tasks, islink, join, lexists, normpath, get_annotations\n"
    "    finally:\n        Annotated[int, 1], ForwardRef('X'), Optional[int], Union[int, str], open\n",
}
GOLDEN_CODES = {
    "dataclass": "558577911f12fc5e877d1713719c4e67ec75d3cb",
    "future": "a00ac71175a4f9b50d0e269365d2c402c83cbedf",
    "keywords": "bd1f0b8271ddcd323cbdae5acb8e8ef1ed56a5f4",
    "bare": "0be3ce0525096d2ce1e118741db76cf8e0eca9b4",
    "named tuple": "357d1ae3f1cbd0d4a7268272e4081ad03b445eaa",
    "typed dict": "043aa25a9586b6794df08219f2b03a144aa6526b",
    "protocol": "716b26aba29e20458428353069ad883c9c429cd5",
    "enum": "9c6a9312fef696bc670947b8cc96f25098bb5a65",
    "pydantic": "35a000c97e26ddfb8836ad5ade1d6108f590d654",
    "attrs": "703fff324d1f998096af899fe64357053c415c33",
    "methods": "615c41fe7d08a6c8024df565c0871c260698ffc0",
    "dataclass with methods": "25fd70f6d84392c30f531e1379a6df2668a36092",
    "self": "9b34c05df89e58b4c7355b42bf79831ab5a9fd82",
    "function": "dcdd41fd28aa5cb67e8f782b5f101275faac5e1f",
    "inner function": "266f263d198ee00725648914097a307460b6c2d0",
    "inner class": "fdbf2ad0688e9302d34d1a6a67bc11ad825f8900",
    "said": "4ab3b3789dc66227703e821cd96e4a723e0334f1",
    "decorated": "c59d6bd7db97bd3767c9002d7071d0ea3d018139",
    "imports": "c8abbce32a10a40b14f89a27df7ce2db3f52be34",
    "moved": "02a998a008adcbae481363ea704cded3a53605a1",
}
VALUES = {
    "unions": [
        int | None,
        typing.Optional[int],  # noqa: UP045  # the other class
        typing.Union[int, "X"],  # noqa: F821  # a forward reference
        typing.Union,
    ],
    "forward": [typing.ForwardRef("X"), typing.List["X"]],  # noqa: UP006, F821  # a forward reference
    "moved": [Path, threading.Lock, warnings.catch_warnings, typing.Annotated, open],
    "marks": [dataclasses.MISSING, dataclasses.KW_ONLY],
    "url": urllib.parse.urlparse("https://example.org/a?b=1"),
}
GOLDEN_VALUES = {
    "unions": "b2cf0e55d5f370a51551e91f3cf799951aa21184",
    "forward": "b0d5980e643d364baf3b6ee896b1dcde9da7cd46",
    "moved": "4cc46e15f1d18f6cd1d2b69217f38e65c05b4bbe",
    "marks": "947b18df61eaec3de223af49400eee61e5cbfc57",
    "url": "5350484f34c9844964a9a8d03785b7822cd15530",
}


@pytest.mark.parametrize("name", CODES)
def test_digest_of_code(notebook, name):
    notebook.run(CODES[name])
    assert read(notebook["step"]).digest.hex() == GOLDEN_CODES[name]


@pytest.mark.parametrize("name", VALUES)
def test_digest_of_a_value(name):
    assert digest(VALUES[name]).hex() == GOLDEN_VALUES[name]


@pytest.mark.parametrize(
    "name",
    ["dataclass", "bare", "pydantic", "attrs", "named tuple", "typed dict", "protocol"],
)
def test_a_class_that_only_an_annotation_names_is_reached(notebook, new_notebook, name):
    notebook.run(CODES[name])
    edited = new_notebook()
    edited.run(CODES[name].replace("size: int = 1", "size: int = 2"))
    assert read(notebook["step"]).digest != read(edited["step"]).digest


def test_both_spellings_of_a_union_are_one(notebook, new_notebook):
    old = "from typing import Optional\nclass Row:\n    a: Optional[int]\ndef step(x):\n    return Row\n"
    notebook.run(old)
    other = new_notebook()
    other.run(old.replace("Optional[int]", "int | None"))
    assert read(notebook["step"]).digest == read(other["step"]).digest


def test_reading_twice_and_evaluating_between_changes_nothing(notebook):
    notebook.run(CODES["bare"])
    first = read(notebook["step"]).digest
    assert "plain" in notebook["Row"].__annotations__
    assert read(notebook["step"]).digest == first


@pytest.mark.parametrize(
    ("cell", "reads"),
    [
        ("n: T = 1\nif n:\n    m: U = n", {"T", "U"}),
        ("def f(x: T) -> 'V': return x", {"T"}),
        ("class A:\n    T = int\n    a: T\n    b: U = 1\n    def f(self, x: T, y: V): return x", {"U", "V", "int"}),
        ("class A:\n    if x:\n        a: T", {"x", "T"}),
        ("lambda: 1", set()),
    ],
)  # fmt: skip
def test_a_cell_reads_what_its_annotations_name_and_no_name_of_the_compiler(
    cell, reads
):
    assert {chain[0] for chain in reach(ast.parse(cell).body).reads} - {
        "__name__"
    } == reads


if sys.version_info >= (3, 14):

    @pytest.mark.parametrize(
        "annotation", ["Later", "list[Later]", "Later.inner | None", "1 / 0", "x.y.z"]
    )
    def test_what_cannot_be_evaluated_yet_has_a_digest(notebook, annotation):
        notebook.run(
            f"class Row:\n    a: {annotation}\n    b: int\nx = 1\n{STEP}def f(a: {annotation}): pass\n"
        )
        notebook.run("def other(x):\n    return f.__annotations__, Row\n")
        notebook.run(
            f"import dataclasses\n@dataclasses.dataclass\nclass Data:\n    a: {annotation}\n"
            if "1" not in annotation
            else ""
        )
        for function in ("step", "other"):
            assert read(notebook[function]).digest == read(notebook[function]).digest

    def test_a_class_that_is_defined_later_is_reached(notebook, new_notebook):
        cells = [
            "class Row:\n    a: Later\ndef step(x):\n    return Row\n",
            "class Later:\n    size = 1\n",
        ]
        edited = new_notebook()
        for cell in cells:
            notebook.run(cell)
            edited.run(cell.replace("size = 1", "size = 2"))
        assert read(notebook["step"]).digest != read(edited["step"]).digest


if sys.version_info >= (3, 15):

    def test_a_lazy_import_is_what_it_imports_before_and_after_it_is_used(
        notebook, new_notebook, local_module
    ):
        local_module(
            "tools",
            "LIMIT = 1\nclass Tool: pass\ndef clean(x):\n    return x + LIMIT\n",
        )
        eager = "import tools\nimport json as j\nfrom tools import clean as c, LIMIT\n"
        step = "def step(x):\n    return tools.clean(x), c, j.dumps(x), LIMIT\n"
        notebook.run(eager + step)
        lazy = new_notebook()
        sys.modules.pop("tools")
        lazy.run(
            eager.replace("import tools", "lazy import tools").replace(
                "from", "lazy from"
            )
            + step
        )
        expected = read(notebook["step"]).digest
        assert read(lazy["step"]).digest == expected
        lazy["step"](1)
        assert read(lazy["step"]).digest == expected
        lazy["tools"].LIMIT = 2
        assert read(lazy["step"]).digest != expected

    def test_a_lazy_import_of_nothing_has_a_digest(notebook):
        notebook.run(
            "lazy import nowhere_to_be_found\ndef step(x):\n    return nowhere_to_be_found.x\n"
        )
        assert read(notebook["step"]).digest == read(notebook["step"]).digest
