"""Script: runs a module that `nbflow export --to python` wrote, without Jupyter.

Parameters, lock and exit codes are those of `nbflow run`.
"""

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
from nbflow._call import frames, job_link
from nbflow._core.gate import gates
from nbflow._core.table import brief_of
from nbflow._core.usage import dollars
from nbflow._run.run import Run
from nbflow._session import SESSION
from nbflow.errors import NbflowError, UsageError
from nbflow.notebook import cells, parameters, report
from nbflow.notebook.execute import ending_signals
from nbflow.notebook.job_lock import job_lock
from nbflow.notebook.job_task import allowed, limit, store_of
from nbflow.notebook.rewrite import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from nbflow._core.gate import Gate
    from nbflow.notebook.cell_attempt import CellAttempt
    from nbflow.notebook.job_task import Allowance

    #: The globals of a module: a user's names and values.
    Space: TypeAlias = dict[str, Any]


#: What stands around the parameters in such a module.
BEGIN = "# Parameters: `-p name=value` gives other values."
END = "# End of the parameters."


def show(value: object) -> None:
    """Print the value of an expression that a notebook shows.

    A run is not printed: it was shown when it was made.
    """
    if value is not None and not isinstance(value, Run):
        print(repr(value))  # noqa: T201  # it is what a person reads in the log


def display(*values: object) -> None:
    """Print values, as IPython's ``display`` shows them."""
    for value in values:
        show(value)


if not hasattr(builtins, "display"):
    # Where IPython has it: code that calls it has the same key.
    builtins.display = display  # type: ignore[attr-defined]  # it is added here


def run(main: Callable[[], object], space: Space) -> int:
    """Run the module whose globals are ``space`` as a job; return the exit code of ``nbflow run``."""
    source = Path(space["__file__"]).resolve()
    declared = parameters.declared(_between(source.read_text("utf-8")))
    given = _parser(source.name, declared).parse_args()
    for name in ending_signals():
        signal.signal(name, _interrupt)
    try:
        return _run(main, space, source, declared, given)
    except KeyboardInterrupt:
        _complain(
            "Interrupted. What is done is saved; the same command continues from there."
        )
        return job.EXIT_INTERRUPTED
    except NbflowError as error:
        _complain(f"nbflow: {error}")
        return int(getattr(error, "exit_code", job.EXIT_USAGE))


def _run(
    main: Callable[[], object],
    space: Space,
    source: Path,
    declared: list[parameters.Parameter],
    given: argparse.Namespace,
) -> int:
    values = parameters.given(declared, given.parameter)
    allowance = allowed(given.max_failed)
    budget = None if given.budget is None else dollars(given.budget, "--budget")
    asked_for = gates(given.gate)
    patience = None if given.wait is None else limit(given.wait, "--wait")
    store = store_of(source, given.store)
    os.environ["NBFLOW_STORE"] = str(store)
    os.chdir(source.parent)
    names = [f"job {source} {sorted(values.items(), key=str)!r}"]
    waits = None if given.no_wait else _say_waiting
    with (
        job_lock(store, names, waits=waits),
        tempfile.TemporaryDirectory(prefix="nbflow-job-") as scratch,
    ):
        told = Path(scratch) / "told"
        asked = job_link.environment(
            told, force=tuple(given.force), budget=budget, patience=patience
        )
        os.environ.update(asked)
        space.update(values)
        code = _performed(main)
        code = _budgeted(told, code) or _left(told, allowance)
        return _gated(told, asked_for, code)


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # the log of a job


def _say_waiting(who: str) -> None:
    print(f"{who[0].upper()}{who[1:]}; waiting for it.", flush=True)  # noqa: T201  # the log


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser(name: str, declared: list[parameters.Parameter]) -> argparse.ArgumentParser:
    known = "\n".join(map(_described, declared))
    parser = argparse.ArgumentParser(
        prog=name,
        description="A notebook as a plain module; run again, it continues where it stopped.",
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
        help="records that may be left undone: a number, or a share such as 5%% "
        "(default: 0)",
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
        "--gate",
        action="append",
        default=[],
        metavar="RULE",
        help="what has to hold of the labels, such as 'flips<=0.05'; repeat it for more",
    )
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        help="stay this long for records that wait in their flows, such as 30m",
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="exit with 75 if another copy is at work, instead of waiting for it",
    )
    return parser


def _described(one: parameters.Parameter) -> str:
    """A parameter as a line of the help."""
    default = "... (required)" if one.default is None else one.default
    return f"  -p {one.name}={default}  {one.type}  {one.help}".rstrip()


def _between(source: str) -> str:
    return source.partition(f"{BEGIN}\n")[2].partition(f"{END}\n")[0]


def _performed(main: Callable[[], object]) -> int:
    try:
        if inspect.iscoroutinefunction(main):
            asyncio.run(main())
        else:
            main()
    except SystemExit as error:
        if error.code in (None, 0):  # it ends the notebook there, without failure
            return job.EXIT_OK
        _complain(f"SystemExit: {error}")
        return job.EXIT_FAILED
    except Exception as error:
        with frames.of_user(error):
            traceback.print_exc()
        return job.EXIT_FAILED
    return job.EXIT_OK


