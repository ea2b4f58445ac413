"""The live table in a bare page: what it shows and does, without Jupyter."""

import csv
import io
import logging
import re
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe

import nbflow as nf
from nbflow._session import SESSION

EVENT = "support/thread.created"


@pytest.fixture
def model():
    """What is wrong with the language model today: take it away to mend it."""
    return {"down": True}


@pytest.fixture
def run(nb, model):
    """200 threads through two flows: some are cached, some fail in two ways, some were tried again."""
    tried = set()

    @nf.step(retries=2)
    def fetch(thread):
        if thread["n"] % 17 == 0 and thread["n"] not in tried:
            tried.add(thread["n"])
            raise ConnectionError(f"connection to host {thread['n']} was reset")
        return [f"reply to {thread['id']}"]

    def ask(n):
        if model and n % 20 == 7:
            raise TimeoutError(f"the model did not answer within {n} s")
        if model and n % 50 == 11:
            raise nf.NonRetriableError("<script>window.hacked = 1</script> has no body")

    @nf.step(retries=1, ignore="ask", version="1")
    def categorize(replies, n, ask):
        ask(n)
        return {"label": "billing"}

    @nf.step
    def save(n, label):
        return None

    @nf.flow(on=EVENT)
    def triage(thread):
        label = categorize(fetch(thread), thread["n"], ask)["label"]
        save(thread["n"], label)
        return {"label": label}

    @nf.flow(on=EVENT)
    def billing_check(thread):
        return len(fetch(thread))

    threads = [
        {
            "id": f"t-{n:04}" if n != 11 else "=<img src=x onerror='window.hacked=1'>",
            "n": n,
        }
        for n in range(200)
    ]
    nb.send(EVENT, threads[:60], key="id")
    nb.advance(5)
    return nb.send(EVENT, threads, key="id")


@pytest.fixture
def shown(run, opened):
    shown = opened(run)
    shown.pump(shown.find(".nbf-record"))
    yield shown
    assert not shown.errors


def tile(shown, word):
    return shown.find(".nbf-tile", has_text=word)


def test_tiles_lanes_and_a_sentence_say_how_the_run_stands(shown, run):
    shown.picture("light")
    numbers = dict(
        re.fullmatch(r"([\d,]+)\s*(.+)", text.strip()).groups()[::-1]
        for text in shown.find(".nbf-tile:not([hidden])").all_inner_texts()
    )
    assert numbers == {
        "queued": "0",
        "running": "0",
        "completed": "130",
        "from an earlier run": "56",
        "failed": "14",
    }
    assert (
        '14 need you (10 TimeoutError at categorize; 4 "<script>window.hacked = 1</script> has no body" at categorize)'
        in shown.find(".nbf-sentence").inner_text()
    )
    lane = shown.find(".nbf-lane").first
    assert [
        text.split() for text in lane.locator(".nbf-steplabel").all_inner_texts()
    ] == [["fetch", "200"], ["categorize", "186", "14", "stopped"], ["save", "186"]]
    assert (
        shown.find(".nbf-bar").get_attribute("aria-label")
        == "130 completed, 56 from an earlier run, 14 failed"
    )


def test_what_calls_of_models_cost_is_told_and_what_nobody_knows_is_unknown(nb, opened):
    """In the strip, at each step, for each record, and in an opened one; remembered calls say what they saved."""

    @nf.step(retries=1)
    def ask(n):
        nf.usage(
            "acme:known" if n % 4 else "acme:unheard-of",
            input_tokens=1_000 * (n + 1),
            output_tokens=50,
            cost=0.02 * n or None,
        )
        if n == 3:
            raise TimeoutError("late")
        return n

    @nf.flow(on=EVENT)
    def triage(thread):
        return ask(thread["n"])

    nb.send(EVENT, [{"id": f"t-{n}", "n": n} for n in range(1, 3)], key="id")
    nb.advance(5)
    shown = opened(
        nb.send(EVENT, [{"id": f"t-{n}", "n": n} for n in range(6)], key="id")
    )
    shown.pump(shown.find(".nbf-record"))
    shown.picture("costs")
    assert [
        text.split("\n") for text in shown.find(".nbf-figure:visible").all_inner_texts()
    ][1:] == [["$0.30+", "spent"], ["20.2k", "tokens"], ["$0.06", "saved"]]
    assert "$0.30+" in shown.find(".nbf-steplabel").inner_text()
    costs = {row[1]: row[-1] for row in shown.rows()}
    assert costs == {
        "t-0": "unknown",
        "t-1": "",
        "t-2": "",
        "t-3": "$0.12",
        "t-4": "$0.08",
        "t-5": "$0.10",
    }
    shown.page.get_by_role("button", name="Cost", exact=True).click()
    shown.pump(shown.find("[aria-rowindex='2'] .nbf-c-cost", has_text="unknown"))
    shown.find(".nbf-record", has_text="t-3").click()
    shown.pump(shown.find(".nbf-wstep > summary", has_text="$0.12"))
    assert "$0.12 for 8.1k tokens" in shown.find(".nbf-wstep").inner_text()
    shown.picture("costs-open")


