"""Recorded answers of 14 real language models, to be replayed as models."""

from pathlib import Path

import pandas as pd
import pytest

import nbflow as nf

DATA = Path(__file__).parents[1] / "data" / "cfpb_answers.csv"
LABELS = {
    "c": "credit_card",
    "r": "credit_reporting",
    "d": "debt_collection",
    "m": "mortgages_and_loans",
    "b": "retail_banking",
    "a": "auto_loan",
    "s": "student_loans",
}
MODELS = (
    "gpt-4o", "gpt-4o-mini", "claude-3-5-sonnet", "claude-3-5-haiku", "deepseek-chat",
    "gemini-2.0-flash", "gemini-2.0-flash-lite",
    "gemini-1.5-pro", "gemini-1.5-flash", "claude-3-7-sonnet", "gpt-4.5-preview", "o1", "o3-mini", "deepseek-reasoner",
)  # fmt: skip


@pytest.fixture(scope="session")
def complaints():
    """One row a complaint: id, product, and a column for each model."""
    read = pd.read_csv(DATA)
    answers = {
        model: read["answers"].str[place].map(LABELS)
        for place, model in enumerate(MODELS)
    }
    return pd.DataFrame(
        {"id": read["id"], "product": read["product"].map(LABELS), **answers}
    )


@pytest.fixture
def copied(nb, complaints):
    """A recorded model on texts in several records, of three regions.

    ``copied("o1", {7: 80})`` sends the seventh complaint eighty times.
    """

    def copied(model, copies):
        own = dict(zip(complaints["id"], complaints[model], strict=True))

        @nf.flow(on="e")
        def triage(complaint):
            return own[int(complaint["text"])]

        records = [
            {
                "id": f"{text}-{copy}",
                "text": str(text),
                "region": "abc"[(text + copy) % 3],
            }
            for text, number in copies.items()
            for copy in range(number)
        ]
        return nb.send("e", records, key="id")

    return copied
