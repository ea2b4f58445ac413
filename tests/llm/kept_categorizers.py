"""Categorizers of every kind, of which a store holds the answers that an earlier version saved.

`tests/data/categorizers.zip` is that store, with the key that authenticates it.
"""

import nbflow as nf
from nbflow.llm import Reply

TEXT = "I was charged twice, please refund one payment"
LABELS = {
    "billing": "charges, refunds, invoices",
    "bug": "something does not work",
    "other": None,
}


class Client:
    name = "house:small"

    async def ask(self, request):
        return Reply('{"reason": "it says so", "label": "billing", "confidence": 0.9}')


class Decider:
    name = "house:decides"
    decides = True

    async def ask(self, request):
        shares = {"billing": 0.8, "bug": 0.1, "other": 0.1}
        return Reply("billing", probabilities=shares)


def rule(text):
    return {"label": "billing", "confidence": 0.7}


async def waits(text):
    return "bug"


def redact(text):
    return text.replace("twice", "[twice]")


OPTIONS = {
    "offline": {},
    "instructed": {
        "instructions": "Choose well.",
        "unknown": "unclear",
        "examples": {"refund me": "billing"},
    },
    "redacted": {"redact": redact},
    "function": {"model": rule},
    "coroutine": {"model": waits},
    "client": {"model": Client()},
    "silent": {"model": Client(), "reason": False},
    "decider": {"model": Decider()},
    "provider": {"model": "openai:gpt-4o-mini"},
    "decisions": {"model": "openai-decisions:gpt-6-luna"},
    "version": {"version": "1", "name": "topic"},
}
#: What their calls about the text are remembered by.
KEYS = {
    "offline": "13de398708ad9146583e7bbe8d9032d095f654bb",
    "instructed": "405e7b23454f42c2eb093dfb6d61c220af7a3419",
    "redacted": "3cc52338477f463370bd0011e3aa98666e398b09",
    "function": "1eab127d1b847dbef6bed90506c82045cb1e2240",
    "coroutine": "d8ad64c571c1ce05c11df98db80bed264fe64ca9",
    "client": "c1e1271a1fdff5641a7894b0fb4f201d10b9e73c",
    "silent": "ff9829321ff99a1344e47e25598efb70b373f8a3",
    "decider": "0af3de5e95a2226a6a245fd1ca1518e8cd5a13e5",
    "provider": "305fd41fde3c3b49f3485600a4caeb1b0449e635",
    "decisions": "cea0f75df8d3a6a8e40406480d14e038f2e2b0ad",
    "version": "b276f212d4704efe1d20bb5be302b0b7ae56f402",
}


def categorizer(kind):
    return nf.llm.categorizer(LABELS, **OPTIONS[kind])
