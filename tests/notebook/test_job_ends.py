"""Whatever ends `nbflow run`, what it wrote is true, no kernel is left, and the next run goes on. Real kills."""

import os
import signal
from collections import Counter

import psutil
import pytest


def kernels_of(process):
    """The kernels that a command has started, as processes."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any("ipykernel" in part for part in child.cmdline())
    ]


def under_way(folder, records=5, **options):
    """A command in the middle of its third cell of six."""
    folder.write_work("a = 1", "b = 2", "c = 3", **options)
    process = folder.start()
    folder.wait_for(lambda: len(folder.log) >= records)
    (kernel,) = kernels_of(process)
    return process, kernel


def is_gone(kernel):
    return not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE


def test_a_kernel_killed_in_the_middle_of_a_send(folder, run):
    # Enough records for the ledger, which is written ten times a second, to know of
    # some.
    process, kernel = under_way(folder, records=40, count=80, pause=0.02)
    kernel.kill()
    assert process.wait(60) == 138
    assert folder.states() == ["ok", "ok", "failed", "not run", "not run", "not run"]
    assert "SIGKILL" in folder.report()["cells"][2]["error"]
    shown = [
        output["data"]["text/plain"]
        for output in folder.output().cells[2].outputs
        if "data" in output
    ]
    assert "\u26a0 interrupted" in shown[0], "no table goes on saying that it runs"
    done = folder.report()["runs"][0]["flows"]["look"].get("COMPLETED", 0)
    assert done >= 1
    before = Counter(folder.log)
    code, _ = run()
    assert code == 0
    assert folder.states() == ["ok"] * 6
    again = [n for n, times in Counter(folder.log).items() if times > 1]
    # In flight were four records at most; what was done is not executed again.
    assert len(again) <= 4
    assert set(again) <= set(before)
    assert set(folder.log) == set(range(80))
    assert folder.report()["runs"][0]["flows"]["look"]["CACHED"] >= len(before) - 4


def test_only_failed_goes_on_with_a_run_whose_kernel_was_killed_early(folder, run):
    """Its batch was not read to the end then; it is kept, so no record is dropped."""
    process, kernel = under_way(folder, records=40, count=3000, pause=0.01)
    kernel.kill()
    assert process.wait(60) == 138
    assert folder.report()["runs"][0]["records"] == 3000
    first = folder.report()["runs"][0]["run"]
    notebook = folder.path / "job.ipynb"
    notebook.write_text(notebook.read_text().replace("pause = 0.01", "pause = 0.0"))
    code, said = run("--only-failed")
    assert code == 0, said
    (found,) = folder.report()["runs"]
    assert (found["run"], sum(found["flows"]["look"].values())) == (first, 3000)
    assert set(folder.log) == set(range(3000))


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
    ids=lambda number: number.name,
)
def test_asked_to_end_it_says_where_it_stood(folder, run, number):
    process, kernel = under_way(folder, count=60, pause=0.02)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"{number.name} in cell 3" in said
    assert "the same command continues from there" in said
    assert is_gone(kernel)
    assert folder.states() == [
        "ok",
        "ok",
        "interrupted",
        "not run",
        "not run",
        "not run",
    ]
    counts = folder.report()["runs"][0]["flows"]["look"]
    assert sum(counts.values()) == 60, "the run has accounted for every record"
    assert counts["INTERRUPTED"] >= 1
    before = list(folder.log)
    assert run()[0] == 0
    assert sorted(folder.log) == list(range(60)), (
        "what had ended or was let end is not executed again"
    )
    assert before == folder.log[: len(before)]


def test_asked_twice_it_does_not_wait_for_the_cell(folder):
    folder.write(
        "import time",
        (
            "open('log', 'w').write('1')\n"
            "while True:\n"
            "    try:\n"
            "        time.sleep(60)\n"
            "    except KeyboardInterrupt:\n"
            "        open('log', 'w').write('1 2')"
        ),
    )
    process = folder.start()
    folder.wait_for(lambda: folder.log == [1])
    (kernel,) = kernels_of(process)
    process.send_signal(signal.SIGTERM)
    folder.wait_for(lambda: folder.log == [1, 2])
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the kernel was killed" in said
    assert folder.states() == ["ok", "interrupted"]
    assert is_gone(kernel)


def test_asked_to_end_while_a_run_goes_on_in_the_background(folder):
    notebook = folder.write_work(count=60, pause=0.05)
    notebook.write_text(
        notebook.read_text().replace("max_in_flight=4", "wait=False, max_in_flight=4")
    )
    process = folder.start()
    folder.wait_for(lambda: len(folder.log) >= 10)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "in the background" in said
    assert folder.report()["runs"][0]["state"] == "INTERRUPTED"
    assert folder.states() == ["ok", "ok", "ok"]


def test_asked_to_end_before_the_first_cell(folder):
    folder.write("x = 1")
    process = folder.start()
    folder.wait_for(lambda: (folder.path / "job.out.ipynb").exists())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    assert folder.states() in (["not run"], ["ok"], ["interrupted"])
    assert folder.report()["exit_code"] == process.returncode


def test_a_command_killed_leaves_no_kernel_and_files_that_do_not_lie(folder, run):
    process, kernel = under_way(folder, count=60, pause=0.02)
    process.kill()
    process.wait(60)
    folder.wait_for(lambda: is_gone(kernel), seconds=10)
    assert folder.states() == [
        "ok",
        "ok",
        "interrupted",
        "not run",
        "not run",
        "not run",
    ]
    assert folder.report()["exit_code"] is None
    code, said = run("--no-wait")
    assert code == 0, said
    assert set(folder.log) == set(range(60))


def test_a_kernel_that_is_stuck_in_the_interpreter_dies_with_its_command(folder):
    """Outside Python's reach: one call of C that never comes back and never lets go of the interpreter."""
    folder.write(
        "import ctypes", "open('log', 'w').write('1')\nctypes.PyDLL(None).pause()"
    )
    process = folder.start()
    folder.wait_for(lambda: folder.log == [1])
    (kernel,) = kernels_of(process)
    process.kill()
    process.wait(60)
    folder.wait_for(lambda: is_gone(kernel), seconds=10)


