"""The dashboard in a browser: history and tables, for reading only, behind a token where others can reach it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import nbflow as nf
from nbflow import cli
from tests.browser.lab import ROOT, free_port


@pytest.fixture
def store(tmp_path):
    @nf.flow(on="thread")
    def triage(thread):
        if thread["n"] % 10 == 7:
            raise TimeoutError("late")
        return thread["n"]

    for count in (30, 60):
        nf.send("thread", [{"id": f"t-{n:04}", "n": n} for n in range(count)], key="id")
    return tmp_path / "store"


@pytest.fixture
def dashboard(store, tmp_path):
    """Starts a dashboard; answers the address that it printed."""
    processes = {}

    def dashboard(*options):
        command = [
            sys.executable,
            "-m",
            "nbflow.cli",
            "dashboard",
            f"--port={free_port()}",
            *options,
        ]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), os.environ.get("PYTHONPATH", "")]
            ),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "r"),
        }
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        processes[process] = signal.SIGINT  # Ctrl-C is how one ends it
        address = process.stdout.readline().split()[-1]
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(
                    address.replace("0.0.0.0", "127.0.0.1").split("?")[0]
                    + "voila/static/none",
                    timeout=5,
                ).close()
            except urllib.error.HTTPError:
                return address
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)

    dashboard.processes = processes
    yield dashboard
    for process, by in processes.items():
        process.send_signal(by)
        assert process.wait(20) == (-by if by == signal.SIGKILL else 0)


def test_a_visitor_reads_the_history_and_a_run_and_can_change_nothing(
    dashboard, browser, store
):
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.goto(dashboard())
    page.locator(".nbf-nest .nbf-record").first.wait_for(timeout=60_000)
    assert page.locator(".nbf-runs .nbf-s-partial .nbf-chip").count() == 2
    page.locator(".nbf-nest .nbf-tile.nbf-s-failed").click()
    page.locator(".nbf-nest .nbf-footer", has_text="6 of 60 records").wait_for()
    page.locator(".nbf-nest .nbf-record").first.click()
    page.locator(".nbf-trouble", has_text="late").wait_for()
    assert not page.get_by_role("button", name="Rerun").count()
    assert not page.get_by_role("button", name="Stop", exact=True).count()
    if os.environ.get("NBFLOW_PICTURES"):
        page.screenshot(
            path=f"{os.environ['NBFLOW_PICTURES']}/dashboard.png", full_page=True
        )
    page.locator(".nbf-runs .nbf-record").nth(1).click()
    page.locator(".nbf-nest .nbf-sentence", has_text="30 records").wait_for()
    for row in (0, 1):
        page.locator(".nbf-pick").nth(row).click()
    page.get_by_role("button", name="Compare these two").click()
    page.locator(
        ".nbf-sentence", has_text="30 of 60 records came out differently"
    ).wait_for()
    page.close()
    assert len(nf.runs()) == 2


def test_what_others_can_reach_needs_the_token(dashboard, browser):
    address = dashboard("--host=0.0.0.0").replace("0.0.0.0", "127.0.0.1")
    page = browser.new_page()
    page.goto(address.split("?")[0])
    page.wait_for_load_state()
    assert not page.locator(".nbf, select").count()
    page.goto(address)
    page.locator(".nbf-record").first.wait_for(timeout=60_000)
    page.close()


def test_a_port_that_somebody_else_has_is_refused_before_an_address_is_told(
    store, capfd
):
    """The address has the token in it, and somebody else would be shown it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["dashboard", f"--port={port}"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert f"Cannot listen on 127.0.0.1:{port}" in err
    assert "choose another port with --port" in err


def test_where_nothing_was_sent_yet_it_says_where_to_go(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("NBFLOW_STORE", str(tmp_path / "nowhere"))
    assert cli.main(["dashboard"]) == 2
    assert "start the dashboard beside your notebooks" in capfd.readouterr().err


def test_without_voila_it_says_what_to_install(monkeypatch, store):
    from nbflow import dashboard

    monkeypatch.setattr(dashboard.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(nf.UsageError, match=r"pip install 'nbflow\[dashboard\]'"):
        dashboard.serve("127.0.0.1", 1, print)


@pytest.mark.parametrize(
    "by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
)
def test_the_server_ends_with_the_command_whatever_ends_it(dashboard, by):
    if by == signal.SIGKILL and sys.platform != "linux":
        pytest.skip("only Linux tells children that their parent was killed")
    address = dashboard()
    (process,) = dashboard.processes
    dashboard.processes[process] = by
    process.send_signal(by)
    process.wait(20)
    port = int(address.rsplit(":", 1)[1].split("/")[0])
    deadline = time.monotonic() + 20
    while is_served(port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_served(port):
    with socket.socket() as visitor:
        return visitor.connect_ex(("127.0.0.1", port)) == 0
