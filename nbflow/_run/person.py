"""Person: who sits at this computer, for what is kept with a name."""

from __future__ import annotations

import getpass
import os


def user() -> str:
    """The name of the user."""
    try:
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container whose user has no name.
        return "somebody"
