"""Hide from a process what Windows does not have, as far as that can be done: ``import without_posix`` first.

Not a Windows: paths, files in use and the console stay those of this machine.
"""

import os
import signal
import sys

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix_ipc")
NAMES = (
    *("geteuid", "getuid", "getgid", "getegid", "fork", "forkpty", "register_at_fork"),
    *("pread", "pwrite", "fchmod", "chown", "statvfs", "fdatasync", "killpg", "setsid"),
    *("getpgid", "O_CLOEXEC", "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "sysconf"),
)


class Hidden:
    """A finder that finds nothing, before those that do."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide():
    """From now on they are gone; what was loaded before keeps what it has."""
    # What the standard library and others use of them is theirs to have loaded.
    import asyncio  # noqa: F401
    import concurrent.futures.process  # noqa: F401
    import ctypes  # noqa: F401
    import multiprocessing  # noqa: F401
    import random  # noqa: F401
    import shutil  # noqa: F401
    import sqlite3  # noqa: F401
    import subprocess  # noqa: F401
    import tempfile  # noqa: F401

    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Hidden())
    for name in NAMES:
        if hasattr(os, name):
            delattr(os, name)
    for name in ("SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1"):
        if hasattr(signal, name):
            delattr(signal, name)


hide()
