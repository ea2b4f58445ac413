"""The page of a review, its real module and the real kernel side, in a bare page; then in a real JupyterLab."""

import os

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe

import nbflow as nf
from nbflow.quality.review_widget import ReviewPage, ReviewWidget
from tests.browser.conftest import FRAME
from tests.browser.lab import Notebook, Server

EVENT = "e"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>nbflow</title>
<link rel="stylesheet" href="/review.css">
<style>body{margin:16px;background:%s;color:%s;font-family:sans-serif}</style></head>
<body data-jp-theme-light="%s"><main><h1 style="font-size:16px">A page</h1><div id="cell">%s</div></main>
<script type="module">
import review from "/review.js";
const heard = new Set();
window.model = {
  sent: [],
  get: () => "model",
  on: (_, f) => heard.add(f),
  off: (_, f) => heard.delete(f),
  send(message) { this.sent.push(message); },
};
window.hear = (message) => { for (const f of heard) f(message); };
window.listeners = () => heard.size;
if (%s) window.unmount = review.render({ model: window.model, el: document.getElementById("cell") });
window.ready = true;
</script></body></html>"""
LABELS = {
    "card_arrival": "asks when a card comes",
    "card_not_working": "a card that is declined or broken",
    "lost_or_stolen_card": "",
    "exchange_rate": "",
    "cash_withdrawal_charge": "a fee at a machine",
    "transfer_timing": "",
    "verify_identity": "",
    "terminate_account": "",
    "top_up_failed": "",
    "pin_blocked": "",
    "other": "",
}
TEXTS = [
    (
        "I ordered a card two weeks ago and it still has not come. "
        "Can you tell me where it is, or do you have to send me another one?"
    ),
    "Why was I charged for taking out cash abroad?\nIt said free on your page.",
    "<img src=x onerror='window.hacked=1'> my pin is blocked",
    "How do I close this?",
]


@pytest.fixture
def run(nb):
    answers = ["card_arrival", "exchange_rate", "pin_blocked", None]

    @nf.flow(on=EVENT)
    def triage(record):
        label = answers[record["n"]]
        if label is None:
            raise nf.NonRetriableError("no answer")
        return {
            "label": label,
            "confidence": 0.3 + record["n"] / 5,
            "reason": "baseline, not an LLM: <b>card</b>, arrive",
        }

    return nb.send(
        EVENT,
        [{"id": f"q-{n}", "n": n, "text": text} for n, text in enumerate(TEXTS)],
        key="id",
    )


class Shown:
    """A page, and the kernel side that answers it at once."""

    def __init__(self, page, review):
        self.page, self.errors, self.said = page, [], []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.errors.append(message.text) if message.type == "error" else None
            ),
        )
        self.kernel = (
            ReviewPage(review, self.said.append, lambda: None)
            if review is not None
            else None
        )
        page.goto("http://nbflow.test/")
        page.wait_for_function("() => window.ready")

    def pump(self):
        """Carry messages until neither side has more to say."""
        while messages := self.page.evaluate("() => model.sent.splice(0)"):
            for message in messages:
                self.kernel.take(message)
            for answer in self.said:
                self.page.evaluate("(message) => hear(message)", answer)
            self.said.clear()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.pump()

    def find(self, css, **options):
        return self.page.locator(css, **options)

    def picture(self, name):
        if folder := os.environ.get("NBFLOW_PICTURES"):
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.fixture
def opened(browser):
    contexts = []

    def opened(review=None, *, dark=False, width=1060, static=""):
        context = browser.new_context(viewport={"width": width, "height": 760})
        contexts.append(context)
        page = context.new_page()
        page.route("http://nbflow.test/**", lambda route: serve(route, dark, static))
        shown = Shown(page, review)
        if review is not None:
            shown.pump()
            shown.find(".nbr").focus()
        return shown

    yield opened
    for context in contexts:
        context.close()


def serve(route, dark, static):
    name = route.request.url.rsplit("/", 1)[1]
    if not name:
        colours = (
            ("#111418", "#e6e8eb", "false") if dark else ("#ffffff", "#1c1f23", "true")
        )
        route.fulfill(
            body=PAGE % (*colours, static, "false" if static else "true"),
            content_type="text/html",
        )
    elif name == "review.js":
        route.fulfill(body=ReviewWidget._esm, content_type="text/javascript")
    elif name == "review.css":
        route.fulfill(body=ReviewWidget._css, content_type="text/css")
    else:
        route.fulfill(status=204)


@pytest.fixture
def review(run):
    return nf.review(run, text="text", choices=LABELS, by="ana")


def complaints(shown):
    return [
        (one["id"], [node["html"][:160] for node in one["nodes"]][:3])
        for one in Axe().run(shown.page).response["violations"]
    ]


def test_it_shows_one_record_with_what_the_model_says_the_least_sure_first(
    opened, review
):
    shown = opened(review)
    assert shown.find(".nbr-where").inner_text().split("\n")[0].startswith("q-3")
    assert "The model gave no answer" in shown.find(".nbr-said").inner_text()
    assert not shown.find(".nbr-accept").is_visible()
    shown.press("ArrowRight")
    assert shown.find(".nbr-fields dd").inner_text() == TEXTS[0]
    assert "card_arrival" in shown.find(".nbr-said").inner_text()
    assert "30% sure" in shown.find(".nbr-said").inner_text()
    assert shown.find(".nbr-choice .nbr-tag", has_text="model").count() == 1
    assert shown.errors == []


def test_labels_are_accepted_and_corrected_by_keyboard_and_each_decision_is_kept_at_once(
    opened, review, run
):
    shown = opened(review)
    shown.press("8")
    assert review.decided["q-3"].label == "terminate_account"
    assert shown.find(".nbr-kept").inner_text() == "Kept: q-3: terminate_account"
    shown.press("Enter", "5")
    assert {key: one.label for key, one in review.decided.items()} == {
        "q-3": "terminate_account",
        "q-0": "card_arrival",
        "q-1": "cash_withdrawal_charge",
    }
    assert "3 of 4 decided, 1 left" in shown.find(".nbr-head").inner_text()
    shown.press("u")
    assert "q-1" not in review.decided
    assert shown.find(".nbr-where b").inner_text() == "q-1", (
        "it is back at what was taken back"
    )
    shown.press("0")
    assert review.decided["q-1"].label == "pin_blocked", "0 is the tenth"
    shown.press("Enter")
    assert review.left == []
    assert shown.find(".nbr-end").is_visible()
    assert {row["triage.by"] for row in run.results()} == {"human"}


def test_a_label_behind_the_tenth_is_found_by_its_name(opened, review):
    shown = opened(review)
    shown.press("/")
    shown.page.keyboard.type("oth")
    assert shown.find(".nbr-choice").all_inner_texts() == ["other"]
    shown.press("Enter")
    assert review.decided["q-3"].label == "other"
    shown.press("/")
    shown.page.keyboard.type("1fee at")
    shown.press("Escape")
    assert len(review.decided) == 1, "digits in the field are text"
    assert shown.find(".nbr-choice").count() == len(LABELS)


def test_a_key_pressed_before_the_next_record_is_there_decides_nothing(opened, review):
    """Nobody has seen it yet."""
    shown = opened(review)
    for key in ("1", "2", "3"):
        shown.page.keyboard.press(key)
    shown.pump()
    assert {key: one.label for key, one in review.decided.items()} == {
        "q-3": "card_arrival"
    }


def test_a_key_that_can_do_nothing_says_so(opened, run):
    review = nf.review(run, text="text", choices=["card_arrival", "other"])
    shown = opened(review)
    kept = shown.find(".nbr-kept")
    shown.press("Enter")
    assert kept.inner_text() == "There is no answer to accept: choose a label."
    shown.press("3")
    assert kept.inner_text() == "There is no label on 3."
    shown.press("ArrowRight")
    assert kept.inner_text() == ""
    shown.press("ArrowRight")
    shown.press("Enter")
    assert "not one of the choices" in shown.find("[role=alert]").inner_text()
    assert review.decided == {}


def test_a_search_without_a_label_that_fits_says_so(opened, review):
    shown = opened(review)
    shown.press("/", "Enter")
    assert shown.find(".nbr-kept").inner_text() == "Type a part of a label."
    shown.page.keyboard.type("zzz")
    shown.press("Enter")
    assert shown.find(".nbr-kept").inner_text() == "No label fits."
    assert review.decided == {}


def test_a_key_that_is_held_decides_one_record(opened, review):
    shown = opened(review)
    for key in ("1", "1", "Enter", "Enter", "Enter"):
        shown.page.keyboard.down(key)
        shown.pump()
    assert {key: one.label for key, one in review.decided.items()} == {
        "q-3": "card_arrival",
        "q-0": "card_arrival",
    }
    shown.page.keyboard.up("Enter")
    shown.press("Enter")
    assert len(review.decided) == 3


def test_it_says_where_to_click_while_keys_go_elsewhere(opened, review):
    """In JupyterLab a digit makes a heading of the cell that is selected."""
    shown = opened(review)
    assert not shown.find(".nbr-click").is_visible()
    shown.page.evaluate("() => document.activeElement.blur()")
    assert shown.find(".nbr-click").inner_text() == "Click here, then:"
    shown.find(".nbr-click").click()
    assert not shown.find(".nbr-click").is_visible()
    shown.press("1")
    assert list(review.decided) == ["q-3"]


def test_a_decision_that_could_not_be_kept_is_said_and_the_record_stays(
    opened, review, monkeypatch
):
    shown = opened(review)
    monkeypatch.setattr(
        review._run.engine.decisions,
        "add",
        lambda _: (_ for _ in ()).throw(nf.StoreError("the disk is full")),
    )
    shown.press("1")
    assert "the disk is full" in shown.find("[role=alert]").inner_text()
    assert shown.find(".nbr-where b").inner_text() == "q-3"
    assert review.decided == {}
    monkeypatch.undo()
    shown.press("1")
    assert list(review.decided) == ["q-3"]
    assert not shown.find("[role=alert]").is_visible()


def test_a_click_decides_and_the_next_enter_is_not_that_button(opened, review):
    shown = opened(review)
    shown.find(".nbr-choice").nth(1).click()
    shown.pump()
    shown.press("Enter")
    assert {key: one.label for key, one in review.decided.items()} == {
        "q-3": "card_not_working",
        "q-0": "card_arrival",
    }


def test_two_pages_of_one_review_show_what_the_other_decided(opened, review):
    one, other = opened(review), opened(review)
    one.press("1")
    other.press("ArrowRight")
    assert "1 of 4 decided" in other.find(".nbr-head").inner_text()


def test_what_a_record_says_is_text_and_never_html(opened, review):
    shown = opened(review)
    shown.press("ArrowRight", "ArrowRight", "ArrowRight")
    assert shown.find(".nbr-fields dd").inner_text() == TEXTS[2]
    assert shown.page.evaluate(
        "() => window.hacked === undefined && !document.querySelector('.nbr img, .nbr-reason b')"
    )


@pytest.mark.parametrize(
    ("colour", "theme"),
    [
        ("color(srgb 1 1 1)", "light"),
        ("oklch(0.2 0 0)", "dark"),
        ("rgb(20, 20, 24)", "dark"),
    ],
)
def test_the_theme_is_seen_by_the_background_where_the_host_does_not_say(
    opened, review, colour, theme
):
    shown = opened(review)
    shown.page.evaluate(
        """(colour) => {
            delete document.body.dataset.jpThemeLight;
            document.body.style.background = colour;
        }""",
        colour,
    )
    shown.find(f".nbf-{theme}").wait_for()


def test_the_static_picture_is_hidden_whenever_it_comes_and_back_at_the_end(
    opened, review
):
    shown = opened(review)
    shown.page.evaluate(
        """() => {
            const picture = document.createElement("div");
            picture.className = "nbflow-static";
            picture.dataset.nbflow = "model";
            picture.textContent = "the static picture";
            document.querySelector("main").append(picture);
        }"""
    )
    assert not shown.find(".nbflow-static").is_visible()
    shown.page.evaluate("() => unmount()")
    assert shown.find(".nbflow-static").is_visible()


@pytest.mark.parametrize("width", [1060, 420])
def test_the_focus_frame_of_every_control_is_whole(opened, review, width):
    shown = opened(review, width=width)
    frames = []
    for _ in range(12):
        shown.page.keyboard.press("Tab")
        frames.append(shown.page.evaluate(FRAME))
    found = [frame for frame in frames if frame is not None]
    assert len(found) > 6
    assert [frame for frame in found if frame["cut"]] == []


def test_a_page_that_is_taken_away_leaves_nothing_behind(opened, review):
    shown = opened(review)
    shown.page.evaluate("() => unmount()")
    assert shown.page.evaluate("() => listeners()") == 0
    assert not shown.find(".nbr").count()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1060, 420])
def test_axe_finds_nothing_to_complain_about(opened, review, dark, width):
    shown = opened(review, dark=dark, width=width)
    shown.press("1")
    found = complaints(shown)
    shown.press("ArrowRight")
    shown.picture(f"review-{'dark' if dark else 'light'}-{width}")
    shown.press("ArrowLeft", "ArrowLeft")
    found += complaints(shown)
    assert shown.find(".nbf-dark" if dark else ".nbf-light").count() == 1
    assert found == []
    assert shown.page.evaluate(
        "() => document.documentElement.scrollWidth <= innerWidth"
    ), "nothing sticks out"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pictures_of_figures_please_axe_too(opened, review, run, nb, dark):
    true = [
        "card_arrival",
        "cash_withdrawal_charge",
        "pin_blocked",
        "terminate_account",
    ]
    both = (
        nf.evaluate(run, true),
        nf.compare(run, run, truth=true),
        nf.compare(run, run),
    )
    static = "".join(
        f'<section aria-label="{place}">{one._repr_html_()}</section>'
        for place, one in enumerate([*both, review])
    )
    shown = opened(static=static.replace("<details", "<details open"), dark=dark)
    shown.picture(f"figures-{'dark' if dark else 'light'}")
    found = [one for one in complaints(shown) if one[0] != "region"]
    assert found == []


SETUP = """
import nbflow as nf

