"""The dashboard: the page of a run, its results and the live tables, for people who write no code.

One process reads the store for all visitors and starts nothing: no flow is defined in
it, and its tables refuse whatever would change a run.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

#: What serves it, and what the live tables need.
_NEEDED = ("tornado", "anywidget")


def serve(host: str, port: int, say: Callable[[str], None]) -> int:
    """Serve the dashboard of the store in use until it is interrupted.

    Other machines reach it only if ``host`` says so, and then need a token;
    NBFLOW_DASHBOARD_TOKEN sets one that lasts.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        say: is called with the address to open, which holds the token.

    Returns:
        0, once it was interrupted (Ctrl-C, SIGTERM, SIGHUP).

    Raises:
        UsageError: a package is missing, the store is in the memory of this process, or
            the port is in use.
    """
    from nbflow._session import SESSION
    from nbflow.dashboard.gate import LOOPBACK, Gate
    from nbflow.notebook.execute import Stop

    if not all(map(importlib.util.find_spec, _NEEDED)):
        raise UsageError(
            "The dashboard needs more packages; install them with: pip install 'nbflow[dashboard]'"
        )
    store = SESSION.engine.store.url
    if not Path(store).is_dir():
        raise UsageError(
            f"There is no folder {store} to look at: start the dashboard beside your "
            "notebooks, or say where their store is with NBFLOW_STORE."
        )
    token = os.environ.get("NBFLOW_DASHBOARD_TOKEN", "")
    if not token and host not in LOOPBACK:
        token = secrets.token_urlsafe(18)
    from nbflow.dashboard import server
    from nbflow.dashboard.desk import Desk

    stop = Stop()
    with stop.on_signals():
        sockets = server.listen(host, port)
        query = f"?token={token}" if token else ""
        name = f"[{host}]" if ":" in host else host
        say(f"http://{name}:{port}/{query}")
        gate = Gate(host, port, token)
        server.run(Desk(SESSION.runs, SESSION), sockets, gate, stop)
    return 0
