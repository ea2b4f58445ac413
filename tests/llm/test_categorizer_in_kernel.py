"""In a real Jupyter kernel: called in a cell, awaited at its top level, mapped, and ended by the kernel's Stop."""

import chat_server as chat
import pytest
from test_kernel import Kernel


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


def test_a_categorizer_works_in_cells(kernel, server):
    kernel.run("import nbflow as nf")
    kernel.run(
        f"categorize = nf.llm.categorizer({chat.LABELS!r}, model='openai:stub', base_url={server.url!r}, batch=3)"
    )
    assert "billing" in kernel.run("print(categorize('a refund').label)")
    assert "bug" in kernel.run("print((await categorize.aio('a crash')).label)")
    assert "['billing', 'bug', 'other']" in kernel.run(
        "print([answer.label for answer in categorize.map(['a refund', 'a crash', 'hm']).results('categorize')])"
    )
    assert sum(map(len, server.texts)) == 3
    server.always = chat.hang
    cell = kernel.start("categorize('nobody answers')")
    assert server.hanging.wait(60)
    kernel.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in "".join(kernel.outputs(cell))
    assert server.gone.wait(60), "nobody waits for the answer any more"
