"""What mypy and pyright conclude from a user's files.

The files in ``user/`` say which types they expect (``assert_type``). Each line that has
to be an error ends in ``# refused``; an error anywhere else fails the test.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mypy import api

import nbflow

USER = Path(__file__).parent / "user"
FILES = sorted(USER.glob("*.py"))


@pytest.fixture(scope="module")
def mypy(pytestconfig):
    """The lines that mypy refuses, by the name of their file."""
    cache = pytestconfig.cache.mkdir("mypy")
    options = ["--config-file=", "--strict", f"--cache-dir={cache}"]
    with pytest.MonkeyPatch.context() as patch:
        # Elsewhere than in the checkout, where nbflow is found as users have it: as an
        # installed package, whose own lines are not checked.
        patch.chdir(USER)
        said, problems, _ = api.run([*options, *(file.name for file in FILES)])
    assert not problems
    return by_file(re.findall(r"^(\S+?):(\d+): error: ", said, re.MULTILINE))


@pytest.fixture(scope="module")
def pyright(tmp_path_factory):
    """The lines that pyright refuses.

    Its package is basedpyright, which brings node along in its wheel; pyright's own
    downloads it at first use. "strict" also refuses types that are partly unknown.
    """
    project = tmp_path_factory.mktemp("pyright") / "pyrightconfig.json"
    options = {
        "include": [str(USER)],
        "extraPaths": [str(Path(nbflow.__file__).parent.parent)],
        "typeCheckingMode": "strict",
    }
    project.write_text(json.dumps(options))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(project)]
    command += ["--pythonpath", sys.executable]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    return by_file(
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in json.loads(said.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    )


def by_file(places):
    lines = {file.name: set() for file in FILES}
    for name, line in places:
        lines[name].add(int(line))
    return lines


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_checker_refuses_what_is_wrong_and_nothing_else(file, checker, request):
    text = enumerate(file.read_text().splitlines(), start=1)
    wrong = {number for number, line in text if line.endswith("# refused")}
    assert len(wrong) > 10
    assert request.getfixturevalue(checker)[file.name] == wrong
