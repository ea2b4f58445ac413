"""Page looks: how a page shows states. The kernel hands it over: pages know no name, word or colour of their own.

The sign beside the word is an icon, drawn by the page: letters look different in every
font.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbflow._core.lifecycle import SHOWN
from nbflow._core.looks import LOOKS, RUN_LOOKS, SHARE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbflow._core.looks import Look


#: Name, word and icon: of each state of a record, by its code, and of each state of a run.
#: A state of a record has a word for narrow columns as well.
PAGE_LOOKS = {
    "states": [
        [str(shown), LOOKS[shown].word, LOOKS[shown].icon, LOOKS[shown].brief]
        for shown in SHOWN
    ],
    "runs": [[name, look.word, look.icon] for name, look in RUN_LOOKS.items()],
}


def colours() -> str:
    """The colours of the states as a style sheet, for light pages and dark ones.

    Each is there at its strongest, for bars, and mixed with the colour of text.
    """
    looks = {str(state): look for state, look in LOOKS.items()} | RUN_LOOKS
    mixed = [line for name, look in looks.items() for line in _mixed(name, look)]
    classes = "\n".join(map(_class, looks))
    return ".nbf {\n" + "\n".join(mixed) + "\n}\n" + classes + "\n"


def _mixed(name: str, look: Look) -> Iterator[str]:
    css = _css(name)
    yield f"  --nbf-solid-{css}: {look.colour};"
    share = f"var(--nbf-solid-{css}) {SHARE}%"
    yield f"  --nbf-{css}: color-mix(in srgb, {share}, var(--nbf-fg));"


def _class(name: str) -> str:
    css = _css(name)
    return (
        f".nbf-s-{css} {{ --nbf-c: var(--nbf-{css});"
        f" --nbf-solid: var(--nbf-solid-{css}); }}"
    )


def _css(name: str) -> str:
    """The name as `states.js` makes a class of it."""
    return name.lower().replace("_", "-")
