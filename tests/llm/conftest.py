"""A chat completions server for each test, and a categorizer that asks it."""

import pytest
from chat_server import LABELS, ChatServer

import nbflow as nf


@pytest.fixture
def server():
    server = ChatServer()
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
