"""Page looks: how a page shows states. The kernel hands it over, so that names and words are written down once.

Beside the word of a state goes an icon, drawn by the page: the marks of `LOOKS`, which are
letters, look different in every font. Its colours are in ``table.css``, two of each, for
light pages and dark ones, under the name of the state.
"""

from __future__ import annotations

from nbflow._core.lifecycle import SHOWN, Reuse, Shown, State
from nbflow._core.table import BRIEF, WORDS

#: Words of a moment, which the picture of a run has no column for.
_PASSING: dict[Shown, str] = {State.RETRYING: "retrying", State.WAITING: "waiting"}
_ICONS: dict[Shown, str] = {
    State.QUEUED: "ring",
    State.RUNNING: "arc",
    State.RETRYING: "again",
    State.WAITING: "pause",
    State.COMPLETED: "check",
    State.CACHED: "bolt",
    Reuse.SAME: "same",
    State.FAILED: "cross",
    State.TIMED_OUT: "clock",
    State.CANCELLED: "slash",
    State.INTERRUPTED: "warn",
}
#: States of runs, in the order in which a history has them as filters.
_RUN_ICONS = {
    "RUNNING": _ICONS[State.RUNNING],
    "PARTIAL": "half",
    "FAILED": _ICONS[State.FAILED],
    "CANCELLED": _ICONS[State.CANCELLED],
    "INTERRUPTED": _ICONS[State.INTERRUPTED],
    "COMPLETED": _ICONS[State.COMPLETED],
}


#: Name, word and icon: of each state of a record, by its code, and of each state of a run.
#: A state of a record has a word for narrow columns as well.
PAGE_LOOKS = {
    "states": [
        [
            str(shown),
            (WORDS | _PASSING)[shown],
            _ICONS[shown],
            (BRIEF | _PASSING)[shown],
        ]
        for shown in SHOWN
    ],
    "runs": [[name, name.lower(), icon] for name, icon in _RUN_ICONS.items()],
}
