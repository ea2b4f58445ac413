"""Script: runs a module that `nbflow export --to python` wrote, without Jupyter: parameters, lock, exit codes of `nbflow run`."""

from __future__ import annotations

import argparse
import ast
import asyncio
import builtins
import inspect
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbflow import job
from nbflow._call import job_link
from nbflow._core.usage import dollars
from nbflow._run.run import Run
from nbflow._session import SESSION
from nbflow.errors import NbflowError, UsageError
from nbflow.notebook import cells, parameters, report
from nbflow.notebook.job_lock import job_lock
from nbflow.notebook.rewrite import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbflow.notebook.cell_attempt import CellAttempt

#: What stands around the parameters in such a module.
BEGIN, END = (
    "# Parameters: `-p name=value` gives other values.",
    "# End of the parameters.",
)


def show(value: object) -> None:
    """Print the value of an expression that a notebook shows; a run has been shown when it was made."""
    if value is not None and not isinstance(value, Run):
        print(repr(value))  # noqa: T201 - it is what a person reads in the log


def display(*values: object) -> None:
    """What IPython calls so: print values."""
    for value in values:
        show(value)


if not hasattr(builtins, "display"):
    builtins.display = display  # type: ignore[attr-defined]  # where IPython has it: code that calls it has the same key


def run(main: Callable[[], Any], space: dict[str, Any]) -> int:
    """Run the module whose globals are ``space`` as a job; answers the exit code of ``nbflow run``."""
    source = Path(space["__file__"]).resolve()
    declared = parameters.declared(_between(source.read_text("utf-8")))
    given = _parser(source.name, declared).parse_args()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    try:
        values = parameters.given(declared, given.parameter)
        allowed = job.allowed(given.max_failed)
        budget = None if given.budget is None else dollars(given.budget, "--budget")
        store = job.store_of(source, given.store)
        os.environ["NBFLOW_STORE"] = str(store)
        os.chdir(source.parent)
        with (
            job_lock(
                store,
                [f"job {source} {sorted(values.items(), key=str)!r}"],
                waits=None
                if given.no_wait
                else lambda who: print(  # noqa: T201
                    f"{who[0].upper()}{who[1:]}; waiting for it.", flush=True
                ),
            ),
            tempfile.TemporaryDirectory(prefix="nbflow-job-") as scratch,
        ):
            told = Path(scratch) / "told"
            os.environ.update(
                job_link.environment(told, force=tuple(given.force), budget=budget)
            )
            space.update(values)
            code = _performed(main)
            return _budgeted(told, code) or _left(told, allowed)
    except KeyboardInterrupt:
        print(  # noqa: T201
            "Interrupted. What is done is saved; the same command goes on from there.",
            file=sys.stderr,
        )
        return job.EXIT_INTERRUPTED
    except NbflowError as error:
        print(f"nbflow: {error}", file=sys.stderr)  # noqa: T201
        return int(getattr(error, "exit_code", job.EXIT_USAGE))


def _parser(name: str, declared: list[parameters.Parameter]) -> argparse.ArgumentParser:
    known = "\n".join(
        f"  -p {one.name}={one.default if one.default is not None else '... (required)'}  {one.type}  {one.help}".rstrip()
        for one in declared
    )
    parser = argparse.ArgumentParser(
        prog=name,
        description="A notebook as a plain module; run again, it goes on where it stood.",
        epilog=f"parameters:\n{known}" if known else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="give a value to a parameter; repeat it for more",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="the store (default: NBFLOW_STORE, or .nbflow found upward from this file)",
    )
    parser.add_argument(
        "--max-failed",
        default="0",
        metavar="N",
        help="records that may be left undone: a number, or a share such as 5%% (default: 0)",
    )
    parser.add_argument(
        "--force",
        action="append",
        default=[],
        metavar="STEP",
        help="run every call of this step although its output is saved",
    )
    parser.add_argument(
        "--budget",
        metavar="MONEY",
        help="US dollars that the calls of models may cost: 5, $5",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="exit with 75 if another copy is at work, instead of waiting for it",
    )
    return parser


