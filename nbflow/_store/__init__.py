"""Remembers: checkpoints and the ledger."""
