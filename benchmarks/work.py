"""Work: what every contestant does, so that only the keeping of it differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    import diskcache

#: A support thread, or what a model says about one: JSON.
Record: TypeAlias = dict[str, Any]


def text_of(number: int) -> str:
    """The text of a support thread, some 180 characters, no two alike."""
    return (
        f"Thread {number}: since the update the export of invoice {number * 7919} ends "
        "with an error. We have tried it in two browsers and from another account, and "
        "wait for your answer before the audit."
    )


def records(size: int) -> list[Record]:
    """A batch of support threads."""
    return [record(number) for number in range(size)]


def record(number: int) -> Record:
    """One of them."""
    return {
        "id": f"t-{number}",
        "channel": "chat" if number % 2 else "mail",
        "stars": number % 5,
        "body": text_of(number),
    }


def answer(text: str) -> Record:
    """A model's answer without the model: a dict of some 200 bytes."""
    return {
        "label": "billing" if "invoice" in text else "bug",
        "score": len(text) / 200,
        "urgent": "audit" in text,
        "summary": text[:120],
        "tags": ["export", "invoice"],
    }


def tidy(thread: Record) -> str:
    """The first of a batch's three steps; `answer` is the second."""
    return f"[{thread['channel']}] {thread['body'].strip()}"


def save(thread: str, label: str) -> dict[str, str]:
    """The third."""
    return {"id": thread, "saved": label}


def tuned(folder: Path) -> diskcache.Cache:
    """diskcache as a store of results has to be set up.

    By default it throws entries away at 1 GiB.
    """
    import diskcache

    return diskcache.Cache(str(folder), eviction_policy="none", cull_limit=0)
