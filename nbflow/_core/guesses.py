"""Guesses: names that people type out of habit, and what does what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def _each(names: str, way: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), way)


_RESULTS = "run.results()"

RUN: Mapping[str, str] = (
    _each(
        "df frame dataframe to_df to_frame to_pandas to_polars to_arrow to_dict to_dicts to_list"
        " tolist data output outputs collect compute head tail iloc loc columns shape"
        " dtypes index info describe groupby merge query sort_values iterrows itertuples"
        " items keys apply pipe T predictions",
        f"{_RESULTS}, which is a frame in the library of the batch",
    )
    | _each(
        "values result value to_numpy predict", f'{_RESULTS} or run.results("flow")'
    )
    | _each("value_counts unique nunique", 'run.results("flow").value_counts()')
    | {
        "to_csv": f'{_RESULTS}.to_csv("file.csv"), or write_csv of a polars frame',
        "to_excel": f'{_RESULTS}.to_excel("file.xlsx"), or write_excel of a polars frame',
        "to_json": f'{_RESULTS}.to_json("file.json"), or write_json of a polars frame',
        "to_sql": f'{_RESULTS}.to_sql("table", connection), or write_database of a polars frame',
        "to_parquet": f'{_RESULTS}.to_parquet("file.parquet"), or write_parquet of a polars frame',
        "filter": f"{_RESULTS} and filter that, or run.failures()",
        "rerun_all": "run.rerun()",
        "resend": "nf.send(...) again, or run.rerun()",
    }
    | _each(
        "save write export dump",
        f'{_RESULTS}.to_csv("file.csv"); the run itself is in the store',
    )
    | _each(
        "errors error exceptions exception failed failed_records failure traceback"
        " tracebacks causes raise_on_failure",
        'run.failures(), run.failures(by="cause") or run.raise_for_failures()',
    )
    | _each("raise_for_status check", "run.raise_for_failures()")
    | _each(
        "retry retry_failed retries resume restart start run continue_ rerun_failures",
        "run.rerun_failed()",
    )
    | _each("stop kill abort terminate interrupt close pause", "run.cancel()")
    | _each("join block done add_done_callback wait_until_done", "run.wait()")
    | _each(
        "status progress is_done is_completed is_failed is_running is_final running"
        " completed finished get_state state_type states cached",
        "run.state or run.counts",
    )
    | _each(
        "record get explain why logs log trace tasks task_runs steps calls attempts"
        " show_record details",
        'run.inspect(key), or run["the key"]',
    )
    | _each(
        "cost costs tokens spent price money input_tokens output_tokens budget",
        "run.usage",
    )
    | _each(
        "display plot view render draw visualize dashboard ui",
        "run.show()",
    )
    | _each(
        "duration elapsed took seconds started start_time end_time created total_run_time"
        " history",
        "nf.runs(), which has when each run started and how long it took",
    )
    | _each("html page export_html write_html save_html", 'run.to_html("page.html")')
    | _each("printed prints printouts stdout", "run.inspect(key).flows[name].printed")
    | _each("plan forecast", "nf.plan(event, records)")
    | _each("success succeeded ok", "run.state or run.counts")
    | _each("delete remove drop forget", "nf.store.delete_runs(run.id)")
    | _each("name flow_run run_id", "run.id and run.event")
    | _each("flow lanes", "run.flows")
    | _each("length size count total n rows num_records", "run.records or run.counts")
    | {"diff": "run.compare(other)"}
    | _each(
        "evaluate score accuracy report confusion_matrix classification_report metrics"
        " kappa f1",
        "nf.evaluate(run)",
    )
    | _each("review label correct annotate", "nf.review(run)")
)

_OPTIONS = (
    "retries retry_delay backoff max_delay should_retry timeout concurrency throttle ttl"
    " version ignore depends_on"
)

STEP: Mapping[str, str] = (
    {
        name: f"@nf.step({name}=...), which sets it; step.policy has what is set"
        for name in _OPTIONS.split()
    }
    | _each(
        "with_options options set configure bind partial",
        "@nf.step(...) with other options: running the cell again replaces the step",
    )
    | _each(
        "run apply call invoke execute predict transform __func__",
        "step(...), as the function was written",
    )
    | _each("delay apply_async remote start spawn", "step.submit(...) or step.aio(...)")
    | _each("async_ acall arun ainvoke asyncio", "step.aio(...)")
    | _each(
        "starmap batch abatch map_async imap for_each send fit_transform",
        "step.map(items)",
    )
    | _each("func fn function wrapped", "step.__wrapped__")
    | _each(
        "clear cache_clear clear_cache invalidate delete reset refresh evict uncache",
        "step.forget(...), or step.forget() for all of its results",
    )
    | _each(
        "cache_info is_cached check_call_in_cache cached why diff status changed",
        "step.explain(...)",
    )
    | _each("cost dry_run estimate preview price", "step.plan(items)")
    | _each("history runs results result", "nf.runs(), and nf.open_run(id).results()")
    | _each("mock stub patch", "nbflow.testing.isolated()")
)

_SENT = "nf.send(event, records), which runs every flow that listens to the event"

FLOW: Mapping[str, str] = (
    _each(
        "send run map submit delay start trigger emit dispatch publish apply invoke"
        " execute apply_async",
        _SENT,
    )
    | _each("plan explain dry_run preview estimate cost", "nf.plan(event, records)")
    | _each("event on listens_to subscribe", "flow.events")
    | _each("func fn function wrapped", "flow.__wrapped__")
    | _each("serve deploy schedule to_deployment cron", "nf.export(notebook, to=...)")
    | _each("runs history results result", "nf.runs(), and nf.open_run(id).results()")
    | _each("steps tasks visualize graph", "run.inspect(key), the steps of one record")
    | _each(
        "forget clear cache_clear clear_cache invalidate reset",
        "step.forget() of its steps, or run.rerun()",
    )
    | _each(
        "retries timeout throttle concurrency ttl with_options",
        "@nf.step(...): options belong to the steps of a flow",
    )
)

NBFLOW: Mapping[str, str] = (
    _each(
        "task node op asset cache memoize memo cached durable checkpoint retry function"
        " cell job",
        "@nf.step",
    )
    | _each(
        "pipeline workflow dag graph on listen_to subscribe subscriber",
        "@nf.flow(on=...)",
    )
    | _each("run start trigger dispatch publish execute submit process apply", _SENT)
    | _each("map pmap starmap imap parallel_map", "step.map(items)")
    | _each("history list_runs ls get_runs all_runs log logs status", "nf.runs()")
    | _each(
        "load_run get_run read_run load load_results last last_run latest open resume",
        "nf.open_run(id), or nf.open_run() for the latest run",
    )
    | _each(
        "store set_store init config configure settings setup connect set_options options"
        " location",
        'nf.use("folder")',
    )
    | _each(
        "prices price set_prices pricing", "nf.set_price(model, input=..., output=...)"
    )
    | _each("track track_usage report_usage tokens log_usage cost", "nf.usage(...)")
    | _each("secrets get_secret env getenv password", 'nf.secret("NAME")')
    | _each(
        "dry_run preview explain why", "nf.plan(event, records), or step.explain(...)"
    )
    | _each("list_flows listeners registry events", "nf.flows()")
    | _each("rate_limit limit limiter Limiter RateLimit", 'nf.Throttle("300/min")')
    | _each(
        "llm_classify classify classifier categorize categorizer ask_model",
        "nf.llm.categorizer(...)",
    )
    | _each(
        "extract extractor structured structured_output to_model parse",
        "nf.llm.extractor(Model)",
    )
    | _each("chat prompt complete generate summarize translate", 'nf.llm.prompt("...")')
    | _each("score metrics accuracy assess", "nf.evaluate(run)")
    | _each("annotate correct", "nf.review(run)")
    | _each("diff", "nf.compare(...)")
    | _each("deploy schedule to_airflow to_cron", "nf.export(notebook, to=...)")
    | _each("forget clear clear_cache delete", "step.forget(...)")
    | _each("path Path watch_file", "nf.file(path)")
    | _each("test mock isolated testing_mode", "nbflow.testing.isolated()")
    | _each("mock_llm fake_llm llm_server", "nbflow.testing.llm_server(...)")
)


def refusal(
    what: str, name: str, guesses: Mapping[str, str], owner: object
) -> AttributeError:
    """The error for a name that something does not have.

    Args:
        what: that is, such as "A run".
        name: the name.
        guesses: what to say instead of names that people guess.
        owner: it, which Python looks through for a similar name.
    """
    way = guesses.get(name)
    hint = f" Use {way}." if way else ""
    return AttributeError(
        f"{what} has no {name!r}.{hint}", name=name, obj=None if way else owner
    )