def _between(source: str) -> str:
    return source.partition(f"{BEGIN}\n")[2].partition(f"{END}\n")[0]


def _performed(main: Callable[[], Any]) -> int:
    try:
        if inspect.iscoroutinefunction(main):
            asyncio.run(main())
        else:
            main()
    except SystemExit:  # it ends the notebook there, without failure
        return job.EXIT_OK
    except Exception:
        traceback.print_exc()
        return job.EXIT_FAILED
    return job.EXIT_OK


def _budgeted(told: Path, code: int) -> int:
    """The exit code, where a budget stopped it that of a budget."""
    refusal = job_link.refusal(told)
    if refusal:
        print(refusal, file=sys.stderr)  # noqa: T201
    return (
        job.EXIT_BUDGET if refusal and code in (job.EXIT_OK, job.EXIT_FAILED) else code
    )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _left(told: Path, allowed: tuple[float, bool]) -> int:
    """Wait for the runs that were begun, and count what they left undone."""
    runs = [SESSION.run_at(one) for one in dict.fromkeys(job_link.read(told))]
    states = [one.wait().reader.state() for one in runs]
    left, records = (
        sum(map(report.undone, states)),
        sum(len(state.keys) + state.unread for state in states),
    )
    if not job.is_too_many(left, records, allowed):
        return job.EXIT_OK
    print(f"{left:,} of {records:,} records not done.", file=sys.stderr)  # noqa: T201
    return job.EXIT_RECORDS


# Step cells.


class _Shell:
    """What step cells ask of an IPython, where there is none: names, and where to show."""

    ast_node_interactivity = "none"

    def __init__(self, space: dict[str, Any]) -> None:
        self.user_ns = space
        self.user_ns_hidden: dict[str, Any] = {}
        self.input_transformers_cleanup: list[Any] = []
        self.ast_transformers: list[Any] = []
        self.display_pub = self.displayhook = _Screen()


class _Screen:
    """Shows the text of what a notebook shows as a picture or a table."""

    def publish(self, data: dict[str, Any], _metadata: Any = None, **_: Any) -> None:
        self.write_format_data(data)

    def clear_output(self, wait: bool = False) -> None: ...  # noqa: FBT001, FBT002 - what is printed is printed
    def write_format_data(self, data: dict[str, Any], _metadata: Any = None) -> None:
        print(data.get("text/plain", ""))  # noqa: T201

    def start_displayhook(self) -> None: ...
    def write_output_prompt(self) -> None: ...
    def finish_displayhook(self) -> None: ...


_SHELLS: dict[int, _Shell] = {}


def step_cell(line: str, space: dict[str, Any]) -> Iterator[CellAttempt]:
    """The attempts at the step cell that the calling loop holds, which is its body: see `nbflow.export.translation`."""
    shell = _SHELLS.setdefault(id(space), _Shell(space))
    cells.install(shell, lambda: SESSION.engine)
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return cells.enter(
        cells.keep(parse(line), _body(Path(space["__file__"]), frame.f_back.f_lineno))
    )


def _body(file: Path, line: int) -> list[ast.stmt]:
    """The statements of a step cell as the notebook has them, from the loop at a line of the module."""
    tree = ast.parse(file.read_text("utf-8"))
    loop = next(
        (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.For) and node.lineno == line
        ),
        None,
    )
    if loop is None or not isinstance(loop.body[0], ast.With | ast.AsyncWith):
        raise UsageError(
            f"{file.name}, line {line}: a step cell is a loop over step_cell(...) with one `with` inside, as nbflow export writes it."
        )
    body = [
        part
        for node in loop.body[0].body
        for part in (
            node.body
            if isinstance(node, ast.If) and ast.unparse(node.test) == "_attempt.live"
            else [node]
        )
    ]
    return [
        ast.copy_location(ast.Expr(node.value.args[0]), node)  # type: ignore[attr-defined]  # _is_shown says so
        if _is_shown(node)
        else node
        for node in body
    ]


def _is_shown(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "_attempt.show"
    )
