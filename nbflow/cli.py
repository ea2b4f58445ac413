"""The command line: parse, call one function, print."""

from __future__ import annotations

import argparse
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow.errors import NbflowError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._run.run import Run

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 (wrong use), 130 (interrupted), or what the command says."""
    arguments = _parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except NbflowError as error:
        print(f"nbflow: {error}", file=sys.stderr)
        return getattr(error, "exit_code", EXIT_USAGE)
    except KeyboardInterrupt:
        print(
            "nbflow: interrupted; what is done is saved, run the command again to go on.",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `nbflow runs | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nbflow",
        description="Durable steps, event fan-out and a readable run table for Jupyter notebooks.",
    )
    parser.add_argument(
        "--version", action="version", version=f"nbflow {metadata.version('nbflow')}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="write a support-thread notebook with its data, run it, show the run table",
        description="Write a notebook with 200 support threads into FOLDER, run it in a Jupyter kernel, offline, and show its run table. Run again, it executes only what failed. Files that are there are kept.",
    )
    demo.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("nbflow-demo"),
        metavar="FOLDER",
        help="where to (default: %(default)s)",
    )
    demo.set_defaults(command=_demo)

    _add_run(commands)
    _add_check(commands)
    _add_export(commands)

    runs = commands.add_parser(
        "runs",
        usage="nbflow runs [-h] [RUN] | nbflow runs cancel RUN",
        help="list the runs of the store, show one, or cancel it",
        description="List the runs of the store in use, the latest first, or show the table of one. `cancel RUN` stops it, whichever kernel or job works on it: what is under way ends first, what is done stays done.",
    )
    runs.add_argument(
        "run",
        nargs="*",
        metavar="RUN",
        help="id of a run, or its beginning; `latest` for the latest",
    )
    runs.set_defaults(command=_runs)

    dashboard = commands.add_parser(
        "dashboard",
        help="show history and tables in a browser, for reading only",
        description="Serve the history and the tables of the store in use to a browser, for reading only. This machine alone can reach it, unless --host says otherwise; then a token is needed, which is part of the address that is printed (NBFLOW_DASHBOARD_TOKEN sets one that lasts).",
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

    store = commands.add_parser(
        "store",
        help="say where the store is and what it holds",
        description="Say which store is in use (NBFLOW_STORE, or .nbflow found upward from here) and what it holds.",
    )
    store.set_defaults(command=_store)
    return parser


_RUN = """\
Run a notebook from top to bottom in a kernel of this Python. Run again, the
same command goes on: only records that failed or were never done are executed.
Written in every case: the output notebook, each cell marked ok, cached, failed,
interrupted or not run, and beside it a report for programs, OUTPUT.run.json.
"""
_CODES = """\
exit codes:
  0    ok
  1    a cell failed, or took longer than --timeout
  2    bad parameters or notebook, found before anything ran
  3    every cell ran, but more records are not done than --max-failed allows
  4    --budget or a budget of the notebook is reached
  75   another copy of this job is at work, and --no-wait was given
  130  interrupted (Ctrl-C, SIGTERM)
  138  the kernel died
"""


_EXPORT = """\
Write a notebook as the job of a scheduler, into a folder with all that it needs:
the notebook, the local modules that it imports, its packages pinned, the file of
the scheduler with the schedule in it, the names of its secrets, a README.

  nbflow export threads.ipynb --to systemd --schedule "0 6 * * 1-5"