def test_a_row_says_what_the_record_was_and_what_came_of_it(nb, opened):
    @nf.flow(on=EVENT)
    def triage(thread):
        label = "billing" if "invoice" in thread["subject"] else "<b>bug</b>"
        return {"label": label, "confidence": 0.9}

    subjects = ["My invoice", "It <i>crashes</i>", "Another invoice"]
    rows = [{"id": f"t-{n}", "subject": text} for n, text in enumerate(subjects)]
    shown = opened(nb.send(EVENT, rows, key="id"))
    shown.pump(shown.find(".nbf-pill", has_text="2 billing"))
    assert not shown.find(".nbf-record").first.is_visible(), "nothing to do: folded"
    shown.page.get_by_role("button", name="Show 3 records").click()
    shown.pump(shown.find(".nbf-record:visible"))
    assert [row[2:4] for row in shown.rows()] == [
        ["My invoice", "billing confidence 0.9"],
        ["It <i>crashes</i>", "<b>bug</b> confidence 0.9"],
        ["Another invoice", "billing confidence 0.9"],
    ]
    shown.picture("answers")
    shown.find(".nbf-pill", has_text="<b>bug</b>").click()
    shown.pump(shown.find(".nbf-footer", has_text="1 of 3 records"))
    shown.find(".nbf-pill", has_text="<b>bug</b>").click()
    shown.find(".nbf-search").fill("ANOTHER")
    shown.page.wait_for_timeout(300)
    shown.pump(shown.find(".nbf-footer", has_text="1 of 3 records"))
    shown.find(".nbf-record").first.click()
    answer = shown.page.get_by_label("Answer", exact=True)
    shown.pump(answer)
    assert answer.locator("dd").all_inner_texts() == ["billing", "0.9"]
    assert shown.page.get_by_label("Record", exact=True).locator(
        "dd"
    ).all_inner_texts() == [
        "t-2",
        "Another invoice",
    ]
    shown.picture("answers-open")


def test_one_error_of_several_attempts_is_said_once(nb, opened):
    @nf.step(retries=4, retry_delay=0.01)
    def ask(n):
        raise TimeoutError(f"the model is late, {n}")

    @nf.flow(on=EVENT)
    def triage(thread):
        return ask(thread["n"])

    shown = opened(nb.send(EVENT, [{"n": 1}]))
    shown.pump(shown.find(".nbf-record"))
    shown.find(".nbf-record").first.click()
    shown.pump(shown.find(".nbf-waterfall"))
    panel = shown.find(".nbf-detail").inner_text()
    assert panel.count("the model is late, 1") == 1
    assert panel.count("the same error") == 5


def test_a_lane_says_why_its_flow_ran_again(nb, opened):
    prompt = ["Pick one"]

    @nf.flow(on=EVENT)
    def triage(thread):
        return prompt

    nb.send(EVENT, [{"n": 1}])
    prompt[0] = "Choose <b>one</b>"
    shown = opened(nb.send(EVENT, [{"n": 1}]))
    shown.pump(
        shown.find(
            ".nbf-why",
            has_text="Ran because `prompt` changed (['Pick one'] -> ['Choose <b>one</b>'])",
        )
    )
    again = opened(nb.send(EVENT, [{"n": 1}]))
    again.pump(again.find(".nbf-record"))
    assert not again.find(".nbf-why").is_visible()


def test_nothing_is_told_by_colour_alone(shown):
    """Every state has a word, and a shape of its own."""
    shapes = shown.page.evaluate(
        """() => [...document.querySelectorAll('.nbf-tile')].map((tile) => [
            tile.querySelector('.nbf-word').textContent,
            tile.querySelector('path').getAttribute('d'),
        ])"""
    )
    assert (
        len({shape for _, shape in shapes})
        == len({word for word, _ in shapes})
        == len(shapes)
        == 11
    )
    assert {row[0] for row in shown.rows()[:14]} == {"failed"}


def test_what_a_record_says_is_text_and_never_html(shown):
    shown.find(".nbf-record", has_text="<img src=x").click()
    shown.pump(
        shown.find(".nbf-trouble", has_text="<script>window.hacked = 1</script>")
    )
    assert shown.page.evaluate(
        "() => window.hacked === undefined && !document.querySelector('.nbf img, .nbf script')"
    )


