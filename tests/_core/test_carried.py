"""The errors of real clients are judged by what they carry, wherever it is nested."""

import http.client
import json
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest
import requests
import urllib3

import nbflow as nf
from nbflow._core.policy import (
    http_status,
    is_unanswered,
    may_pass,
    pauses_throttle,
    retry_after,
)

NOBODY = "http://127.0.0.1:9"


class Handler(BaseHTTPRequestHandler):
    """Answers with the status and the error that the path names."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, code = [*self.path.strip("/").split("/"), ""][:2]
        data = json.dumps({"error": {"message": "no", "code": code}}).encode()
        self.send_response(int(status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served():
    """Starts a server, with a certificate that nobody trusts if a folder has one; gives its address."""
    servers = []

    def served(certificate=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "cert", certificate / "key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        scheme = "http" if certificate is None else "https"
        return f"{scheme}://localhost:{server.server_port}"

    yield served
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def url(served):
    return served()


@pytest.fixture(scope="module")
def untrusted(served, tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
        f"-keyout {folder}/key -out {folder}/cert"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return served(folder)


def by_httpx(url):
    httpx.get(url).raise_for_status()


def by_requests(url):
    requests.get(url, timeout=10).raise_for_status()


def by_openai(url):
    client = openai.OpenAI(api_key="k", base_url=url, max_retries=0)
    client.chat.completions.create(model="m", messages=[])


def by_urllib3(url):
    urllib3.request("GET", url, retries=urllib3.Retry(0))


CLIENTS = [by_httpx, by_requests, by_openai, by_urllib3, urllib.request.urlopen]


def raised(call, *args):
    with pytest.raises(Exception) as caught:  # each client has its own
        call(*args)
    return caught.value


@pytest.mark.parametrize("ask", [by_httpx, by_requests, by_openai])
def test_an_account_that_is_empty_does_not_pass_and_a_limit_does(url, ask):
    empty, limited = (
        raised(ask, f"{url}/429/{code}")
        for code in ("insufficient_quota", "rate_limit_exceeded")
    )
    assert (may_pass(empty), http_status(empty)) == (False, 402)
    assert pauses_throttle(empty) is None
    assert (may_pass(limited), http_status(limited)) == (True, 429)
    assert pauses_throttle(limited) == 7


@pytest.mark.parametrize("ask", CLIENTS)
@pytest.mark.parametrize("address", ["ftp+x://host/", "http://host:port/"])
def test_an_address_that_is_none_does_not_pass(ask, address):
    assert not may_pass(raised(ask, address))


@pytest.mark.parametrize("ask", [by_httpx, by_requests, by_openai])
def test_an_address_without_a_scheme_does_not_pass(ask):
    assert not may_pass(raised(ask, "localhost/v1"))


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_certificate_that_is_refused_does_not_pass(untrusted, ask):
    assert not may_pass(raised(ask, untrusted))


@pytest.mark.parametrize("ask", CLIENTS)
def test_a_server_that_is_away_may_come_back(ask):
    assert may_pass(raised(ask, NOBODY))


def test_a_client_without_a_key_does_not_pass(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert not may_pass(raised(openai.OpenAI))


def of_aws(code, status, **headers):
    """An error as botocore raises it."""

    class ClientError(Exception):
        response = {
            "Error": {"Code": code},
            "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
        }

    return ClientError(code)


def test_the_status_of_aws_is_found_two_levels_down_and_its_throttles_are_told_apart():
    assert not may_pass(of_aws("AccessDeniedException", 400))
    assert not may_pass(of_aws("AccessDenied", 403))
    assert may_pass(of_aws("InternalError", 500))
    throttled = of_aws("ThrottlingException", 400, **{"retry-after": "3"})
    assert (may_pass(throttled), pauses_throttle(throttled)) == (True, 3)
    assert may_pass(of_aws("ProvisionedThroughputExceededException", 400))


def of_sql(state):
    """An error as psycopg, asyncpg and others raise it, wrapped as SQLAlchemy does."""
    inner, outer = Exception("inner"), Exception("outer")
    inner.sqlstate, outer.orig = state, inner
    return outer


def test_a_database_that_is_busy_or_away_may_pass_and_a_wrong_query_does_not():
    for state in ("42P01", "42601", "23505", "22P02", "28P01", "0A000", "3D000"):
        assert not may_pass(of_sql(state)), state
    for state in ("40001", "40P01", "08006", "57P01", "53300", "55P03", "23503"):
        assert may_pass(of_sql(state)), state


def test_sqlite_is_patient_with_a_lock_alone(tmp_path):
    first = sqlite3.connect(tmp_path / "db", isolation_level=None)
    first.execute("create table t (a integer primary key)")
    first.execute("insert into t values (1)")
    for wrong in ("select * from nope", "selec", "insert into t values (1)"):
        assert not may_pass(raised(first.execute, wrong)), wrong
    assert not may_pass(raised(first.execute, "select ?", ()))
    first.execute("begin exclusive")
    second = sqlite3.connect(tmp_path / "db", timeout=0)
    assert may_pass(raised(second.execute, "insert into t values (2)"))
    first.close()
    second.close()


def caused(error, cause):
    error.__cause__ = cause
    return error


def test_what_an_error_says_itself_counts_before_what_it_was_raised_from(url):
    denied, busy = (raised(by_httpx, f"{url}/{status}") for status in (401, 503))
    assert not may_pass(caused(RuntimeError("the model failed"), denied))
    assert retry_after(caused(RuntimeError("the model failed"), busy)) == 7
    assert may_pass(caused(TimeoutError("try it again"), denied))
    assert not may_pass(caused(TypeError("a typo"), busy))
    assert may_pass(caused(ValueError("no answer"), KeyError("label")))


def test_what_was_handled_before_does_not_count(url):
    def falls_back():
        try:
            by_httpx(f"{url}/404")
        except httpx.HTTPStatusError:
            by_httpx(NOBODY)

    assert may_pass(raised(falls_back))


def test_errors_that_wrap_each_other_in_a_circle_are_judged():
    one, two = Exception("one"), Exception("two")
    assert may_pass(caused(one, caused(two, one)))


def test_an_error_whose_attributes_cannot_be_read_is_judged():
    class Broken(Exception):
        response = property(lambda self: 1 / 0)
        reason = property(lambda self: 1 / 0)

    assert may_pass(Broken())


UNANSWERED = {
    "timeout": TimeoutError("late"),
    "step's timeout": nf.StepTimeoutError("late"),
    "reset": ConnectionResetError("reset"),
    "closed": http.client.RemoteDisconnected("closed"),
    "half": http.client.IncompleteRead(b"{"),
    "httpx": httpx.ReadTimeout("late"),
    "httpx closed": httpx.RemoteProtocolError("closed"),
    "wrapped": caused(RuntimeError("no label"), httpx.ReadError("reset")),
    "gateway": nf.llm.ModelError("gateway", 504),
}
ANSWERED = {
    "refused": ConnectionRefusedError("down"),
    "unsent": httpx.ConnectError("down"),
    "unsent in time": caused(nf.StepTimeoutError("late"), httpx.ConnectTimeout("late")),
    "no place in the pool": httpx.PoolTimeout("full"),
    "no such host": urllib.error.URLError(socket.gaierror(-2, "unknown")),
    "503": nf.llm.ModelError("busy", 503),
    "429": nf.llm.ModelError("later", 429),
    "label": ValueError("no label"),
    "inside": caused(nf.StepError("x", step="inner"), nf.StepTimeoutError("late")),
}


@pytest.mark.parametrize("kind", UNANSWERED)
def test_what_was_sent_and_not_answered_is_told_by_what_it_carries(kind):
    assert is_unanswered(UNANSWERED[kind])


@pytest.mark.parametrize("kind", ANSWERED)
def test_what_was_answered_or_not_even_sent_is_told_apart(kind):
    assert not is_unanswered(ANSWERED[kind])


def with_openai(url):
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=0.05)
    client.models.list()


CLIENTS = {
    "requests": lambda url: requests.get(url, timeout=0.05),
    "httpx": lambda url: httpx.get(url, timeout=0.05),
    "urllib": lambda url: urllib.request.urlopen(url, timeout=0.05),
    "urllib3": lambda url: urllib3.request("GET", url, timeout=0.05, retries=False),
    "openai": with_openai,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_real_clients_tell_silence_from_nobody_there(client):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Exception) as unanswered:  # any client's
            CLIENTS[client](url)
    with pytest.raises(Exception) as unsent:  # any client's
        CLIENTS[client](NOBODY)
    assert is_unanswered(unanswered.value)
    assert not is_unanswered(unsent.value)
