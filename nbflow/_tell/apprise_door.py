"""AppriseDoor: the only import of Apprise, and what nbflow needs of it.

Apprise writes addresses into its log, tokens included: what it says here goes nowhere but
to `Answer`, as one of a few sentences of nbflow's own.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from nbflow._core.notice import Message

#: Seconds for a connection, and for an answer, where an address does not say them itself
#: (``?cto=5&rto=20``).
_PATIENCE = 10.0
#: Services that send mails, which show markup as it is meant.
_MAILS = frozenset((
    "mailto", "mailtos", "azure", "brevo", "mailersend", "mailgun", "o365", "resend",
    "sendgrid", "ses", "smtp2go", "sparkpost",
))  # fmt: skip
#: How the line begins in which Apprise names an exception of the network.
_EXCEPTION = "Socket Exception"
_NO_CONNECTION = re.compile(r"(?i)connect ?timeout|connection to .* timed out")
_NO_ANSWER = re.compile(r"(?i)\btimed out\b")
_STATUS = re.compile(r"\berror ?[=:] ?(\d{3})\b")


class Answer(NamedTuple):
    """What became of one attempt, or of several.

    Attributes:
        state: ``"sent"``; ``"refused"``, when nothing arrived; ``"unknown"``, when the
            service took the message and did not answer.
        why: what is wrong, in a few words, without the address.
    """

    state: Literal["sent", "refused", "unknown"]
    why: str = ""


def load() -> Any:
    """Apprise.

    Raises:
        UsageError: it is not installed.
    """
    is_new = "apprise" not in sys.modules
    try:
        import apprise
    except ImportError:
        raise UsageError(
            "Notifications need Apprise, which is not installed: pip install "
            "'nbflow[notify]'."
        ) from None
    if is_new:
        # Nobody asked for its log, which would print to stderr, with addresses.
        logger = logging.getLogger("apprise")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    return apprise


def service_of(url: str) -> str:
    """The name of the service that an address belongs to; nothing if Apprise cannot use it."""
    plugin = load().Apprise.instantiate(url, suppress_exceptions=True)
    return "" if plugin is None else str(plugin.service_name)


def knows(scheme: str) -> bool:
    """Whether a service has addresses that begin like this."""
    return scheme.lower() in load().NotificationManager()


class _Said(logging.Handler):
    """Keeps what Apprise says went wrong in one attempt.

    Its other lines hold the message, whose words would be taken for its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno >= logging.WARNING or line.startswith(_EXCEPTION):
            self.lines.append(line)


def attempt(url: str, message: Message) -> Answer:
    """Send a message to an address once."""
    apprise = load()
    plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if plugin is None:
        return Answer("refused", "Apprise cannot use the address")
    for option, name in (("cto", "connect"), ("rto", "read")):
        if f"{option}=" not in url:
            setattr(plugin, f"socket_{name}_timeout", _PATIENCE)
    said = _Said()
    plugin.logger = logging.Logger("apprise", logging.DEBUG)  # noqa: LOG001  # of this attempt alone: nobody else hears it
    plugin.logger.addHandler(said)
    try:
        is_sent = plugin.notify(**_arguments(apprise, url, message))
    except Exception as error:
        # As many as there are services; the message may hold the address.
        return Answer("refused", f"Apprise failed of a {type(error).__name__}")
    return Answer("sent") if is_sent else _answer("\n".join(said.lines))


def _arguments(apprise: Any, url: str, message: Message) -> dict[str, object]:
    is_mail = url.partition(":")[0].lower() in _MAILS and bool(message.html)
    formats = apprise.NotifyFormat
    return {
        "title": message.title,
        "body": message.html if is_mail else message.text,
        "body_format": formats.HTML if is_mail else formats.TEXT,
        "notify_type": getattr(apprise.NotifyType, message.level.upper()),
    }


def _answer(said: str) -> Answer:
    """What a failed attempt means, by what Apprise said of it."""
    if status := _STATUS.search(said):
        return Answer("refused", f"it answered {status[1]}")
    if not _NO_CONNECTION.search(said) and _NO_ANSWER.search(said):
        return Answer("unknown", "it did not answer in time")
    if re.search("(?i)connect|socket|refused|unreachable|resol", said):
        return Answer("refused", "it cannot be reached")
    return Answer("refused", "it did not take the message")
