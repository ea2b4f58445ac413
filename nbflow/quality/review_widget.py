"""Widget: the page of a review in a notebook, and what page and kernel say to each other.

The page shows one record and says what was pressed; the kernel decides, keeps, and
answers with what stands. Nothing of a record is in the widget's state, so nothing is
saved in a notebook but the static picture beside it.
"""

from __future__ import annotations

import html
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from nbflow._call import failure
from nbflow.notebook import table_widget as table
from nbflow.notebook.page_files import PAGE, script, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow.quality.review import Review

    Message = dict[str, Any]

_HERE = Path(__file__).parent
#: Pages that stay alive; in older cells the static picture is left.
_MOST = 10


class ReviewPage:
    """The kernel's side of the pages that show a review: takes what they say, answers through ``send``."""

    def __init__(
        self,
        review: Review,
        send: Callable[[Message], None],
        changed: Callable[[], None],
    ) -> None:
        self._review = review
        self._send = send
        self._changed = changed

    def take(self, message: Message) -> None:
        """A page said something; what goes wrong is said in it."""
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

    def _answer(self, message: Message) -> None:
        review, kind = self._review, message.get("t")
        place = self._within(message.get("at"))
        said = ""
        if kind == "decide":
            decision = review.decide(review.keys[place], message["label"])
            said = f"{decision.key}: {decision.label}"
            place = self._following(place)
        elif kind == "undo":
            taken = review.undo()
            if taken is not None:
                place = review.place_of(taken)
            said = (
                f"{taken.key}: decision taken back"
                if taken is not None
                else "There is nothing to take back."
            )
        elif kind == "first":
            place = self._following(-1)
        self._send(
            self._picture(place)
            | {"view": message.get("view"), "n": message.get("n"), "said": said}
        )
        if kind in ("decide", "undo"):
            self._changed()

    def _within(self, place: Any) -> int:
        return min(max(int(place or 0), 0), max(len(self._review.keys) - 1, 0))

    def _following(self, place: int) -> int:
        """The next record that nobody has decided; the first of them behind the last; where one is if none is left."""
        decided, many = self._review.decided, len(self._review.keys)
        ahead = [at % many for at in range(place + 1, place + 1 + many)] if many else []
        return next(
            (at for at in ahead if self._review.keys[at] not in decided),
            self._within(place),
        )

    def _picture(self, place: int) -> Message:
        review = self._review
        picture: Message = {
            "t": "show", "column": review.column, "choices": list(review.choices.items()), "by": review.by,
            "at": place, "total": len(review.keys), "done": len(review.decided), "case": None,
        }  # fmt: skip
        if review.keys:
            case = review.case(place)
            decision = (
                [case.decision.label, case.decision.by, case.decision.at]
                if case.decision is not None
                else None
            )
            picture["case"] = case._asdict() | {"decision": decision}
        return picture


class ReviewWidget(anywidget.AnyWidget):
    """The page of one review."""

    _esm = script(_HERE / "review.js")
    # The colours and buttons of the run table, then what a review has beside them.
    _css = style(PAGE / "table.css", _HERE / "review.css")
    #: What the static picture beside it is known by.
    name = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, review: Review, changed: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(name=f"review-{secrets.token_hex(6)}")
        self._page = ReviewPage(review, self.send, changed)
        self.on_msg(self._heard)
        table._let_clicks_through(self.comm)  # noqa: SLF001 - one place knows how

    def _heard(self, _widget: Any, message: Any, _buffers: Any) -> None:
        if isinstance(message, dict):
            self._page.take(message)


#: The pages that cells of this kernel show, by name, the latest last.
_SHOWN: OrderedDict[str, ReviewWidget] = OrderedDict()


def show(review: Review) -> None:
    """Show the page under the cell, and beside it a static picture for whoever has no kernel, as the run table does."""
    from IPython.display import DisplayHandle, display

    picture: Any = DisplayHandle()
    widget = ReviewWidget(review, lambda: picture.update(static(), raw=True))

    def static() -> dict[str, str]:
        body = f'<div class="nbflow-static" data-nbflow="{html.escape(widget.name)}">{review._repr_html_()}</div>'
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
