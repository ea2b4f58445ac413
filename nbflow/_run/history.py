"""History: the frame of runs, which shows itself as one. A module of its own, as it needs pandas to be imported."""

from __future__ import annotations

import pandas as pd

from nbflow._run.render import runs_to_html


class History(pd.DataFrame):
    """A pandas frame of runs; what is made of it is a plain frame."""

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def _repr_html_(self) -> str:
        return runs_to_html(self)
