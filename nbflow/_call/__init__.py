"""Performs one call: looks it up, attempts it, waits, retries, saves."""
