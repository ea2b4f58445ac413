"""No secret leaves a kernel, in what way ever a cell shows it: real kernels, by hand and headless."""

import base64
import json

import nbformat
import papermill
import pytest
from test_kernel import Kernel

VALUE = "k3y-<9f8e7d6c>\"5b4a'"

#: Every way in which a cell can show a value.
SHOWING = {
    "print": "print(key)",
    "stderr": "import sys; print('auth', key, file=sys.stderr)",
    "a result": "'Bearer ' + key",
    "display": "display({'key': str(key)})",
    "HTML": "from IPython.display import HTML; import html; HTML(f'<b>{html.escape(key)}</b>')",
    "JSON": "from IPython.display import JSON; JSON({'key': key, key: 1})",
    "a frame": "import pandas as pd; pd.DataFrame({'key': [key]})",
    "a shell": '!echo "$MY_KEY"',
    "a warning": "import warnings; warnings.warn('refused: ' + key)",
    "a log": "import logging; logging.getLogger('x').error('refused: %s', key)",
    "an error": "raise ValueError('refused: ' + key)",
    "an error with locals": "%xmode Verbose\ndef f(auth):\n    return 1 / 0\nf('Bearer ' + key)",
    "a syntax error": "exec('(' + repr(str(key)))",
    "a chain of errors": (
        "try:\n"
        "    raise KeyError(str(key))\n"
        "except KeyError as e:\n"
        "    raise RuntimeError(key) from e"
    ),
    "a thread": "import threading; t = threading.Thread(target=print, args=(key,)); t.start(); t.join()",
    "base64": "import base64; print('Basic', base64.b64encode(('me:' + key).encode()).decode())",
    "a URL": "import urllib.parse; print('https://x?' + urllib.parse.urlencode({'key': key}))",
    "an update": "h = display('nothing', display_id=True); h.update(str(key))",
    "a widget": "import ipywidgets; ipywidgets.Text(value=str(key))",
    "a step": "#| step: show -> n\nprint(key); display(str(key)); n = 1\n'Bearer ' + key",
    "a step again": "#| step: show -> n\nprint(key); display(str(key)); n = 1\n'Bearer ' + key",
    "a step that fails": "#| step: fails\nraise ValueError('refused: ' + key)",
    "a step of a leak": "#| step: leak -> header\nheader = {'auth': 'Bearer ' + key}",
    "a run": "@nf.step(retries=0)\ndef ask(n):\n    raise ValueError('refused: ' + key)\nrun = ask.map([1, 2])",
}
READ = "import nbflow as nf\nkey = nf.secret('MY_KEY')\nkey"


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", VALUE)
    kernel = Kernel(tmp_path)
    assert kernel.run(READ) == "Secret('MY_KEY')"
    yield kernel
    kernel.close()


def leaks(text):
    parts = (
        VALUE,
        VALUE[:12],
        VALUE[5:13],
        base64.b64encode(b"me:" + VALUE.encode()).decode()[8:],
    )
    return [part for part in parts if part in text]


def raw(kernel, code):
    """All messages of a cell, as they are on the wire."""
    cell, found = kernel.start(code), []
    while True:
        message = kernel.client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == cell:
            found.append(json.dumps(message["content"], ensure_ascii=False))
            if (
                message["msg_type"] == "status"
                and message["content"]["execution_state"] == "idle"
            ):
                break
    reply = kernel.client.get_shell_msg(timeout=60)
    return "\n".join([*found, json.dumps(reply["content"], ensure_ascii=False)])


def test_no_message_of_the_kernel_has_it(kernel, tmp_path):
    for way, code in SHOWING.items():
        said = raw(kernel, code)
        assert not leaks(said), way
        assert "***MY_KEY***" in said or way in ("a step of a leak", "a widget"), (
            way,
            said,
        )
    stored = b"".join(
        path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()
    )
    assert b"9f8e7d6c" not in stored
    assert kernel.run("key == " + repr(VALUE)) == "True", (
        "what the code has is the value"
    )


def test_completion_and_inspection_tell_nothing(kernel):
    kernel.run(
        "class Box: pass\nbox = Box(); setattr(box, str(key).strip(), 1); text = str(key)"
    )
    for ask in (
        lambda: kernel.client.inspect("text", 4),
        lambda: kernel.client.complete("box.", 4),
    ):
        ask()
        assert not leaks(
            json.dumps(
                kernel.client.get_shell_msg(timeout=60)["content"], ensure_ascii=False
            )
        )


def test_a_value_that_a_cell_itself_puts_into_the_environment_is_masked_from_then_on(
    kernel,
):
    assert (
        kernel.run(
            "import os; os.environ['OTHER'] = 'made in ' + 'the kernel'; k = nf.secret('OTHER'); print(k + '!')"
        )
        == "***OTHER***!\n"
    )


def test_headless_no_file_has_it(folder, run, monkeypatch):
    monkeypatch.setenv("MY_KEY", VALUE)
    for number, (way, code) in enumerate(SHOWING.items()):
        folder.write(READ, code, name=f"{number}.ipynb")
        code, said = run(name=f"{number}.ipynb")
        assert code in (0, 1, 3), said
        output = (folder.path / f"{number}.out.ipynb").read_text()
        report = (folder.path / f"{number}.out.run.json").read_text()
        texts = [
            said,
            output,
            report,
            *(
                text
                for cell in nbformat.reads(output, 4).cells
                for text in strings(cell.get("outputs", []))
            ),
        ]
        assert not leaks("\n".join(texts)), way
    assert b"9f8e7d6c" not in b"".join(
        path.read_bytes() for path in folder.path.rglob("*") if path.is_file()
    )


def strings(node):
    if isinstance(node, str):
        yield node
    for value in (
        node.values()
        if isinstance(node, dict)
        else node
        if isinstance(node, list)
        else ()
    ):
        yield from strings(value)


def test_headless_a_secret_that_only_the_kernel_has_is_masked_too(
    folder, run, monkeypatch
):
    monkeypatch.delenv("MY_KEY", raising=False)
    (folder.path / "vault.py").write_text(
        "import os\nos.environ['MY_KEY'] = 'from-' + 'the-vault'\n"
    )
    folder.write(
        "import vault, nbflow as nf\nkey = nf.secret('MY_KEY')",
        "print(key)",
        "raise ValueError(key)",
    )
    code, said = run()
    assert code == 1
    assert "***MY_KEY***" in said
    written = (
        (folder.path / "job.out.ipynb").read_text()
        + (folder.path / "job.out.run.json").read_text()
        + said
    )
    assert "from-the-vault" not in written
    assert folder.output().cells[1].outputs[0].text == "***MY_KEY***\n"


def test_headless_a_secret_that_is_nowhere_fails_with_what_to_do(
    folder, run, monkeypatch
):
    monkeypatch.delenv("MY_KEY", raising=False)
    folder.write("import nbflow as nf\nkey = nf.secret('MY_KEY')")
    code, said = run()
    assert code == 1
    assert "MY_KEY is not set in the environment" in said


def test_with_papermill_it_is_not_in_the_notebook_either(folder, monkeypatch):
    monkeypatch.setenv("MY_KEY", VALUE)
    folder.write(READ, "print('x', key)", "'Bearer ' + key")
    papermill.execute_notebook(
        folder.path / "job.ipynb",
        folder.path / "out.ipynb",
        cwd=folder.path,
        progress_bar=False,
    )
    output = (folder.path / "out.ipynb").read_text()
    assert not leaks(output)
    assert "***MY_KEY***" in output
