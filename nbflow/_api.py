"""The public functions: steps, flows, sending, and the runs of the store in use."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    get_overloads,
    overload,
)

from nbflow._call import uncaught
from nbflow._call.prices import Price
from nbflow._call.scope import SCOPE
from nbflow._core.flow import Flow, make_flow
from nbflow._core.step import check_options, make_step
from nbflow._core.usage import Usage
from nbflow._key.warning import warn
from nbflow._session import SESSION
from nbflow._step import Step
from nbflow.errors import StoreWarning, UnknownRunError, UsageError
from nbflow.notebook.durable import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import timedelta

    import pandas as pd
    import polars as pl

    from nbflow._core.policy import Throttle
    from nbflow._run.batch import Batch, Columns, Key
    from nbflow._run.frame_types import ArrowTable, Dicts, FrameT, Model
    from nbflow._run.history import History
    from nbflow._run.lane import Lane
    from nbflow._run.plan import Plan
    from nbflow._run.run import Run

P = ParamSpec("P")
R = TypeVar("R")


def load_ipython_extension(ipython: Any) -> None:
    """Turn on step cells and ``%step``: for ``%load_ext nbflow``; importing nbflow in a notebook does the same."""
    from nbflow.notebook import cells, magics, tracebacks

    tracebacks.install(ipython)
    magics.register(
        ipython, lambda: SESSION.steps, cells.install(ipython, lambda: SESSION.engine)
    )


uncaught.install()
if "IPython" in sys.modules:
    from nbflow.notebook.magics import shell

    if (found := shell()) is not None:
        load_ipython_extension(found)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    retries: int = 3,
    retry_delay: float | str | timedelta = 1.0,
    backoff: float = 2.0,
    max_delay: float | str | timedelta = 60.0,
    should_retry: Callable[[BaseException], bool] | None = None,
    timeout: float | str | timedelta | None = None,
    concurrency: int | None = None,
    throttle: str | Throttle | None = None,
    ttl: float | str | timedelta | None = None,
    version: str | float | None = None,
    ignore: str | Iterable[str] = (),
    depends_on: object = (),
    name: str | None = None,
    model: str | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(function: Any = None, /, **options: Any) -> Any:
    """Make a function a step: its successful outputs are saved on disk and reused.

    They are keyed by the function's code and inputs. The function may be ``def`` or
    ``async def``, a plain function or a method, and is called as it was written.
    Durations are seconds, or text such as ``"30s"``, ``"5m"``, ``"1d"``, or a
    ``timedelta``.

    Args:
        function: the function, when used as a bare ``@nf.step``.
        **options: see below.

    Options:
        retries: attempts after the first (3).
        retry_delay: wait before the second attempt (1 s); each further wait is
            ``backoff`` times longer (2), up to ``max_delay`` (60 s), half of it random.
        should_retry: a function of the exception that says whether to try again. By
            default errors that may pass are retried (timeouts, connections, HTTP
            408/409/425/429/5xx, malformed answers), and errors that cannot pass are not
            (``NameError``, ``TypeError``, HTTP 400/401/403/404/422, an account without
            money, an address that is none, a certificate that is refused, a wrong SQL
            query, ``NonRetriableError``, ...).
        timeout: the longest that one attempt may take. A sync attempt then runs on a
            thread of its own, which is abandoned when time is up.
        concurrency: the number of calls of this step that run at once, in this process.
        throttle: the number of starts per period, ``"300/min"``, in this process; the
            excess waits. A `Throttle` shared by several steps counts them together. A
            429 or 503 with Retry-After pauses all of them, and is no attempt while
            others get through.
        ttl: outputs older than this run again; ``"run"`` keeps them for one run only.
        version: replaces the code in the key: outputs are kept across edits until it
            changes.
        ignore: names of arguments that are not part of the key, such as a client.
        depends_on: what else the key covers: names of installed packages (by version),
            ``Path`` s (by content), functions (by code), values; a dict gives each of
            its values a name for ``explain``.
        name: what outputs are filed under; the function's name by default.
        model: the model that it calls, such as ``"openai:gpt-4o-mini"``: a budget is
            then refused before the run if its price is not known, and an attempt that
            times out or breaks off counts as a request of unknown cost.

    Returns:
        A `Step`, or with options the decorator that makes one.

    Raises:
        UsageError: an option is invalid.
        TypeError: there is no such option.

    Example:
        >>> @nf.step(retries=5, timeout="30s")
        ... def size(text: str) -> int:
        ...     return len(text)
        >>> size("three")
        5
    """
    check_options(options, "step")

    def decorate(function: Callable[..., object]) -> Step[..., Any]:
        made = make_step(Step, function, SESSION, **options)
        SESSION.steps[made.name] = made
        return made

    return decorate if function is None else decorate(function)


# What completion and help show: the overload with the options.
vars(step)["__wrapped__"] = get_overloads(step)[-1]


def flow(
    on: str | Iterable[str],
    *,
    on_failure: Callable[..., object] | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function a flow: every record of the event goes through it.

    Each record is processed apart from all other records and flows. A sync flow runs in
    a thread and calls its steps inline; an async one runs on an event loop of nbflow's
    own. What a flow returns is remembered by its code (steps and helpers included) and
    the record: sent again, it does not run.

    Args:
        on: the event, such as ``"support/thread.created"``, or several.
        on_failure: called with (record, error) when a record has failed permanently.
        name: its name in tables and results; the function's name by default.

    Returns:
        The decorator that makes a `Flow`.

    Raises:
        UsageError: an option is invalid.

    Example:
        >>> @nf.flow(on="text/added")
        ... def measure(record: dict[str, str]) -> int:
        ...     return len(record["text"])
        >>> measure({"text": "three"})
        5
    """
    if callable(on):
        raise UsageError(
            '@nf.flow needs the event it listens to: @nf.flow(on="support/thread.created").'
        )

    def decorate(function: Callable[P, R]) -> Flow[P, R]:
        made = make_flow(function, on=on, on_failure=on_failure, name=name)
        SESSION.listeners.add(made)
        return made

    return decorate


