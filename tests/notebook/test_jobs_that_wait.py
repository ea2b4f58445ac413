"""`nbflow run` on flows whose records wait: exit code 5, --wait, and the next run."""

FLOW = """
@nf.step
def draft(n):
    with open("log", "a") as file:
        file.write(f"{n}\\n")
    return f"draft {n}"

@nf.flow(on="e")
def look(record):
    text = draft(record["n"])
    nf.sleep(seconds)
    return nf.ask("Send?", show=text, timeout=limit, default="later")

run = nf.send("e", [{"n": n} for n in range(3)], key="n")
"""


def write(folder, seconds, limit="None"):
    declared = f"seconds = {seconds}\nlimit: float | None = {limit}"
    return folder.write((declared, "parameters"), "import nbflow as nf", FLOW)


def test_a_job_whose_records_wait_ends_with_5_and_the_next_one_goes_on(folder, run):
    write(folder, 600)
    code, out = run()
    assert code == 5
    assert "0 of 3 records done, 3 wait" in out
    report = folder.report()
    assert (report["exit_code"], report["waiting"], report["not_done"]) == (5, 3, 0)
    code, _ = run("-p", "seconds=0", "-p", "limit=0.01", "--wait", "60s")
    assert code == 0
    assert folder.log == [0, 1, 2]


def test_wait_stays_until_none_waits(folder, run):
    write(folder, 1, 1)
    code, out = run("--wait", "60s")
    assert code == 0
    assert "3 records done" in out


def test_wait_stays_no_longer_than_it_says(folder, run):
    write(folder, 600)
    assert run("--wait", "1s")[0] == 5


def test_a_duration_that_is_none_is_refused(folder, run):
    write(folder, 600)
    code, out = run("--wait", "soon")
    assert code == 2
    assert "--wait='soon' is not a duration" in out
