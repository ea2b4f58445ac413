"""The command line: parse, call one function, print."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from nbflow._session import SESSION
from nbflow.errors import NbflowError, UsageError
from nbflow.store import command as _store_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from rich.console import Console

    from nbflow._run.run import Run

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # argparse has no public name for what add_subparsers returns

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
#: The width of output that nobody watches, whose lines a terminal does not cut.
_UNWATCHED = 120
#: Runs that are listed: to lay out thousands takes seconds.
_LISTED = 100
_TIME = "seconds, or 90s, 5m, 1h30m"
_SHARE = "a number, or a share such as 5%%"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 2 (wrong use), 130 (interrupted), or what the command says.
    """
    arguments = _parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except NbflowError as error:
        _complain(f"nbflow: {error}")
        return getattr(error, "exit_code", EXIT_USAGE)
    except KeyboardInterrupt:
        _complain(
            "nbflow: interrupted; what is done is saved, run the command again to "
            "continue."
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `nbflow runs | head`
        sys.stderr.close()
        return 0


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else _UNWATCHED
    return Console(highlight=False, emoji=False, markup=False, width=width)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbflow",
        description="Durable steps, event fan-out and a readable run table for Jupyter "
        "notebooks.",
    )
    version = f"nbflow {metadata.version('nbflow')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_run(commands)
    _add_check(commands)
    _add_export(commands)
    _add_runs(commands)
    _add_dashboard(commands)
    _store_command.add(commands)
    return parser


def _add_parameter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a name of the cell tagged `parameters`; repeat it for more",
    )


# demo


def _add_demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="write a support-thread notebook with its data, run it, show the run table",
        description="Write a notebook with 200 support threads into FOLDER, run it in a "
        "Jupyter kernel, offline, and show its run table. A second run executes only "
        "what failed. It keeps existing files.",
    )
    demo.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("nbflow-demo"),
        metavar="FOLDER",
        help="the folder to write to (default: %(default)s)",
    )
    demo.set_defaults(command=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from nbflow import demo

    return demo.run(arguments.folder, _console())


# run

_RUN = """\
Run a notebook from top to bottom in a kernel of this Python. The same command, run
again, continues: it executes only records that failed or were never done.
It always writes the output notebook, each cell marked ok, cached, failed,
interrupted or not run, and beside it a report for programs, OUTPUT.run.json.
"""
_CODES = """\
exit codes:
  0    ok
  1    a cell failed, or took longer than --timeout
  2    bad parameters or notebook, found before anything ran
  3    every cell ran, but more records are not done than --max-failed allows
  4    --budget or a budget of the notebook is reached
  5    every cell ran and nothing failed; records wait (--wait stays for them)
  6    every cell ran, but a --gate is not met
  75   another copy of this job is running, and --no-wait was given
  130  interrupted (Ctrl-C, SIGTERM)
  138  the kernel died
"""
_GATES = """\
gates, of the runs whose results have a label; 0.05 may be written 5%:
  "accuracy>=0.9"                      of the whole run, by what people decided on a
                                       sample (nf.review); accuracy(COLUMN): against a
                                       column of the records
  "flips<=0.05"                        records of the last run, labelled otherwise now
  "share(billing)>=0.1"                records with a label
  "share(billing) within 0.1 of last"  how far a share may move, unless by chance
  "unknown<=0.02"                      records with the label for what fits no other
  "shares unchanged"                   no label moved by more than chance explains
  "model unchanged"                    the models that answered are those of the last run
The last run is the last one that met its gates, or that was accepted (nbflow runs
accept). "since RUN" behind flips and unchanged, or "of RUN", compares with that run;
"since accepted" with the last one that was accepted. "triage.label: flips<=0.05" names
the column.
"""


def _add_run(commands: Commands) -> None:
    run = commands.add_parser(
        "run",
        help="run a notebook headless, with parameters and an honest exit code",
        description=_RUN,
        epilog=f"{_CODES}\n{_GATES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "notebook",
        type=Path,
        metavar="NOTEBOOK",
        help="the notebook; it is not changed, unless -o names it",
    )
    _add_parameter(run)
    run.add_argument(
        "--help-notebook",
        action="store_true",
        help="list the notebook's parameters with types, defaults and comments, and run "
        "nothing",
    )
    run.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="the output notebook (default: NOTEBOOK.out.ipynb, beside it)",
    )
    run.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="the store (default: NBFLOW_STORE, or .nbflow found upward from the "
        "notebook)",
    )
    run.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="show the log: runs, failures and retries, with nothing of the records' "
        "content; -vv also shows keys of records and messages of errors",
    )
    _add_limits(run)
    _add_selection(run)
    run.set_defaults(command=_run)