@overload
def send(
    event: str,
    records: FrameT,
    *,
    key: Key = None,
    wait: bool = True,
    max_in_flight: int | None = None,
    keep_records: bool = True,
    budget: float | str | None = None,
    columns: Columns = (),
) -> Run[FrameT]: ...
@overload
def send(
    event: str,
    records: Iterable[Mapping[Any, Any] | Model],
    *,
    key: Key = None,
    wait: bool = True,
    max_in_flight: int | None = None,
    keep_records: bool = True,
    budget: float | str | None = None,
    columns: Columns = (),
) -> Run[Dicts]: ...
@overload
def send(
    event: str,
    records: ArrowTable,
    *,
    key: Key = None,
    wait: bool = True,
    max_in_flight: int | None = None,
    keep_records: bool = True,
    budget: float | str | None = None,
    columns: Columns = (),
) -> Run[Any]: ...
# Written out, not by the names of types: it is what completion and help show.
@durable
def send(
    event: str,
    records: pd.DataFrame
    | pl.DataFrame
    | ArrowTable
    | Iterable[Mapping[Any, Any] | Model],
    *,
    key: str | list[str] | tuple[str, ...] | None = None,
    wait: bool = True,
    max_in_flight: int | None = None,
    keep_records: bool = True,
    budget: float | str | None = None,
    columns: str | Sequence[str] = (),
) -> Run:
    """Send a batch of records to every flow that listens to ``event``.

    Sending the same batch again does not repeat completed work: only new, changed,
    failed and unfinished records are executed.

    Args:
        event: the event's name.
        records: a pandas or polars frame, an Arrow table, a list of dicts, or any
            iterator of dicts (which is read while the run continues).
        key: the column or columns that identify a record. Rows with one key and equal
            content are one record; rows with one key and different content are refused.
            Without it the index or the position identifies.
        wait: ``False`` returns at once, and the run continues in the background; an
            iterator is then read by another thread.
        max_in_flight: the number of records that are processed at once (1,024; threads
            of a sync flow: 32).
        keep_records: ``False`` keeps the batch out of the ledger, and out of the store
            what its calls print; the run can then only be rerun from this kernel.
        budget: US dollars that its calls may cost, such as ``"$5"``. A call that could
            exceed it is not started and its record is ``CANCELLED``; what is done is
            saved. The first call of each step is made alone, to see what it costs; from
            then on each is assumed to cost as much as the dearest one so far.
        columns: the fields of a record that the table shows beside its key, such as
            ``["subject", "customer"]``; without any, its first text of several words.

    Returns:
        The run: a table when shown, with ``results()``, ``failures()``,
        ``rerun_failed()`` and more.

    Raises:
        UnknownEventError: nobody listens; names the closest event.
        DuplicateKeyError: one key, different content.
        UsageError: rows that are not records.
        KeyboardInterrupt: after everything under way was accounted for; send again to
            continue.

    Example:
        >>> @nf.flow(on="text/added")
        ... def measure(record: dict[str, str]) -> int:
        ...     return len(record["text"])
        >>> run = nf.send("text/added", [{"text": "one"}, {"text": "three"}])
        >>> run.results("measure")
        [3, 5]
    """
    lanes, batch = _sent(event, records, key)
    return SESSION.start(
        event,
        lanes,
        batch,
        wait=wait,
        max_in_flight=max_in_flight,
        keep_records=keep_records,
        budget=budget,
        columns=columns,
    )


