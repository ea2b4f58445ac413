"""What is shown in, and done with, notebooks."""
