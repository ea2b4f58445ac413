"""A notice as a mail: it fits the width of a mail client and of a phone, and its words can be read."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from nbflow._core.notice import Finished, NoticeCause, message_of
from nbflow._core.usage import Usage

LONG = "/srv/jobs/" + "a-very-long-folder-name-without-a-break/" * 4
ENDED = Finished(
    "support_threads.ipynb",
    3,
    "Every cell ran; 188 of 200 records done, 12 need you; --max-failed is 0.",
    brief="188 of 200 records done, 12 need you",
    causes=(
        NoticeCause(8, "timed out", "categorize"),
        NoticeCause(3, "ConnectionError", "fetch_replies"),
        NoticeCause(1, "KeyError", "save_category"),
        NoticeCause(1, "x" * 200, "y"),
    ),
    used=Usage(200, 4_000_000, 20_000, cost=1.3244),
    seconds=424,
    opens=f'nf.open_run("{LONG}support_threads.out.ipynb")',
    report=f"{LONG}support_threads.out.run.json",
    machine="worker-3",
)


@pytest.mark.parametrize("width", [360, 600, 1200])
@pytest.mark.parametrize("code", [0, 3, 4, 5])
def test_it_fits_and_is_readable(browser, width, code):
    from dataclasses import replace

    message = message_of(replace(ENDED, code=code), content=False)
    page = browser.new_page(viewport={"width": width, "height": 400})
    page.set_content(message.html)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('table').offsetWidth") <= 600
    assert "ConnectionError at fetch_replies" in page.inner_text("body")
    found = Axe().run(page, options={"runOnly": ["color-contrast"]})
    assert found.violations_count == 0, found.generate_report()
    page.close()
