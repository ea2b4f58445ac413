"""Visible: text that controls no terminal, and that UTF-8 can hold."""

#: What a terminal would interpret, what changes the direction of the text around it, and
#: halves of characters (as in names of files that are no UTF-8), as visible marks.
_SEEN = (
    {code: 0x2400 + code for code in range(32)}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), 0x202D, 0x202E), 0xFFFD)
    | dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
)


_READABLE = {code: mark for code, mark in _SEEN.items() if chr(code) not in "\t\n"}


def seen(text: str) -> str:
    """A text of which every character is visible, and none controls a terminal."""
    return text.translate(_SEEN)


def encodable(text: str) -> str:
    """The same text, with halves of characters as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def readable(text: str) -> str:
    """The same for a text of several lines: lines and tabs stay what they are."""
    return text.translate(_READABLE)
