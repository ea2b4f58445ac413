"""The dashboard: history and tables for people who write no code, read-only, on Voila.

Every visitor has a kernel of his own, which reads the store and starts nothing: no flow is defined in it, and its
tables refuse whatever would change a run.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import subprocess
import sys
import threading
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Seconds between two looks at the list of runs.
_PERIOD = 5.0


def serve(host: str, port: int, say: Callable[[str], None]) -> int:
    """Serve the dashboard of the store in use until it is interrupted; the exit code of the server.

    Other machines reach it only if ``host`` says so, and then need the token that ``say`` is told with the address;
    NBFLOW_DASHBOARD_TOKEN sets one that lasts.

    Raises:
        UsageError: Voila is not installed, or the store lives in this process alone.
    """
    from nbflow import _wiring

    if importlib.util.find_spec("voila") is None:
        raise UsageError("The dashboard needs Voila; install it with: pip install 'nbflow[dashboard]'")
    store = _wiring.SESSION.engine.store.url
    if not Path(store).is_dir():
        raise UsageError(f"The store {store} is not a folder that another process can look at.")
    token = os.environ.get("NBFLOW_DASHBOARD_TOKEN") or ("" if host in LOOPBACK else secrets.token_urlsafe(18))
    command = [sys.executable, "-m", "voila", str(resources.files(__name__) / "dashboard.ipynb"), "--no-browser", f"--port={port}", f"--Voila.ip={host}", f"--Voila.auto_token={bool(token)}"]
    # The token goes by the environment: everybody on this machine can read command lines.
    environment = os.environ | {"NBFLOW_STORE": str(Path(store).resolve()), "JUPYTER_TOKEN": token, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    say(f"http://{host}:{port}/" + (f"?token={token}" if token else ""))
    with subprocess.Popen(command, env=environment) as server:  # noqa: S603 - this Python, and options of our own
        try:
            return server.wait()
        finally:
            server.terminate()


def show() -> None:
    """The dashboard itself, in the kernel of a visitor: the history, and the table of the run that is chosen."""
    import ipywidgets as widgets
    from IPython.display import display

    history, place = widgets.HTML(), widgets.VBox()
    choice = widgets.Dropdown(description="Run", layout=widgets.Layout(width="max-content"))
    choice.observe(lambda change: _open(place, change["new"]), "value")
    _look(history, choice)
    display(widgets.VBox([history, choice, place]))
    threading.Thread(target=_follow, args=(history, choice), name="nbflow-dashboard", daemon=True).start()


def _follow(history: Any, choice: Any) -> None:
    while True:
        time.sleep(_PERIOD)
        _look(history, choice)


def _look(history: Any, choice: Any) -> None:
    """Show the runs that there are; the choice stays what it was, at first it is the latest."""
    from nbflow import _wiring
    from nbflow._run.render import runs_to_html

    runs = _wiring.runs()
    history.value = runs_to_html(runs.head(12))
    options = tuple((f"{row.run}: {row.event}", row.run) for row in runs.itertuples())
    if options and options != tuple(choice.options):
        chosen = choice.value or options[0][1]
        choice.options = options
        choice.value = chosen


def _open(place: Any, run: str | None) -> None:
    from nbflow import _wiring
    from nbflow.notebook.widget import TableWidget

    if run is None or [child.table.run.id for child in place.children] == [run]:
        return
    before, place.children = place.children, (TableWidget(_wiring.open_run(run), read_only=True),)
    for widget in before:
        widget.close()
