"""nbflow: durable steps, event fan-out and a readable run table for Jupyter notebooks."""