def _add_limits(run: argparse.ArgumentParser) -> None:
    """Add what ends a run, or keeps it from beginning."""
    run.add_argument(
        "--timeout",
        metavar="TIME",
        help=f"the longest that one cell may take: {_TIME} (default: no limit)",
    )
    run.add_argument(
        "--max-failed",
        default="0",
        metavar="N",
        help=f"records that may be left undone: {_SHARE} (default: 0)",
    )
    run.add_argument(
        "--budget",
        metavar="MONEY",
        help="US dollars that all calls together may cost, such as 5 or 0.50, as steps "
        "report it with nf.usage; a call that could exceed it is not started",
    )
    _add_gate(run)
    run.add_argument(
        "--wait",
        metavar="DURATION",
        help="stay this long for records that wait in their flows (nf.sleep, nf.wait_for, "
        "nf.ask), such as 30m: each send and map continues until none waits, or time is up",
    )
    run.add_argument(
        "--no-wait",
        dest="queue",
        action="store_false",
        help="exit with 75 if another copy of this job is running (same notebook and "
        "parameters, or same output), instead of waiting for it",
    )


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gate",
        action="append",
        metavar="RULE",
        help="what has to hold of the labels; nbflow run --help has the rules; repeat it for "
        "more",
    )


def _add_selection(run: argparse.ArgumentParser) -> None:
    """Add what runs although it is done, and what waits although it could run."""
    run.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="STEP",
        help="run every call of this step even if its output is saved; repeat it for "
        "more",
    )
    run.add_argument(
        "--only-failed",
        action="store_true",
        help="instead of each send and map, continue the run that the last `nbflow run` "
        "of the same output made, with the records as it sent them: only "
        "those that failed or did not finish run. New and changed records "
        "wait for the next run without it. All other cells run as usual",
    )


def _run(arguments: argparse.Namespace) -> int:
    from nbflow import job
    from nbflow.notebook.job_task import Options, limit

    if arguments.help_notebook:
        job.describe(arguments.notebook, _console())
        return 0
    timeout = None if arguments.timeout is None else limit(arguments.timeout)
    options = Options(
        parameters=arguments.parameter,
        output=arguments.output,
        store=arguments.store,
        timeout=timeout,
        max_failed=arguments.max_failed,
        force=arguments.force,
        budget=arguments.budget,
        gates=arguments.gate or (),
        only_failed=arguments.only_failed,
        queue=arguments.queue,
        patience=None if arguments.wait is None else limit(arguments.wait, "--wait"),
        verbose=arguments.verbose,
    )
    return job.run(arguments.notebook, options, _console())


# check


def _add_check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="find what may go wrong with a notebook when nobody watches",
        description="Look for what may go wrong when a notebook runs headless or is "
        "handed over: cells run out of order, names that exist only in the kernel, "
        "absolute paths, packages that are missing or not pinned, secrets, magics and "
        "calls that need a person, steps that cannot be saved. No cell runs. "
        "The exit code is 0 if it finds nothing of the level of --fail-on or above, "
        "else 1; 2 for a file that is not a notebook.",
    )
    check.add_argument(
        "notebooks",
        nargs="+",
        type=Path,
        metavar="NOTEBOOK",
        help="one or more notebooks",
    )
    check.add_argument(
        "--json",
        action="store_true",
        help="print a JSON list of findings: notebook, rule, level, cell, line, what, "
        "why, todo",
    )
    check.add_argument(
        "--fail-on",
        choices=("error", "warning", "note"),
        default="error",
        help="the lowest level that makes the exit code 1 (default: %(default)s)",
    )
    check.set_defaults(command=_check)


