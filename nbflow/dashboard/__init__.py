"""The dashboard: history and tables for people who write no code, read-only, on Voila.

Every visitor has a kernel, which reads the store and starts nothing: no flow is defined
in it, and its tables refuse whatever would change a run.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow.errors import UsageError
from nbflow.notebook.execute import Stop, dies_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(host: str, port: int, say: Callable[[str], None]) -> int:
    """Serve the dashboard of the store in use until it is interrupted.

    Other machines reach it only if ``host`` says so, and then need a token;
    NBFLOW_DASHBOARD_TOKEN sets one that lasts.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        say: is called with the address to open, which holds the token.

    Returns:
        The exit code of the server; 0 if it was interrupted (Ctrl-C, SIGTERM, SIGHUP).

    Raises:
        UsageError: Voila is not installed, the store is in the memory of this process,
            or the port is in use.
    """
    from nbflow._session import SESSION

    if importlib.util.find_spec("voila") is None:
        raise UsageError(
            "The dashboard needs Voila; install it with: pip install 'nbflow[dashboard]'"
        )
    store = SESSION.engine.store.url
    if not Path(store).is_dir():
        raise UsageError(
            f"There is no folder {store} to look at: start the dashboard beside your "
            "notebooks, or say where their store is with NBFLOW_STORE."
        )
    _check_port(host, port)
    token = os.environ.get("NBFLOW_DASHBOARD_TOKEN", "")
    if not token and host not in LOOPBACK:
        token = secrets.token_urlsafe(18)
    # The token goes through the environment: everybody on this machine can read command
    # lines.
    environment = os.environ | {
        "NBFLOW_STORE": str(Path(store).resolve()),
        "JUPYTER_TOKEN": token,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    command = _command(host, port, has_token=bool(token))
    query = f"?token={token}" if token else ""
    say(f"http://{host}:{port}/{query}")
    return _run(command, environment)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run the server, which ends with this process, whatever ends that."""
    stop = Stop()
    with (
        stop.on_signals(),
        subprocess.Popen(  # noqa: S603  # this Python, and options of our own
            command,
            env=environment,
            preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509  # it calls the system alone
        ) as server,
    ):
        stop.wake = server.terminate
        if stop.asked:  # before there was one
            server.terminate()
        try:
            code = server.wait()
        finally:  # in a thread, an interrupt is no signal
            server.terminate()
    return 0 if stop.asked else code


def _check_port(host: str, port: int) -> None:
    """Refuse a port that is in use.

    Voila would take another one: the address and token that are printed would lead to
    the program that has this one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Cannot listen on {host}:{port} ({error}); choose another port with --port."
        ) from error


def _command(host: str, port: int, *, has_token: bool) -> list[str]:
    return [
        sys.executable,
        "-m",
        "voila",
        str(resources.files(__name__) / "dashboard.ipynb"),
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--Voila.log_level=WARN",
        f"--Voila.ip={host}",
        f"--Voila.auto_token={has_token}",
    ]


def show() -> None:
    """Show the history in the kernel of a visitor, with the latest run open."""
    from IPython.display import display

    from nbflow._session import SESSION
    from nbflow.notebook import table_widget

    chronicle = SESSION.chronicle
    display(table_widget.of_history(chronicle, read_only=True, opens=True))
