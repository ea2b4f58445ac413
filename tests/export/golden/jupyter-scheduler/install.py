"""Schedule launcher.ipynb with the JupyterLab that runs on this machine and has it in its folder.

python install.py           schedules it, in place of what an earlier call has scheduled
python install.py --once    runs it now, and waits
python install.py --remove  takes it away; runs that were stay
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
JOB = {"name": "threads", "output_formats": ["ipynb"]}
WHEN = {"schedule": "0 6 * * 1-5", "timezone": "Europe/Berlin"}


def main(arguments):
    server = find()
    uri = FOLDER.joinpath("launcher.ipynb").relative_to(Path(server["root_dir"]).resolve()).as_posix()
    if arguments not in ([], ["--once"], ["--remove"]):
        sys.exit(__doc__)
    if arguments != ["--once"]:
        found = ask(server, "GET", "job_definitions?name=" + JOB["name"])["job_definitions"]  # and names that begin so
        for one in (one for one in found if one["name"] == JOB["name"]):
            ask(server, "DELETE", "job_definitions/" + one["job_definition_id"])
            print("removed", one["name"], one["job_definition_id"])
    if arguments == ["--remove"]:
        return
    environment = ask(server, "GET", "runtime_environments")[0]["name"]
    wanted = {**JOB, "input_uri": uri, "runtime_environment_name": environment}
    if not arguments:
        made = ask(server, "POST", "job_definitions", wanted | WHEN)
        print("scheduled", made["job_definition_id"], "on", server["url"])
        return
    job = "jobs/" + ask(server, "POST", "jobs", wanted)["job_id"]
    # A job that has not begun calls itself stopped.
    while (found := ask(server, "GET", job))["status"] == "IN_PROGRESS" or not found.get("start_time"):
        time.sleep(1)
    print(found["status"], found.get("status_message") or "")
    sys.exit(found["status"] != "COMPLETED")


def find():
    listed = subprocess.run([sys.executable, "-m", "jupyter_server", "list", "--json"], stdout=subprocess.PIPE, encoding="utf-8")
    if listed.returncode:
        sys.exit(f"{sys.executable} has no JupyterLab: run this script with the Python that has it.")
    for server in map(json.loads, listed.stdout.splitlines()):
        if FOLDER.is_relative_to(Path(server["root_dir"]).resolve()):
            return server
    sys.exit(f"No JupyterLab of yours runs on this machine with {FOLDER} in its folder. Start one, or open launcher.ipynb in yours and choose Create a notebook job.")


def ask(server, method, what, content=None):
    headers = {"Authorization": "token " + server["token"], "Content-Type": "application/json"}
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(server["url"] + "scheduler/" + what, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        missing = "\nIs jupyter-scheduler installed beside JupyterLab (pip install jupyter-scheduler)?"
        sys.exit(f"{method} {request.full_url}: {error.code} {error.reason} {error.read().decode(errors='replace')[:500]}{missing if error.code == 404 else ''}")
    except urllib.error.URLError as error:
        sys.exit(f"{method} {request.full_url}: {error.reason}")


main(sys.argv[1:])
