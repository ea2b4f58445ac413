"""Test flows with plain pytest: no disk, no waiting, steps stubbed by name, crashes on demand.

::

    import nbflow.testing
    from my_job import triage                         # defines steps and flows

    def test_a_failing_model_fails_its_record_only():
        with nbflow.testing.isolated() as nb:
            nb.stub("categorize", lambda text: {"label": "billing"})
            run = nb.send("support/thread.created", [{"id": 1, "body": "refund"}], key="id")
            assert run.results("triage") == [{"label": "billing"}]
            assert nb.calls == ["categorize", "save_category"]

Retry waits, throttles and pauses take no time, and nothing is printed. To be killed for
real, start a process with ``NBFLOW_CRASH_AT=commit`` in its environment: it kills
itself with SIGKILL at that point.

Where the model itself is to be asked, over HTTP, `llm_server` answers in its place, and
fails as providers do, by script.
"""

from nbflow.testing import faults
from nbflow.testing.batch_jobs import BatchScript
from nbflow.testing.isolation import CRASH_POINTS, Isolated, SimulatedCrash, isolated
from nbflow.testing.model_server import ModelServer, llm_server

__all__ = [
    "CRASH_POINTS",
    "BatchScript",
    "Isolated",
    "ModelServer",
    "SimulatedCrash",
    "faults",
    "isolated",
    "llm_server",
]