UNTIL = "import os\nwhile not os.path.exists('go'):\n    time.sleep(0.01)"


def test_a_second_copy_waits_for_the_first(folder):
    folder.write_work(UNTIL, count=30)
    first = folder.start()
    folder.wait_for(lambda: len(folder.log) == 30)
    second = folder.start()
    assert (
        f"is at work (process {first.pid}); waiting for it" in second.stdout.readline()
    )
    (folder.path / "go").touch()
    said, _ = second.communicate(timeout=60)
    assert first.wait(60) == 0
    assert second.returncode == 0, said
    assert folder.states() == ["ok", "ok", "cached", "ok"]
    assert sorted(folder.log) == list(range(30))


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, signal.SIGINT, signal.SIGHUP],
    ids=lambda number: number.name,
)
def test_a_second_copy_that_is_asked_to_end_does_not_wait_any_more(folder, number):
    folder.write_work(UNTIL, count=3)
    first = folder.start()
    folder.wait_for(lambda: len(folder.log) == 3)
    second = folder.start()
    assert "waiting for it" in second.stdout.readline()
    second.send_signal(number)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 130
    assert (
        said
        == "nbflow: interrupted; what is done is saved, run the command again to continue.\n"
    )
    assert first.poll() is None
    (folder.path / "go").touch()
    assert first.wait(60) == 0


def test_a_second_copy_refuses_if_told_to_and_another_job_is_not_in_its_way(
    folder, run
):
    folder.write_work(UNTIL, count=30)
    first = folder.start()
    folder.wait_for(lambda: folder.log)
    code, said = run("--no-wait")
    assert code == 75
    assert f"process {first.pid}" in said
    code, said = run("--no-wait", "-p", "count=2")
    assert code == 75, "it would write the same output"
    other = folder.start(
        "--no-wait", "-p", "count=2", "-o", str(folder.path / "two.ipynb")
    )
    folder.wait_for((folder.path / "two.ipynb").exists)
    assert first.poll() is None
    (folder.path / "go").touch()
    assert (first.wait(60), other.wait(60)) == (0, 0)


