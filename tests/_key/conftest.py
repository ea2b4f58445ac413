import linecache
from types import SimpleNamespace

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")


class Notebook:
    """Cells of one kernel: one namespace, and the sources where IPython puts them."""

    def __init__(self, folder):
        self.names = {"__name__": "__main__"}
        self._folder = folder

    def run(self, text, filename=None):
        filename = filename or f"/tmp/ipykernel_7/{abs(hash(text))}.py"
        linecache.cache[filename] = (
            len(text),
            None,
            text.splitlines(keepends=True),
            filename,
        )
        exec(compile(text, filename, "exec"), self.names)
        return SimpleNamespace(**self.names)

    def __getitem__(self, name):
        return self.names[name]


@pytest.fixture
def notebook(tmp_path):
    return Notebook(tmp_path)


@pytest.fixture
def new_notebook(tmp_path):
    return lambda: Notebook(tmp_path)


@pytest.fixture
def local_module(tmp_path, monkeypatch):
    """Write a module beside the notebook; writing it again and reloading is an edit."""
    import importlib
    import sys

    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        linecache.checkcache(str(path))
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        written.append(name)
        return path

    yield write
    for name in written:
        sys.modules.pop(name, None)
