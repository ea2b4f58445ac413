"""Faults: what may go wrong with a request to a model, by script.

A fault is a function of the exchange that it spoils. Put some into
``server.faults``, one for each of the next requests, or one into ``server.always``::

    with nbflow.testing.llm_server() as server:
        server.faults = [faults.error(429, "slow down", retry_after=2), None, faults.reset]
"""

from __future__ import annotations

import json
import random
import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.testing.fault import Exchange, Fault


def error(
    status: int, message: str, code: str | None = None, **headers: object
) -> Fault:
    """An error as the protocol words it.

    Args:
        status: of HTTP: 429, 500, ...
        message: what it says.
        code: a short name for it, such as ``"rate_limit_exceeded"``.
        **headers: such as ``retry_after=2``, ``x_ratelimit_remaining_requests=0``.
    """

    def fault(exchange: Exchange) -> None:
        said = {name: f"{value}" for name, value in headers.items()}
        exchange.give(status, exchange.error_body(status, message, code), said)

    return fault


def says(content: Any, finish: str = "stop", refusal: str | None = None) -> Fault:
    """An answer that is something else than was asked for.

    Args:
        content: its text, or a function of the texts that returns it.
        finish: why it ended: ``"length"`` if it was cut off.
        refusal: what it says instead.
    """

    def fault(exchange: Exchange) -> None:
        said = content(exchange.texts) if callable(content) else content
        exchange.complete(said, finish, refusal)

    return fault


def changed(change: Callable[[list[dict[str, Any]]], object]) -> Fault:
    """The good answers to all texts of a request, changed."""

    def fault(exchange: Exchange) -> None:
        exchange.complete(json.dumps({"answers": change(exchange.answers())}))

    return fault


def field(**fields: object) -> Fault:
    """The good answer to one text, with other fields; ``...`` leaves one out."""

    def fault(exchange: Exchange) -> None:
        (answer,) = exchange.answers()
        answer = {**answer, **fields}
        kept = {name: value for name, value in answer.items() if value is not ...}
        exchange.complete(json.dumps(kept))

    return fault


def body(change: Callable[[dict[str, Any]], object]) -> Fault:
    """The whole body of a good answer, changed."""

    def fault(exchange: Exchange) -> None:
        exchange.give(200, change(exchange.good_body()), {})

    return fault


#: The model declines.
refusal = says("", refusal="I cannot help with that.")
#: The answer is longer than it may be.
cut_off = says('{"reason": "a long sto', finish="length")


def shuffled(exchange: Exchange) -> None:
    """The answers in another order, which is no fault."""
    found = exchange.answers()
    random.Random(7).shuffle(found)  # noqa: S311  # nothing secret, only no order
    exchange.complete(json.dumps({"answers": found}))


def truncated(exchange: Exchange) -> None:
    """A body that ends in the middle."""
    data = json.dumps(exchange.good_body()).encode()
    exchange.send(200, data[: -min(40, len(data) // 2)], {})


def reset(exchange: Exchange) -> None:
    """The connection is reset."""
    exchange.connection.setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    exchange.close_connection = True
    exchange.connection.close()


def hang_up(exchange: Exchange) -> None:
    """The connection is closed without an answer, as by a proxy whose server is away."""
    exchange.close_connection = True


def slow(seconds: float) -> Fault:
    """A good answer, late."""

    def fault(exchange: Exchange) -> None:
        if not exchange.ends.ended.wait(seconds):
            exchange.answer()

    return fault


def hang(exchange: Exchange) -> None:
    """No answer, until the server ends or the client goes away."""
    server = exchange.ends
    server.hanging.set()
    exchange.connection.settimeout(0.01)
    while not server.ended.wait(0.01):
        try:
            if exchange.connection.recv(1, socket.MSG_PEEK) == b"":
                server.gone.set()
                break
        except TimeoutError:
            continue
        except OSError:
            server.gone.set()
            break
    exchange.close_connection = True
