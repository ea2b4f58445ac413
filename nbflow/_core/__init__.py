"""Decides. Pure: no I/O, no clock, no thread, no third party."""
