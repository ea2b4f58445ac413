"""ByteSearch: which files hold some bytes. Also a program of its own, for the files of a store.

A process that reads and closes the files of a store loses its POSIX locks on them, and
with these the database; so another process reads them. It imports nothing of nbflow.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["files_with", "holds"]

_CHUNK = 1 << 22


def holds(path: Path, needles: Sequence[bytes]) -> bool:
    """Whether a file holds one of these. One that is gone does not; one that cannot be read may."""
    kept = max(map(len, needles)) - 1
    tail = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                blob = tail + chunk
                if any(needle in blob for needle in needles):
                    return True
                tail = blob[-kept:] if kept else b""
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def files_with(folder: Path, needles: Sequence[bytes]) -> Iterator[Path]:
    """The files in a folder that hold one of these, at any depth."""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            # A pipe would never end.
            if path.is_file() and holds(path, needles):
                yield path


if __name__ == "__main__":
    folder, *spelled = sys.stdin.buffer.read().split(b"\n")
    found = files_with(
        Path(os.fsdecode(bytes.fromhex(folder.decode()))),
        [bytes.fromhex(needle.decode()) for needle in spelled],
    )
    for each in found:
        sys.stdout.write(f"{os.fsencode(each).hex()}\n")
