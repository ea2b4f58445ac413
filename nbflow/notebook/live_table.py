"""Talk: how a table in the kernel speaks with the pages that show it. The kernel owns the rows; a page holds what it shows.

Messages from a page (``t`` is the kind, ``id`` the view that asks):

- ``view``: what the view shows from now on: offset, limit, query, whether its order may
  change, whether it is seen
- ``ack``: the tick with number ``n`` is drawn
- ``gone``: the view is no more
- what else the table answers (`Talk.answers`): ``open`` a row, ``act``, ``csv``,
  ``compare``

and to it: ``tick`` (aggregates, and each view's rows), ``beat`` (the kernel lives),
``said`` (what came of something), and the answers. What a record holds travels as texts
that a page never takes for HTML.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from nbflow._call import failure
from nbflow._core.table import short
from nbflow.errors import NbflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    Message = dict[str, Any]
    Send = Callable[[Message], None]

#: Seconds between two ticks: at best, if the page does not answer (or cannot, while a
#: cell runs), of what another process works on, and if nothing happens.
PERIOD, UNANSWERED, ELSEWHERE, BEAT = 0.2, 0.4, 0.5, 2.0
#: Seconds after which a view that is silent while another speaks is taken for gone.
_SILENT = 30.0
#: Choosing rows takes at most this share of the time; a selection is good for so many
#: times what it cost.
SHARE = 50
_LIMIT = 200

Stand = TypeVar("Stand")


@dataclass(slots=True)
class View:
    """One place where the table is shown: what it asks for, and what it got."""

    query: Any
    offset: int = 0
    limit: int = 20
    held: bool = False
    seen: bool = True
    asked: int = 0
    answered: int = -1
    heard: float = 0.0
    rows: Any = None
    chosen_at: float = 0.0
    cost: float = 0.0
    #: What is shown went on since the rows were chosen.
    stale: bool = False

    @property
    def is_due(self) -> bool:
        """Is it time for another choice? The dearer one was, the longer it is good for."""
        return self.rows is None or (
            not self.held and time.monotonic() - self.chosen_at >= SHARE * self.cost
        )


class Talk(Generic[Stand]):
    """A live table, however many views there are of it. ``Stand`` is how the thing that it shows stands at a moment.

    Args:
        send: gives a message to every view.
        wake: has `tick` called soon.
        read_only: refuse everything that would change anything.
    """

    #: What is answered on a thread of its own, by the kind of the message.
    answers: ClassVar[Mapping[Any, Callable[[Any, Message], Message]]] = {}
    #: What a page asks for that has not been touched.
    plain: ClassVar[Message] = {}

    def __init__(
        self, send: Send, wake: Callable[[], None], *, read_only: bool = False
    ) -> None:
        self.read_only = read_only
        self.views: dict[str, View] = {}
        self._send, self._wake = send, wake
        # Shown to views that have not been heard of, such as those whose messages wait
        # for the cell to end.
        self._first = View(self.query(self.plain))
        self._known: Any = None
        self._number = self._acked = 0
        self._sent = self._looked = 0.0

    # What a table says of itself.

    def query(self, asked: Message) -> Any:
        """What a view asks for, checked."""
        raise NotImplementedError

    def look(self) -> AbstractContextManager[Stand]:
        """How it stands, held still for the block."""
        raise NotImplementedError

    def known(self, stand: Stand) -> object:
        """What is another one once there is something to tell."""
        raise NotImplementedError

    def picture(self, stand: Stand, now: float) -> Message:
        """The aggregates."""
        raise NotImplementedError

    def choose(self, stand: Stand, query: Any) -> Any:
        """The rows that fit, in order: something that is sliced."""
        raise NotImplementedError

    def row(self, stand: Stand, chosen: Any) -> list[Any]:
        """One of them as it travels."""
        raise NotImplementedError

    @property
    def pace(self) -> float:
        """Seconds between two looks, at least."""
        return PERIOD

    # From the page.

    def take(self, message: Message) -> None:
        """A page said something. On the publisher's thread; what may take long goes to one of its own.

        Not to the engine's workers: the calls of a run can keep all of them busy, and
        Stop most of all must not wait.
        """
        kind, who = message.get("t"), str(message.get("id", ""))
        if who in self.views:
            self.views[who].heard = time.monotonic()
        if kind == "view":
            self._set(who, message)
        elif kind == "ack":
            self._acked = max(self._acked, int(message["n"]))
        elif kind == "gone":
            self.views.pop(who, None)
        elif message.get("what") == "stop":
            self._answer(self.answers[kind], who, message)
        elif kind in self.answers:
            threading.Thread(
                target=self._answer,
                args=(self.answers[kind], who, message),
                name="nbflow-answer",
                daemon=True,
            ).start()

    def _set(self, who: str, message: Message) -> None:
        now = time.monotonic()
        self.views = {
            name: view
            for name, view in self.views.items()
            if now - view.heard < _SILENT or name == who
        }
        view = self.views.setdefault(who, View(self.query(self.plain), heard=now))
        if message.get("n", 0) < view.asked:
            return  # overtaken: it waited for a cell, and a later one took the way round it
        query = self.query(message.get("query", {}))
        if query != view.query:
            view.query, view.rows = query, None
        view.offset, view.limit = window(message)
        view.held, view.seen, view.asked = (
            bool(message.get("held")),
            bool(message.get("seen", True)),
            int(message.get("n", 0)),
        )

    def _answer(
        self, answer: Callable[[Any, Message], Message], who: str, message: Message
    ) -> None:
        try:
            said = answer(self, message)
        except Exception as error:
            # Nobody sees what a handler raises: the table says it, and in full what
            # only a mistake of ours can be.
            said = {
                "t": "said",
                "wrong": True,
                "text": short(
                    str(error)
                    if isinstance(error, NbflowError)
                    else failure.describe(error),
                    600,
                ),
            }
        self._send(said | {"id": who, "to": message.get("n")})
        self._wake()

    # To the page.

    def say(self, text: str) -> None:
        """Tell every view what went wrong."""
        self._send({"t": "said", "wrong": True, "text": short(text, 600)})

    def tick(self, now: float) -> None:
        """Tell the views what is new, if anything is and they can take it."""
        asked = any(view.asked != view.answered for view in self.views.values())
        answers = self._acked >= self._number - 1
        if not asked and now - self._looked < (
            self.pace if answers else max(self.pace, UNANSWERED)
        ):
            return
        if (
            self.views
            and not any(view.seen for view in self.views.values())
            and now - self._looked < BEAT
        ):
            return
        self._looked = now
        with self.look() as stand:
            known = self.known(stand)
            if (
                known == self._known
                and not asked
                and not any(
                    view.seen and view.stale and view.is_due
                    for view in self.views.values()
                )
            ):
                if now - self._sent >= BEAT:
                    self._tell({"t": "beat"}, now)
                return
            self._known = known
            message = {
                "t": "tick",
                "now": time.time(),
                "readonly": self.read_only,
                **self.picture(stand, now),
                "pages": self._pages(stand),
            }
        self._number += 1
        self._tell(message | {"n": self._number}, now)

    @property
    def is_quiet(self) -> bool:
        """Is there nothing to come, and has every view been told so?"""
        return self._known is not None and not any(
            view.asked != view.answered or view.stale for view in self.views.values()
        )

    def _tell(self, message: Message, now: float) -> None:
        self._sent = now
        self._send(message)

    def _pages(self, stand: Stand) -> Message:
        return {
            who: self._page(view, stand)
            for who, view in (self.views or {"": self._first}).items()
            if view.seen or view.asked != view.answered
        }

    def _page(self, view: View, stand: Stand) -> Message:
        view.stale = not view.is_due
        if not view.stale:
            begun = time.monotonic()
            view.rows = self.choose(stand, view.query)
            view.chosen_at = time.monotonic()
            view.cost = view.chosen_at - begun
        view.answered = view.asked
        count = len(view.rows)
        offset = max(0, min(view.offset, count - 1))
        return {
            "n": view.asked,
            "total": count,
            "offset": offset,
            "rows": [
                self.row(stand, chosen)
                for chosen in view.rows[offset : offset + view.limit]
            ],
        }


def window(message: Message) -> tuple[int, int]:
    """The part of all rows that a page asks for: offset and limit, within reason."""
    return max(0, int(message.get("offset", 0))), min(
        max(0, int(message.get("limit", 20))), _LIMIT
    )
