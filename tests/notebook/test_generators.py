"""A seeded notebook gives the same numbers, whichever of its step cells come from disk."""

import ast

import pytest
from test_kernel import Kernel
from test_ordinary import played

from nbflow.notebook.generators import seeded

SEED = "import random\nimport numpy as np\nimport nbflow\nrandom.seed(5); np.random.seed(5)"
DRAW = "#| step: draw\ndrawn = [random.random(), float(np.random.rand())]\ndrawn"
SAMPLE = (
    "#| step: sample\nimport pandas as pd\n"
    "sampled = pd.Series(range(100)).sample(3).tolist()\nsampled"
)
LIVE = "live = [random.random(), float(np.random.rand())]\nlive"
OWN = "#| step: own\nnp.random.seed(7)\nown = float(np.random.rand())\nown"
RETRIES = (
    "import nbflow as nf\n@nf.step(retries=2)\ndef flaky(n):\n    tries.append(n)\n"
    "    if len(tries) < 2:\n        raise ConnectionError\n    return n\n"
    "tries = []\nflaky(1)"
)
CELLS = [SEED, DRAW, SAMPLE, LIVE, OWN, LIVE, "#| step: none\nn = 1", LIVE]


def test_live_cells_draw_the_numbers_of_a_plain_run_behind_cells_from_disk(tmp_path):
    plain, _, _ = played(
        tmp_path,
        [one.partition("\n")[2] if one[:2] == "#|" else one for one in CELLS],
        "1",
    )
    first, _, _ = played(tmp_path, CELLS, "1")
    again, told, _ = played(tmp_path, CELLS, "1")
    assert first == plain
    assert [text.strip() for text in again] == plain
    assert ["cached" in text for text in told] == [one[:2] == "#|" for one in CELLS]


def test_another_seed_gives_other_numbers_and_not_what_is_saved(tmp_path):
    first, _, _ = played(tmp_path, CELLS, "1")
    other = [SEED.replace("5", "6"), *CELLS[1:]]
    again, told, _ = played(tmp_path, other, "1")
    assert [old == new for old, new in zip(first, again, strict=True)][1:4] == [
        False
    ] * 3
    assert ["cached" in text for text in told] == [False] * 4 + [
        True,
        False,
        True,
        False,
    ]


def test_a_cell_that_draws_is_found_when_it_is_run_twice_and_says_why_if_not(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run(SEED)
        kernel.run(DRAW)
        assert "cached" in kernel.run(DRAW)
        kernel.run(LIVE)
        assert (
            "the generator of numpy.random was seeded or drawn from otherwise"
            in kernel.run("%step why draw")
        )
        assert "cached" not in kernel.run(DRAW)
    finally:
        kernel.close()


INSERTED = "before = [random.random(), float(np.random.rand())]\nbefore"


@pytest.mark.parametrize(
    "edited",
    [
        [SEED, INSERTED, DRAW],
        [SEED, "#| step: other\n" + INSERTED, DRAW],
        [SEED, DRAW.replace("draw", "other"), DRAW, LIVE],
    ],
    ids=["a plain cell", "a step cell", "a step cell of the same draws"],
)
def test_a_cell_before_which_as_much_was_drawn_draws_the_next_numbers(tmp_path, edited):
    """The generator stands where the cell left it once, but it was not the cell that did."""
    played(tmp_path, [SEED, DRAW, LIVE], "1")
    plain, _, _ = played(
        tmp_path,
        [one.partition("\n")[2] if one[:2] == "#|" else one for one in edited],
        "1",
    )
    again, _, _ = played(tmp_path, edited, "1")
    assert [text.strip() for text in again] == plain


def test_where_nothing_is_seeded_the_first_draw_is_kept_and_live_cells_draw_anew(
    tmp_path,
):
    cells = [SEED.rpartition("\n")[0], DRAW, LIVE]
    first, _, _ = played(tmp_path, cells, "1")
    again, told, _ = played(tmp_path, cells, "1")
    assert "cached" in told[1]
    assert again[1].strip() == first[1]
    assert again[2] != first[2]


def test_retries_leave_the_users_generator_alone(tmp_path):
    cells = ["import random\nrandom.seed(5)", RETRIES, "random.random()"]
    drawn, _, _ = played(tmp_path, cells, "1")
    assert drawn[2] == "0.6229016948897019"


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("np.random.seed(5)", ["numpy.random"]),
        ("random.seed(5)", ["random"]),
        ("torch.manual_seed(5)", ["torch"]),
        ("set_seed(5)", ["numpy.random", "random", "torch"]),
        ("if True:\n    pl.seed_everything(5)", ["numpy.random", "random", "torch"]),
        ("np.random.seed()", []),
        ("rng.seed(5)", []),
        ("tf.random.set_seed(5)", []),
        ("np.random.SeedSequence(5)", []),
        ("def f():\n    random.seed(5)", []),
    ],
)
def test_what_seeds_a_generator_is_known_by_its_name(text, modules):
    assert sorted(seeded(ast.parse(text).body)) == modules
