"""The dashboard: history and tables for people who write no code, read-only, on Voila.

Every visitor has a kernel of his own, which reads the store and starts nothing: no flow
is defined in it, and its tables refuse whatever would change a run.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(host: str, port: int, say: Callable[[str], None]) -> int:
    """Serve the dashboard of the store in use until it is interrupted, which is its good end; the exit code of the server.

    Other machines reach it only if ``host`` says so, and then need the token that
    ``say`` is told with the address; NBFLOW_DASHBOARD_TOKEN sets one that lasts.

    Raises:
        UsageError: Voila is not installed, the store lives in this process alone, or
            the port cannot be had.
    """
    from nbflow._session import SESSION

    if importlib.util.find_spec("voila") is None:
        raise UsageError(
            "The dashboard needs Voila; install it with: pip install 'nbflow[dashboard]'"
        )
    store = SESSION.engine.store.url
    if not Path(store).is_dir():
        raise UsageError(
            f"There is no folder {store} to look at: start the dashboard beside your notebooks, or say where their store is with NBFLOW_STORE."
        )
    _check_port(host, port)
    token = os.environ.get("NBFLOW_DASHBOARD_TOKEN") or (
        "" if host in LOOPBACK else secrets.token_urlsafe(18)
    )
    command = [
        sys.executable,
        "-m",
        "voila",
        str(resources.files(__name__) / "dashboard.ipynb"),
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--Voila.log_level=WARN",
        f"--Voila.ip={host}",
        f"--Voila.auto_token={bool(token)}",
    ]
    # The token goes by the environment: everybody on this machine can read command
    # lines.
    environment = os.environ | {
        "NBFLOW_STORE": str(Path(store).resolve()),
        "JUPYTER_TOKEN": token,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    say(f"http://{host}:{port}/" + (f"?token={token}" if token else ""))
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 - this Python, and options of our own
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            server.terminate()


def _check_port(host: str, port: int) -> None:
    """Voila would take another one: the address that is told, and its token, would be of whoever has this one."""
    try:
        socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        ).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"The dashboard cannot have port {port} of {host} ({error}); choose another one with --port."
        ) from error


def show() -> None:
    """The dashboard itself, in the kernel of a visitor: the history, with the latest run open."""
    from IPython.display import display

    from nbflow._session import SESSION
    from nbflow.notebook import table_widget

    display(table_widget.of_history(SESSION.chronicle, read_only=True, opens=True))
