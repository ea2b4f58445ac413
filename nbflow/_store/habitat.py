"""Habitat: where a store cannot live well, in words, with the way out.

The mount table says what statfs does, and names the file system behind FUSE.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Mount", "fading", "mount_of", "unfit"]

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"9p|afs|ceph|cifs|davfs|glusterfs|lustre|ncpfs|nfs4?|smb[23]|smbfs|fuse.*"
)
#: Behind FUSE, but on a disk of this machine.
_LOCAL_FUSE = re.compile(
    r"fuseblk|fusectl|fuse\.(ext2|gocryptfs|lxcfs|mergerfs|ntfs|ntfs-3g|fuse-overlayfs)"
)
#: The writable layer of a container; a disk that is memory.
_LAYERS = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
_MEMORY = frozenset({"tmpfs", "ramfs"})
#: Folders that a client copies, by their names, and files that clients leave in them.
_SYNCED = re.compile(
    r"(dropbox|onedrive|google ?drive|icloud ?drive|mobile documents|cloudstorage"
    r"|nextcloud|owncloud|pcloud ?drive|box sync|megasync)\b.*",
    re.IGNORECASE,
)
_LEFT = (".dropbox.cache", ".dropbox", ".stfolder", ".sync_journal.db")
_ELSEWHERE = (
    "Name a folder on a disk of this machine: NBFLOW_STORE, or"
    ' nf.use("/local/folder/.nbflow")'
)


class Mount(NamedTuple):
    """Where a file system is mounted, and of what kind it is."""

    place: str
    kind: str


def mount_of(folder: Path, table: str | None = None) -> Mount | None:
    """The mount that holds a folder; ``None`` where the system has no such table."""
    if table is None:
        try:
            table = _MOUNTS.read_text("utf-8", "replace")
        except OSError:
            return None
    found = None
    for line in table.splitlines():
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(" "), behind.partition(" ")[0]
        if len(fields) > _PLACE:
            place = _unescaped(fields[_PLACE])
            is_deeper = found is None or len(place) >= len(found.place)
            if is_deeper and folder.is_relative_to(place):
                found = Mount(place, kind)
    return found


#: The field of a line that says where.
_PLACE = 4


def _unescaped(place: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)


def unfit(folder: Path, table: str | None = None) -> str | None:
    """Why a store in this folder may break, and what to do; ``None`` if nothing speaks against it."""
    mount = mount_of(folder, table)
    if mount is not None and _is_network(mount.kind):
        # Some name no more than that a program is behind it: statfs says no more, too.
        kind = "FUSE file system" if mount.kind == "fuse" else "network file system"
        return (
            f"it is on a {kind} ({mount.kind} at {mount.place}), where"
            " locks and the memory that processes share hold on one machine at most:"
            f" two machines at once damage it. {_ELSEWHERE}"
        )
    client = _synced_by(folder)
    if client is not None:
        return (
            f"a sync client copies its folder ({client}) while it is written, and may"
            f" bring back old files. {_ELSEWHERE}, that no client copies"
        )
    return None


def _is_network(kind: str) -> bool:
    return bool(_NETWORK.fullmatch(kind)) and not _LOCAL_FUSE.fullmatch(kind)


def _synced_by(folder: Path) -> str | None:
    for parent in (folder, *folder.parents):
        if _SYNCED.fullmatch(parent.name):
            return str(parent)
        if parent != folder and any((parent / name).exists() for name in _LEFT):
            return str(parent)
    return None


def fading(folder: Path, table: str | None = None) -> str | None:
    """Why a store in this folder ends with its container or machine, and what to do."""
    mount = mount_of(folder, table)
    if mount is None or mount.kind not in _LAYERS | _MEMORY:
        return None
    what = "in memory" if mount.kind in _MEMORY else "in the container's own layer"
    ends = "the machine" if mount.kind in _MEMORY else "the container"
    return (
        f"it is {what} ({mount.kind} at {mount.place}) and ends with {ends}. Mount a"
        " volume, and name a folder in it: NBFLOW_STORE=/volume/.nbflow"
    )
