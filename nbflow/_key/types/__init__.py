"""Digests, one file a family of types."""