@nf.flow(on="q")
def triage(record):
    return {"label": "card" if record["n"] % 2 else "cash", "confidence": record["n"] / 10}

def question(n):
    return {"id": f"q-{n}", "n": n, "text": f"Question number {n}: where is my card?"}

run = nf.send("q", [question(n) for n in range(6)], key="id")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.close()


OVERLAPS = """() => {
    const found = [];
    for (const row of document.querySelectorAll(".jp-OutputArea-output tr")) {
        let right = -Infinity;
        for (const cell of row.children) {
            const text = document.createRange();
            text.selectNodeContents(cell);
            const box = text.getBoundingClientRect();
            if (box.width && box.left < right - 1) found.push(row.innerText);
            if (box.width) right = box.right;
        }
    }
    return found;
}"""


def test_in_jupyterlab_no_figure_is_written_over_another(browser, server):
    path = server.write(
        "figures.ipynb",
        SETUP,
        'nf.compare(run, run, truth=["card", "cash"] * 3, names=("names only", "with examples"))',
    )
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    notebook = Notebook(context.new_page(), server, path)
    notebook.run_all()
    page = notebook.page
    page.get_by_text("macro F1").first.wait_for(state="attached")
    notebook.picture("lab-figures")
    assert page.evaluate(OVERLAPS) == []
    assert page.get_by_text("with examples").count()
    context.close()


