"""Codecs, one file a family of types."""
