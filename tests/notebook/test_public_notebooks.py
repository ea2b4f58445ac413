"""Notebooks as they are found in public leave the same, with every cell a step cell, twice, as without nbflow."""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((Path(__file__).parent / "public").glob("*.ipynb"))

#: What a notebook does not seed itself is not another draw in each kernel.
SEEDED = "import random as _random, numpy as _np\n_random.seed(0); _np.random.seed(0)"
#: Tells what a notebook holds and what is set up in its kernel, as text without addresses.
TOLD = r"""
def _told():
    import json, random, re, sys, types, warnings
    import numpy as np, pandas as pd
    import matplotlib.pyplot as plt

    def text(value):
        return re.sub(r"0x[0-9a-fA-F]+", "0x", repr(value))

    def told(value, depth=6):
        kind = type(value).__name__
        more = lambda values: {
            # Times, and the ids of objects.
            str(k): told(v, depth - 1) for k, v in values.items() if not re.search("time|_id$", str(k))
        } if depth else "..."
        if isinstance(value, (pd.DataFrame, pd.Series)):
            axes = [(type(one).__name__, str(list(one.names)), str(one.dtype)) for one in value.axes]
            return [kind, value.to_csv(), str(value.dtypes), axes]
        if isinstance(value, np.ndarray):
            return [kind, str(value.dtype), value.tolist() if value.dtype != object else text(value)]
        if isinstance(value, types.FunctionType):
            return [kind, value.__name__, more(vars(value)) if value.__module__ == "__main__" else ""]
        if isinstance(value, type):
            own = vars(value) if value.__module__ == "__main__" else {}
            plain = {k: text(v) for k, v in own.items() if isinstance(v, (int, list))}
            return [kind, value.__name__, {k: v for k, v in plain.items() if k[:1] != "_"}]
        if isinstance(value, (list, tuple)):
            return [kind, [told(one, depth - 1) for one in value]] if depth else kind
        if isinstance(value, dict):
            return [kind, more(value)]
        if isinstance(value, (set, frozenset)):
            return [kind, sorted(map(text, value))]
        module = type(value).__module__.partition(".")[0]
        if module in ("__main__", "sklearn") and hasattr(value, "__dict__"):
            return [kind, more(vars(value))]
        return [kind, text(value)]

    space = get_ipython().user_ns
    hidden = get_ipython().user_ns_hidden
    names = [
        name
        for name, value in space.items()
        if name[:1] != "_" and name not in hidden and not isinstance(value, types.ModuleType)
    ]
    same = {}
    for name in names:
        if not isinstance(space[name], (int, float, str, bool, type(None), types.BuiltinFunctionType)):
            same.setdefault(id(space[name]), []).append(name)
    options = pd._config.config._registered_options
    return json.dumps({
        "names": {name: told(space[name]) for name in sorted(names)},
        "modules": sorted(
            name
            for name, value in space.items()
            if isinstance(value, types.ModuleType) and name not in {*hidden, "nbflow"}
        ),
        "same": sorted(sorted(group) for group in same.values() if len(group) > 1),
        "out": sorted(space["Out"]),
        # Where no cell draws, no cell sets up the drawing.
        "matplotlib": {n: text(value) for n, value in plt.rcParams.items() if n != "interactive"},
        "pandas": {name: text(pd.get_option(name)) for name in options},
        "numpy": [text(np.get_printoptions()), np.geterr()],
        "sklearn": text(sys.modules["sklearn"].get_config()) if "sklearn" in sys.modules else "",
        "filters": [text(one) for one in warnings.filters],
        "drawn": [text(random.getstate()), text(np.random.get_state())],
        "figures": plt.get_fignums(),
    })


open("../left.json", "w").write(_told())
"""

#: Cells that run each time: they read a figure, or bind what cannot be saved.
LIVE = {"descent": 1, "sales": 1, "simulation": 1, "words": 2}


def played(folder, notebook, store=None):
    """The outputs of each cell of a notebook, how many cells came from disk, and what it left."""
    document = nbformat.read(notebook, as_version=4)
    document.cells = [cell for cell in document.cells if cell.cell_type == "code"]
    for number, cell in enumerate(document.cells):
        if store is not None:
            cell.source = f"#| step: cell{number}\n{cell.source}"
    first = SEEDED if store is None else f"import nbflow\n{SEEDED}"
    document.cells = [new_code_cell(first), *document.cells, new_code_cell(TOLD)]
    folder.mkdir()
    os.environ |= {"NBFLOW_STORE": str(store), "PYTHONPATH": str(ROOT)}
    client = NotebookClient(
        document, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    manager = client.create_kernel_manager()
    manager.kernel_spec.argv[0] = sys.executable
    client.execute()
    outputs = [shown(cell.outputs) for cell in document.cells[1:-1]]
    cached = sum(": cached " in json.dumps(cell.outputs) for cell in document.cells)
    return outputs, cached, json.loads((folder.parent / "left.json").read_text())


def shown(outputs):
    """What a cell shows: text in one piece for each stream, pictures and tables as they are."""
    found = {"stdout": "", "stderr": ""}
    displays = []
    for output in outputs:
        if output.output_type == "stream":
            found[output["name"]] += output["text"]
        else:
            data = dict(output["data"])
            if "it/s]" in data["text/plain"]:
                continue  # a progress bar, which tells the time
            displays.append((output.output_type, data))
    told = re.sub(r"\x1b\[38;5;243m.*?\x1b\[0m\n", "", found["stdout"])
    text = repr((told.rstrip("\n"), found["stderr"], displays))
    return re.sub(r"0x[0-9a-f]+|/tmp/ipykernel_\d+/\d+\.py:\d+", "", text)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("NBFLOW_STORE", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_a_step_cell_shows_and_leaves_what_the_plain_notebook_does(
    tmp_path, notebook
):
    plain, _, left = played(tmp_path / "plain", notebook)
    store = tmp_path / "store"
    for time in ("first", "again"):
        outputs, cached, now = played(tmp_path / time, notebook, store)
        for number, (one, other) in enumerate(zip(outputs, plain, strict=True)):
            assert one == other, (time, number)
        for part in left.keys() - {"names"}:
            assert now[part] == left[part], (time, part)
        assert now["names"].keys() == left["names"].keys()
        for name, told in left["names"].items():
            assert now["names"][name] == told, (time, name)
    assert cached == len(plain) - LIVE.get(notebook.stem, 0)