def stands_once(page):
    """The page alone is seen: its picture is there, hidden, and takes no room."""
    assert page.locator(".nbr:visible").count() == 1
    picture = page.locator(".nbflow-static", has_text="Review of")
    assert picture.count() == 1
    assert not picture.is_visible()
    around = picture.locator(
        "xpath=ancestor::*[contains(@class, 'jp-OutputArea-child')]"
    )
    assert not around.is_visible()


def test_in_jupyterlab_keys_decide_and_outlive_the_kernel(browser, server):
    path = server.write(
        "review.ipynb",
        SETUP,
        'review = nf.review(run, text="text", choices=["card", "cash", "other"])\nreview',
    )
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    notebook = Notebook(context.new_page(), server, path)
    notebook.run_all()
    page = notebook.page
    page.locator(".nbr-where b", has_text="q-0").wait_for()
    stands_once(page)
    page.locator(".nbr").focus()
    for key, following in (("3", "q-1"), ("Enter", "q-2"), ("d", "q-2"), ("d", "q-2")):
        page.keyboard.press(key)
        page.locator(".nbr-where b", has_text=following).wait_for()
    if folder := os.environ.get("NBFLOW_PICTURES"):
        page.screenshot(path=f"{folder}/lab-review.png")
    assert page.locator(".nbr").count() == 1, "`d d` did not delete the cell"
    stands_once(page)
    notebook.command("docmanager:save")
    page.reload()
    notebook.ready()
    page.locator(".nbr-where b").wait_for()
    stands_once(page)
    assert "'q-0', 'q-1'" in notebook.run("print(list(review.decided))")
    page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.restartKernel(); }"
    )
    notebook.ready()
    assert "['other', 'card', 'cash']" in notebook.run(
        f"{SETUP}\nprint([row['triage.label'] for row in run.results()][:3])"
    )
    notebook.command("docmanager:save")
    saved = nbformat.read(path, as_version=4)
    texts = [
        output.data["text/plain"]
        for output in saved.cells[1].outputs
        if "data" in output and "text/html" in output.data
    ]
    assert any("2 of 6 records decided" in text for text in texts), texts
    page.evaluate(
        "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }"
    )
    context.close()
