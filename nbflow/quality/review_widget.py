"""Widget: the page of a review in a notebook, and what page and kernel say to each other.

The page shows one record and says what was pressed; the kernel decides, keeps, and
answers with what stands. Nothing of a record is in the widget's state, so nothing is
saved in a notebook but the static picture beside it.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import anywidget
import traitlets

from nbflow._call import failure
from nbflow._core.looks import word_of
from nbflow._run.html_parts import static_beside
from nbflow.notebook import table_widget
from nbflow.notebook.page_files import PAGE, script, style
from nbflow.notebook.page_looks import colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.quality.reviewable import Reviewable

    Message = dict[str, object]

_HERE = Path(__file__).parent
#: Pages that stay alive; in older cells the static picture is left.
_MOST = 10


class Asked(TypedDict, total=False):
    """What a page says: its kind, who says it, which record it is at, and the label that was chosen."""

    t: str
    view: str
    n: int
    at: int
    label: str


class ReviewPage:
    """The kernel's side of the pages that show a review.

    It takes what they say and answers through ``send``.
    """

    def __init__(
        self,
        review: Reviewable,
        send: Callable[[Message], None],
        changed: Callable[[], None],
    ) -> None:
        self._review = review
        self._send = send
        self._changed = changed

    def take(self, message: Asked) -> None:
        """Take in what a page said; the page shows what goes wrong."""
        try:
            self._answer(message)
        except Exception as error:
            self._send(
                {
                    "t": "wrong",
                    "view": message.get("view"),
                    "n": message.get("n"),
                    "message": failure.describe(error),
                }
            )

    def _answer(self, message: Asked) -> None:
        review, kind = self._review, message.get("t")
        place = self._within(message.get("at"))
        said = ""
        if kind == "decide":
            decision = review.decide(review.keys[place], message["label"])
            said = f"{decision.key}: {decision.label}"
            place = self._following(place)
        elif kind == "undo":
            taken = review.undo()
            said = "There is nothing to take back."
            if taken is not None:
                place = review.place_of(taken)
                said = f"{taken.key}: decision taken back"
        elif kind == "first":
            place = self._following(-1)
        answer = {"view": message.get("view"), "n": message.get("n"), "said": said}
        self._send(self._picture(place) | answer)
        if kind in ("decide", "undo"):
            self._changed()

    def _within(self, place: int | None) -> int:
        last = max(len(self._review.keys) - 1, 0)
        return min(max(int(place or 0), 0), last)

    def _following(self, place: int) -> int:
        """The next record that nobody has decided.

        Behind the last one it begins again with the first; it is the place itself if
        none is left.
        """
        decided, keys = self._review.decided, self._review.keys
        for step in range(1, len(keys) + 1):
            at = (place + step) % len(keys)
            if keys[at] not in decided:
                return at
        return self._within(place)

    def _picture(self, place: int) -> Message:
        review = self._review
        picture: Message = {
            "t": "show",
            "column": review.column,
            "choices": list(review.choices.items()),
            "by": review.by,
            "about": review.about,
            "at": place,
            "total": len(review.keys),
            "done": len(review.decided),
            "case": None,
        }
        if review.keys:
            case = review.case(place)
            made, decision = case.decision, None
            if made is not None:
                decision = [made.label, made.by, made.at]
            missing = word_of(case.missing)
            picture["case"] = case._asdict() | {
                "decision": decision,
                "missing": missing,
            }
        return picture


class ReviewWidget(anywidget.AnyWidget):
    """The page of one review."""

    _esm = script(_HERE / "review.js")
    # The colours and buttons of the run table, then what a review has beside them.
    _css = colours() + style(PAGE / "table.css", _HERE / "review.css")
    #: What the static picture beside it is known by.
    name = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, review: Reviewable, changed: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(name=f"review-{secrets.token_hex(6)}")
        self._page = ReviewPage(review, self.send, changed)
        self.on_msg(self._heard)
        table_widget.let_clicks_through(self.comm)

    def _heard(self, _widget: object, message: object, _buffers: object) -> None:
        if isinstance(message, dict):
            self._page.take(cast("Asked", message))


#: The pages that cells of this kernel show, by name, the latest last.
_SHOWN: OrderedDict[str, ReviewWidget] = OrderedDict()


def show(review: Reviewable) -> None:
    """Show the page under the cell.

    A static picture stands beside it for whoever has no kernel, as with the run table.
    """
    from IPython.display import DisplayHandle, display

    picture = DisplayHandle()
    widget = ReviewWidget(review, lambda: picture.update(static(), raw=True))

    def static() -> dict[str, str]:
        body = static_beside(widget.name, review._repr_html_())
        return {"text/html": body, "text/plain": repr(review)}

    shown = widget._repr_mimebundle_()
    data, metadata = shown if isinstance(shown, tuple) else (shown, {})
    display(
        {**(data or {}), "text/plain": f"nbflow review of {review.column}"},
        metadata=metadata,
        raw=True,
    )
    picture.display(static(), raw=True)
    _SHOWN[widget.name] = widget
    while len(_SHOWN) > _MOST:
        _SHOWN.popitem(last=False)[1].close()
