"""Heartbeat: a request to a dead man's switch, which tells people when it stays out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._tell.apprise_door import Answer
from nbflow._tell.delivery import USUAL, Limits, tried
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "NBFLOW_HEARTBEAT"
#: Seconds for an answer.
_PATIENCE = 10.0


def check(urls: Sequence[str], where: str) -> str:
    """The one URL that is pinged; empty without any.

    Raises:
        UsageError: it is none that can be, or there are several.
    """
    if not urls:
        return ""
    if len(urls) > 1:
        raise UsageError(f"{where}: give one URL; a heartbeat goes to one switch.")
    if not urls[0].startswith(("http://", "https://")):
        raise UsageError(
            f"{where} has to be the http:// or https:// URL that your dead man's switch "
            "shows."
        )
    return urls[0]


def beat(url: str, limits: Limits = USUAL) -> Answer:
    """Ask the URL for nothing but to note that this job is well."""
    return tried(lambda: _once(url), limits)


def _once(url: str) -> Answer:
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "nbflow"})  # noqa: S310  # `check` allows http and https alone
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310  # as above
            return Answer("sent")
    except urllib.error.HTTPError as error:
        return Answer("refused", f"it answered {error.code}")
    except TimeoutError:
        return Answer("unknown", "it did not answer in time")
    except (OSError, ValueError, http.client.HTTPException):
        # The reason may hold the URL.
        return Answer("refused", "it cannot be reached")