def usage(
    model: str | None = None,
    *,
    input_tokens: int = 0,
    output_tokens: int = 0,
    cached_tokens: int = 0,
    requests: int = 1,
    cost: float | None = None,
    provider: str | None = None,
    answered_by: str | None = None,
) -> Usage:
    """Report what the call under way used: inside a step that talks to a model, once for each request.

    It stands in the run's table, in ``results()`` and ``run.usage``, counts towards a
    budget, and is what a remembered call saves. What a failed attempt reported counts
    as well, and what threads report that the step started. Outside a step it only gives
    the `Usage` back.

    Args:
        model: ``"openai:gpt-4o-mini"``, or the model's name with ``provider=`` or
            without.
        input_tokens: tokens sent, ``cached_tokens`` among them.
        output_tokens: tokens received.
        cached_tokens: of those sent, the ones that the provider had in its own cache.
        requests: how many requests this was.
        cost: US dollars, if you know it; by default from the list of genai-prices or
            ``nf.set_price``. A price that is not known is shown as unknown.
        provider: the provider's name.
        answered_by: the model that answered, with its version as the provider reports
            it, such as ``reply.model``. It is kept with the record, and a change of it
            is said; see ``results(models=True)``.

    Raises:
        UsageError: a number that cannot be right, or a model that is no text.
    """
    counts = {
        "requests": requests,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cached_tokens": cached_tokens,
    }
    for name, number in counts.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise UsageError(f"{name}={number!r} has to be a whole number, 0 or more.")
    if cost is not None and (isinstance(cost, bool) or not 0 <= cost < float("inf")):
        raise UsageError(f"cost={cost!r} has to be US dollars, 0 or more.")
    if not isinstance(answered_by, str | None):
        raise UsageError(
            f"answered_by={answered_by!r} has to be the name of a model, a text."
        )
    used = Usage(**counts, models=(answered_by,) if answered_by else ())
    name = f"{provider}:{model}" if provider and model else model or ""
    if cost is None and name:
        cost = SESSION.prices.cost(name, used)
    used = used._replace(
        cost=None if cost is None else float(cost),
        unpriced=requests if cost is None else 0,
    )
    scope = SCOPE.get()
    if scope is not None:
        scope.used(used, name if cost is None else "")
    return used


def set_price(
    model: str,
    *,
    input: float,  # noqa: A002  # what price lists call it
    output: float,
    cached: float | None = None,
) -> None:
    """Say what a model costs where the list of prices does not know it, or knows it wrong.

    Args:
        model: the name as it is used, such as ``"ollama:qwen3"``.
        input: US dollars per million tokens sent.
        output: US dollars per million tokens received.
        cached: US dollars per million tokens sent that the provider had in its own
            cache; as ``input`` by default.

    Raises:
        UsageError: a price that cannot be right.
    """
    SESSION.prices.set(model, Price(input, output, input if cached is None else cached))


@durable
def plan(
    event: str,
    records: pd.DataFrame
    | pl.DataFrame
    | ArrowTable
    | Iterable[Mapping[Any, Any] | Model],
    *,
    key: str | list[str] | tuple[str, ...] | None = None,
) -> Plan:
    """Say what ``send`` with the same arguments would do, without executing anything.

    Writes nothing either. Calls and time are estimates, from what earlier runs of the
    event took.

    Args:
        event: the event's name.
        records: the batch; an iterator is read to its end, and a send then needs
            another one.
        key: the column or columns that identify a record.

    Returns:
        A `Plan`: ``.cached``, ``.would_run``, ``.flows`` with the reasons, ``.calls``,
        ``.seconds``, ``.to_frame()``.

    Raises:
        UnknownEventError: nobody listens; names the closest event.
        DuplicateKeyError: one key, different content.
        UsageError: rows that are not records.

    Example:
        >>> @nf.flow(on="text/added")
        ... def measure(record: dict[str, str]) -> int:
        ...     return len(record["text"])
        >>> run = nf.send("text/added", [{"text": "one"}])
        >>> plan = nf.plan("text/added", [{"text": "one"}, {"text": "three"}])
        >>> plan.cached, plan.would_run
        (1, 1)
    """
    from nbflow._run.forecast import forecast

    lanes, batch = _sent(event, records, key)
    batch.check()
    return forecast(SESSION.engine, event, lanes, batch, SESSION.prices.cost)


def _sent(event: str, records: Any, key: Key | None) -> tuple[list[Lane], Batch]:
    from nbflow._run.batch import Batch
    from nbflow._run.lane import FlowLane

    lanes: list[Lane] = [FlowLane(flow) for flow in SESSION.listeners.of(event)]
    return lanes, Batch(records, key)


