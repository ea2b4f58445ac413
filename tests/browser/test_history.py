"""The live table of all runs in a bare page: which there are, one opened, two compared."""

import pytest
from axe_playwright_python.sync_playwright import Axe

import nbflow as nf
from nbflow._session import SESSION

THREADS = "support/thread.created"
ORDERS = "<b>orders</b>"


@pytest.fixture
def labels():
    """What the model says today; changed, the flow runs again."""
    return ["billing"]


@pytest.fixture
def runs(nb, labels):
    """Nine runs of two events: complete, with failures, all failed, cached, and one whose code changed."""

    @nf.step(retries=0)
    def categorize(n):
        if n % 10 == 7:
            raise TimeoutError(f"the model did not answer within {n} s")
        return {
            "label": labels[0] if n % 3 else "<img src=x onerror='window.hacked=1'>",
            "score": n,
        }

    @nf.flow(on=THREADS)
    def triage(thread):
        return categorize(thread["n"])

    @nf.flow(on=ORDERS)
    def ship(order):
        if order["n"] > 100:
            raise ValueError("no such order")
        return order["n"]

    def send(event, first, last):
        nb.advance(3_600)
        return nb.send(
            event, [{"id": f"t-{n:04}", "n": n} for n in range(first, last)], key="id"
        )

    found = [
        send(THREADS, 0, 40),
        send(THREADS, 0, 40),
        send(ORDERS, 0, 12),
        send(ORDERS, 200, 203),
        send(ORDERS, 0, 6),
        send(ORDERS, 95, 110),
    ]
    labels[0] = "refund"
    return [*found, send(THREADS, 0, 60), send(ORDERS, 0, 3), send(ORDERS, 0, 20)]


@pytest.fixture
def shown(runs, opened):
    shown = opened(SESSION.chronicle)
    shown.pump(shown.find(".nbf-record"))
    yield shown
    assert not shown.errors


@pytest.mark.parametrize("width", [1180, 1020, 800, 500, 400])
@pytest.mark.parametrize("costs", [False, True], ids=["free", "paid"])
def test_nothing_sticks_out_however_narrow_it_is(nb, opened, width, costs):
    @nf.flow(on=THREADS)
    def ask(thread):
        if costs:
            nf.usage(input_tokens=1_000, output_tokens=50, cost=12.5)
        if thread["n"] == 7:
            raise ValueError("seven")

    for count in (10, 1_000):
        nb.send(THREADS, [{"n": n} for n in range(count)])
    shown = opened(SESSION.chronicle, width=width)
    shown.pump(shown.find(".nbf-record"))
    open_first(shown)
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    shown.picture(f"history-{width}-{costs}")
    out = shown.page.evaluate(
        """() => {
            const css = [".nbf-row", ".nbf-tile", ".nbf-figure", ".nbf-toolbar"];
            const all = css.map((name) => `${name}:not([hidden])`).join(", ");
            return [...document.querySelectorAll(all)]
                .filter((node) => node.scrollWidth > node.clientWidth)
                .map((node) => [node.className, node.scrollWidth, node.clientWidth]);
        }"""
    )
    assert out == []


def listed(shown):
    """The events, states and failures of the rows, from the top."""
    return [[row[2], row[1], row[7]] for row in shown.rows()]


def open_first(shown):
    shown.find(".nbf-runs .nbf-record").first.click()
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    shown.pump()


def compare_first(shown):
    """The latest run of threads with the one before it."""
    shown.find(".nbf-pill", has_text=THREADS).click()
    shown.pump(shown.find(".nbf-footer", has_text="3 of 9 runs"))
    for row in (0, 1):
        shown.find(".nbf-pick:visible").nth(row).click()
    shown.page.get_by_role("button", name="Compare these two").click()
    shown.pump(shown.find(".nbf-changes .nbf-record"))


