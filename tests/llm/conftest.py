"""Servers of models for each test, and categorizers that ask them."""

import importlib.util
import os
import socket
import subprocess
import sys

import pytest
from chat_server import LABELS, model_server

import nbflow as nf

#: The packages of providers that nbflow[llm] does not bring.
PACKAGES = {"typesafe": "typesafe_sdk", "google-decisions": "google.genai"}


@pytest.fixture
def server():
    server = model_server()
    yield server
    server.close()


@pytest.fixture
def categorizer(server):
    """`nf.llm.categorizer` with the labels and the address of the server."""

    def make(labels=LABELS, **options):
        return nf.llm.categorizer(
            labels, **{"model": "openai:stub", "base_url": server.url} | options
        )

    return make


@pytest.fixture
def deciding():
    """A scripted server of decision models."""
    server = model_server()
    yield server
    server.close()


@pytest.fixture
def decider(deciding):
    """`nf.llm.categorizer` with a decision model of that server."""

    def make(labels=LABELS, model="system-one:stub", **options):
        needs(PACKAGES.get(model.partition(":")[0], "pydantic_ai"))
        address = deciding.root if model.startswith(("t", "g")) else deciding.url
        return nf.llm.categorizer(
            labels, **{"model": model, "base_url": address} | options
        )

    return make


@pytest.fixture(scope="session")
def sparrow():
    """The address of a real decision model: a server process of sparrow-decider."""
    needs("sparrow_decider")
    command = [sys.executable, "-m", "sparrow_decider.cli", "serve", "--port"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, str(port)], stderr=subprocess.PIPE, env=alone
    ) as process:
        try:
            assert b" on http://" in process.stderr.readline(), (
                "it says that it listens"
            )
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def needs(package):
    """Without a package its tests are skipped on a laptop, and fail where everything has to be tested."""
    if not is_installed(package):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say(f"{package} is not installed: pip install -e '.[test]'")


def is_installed(package):
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False
