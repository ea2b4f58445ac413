"""ByHand: ``nf.notify``, which code calls to tell people something."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._core.notice import Message
from nbflow._core.visible import encodable, seen
from nbflow._key.secret import KNOWN
from nbflow._key.warning import warn
from nbflow._tell import address
from nbflow._tell.delivery import deliver
from nbflow._tell.telling import telling
from nbflow.errors import NbflowWarning, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow._tell.address import Address

_LEVELS = ("info", "success", "warning", "failure")


def notify(
    title: str, text: str = "", *, to: str | Iterable[str] = (), level: str = "info"
) -> bool:
    """Tell people something, now, through Apprise: mail, Slack, Teams, Telegram, ntfy, a web hook, ...

    ::

        nf.notify("The report is ready", "https://intranet/reports/monday")

    It sends what it is given, so leave out of it what must not leave the machine; values
    of `nbflow.secret` are masked. It waits up to 30 seconds, and tries again what was
    refused. In a step it is remembered as all the step does: the same inputs tell
    nobody twice. In ``async`` code, ``await asyncio.to_thread(nf.notify, ...)``.

    Args:
        title: one line: the subject of a mail.
        text: what else there is to say.
        to: addresses of Apprise, or ``"env:NAME"`` for those in a variable; without any,
            those of the job (``nbflow run --notify``), ``NBFLOW_NOTIFY`` or ``notify``
            of ``[tool.nbflow]`` in ``pyproject.toml``.
        level: ``"info"``, ``"success"``, ``"warning"`` or ``"failure"``, which services
            show as a colour or an icon.

    Returns:
        Whether every address has it. A server that refuses or hangs is a warning,
        never an error.

    Raises:
        UsageError: there is no address, Apprise does not know one or is not installed,
            or the title is empty.
    """
    if not isinstance(title, str) or not title.strip():
        raise UsageError('nf.notify needs a title, a text: nf.notify("It is done").')
    if not isinstance(text, str):
        raise UsageError(f"text={text!r} has to be a text.")
    if level not in _LEVELS:
        raise UsageError(f"level={level!r} has to be one of {', '.join(_LEVELS)}.")
    line = seen(encodable(KNOWN.mask(" ".join(title.split()))))
    body = encodable(KNOWN.mask(text)) or line
    answers = list(deliver(_addresses(to), Message(line, body, "", level)))
    for one, answer in answers:
        if answer.state != "sent":
            warn(f"The notice to {one} was not confirmed: {answer.why}.", NbflowWarning)
    return all(answer.state == "sent" for _, answer in answers)


# A step that names it has this module in its key, as people import it.
notify.__module__ = "nbflow"


def _addresses(to: str | Iterable[str]) -> tuple[Address, ...]:
    texts = [to] if isinstance(to, str) else list(to)
    if not all(isinstance(one, str) for one in texts):
        raise UsageError("to= has to be an address of Apprise, or a list of them.")
    if any(one.strip() for one in texts):
        return address.addresses(texts, "nf.notify(to=...)")
    found = telling(Path.cwd()).addresses
    if not found:
        raise UsageError(
            "nf.notify has no address: give to=..., or set NBFLOW_NOTIFY, or notify of "
            "[tool.nbflow] in pyproject.toml."
        )
    return found