def test_tiles_flows_steps_causes_and_words_narrow_the_rows(shown):
    def count():
        shown.pump(shown.find(".nbf-footer", has_text="of 400 rows"))
        shown.pump()
        return int(shown.find(".nbf-footer").inner_text().split()[0])

    earlier = "from an earlier run"
    tile(shown, earlier).click()
    assert count() == 2 * int(tile(shown, earlier).locator("b").inner_text())
    tile(shown, "failed").click()
    assert count() == 2 * 56 + 14
    tile(shown, earlier).click()
    shown.find(".nbf-lane-name", has_text="billing_check").click()
    assert count() == 0
    shown.find(".nbf-lane-name", has_text="billing_check").click()
    shown.find(".nbf-pill", has_text="NonRetriableError").click()
    assert count() == 4
    shown.find(".nbf-search").fill("T-01")
    shown.page.wait_for_timeout(300)
    assert count() == 2
    shown.page.get_by_role("button", name="Show all").click()
    shown.pump(shown.find(".nbf-footer", has_text="200 records in 2 flows"))
    shown.find(".nbf-stopped:visible").click()
    assert count() == 14


def test_a_click_on_a_head_sorts_and_another_one_turns_it_round(shown):
    shown.page.get_by_role("button", name="Record", exact=True).click()
    shown.pump(shown.find("[aria-rowindex='2']", has_text="=<img"))
    assert [row[1] for row in shown.rows()[:3]] == [
        "=<img src=x onerror='window.hacked=1'>"
    ] * 2 + ["t-0000"]
    shown.page.get_by_role("button", name="Record", exact=True).click()
    shown.pump()
    shown.pump(shown.find("[aria-rowindex='2']", has_text="t-0199"))
    assert (
        shown.page.get_by_role("columnheader", name="Record", exact=True).get_attribute(
            "aria-sort"
        )
        == "descending"
    )
    shown.page.get_by_role("button", name="Try", exact=True).click()
    shown.pump(shown.find("[aria-rowindex='2'] .nbf-c-try", has_text="2"))


def test_one_record_shows_its_attempts_waits_inputs_and_the_user_s_own_frames(shown):
    shown.find(".nbf-record", has_text="t-0027").click()
    shown.pump(shown.find(".nbf-waterfall"))
    shown.picture("light-open")
    steps = shown.find(".nbf-wstep > summary").evaluate_all(
        "(all) => all.map((one) => one.getAttribute('aria-label'))"
    )
    assert steps[0] == "fetch: from an earlier run"
    assert steps[1].startswith("categorize: failed, 2 attempts")
    assert shown.find(".nbf-try").count() == 3
    assert shown.find(".nbf-pause").count() == 1
    traceback = shown.page.get_by_label("Traceback, your own frames").inner_text()
    assert "in categorize" in traceback
    assert "site-packages" not in traceback
    assert "reply to t-0027" in shown.find(".nbf-io:visible").first.inner_text()
    record = shown.page.get_by_label("Record", exact=True)
    names = record.locator("dt").all_inner_texts()
    assert record.locator("dd").nth(names.index("n")).inner_text() == "27"


def test_a_flow_that_was_remembered_as_a_whole_says_that_nothing_ran(shown):
    tile(shown, "from an earlier run").click()
    shown.pump()
    shown.find(".nbf-record", has_text="t-0001").first.click()
    shown.pump(shown.find(".nbf-waterfall"))
    assert {
        label.split(": ")[1]
        for label in shown.find(".nbf-wstep > summary").evaluate_all(
            "(all) => all.map((one) => one.getAttribute('aria-label'))"
        )
    } == {"from an earlier run"}


def test_the_key_of_a_record_is_copied(shown):
    shown.find(".nbf-record", has_text="t-0027").click()
    shown.pump(shown.find(".nbf-detailhead"))
    shown.page.get_by_role("button", name="Copy key").click()
    shown.find(".nbf-notice", has_text="copied").wait_for()
    # Not a page of https: the other way is taken, and what was copied can be pasted.
    shown.find(".nbf-search").focus()
    shown.page.keyboard.press("Control+V")
    assert shown.find(".nbf-search").input_value() == "t-0027"
    shown.page.evaluate("() => { document.execCommand = () => false; }")
    shown.page.get_by_role("button", name="Copy key").click()
    shown.find(
        ".nbf-wrong", has_text="The browser does not let this page copy."
    ).wait_for()


