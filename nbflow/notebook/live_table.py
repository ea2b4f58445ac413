"""Live table: a table in the kernel, and how it talks with the pages that show it.

The kernel owns the rows; a page holds what it shows. Messages from a page (``t`` is the
kind, ``id`` the view that asks):

- ``view``: what the view shows from now on: offset, limit, query, whether its order may
  change, whether it is seen
- ``ack``: the tick with number ``n`` is drawn
- ``gone``: the view no longer exists
- what else the table answers (`LiveTable.answers`): ``open`` a row, ``act``, ``csv``,
  ``compare``

and to a page: ``tick`` (aggregates, and each view's rows), ``beat`` (the kernel lives),
``said`` (what came of a request), and the answers. What a record holds travels as text,
which a page never takes for HTML.
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
    #: Answers a message; its first argument is the table.
    Answer = Callable[[Any, Message], Message]
    #: A row as it travels.
    RowData = list[Any]

#: Seconds between two ticks at least.
PERIOD = 0.2
#: The same if the page does not answer, or cannot, while a cell runs.
UNANSWERED = 0.4
#: The same for what another process works on.
ELSEWHERE = 0.5
#: The same if nothing happens.
BEAT = 2.0
#: Seconds after which a view that is silent while another speaks is taken for gone.
_SILENT = 30.0
#: Choosing rows takes at most one in this many seconds: what was chosen is used for this
#: many times the time that it cost.
SHARE = 50
#: Rows that a page may ask for at once.
_LIMIT = 200

#: The thing that is shown, as it stands at one moment.
Stand = TypeVar("Stand")


@dataclass(slots=True)
class PageView:
    """One place where the table is shown: what it asks for, and what it got.

    Attributes:
        query: which rows it shows, and in which order.
        offset: where in them it is.
        limit: the number of rows that it has room for.
        held: whether the rows must stay where they are, as somebody reads them.
        seen: whether it is on the screen.
        asked: the number of its latest request.
        answered: the number of the request that was answered last.
        heard: when it was heard of last.
        rows: the rows that fit its query, in order; ``None`` if they are to be chosen.
        chosen_at: when they were chosen.
        cost: seconds that this took.
        stale: whether what is shown has changed since.
    """

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
    stale: bool = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to choose rows again: the more that cost, the longer it is used."""
        if self.rows is None:
            return True
        age = time.monotonic() - self.chosen_at
        return not self.held and age >= SHARE * self.cost

    @property
    def is_waiting(self) -> bool:
        """Whether it asked for something that has not been answered."""
        return self.asked != self.answered


