"""The outbox: a notice outlives its process, goes to each address once, and names none."""

import multiprocessing
import time

import pytest

from nbflow._core.notice import Message
from nbflow._tell import address, outbox
from nbflow._tell.delivery import Limits, deliver
from nbflow._tell.outbox import Outbox

MESSAGE = Message("title", "text", "", "info")
QUICK = Limits(waits=(0, 0), seconds=20)


def to(*urls):
    return address.addresses(urls, "the test")


@pytest.fixture
def box(tmp_path):
    return Outbox(tmp_path / "store", QUICK)


def test_a_notice_is_pending_until_every_address_has_it(box, hook, mail):
    both = to(hook.url(), mail.url)
    name = box.post("job", MESSAGE, both)
    assert box.pending() == [name]
    assert [one.state for one in box.send(name, both[:1])] == ["sent"]
    assert box.pending() == [name]
    assert box.send(name, both[:1]) == []
    [last] = box.send(name, both)
    assert (last.to, last.state) == ("address 2 (E-Mail)", "sent")
    assert box.pending() == []
    assert len(hook.got) == len(mail) == 1


def test_what_is_refused_again_and_again_is_given_up(box, hook):
    mine = to(hook.url())
    name = box.post("job", MESSAGE, mine)
    hook.answers = [503] * 100
    states = []
    while box.pending():
        states += [one.state for one in box.send(name, mine)]
    assert states == ["pending"] * 4 + ["given up"]
    assert len(hook.got) == 15


def test_a_notice_of_another_week_is_not_sent(box, hook, monkeypatch):
    mine = to(hook.url())
    name = box.post("job", MESSAGE, mine)
    late = time.time() + 8 * 24 * 3600
    monkeypatch.setattr(outbox.time, "time", lambda: late)
    [one] = box.send(name, mine, is_earlier=True)
    assert one.warning == (
        "The notice about job to its addresses was not confirmed: it is too old; it is "
        "given up."
    )
    assert hook.got == []
    assert box.pending() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff"])
def test_a_damaged_file_is_nobodys_notice(box, hook, content):
    mine = to(hook.url())
    name = box.post("job", MESSAGE, mine)
    (box._folder / f"{name}.json").write_bytes(content)
    assert box.send(name, mine) == []


def test_nobody_without_the_key_can_make_nbflow_send_anything(box, hook):
    """Neither other words, nor the notice under another name."""
    mine = to(hook.url())
    name = box.post("job", MESSAGE, mine)
    file = box._folder / f"{name}.json"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"text", b"lies"))
    assert box.send(name, mine) == []
    (box._folder / "other.json").write_bytes(content)
    assert box.send("other", mine) == []
    assert hook.got == []
    file.write_bytes(content)
    assert len(box.send(name, mine)) == 1


def _send(store, name, url, barrier, results):
    mine = address.addresses([url], "the test")
    barrier.wait(30)
    results.put(len(Outbox(store, QUICK).send(name, mine)))


def test_two_processes_at_once_send_one(box, hook, tmp_path):
    mine = to(hook.url())
    name = box.post("job", MESSAGE, mine)
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    arguments = (tmp_path / "store", name, hook.url(), barrier, results)
    senders = [context.Process(target=_send, args=arguments) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert sorted(results.get(timeout=5) for _ in senders) == [0, 0, 1]
    assert len(hook.got) == 1


def test_an_end_that_turned_out_otherwise_is_told_as_it_turned_out(box, hook, tmp_path):
    """All cells ran, and then the output notebook could not be written."""
    from nbflow._core.notice import Finished
    from nbflow._tell.teller import Teller
    from nbflow._tell.telling import Telling

    asked = Telling(addresses=to(hook.url()), when=frozenset(["always"]))
    who = Teller(asked, "job", tmp_path / "store")
    who.post(Finished("job", 0, "Done."))
    failed = Finished("job", 1, "Failed.")
    who.post(failed)
    assert len(box.pending()) == 1
    who.send(failed)
    assert hook.titles == ["\u2717 job: failed"]
    assert box.had_failed("job")


def test_a_server_that_hangs_holds_up_the_next_command_once(
    box, hook, tmp_path, monkeypatch
):
    from nbflow._tell import teller
    from nbflow._tell.telling import Telling

    monkeypatch.setattr(teller, "_ONCE", Limits((), 1.0))
    mine = to(hook.url())
    names = [box.post("job", MESSAGE, mine) for _ in range(3)]
    hook.answers = ["hang"] * 3
    asked = Telling(addresses=mine, when=frozenset(["failure"]))
    [warning] = teller.send_pending(asked, tmp_path / "store")
    assert "may have arrived" in warning
    assert len(hook.got) == 1
    assert box.pending() == names[1:]


def test_a_short_address_hides_no_word_of_the_records():
    """`ntfy://orders`: whoever has orders in the results still sees them."""
    assert address.forms("ntfy://orders") == ["ntfy://orders"]
    assert address.forms("ntfy://user:pass@orders")[1] == "user:pass@orders"


def test_a_store_that_refuses_loses_no_notice_of_a_living_process(
    tmp_path, hook, monkeypatch
):
    """It goes at once, and that a crash would lose it is said."""
    from nbflow._core.notice import Finished
    from nbflow._tell.teller import Teller
    from nbflow._tell.telling import Telling

    (tmp_path / "store").write_text("a file")
    asked = Telling(addresses=to(hook.url()), when=frozenset(["failure"]))
    who = Teller(asked, "job", tmp_path / "store")
    ended = Finished("job", 1, "Failed.")
    who.post(ended)
    assert who.send(ended)["notices"][0]["state"] == "sent"
    assert len(hook.got) == 1
    assert any("would not outlive a crash" in one for one in who.warnings)


def test_the_limits_hold_for_a_server_that_never_answers(hook):
    hook.answers = ["hang"]
    began = time.monotonic()
    [(_, answer)] = deliver(to(hook.url()), MESSAGE, Limits((), 0.5))
    assert answer.state == "unknown"
    assert time.monotonic() - began < 5


def test_words_of_the_message_are_not_taken_for_those_of_a_server(hook):
    message = Message("StepTimeoutError", "timed out; error=500", "", "failure")
    hook.answers = [403] * 3
    [(_, answer)] = deliver(to(hook.url()), message, QUICK)
    assert answer == ("refused", "it answered 403")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("json://a xml://b", ["json://a", "xml://b"]),
        ("json://a, xml://b,env:C", ["json://a", "xml://b", "env:C"]),
        ("slack://x/#a,#b", ["slack://x/#a,#b"]),
        ("  ", []),
    ],
)
def test_addresses_are_separated_by_blanks_or_commas(text, found):
    assert address.split(text) == found


def test_an_address_shows_nothing_of_itself():
    [one] = to("json://user:T0ken@host/T0ken")
    assert "T0ken" not in repr(one) + str(one) + one.fingerprint
    assert one.fingerprint == to("json://user:T0ken@host/T0ken")[0].fingerprint