def test_a_turn_ends_with_its_holder(folder, run):
    process, _ = under_way(folder, count=60, pause=0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    assert run("--no-wait")[0] == 0


def test_a_process_that_a_cell_left_running_does_not_keep_the_job_lock(folder, run):
    folder.write(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], "
        "close_fds=False, start_new_session=True)\n"
        "print(child.pid)"
    )
    assert run()[0] == 0
    child = int(folder.output().cells[0].outputs[0]["text"])
    try:
        assert run("--no-wait")[0] == 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.kill(int(folder.output().cells[0].outputs[0]["text"]), signal.SIGKILL)


def test_the_kernel_s_own_exit_is_a_dead_kernel(folder, run):
    folder.write("x = 1", "import os; os._exit(7)", "y = 2")
    code, said = run()
    assert code == 138
    assert "exit code 7" in said
    assert folder.states() == ["ok", "failed", "not run"]


def test_an_output_that_cannot_be_written_in_the_end_is_no_success(folder, run):
    folder.write("import os, pathlib\nos.rename('../job/sub', '../job/away')")
    (folder.path / "sub").mkdir()
    code, said = run("-o", str(folder.path / "sub" / "out.ipynb"))
    assert code == 1
    assert "could not be written" in said


def test_a_job_to_which_nobody_listens_any_more_goes_on(folder):
    folder.write_work(UNTIL, count=3)
    process = folder.start()
    assert "job.ipynb" in process.stdout.readline()
    process.stdout.close()
    (folder.path / "go").touch()
    assert process.wait(60) == 0
    assert folder.states() == ["ok"] * 4


def test_a_cell_that_may_raise_is_interrupted_all_the_same(folder):
    folder.write(
        (
            "import time\nopen('log', 'w').write('1')\ntime.sleep(60)",
            "raises-exception",
        ),
        "x = 1",
    )
    process = folder.start()
    folder.wait_for(lambda: folder.log == [1])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert folder.states() == ["interrupted", "not run"]


def test_what_programs_print_past_the_kernel_is_in_the_output_and_nowhere_else(folder):
    """The kernel's own streams are not the command's.

    What the kernel masks in the notebook would otherwise stand in the log of the job.
    """
    folder.write(
        "import nbflow as nf, os, time\nnf.secret('MY_KEY')\nos.system('echo a line, $MY_KEY'); time.sleep(0.5)"
    )
    process = folder.start(MY_KEY="geheim-0815-xx")
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "geheim" not in said
    assert "geheim" not in (folder.path / "job.out.ipynb").read_text()


def test_a_kernel_killed_in_cell_3_of_6_step_cells_executes_3_to_6_only(folder, run):
    """And of cell 3 no record that was done: the cells and the records say in files that they were executed."""
    mark = "open('cells', 'a').write('{0}\\n');"
    work = folder.work.replace(
        "run = nf.send", "open('cells', 'a').write('3\\n')\nrun = nf.send"
    )
    steps = [f"#| step: c{n} -> v{n}\n{mark.format(n)} v{n} = {n}" for n in (4, 5, 6)]
    first = [
        f"#| step: c1 -> count\n{mark.format(1)} count = 80",
        f"#| step: c2 -> bad, pause\n{mark.format(2)} bad, pause = [], 0.02",
    ]
    folder.write("import time, nbflow as nf", *first, work, *steps)
    process = folder.start()
    folder.wait_for(lambda: len(folder.log) >= 40)
    (kernel,) = kernels_of(process)
    kernel.kill()
    assert process.wait(60) == 138
    cells = folder.path / "cells"
    assert cells.read_text().split() == ["1", "2", "3"]
    done = Counter(folder.log)
    cells.unlink()
    code, said = run()
    assert code == 0, said
    assert cells.read_text().split() == ["3", "4", "5", "6"]
    assert folder.states() == ["ok", "cached", "cached", "ok", "ok", "ok", "ok"]
    again = [n for n in Counter(folder.log) if Counter(folder.log)[n] > 1]
    assert len(again) <= 4, "those that were in flight"
    assert set(folder.log) == set(range(80))
    assert set(again) <= set(done)
