"""Tell: addresses of people, what is sent to them, and that each notice is sent once."""
