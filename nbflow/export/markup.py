"""Markup: YAML in which every text is a text to every reader, YAML 1.1 or 1.2."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Texts that no reader takes for a number, a date, a truth value or the beginning of
#: something else.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


class Block(str):
    """A text that YAML shows as lines; ours, never a user's."""

    __slots__ = ()


def as_yaml(*documents: object) -> str:
    """Documents as YAML, in the order of their keys as given."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """PyYAML, apart from when a text needs quotes.

        PyYAML knows only YAML 1.1, where ``1e3`` and ``0o7`` are texts.
        """

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # PyYAML's own signature
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = '"'
        if isinstance(value, Block):
            style = "|"
        elif _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            style = ""
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style or None)

    Dumper.add_representer(str, text)
    Dumper.add_representer(Block, text)
    made: str = yaml.dump_all(
        documents,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=10**9,
        default_flow_style=False,
        explicit_start=len(documents) > 1,
    )
    return made


def under(comments: Iterable[str], text: str) -> str:
    """A text with comments above it."""
    return "".join(f"# {line}\n" for line in comments) + text
