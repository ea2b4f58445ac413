"""The files that ``nbflow demo`` copies: a notebook, two hundred support threads and a stand-in for an LLM."""
