"""Explain: two codes, or two sets of inputs -> what differs, in words that the author of the notebook would use."""

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
        """The two texts as a unified diff."""
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
    """What differs between the parts of two codes; the own code first, then as the code is read."""
    old, new = _by_name(before), _by_name(after)
    own = after[0].name if after else ""
    changes = [
        _changed(old[name], part, own=part.name == own)
        for name, part in new.items()
        if name in old and old[name].digest != part.digest
    ]
    both = {part.name for part in before} & {part.name for part in after}
    come = [
        part
        for name, part in new.items()
        if name not in old and (not part.frame or part.frame in both)
    ]
    gone = [
        part
        for name, part in old.items()
        if name not in new and (not part.frame or part.frame in both)
    ]
    changes += [
        Change(
            part.name,
            f"{part.name} is new" if part.frame else f"it now reads `{part.name}`",
            "",
            part.text,
        )
        for part in come
    ]
    changes += [
        Change(
            part.name,
            f"{part.name} is gone"
            if part.frame
            else f"it no longer reads `{part.name}`",
            part.text,
            "",
        )
        for part in gone
    ]
    frames = {
        part.frame
        for part in (*before, *after)
        if any(part.name == change.name for change in changes)
    }
    changes = [
        change for change in changes if change.name not in frames
    ]  # its columns say it
    whole = {part.frame for part in after}
    changes = [
        replace(change, words=f"{change.words} ({_BESIDE})")
        if change.name in whole & both
        else change
        for change in changes
    ]
    told = {change.name for change in changes}
    return [
        change for change in changes if change.name.rpartition(".")[0] not in told
    ]  # the class says it for its members


def _by_name(parts: Sequence[Part]) -> dict[tuple[str, int], Part]:
    """Parts by name; of two with one name the first is the first in both codes."""
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
    words = (
        "its own code changed"
        if own and after.kind == "function"
        else _WORDS.get(after.kind, "{} changed").format(after.name)
    )
    where = _where(before.text, after.text, is_code=after.kind in ("function", "class"))
    return Change(
        after.name, f"{words} ({where})" if where else words, before.text, after.text
    )


def _where(before: str, after: str, *, is_code: bool) -> str:
    """Say where two texts begin to differ: ``line 3: 'Pick one' -> 'Choose one'``."""
    if not before or not after or before == after:
        return ""
    old, new = (_lines(text, is_code=is_code) for text in (before, after))
    if len(old) == len(new) == 1:
        return _versus(
            old[0][1], new[0][1], quoted=not is_code and not _is_literal(before, after)
        )
    import difflib

    matcher = difflib.SequenceMatcher(
        None, [text for _, text in old], [text for _, text in new], autojunk=False
    )
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    if not blocks:
        return ""
    _, first, last, start, stop = blocks[0]
    line = new[start][0] if start < len(new) else new[-1][0] + 1
    gone, come = (
        " ".join(text for _, text in lines)
        for lines in (old[first:last], new[start:stop])
    )
    more = len(blocks) - 1
    return f"line {line}: {_versus(gone, come, quoted=True)}" + (
        f", and {more} more place{'s' * (more > 1)}" if more else ""
    )


def _lines(text: str, *, is_code: bool) -> list[tuple[int, str]]:
    """The lines that count, stripped, each with its number from 1."""
    lines = _bare(text) if is_code else text.split("\n")
    return [
        (number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()
    ] or [(1, "")]


def _is_literal(*texts: str) -> bool:
    """Tell whether both texts are written as values, not words: ``3``, ``[1, 2]``, ``Decimal('1')``."""
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
        start = max(0, start - _WIDTH // 3)
    shown = [
        ("..." if start else "")
        + text[start : start + _WIDTH]
        + ("..." if len(text) > start + _WIDTH else "")
        for text in (before, after)
    ]
    if not before.strip() or not after.strip():
        return (
            f"{_quoted(shown[1], quoted)} was added"
            if after.strip()
            else f"{_quoted(shown[0], quoted)} was removed"
        )
    return f"{_quoted(shown[0], quoted)} -> {_quoted(shown[1], quoted)}"


def _quoted(text: str, quoted: bool) -> str:  # noqa: FBT001
    return repr(text) if quoted else text


def _bare(source: str) -> list[str]:
    """The lines of a function or class without comments and docstrings, which do not count."""
    lines = source.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                line = lines[token.start[0] - 1]
                lines[token.start[0] - 1] = line[: token.start[1]].rstrip()
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
                and ast.get_docstring(node) is not None
            ):
                said = node.body[0]
                lines[said.lineno - 1 : said.end_lineno] = [""] * (
                    (said.end_lineno or said.lineno) - said.lineno + 1
                )
    except (SyntaxError, tokenize.TokenError, IndentationError):
        return source.split("\n")
    return lines


def input_changes(before: Sequence[Input], after: Sequence[Input]) -> list[Change]:
    """What differs between the inputs of two calls: columns of frames and fields of records where they are known."""
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
    kept = [part for part in new if old.get(part) == new[part]]
    if not kept or before.kind != after.kind:
        return [Change(after.name, f"`{after.name}` changed")]
    said = [
        f"{after.kind} `{part}` of `{after.name}` "
        + ("changed" if part in old else "is new")
        for part in new
        if part not in kept
    ]
    said += [
        f"{after.kind} `{part}` of `{after.name}` is gone"
        for part in old
        if part not in new
    ]
    if not said:
        order = _BESIDE if after.kind == "column" else "the order of its fields"
        said = [f"`{after.name}` changed ({order})"]
    return [Change(after.name, words) for words in said]


def listed(changes: Sequence[Change]) -> str:
    """Changes as part of a sentence: the first ones, and how many more."""
    words = [change.words for change in changes]
    if len(words) > _NAMED:
        more = len(words) - _NAMED
        words = [*words[:_NAMED], f"{more} more thing{'s' * (more > 1)} changed"]
    return (
        ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]
        if words
        else ""
    )
