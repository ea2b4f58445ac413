"""Disk: the default store, checkpoints in a folder that many processes may open.

``disk_store`` puts small entries into the ``journal`` and moves them in bulk to the
``shelf``, which keeps them in the SQLite table of ``diskcache_table``. ``salvage`` reads
what is left of a damaged table, and ``keylock`` says which process works on a key.
"""
