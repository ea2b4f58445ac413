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
    """Run one command; the exit code is 0, 2 (wrong use, or a cell that failed) or 130 (interrupted)."""
    arguments = _parser().parse_args(argv)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except NbflowError as error:
        print(f"nbflow: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("nbflow: interrupted; what is done is saved, run the command again to go on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `nbflow runs | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbflow", description="Durable steps, event fan-out and a readable run table for Jupyter notebooks.")
    parser.add_argument("--version", action="version", version=f"nbflow {metadata.version('nbflow')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="write a support-thread notebook with its data, run it, show the run table",
        description="Write a notebook with 200 support threads into FOLDER, run it in a Jupyter kernel, offline, and show its run table. Run again, it executes only what failed. Files that are there are kept.",
    )
    demo.add_argument("folder", nargs="?", type=Path, default=Path("nbflow-demo"), metavar="FOLDER", help="where to (default: %(default)s)")
    demo.set_defaults(command=_demo)

    runs = commands.add_parser(
        "runs",
        usage="nbflow runs [-h] [RUN] | nbflow runs cancel RUN",
        help="list the runs of the store, show one, or cancel it",
        description="List the runs of the store in use, the latest first, or show the table of one. `cancel RUN` stops it, whichever kernel or job works on it: what is under way ends first, what is done stays done.",
    )
    runs.add_argument("run", nargs="*", metavar="RUN", help="id of a run, or its beginning; `latest` for the latest")
    runs.set_defaults(command=_runs)

    dashboard = commands.add_parser(
        "dashboard",
        help="show history and tables in a browser, for reading only",
        description="Serve the history and the tables of the store in use to a browser, for reading only. This machine alone can reach it, unless --host says otherwise; then a token is needed, which is part of the address that is printed (NBFLOW_DASHBOARD_TOKEN sets one that lasts).",
    )
    dashboard.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    dashboard.add_argument("--port", type=int, default=8877, help="the port to listen on (default: %(default)s)")
    dashboard.set_defaults(command=_dashboard)

    store = commands.add_parser("store", help="say where the store is and what it holds", description="Say which store is in use (NBFLOW_STORE, or .nbflow found upward from here) and what it holds.")
    store.set_defaults(command=_store)
    return parser


def _console() -> Any:
    from rich.console import Console

    # Where nobody watches, lines are not cut to a width that nobody has.
    width = None if sys.stdout.isatty() else 120
    return Console(highlight=False, emoji=False, markup=False, width=width)


def _demo(arguments: argparse.Namespace) -> int:
    from nbflow import demo

    return demo.run(arguments.folder, _console())


def _runs(arguments: argparse.Namespace) -> int:
    from nbflow import _wiring
    from nbflow._run import render

    console = _console()
    cancels = arguments.run[:1] == ["cancel"]
    names = arguments.run[cancels:]
    if len(names) > 1 or (cancels and not names):
        raise UsageError("nbflow runs takes one run: nbflow runs RUN, or nbflow runs cancel RUN.")
    if names:
        run = _wiring.open_run(None if names[0] == "latest" else names[0])
        if cancels:
            return _cancel(run)
        render.print_table(run.table(), console)
        return 0
    history = _wiring.runs()
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

    return dashboard.serve(arguments.host, arguments.port, lambda address: print(f"The dashboard: {address}", flush=True))


def _store(_arguments: argparse.Namespace) -> int:
    from nbflow import _wiring

    engine = _wiring.SESSION.engine
    print(f"store        {engine.store.url}")
    checkpoints = engine.store.keys()
    print(f"checkpoints  {sum(1 for _ in checkpoints):,}")
    print(f"runs         {len(engine.ledger.runs()):,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
