"""The widget as hosts get it: what a front end has to load, and what it is given."""

import re

import pytest

import nbflow as nf
from nbflow.notebook.page_looks import PAGE_LOOKS
from nbflow.notebook.table_widget import TableWidget


@pytest.fixture
def send(nb):
    @nf.flow(on="e")
    def look(record):
        return record

    return lambda count: nb.send(
        "e", [{"n": n, "text": "secret " * 50} for n in range(count)]
    )


@pytest.mark.parametrize("asset", ["_esm", "_css"])
def test_what_a_page_loads_is_whole_and_asks_no_host_for_more(asset):
    """VS Code, a hub behind a policy, a train without network: there is nothing to resolve and nothing to fetch."""
    code = str(getattr(TableWidget, asset))
    assert not re.search(
        r"\bimport\b\s*[({'\"*\w]|\brequire\(|@import|url\(|\bfetch\(|XMLHttpRequest"
        r"|WebSocket|\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write",
        code,
    )
    assert set(re.findall(r"\w+://[\w.]+", code)) <= {
        "http://www.w3.org"
    }  # the name of SVG, which nobody loads
    assert len(code) < 80_000


def test_the_state_of_a_widget_holds_its_name_and_words_and_nothing_of_the_records(
    send,
):
    small, large = send(1).widget(), send(2_000).widget()
    history = nf.runs().widget()
    for widget in (small, large, history):
        state = {
            name: value
            for name, value in widget.get_state().items()
            if not name.startswith("_")
        }
        assert state.pop("looks") == PAGE_LOOKS
        assert set(state) == {"kind", "name", "layout", "tabbable", "tooltip"}
        assert len(str(state)) < 300
        widget.close()


def test_a_copy_of_a_history_says_that_it_is_none_that_lives(send):
    send(1)
    history = nf.runs()
    assert type(history.copy()).__name__ == "DataFrame"
    bare = type(history)(history.to_dict("list"))
    with pytest.raises(nf.UsageError, match=r"nf\.runs\(\)\.widget\(\)"):
        bare.widget()
    assert "✓ completed" in repr(history)