def test_the_keyboard_walks_opens_and_closes(shown):
    shown.find(".nbf-grid").focus()
    for _ in range(20):
        shown.page.keyboard.press("ArrowDown")
    shown.pump()
    active = shown.find(".nbf-active")
    assert active.get_attribute("aria-rowindex") == "22"
    assert shown.find(".nbf-grid").get_attribute(
        "aria-activedescendant"
    ) == active.get_attribute("id")
    key = active.locator(".nbf-c-record").inner_text()
    shown.page.keyboard.press("Enter")
    shown.pump(shown.find(".nbf-detailtitle", has_text=key))
    shown.page.keyboard.press("Escape")
    assert not shown.find(".nbf-detail").is_visible()
    assert (
        shown.page.evaluate("() => document.activeElement.getAttribute('role')")
        == "grid"
    )
    shown.page.keyboard.press("Home")
    shown.pump()
    assert shown.find(".nbf-active").get_attribute("aria-rowindex") == "2"


def test_keys_pressed_in_the_table_do_not_reach_the_page(shown):
    shown.page.evaluate(
        "() => { window.pressed = []; document.addEventListener('keydown', (event) => pressed.push(event.key)); }"
    )
    shown.find(".nbf-grid").focus()
    for key in ("d", "d", "x", "ArrowDown"):
        shown.page.keyboard.press(key)
    assert shown.page.evaluate("() => pressed") == []


def test_rerun_failed_runs_what_failed_and_nothing_else(shown, run, model, nb):
    model.clear()
    nb.calls.clear()
    shown.page.get_by_role("button", name="Rerun 14 failed").click()
    shown.pump(shown.find(".nbf-runstate", has_text="completed"))
    assert run.state == "COMPLETED"
    assert nb.calls.count("categorize") == 14
    assert nb.calls.count("fetch") == 0
    assert "0" in tile(shown, "failed").inner_text()


def test_rerun_what_the_filter_shows_leaves_the_rest_alone(shown, run, model, nb):
    model.clear()
    nb.calls.clear()
    shown.find(".nbf-pill", has_text="NonRetriableError").click()
    shown.pump(shown.page.get_by_role("button", name="Rerun these 4"))
    shown.page.get_by_role("button", name="Rerun these 4").click()
    shown.pump(shown.page.get_by_role("button", name="Rerun 10 failed"))
    assert nb.calls.count("categorize") == 4
    assert run.state == "PARTIAL"


def test_what_is_done_runs_again_only_after_a_second_yes(shown, run, nb):
    nb.calls.clear()
    shown.find(".nbf-search").fill("t-0001")
    shown.page.wait_for_timeout(300)
    shown.pump(shown.page.get_by_role("button", name="Rerun these 2"))
    shown.page.get_by_role("button", name="Rerun these 2").click()
    shown.pump(
        shown.find(
            ".nbf-notice",
            has_text="The record is done. Run every step again, and pay for it again?",
        )
    )
    assert nb.calls == []
    shown.page.get_by_role("button", name="Run again").click()
    shown.pump(shown.find(".nbf-notice", has_text="Running 1 record again."))
    run.wait()
    assert sorted(nb.calls) == ["categorize", "fetch", "fetch", "save"]


def test_what_cannot_be_done_is_said(shown, nb):
    """A flow that this kernel does not know cannot run again."""
    SESSION.listeners = type(SESSION.listeners)()
    shown.page.get_by_role("button", name="Rerun 14 failed").click()
    shown.pump(
        shown.find(
            ".nbf-notice",
            has_text="is not defined in this kernel: run the cell that defines it",
        )
    )


def test_failures_as_csv_are_safe_for_spreadsheets(shown):
    with shown.page.expect_download() as download:
        shown.page.get_by_role("button", name="Failures as CSV").click()
        for _ in range(50):
            shown.pump()
            shown.page.wait_for_timeout(20)
            if shown.find(".nbf-notice", has_text="downloads").count():
                break
    assert download.value.suggested_filename.startswith("failures-")
    rows = list(
        csv.DictReader(
            io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))
        )
    )
    assert len(rows) == 14
    assert rows[1]["record"] == "'=<img src=x onerror='window.hacked=1'>"
    assert rows[0] | {"attempts": ""} == {
        "record": "t-0007",
        "flow": "triage",
        "step": "categorize",
        "state": "failed",
        "error": "TimeoutError",
        "message": "the model did not answer within 7 s",
        "attempts": "",
    }


def test_stop_reaches_the_kernel_and_a_kernel_that_does_not_hear_is_said(opened, tick):
    shown = opened(None)
    shown.hear(tick(state="RUNNING"))
    shown.page.get_by_role("button", name="Stop", exact=True).click()
    sent = shown.page.evaluate(
        "() => model.sent.filter((message) => message.t === 'act')"
    )
    assert [message["what"] for message in sent] == ["stop"]
    shown.find(".nbf-notice", has_text="Press the kernel's own Stop").wait_for()


