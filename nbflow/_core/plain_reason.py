"""Plain reason: why a record failed, in words of somebody who writes no code.

An error's class says what kind of trouble it was; a message that was written to be read
says it best. What neither says is a developer's business.
"""

from __future__ import annotations

from nbflow._core.table import short

#: Characters of a message.
_LENGTH = 200
_DEVELOPER = "The program could not handle it: a developer has to look."
#: Parts of the names of errors, and what such an error means; the first that fits.
_MEANINGS = (
    (("Timeout", "TimedOut"), "It took too long to get an answer."),
    (
        ("RateLimit", "TooManyRequests", "RetryAfter"),
        "A service was too busy: it had been asked too much at once.",
    ),
    (("Budget",), "The budget was used up before its turn came."),
    (
        ("Connect", "SSL", "gaierror", "BrokenPipe", "Unavailable", "URLError", "DNS"),
        "A service that it needs could not be reached.",
    ),
    (
        ("Authentication", "Unauthorized", "Forbidden", "PermissionDenied"),
        "A service that it needs refused access.",
    ),
    (
        ("Validation", "Decode", "UnexpectedModel", "ParserError"),
        "An answer, or the record itself, did not have the expected form.",
    ),
    (
        ("HTTP", "APIStatus", "APIError", "InternalServer"),
        "A service that it needs answered with an error.",
    ),
)
#: Errors whose messages are about code.
_OF_CODE = frozenset(
    (
        *("AttributeError", "ImportError", "IndexError", "KeyError", "LookupError"),
        *("ModuleNotFoundError", "NameError", "NotImplementedError", "RecursionError"),
        *("SyntaxError", "TypeError", "UnboundLocalError", "ZeroDivisionError"),
        *("CodecError", "UnkeyableError", "StoreError", "SystemExit", "MemoryError"),
    )
)


def reason_of(error: str, message: str) -> str:
    """Return why something failed, as one sentence.

    Args:
        error: the name of the error's class.
        message: what it said.
    """
    if error == "NonRetriableError" and message:
        return _quoted(message)  # its author wrote it to be read
    for parts, meaning in _MEANINGS:
        if any(part in error for part in parts):
            return meaning
    if error in _OF_CODE or " " not in message.strip():
        return _DEVELOPER
    return _quoted(message)


def _quoted(message: str) -> str:
    return f"\u201c{short(message, _LENGTH)}\u201d"
