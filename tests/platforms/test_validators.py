"""What Kubernetes' and GitHub's own checks say of what is written for them."""

import subprocess

import pytest

from nbflow.export import github_actions, kubernetes
from tests.export.conftest import HOSTILE, job_of

from .conftest import Platform


@pytest.fixture
def validators(tmp_path):
    return Platform("validators", tmp_path / "home")


def test_kubernetes_takes_the_cron_job_strictly(validators, tmp_path):
    """Against the schemas of three versions; a name that is misspelt is refused, so the check does look."""
    file = tmp_path / "job.yaml"
    text = kubernetes.TARGET.files(
        job_of(tmp_path, HOSTILE, title=HOSTILE[2], secrets=("MODEL_KEY",))
    )["threads.yaml"]
    file.write_text(text)
    for version in ("1.27", "1.33", "1.37"):
        validators.run(
            validators.bin / "kubernetes-validate", "-k", version, "--strict", file
        )
    file.write_text(text.replace("timeZone:", "timezone:"))
    validators.run(
        validators.bin / "kubernetes-validate", "-k", "1.33", "--strict", file, code=1
    )


def test_github_takes_the_workflow_and_an_auditor_finds_nothing(validators, tmp_path):
    """Templates in commands, actions that are not pinned, rights that are not needed: zizmor looks for them all."""
    folder = tmp_path / "repository" / ".github" / "workflows"
    folder.mkdir(parents=True)
    file = folder / "threads.yml"
    text = github_actions.TARGET.files(
        job_of(tmp_path, HOSTILE, title=HOSTILE[2], secrets=("MODEL_KEY",))
    )[".github/workflows/threads.yml"]
    file.write_text(text)
    validators.run(
        validators.bin / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        file,
    )
    validators.run(validators.bin / "zizmor", "--offline", "--persona", "regular", file)
    file.write_text(text.replace('"$NOTEBOOK"', "${{ github.event.inputs.x }}"))
    done = subprocess.run(
        [validators.bin / "zizmor", "--offline", file],
        capture_output=True,
        text=True,
        check=False,
        env=validators.environment,
    )
    assert "template-injection" in done.stdout + done.stderr
    file.write_text(text.replace("timeout-minutes", "timeout-minute"))
    validators.run(
        validators.bin / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        file,
        code=1,
    )
