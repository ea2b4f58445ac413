"""A JupyterLab (or Notebook) of a test's own: a server in its own folders, and pages that show notebooks."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
TOKEN = "of-a-test"
QUIET = '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}'
SETUP = """
import nbflow as nf, time, asyncio, os

@nf.step
def fetch(n):
    time.sleep(0.02)
    return n

@nf.step(retries=0)
def categorize(n):
    if n % 10 == 7 and not os.path.exists("mended"):
        raise TimeoutError(f"the model did not answer within {n} s")
    return {"label": "billing"}

@nf.flow(on="thread")
def triage(thread):
    return categorize(fetch(thread["n"]))
"""
SEND = "run = nf.send('thread', [{'id': f't-{n:04}', 'n': n} for n in range(%d)], key='id', max_in_flight=2)"
IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


#: How each application is started, and where it shows a notebook.
APPS = {
    "jupyterlab": (
        (
            "--LabApp.extension_manager=readonly",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.expose_app_in_browser=True",
        ),
        "doc/tree",
    ),
    "notebook": (("--JupyterNotebookApp.expose_app_in_browser=True",), "notebooks"),
}


class Server:
    """A server on ``folder``; ``close()`` ends it and its kernels.

    ``without``: extensions of the page that are switched off.
    """

    def __init__(self, folder, *, dark=False, app="jupyterlab", without=()):
        self.folder, self.port = folder, free_port()
        options, self.place = APPS[app]
        home = folder / ".home"
        settings = home / "lab-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(QUIET)
        (settings / "themes.jupyterlab-settings").write_text(
            '{"theme": "JupyterLab Dark"}' if dark else "{}"
        )
        for variable in ("config", "data", "runtime", "ipython", "lab-workspaces"):
            (home / variable).mkdir()
        (home / "config" / "labconfig").mkdir()
        (home / "config" / "labconfig" / "page_config.json").write_text(
            json.dumps({"disabledExtensions": dict.fromkeys(without, True)})
        )
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_DATA_DIR": str(home / "data"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "lab-settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "lab-workspaces"),
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), os.environ.get("PYTHONPATH", "")]
            ),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "XDG_CONFIG_HOME": str(home / "config"),
        }
        environment.pop("NBFLOW_STORE", None)  # every notebook makes its own beside it
        environment.pop("NBFLOW_TABLE", None)  # nor does a reader's say what is shown
        self.environment = environment
        command = [
            *(
                sys.executable,
                "-m",
                app,
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.port}",
            ),
            *(
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={folder}",
                "--ServerApp.terminals_enabled=False",
            ),
            *("--LanguageServerManager.autodetect=False", *options),
        ]
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.wait()

    def wait(self):
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/api/status?token={TOKEN}", timeout=5
                ).close()
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert self.process.poll() is None, (
                    self.folder / "server.log"
                ).read_text()
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.2)
            else:
                return

    def write(self, name, *cells):
        """A notebook of code cells; answers where it is."""
        document = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        document.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(document, path)
        return path

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Notebook:
    """A notebook in a page of the Lab, or of Notebook 7."""

    def __init__(self, page, server, path):
        self.page, self.path = page, path
        name = path.relative_to(server.folder)
        page.set_default_timeout(
            30_000
        )  # of a busy machine; nothing waits for so long where it passes
        page.goto(f"http://127.0.0.1:{server.port}/{server.place}/{name}?token={TOKEN}")
        self.ready()

    def picture(self, name):
        """Keep a screenshot where NBFLOW_PICTURES says, for a person to look at."""
        if os.environ.get("NBFLOW_PICTURES"):
            self.page.screenshot(path=f"{os.environ['NBFLOW_PICTURES']}/{name}.png")

    def ready(self):
        self.page.locator(".jp-Notebook").first.wait_for(timeout=60_000)
        self.page.wait_for_function(IDLE, timeout=60_000)

    def command(self, name, wait=True):
        script = (
            "async (name) => { await window.jupyterapp.commands.execute(name); }"
            if wait
            else "(name) => { window.jupyterapp.commands.execute(name); }"
        )
        self.page.evaluate(script, name)

    def run_all(self, wait=True):
        self.command("notebook:run-all-cells", wait)

    def run(self, code):
        """Put ``code`` into a new last cell and run it; its text output, when the cell has ended."""
        return self.page.evaluate(
            """async (code) => {
                const { context, sessionContext } = window.jupyterapp.shell.currentWidget;
                const future = sessionContext.session.kernel.requestExecute({ code, store_history: false });
                let text = "";
                future.onIOPub = ({ content }) => {
                    text += content.text ?? content.data?.["text/plain"] ?? content.evalue ?? "";
                };
                await future.done;
                return text;
            }""",
            code,
        )

    def output(self, text):
        """Text that a cell has put out."""
        return self.page.locator(".jp-OutputArea-output pre", has_text=text)