def use(
    store: str | Path,
    *,
    durability: Literal["process", "power"] = "process",
    max_size: float | str | None = None,
    keep: float | str | timedelta | None = None,
) -> None:
    """Use the store in this folder (or ``"memory:"``) from now on, instead of the one that is found.

    Args:
        store: the folder itself, such as ``"~/projects/tickets/.nbflow"``; made if it
            is not there.
        durability: ``"process"``: what was reported outlives ``kill -9``. ``"power"``:
            a power cut as well, at the price of an fsync per commit.
        max_size: bytes, or text such as ``"2GB"``: after a run, what is oldest goes
            until the rest is no more, as by `nbflow.store.prune`.
        keep: seconds, or text such as ``"30d"``: after a run, older runs go, and older
            outputs that no run needs. The latest run of each event stays. Without both
            the ``pyproject.toml`` above the store decides (``[tool.nbflow.store]``).

    Raises:
        UsageError: it is a URL, or the address of something else than a folder.
        StoreError: the folder cannot be made or used; the message says why.
    """
    from nbflow._store import location

    if max_size is not None or keep is not None:
        from nbflow._run import keeping

        keeping.rules(keep, None, max_size)
    runs = SESSION.open(store, durability, max_size=max_size, keep=keep)
    location.make(store)
    SESSION.replace(runs)


def flows() -> list[Flow[..., Any]]:
    """Return every flow that is defined, in the order of definition.

    Returns:
        The flows, each with its ``name`` and the ``events`` that it listens to.

    Example:
        >>> @nf.flow(on="text/added")
        ... def measure(record: dict[str, str]) -> int:
        ...     return len(record["text"])
        >>> [(flow.name, flow.events) for flow in nf.flows()]
        [('measure', ('text/added',))]
    """
    return list(SESSION.listeners)


@durable
def runs(*, last: int | None = None) -> History:
    """Return the history: a pandas frame with one row a run, the latest first.

    A notebook shows it as a live table, in which runs are sorted, filtered, found,
    opened and compared. ``nbflow.open_run(id)`` opens one, ``run.compare(other)``
    compares two.

    Args:
        last: only so many of the latest runs, of a store that has thousands. The live
            table shows all of them in any case.

    Returns:
        A `pandas.DataFrame` with the columns run, event, state, started (local time),
        seconds, records, failed (records that failed in a flow or more). It is a
        snapshot; ``widget()`` is the live table.

    Example:
        >>> @nf.step
        ... def size(text: str) -> int:
        ...     return len(text)
        >>> run = size.map(["one", "three"])
        >>> nf.runs()[["event", "state", "records"]].to_dict("records")
        [{'event': 'size', 'state': 'COMPLETED', 'records': 2}]
    """
    from nbflow._run.history import History

    chronicle = SESSION.chronicle
    history = History.of(chronicle, SESSION, last)
    if lost := chronicle.unreadable:
        more = f" (and of {len(lost) - 1:,} others)" if len(lost) > 1 else ""
        warn(
            f"The ledger of run {lost[0]}{more} cannot be read; it is left out.",
            StoreWarning,
        )
    return history


@durable
def open_run(run: str | Path | None = None) -> Run:
    """A run of the ledger, in any kernel on the same store; or the last run of a headless job, in its own store.

    Args:
        run: its id or the beginning of it; or the path of an output notebook of
            ``nbflow run``, or of its ``run.json``; the latest run of the store in use
            when left out.

    Raises:
        UnknownRunError: there is none; the message names the latest ones.
    """
    if not isinstance(run, str | Path | None):
        raise UsageError(f"open_run() takes the id of a run, or a path, not {run!r}.")
    if isinstance(run, Path) or (run is not None and run.endswith((".ipynb", ".json"))):
        from nbflow.notebook import report

        told = report.runs_of(Path(run).expanduser())
        if not told:
            raise UnknownRunError(f"The job that wrote {run} made no run.")
        return SESSION.run_at(told[-1])
    ledger = SESSION.engine.ledger
    known = ledger.runs()
    latest_noted = (name for name in reversed(known) if ledger.size(name))
    found = (
        list(islice(latest_noted, 1))
        if run is None
        else [name for name in known if name.startswith(run)]
    )
    if len(found) != 1 and run not in found:
        latest = ", ".join(known[-3:][::-1])
        say = (
            f"{len(found)} runs begin with {run!r}: {', '.join(found[:5])}."
            if found
            else f"There is no run {run!r} in {SESSION.engine.store.url}."
            if run
            else f"There is no run yet in {SESSION.engine.store.url}."
        )
        raise UnknownRunError(f"{say}" + (f" The latest: {latest}." if latest else ""))
    return SESSION.handle(SESSION.runs, run if run in found else found[0])
