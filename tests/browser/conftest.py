"""A browser, and the live table in a bare page: the real module and the real kernel side, with nothing between them."""

import importlib.util
import json
import os
import shutil
import time

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nbflow</title>
<link rel="stylesheet" href="/table.css">
<style>body{margin:16px;background:%s;color:%s;font-family:sans-serif}</style></head>
<body data-jp-theme-light="%s"><main><h1 style="font-size:16px">A page</h1>
<div class="nbflow-static" data-nbflow="model">the static picture</div><div id="cell"></div></main>
<script type="module">
import table from "/table.js";
const heard = new Set();
const traits = { name: "model", kind: location.pathname.slice(1), looks: %s };
window.model = {
  sent: [],
  get: (trait) => traits[trait],
  on: (_, f) => heard.add(f),
  off: (_, f) => heard.delete(f),
  send(message) { this.sent.push(message); },
};
window.hear = (messages) => { for (const message of messages) for (const f of heard) f(message); };
window.listeners = () => heard.size;
window.mount = () => { window.unmount = table.render({ model: window.model, el: document.getElementById("cell") }); };
window.mount();
</script></body></html>"""


FRAME = """() => {
    const at = document.activeElement;
    const table = at?.closest(".nbf");
    if (!table) return null;
    const style = getComputedStyle(at);
    const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    const grows = width + parseFloat(style.outlineOffset);
    const { left, right, top, bottom } = at.getBoundingClientRect();
    const frame = { left: left - grows, right: right + grows, top: top - grows, bottom: bottom + grows };
    const cuts = (around) => {
        if (getComputedStyle(around).overflow === "visible") return false;
        const box = around.getBoundingClientRect();
        const away = (one, other) => one < other - 0.6;
        return away(frame.left, box.left) || away(box.right, frame.right) ||
            away(frame.top, box.top) || away(box.bottom, frame.bottom);
    };
    let cut = null;
    for (let around = at.parentElement; around && !cut; around = around.parentElement)
        if (cuts(around)) cut = around.className || around.tagName;
    const place = [...table.querySelectorAll("*")].indexOf(at);
    return { name: `${place} ${at.className} ${at.textContent.slice(0, 30)}`, cut, frame: width > 0 };
}"""


def pytest_collection_modifyitems(config, items):
    """Without a browser these tests are skipped on a laptop, and fail where everything has to be tested.

    Those of jupyter-collaboration need an environment of their own.
    """
    if importlib.util.find_spec("jupyter_collaboration") is None:
        others = [
            one for one in items if "together" in getattr(one, "fixturenames", ())
        ]
        config.hook.pytest_deselected(items=others)
        items[:] = [one for one in items if one not in others]
    if chromium() is None and not os.environ.get("CI"):
        for item in items:
            if "tests/browser" in str(item.path):
                item.add_marker(pytest.mark.skip("no Chromium on this machine"))


def chromium():
    return next(
        filter(
            None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        ),
        None,
    )


@pytest.fixture(scope="package")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


class Shown:
    """The table of a run (or of a chronicle: of all runs) in a bare page.

    Messages travel when they are asked to.
    """

    def __init__(self, page, run, *, clock=False, **options):
        from nbflow._run.chronicle import Chronicle
        from nbflow.notebook.history_table import HistoryTable
        from nbflow.notebook.run_table import RunTable

        kind, table = (
            ("history", HistoryTable)
            if isinstance(run, Chronicle)
            else ("run", RunTable)
        )
        self.page, self.said, self.heard, self.errors = page, [], [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.errors.append(message.text) if message.type == "error" else None
            ),
        )
        self.table = (
            table(run, self.said.append, lambda: None, **options)
            if run is not None
            else None
        )
        if clock:
            page.clock.install()
        page.goto(f"http://nbflow.test/{kind}")
        page.wait_for_function("() => window.model?.sent.length > 0")

    def pump(self, until=None):
        """Carry messages until the page shows ``until`` (a locator), or for one turn each way."""
        deadline = time.monotonic() + 15
        while True:
            for message in self.page.evaluate("() => model.sent.splice(0)"):
                self.heard.append(message)
                self.table.take(message)
            self.table.tick(time.monotonic())
            self.hear(*self._news())
            if until is None or until.count():
                return
            assert time.monotonic() < deadline, (
                f"not shown: {until}\n{self.page.locator('.nbf').inner_text()}"
            )

    def _news(self):
        news, self.said[:] = list(self.said), []
        return news

    def hear(self, *messages):
        self.page.evaluate(
            """async (messages) => {
                const frame = () => new Promise((done) => requestAnimationFrame(done));
                hear(messages);
                await frame();
                await frame();
            }""",
            list(messages),
        )

    def hear_now(self, *messages):
        """`hear`, where the page's clock stands still."""
        self.page.evaluate("(messages) => hear(messages)", list(messages))
        self.page.clock.run_for(100)

    def find(self, css, **options):
        return self.page.locator(css, **options)

    def rows(self):
        """The texts of the rows that are seen, from the top."""
        return self.page.evaluate(
            """() => {
                const place = (row) => row.getAttribute("aria-rowindex");
                const cells = (row) => [...row.children].filter((cell) => cell.offsetParent);
                return [...document.querySelectorAll(".nbf-record:not([hidden])")]
                    .sort((a, b) => place(a) - place(b))
                    .map((row) => cells(row).map((cell) => cell.textContent));
            }"""
        )

    def cut_frames(self, most=120):
        """Walk through the controls with Tab; those whose focus frame something around them cuts."""
        cut, walked = [], []
        self.page.evaluate(
            "() => { const top = document.querySelector('h1'); top.tabIndex = -1; top.focus(); }"
        )
        for _ in range(most):
            self.page.keyboard.press("Tab")
            found = self.page.evaluate(FRAME)
            if found is None or found["name"] in walked:
                break
            walked.append(found["name"])
            if found["cut"] or not found["frame"]:
                cut.append(found)
        return walked, cut

    def picture(self, name):
        """Keep a screenshot where NBFLOW_PICTURES says, for a person to look at."""
        folder = os.environ.get("NBFLOW_PICTURES")
        if folder:
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.fixture
def opened(browser):
    """Opens a run's table: ``opened(run, dark=True, width=700)``."""
    contexts = []

    def opened(run, *, dark=False, width=1180, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.route("http://nbflow.test/**", lambda route: _serve(route, dark))
        return Shown(page, run, **options)

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def tick():
    """Makes a tick as the kernel would send it, of a run of any size."""

    def tick(n=1, rows=500, offset=0, every=False, **head):
        states = [
            (0, 1, 2, 4, 5, 6, 7, 8, 9)[at % 9] if every else 6 for at in range(60)
        ]
        page = [
            [
                offset + at,
                f"t-{offset + at:06}",
                0,
                state,
                "45626"[: at % 4] + "--",
                1,
                0.2,
                "",
                "TimeoutError: late" if state in (6, 7) else "",
                "The invoice is wrong",
                "billing" if state in (4, 5) else "",
                "confidence 0.9" if state in (4, 5) else "",
            ]
            for at, state in enumerate(states[: rows - offset])
        ]
        return {
            "t": "tick",
            "n": n,
            "now": 2e9,
            "run": "20261124-091502-41700",
            "event": "thread",
            "state": "PARTIAL",
            "stopping": False,
            "sentence": "How it stands.",
            "began": 2e9 - 60,
            "ended": 2e9,
            "idle": 0,
            "rows": rows,
            "records": rows,
            "rate": 12.5,
            "left": 61.0,
            "counts": {
                "1": 2,
                "2": 3,
                "4": 40,
                "5": 50,
                "6": 60,
                "7": 20,
                "8": 10,
                "9": 5,
            }
            if every
            else {"6": rows},
            "cost": "",
            "tokens": "",
            "saved": "",
            "costs": False,
            "again": 0,
            "failed": 0,
            "readonly": False,
            "kinds": 0,
            "causes": [],
            "answers": [],
            "labels": 0,
            "unread": False,
            "remarks": [],
            "flows": [
                [
                    "triage",
                    {"6": rows},
                    0,
                    [["fetch", {"4": rows}, ""], ["categorize", {"6": rows}, ""]],
                ]
            ],
            "pages": {"": {"n": 0, "total": rows, "offset": offset, "rows": page}},
        } | head

    return tick


def _serve(route, dark):
    from nbflow.notebook.page_looks import PAGE_LOOKS
    from nbflow.notebook.table_widget import TableWidget

    name = route.request.url.rsplit("/", 1)[1]
    if name in ("run", "history"):
        colours = (
            ("#111418", "#e6e8eb", "false") if dark else ("#ffffff", "#1c1f23", "true")
        )
        body = PAGE % (*colours, json.dumps(PAGE_LOOKS))
        route.fulfill(body=body, content_type="text/html")
    elif name == "table.js":
        route.fulfill(body=TableWidget._esm, content_type="text/javascript")
    elif name == "table.css":
        route.fulfill(body=TableWidget._css, content_type="text/css")
    else:
        route.fulfill(status=204)
