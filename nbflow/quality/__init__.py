"""Quality: how good labels are, and which of two prompts is better.

A person who reviews labels has the last word.
"""

from nbflow.quality.agreement import agreement
from nbflow.quality.baseline import accept
from nbflow.quality.calibrate import calibrate
from nbflow.quality.comparison import compare
from nbflow.quality.estimate import estimate
from nbflow.quality.evaluation import evaluate
from nbflow.quality.review import review

__all__ = [
    "accept",
    "agreement",
    "calibrate",
    "compare",
    "estimate",
    "evaluate",
    "review",
]
