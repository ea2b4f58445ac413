"""Gate: who may look at the dashboard.

Whoever has the token, where there is one. Without one only this machine can connect;
then the name that the browser asked for must be this machine's, or any page on the web
could have a browser here ask in its place, by a name of its own.
"""

from __future__ import annotations

import hashlib
import hmac

#: The names by which this machine calls itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Gate:
    """Lets visitors in.

    Args:
        host: the address that the server listens on.
        port: its port, which the cookie is named after: browsers do not tell ports apart.
        token: what visitors must have; empty where only this machine can connect.
    """

    def __init__(self, host: str, port: int, token: str) -> None:
        self.cookie = f"nbflow-{port}"
        self._names = (*LOOPBACK, host)
        self._token = token
        made = hmac.new(token.encode(), b"nbflow dashboard", hashlib.sha256)
        #: What a browser that came with the token shows from then on.
        self.pass_ = made.hexdigest()

    def is_token(self, token: str) -> bool:
        """Return whether this is the token."""
        return bool(self._token) and _same(token, self._token)

    def admits(self, name: str, shown: str) -> bool:
        """Return whether a visitor may look.

        Args:
            name: the host that the browser asked for, without the port.
            shown: its cookie.
        """
        if self._token:
            return _same(shown, self.pass_)
        return name.strip("[]") in self._names


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