def test_a_silent_kernel_is_dead_its_buttons_are_off_and_the_picture_stays(
    opened, tick
):
    shown = opened(None, clock=True)
    shown.hear_now(tick(state="PARTIAL", again=3, failed=3))
    assert shown.page.get_by_role("button", name="Rerun 3 failed").is_enabled()
    shown.page.clock.run_for(12_000)
    assert "The kernel does not answer" in shown.find(".nbf-warning").inner_text()
    assert shown.page.get_by_role("button", name="Rerun 3 failed").is_disabled()
    assert len(shown.rows()) > 10
    shown.hear_now({"t": "beat"})
    shown.page.clock.run_for(1_100)
    assert shown.page.get_by_role("button", name="Rerun 3 failed").is_enabled()


def test_without_a_kernel_nothing_can_be_asked_and_what_the_page_can_do_goes_on(
    opened, tick
):
    """Filters, sorting and opening a record would wait for ever; an opened key can still be copied."""
    shown = opened(None, clock=True)
    shown.hear_now(
        tick(
            again=3,
            failed=3,
            causes=[[0, "TimeoutError", "late", 3, 0, ["triage"], ["categorize"]]],
            kinds=1,
        )
    )
    shown.find(".nbf-record").nth(2).click()
    shown.hear_now(
        {
            "t": "detail",
            "id": shown.page.evaluate("() => model.sent.at(-1).id"),
            "to": 1,
            "row": 2,
            "key": "t-000002",
            "flow": "triage",
            "state": 6,
            "seconds": 1,
            "why": "",
            "trouble": None,
            "printed": [],
            "steps": [],
            "record": [("", "{}")],
            "output": None,
        }
    )
    enabled = """() => [...document.querySelectorAll('.nbf button:enabled, .nbf input:enabled')]
        .filter((node) => node.offsetParent)
        .map((node) => node.ariaLabel ?? node.textContent)"""
    before = shown.page.evaluate(enabled)
    assert {
        "Rerun this record",
        "Copy key",
        "Close",
        "triage",
        "3 TimeoutError at categorize",
    } <= set(before)
    shown.page.clock.run_for(12_000)
    assert shown.page.evaluate(enabled) == ["Copy key", "Close"]
    asked = shown.page.evaluate("() => model.sent.length")
    shown.find(".nbf-record").nth(5).click()
    assert shown.find(".nbf-detailtitle").inner_text().startswith("t-000002")
    assert (
        shown.page.evaluate(
            "(asked) => model.sent.slice(asked).filter((message) => message.t === 'open')",
            asked,
        )
        == []
    )
    shown.hear_now({"t": "beat"})
    shown.page.clock.run_for(1_100)
    assert shown.page.evaluate(enabled) == before


def test_causes_are_told_apart_by_what_differs(opened, tick):
    """One cause at several steps, one error with two messages; what speaks for itself stays short."""
    shown = opened(None)
    causes = [
        [0, "ConnectionError", "down", 17, 0, ["triage", "audit"], ["fetch", "save"]],
        [2, "ValueError", "no label", 7, 0, ["triage"], ["label"]],
        [3, "ValueError", "no 'text'", 6, 5, ["triage"], ["label"]],
        [4, "KeyError", "'id'", 5, 4, ["triage"], ["save"]],
        [5, "NonRetriableError", "no text", 4, 0, ["triage"], ["save"]],
    ]
    shown.hear(tick(causes=causes, kinds=5))
    assert shown.find(".nbf-pill").all_inner_texts() == [
        "17 ConnectionError at 2 steps",
        "7 ValueError at label: no label",
        "5 causes",
    ]
    shown.page.get_by_role("button", name="5 causes").click()
    shown.find(".nbf-pill", has_text="5 KeyError at save").wait_for()
    assert shown.find(".nbf-pill").all_inner_texts()[2:] == [
        "6 ValueError at label: no 'text' and 5 like it",
        "5 KeyError at save",
        "4 NonRetriableError at save: no text",
    ]


def test_a_run_with_nothing_to_do_is_folded_until_somebody_wants_its_rows(nb, opened):
    @nf.step
    def size(text):
        return len(text)

    shown = opened(size.map(["one", "three", "five", "seven", "eleven"]))
    shown.pump(shown.page.get_by_role("button", name="Show 5 records"))
    shown.picture("folded")
    assert shown.find(".nbf").bounding_box()["height"] <= 160
    shown.page.get_by_role("button", name="Show 5 records").click()
    shown.pump(shown.find(".nbf-record:visible", has_text="three"))
    assert [row[2:4] for row in shown.rows()][1] == ["three", "5"]
    shown.page.get_by_role("button", name="Hide records").click()
    shown.hear()
    assert not shown.find(".nbf-record").first.is_visible()


