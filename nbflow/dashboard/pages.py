"""Pages: what the dashboard puts around the page of a run, and the pages beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from nbflow._call import failure
from nbflow._core import headline
from nbflow._core.entry import DONE
from nbflow._core.html import Html, h, joined
from nbflow._core.plain_reason import reason_of
from nbflow._core.plural import several
from nbflow._core.table import WORDS, short
from nbflow._core.visible import seen
from nbflow._key.redaction import masker, redacted
from nbflow.errors import UsageError
from nbflow.notebook import page_of_run, table_rows
from nbflow.notebook.page_parts import (
    document,
    faint,
    folded,
    heading,
    lines,
    link,
    table,
)
from nbflow.notebook.table_rows import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbflow._core.entry import Failure
    from nbflow._core.lifecycle import State
    from nbflow._run.chronicle import Line
    from nbflow.dashboard.desk import OpenedRun
    from nbflow.notebook.summary import Summary

#: Records that a search lists, and events that have a link.
_FOUND, _EVENTS = 25, 12
_KEY, _LONGEST = 60, 5_000


class Found(NamedTuple):
    """What a search found: how many rows, and the first of them.

    Attributes:
        rows: record number, key, words, flow, what came of it.
        total: the number of rows that fit.
        is_whole: whether every text had been read by then.
    """

    rows: list[tuple[int, str, str, str, str]]
    total: int
    is_whole: bool


def page_file(opened: OpenedRun, runs: Sequence[Line]) -> str:
    """Return the page of a run as the file that is sent on."""
    return page_of_run.page(opened.summary(runs), page_of_run.results_of(opened.run))


def run_page(opened: OpenedRun, runs: Sequence[Line], text: str) -> str:
    """Return the page of a run with what the dashboard adds: other runs, search, downloads.

    Args:
        opened: the run.
        runs: all runs, the latest first.
        text: what is searched for.
    """
    summary = opened.summary(runs)
    return page_of_run.page(
        summary,
        _downloads(summary),
        before=_others(runs),
        around=joined(_again(summary), _search(summary, text), _found(opened, text)),
        links=page_of_run.Links(
            address, lambda record: address(summary.run, "record", record=str(record))
        ),
    )


def address(run: str, page: str = "", **more: str) -> str:
    """Return where a page of a run is, from any other page."""
    return f"./{page}?{urlencode({'run': run, **more})}"


def _others(runs: Sequence[Line]) -> Html:
    """Return the links to the latest runs of all events, and to the live tables."""
    say, latest = _sayer(), dict[str, str]()
    for line in runs:
        latest.setdefault(line.event, line.run)
    links = [
        link(say(short(event, 40)), address(run), style="white-space:nowrap")
        for event, run in list(latest.items())[:_EVENTS]
    ]
    live = link("All runs and records, live", "./live", style="white-space:nowrap")
    return h(
        "nav",
        faint(
            "Latest: ",
            *_between(links, " \u00b7 "),
            " | ",
            live,
            style="margin:0 0 18px",
        ),
        aria_label="Other runs",
    )


def _between(parts: Sequence[Html], sign: str) -> list[str | Html]:
    return [piece for part in parts for piece in (sign, part)][1:]


def _downloads(summary: Summary) -> Html:
    csv = link("Download as CSV", address(summary.run, "results.csv"), download=True)
    file = address(summary.run, "page.html")
    page = link("Download this page as one file", file, download=True)
    return joined(
        h(
            "p",
            csv,
            ", for any spreadsheet, with every record.",
            style="margin:0 0 6px",
        ),
        h("p", page, ", to mail or to keep.", style="margin:0"),
    )


def _again(summary: Summary) -> Html:
    """Return the link to the same page later, if it will say more by then."""
    is_behind = any(outcome.counted < outcome.done for outcome in summary.outcomes)
    if summary.state != "RUNNING" and not is_behind:
        return Html()
    return faint("More is to come: ", link("look again", address(summary.run)), ".")


# Search.


def _search(summary: Summary, text: str) -> Html:
    field = "font:inherit;color:inherit;background:transparent;border-width:1px;border-style:solid"
    return h(
        "form",
        h("label", "Find records: ", for_="nbp-q", style="font-weight:600"),
        h("input", type="hidden", name="run", value=summary.run),
        _field(text, f"{field};border-radius:6px;padding:5px 10px;width:240px;max-width:100%;box-sizing:border-box"),
        " ",
        h("button", "Find", type="submit", style=f"{field};border-radius:6px;padding:5px 14px;border-color:#8c959f"),
        action="./",
        method="get",
        role="search",
        style="margin:18px 0 0",
    )  # fmt: skip


def _field(text: str, style: str) -> Html:
    """Return the field of the words that are searched for."""
    return h(
        "input",
        type="search",
        name="q",
        id="nbp-q",
        value=text,
        maxlength="200",
        style=f"{style};border-color:#8c959f",
    )


def _found(opened: OpenedRun, text: str) -> Html:
    if not text.strip():
        return Html()
    found, run = search(opened, text.strip()), opened.run.id
    said = several(found.total, "result")
    if found.total > len(found.rows):
        said = f"The first {len(found.rows)} of {said}"
    parts = [heading(f"{said} for \u201c{seen(text.strip())}\u201d")]
    if not found.is_whole:
        parts.append(faint("Not every record has been read yet: look again soon."))
    if found.rows:
        has_flows = len(opened.run.flows) > 1
        rows = [
            (
                link(words or key, address(run, "record", record=str(record))),
                lines(came, faint(flow, style="margin:0")) if has_flows else came,
            )
            for record, key, words, flow, came in found.rows
        ]
        parts.append(table(("record", "what came of it"), rows, texts=2))
    return joined(*parts)


def search(opened: OpenedRun, text: str) -> Found:
    """Return the records that say ``text``: in their words, keys, categories or errors."""
    say, index = _sayer(), opened.contents.read_all()
    with opened.run.reader.look() as (state, sheet):
        numbers = table_rows.rows_of(state, sheet, Query(text=text[:200]), 0.0, index)
        places = [divmod(n, len(state.flows)) for n in numbers[:_FOUND].tolist()]
        labels = [int(index.labels(flow, one + 1)[one]) for one, flow in places]
        names = list(index.numbers)
        rows = []
        for (record, flow), label in zip(places, labels, strict=True):
            failed = state.failures.get((record, flow))
            words = index.words[record] if record < len(index.words) else ""
            if failed is not None:
                came = reason_of(failed[0].error, failed[0].message)
            elif label >= 0:
                came = names[label]
            else:
                came = _word(state.item(record, flow))
            texts = short(state.keys[record], _KEY), words, state.flows[flow], came
            key, words, name, came = map(say, texts)
            rows.append((record, key, words, name, came))
        return Found(rows, len(numbers), index.is_complete)


def _word(state: State) -> str:
    return WORDS.get(state, "under way")


# One record.


def record_page(opened: OpenedRun, record: int) -> str:
    """Return the page of one record: what it says and what came of it.

    Raises:
        UsageError: the run has no such record.
    """
    say, run = _sayer(), opened.run
    state = run.reader.state()
    if not 0 <= record < len(state.keys):
        raise UsageError(f"Run {run.id} has no record with the number {record}.")
    found = run.inspect(state.keys[record])
    name = say(short(found.key, 120))
    parts = [
        faint(link("Back to the run", address(run.id)), style="margin:0 0 14px"),
        h("h1", name, style="font-size:24px;margin:0 0 4px"),
        faint(f"A record of {say(short(state.event))}."),
        heading("What it says"),
        _fields(lambda: found.record, say),
    ]
    for flow, (title, view) in enumerate(found.flows.items()):
        failed = state.failures.get((record, flow))
        parts.append(heading(say(short(title))))
        if view.state in DONE:
            parts.append(_fields(lambda view=view: view.output, say))  # type: ignore[misc]  # mypy knows no defaults of lambdas
        elif failed is not None:
            parts += _failed(failed[0], say)
        else:
            parts.append(h("p", f"{_word(view.state).capitalize()}."))
    return document(name, *parts)


def _sayer() -> Callable[[str], str]:
    """Return what makes a text ready to be shown: without secrets, every character visible."""
    mask = masker()
    return lambda text: "\n".join(map(seen, mask(text).split("\n")))


def _failed(failed: Failure, say: Callable[[str], str]) -> list[Html]:
    told = folded(
        "For developers: what the program said",
        h(
            "code",
            say(f"{failed.error}: {failed.message}"),
            style="white-space:pre-wrap",
        ),
    )
    return [h("p", say(reason_of(failed.error, failed.message))), told]


def _fields(load: Callable[[], object], say: Callable[[str], str]) -> Html:
    """Return a value by its fields; if it cannot be had or shown, say why."""
    try:
        rows = headline.rows_of(load())
    except Exception as error:
        return h("p", say(f"(cannot be shown: {failure.describe(error)})"))
    shown = [
        (say(name), h("div", say(_value(name, text)), style="white-space:pre-wrap"))
        for name, text in rows
    ]
    if [name for name, _ in shown] == [""]:
        return shown[0][1]
    return table(("field", "value"), shown, texts=2)


def _value(name: str, text: str) -> str:
    """Return the text of a field, hidden if its name says that it is a secret."""
    return headline.cut(redacted(text, name), _LONGEST)


def message_page(title: str, text: str) -> str:
    """Return a page that says one thing."""
    return document(
        title, h("h1", title, style="font-size:24px;margin:0 0 8px"), h("p", text)
    )


def waiting(line: Line) -> tuple[str, str]:
    """Return the title and text of the page of a run that is being read."""
    records = several(line.records, "record")
    text = f"Its {records} are being read; this page comes back with them by itself."
    return _sayer()(short(line.event)), text


def live_page() -> str:
    """Return the page of the live tables, the one that needs a script."""
    return str(_LIVE_PAGE)


_LIVE_PAGE = Html("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>All runs and records</title>
<link rel="stylesheet" href="./table.css">
<style>
body { margin: 16px; font: 15px/1.5 system-ui, sans-serif; background: #fff; color: #1c1f23 }
h1 { font-size: 20px; margin: 0 0 4px }
a { color: #0550ae }
@media (prefers-color-scheme: dark) {
  body { background: #0d0f12; color: #e6e8eb }
  a { color: #79bbff }
}
</style></head>
<body><main><h1>All runs and records</h1>
<p><a href="./">The page of the latest run</a></p>
<div id="table"><p>The tables are being read. They need JavaScript; the page of a run does without.</p></div>
</main><script type="module" src="./socket.js"></script></body></html>
""")
