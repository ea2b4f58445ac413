"""Answers: what nbflow knows, as JSON for programs and agents; docs/agents.md describes each schema."""
