"""Shell: ``run.sh``, which runs a job on this machine as its schedule does.

For schedulers that start a program in a bare environment.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbflow.export.spec import Job

NAME = "run.sh"
SECRETS = (
    "write `NAME=value` lines into `secrets.env` here, the value as it is, without "
    "quotes, and `chmod 600 secrets.env`"
)

_GIVEN = """\
given() {  # is this parameter among these arguments?
  name=$1; shift
  for one in "$@"; do
    case $one in "$name="* | "-p$name="* | "--parameter=$name="*) return 0 ;; esac
  done
  return 1
}
"""


def script(job: Job, command: list[str] | None = None) -> str:
    """A POSIX shell script that runs a command in the job's folder.

    Its arguments are added to the command, before the job's own parameters: of these
    it leaves out what its arguments give.

    Args:
        job: the job.
        command: without parameters; by default that of the job.
    """
    command = command or job.command_of(job.program, job.store, ())
    variables = {
        "PATH": f"{Path(job.program).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        **job.environment,
    }
    exports = "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in variables.items()
    )
    return f"""\
#!/bin/sh
# Runs the notebook as its schedule does, and with other parameters: ./run.sh -p name=value
cd "$(dirname "$0")" || exit 2
{exports}
# Secrets: NAME=value, a line each. The value is data: nothing in it is executed.
if [ -r secrets.env ]; then
  number=0
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line=${{line%"$(printf '\\r')"}}
    case $line in '' | '#'*) continue ;; esac
    case ${{line%%=*}} in
      "$line" | '' | [0-9]* | *[!A-Za-z0-9_]*) echo "secrets.env, line $number: \
write NAME=value, without spaces around the name" >&2; exit 2 ;;
    esac
    export "$line"
  done <secrets.env
fi
{_parameters(job)}exec {shlex.join(command)} "$@"
"""


def _parameters(job: Job) -> str:
    """Lines that add the job's parameters to the arguments, each unless it is there."""
    lines = [
        f'given {name} "$@" || set -- "$@" -p {shlex.quote(text)}\n'
        for text in job.given
        for name in [shlex.quote(text.partition("=")[0])]
    ]
    return _GIVEN + "".join(lines) if lines else ""
