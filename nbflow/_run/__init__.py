"""Acts: performs what the core decides."""
