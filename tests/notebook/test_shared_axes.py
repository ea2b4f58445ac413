"""Frames of pandas that hold one index hold one as well when their cells come from disk."""

import itertools

from test_kernel import Kernel

MAKE = (
    "#| step: make\nimport pandas as pd\n"
    "pop = pd.Series([1.0, 3.0], index=pd.MultiIndex.from_tuples([('A', 1), ('B', 2)]))\n"
    "share = pop / pop.sum()\nframe = pop.to_frame('n')\ntwice = frame * 2\ncopy = pop.copy()"
)
MORE = "#| step: more\nthird = pop * 2"
NAMES = "pop.index.names = ['state', 'year']"
COLUMNS = "twice.columns.name = 'figure'"
APART = "pop.index = pop.index.rename(['x', 'y'])"
READ = (
    "[list(one.index.names) for one in (pop, share, third, copy)],"
    " list(frame.columns.names), list(twice.columns.names),"
    " [one.index is pop.index for one in (share, third, copy)]"
)


def played(folder, cells):
    kernel = Kernel(folder)
    try:
        kernel.run("import nbflow")
        return [kernel.run(cell) for cell in cells]
    finally:
        kernel.close()


def test_names_of_a_shared_index_are_those_of_the_plain_run_whichever_cells_are_found(
    tmp_path,
):
    """Each change in a live cell, and in a step cell that is found itself."""
    for number, (change, is_step) in enumerate(
        itertools.product((f"{NAMES}\n{COLUMNS}", APART), (False, True))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        plain = played(folder, [MAKE[13:], MORE[13:], change, READ])[-1]
        last = f"#| step: change\n{change}" if is_step else change
        first = played(folder, [MAKE, MORE, last, READ])[-1]
        *told, again = played(folder, [MAKE, MORE, last, READ])
        assert ["cached" in text for text in told] == [True, True, is_step]
        assert [first, again] == [plain, plain]


def test_a_cell_that_is_run_twice_leaves_its_frames_together(tmp_path):
    cell = f"#| step: change\n{NAMES}\nthird = pop * 2"
    read = "third.index is pop.index, third.index.names == pop.index.names"
    *_, told, left = played(tmp_path, [MAKE, cell, cell, read])
    assert "cached" in told
    assert left == "(True, True)"


def test_names_of_an_index_that_is_an_input_itself_are_set_where_it_is(tmp_path):
    cells = [
        "#| step: make\nimport pandas as pd\nn = 2",
        "index = pd.Index(range(n))\npop = pd.Series(0, index=index)",
        "#| step: names\nindex.names = ['x']",
        "list(pop.index.names)",
    ]
    first = played(tmp_path, cells)
    again = played(tmp_path, cells)
    assert "cached" in again[2]
    assert [first[-1], again[-1]] == ["['x']", "['x']"]