def _check(arguments: argparse.Namespace) -> int:
    from nbflow.notebook.check import LEVELS, check, show

    found = {str(path): check(path) for path in arguments.notebooks}
    if arguments.json:
        print(show.to_json(found))
    else:
        console = _console()
        for number, (path, findings) in enumerate(found.items()):
            if number:
                console.print()
            show.to_console(path, findings, console)
    failing = LEVELS[: LEVELS.index(arguments.fail_on) + 1]
    levels = {one.level for findings in found.values() for one in findings}
    return int(not levels.isdisjoint(failing))


# export

_EXPORT = """\
Write a notebook as the job of a scheduler, into a folder with all that it needs:
the notebook, the local modules that it imports, its packages pinned, the file of
the scheduler with the schedule in it, the names of its secrets, a README.

  nbflow export threads.ipynb --to systemd --schedule "0 6 * * 1-5"

A second export shows what changed and keeps what you changed by hand. It installs
nothing: the README says how, and how to test, watch and remove the job.
"""
#: Stands for the list of targets, which costs an import of each: only those who ask
#: for help wait for it.
_TARGETS = "targets"


class _ExportHelp(argparse.RawDescriptionHelpFormatter):
    """Help with the list of targets at its end."""

    def add_text(self, text: str | None) -> None:
        if text == _TARGETS:
            from nbflow.export import command

            text = f"targets:\n{command.listed()}"
        super().add_text(text)


def _add_export(commands: Commands) -> None:
    export = commands.add_parser(
        "export",
        help="write a notebook as the job of a scheduler: cron, systemd, airflow, ...",
        description=_EXPORT,
        epilog=_TARGETS,
        formatter_class=_ExportHelp,
    )
    export.add_argument(
        "notebook",
        nargs="?",
        type=Path,
        metavar="NOTEBOOK",
        help="the notebook; it is not changed",
    )
    export.add_argument(
        "--to",
        metavar="TARGET",
        help="the scheduler, one of those below; `nbflow export --to list` lists them, "
        "too",
    )
    export.add_argument(
        "--schedule",
        metavar="CRON",
        help="five fields: minute, hour, day of the month, month, day of the week; "
        '"0 6 * * 1-5" is at 06:00 from Monday to Friday',
    )
    export.add_argument(
        "--timezone",
        metavar="ZONE",
        help="the time zone of the schedule, such as Europe/Berlin (default: that of "
        "this machine)",
    )
    _add_parameter(export)
    _add_job_limits(export)
    export.add_argument("--name", help="the job's title (default: the notebook's name)")
    export.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="the folder (default: exports/NAME-TARGET beside the notebook)",
    )
    export.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be written and changed, and write nothing",
    )
    export.add_argument(
        "--force",
        action="store_true",
        help="export although `nbflow check` finds errors",
    )
    export.add_argument(
        "--drift",
        action="store_true",
        help="write nothing; say whether the exports of this notebook still match it. "
        "The exit code is 1 if one does not",
    )
    export.set_defaults(command=_export)


def _add_job_limits(export: argparse.ArgumentParser) -> None:
    """Add what the job passes on to ``nbflow run``."""
    export.add_argument(
        "--max-failed",
        metavar="N",
        help=f"records that each run may leave undone: {_SHARE}",
    )
    export.add_argument(
        "--budget",
        metavar="MONEY",
        help="US dollars that the calls of models in each run may cost, $5",
    )
    export.add_argument(
        "--timeout",
        metavar="TIME",
        help=f"the longest that one cell may take: {_TIME}",
    )
    _add_gate(export)


def _export(arguments: argparse.Namespace) -> int:
    from nbflow.export import command

    return command.run(arguments, _console())


# runs


