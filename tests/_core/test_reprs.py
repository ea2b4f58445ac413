"""What a notebook shows of a step, a flow, a usage and a record says what it is."""

import nbflow as nf
from nbflow._core.usage import Usage

EVENT = "e"


class Printer:
    def __init__(self):
        self.said = ""

    def text(self, text):
        self.said += text


def test_a_step_shows_its_arguments_and_the_options_that_were_set(nb):
    @nf.step(retries=5, timeout="2m", throttle="300/min", ttl="1d", version=2)
    def size(text: str, scale: int = 1) -> int:
        return scale * len(text)

    @nf.step
    def plain(text):
        return text

    assert repr(plain) == "<step plain(text)>"
    shown = repr(size)
    assert shown.startswith("<step size(text: ")
    assert shown.endswith(
        "retries=5, timeout=2 min 00 s, throttle=300/min, ttl=24 h 00 min, version='2'>"
    )


def test_a_categorizer_shows_its_model_and_how_many_labels_it_has(nb):
    categorize = nf.llm.categorizer(["billing", "bug"], model="openai:gpt-4o-mini")
    assert "model='openai:gpt-4o-mini', 2 labels" in repr(categorize)


def test_a_usage_is_a_sentence_in_a_notebook():
    printer = Printer()
    Usage(2, 1000, 200, cost=0.5)._repr_pretty_(printer, False)
    assert printer.said == "$0.50 for 1.2k tokens, 2 requests"
    assert repr(Usage(1)).startswith("Usage(requests=1")


def test_an_opened_record_begins_with_what_was_sent_and_what_came_out(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return {"label": "bug", "why": "it <b>broke</b>"}

    run = nb.send(EVENT, [{"id": "a", "text": "It does not start."}], key="id")
    opened = run.inspect("a")
    lines = repr(opened).splitlines()
    assert lines[:5] == [
        "record a",
        "  id: a",
        "  text: It does not start.",
        "  triage.label: bug",
        "  triage.why: it <b>broke</b>",
    ]
    html = opened._repr_html_()
    assert html.index("It does not start.") < html.index("flow / step")
    assert "it &lt;b&gt;broke" in html
    assert repr(opened["triage"]) == "<triage: COMPLETED, 0 steps>"


def test_a_record_that_was_not_kept_is_opened_without_it(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return 1

    run = nb.send(EVENT, [{"id": "a"}], key="id", keep_records=False)
    nb.forget()
    opened = nf.open_run(run.id).inspect("a")
    assert repr(opened).splitlines()[:2] == ["record a", "  triage: 1"]
