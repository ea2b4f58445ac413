"""The debugger of JupyterLab and VS Code in a step cell: it speaks the Debug Adapter Protocol with a real kernel."""

import queue
import re
import time

import pytest
from test_kernel import Kernel

CELL = "#| step: doubled -> y\ndef more(n):\n    z = n + 1\n    return z\nx = 3\ny = more(x)\ny = y * 2"


class Debugger:
    """What a front end does: it asks over the control channel, and is told of events on the other."""

    def __init__(self, kernel):
        pytest.importorskip("debugpy")
        self.kernel, self.asked = kernel, 0
        self.ask(
            "initialize",
            clientID="test",
            adapterID="",
            pathFormat="path",
            linesStartAt1=True,
            columnsStartAt1=True,
        )
        self.ask("attach")

    def ask(self, command, **arguments):
        self.asked += 1
        client = self.kernel.client
        message = client.session.msg(
            "debug_request",
            {
                "type": "request",
                "seq": self.asked,
                "command": command,
                "arguments": arguments,
            },
        )
        client.control_channel.send(message)
        while True:
            answer = client.get_control_msg(timeout=30)
            if answer["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                assert answer["content"]["success"], answer["content"]
                return answer["content"].get("body")

    def break_at(self, code, *lines):
        path = self.ask("dumpCell", code=code)["sourcePath"]
        found = self.ask(
            "setBreakpoints",
            source={"path": path},
            breakpoints=[{"line": line} for line in lines],
            sourceModified=False,
        )
        self.ask("configurationDone")
        assert [point["verified"] for point in found["breakpoints"]] == [True] * len(
            lines
        )

    def run(self, code, names):
        """Run a cell to its end; answers for each stop the function, the line and these variables."""
        cell, stops, deadline = self.kernel.start(code), [], time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                message = self.kernel.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            content = message["content"]
            if message["msg_type"] == "debug_event" and content["event"] == "stopped":
                thread = content["body"]["threadId"]
                frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
                scope = self.ask("scopes", frameId=frame["id"])["scopes"][0]
                found = {
                    one["name"]: one["value"]
                    for one in self.ask(
                        "variables", variablesReference=scope["variablesReference"]
                    )["variables"]
                }
                stops.append(
                    (
                        frame["name"],
                        frame["line"],
                        {name: found[name] for name in names if name in found},
                    )
                )
                self.ask("continue", threadId=thread)
            elif (
                message["msg_type"] == "status"
                and content["execution_state"] == "idle"
                and message["parent_header"].get("msg_id") == cell
            ):
                return stops
        raise AssertionError(f"no end after {stops}")


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "geheim-0815-xx")
    kernel = Kernel(tmp_path)
    kernel.run("import nbflow as nf\nkey = str(nf.secret('MY_KEY'))")
    yield kernel
    kernel.close()


def test_it_stops_at_the_line_with_the_variables_of_a_step_cell(kernel):
    debugger = Debugger(kernel)
    debugger.break_at(CELL, 4, 7)
    stops = debugger.run(CELL, ("n", "z", "x", "y"))
    assert stops == [
        ("more", 4, {"n": "3", "z": "4"}),
        ("<module>", 7, {"x": "3", "y": "4"}),
    ]
    assert debugger.run(CELL, ()) == [], "found on disk, it runs nothing to stop at"
    assert kernel.run("x, y") == "(3, 8)"


def test_it_shows_no_secret(kernel):
    debugger = Debugger(kernel)
    code = "def ask(header):\n    return len(header)\nask('Bearer ' + key)"
    debugger.break_at(code, 2)
    assert debugger.run(code, ("header",)) == [
        ("ask", 2, {"header": "'Bearer ***MY_KEY***'"})
    ]


@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_pdb_in_a_step_cell_asks_over_stdin_shows_its_line_and_goes_on(kernel, stop):
    """The cell then ends as any other, and is saved.

    ipykernel leaves `breakpoint()` to debugpy; Python's own asks here. It stops at its
    own line from 3.13 on, before that at the next."""
    kernel.run("import sys\nsys.breakpointhook = sys.__breakpointhook__")
    client, said, answers = kernel.client, [], ["p 'x is', x", "until 5", "c"]
    code = f"#| step: looked -> y\nx = 3\n{stop}\ny = x * 2\ny += 1"

    def answer(request):
        assert request["content"]["prompt"] == "ipdb> "
        said.append("\n")
        client.input(answers.pop(0))

    ended = client.execute_interactive(
        code,
        allow_stdin=True,
        timeout=60,
        output_hook=lambda message: said.append(message["content"].get("text", "")),
        stdin_hook=answer,
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(said))
    assert ended["content"]["status"] == "ok", text
    assert answers == []
    assert "('x is', 3)" in text
    assert re.search(r"^-+> 5 y \+= 1$", text, re.MULTILINE), text
    assert "cached" in kernel.run(code)
    assert kernel.run("y") == "7"
