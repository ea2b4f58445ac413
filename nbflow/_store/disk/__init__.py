"""The default store: checkpoints in a folder."""