class LiveTable(Generic[Stand]):
    """A live table, with any number of views of it.

    Args:
        send: gives a message to every view.
        wake: has `tick` called soon.
        read_only: refuse everything that would change anything.
    """

    #: What is answered on a thread of its own, by the kind of the message.
    answers: ClassVar[Mapping[object, Answer]] = {}
    #: What a page asks for before anybody has touched it.
    plain: ClassVar[Message] = {}

    def __init__(
        self, send: Send, wake: Callable[[], None], *, read_only: bool = False
    ) -> None:
        self.read_only = read_only
        self.views: dict[str, PageView] = {}
        self._send = send
        self._wake = wake
        # For pages that have not been heard of, such as those whose messages wait for
        # the cell to end.
        self._first = PageView(self.query(self.plain))
        #: What `known` said when the pages were last told something.
        self._known: object = None
        #: The number of the latest tick, and of the latest one that was drawn.
        self._number = 0
        self._acked = 0
        #: When something was last sent, and when the thing shown was last looked at.
        self._sent = 0.0
        self._looked = 0.0
        #: Whether there is news that no look has seen yet.
        self._is_due = False

    # What a table says of itself.

    def query(self, asked: Message) -> Any:
        """Return what a view asks for, checked."""
        raise NotImplementedError

    def look(self) -> AbstractContextManager[Stand]:
        """Return how the thing shown stands, held still for the block."""
        raise NotImplementedError

    def known(self, stand: Stand) -> object:
        """Return what differs as soon as there is something to tell."""
        raise NotImplementedError

    def picture(self, stand: Stand, now: float) -> Message:
        """Return the aggregates."""
        raise NotImplementedError

    def choose(self, stand: Stand, query: Any) -> Any:
        """Return the rows that fit, in order: something that can be sliced."""
        raise NotImplementedError

    def row(self, stand: Stand, chosen: Any) -> RowData:
        """Return one of them as it travels."""
        raise NotImplementedError

    def made(self, stand: Stand) -> None:
        """Rows were made; here a table has read what they lacked."""

    @property
    def pace(self) -> float:
        """Seconds between two looks, at least."""
        return PERIOD

    # From the page.

    def take(self, message: Message) -> None:
        """Take a message of a page, on the publisher's thread; what may take long gets a thread of its own.

        Not one of the engine's workers: the calls of a run can keep all of them busy,
        and Stop, above all, must not wait.
        """
        kind = message.get("t")
        who = str(message.get("id", ""))
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
        view = self.views.setdefault(who, PageView(self.query(self.plain), heard=now))
        if message.get("n", 0) < view.asked:
            return  # overtaken: it waited for a cell to end, and a later one did not
        query = self.query(message.get("query", {}))
        if query != view.query:
            view.query, view.rows = query, None
        view.offset, view.limit = window(message)
        view.held = bool(message.get("held"))
        view.seen = bool(message.get("seen", True))
        view.asked = int(message.get("n", 0))

    def _answer(self, answer: Answer, who: str, message: Message) -> None:
        try:
            said = answer(self, message)
        except NbflowError as error:
            said = _wrong(str(error))
        except Exception as error:
            # A mistake of ours, which nobody would see if the table did not say it.
            said = _wrong(failure.describe(error))
        self._send(said | {"id": who, "to": message.get("n")})
        # Whoever asked sees at once what came of it, however short ago the last look was.
        self._looked = 0.0
        self.look_soon()

    # To the page.

    def say(self, text: str) -> None:
        """Tell every view what went wrong."""
        self._send(_wrong(text))

    def look_soon(self) -> None:
        """Do not wait for the next beat: something began."""
        self._is_due = True
        self._wake()

    def tick(self, now: float) -> None:
        """Tell the views what is new, if anything is and they can take it."""
        views = self.views.values()
        is_asked = any(view.is_waiting for view in views)
        if self._is_too_early(now, is_asked=is_asked):
            return
        self._looked, self._is_due = now, False
        with self.look() as stand:
            known = self.known(stand)
            is_new = known != self._known or any(
                view.seen and view.stale and view.is_due for view in views
            )
            if not is_new and not is_asked:
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
            self.made(stand)
        self._number += 1
        self._tell(message | {"n": self._number}, now)

    def _is_too_early(self, now: float, *, is_asked: bool) -> bool:
        """Return whether the thing shown need not be looked at yet."""
        since = now - self._looked
        views = self.views.values()
        if views and not any(view.seen for view in views) and since < BEAT:
            return True
        if is_asked:
            return False
        answers = self._acked >= self._number - 1
        return since < (self.pace if answers else max(self.pace, UNANSWERED))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing more is to come, and every view has been told so."""
        if self._known is None or self._is_due:
            return False
        return not any(view.is_waiting or view.stale for view in self.views.values())

    def _tell(self, message: Message, now: float) -> None:
        self._sent = now
        self._send(message)

    def _pages(self, stand: Stand) -> Message:
        return {
            who: self._page(view, stand)
            for who, view in (self.views or {"": self._first}).items()
            if view.seen or view.is_waiting
        }

    def _page(self, view: PageView, stand: Stand) -> Message:
        view.stale = not view.is_due
        if not view.stale:
            begun = time.monotonic()
            view.rows = self.choose(stand, view.query)
            view.chosen_at = time.monotonic()
            view.cost = view.chosen_at - begun
        view.answered = view.asked
        count = len(view.rows)
        offset = max(0, min(view.offset, count - 1))
        chosen = view.rows[offset : offset + view.limit]
        return {
            "n": view.asked,
            "total": count,
            "offset": offset,
            "rows": [self.row(stand, one) for one in chosen],
        }


def _wrong(text: str) -> Message:
    """Make the message that says what went wrong."""
    return {"t": "said", "wrong": True, "text": short(text, 600)}


def window(message: Message) -> tuple[int, int]:
    """Return the part of all rows that a page asks for: offset and limit, within reason."""
    offset = max(0, int(message.get("offset", 0)))
    limit = max(0, int(message.get("limit", 20)))
    return offset, min(limit, _LIMIT)
