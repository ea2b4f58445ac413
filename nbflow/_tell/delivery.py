"""Delivery: a message on its way to several addresses at once, with limits.

What is refused is tried again. What was taken without an answer may have arrived, so it
is not: nobody gets a notice twice because a server is slow.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from nbflow._tell.apprise_door import Answer, attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbflow._core.notice import Message
    from nbflow._tell.address import Address


class Limits(NamedTuple):
    """How long to try.

    Attributes:
        waits: seconds before each further attempt at what was refused.
        seconds: after which a delivery that has not ended counts as not answered.
    """

    waits: tuple[float, ...] = (1.0, 3.0)
    seconds: float = 30.0


USUAL = Limits()


def deliver(
    addresses: Sequence[Address], message: Message, limits: Limits = USUAL
) -> Iterator[tuple[Address, Answer]]:
    """Send to all addresses at once; yields what became of each as soon as it is known."""
    answers: queue.Queue[tuple[Address, Answer]] = queue.Queue()

    def send(address: Address) -> None:
        answers.put((address, tried(lambda: attempt(address.url, message), limits)))

    for address in addresses:
        # A daemon: a server that never answers keeps no process from its end.
        threading.Thread(target=send, args=(address,), daemon=True).start()
    left = list(addresses)
    deadline = time.monotonic() + limits.seconds
    while left:
        try:
            address, answer = answers.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            break
        left.remove(address)
        yield address, answer
    for address in left:
        yield address, Answer("unknown", "it did not answer in time")


def tried(once: Callable[[], Answer], limits: Limits) -> Answer:
    """What became of it in the end: what is refused is tried again."""
    answer = once()
    for seconds in limits.waits:
        if answer.state != "refused":
            break
        time.sleep(seconds)
        answer = once()
    return answer