def test_runs_are_listed_with_what_became_of_them(shown):
    shown.picture("history-light")
    assert listed(shown)[:3] == [
        [ORDERS, "completed", ""],
        [ORDERS, "completed", ""],
        [THREADS, "partial", "6"],
    ]
    assert (
        "9 runs of 2 events: 5 with failures"
        in shown.find(".nbf-sentence").first.inner_text()
    )
    assert (
        shown.find(".nbf-outcome").nth(2).get_attribute("aria-label")
        == "54 completed, 6 failed"
    )
    tiles = [text.split() for text in shown.find(".nbf-tile").all_inner_texts()]
    assert tiles == [
        ["0", "running"],
        ["0", "waiting"],
        ["4", "partial"],
        ["1", "failed"],
        ["0", "cancelled"],
        ["0", "interrupted"],
        ["4", "completed"],
    ]


def test_states_events_and_words_narrow_them_and_a_head_sorts_them(shown):
    shown.find(".nbf-tile", has_text="failed").click()
    shown.pump(shown.find(".nbf-footer", has_text="1 of 9 runs"))
    assert listed(shown) == [[ORDERS, "failed", "3"]]
    shown.page.get_by_role("button", name="Show all").click()
    shown.find(".nbf-pill", has_text=ORDERS).click()
    shown.pump(shown.find(".nbf-footer", has_text="6 of 9 runs"))
    shown.page.get_by_role("button", name="Failed", exact=True).click()
    shown.pump(shown.find("[aria-rowindex='2']", has_text="9"))
    assert [row[2] for row in listed(shown)[:3]] == ["9", "3", ""]
    shown.find(".nbf-search").fill("PARTIAL")
    shown.page.wait_for_timeout(300)
    shown.pump(shown.find(".nbf-footer", has_text="1 of 9 runs"))


def test_a_run_opens_below_as_the_table_that_it_has_everywhere(shown, runs):
    shown.find(".nbf-record", has_text=runs[6].id).click()
    shown.pump(shown.find(".nbf-nest .nbf-tile", has_text="failed"))
    shown.find(".nbf-nest .nbf-tile", has_text="failed").click()
    shown.pump(shown.find(".nbf-nest .nbf-footer", has_text="6 of 60 records"))
    shown.find(".nbf-nest .nbf-record", has_text="t-0017").click()
    shown.pump(
        shown.find(".nbf-trouble", has_text="the model did not answer within 17 s")
    )
    shown.pump()
    shown.picture("history-light-open")
    shown.page.keyboard.press("Escape")
    assert shown.find(".nbf-nest").is_visible()
    shown.find(".nbf-nest .nbf-header").get_by_role("button", name="Close").click()
    assert not shown.find(".nbf-nest .nbf").count()
    shown.pump()
    assert shown.table.opened == {}


def test_what_failed_is_run_again_from_within_and_the_list_follows(shown, runs, nb):
    nb.stub("categorize", lambda n: {"label": "mended", "score": n})
    shown.find(".nbf-record", has_text=runs[6].id).click()
    shown.pump(shown.find(".nbf-nest .nbf-tile", has_text="failed"))
    shown.page.get_by_role("button", name="Rerun 6 failed").click()
    shown.pump(shown.find(".nbf-nest .nbf-runstate", has_text="completed"))
    shown.table._looked = 0
    shown.pump(
        shown.find(".nbf-runs .nbf-record", has_text=runs[6].id).locator(
            ".nbf-s-completed"
        )
    )


def test_two_runs_are_compared_record_by_record(shown, runs):
    compare_first(shown)
    shown.picture("history-compare")
    assert (
        "43 of 60 records came out differently"
        in shown.find(".nbf-panel:visible .nbf-sentence").inner_text()
    )
    rows = shown.page.evaluate(
        """() => [...document.querySelectorAll('.nbf-changes .nbf-record:not([hidden])')]
            .map((row) => [...row.children].map((cell) => cell.textContent))"""
    )
    assert ["t-0001", "triage", "label", "billing", "refund"] in rows
    shown.find(".nbf-pill", has_text="in one run only").click()
    shown.pump(shown.find(".nbf-changes .nbf-record", has_text="t-0040"))
    assert shown.find(".nbf-changes").get_attribute("aria-rowcount") == "21"
    shown.find(".nbf-changes .nbf-record", has_text="t-0040").click()
    assert shown.find(".nbf-panel:visible .nbf-detail pre").all_inner_texts() == [
        "not there",
        "there",
    ]


