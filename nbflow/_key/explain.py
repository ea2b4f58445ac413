"""Explain: two codes, or two sets of inputs -> what differs.

The words are those that the author of the notebook would use.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbflow._key.call import Input
    from nbflow._key.code import Part

#: Characters of a changed line that are shown.
_WIDTH = 60
#: What changed in a frame when none of its columns did.
_BESIDE = "its index, its attrs or the order of its columns"
#: The same of an object.
_BESIDE_FIELDS = "its class, or what it holds beside its fields"
#: Changes that are named one by one.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        name: of the helper, global, argument.
        words: ```PROMPT` changed (line 3: 'Pick one' -> 'Choose one')``.
        before: its text then, empty where there is none.
        after: its text now.
    """

    name: str
    words: str
    before: str = ""
    after: str = ""

    def diff(self) -> str:
        """Return the two texts as a unified diff."""
        import difflib  # takes a while to load, and few calls are explained

        lines = difflib.unified_diff(
            self.before.splitlines(),
            self.after.splitlines(),
            f"{self.name}, before",
            f"{self.name}, now",
            lineterm="",
        )
        return "\n".join(lines)


def code_changes(before: Sequence[Part], after: Sequence[Part]) -> list[Change]:
    """Return what differs between the parts of two codes.

    The own code comes first, then the rest as the code is read.
    """
    old, new = _by_name(before), _by_name(after)
    both = {part.name for part in before} & {part.name for part in after}
    own = after[0].name if after else ""
    changes = []
    for name, part in new.items():
        if name in old and old[name].digest != part.digest:
            changes.append(_changed(old[name], part, own=part.name == own))
    for name, part in new.items():
        if name not in old and _is_told(part, both):
            changes.append(_new(part))
    for name, part in old.items():
        if name not in new and _is_told(part, both):
            changes.append(_gone(part))
    changes = _without_frames(changes, before, after)
    told = {change.name for change in changes}
    # A class says it for its members.
    return [change for change in changes if change.name.rpartition(".")[0] not in told]


def _is_told(part: Part, both: set[str]) -> bool:
    """Return whether a part that came or went is worth a word.

    A column is not if its whole frame came or went.
    """
    return not part.frame or part.frame in both


def _new(part: Part) -> Change:
    words = f"{part.name} is new" if part.frame else f"it now reads `{part.name}`"
    return Change(part.name, words, after=part.text)


def _gone(part: Part) -> Change:
    words = f"it no longer reads `{part.name}`"
    if part.frame:
        words = f"{part.name} is gone"
    return Change(part.name, words, before=part.text)


def _without_frames(
    changes: list[Change], before: Sequence[Part], after: Sequence[Part]
) -> list[Change]:
    """Leave out frames whose columns say what changed, and say of the others that it is none of their columns."""
    names = {change.name for change in changes}
    said = {part.frame for part in (*before, *after) if part.name in names}
    both = {part.name for part in before} & {part.name for part in after}
    frames = both & {part.frame for part in after}
    found = []
    for change in changes:
        if change.name in said:
            continue
        if change.name in frames:
            found.append(replace(change, words=f"{change.words} ({_BESIDE})"))
        else:
            found.append(change)
    return found


def _by_name(parts: Sequence[Part]) -> dict[tuple[str, int], Part]:
    """Return parts by name and number; of two with one name the first is the first in both codes."""
    found: dict[tuple[str, int], Part] = {}
    for part in parts:
        place = 0
        while (part.name, place) in found:
            place += 1
        found[part.name, place] = part
    return found


_WORDS = {
    "function": "helper `{}` changed",
    "class": "class `{}` changed",
    "value": "`{}` changed",
    "version": "the version of `{}` changed",
}


def _changed(before: Part, after: Part, *, own: bool) -> Change:
    words = _WORDS.get(after.kind, "{} changed").format(after.name)
    if own and after.kind == "function":
        words = "its own code changed"
    where = _where(before.text, after.text, is_code=after.kind in ("function", "class"))
    if where:
        words = f"{words} ({where})"
    return Change(after.name, words, before.text, after.text)


