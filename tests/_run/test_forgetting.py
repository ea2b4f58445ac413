"""A result that is deleted is computed again, and so is what was built on it."""

from nbflow._call import lookup

EVENT = "thread.created"


def records(count=3):
    return [{"id": f"t-{n}", "body": f"text {n}"} for n in range(count)]


def test_a_forgotten_call_and_what_was_built_on_it_run_again(nb, cells):
    nb.send(EVENT, records(), key="id")
    nb.calls.clear()
    assert cells.categorize.forget("text 1") == 2
    assert nb.send(EVENT, records(), key="id").counts == {
        "triage": {"COMPLETED": 1, "CACHED": 2}
    }
    assert nb.calls == ["categorize"]
    assert cells.categorize.forget("never called") == 0


def test_all_of_a_step_can_be_forgotten(nb, cells):
    cells.categorize("x")
    cells.edit("Pick one", "Choose one")
    cells.categorize("x")
    cells.shape([1])
    assert cells.categorize.forget() == 2
    assert cells.categorize.explain("x").state == "would run"
    assert cells.shape.explain([1]).state == "cached"
    assert {head.name for _, head in lookup.every(nb.engine.store)} >= {"shape"}
