"""Decides: what steps, flows and runs are. Pure: no I/O, no clock, no thread, no third party."""