def test_one_run_is_compared_with_the_one_of_its_event_before_it(shown, runs):
    shown.find(".nbf-record", has_text=runs[6].id).click()
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    shown.page.get_by_role("button", name="Compare with the run before").last.click()
    shown.pump(shown.find(".nbf-changes .nbf-record"))
    assert shown.find(".nbf-panel:visible .nbf-mono").all_inner_texts()[:2] == [
        runs[1].id,
        runs[6].id,
    ]
    assert not shown.find(".nbf-nest .nbf").count()


def test_a_first_run_has_none_before_it_and_that_is_said(shown, runs):
    shown.find(".nbf-record", has_text=runs[0].id).click()
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    shown.page.get_by_role("button", name="Compare with the run before").last.click()
    shown.pump(
        shown.find(".nbf-notice", has_text=f"There is no earlier run of {THREADS}")
    )
    assert not shown.find(".nbf-changes").is_visible()


def test_the_keyboard_walks_picks_opens_and_closes(shown, runs):
    shown.find(".nbf-runs").focus()
    for key in ("ArrowDown", "ArrowDown", "c", "Enter"):
        shown.page.keyboard.press(key)
    shown.pump(shown.find(".nbf-nest .nbf-title", has_text=THREADS))
    assert shown.page.evaluate(
        "() => [...document.querySelectorAll('.nbf-pick')].filter((box) => box.checked).map((box) => box.dataset.run)"
    ) == [runs[6].id]
    shown.find(".nbf-runs").focus()
    shown.page.keyboard.press("Escape")
    assert not shown.find(".nbf-nest .nbf").count()
    assert shown.page.evaluate(
        "() => document.activeElement.classList.contains('nbf-runs')"
    )


@pytest.mark.parametrize("width", [1180, 500])
def test_the_focus_frame_of_every_control_is_whole(runs, opened, width):
    shown = opened(SESSION.chronicle, width=width)
    shown.pump(shown.find(".nbf-record"))
    open_first(shown)
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    walked, cut = shown.cut_frames()
    assert len(walked) > 15
    assert cut == []


def test_what_runs_and_records_say_is_text_and_never_html(shown):
    compare_first(shown)
    shown.find(".nbf-changes .nbf-record", has_text="t-0001").first.click()
    assert shown.page.evaluate(
        "() => window.hacked === undefined && !document.querySelector("
        "'.nbf img, .nbf script, .nbf .nbf-c-event b, .nbf-pill b b')"
    )


def test_a_history_for_reading_refuses_what_would_change_a_run(runs, opened, nb):
    nb.calls.clear()
    shown = opened(SESSION.chronicle, read_only=True, opens=True)
    shown.pump(shown.find(".nbf-nest .nbf-record"))
    assert not shown.page.get_by_role("button", name="Rerun").count()
    shown.table.take({"t": "act", "id": "x", "what": "stop", "of": runs[-1].id})
    assert [message["text"] for message in shown.said if message["t"] == "said"] == [
        "This table is read-only."
    ]
    assert nb.calls == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1180, 620, 400])
def test_axe_finds_nothing_to_complain_about(runs, opened, dark, width):
    shown = opened(SESSION.chronicle, dark=dark, width=width)
    shown.pump(shown.find(".nbf-record"))
    name = f"history-{'dark' if dark else 'light'}-{width}"
    complaints = Axe().run(shown.page).response["violations"]
    open_first(shown)
    shown.picture(name)
    complaints += Axe().run(shown.page).response["violations"]
    compare_first(shown)
    shown.find(".nbf-changes .nbf-record").nth(1).click()
    shown.picture(f"{name}-compare")
    complaints += Axe().run(shown.page).response["violations"]
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in complaints
    ] == []
