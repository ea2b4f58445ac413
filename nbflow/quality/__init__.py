"""Quality: how good labels are, and which of two prompts is better.

A person who reviews labels has the last word.
"""

from nbflow.quality.comparison import compare
from nbflow.quality.estimate import estimate
from nbflow.quality.evaluation import evaluate
from nbflow.quality.review import review

__all__ = ["compare", "estimate", "evaluate", "review"]
