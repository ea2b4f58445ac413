"""Quality: how good labels are, which of two prompts is better, and a person who has the last word."""

from nbflow.quality.comparison import compare
from nbflow.quality.evaluation import evaluate
from nbflow.quality.review import review

__all__ = ["compare", "evaluate", "review"]
