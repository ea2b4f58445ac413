"""Remembers: what outlives a process, saved outputs and the history of runs.

A ``store`` keeps ``checkpoint`` bytes, which ``codec`` makes of values; the ``ledger``
keeps the entries of runs, and ``decisions`` those of people. All of it is sealed by
``seal`` and lies in a ``folder``, which ``location`` finds. ``codecs`` has a file for
each family of types, ``disk`` the store in a folder.
"""