def _budgeted(told: Path, code: int) -> int:
    """The exit code of the module, or that of a budget if one stopped it."""
    refusal = job_link.refusal(told)
    if not refusal:
        return code
    _complain(refusal)
    return job.EXIT_BUDGET if code in (job.EXIT_OK, job.EXIT_FAILED) else code


def _runs(told: Path) -> list[Run]:
    """The runs that were begun, when they have ended."""
    return [SESSION.run_at(one).wait() for one in dict.fromkeys(job_link.read(told))]


def _left(told: Path, allowance: Allowance) -> int:
    """The exit code of the records that the runs left undone."""
    states = [one.reader.state() for one in _runs(told)]
    left = sum(map(report.undone, states))
    records = sum(state.total_records for state in states)
    is_cut_short = any(map(report.is_cut_short, states))
    waiting = sum(map(report.waiting, states))
    is_left = is_cut_short or allowance.is_exceeded(left, records)
    if not is_left and not waiting:
        return job.EXIT_OK
    _complain(f"{brief_of(*states)}.")
    if is_cut_short:
        _complain("An iterator was not read to its end.")
    return job.EXIT_RECORDS if is_left else job.EXIT_WAITING


def _gated(told: Path, asked_for: Sequence[Gate], code: int) -> int:
    """The exit code so far, or that of the gates; what became of each is said."""
    if not asked_for:
        return code
    from nbflow.quality.gates import judge, put_off, remember

    runs = _runs(told)
    if code not in (job.EXIT_OK, job.EXIT_RECORDS, job.EXIT_WAITING):
        put_off(runs)
        return code
    verdicts = judge(asked_for, runs, SESSION.run_at)
    for verdict in verdicts:
        _complain(verdict.said)
    remember(verdicts, runs, job.UNDONE if code else "")
    is_met = all(verdict.met for verdict in verdicts)
    if is_met or code == job.EXIT_RECORDS:
        return code
    return job.EXIT_GATE


# Step cells.


class _Shell:
    """What step cells ask of an IPython, where there is none: names, and where to show."""

    ast_node_interactivity = "none"
    events = None

    def __init__(self, space: Space) -> None:
        self.user_ns = space
        self.user_ns_hidden: dict[str, object] = {}
        self.input_transformers_cleanup: list[Callable[[list[str]], list[str]]] = []
        self.ast_transformers: list[object] = []
        self.display_pub = self.displayhook = _Screen()


class _Screen:
    """Prints the text of what a notebook shows as a picture or a table."""

    def publish(
        self, data: dict[str, str], _metadata: object = None, **_: object
    ) -> None:
        self.write_format_data(data)

    def clear_output(self, *_: object, **__: object) -> None:
        """Do nothing: what is printed is printed."""

    def write_format_data(self, data: dict[str, str], _metadata: object = None) -> None:
        print(data.get("text/plain", ""))  # noqa: T201  # what a person reads in the log

    def start_displayhook(self) -> None: ...
    def write_output_prompt(self) -> None: ...
    def finish_displayhook(self) -> None: ...


#: By the identity of the module's globals, of which a process has few.
_SHELLS: dict[int, _Shell] = {}


def step_cell(line: str, space: Space) -> Iterator[CellAttempt]:
    """The attempts at the step cell that is the body of the calling loop.

    `nbflow.export.source_lines` writes that loop.
    """
    shell = _SHELLS.setdefault(id(space), _Shell(space))
    notebook = cells.install(shell, lambda: SESSION.engine)
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    number = frame.f_back.f_lineno
    file = Path(space["__file__"])
    tree = ast.parse(file.read_text("utf-8"))
    notebook.look_at(_until(tree, frame.f_back.f_code.co_name, number))
    body = _body(file, tree, number)
    return cells.enter(cells.keep(parse(line), body))


def _until(tree: ast.Module, main: str, line: int) -> ast.Module:
    """What has run when a line of the function that does what the notebook does is reached."""
    found = list[ast.stmt]()
    for node in tree.body:
        is_main = getattr(node, "name", None) == main
        found += getattr(node, "body", []) if is_main else [node]
    return ast.Module([node for node in found if node.lineno <= line], [])


def _body(file: Path, tree: ast.Module, line: int) -> list[ast.stmt]:
    """The statements of a step cell as the notebook has them, from the loop at a line of the module."""
    loop = _loop_at(tree, line)
    if loop is None or not isinstance(loop.body[0], ast.With | ast.AsyncWith):
        raise UsageError(
            f"{file.name}, line {line}: a step cell is a loop over step_cell(...) with "
            "one `with` inside, as nbflow export writes it."
        )
    body: list[ast.stmt] = []
    for node in loop.body[0].body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "_attempt.live":
            body += node.body
        else:
            body.append(node)
    return list(map(_not_shown, body))


def _loop_at(tree: ast.Module, line: int) -> ast.For | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.For) and node.lineno == line:
            return node
    return None


def _not_shown(node: ast.stmt) -> ast.stmt:
    """The expression in ``_attempt.show(...)``; any other statement as it is."""
    if (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func) == "_attempt.show"
    ):
        return ast.copy_location(ast.Expr(node.value.args[0]), node)
    return node
