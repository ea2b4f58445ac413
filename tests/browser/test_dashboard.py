"""The dashboard in a browser: pages for people who run no code, and live tables, for reading only."""

import csv
import http.client
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

import nbflow as nf
from nbflow import cli
from tests.browser.lab import ROOT, free_port


@dataclass
class Label:
    label: str
    sure: float


@pytest.fixture
def store(tmp_path):
    @nf.flow(on="thread")
    def triage(thread):
        if thread["n"] % 10 == 7:
            raise TimeoutError("late")
        return Label("shipping" if thread["n"] % 2 else "billing", 0.5)

    for count in (30, 60):
        threads = [
            {
                "id": f"t-{n:04}",
                "n": n,
                "subject": f"Invoice {n} is wrong",
                "note": "=1+1",
            }
            for n in range(count)
        ]
        nf.send("thread", threads, key="id")
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
        port = int(address.rsplit(":", 1)[1].split("/")[0])
        deadline = time.monotonic() + 60
        while not is_served(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return address

    dashboard.processes = processes
    yield dashboard
    for process, by in processes.items():
        process.send_signal(by)
        assert process.wait(20) == (-by if by == signal.SIGKILL else 0)


@pytest.fixture
def visitor(browser):
    """Opens pages without a script; fails if they ask for anything that is not the dashboard's."""
    contexts = []

    def visitor(*, dark=False, width=1180, script=False, axe=False):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script or axe,
            bypass_csp=axe,  # it comes as a script of its own
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        return page

    asked = []
    yield visitor
    for context in contexts:
        context.close()
    hosts = {urllib.parse.urlsplit(url).hostname for url in asked}
    assert hosts <= {"127.0.0.1", None}, hosts


def picture(page, name):
    """Keep a screenshot where NBFLOW_PICTURES says, for a person to look at."""
    if folder := os.environ.get("NBFLOW_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_visitor_reads_how_the_latest_run_stands_without_any_script(
    dashboard, visitor
):
    page = visitor()
    page.goto(dashboard())
    body = page.locator("main")
    assert "54 of 60 records are done; 6 need somebody." in body.inner_text()
    assert "It took too long to get an answer." in body.inner_text()
    assert "The last 2 runs" in body.inner_text()
    assert not page.get_by_text("TimeoutError: late").is_visible()
    page.get_by_text("what the program said").click()
    assert page.get_by_text("TimeoutError: late").is_visible()
    page.get_by_role("link", name=re.compile(r"^\d+ \w+ \d{4}, ")).click()
    assert "27 of 30 records are done; 3 need somebody." in body.inner_text()


def test_a_visitor_finds_records_by_what_they_say(dashboard, visitor):
    page = visitor()
    page.goto(dashboard())
    page.get_by_label("Find records").fill("INVOICE 17 IS")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("heading", name="1 result for").wait_for()
    row = page.get_by_role("row", name="Invoice 17 is wrong")
    assert "It took too long to get an answer." in row.inner_text()
    page.get_by_role("link", name="Invoice 17 is wrong").first.click()
    page.get_by_role("heading", name="t-0017").wait_for()
    assert "Invoice 17 is wrong" in page.locator("main").inner_text()
    page.get_by_role("link", name="Back to the run").click()
    page.get_by_label("Find records").fill("billing")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("heading", name="The first 25 of 30 results for").wait_for()


def test_a_visitor_downloads_all_results_and_the_page_as_files(
    dashboard, visitor, tmp_path
):
    page = visitor()
    page.goto(dashboard())
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert re.fullmatch(r"results-[\w-]+\.csv", download.value.suggested_filename)
    text = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["id"] for row in rows] == [f"t-{n:04}" for n in range(60)]
    assert rows[0]["triage.label"] == "billing"
    assert rows[0]["note"] == "'=1+1"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download this page").click()
    path = tmp_path / "page.html"
    path.write_bytes(Path(download.value.path()).read_bytes())
    page.goto(path.as_uri())
    assert "54 of 60 records are done" in page.locator("main").inner_text()
    assert page.locator("a").count() == 1  # the results, in itself


def test_answers_are_shown_by_their_fields_though_no_class_is_defined_here(
    dashboard, visitor
):
    page = visitor()
    page.goto(dashboard() + "record?record=1")
    assert page.get_by_role("row", name="label shipping").count() == 1
    assert page.get_by_role("row", name="sure 0.5").count() == 1


