"""Export: a notebook becomes the scheduled job, written as the platform's own engineers would write it."""
