"""A sample that is looked at, an estimate and a calibration in a real JupyterLab, by day and by night."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.lab import Notebook, Server
from tests.browser.test_review import OVERLAPS

SETUP = """
import nbflow as nf, pandas as pd

LABELS = ["billing", "card arrival", "exchange rate", "lost or stolen card"]

@nf.flow(on="q")
def triage(record):
    n = record["n"]
    return {"label": LABELS[n % 7 % 4], "confidence": 0.3 + n * 11 % 70 / 100}

def question(n):
    return {"id": f"q-{n}", "n": n, "region": ["north", "south"][n % 2], "text": f"Question {n}"}

run = nf.send("q", pd.DataFrame([question(n) for n in range(900)]), key="id")
answers = run.results().set_index("id")
"""
REVIEW = """
review = nf.review(run, sample=120, text="text", choices=LABELS, by="Ana")
for key in review.left[:100]:
    said = answers.loc[key]
    place = LABELS.index(said["triage.label"])
    wrong = int(key[2:]) * 37 % 97 / 97 > said["triage.confidence"] ** 0.5
    review.decide(key, LABELS[(place + wrong) % 4])
review
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_sample_estimate_and_calibration_are_legible(browser, tmp_path, dark):
    server = Server(tmp_path, dark=dark)
    try:
        cells = (SETUP, REVIEW, 'nf.estimate(run, of="region")', "nf.calibrate(run)")
        path = server.write("estimate.ipynb", *cells)
        context = browser.new_context(viewport={"width": 1280, "height": 2000})
        notebook = Notebook(context.new_page(), server, path)
        notebook.run_all()
        page = notebook.page
        page.get_by_text("where it says").wait_for(state="attached")
        notebook.picture(f"lab-estimate-{'dark' if dark else 'light'}")
        assert page.get_by_text("100 of 120 decided").count()
        assert (
            page.locator(".nbr-about-sample")
            .inner_text()
            .startswith("A sample, drawn at random from 900 records.")
        )
        assert page.get_by_text("estimated from 100 decisions").count()
        assert page.evaluate(OVERLAPS) == []
        found = Axe().run(page, context={"include": [[".jp-OutputArea-output svg"]]})
        assert found.response["violations"] == []
        context.close()
    finally:
        server.close()