def _add_runs(commands: Commands) -> None:
    runs = commands.add_parser(
        "runs",
        usage="nbflow runs [-h] [--last N] [RUN] | nbflow runs cancel RUN | nbflow runs accept "
        "[--why TEXT] RUN | nbflow runs delete [--keep-outputs] [--dry-run] RUN...",
        help="list the runs of the store, show one, cancel, accept or delete it",
        description="List the runs of the store in use, the latest first, or show the "
        "table of one. `cancel RUN` stops it, whichever kernel or job works on it: calls "
        "under way end first, and what is done stays done. `accept RUN` says that its "
        "labels are right: the gates of later runs compare with it. `delete RUN...` removes "
        "runs that have ended, and the saved outputs that only they need.",
    )
    runs.add_argument(
        "run",
        nargs="*",
        metavar="RUN",
        help="id of a run, or its beginning; `latest` for the latest",
    )
    runs.add_argument(
        "--last",
        type=int,
        default=_LISTED,
        metavar="N",
        help="the latest N runs are listed (default: %(default)s); 0 lists all",
    )
    runs.add_argument(
        "--keep-outputs",
        action="store_true",
        help="delete: the saved outputs stay, so that no call is made again",
    )
    runs.add_argument(
        "--dry-run",
        action="store_true",
        help="delete: nothing goes; say what would, and how much comes back",
    )
    runs.add_argument(
        "--why", default="", metavar="TEXT", help="accept: why it is right"
    )
    runs.set_defaults(command=_runs)


def _runs(arguments: argparse.Namespace) -> int:
    from nbflow import _api
    from nbflow._run import render

    names = list(arguments.run)
    if names[:1] == ["delete"]:
        return _delete(names[1:], arguments)
    does = names.pop(0) if names[:1] in (["cancel"], ["accept"]) else ""
    if len(names) > 1 or (does and not names):
        raise UsageError(
            "nbflow runs takes one run: nbflow runs RUN, nbflow runs cancel RUN, or "
            "nbflow runs accept RUN."
        )
    if arguments.why and does != "accept":
        raise UsageError("--why goes with nbflow runs accept RUN.")
    if not names:
        return _list_runs(arguments.last)
    run = _api.open_run(None if names[0] == "latest" else names[0])
    if does == "accept":
        return _accept(run, arguments.why)
    if does == "cancel":
        return _cancel(run)
    render.print_table(run.table(), _console())
    return 0


def _delete(names: list[str], arguments: argparse.Namespace) -> int:
    from nbflow import store

    if not names:
        raise UsageError("nbflow runs delete takes the ids of runs.")
    done = store.delete_runs(
        *names, keep_outputs=arguments.keep_outputs, dry_run=arguments.dry_run
    )
    print(done)
    return 0


def _list_runs(last: int) -> int:
    from nbflow import _api
    from nbflow._run import render

    if last < 0:
        raise UsageError("--last takes the number of runs to list, or 0 for all.")
    history = _api.runs(last=last or None)
    if history.empty:
        print(history)
        return 0
    render.print_runs(history, _console())
    there_are = len(SESSION.engine.ledger.runs())
    if 0 < last < there_are:
        print(
            f"\nThe latest {last:,} of {there_are:,} runs; `nbflow runs --last 0` lists"
            " all."
        )
    return 0


def _accept(run: Run, why: str) -> int:
    from nbflow.quality.baseline import accept

    print(accept(run, why))
    return 0


def _cancel(run: Run) -> int:
    from nbflow._core.looks import word_of

    if run.state != "RUNNING":
        print(f"Run {run.id} is {word_of(run.state)}: there is nothing to cancel.")
        return 0
    run.cancel().wait()
    print(f"Run {run.id} is {word_of(run.state)}: {run.table().sentence}")
    return 0


# dashboard


def _add_dashboard(commands: Commands) -> None:
    dashboard = commands.add_parser(
        "dashboard",
        help="show runs to people who write no code, in a browser, read-only",
        description="Serve the page of the latest run, its results and the live tables of "
        "the store in use to a browser, read-only. Only this machine can reach it, unless --host says otherwise; then "
        "it asks for a token, which is part of the printed address "
        "(NBFLOW_DASHBOARD_TOKEN sets one that lasts).",
    )
    dashboard.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: %(default)s)",
    )
    dashboard.add_argument(
        "--port",
        type=int,
        default=8877,
        help="the port to listen on (default: %(default)s)",
    )
    dashboard.set_defaults(command=_dashboard)


def _dashboard(arguments: argparse.Namespace) -> int:
    from nbflow import dashboard

    def say(address: str) -> None:
        print(f"The dashboard: {address}", flush=True)

    return dashboard.serve(arguments.host, arguments.port, say)


if __name__ == "__main__":
    sys.exit(main())