def _where(before: str, after: str, *, is_code: bool) -> str:
    """Say where two texts begin to differ: ``line 3: 'Pick one' -> 'Choose one'``."""
    if not before or not after or before == after:
        return ""
    old, new = _lines(before, is_code=is_code), _lines(after, is_code=is_code)
    old_text, new_text = [line for _, line in old], [line for _, line in new]
    if len(old) == len(new) == 1:
        quoted = not is_code and not _is_literal(before, after)
        return _versus(old_text[0], new_text[0], quoted=quoted)
    import difflib  # takes a while to load, and few calls are explained

    matcher = difflib.SequenceMatcher(None, old_text, new_text, autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    if not blocks:
        return ""
    _, first, last, start, stop = blocks[0]
    line = new[start][0] if start < len(new) else new[-1][0] + 1
    gone, come = " ".join(old_text[first:last]), " ".join(new_text[start:stop])
    words = f"line {line}: {_versus(gone, come, quoted=True)}"
    more = len(blocks) - 1
    if not more:
        return words
    return f"{words}, and {more} more {'places' if more > 1 else 'place'}"


def _lines(text: str, *, is_code: bool) -> list[tuple[int, str]]:
    """Return the lines that count, stripped, each with its number from 1; there is at least one."""
    lines = _bare(text) if is_code else text.split("\n")
    stripped = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    return [(number, line) for number, line in stripped if line] or [(1, "")]


def _is_literal(*texts: str) -> bool:
    """Return whether both texts are written as values, not words: ``3``, ``[1, 2]``, ``Decimal('1')``."""
    for text in texts:
        try:
            if not isinstance(ast.parse(text, mode="eval").body, ast.Call):
                ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return False
    return True


def _versus(before: str, after: str, *, quoted: bool) -> str:
    start = 0
    if max(len(before), len(after)) > _WIDTH:
        while start < min(len(before), len(after)) and before[start] == after[start]:
            start += 1
        # A bit of what is the same says where the difference is.
        start = max(0, start - _WIDTH // 3)
    old, new = _cut(before, start), _cut(after, start)
    if quoted:
        old, new = repr(old), repr(new)
    if not after.strip():
        return f"{old} was removed"
    if not before.strip():
        return f"{new} was added"
    return f"{old} -> {new}"


def _cut(text: str, start: int) -> str:
    """Return so much of a text as is shown, with dots where something is left out."""
    end = start + _WIDTH
    before = "..." if start else ""
    after = "..." if len(text) > end else ""
    return f"{before}{text[start:end]}{after}"


def _bare(source: str) -> list[str]:
    """Return the lines of a function or class without comments and docstrings, which do not count."""
    lines = source.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                row, column = token.start
                lines[row - 1] = lines[row - 1][:column].rstrip()
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if ast.get_docstring(node) is not None:
                said = node.body[0]
                for line in range(said.lineno, (said.end_lineno or said.lineno) + 1):
                    lines[line - 1] = ""
    except (SyntaxError, tokenize.TokenError, IndentationError):
        return source.split("\n")
    return lines


def input_changes(before: Sequence[Input], after: Sequence[Input]) -> list[Change]:
    """Return what differs between the inputs of two calls.

    That is columns of frames and fields of records, where they are known.
    """
    old = {given.name: given for given in before}
    changes: list[Change] = []
    for given in after:
        known = old.pop(given.name, None)
        if known is None:
            changes.append(Change(given.name, f"argument `{given.name}` is new"))
        elif known.digest != given.digest:
            changes += _parts_changed(known, given)
    return changes + [Change(name, f"argument `{name}` is gone") for name in old]


def _parts_changed(before: Input, after: Input) -> list[Change]:
    old, new = dict(before.parts), dict(after.parts)
    kept = [part for part in new if part and old.get(part) == new[part]]
    if not kept or before.kind != after.kind:
        return [Change(after.name, f"`{after.name}` changed")]
    said = []
    for part in filter(None, new):
        if part not in kept:
            what = "changed" if part in old else "is new"
            said.append(f"{after.kind} `{part}` of `{after.name}` {what}")
    gone = [part for part in old if part not in new]
    said += [f"{after.kind} `{part}` of `{after.name}` is gone" for part in gone]
    if "" in old and old[""] != new.get("", old[""]):
        said.append(f"the class of `{after.name}` changed")
    said = said or [f"`{after.name}` changed ({_beside(after)})"]
    return [Change(after.name, words) for words in said]


def _beside(given: Input) -> str:
    """Return what changed in an input when none of its parts did."""
    if given.kind == "column":
        return _BESIDE
    is_object = "" in dict(given.parts)
    return _BESIDE_FIELDS if is_object else "the order of its fields"


def listed(changes: Sequence[Change]) -> str:
    """Return changes as part of a sentence: the first ones, and the number of the others."""
    words = [change.words for change in changes]
    more = len(words) - _NAMED
    if more > 0:
        things = "things" if more > 1 else "thing"
        words = [*words[:_NAMED], f"{more} more {things} changed"]
    if len(words) <= 1:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