def test_hostile_content_stays_text_and_secrets_are_masked(
    dashboard, visitor, monkeypatch
):
    monkeypatch.setenv("DB_PASSWORD", "correct horse battery")
    hostile = "</title><img src=http://evil.example/x><script>window.hacked=1</script>"

    @nf.flow(on="hostile")
    def read(record):
        if record["n"]:
            raise nf.NonRetriableError(f"{hostile} correct horse battery")
        return hostile

    nf.send(
        "hostile",
        [{"text": f"{hostile} sk-live-0123456789abcdefghij", "n": n} for n in (0, 1)],
    )
    page = visitor(script=True)
    address = dashboard()
    for part in ("", "?q=evil", "record?record=0", "record?record=1", "?run=<script>x"):
        page.goto(address + part)
        said = page.content()
        assert page.locator("main img, main script").count() == 0, part
        assert "battery" not in said, part
        assert "0123456789" not in said, part
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_to_complain_about(dashboard, visitor, dark, width):
    page, address = visitor(dark=dark, width=width, axe=True), dashboard()
    for name, part in {
        "run": "",
        "search": "?q=invoice",
        "record": "record?record=7",
        "nothing": "?run=none",
        "live": "live",
    }.items():
        page.goto(address + part)
        if name == "live":
            page.locator(".nbf-nest .nbf-record").first.wait_for(timeout=60_000)
        look_at(page, f"dashboard-{name}-{'dark' if dark else 'light'}-{width}", width)


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_in_the_file_either(store, visitor, tmp_path, dark, width):
    page = visitor(dark=dark, width=width, axe=True)
    page.goto(nf.open_run(nf.runs().run[0]).to_html(tmp_path / "a.html").as_uri())
    look_at(page, f"page-{'dark' if dark else 'light'}-{width}", width)


def look_at(page, name, width):
    """Ask axe, as it is and with all that can be opened, and look whether it is too wide."""
    complaints = Axe().run(page).response["violations"]
    picture(page, name)
    for summary in page.locator("main summary").all():
        summary.click()
    picture(page, f"{name}-open")
    complaints += Axe().run(page).response["violations"]
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in complaints
    ] == [], name
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name


def test_a_visitor_reads_the_live_tables_and_can_change_nothing(
    dashboard, visitor, store
):
    page = visitor(script=True)
    page.goto(dashboard())
    page.get_by_role("link", name="All runs and records, live").click()
    page.locator(".nbf-nest .nbf-record").first.wait_for(timeout=60_000)
    assert page.locator(".nbf-runs .nbf-s-partial .nbf-chip").count() == 2
    page.locator(".nbf-nest .nbf-tile.nbf-s-failed").click()
    page.locator(".nbf-nest .nbf-footer", has_text="6 of 60 records").wait_for()
    page.locator(".nbf-nest .nbf-record").first.click()
    page.locator(".nbf-trouble", has_text="late").wait_for()
    assert not page.get_by_role("button", name="Rerun").count()
    assert not page.get_by_role("button", name="Stop", exact=True).count()
    picture(page, "dashboard-live-opened")
    page.locator(".nbf-runs .nbf-record").nth(1).click()
    page.locator(".nbf-nest .nbf-sentence", has_text="30 records").wait_for()
    for row in (0, 1):
        page.locator(".nbf-pick").nth(row).click()
    page.get_by_role("button", name="Compare these two").click()
    page.locator(
        ".nbf-sentence", has_text="30 of 60 records came out differently"
    ).wait_for()
    assert len(nf.runs()) == 2


def test_a_new_run_is_on_the_page_without_a_restart(dashboard, visitor, store):
    page, address = visitor(), dashboard()
    page.goto(address)

    @nf.flow(on="later")
    def read(record):
        return 1

    nf.send("later", [{"n": n} for n in range(3)])
    page.goto(address)
    assert "All 3 records are done." in page.locator("main").inner_text()


def status(address, **headers):
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


PARTS = (
    "",
    "live",
    "socket",
    "socket.js",
    "record?record=0",
    "results.csv",
    "page.html",
)


def test_what_others_can_reach_needs_the_token(dashboard, visitor):
    address = dashboard("--host=0.0.0.0").replace("0.0.0.0", "127.0.0.1")
    bare = address.split("?")[0]
    for part in PARTS:
        assert status(bare + part) == 403, part
        assert status(f"{bare}{part}{'&' if '?' in part else '?'}token=wrong") == 403
    page = visitor(script=True)
    page.goto(bare)
    assert "needs the address that was printed" in page.locator("main").inner_text()
    page.goto(address)
    assert "54 of 60 records" in page.locator("main").inner_text()
    assert "token" not in page.url
    first = nf.runs().run[1]
    page.goto(f"{address}&run={first}")  # as somebody sends it on
    assert "27 of 30 records" in page.locator("main").inner_text()
    page.goto(bare + "live")
    page.locator(".nbf-record").first.wait_for(timeout=60_000)


def test_no_page_of_the_web_has_a_browser_here_read_it(dashboard):
    """By a name of its own that leads to this machine, or over a socket."""
    address = dashboard()
    for part in PARTS:
        assert status(address + part, Host="evil.example") == 403, part
    assert socket_status(address, "http://evil.example") == 403
    assert socket_status(address, address.rstrip("/")) == 101


def socket_status(address, origin):
    """What comes of opening the socket from a page of this origin."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    opens = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": origin}
    opens |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    connection.request("GET", "/socket", headers=opens)
    found = connection.getresponse().status
    connection.close()
    return found


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


def test_without_its_packages_it_says_what_to_install(monkeypatch, store):
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
