"""Page of a run: the one file that a person sends on, who waits for the results and runs no code."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from nbflow._core.html import Html, h, joined
from nbflow._core.looks import RUN_LOOKS
from nbflow._core.plural import several
from nbflow._core.visible import encodable
from nbflow.notebook.contents import Index
from nbflow.notebook.page_parts import (
    GREEN,
    NOTHING,
    ORANGE,
    RED,
    bar,
    document,
    faint,
    folded,
    heading,
    lines,
    link,
    share,
    swatch,
    table,
    themed,
)
from nbflow.notebook.results_csv import chunks_of
from nbflow.notebook.summary import counts_of, line_before, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbflow._run.chronicle import Chronicle
    from nbflow._run.run import Run
    from nbflow.notebook.summary import Need, Outcome, Point, Reason, Standing, Summary

#: Bytes of results that a page carries with it; what is larger has to be asked for. Mail
#: programs refuse, or cut, what is large.
_CARRIED = 250_000
#: What a spreadsheet takes for the sign that a text is UTF-8.
BYTE_ORDER_MARK = "\ufeff"


class Links(NamedTuple):
    """Where the pages of other runs are, by their ids, and those of records, by their numbers."""

    run: Callable[[str], str]
    record: Callable[[int], str]


def page_of(run: Run, chronicle: Chronicle, title: str = "") -> str:
    """Return the page of a run; every answer is read for its categories."""
    index = Index(run.reader, labels_only=True)
    while index.is_behind:
        index.read_more()
    lines = chronicle.lines()
    before = counts_of(chronicle.runs, line_before(lines, run.event, run.id))
    summary = summary_of(run, index, lines, before, title=title)
    return page(summary, results_of(run))


def page(
    summary: Summary,
    results: Html,
    *,
    before: Html = NOTHING,
    around: Html = NOTHING,
    links: Links | None = None,
) -> str:
    """Return a summary as a page.

    Args:
        summary: what it says.
        results: how the reader comes by all results.
        before: what stands above it all.
        around: what stands below the standing of the run.
        links: where the pages of other runs and of records are, if they have any.
    """
    return document(
        f"{summary.title}, {summary.when}",
        before,
        *_top(summary),
        around,
        *_needs(summary, links),
        *_outcomes(summary),
        *_trend(summary, links),
        heading("All results"),
        results,
        *_developers(summary),
    )


def _top(summary: Summary) -> list[Html]:
    facts = " \u00b7 ".join(f"{name}: {said}" for name, said in summary.facts)
    return [
        h("h1", summary.title, style="font-size:26px;line-height:1.2;margin:0 0 2px"),
        faint(summary.when, style="margin:0 0 14px"),
        h("p", summary.about, style="margin:0 0 14px"),
        h(
            "p",
            summary.lead,
            style="font-size:20px;line-height:1.35;font-weight:600;margin:0 0 10px",
        ),
        *_standing(summary.standing),
        faint(facts),
    ]


def _standing(standing: Standing) -> list[Html]:
    pieces = [
        (standing.done, GREEN, "done"),
        (standing.needy, RED, "need somebody"),
        (standing.stopped, ORANGE, "not finished"),
        (standing.open, "none", "still to do"),
    ]
    whole = standing.records or 1
    shown = [(number, colour, word) for number, colour, word in pieces if number]
    said = [
        h(
            "span",
            swatch(colour) if colour != "none" else "",
            f"{several(number, 'record')} {word} ({share(number, standing.records)})",
            style="display:inline-block;margin-right:18px;white-space:nowrap",
        )
        for number, colour, word in shown
    ]
    return [
        bar([(number / whole, colour) for number, colour, _ in shown], height=14),
        h("p", *_spaced(said), style="font-size:13px;margin:6px 0 10px"),
    ]


def _spaced(parts: list[Html]) -> list[str | Html]:
    """Return parts with spaces between them, for readers without styles."""
    return [piece for part in parts for piece in (part, " ")]


# What needs somebody.


def _needs(summary: Summary, links: Links | None) -> list[Html]:
    if not summary.reasons:
        return []
    parts = [
        heading(f"What needs somebody: {several(summary.standing.needy, 'record')}")
    ]
    parts += [_reason(reason, links) for reason in summary.reasons]
    if summary.more_reasons:
        more = several(summary.more_reasons, "further reason")
        parts.append(
            faint(f"And {more}; the results below have every failure's state.")
        )
    return parts


def _reason(reason: Reason, links: Links | None) -> Html:
    rows = [h("li", _need(need, links), style="margin:2px 0") for need in reason.needs]
    hidden = reason.records - len(reason.needs)
    if hidden:
        rows.append(
            h("li", f"and {several(hidden, 'more record')}", style="margin:2px 0")
        )
    return h(
        "section",
        h("h3", reason.text, style="font-size:15px;margin:14px 0 2px"),
        faint(f"{several(reason.records, 'record')}, in {', '.join(reason.flows)}"),
        h("ul", *rows, style="margin:4px 0;padding-left:20px"),
        _causes(reason),
    )


def _need(need: Need, links: Links | None) -> Html:
    said = need.subject or need.key
    shown = joined(said) if links is None else link(said, links.record(need.record))
    if not need.subject:
        return shown
    return joined(
        shown, " ", themed("span", "faint", f"({need.key})", style="font-size:13px")
    )


def _causes(reason: Reason) -> Html:
    rows = [
        h(
            "p",
            h("code", cause.what),
            f", at {cause.step}: {several(cause.failures, 'failure')},"
            f" after {several(cause.attempts, 'attempt')} at most",
            style="margin:2px 0",
        )
        for cause in reason.causes
    ]
    if reason.more_causes:
        rows.append(h("p", f"and {several(reason.more_causes, 'further cause')}"))
    return folded("For developers: what the program said", *rows)


# What came out.


def _outcomes(summary: Summary) -> list[Html]:
    if not any(outcome.done for outcome in summary.outcomes):
        return []
    return [heading("What came out"), *map(_outcome, summary.outcomes)]


def _outcome(outcome: Outcome) -> Html:
    named = [(one.label, one.records, one.before) for one in outcome.categories]
    if named and outcome.others:
        kinds = several(outcome.kinds - len(named), "other answer")
        named.append((kinds, outcome.others, outcome.others_before))
    headers = ["answer", "records", "share"]
    if outcome.before is not None:
        headers.append("run before")
    rows = [_category(outcome, *each) for each in named]
    return h(
        "section",
        h("h3", outcome.flow, style="font-size:15px;margin:14px 0 2px"),
        faint(_counted(outcome)),
        table(headers, rows) if rows else NOTHING,
    )


def _category(
    outcome: Outcome, label: str, number: int, before: int
) -> list[str | Html]:
    cells: list[str | Html] = [
        lines(label, bar([(number / outcome.counted, "")])),
        f"{number:,}",
        share(number, outcome.counted),
    ]
    if outcome.before is not None:
        cells.append(share(before, outcome.before))
    return cells


def _counted(outcome: Outcome) -> str:
    """Return what the bars are of."""
    if not outcome.done:
        return "No record has an answer."
    said = several(outcome.done, "answer")
    if outcome.counted < outcome.done:
        said = f"{outcome.counted:,} of {said} counted so far"
    if outcome.counted and not outcome.categories:
        said += ", all of them different" if outcome.kinds > 1 else ""
    people = outcome.by_people
    by = f"; people gave {several(people, 'label')}" if people else ""
    return f"{said}{by}."


# How it went before.


def _trend(summary: Summary, links: Links | None) -> list[Html]:
    if len(summary.trend) < 2:  # noqa: PLR2004  # one run is no trend
        return []
    rows = [
        (
            lines(_when(point, links), _results_bar(point)),
            f"{point.records:,}",
            share(point.done, point.whole),
            f"{point.failures:,}",
        )
        for point in summary.trend
    ]
    return [
        heading(f"The last {len(rows)} runs"),
        table(("run", "records", "done", "need somebody"), rows),
        faint(
            "A record is done once it came through every flow, and needs somebody as soon"
            " as one flow failed.",
            style="margin:8px 0 0",
        ),
    ]


def _when(point: Point, links: Links | None) -> Html:
    if point.is_this:
        return h("b", f"{point.when} (this run)")
    return (
        joined(point.when) if links is None else link(point.when, links.run(point.run))
    )


def _results_bar(point: Point) -> Html:
    whole = point.whole or 1
    return bar([(point.done / whole, GREEN), (point.failures / whole, RED)])


# All results, and what only developers want to know.


def results_of(run: Run) -> Html:
    """Return all results as a link that holds them; of many, how to come by them."""
    text, size = [BYTE_ORDER_MARK], 0
    for chunk in chunks_of(run.reader):
        size += len(chunk)
        if size > _CARRIED:
            return _too_many(run)
        text.append(chunk)
    data = base64.b64encode(encodable("".join(text)).encode()).decode()
    name = f"results-{run.id}.csv"
    return h(
        "p",
        link(
            f"Download {name}",
            f"data:text/csv;charset=utf-8;base64,{data}",
            download=name,
        ),
        f" ({size / 1000:,.0f} kB, for any spreadsheet)",
        style="margin:0",
    )


def _too_many(run: Run) -> Html:
    return h(
        "p",
        "There are too many results for one file that is to be mailed. The page of",
        " the run in ", h("code", "nbflow dashboard"), " has them as a download; in Python ",
        h("code", f'nbflow.open_run("{run.id}").results()'), " returns them.",
        style="margin:0",
    )  # fmt: skip


def _developers(summary: Summary) -> list[Html]:
    parts = [
        h("p", h("b", RUN_LOOKS[summary.state].sign), f" {summary.sentence}"),
        *(h("p", remark) for remark in summary.remarks),
        h("p", "To look further: ", h("code", f'nbflow.open_run("{summary.run}")')),
    ]
    return [heading("For developers"), folded(f"Run {summary.run}", *parts)]
