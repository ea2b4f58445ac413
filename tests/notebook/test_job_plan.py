"""`nbflow plan`: what a notebook's first send would do, found without making it. Real kernels."""

import json

import nbflow as nf
from nbflow import cli


def planned(folder, capsys, *arguments):
    capsys.readouterr()
    code = cli.main(["plan", str(folder.path / "job.ipynb"), *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_plan_makes_no_call_and_writes_no_notebook(folder, run, capsys):
    folder.write_work("1 / 0")
    code, out, _ = planned(folder, capsys)
    assert code == 0
    assert out.startswith("e: 20 records, 0 cached, 20 would run.")
    assert folder.log == []
    assert {path.name for path in folder.path.iterdir()} <= {"job.ipynb", ".nbflow"}
    assert nf.runs().empty
    run()
    assert len(folder.log) == 20
    code, out, err = planned(folder, capsys, "-p", "count=22", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema"] == "nbflow.plan/1"
    assert (found["records_cached"], found["records_to_run"]) == (20, 2)
    assert len(folder.log) == 20


def test_a_map_is_planned_too(folder, capsys):
    folder.write(
        "import nbflow as nf\n@nf.step\ndef f(n):\n    return n\nf.map([1, 2])"
    )
    assert planned(folder, capsys)[1].startswith("f: 2 records")


def test_a_notebook_that_reaches_no_send_says_why(folder, capsys):
    folder.write("1 / 0")
    code, out, err = planned(folder, capsys, "--json")
    assert code == 1
    assert json.loads(out)["error"] == "PlanError"
    assert "cell 1 failed: ZeroDivisionError" in err
    folder.write("1")
    code, _, err = planned(folder, capsys)
    assert code == 1
    assert "it sends nothing" in err
    assert planned(folder, capsys, "-p", "nope=1")[0] == 2
