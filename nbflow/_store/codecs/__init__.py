"""Codecs: one file for each family of types, and the form of its values as bytes.

``plain`` writes the standard library's data as msgpack, with the extension codes of
``tags``; ``records`` adds instances of the user's classes, ``arrays`` numpy. ``arrow``
writes tables, those of pandas with ``frames`` and ``columns``. ``pickled`` is the last
resort. Only `nbflow._store.codec` chooses between them.
"""
