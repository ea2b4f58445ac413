"""Records that ask, in a real JupyterLab: the question, its buttons, and how the run continues."""

import pytest

from tests.browser.test_lab import lab, server

__all__ = ["lab", "server"]

ASKS = """
import nbflow as nf

@nf.step
def draft(text):
    return f"Dear customer,\\n\\nthank you for your mail about {text}."

@nf.flow(on="mail/received")
def reply(mail):
    text = draft(mail["subject"])
    if mail["n"] % 3 == 2:
        nf.sleep("2 days")
    choice = nf.ask("Send this answer?", show=text, choices=["send", "edit", "drop"], timeout="7 days")
    return {"choice": choice}
"""
SEND = """
mails = [{"n": n, "subject": f"order {n}", "of": "SCHEME"} for n in range(12)]
run = nf.send("mail/received", mails, key="n")
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_question_is_answered_in_the_table_by_mouse_and_by_keyboard(lab, scheme):
    notebook = lab(ASKS, SEND.replace("SCHEME", scheme), "print('after', run.state)")
    if scheme == "dark":
        notebook.page.evaluate(
            "async () => { await window.jupyterapp.commands.execute("
            "'apputils:change-theme', { theme: 'JupyterLab Dark' }); }"
        )
    notebook.run_all()
    page = notebook.page
    notebook.output("after WAITING").wait_for()
    page.locator(".nbf-runstate", has_text="waiting").wait_for()
    page.locator(".nbf-tile.nbf-s-waiting b", has_text="12").wait_for()
    notebook.picture(f"lab-waiting-{scheme}")
    page.locator(".nbf-record", has_text="asks: Send this answer?").first.click()
    question = page.get_by_role("region", name="Question")
    question.get_by_text("thank you for your mail about order").wait_for()
    notebook.picture(f"lab-question-{scheme}")
    question.get_by_role("button", name="send").click()
    page.locator(".nbf-tile.nbf-s-completed b", has_text="1").wait_for()
    page.locator(".nbf-detail", has_text="answered by").wait_for()
    page.locator(".nbf-record", has_text="asks: Send this answer?").first.click()
    question.get_by_role("button", name="drop").focus()
    page.keyboard.press("Enter")
    page.locator(".nbf-tile.nbf-s-completed b", has_text="2").wait_for()
    notebook.picture(f"lab-answered-{scheme}")
    said = notebook.run(
        "print([row['reply.choice'] for row in run.results() if row['reply.choice']])"
    )
    assert "['send', 'drop']" in said