Exported again, it shows what changed and keeps what you changed by hand. Nothing
is installed: the README says how, and how to test, watch and remove the job.
"""


#: Stands for the list of targets, which costs an import of each: only who asks for help
#: waits for it.
_TARGETS = "targets"


class _ExportHelp(argparse.RawDescriptionHelpFormatter):
    """Help with the targets behind it."""

    def add_text(self, text: str | None) -> None:
        if text == _TARGETS:
            from nbflow.export import command

            text = f"targets:\n{command.listed()}"
        super().add_text(text)


def _add_run(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="run a notebook headless, with parameters and an honest exit code",
        description=_RUN,
        epilog=_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument(
        "notebook",
        type=Path,
        metavar="NOTEBOOK",
        help="the notebook; it stays as it is, unless -o names it",
    )
    run.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a value to a name of the cell tagged `parameters`; repeat it for more",
    )
    run.add_argument(
        "--help-notebook",
        action="store_true",
        help="list the notebook's parameters with types, defaults and comments, and run nothing",
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
        help="the store (default: NBFLOW_STORE, or .nbflow found upward from the notebook)",
    )
    run.add_argument(
        "--timeout",
        metavar="TIME",
        help="longest that one cell may take: seconds, or 90s, 5m, 1h30m (default: no limit)",
    )
    run.add_argument(
        "--max-failed",
        default="0",
        metavar="N",
        help="records that may be left undone: a number, or a share such as 5%% (default: 0)",
    )
    run.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="STEP",
        help="run every call of this step although its output is saved; repeat it for more",
    )
    run.add_argument(
        "--only-failed",
        action="store_true",
        help="in place of each send and map, go on with the run that the last `nbflow run` of the same output made there: with its records as they were sent then, "
        "only those are executed that failed or were not finished. New and changed records wait for the next run without it. All other cells run as always",
    )
    waiting = run.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait",
        action="store_true",
        default=True,
        help="wait for another copy of this job that is at work: same notebook and parameters, or same output (the default)",
    )
    waiting.add_argument(
        "--no-wait", dest="wait", action="store_false", help="exit with 75 instead"
    )
    run.add_argument(
        "--budget",
        metavar="MONEY",
        help="US dollars that all calls together may cost, such as 5 or 0.50, as steps report it with nf.usage; those that could pass it are not started",
    )
    run.set_defaults(command=_run)


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="find what may go wrong with a notebook when nobody watches",
        description="Look for what may go wrong when a notebook runs headless or is handed over: cells run out of order, names that exist only in the kernel, absolute paths, packages that are missing "
        "or not pinned, secrets, magics and calls that need a person, steps that cannot be saved. Nothing of the notebook is run. The exit code is 0 if nothing of the level of --fail-on was found, else 1; 2 for what is no notebook.",
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
        help="print a JSON list of findings: notebook, rule, level, cell, line, what, why, todo",
    )
    check.add_argument(
        "--fail-on",
        choices=("error", "warning", "note"),
        default="error",
        help="the least that makes the exit code 1 (default: %(default)s)",
    )
    check.set_defaults(command=_check)


def _add_export(commands: Any) -> None:
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
        help="the notebook; it stays as it is",
    )
    export.add_argument(
        "--to",
        metavar="TARGET",
        help="the scheduler, one of those below; `nbflow export --to list` lists them, too",
    )
    export.add_argument(
        "--schedule",
        metavar="CRON",
        help='five fields: minute, hour, day of the month, month, day of the week; "0 6 * * 1-5" is at 06:00 from Monday to Friday',
    )
    export.add_argument(
        "--timezone",
        metavar="ZONE",
        help="the zone in which the schedule is meant, such as Europe/Berlin (default: that of this machine)",
    )
    export.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a value to a name of the cell tagged `parameters`; repeat it for more",
    )
    export.add_argument(
        "--max-failed",
        metavar="N",
        help="records that each run may leave undone: a number, or a share such as 5%%",
    )
    export.add_argument(
        "--budget",
        metavar="MONEY",
        help="US dollars that the calls of models in each run may cost, $5",
    )
    export.add_argument(
        "--timeout",
        metavar="TIME",
        help="longest that one cell may take: seconds, or 90s, 5m, 1h30m",
    )
    export.add_argument(
        "--name", help="what the job is called (default: the notebook's name)"
    )
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
        help="write nothing; say whether the exports of this notebook are still what it is. The exit code is 1 if one is not",
    )
    export.set_defaults(command=_export)


def _console() -> Any:
    from rich.console import Console

    # Where nobody watches, lines are not cut to a width that nobody has.
    width = None if sys.stdout.isatty() else 120
    return Console(highlight=False, emoji=False, markup=False, width=width)


def _demo(arguments: argparse.Namespace) -> int:
    from nbflow import demo

    return demo.run(arguments.folder, _console())


def _run(arguments: argparse.Namespace) -> int:
    from nbflow import job

    if arguments.help_notebook:
        job.describe(arguments.notebook, _console())
        return 0
    timeout = None if arguments.timeout is None else job.limit(arguments.timeout)
    options = job.Options(
        parameters=arguments.parameter,
        output=arguments.output,
        store=arguments.store,
        timeout=timeout,
        max_failed=arguments.max_failed,
        force=arguments.force,
        budget=arguments.budget,
        only_failed=arguments.only_failed,
        wait=arguments.wait,
    )
    return job.run(arguments.notebook, options, _console())


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
    return int(
        any(one.level in failing for findings in found.values() for one in findings)
    )


def _export(arguments: argparse.Namespace) -> int:
    from nbflow.export import command

    return command.run(arguments, _console())


def _runs(arguments: argparse.Namespace) -> int:
    from nbflow import _api
    from nbflow._run import render

    console = _console()
    cancels = arguments.run[:1] == ["cancel"]
    names = arguments.run[cancels:]
    if len(names) > 1 or (cancels and not names):
        raise UsageError(
            "nbflow runs takes one run: nbflow runs RUN, or nbflow runs cancel RUN."
        )
    if names:
        run = _api.open_run(None if names[0] == "latest" else names[0])
        if cancels:
            return _cancel(run)
        render.print_table(run.table(), console)
        return 0
    history = _api.runs()
    if history.empty:
        console.print("No runs yet.")
        return 0
    render.print_runs(history, console)
    return 0


def _cancel(run: Run) -> int:
    if run.state != "RUNNING":
        print(f"Run {run.id} is {run.state}: there is nothing to cancel.")
        return 0
    run.cancel().wait()
    print(f"Run {run.id} is {run.state}: {run.table().sentence}")
    return 0


def _dashboard(arguments: argparse.Namespace) -> int:
    from nbflow import dashboard

    return dashboard.serve(
        arguments.host,
        arguments.port,
        lambda address: print(f"The dashboard: {address}", flush=True),
    )


def _store(_arguments: argparse.Namespace) -> int:
    from nbflow._session import SESSION

    engine = SESSION.engine
    print(f"store        {engine.store.url}")
    checkpoints = engine.store.keys()
    print(f"checkpoints  {sum(1 for _ in checkpoints):,}")
    print(f"runs         {len(engine.ledger.runs()):,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
