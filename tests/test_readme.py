"""The README's examples run as they stand, in their order."""

import re
from pathlib import Path

import nbflow as nf

README = Path(__file__).parent.parent / "README.md"


def test_the_python_examples_run(tmp_path):
    blocks = re.findall(
        r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(blocks) >= 4
    nf.use(tmp_path / "store")
    module = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), module)
    frame = nf.open_run(nf.runs().iloc[-1]["run"]).results()
    assert frame["triage.status"].tolist() == ["COMPLETED", "COMPLETED", "FAILED"]
    assert frame["triage.label"].tolist()[:2] == ["billing", "bug"]


def test_the_first_two_blocks_run_the_main_job_and_the_tests():
    """Whoever plays the newcomer, and continuous integration, takes them by their place."""
    text = README.read_text()
    first, second, *_ = re.findall(r"(?ms)^```sh\n(.*?)^```", text)
    assert first.rstrip().endswith("nbflow demo")
    assert second.rstrip().endswith("pytest -q")
