"""A notebook whose cells are edited between two runs."""

import sys
import types

import pytest

CELL = '''
import nbflow as nf
PROMPT = """You sort threads.
Be brief.
Pick one."""
LABELS = ["billing", "bug"]

def clean(text):
    """Strip it."""
    return text.strip()

class Rules:
    limit = 3
    def apply(self, text):
        return text[: self.limit]

@nf.step
def categorize(text, model="small"):
    return model, PROMPT, LABELS, Rules().apply(clean(text))

@nf.step
def shape(df):
    return len(df)

@nf.flow(on="thread.created")
def triage(thread):
    return categorize(thread["body"])
'''


class Cells:
    """Cells of a notebook, run as IPython runs them."""

    def __init__(self, folder):
        self._folder = folder
        self._count = 0
        self.module = types.ModuleType("__main__")
        self.run(CELL)

    def run(self, text):
        self._count += 1
        path = self._folder / f"cell{self._count}.py"
        path.write_text(text)
        exec(compile(text, str(path), "exec"), self.module.__dict__)

    def edit(self, old, new):
        """Run the definition that holds ``old`` again, with ``new`` in its place."""
        blocks = [block for block in CELL.split("\n\n") if old in block]
        assert blocks
        self.run(blocks[0].replace(old, new))

    def __getattr__(self, name):
        return getattr(self.module, name)


@pytest.fixture
def cells(nb, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    return Cells(tmp_path)