def test_a_run_does_not_fold_under_the_hand_of_its_reader(opened, tick):
    shown = opened(None)
    shown.hear(tick(state="RUNNING"))
    shown.find(".nbf-record").nth(2).click()
    shown.hear(tick(n=2, state="COMPLETED"))
    assert shown.find(".nbf-record").nth(2).is_visible()


@pytest.mark.parametrize("width", [1440, 1100, 560])
def test_the_focus_frame_of_every_control_is_whole(run, opened, width):
    shown = opened(run, width=width)
    shown.pump(shown.find(".nbf-record"))
    shown.find(".nbf-record").first.click()
    shown.pump(shown.find(".nbf-detailtitle"))
    for fold in shown.find(".nbf-detail details").all():
        fold.evaluate("fold => { fold.open = true; }")
    walked, cut = shown.cut_frames()
    assert len(walked) > 15
    assert cut == []
    shown.picture(f"focus-{width}")


def test_what_was_said_of_a_rerun_goes_when_it_is_over(opened, tick):
    shown = opened(None)
    shown.hear(tick(state="RUNNING"))
    shown.page.evaluate(
        "() => hear([{t: 'said', text: 'Running 60 again.', id: model.sent.at(-1).id}])"
    )
    notice = shown.find(".nbf-notice")
    assert notice.is_visible()
    shown.hear(tick(n=2, state="RUNNING"))
    assert notice.is_visible()
    shown.hear(tick(n=3, state="PARTIAL"))
    assert not notice.is_visible()


@pytest.mark.parametrize("width", [1440, 1100])
def test_nothing_moves_while_a_run_goes_on_ends_and_goes_on_again(opened, tick, width):
    """What is said, labels and causes come into places that are there already."""
    shown = opened(None, width=width)
    labels = [[9 - at, 0, f"a label with {at} words"] for at in range(8)]
    causes = [[at, f"Error{at}", "m", 9, 0, ["triage"], ["ask"]] for at in range(6)]
    life = [
        {"state": "RUNNING", "rate": None, "left": None},
        {"state": "RUNNING", "causes": causes[:1], "kinds": 1, "failed": 9},
        {"state": "PARTIAL", "again": 9, "failed": 9, "causes": causes, "kinds": 6},
        {"state": "PARTIAL", "again": 9, "failed": 9, "answers": labels, "labels": 99},
        {"state": "RUNNING", "answers": labels, "labels": 99},
    ]
    heights = set()
    for n, head in enumerate(life, 1):
        shown.hear(tick(n, **head))
        heights.add(shown.find(".nbf").bounding_box()["height"])
        if head["state"] == "PARTIAL":
            shown.page.get_by_role("button", name="Rerun 9 failed").click()
            shown.find(".nbf-notice", has_text="Asking the kernel").wait_for()
            heights.add(shown.find(".nbf").bounding_box()["height"])
    assert len(heights) == 1, heights


def test_a_long_key_shows_both_its_ends(opened, tick):
    shown = opened(None, width=700)
    key = "customer/" + "x" * 90 + "/7781"
    rows = [[0, key, 0, 4, "4", 1, 0.1, "", "", "words", "billing", ""]]
    shown.hear(
        tick(rows=1, pages={"": {"n": 0, "total": 1, "offset": 0, "rows": rows}})
    )
    cell = shown.find(".nbf-record .nbf-c-record").first
    assert cell.inner_text().replace("\n", "") == key
    end = cell.locator("span").last
    assert end.inner_text() == "x/7781"
    box, whole = end.bounding_box(), cell.bounding_box()
    assert box["x"] + box["width"] <= whole["x"] + whole["width"] + 1


def test_a_lane_counts_what_is_done_and_says_the_rest_beside_it(opened, tick):
    shown = opened(None)
    ends = {"4": 300, "6": 6, "8": 90, "2": 4}
    flows = [["triage", ends, 0, [["fetch", {"4": 300, "6": 6, "2": 4}, ""]]]]
    shown.hear(tick(rows=400, state="CANCELLED", flows=flows))
    lane = shown.find(".nbf-lane").inner_text().split("\n")
    assert "300 / 400" in lane
    assert lane[-1] == "6 failed, 90 cancelled"
    assert "10 stopped" in lane, "nobody tries again in a run that is over"
    shown.hear(tick(n=2, rows=400, state="RUNNING", flows=flows))
    assert {"6 stopped", "4 trying again"} <= set(
        shown.find(".nbf-lane").inner_text().split("\n")
    )


