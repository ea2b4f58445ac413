"""History: the frame of runs, which shows itself as one. A module of its own, as it needs pandas to be imported."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from nbflow._run.render import runs_to_html, runs_to_text
from nbflow.errors import UsageError

if TYPE_CHECKING:
    from anywidget import AnyWidget

    from nbflow._run.chronicle import Chronicle

COLUMNS = ["run", "event", "state", "started", "seconds", "records", "failed"]


class Place(Protocol):
    """What the assembling place does for a history."""

    def display_history(self, history: History, chronicle: Chronicle) -> bool:
        """Show it live under the cell; answers whether that can be done where this code runs."""

    def history_widget(self, chronicle: Chronicle) -> AnyWidget:
        """The live history as a widget."""


class History(pd.DataFrame):
    """A pandas frame of runs; what is made of it is a plain frame.

    The frame is what there was when it was made; a notebook shows it live.
    """

    #: Of instances only: pandas takes what is named here for no column.
    # The ignores: pandas declares it so, and documents it for subclasses.
    _internal_names = [*pd.DataFrame._internal_names, "_live"]  # type: ignore[attr-defined]  # noqa: RUF012, SLF001  # see above
    _internal_names_set = set(_internal_names)  # noqa: RUF012  # see above
    _live: tuple[Chronicle, Place] | None = None

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @classmethod
    def of(cls, chronicle: Chronicle, place: Place, last: int | None = None) -> History:
        """The runs of a chronicle as they stand, or the ``last`` ones."""
        rows = [
            (
                line.run,
                line.event,
                line.state,
                datetime.fromtimestamp(line.started),  # noqa: DTZ006  # what the clock on the wall said
                line.seconds,
                line.records,
                line.failed,
            )
            for line in chronicle.lines(last)
        ]
        history = cls(rows, columns=COLUMNS)
        history._live = chronicle, place
        return history

    def widget(self) -> AnyWidget:
        """The live history as a widget (an `anywidget.AnyWidget`), for hosts that show widgets their own way.

        In marimo: ``mo.ui.anywidget(nf.runs().widget())``. In Jupyter the history shows
        itself.

        Raises:
            UsageError: anywidget is not installed, or this is a copy of a history.
        """
        if self._live is None:
            raise UsageError(
                "This is a copy of a history; nf.runs().widget() is the live one."
            )
        chronicle, place = self._live
        return place.history_widget(chronicle)

    def _ipython_display_(self) -> None:
        if self._live is None or not self._live[1].display_history(self, self._live[0]):
            raise NotImplementedError  # what IPython takes for: look for another way to show it

    def __repr__(self) -> str:
        return runs_to_text(self, *self._store())

    def _repr_html_(self) -> str:
        return runs_to_html(self, *self._store())

    def _store(self) -> list[str]:
        return [self._live[0].runs.engine.store.url] if self._live else []
