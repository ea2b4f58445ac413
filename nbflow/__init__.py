"""nbflow: durable steps, event fan-out and a readable run table for Jupyter notebooks.

::

    import nbflow as nf

    @nf.step(retries=4, timeout=30, concurrency=16, throttle="300/min")
    def categorize(text: str) -> Category: ...

    @nf.flow(on="support/thread.created")
    def triage(thread):
        return categorize(thread["body"])

    run = nf.send("support/thread.created", threads, key="id")
"""

import sys
import typing

from nbflow._api import (
    flow,
    flows,
    load_ipython_extension,
    open_run,
    plan,
    runs,
    send,
    set_price,
    step,
    usage,
    use,
)
from nbflow._core.flow import Flow
from nbflow._core.policy import Throttle
from nbflow._core.usage import Usage
from nbflow._key.secret import Secret, secret
from nbflow._step import Step
from nbflow.errors import (
    BudgetError,
    CodecError,
    DuplicateKeyError,
    NbflowError,
    NbflowWarning,
    NonRetriableError,
    RetryAfterError,
    RunCancelledError,
    RunFailedError,
    StepError,
    StepTimeoutError,
    StoreError,
    StoreWarning,
    UnkeyableError,
    UnknownEventError,
    UnknownRunError,
    UsageError,
)
from nbflow.export import export

# A step that uses one of these by its own name (`from nbflow import usage`) has this
# module in its key, and not the file that happens to define it.
for _public in (
    flow, flows, load_ipython_extension, open_run, plan, runs, send, set_price, step,
    usage, use, Step,
):  # fmt: skip
    _public.__module__ = __name__

if typing.TYPE_CHECKING:
    from nbflow import llm as llm
    from nbflow import store as store
    from nbflow._key.file import File as File
    from nbflow._key.file import file as file
    from nbflow._key.value import key_by as key_by
    from nbflow._outside import ask as ask
    from nbflow._outside import emit as emit
    from nbflow._outside import sleep as sleep
    from nbflow._outside import wait_for as wait_for
    from nbflow._run.explanation import Explanation as Explanation
    from nbflow._run.plan import Plan as Plan
    from nbflow._run.run import Run as Run
    from nbflow.quality import accept as accept
    from nbflow.quality import agreement as agreement
    from nbflow.quality import calibrate as calibrate
    from nbflow.quality import compare as compare
    from nbflow.quality import estimate as estimate
    from nbflow.quality import evaluate as evaluate
    from nbflow.quality import review as review

#: Modules that load at first use.
_PARTS = ("llm", "store")
#: The modules of the names that load at first use.
_LATER = {
    "Explanation": "nbflow._run.explanation",
    "File": "nbflow._key.file",
    "Plan": "nbflow._run.plan",
    "Run": "nbflow._run.run",
    "accept": "nbflow.quality",
    "agreement": "nbflow.quality",
    "ask": "nbflow._outside",
    "calibrate": "nbflow.quality",
    "compare": "nbflow.quality",
    "emit": "nbflow._outside",
    "estimate": "nbflow.quality",
    "evaluate": "nbflow.quality",
    "file": "nbflow._key.file",
    "key_by": "nbflow._key.value",
    "review": "nbflow.quality",
    "sleep": "nbflow._outside",
    "wait_for": "nbflow._outside",
}

__all__ = [
    "BudgetError",
    "CodecError",
    "DuplicateKeyError",
    "Explanation",
    "File",
    "Flow",
    "NbflowError",
    "NbflowWarning",
    "NonRetriableError",
    "Plan",
    "RetryAfterError",
    "Run",
    "RunCancelledError",
    "RunFailedError",
    "Secret",
    "Step",
    "StepError",
    "StepTimeoutError",
    "StoreError",
    "StoreWarning",
    "Throttle",
    "UnkeyableError",
    "UnknownEventError",
    "UnknownRunError",
    "Usage",
    "UsageError",
    "accept",
    "agreement",
    "ask",
    "calibrate",
    "compare",
    "emit",
    "estimate",
    "evaluate",
    "export",
    "file",
    "flow",
    "flows",
    "key_by",
    "load_ipython_extension",
    "open_run",
    "plan",
    "review",
    "runs",
    "secret",
    "send",
    "set_price",
    "sleep",
    "step",
    "usage",
    "use",
    "wait_for",
]


def __getattr__(name: str) -> typing.Any:
    """Load at first use what takes long to load, or is seldom used."""
    from importlib import import_module

    __tracebackhide__ = True
    if name in _PARTS:
        return import_module(f"nbflow.{name}")
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    from nbflow._core import guesses

    raise guesses.refusal("nbflow", name, guesses.NBFLOW, sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_PARTS})