@pytest.mark.parametrize("width", [1180, 760, 500, 400])
def test_a_row_says_which_flow_it_is_of_wherever_there_are_several(opened, tick, width):
    """Also beside an opened record, and in a narrow table; and nothing sticks out."""
    shown = opened(None, width=width)
    shown.hear(
        tick(
            flows=[
                [name, {"6": 250}, 0, [["fetch", {"4": 250}, ""]]]
                for name in ("triage", "audit")
            ]
        )
    )
    shown.find(".nbf-record").first.click()
    shown.hear()
    assert "triage" in shown.rows()[0]
    assert shown.page.evaluate(
        """() => [...document.querySelectorAll('.nbf-row:not([hidden])')]
            .every((row) => row.scrollWidth <= row.clientWidth)"""
    )


def test_a_long_key_leaves_room_for_what_there_is_to_do(opened, tick):
    shown = opened(None)
    shown.hear(tick())
    shown.find(".nbf-record").first.click()
    shown.hear()
    key = "a long key " * 1_000
    shown.hear(
        {
            "t": "detail",
            "id": shown.page.evaluate("() => model.sent.at(-1).id"),
            "to": 1,
            "row": 0,
            "key": key,
            "flow": "triage",
            "state": 6,
            "seconds": 1,
            "why": "",
            "trouble": None,
            "printed": [],
            "steps": [],
            "record": [("", "{}")],
            "output": None,
        }
    )
    panel = shown.find(".nbf-detail").bounding_box()
    rerun = shown.page.get_by_role("button", name="Rerun this record").bounding_box()
    assert rerun["y"] + rerun["height"] < panel["y"] + panel["height"] / 2


def test_an_ended_run_without_records_has_none(opened, tick):
    shown = opened(None)
    shown.hear(
        tick(
            rows=0,
            state="COMPLETED",
            rate=None,
            pages={"": {"n": 0, "total": 0, "offset": 0, "rows": []}},
        )
    )
    shown.page.get_by_role("button", name="Show 0 records").click()
    shown.find(".nbf-empty:visible").wait_for()
    assert shown.find(".nbf-empty").inner_text() == "No records."
    assert shown.find(".nbf-figure").first.inner_text().split() == [
        "\u2013",
        "records/s",
    ]


def test_a_tick_that_was_overtaken_changes_nothing(opened, tick):
    shown = opened(None)
    shown.hear(tick(n=5, sentence="the newer one"), tick(n=4, sentence="the older one"))
    assert shown.find(".nbf-sentence").inner_text() == "the newer one"


@pytest.mark.parametrize(
    ("colour", "theme"),
    [
        ("oklch(1 0 0)", "light"),
        ("oklch(0.2 0 0)", "dark"),
        ("rgb(20, 20, 24)", "dark"),
        ("color(srgb 1 1 1)", "light"),
    ],
)
def test_the_theme_is_seen_by_the_background_where_the_host_does_not_say(
    opened, tick, colour, theme
):
    shown = opened(None)
    shown.page.evaluate(
        "(colour) => { delete document.body.dataset.jpThemeLight; document.body.style.background = colour; }",
        colour,
    )
    shown.hear(tick())
    shown.find(f".nbf-{theme}").wait_for()


def test_an_opened_record_follows_the_run(opened, tick):
    """What could not be done while it went on can be done at its end."""
    shown = opened(None)
    shown.hear(tick(state="RUNNING"))
    shown.find(".nbf-record").first.click()
    shown.hear(tick(n=2, state="PARTIAL"))
    assert shown.page.evaluate(
        "() => model.sent.filter((message) => message.t === 'open').map((message) => message.row)"
    ) == [0, 0]


def test_a_question_that_was_lost_is_asked_again(opened, tick):
    shown = opened(None, clock=True)
    shown.hear_now(tick())
    shown.find(".nbf-tile.nbf-s-failed").click()
    shown.page.evaluate("() => { model.sent.length = 0; }")
    shown.page.clock.run_for(4_000)
    assert [
        message["query"]["states"]
        for message in shown.page.evaluate(
            "() => model.sent.filter((message) => message.t === 'view')"
        )
    ] == [["FAILED"]]


def test_a_million_rows_are_a_few_elements_and_the_last_one_is_reached(opened, tick):
    shown = opened(None)
    shown.hear(tick(rows=1_000_000))
    shown.find(".nbf-grid").evaluate(
        "(grid) => { grid.scrollTop = grid.scrollHeight; }"
    )
    shown.page.wait_for_function(
        "() => model.sent.some((message) => message.t === 'view' && message.offset > 999000)"
    )
    asked = shown.page.evaluate(
        "() => model.sent.at(-1).offset ?? model.sent.filter((message) => message.t === 'view').at(-1).offset"
    )
    shown.hear(tick(n=2, rows=1_000_000, offset=asked))
    assert shown.rows()[-1][1] == "t-999999"
    last = shown.find(".nbf-record[aria-rowindex='1000001']").bounding_box()
    grid = shown.find(".nbf-grid").bounding_box()
    assert last["y"] + last["height"] <= grid["y"] + grid["height"] + 2
    assert shown.find(".nbf *").count() < 700


