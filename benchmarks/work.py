"""Work: what every contestant does, so that only the keeping of it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def text_of(number: int) -> str:
    """The text of a support thread, some 180 characters, no two alike."""
    return f"Thread {number}: since the update the export of invoice {number * 7919} ends with an error. We have tried it in two browsers and from another account, and wait for your answer before the audit."


def records(size: int) -> list[dict[str, Any]]:
    """A batch of support threads."""
    return [
        {
            "id": f"t-{n}",
            "channel": ("mail", "chat")[n % 2],
            "stars": n % 5,
            "body": text_of(n),
        }
        for n in range(size)
    ]


def answer(text: str) -> dict[str, Any]:
    """A model's answer without the model: a dict of some 200 bytes."""
    return {
        "label": "billing" if "invoice" in text else "bug",
        "score": len(text) / 200,
        "urgent": "audit" in text,
        "summary": text[:120],
        "tags": ["export", "invoice"],
    }


def tidy(thread: dict[str, Any]) -> str:
    """The first of a batch's three steps; `answer` is the second."""
    return f"[{thread['channel']}] {thread['body'].strip()}"


def save(thread: str, label: str) -> dict[str, str]:
    """The third."""
    return {"id": thread, "saved": label}


def tuned(folder: Path) -> Any:
    """diskcache as a store of results has to be set up: by default it throws entries away at 1 GiB."""
    import diskcache

    return diskcache.Cache(str(folder), eviction_policy="none", cull_limit=0)