def test_rows_under_the_pointer_ask_to_be_held(opened, tick):
    shown = opened(None)
    shown.hear(tick())
    shown.find(".nbf-record").nth(3).hover()
    shown.page.wait_for_function(
        "() => model.sent.at(-1).t === 'view' && model.sent.at(-1).held"
    )
    shown.find(".nbf-sentence").hover()
    shown.page.wait_for_function(
        "() => model.sent.at(-1).t === 'view' && !model.sent.at(-1).held"
    )


def test_the_static_picture_is_there_when_the_live_table_is_not_and_nothing_is_left_behind(
    shown,
):
    assert not shown.find(".nbflow-static").is_visible()
    shown.page.evaluate("() => unmount()")
    assert shown.find(".nbflow-static").is_visible()
    assert shown.page.evaluate(
        "() => [listeners(), document.querySelectorAll('.nbf').length, model.sent.at(-1).t]"
    ) == [0, 0, "gone"]


def test_a_table_for_reading_has_no_buttons_and_the_kernel_refuses(run, opened, nb):
    nb.calls.clear()
    shown = opened(run, read_only=True)
    shown.pump(shown.find(".nbf-record"))
    assert not shown.page.get_by_role("button", name="Rerun").count()
    shown.table.take({"t": "act", "id": "x", "what": "rerun_failed"})
    shown.table.take({"t": "act", "id": "x", "what": "stop"})
    for _ in range(100):
        if sum(message["t"] == "said" for message in shown.said) == 2:
            break
        shown.page.wait_for_timeout(20)
    assert [message["text"] for message in shown.said if message["t"] == "said"] == [
        "This table is read-only."
    ] * 2
    assert nb.calls == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1180, 620, 400])
def test_axe_finds_nothing_to_complain_about(run, opened, dark, width):
    shown = opened(run, dark=dark, width=width)
    shown.pump(shown.find(".nbf-record"))
    assert shown.find(".nbf-dark" if dark else ".nbf-light").count() == 1
    complaints = Axe().run(shown.page).response["violations"]
    tile(shown, "failed").click()
    shown.find(".nbf-record").nth(2).click()
    shown.pump(shown.find(".nbf-waterfall"))
    shown.pump()
    shown.picture(f"{'dark' if dark else 'light'}-{width}")
    complaints += Axe().run(shown.page).response["violations"]
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in complaints
    ] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_in_a_table_with_every_state(opened, tick, dark):
    shown = opened(None, dark=dark)
    shown.hear(tick(every=True, state="RUNNING"))
    assert len({row[0] for row in shown.rows()}) == 9
    shown.picture(f"states-{'dark' if dark else 'light'}")
    assert [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in Axe().run(shown.page).response["violations"]
    ] == []


def test_an_opened_record_shows_what_each_attempt_printed(nb, opened):
    """And of a call that was remembered when it printed; as text, whatever it is."""

    @nf.step
    def fetch(n):
        print("fetched 3 replies")
        return n

    @nf.step(retries=1)
    def ask(n):
        print(f"asks the model about {n}")
        logging.getLogger("triage").warning("<b>slow</b>")
        if n:
            sys.stderr.write("no answer\n" * 3_000)
            raise TimeoutError("late")
        return n

    @nf.flow(on=EVENT)
    def triage(thread):
        print("begins")
        return ask(fetch(thread["n"]))

    nb.send(EVENT, [{"id": "t-1", "n": 1}], key="id")
    nb.advance(60)
    run = nb.send(EVENT, [{"id": "t-1", "n": 1, "again": True}], key="id")
    shown = opened(run)
    shown.pump(shown.find(".nbf-record"))
    shown.find(".nbf-record").click()
    shown.pump(shown.find(".nbf-waterfall"))
    shown.picture("printed")
    fetched, asked = shown.find(".nbf-wstep").all()
    fetched.locator("summary").click()
    assert "printed when it ran" in fetched.inner_text()
    assert "a remembered call does not print again" in fetched.inner_text()
    assert "fetched 3 replies" in fetched.inner_text()
    first, second = asked.locator("pre[aria-label=printed]").all_inner_texts()
    for text in (first, second):
        assert text.startswith(
            "asks the model about 1\nWARNING triage: <b>slow</b>\nno answer\n"
        )
        assert "characters are not kept" in text
    lines = asked.inner_text()
    assert (
        lines.index("attempt 1")
        < lines.index("asks the model")
        < lines.index("attempt 2")
    )
    own = shown.find(".nbf-detail > section", has_text="Printed").inner_text()
    assert own.split() == ["Printed", "begins"]
    asked.scroll_into_view_if_needed()
    shown.picture("printed-open")
    assert not shown.errors
