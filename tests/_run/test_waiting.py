"""Records that wait in their flows: for a time, an event, an answer."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import nbflow as nf
import nbflow.testing

RECORDS = [{"n": 1}, {"n": 2}]


@pytest.fixture
def nb():
    with nbflow.testing.isolated() as nb:
        yield nb


@pytest.fixture
def step():
    @nf.step
    def first(n):
        return n * 10

    return first


def send(flow, records=RECORDS, **options):
    return nf.send(next(iter(flow.events)), records, key="n", **options)


class TestSleep:
    def test_it_holds_the_record_until_its_time_has_come(self, nb, step):
        @nf.flow(on="s")
        def flow(record):
            done = step(record["n"])
            nf.sleep("2 days")
            return done

        run = send(flow)
        assert run.state == "WAITING"
        assert run.counts == {"flow": {"WAITING": 2}}
        assert run.resume().state == "WAITING"
        nb.advance("47 h")
        assert run.resume().state == "WAITING"
        nb.advance("1 h")
        assert run.resume().state == "COMPLETED"
        assert run.results("flow") == [10, 20]
        assert nb.calls == ["first", "first"]

    def test_its_length_may_change_and_counts_from_its_beginning(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.sleep("2 days")
            return record["n"]

        send(flow)
        nb.advance("2 days")

        @nf.flow(on="s")
        def flow(record):
            nf.sleep("3 days")
            return -record["n"]

        run = send(flow)
        assert run.state == "WAITING"
        nb.advance("1 day")
        assert run.resume().results("flow") == [-1, -2]

    def test_each_of_several_has_its_own_time(self, nb):
        @nf.flow(on="s")
        def flow(record):
            for _ in range(3):
                nf.sleep("1 h")
            return record["n"]

        run = send(flow)
        for _ in range(2):
            nb.advance("1 h")
            assert run.resume().state == "WAITING"
        nb.advance("1 h")
        assert run.resume().state == "COMPLETED"

    def test_until_a_moment(self, nb):
        moment = datetime.now(UTC) + timedelta(hours=5)

        @nf.flow(on="s")
        def flow(record):
            nf.sleep(until=moment)
            nf.sleep(until=moment - timedelta(days=1))
            return record["n"]

        run = send(flow)
        nb.advance("4 h")
        assert run.resume().state == "WAITING"
        nb.advance("1 h")
        assert run.resume().state == "COMPLETED"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({}, "a duration or until="),
            ({"duration": 1, "until": datetime.now(UTC)}, "a duration or until="),
            ({"duration": "soon"}, "is not a duration"),
            ({"duration": -1}, "is not a duration"),
            ({"until": datetime(2026, 1, 1)}, "no time zone"),  # the fault
            ({"until": "tomorrow"}, "a datetime with a time zone"),
            ({"duration": 1, "name": ""}, "name='' has to be text"),
            ({"duration": float("inf")}, "more than a hundred years"),
            ({"duration": timedelta.max}, "more than a hundred years"),
            ({"until": datetime.max.replace(tzinfo=UTC)}, "more than a hundred years"),
        ],
    )
    def test_what_is_no_time_is_refused(self, arguments, said):
        with pytest.raises(nf.UsageError, match=said):
            nf.sleep(**arguments)


class TestAnywhereElse:
    def test_outside_a_run_a_wait_is_refused(self):
        with pytest.raises(nf.UsageError, match="a flow that a run sees through"):
            nf.sleep(1)

    def test_a_flow_that_is_called_by_hand_cannot_wait(self):
        @nf.flow(on="s")
        def flow(record):
            nf.ask("Go?")

        with pytest.raises(nf.UsageError, match=r"nf\.ask\(\) waits in a flow"):
            flow({"n": 1})

    @pytest.mark.usefixtures("nb")
    def test_in_a_step_it_is_refused_and_the_step_is_named(self):
        @nf.step
        def slow(n):
            nf.sleep("1 day")

        @nf.flow(on="s")
        def flow(record):
            slow(record["n"])

        run = send(flow)
        assert run.state == "FAILED"
        assert "called in step 'slow'" in run.failures()["message"][0]


class TestAsk:
    @pytest.fixture
    def flow(self):
        @nf.flow(on="a")
        def flow(record):
            choices = ["send", "drop"]
            return nf.ask("Send it?", show=f"draft {record['n']}", choices=choices)

        return flow

    def test_the_first_answer_counts_and_the_second_is_told(self, nb, flow):
        run = send(flow)
        assert run.answer(1, "send", by="ann").resume().state == "WAITING"
        with pytest.raises(nf.UsageError, match="'1' was answered 'send' by ann at"):
            run.answer(1, "drop")
        run.answer(2, "drop", by="ann")
        with pytest.raises(nf.UsageError, match="was answered 'drop' by ann at"):
            run.answer(2, "send", by="ben")
        assert run.resume().results("flow") == ["send", "drop"]

    def test_who_answered_is_in_the_ledger(self, nb, flow):
        run = send(flow)
        run.answer(1, "send", by="ann").resume()
        view = run.inspect(1)["flow"]["ask"]
        assert (view.output, view.why) == ("send", "answered by ann")
        assert nf.open_run(run.id).inspect(1)["flow"]["ask"].why == "answered by ann"

    def test_who_answers_is_the_user_that_reviews_name_too(self, nb, flow, monkeypatch):
        monkeypatch.setenv("JUPYTERHUB_USER", "cleo")
        run = send(flow).answer(1, "send").resume()
        assert run.inspect(1)["flow"]["ask"].why == "answered by cleo"

    def test_what_is_asked_is_a_frame(self, nb, flow):
        run = send(flow, pd.DataFrame(RECORDS))
        asked = run.waiting()
        assert asked["record"].tolist() == ["1", "2"]
        assert asked["show"].tolist() == ["draft 1", "draft 2"]
        assert asked["choices"].tolist() == [["send", "drop"]] * 2
        assert set(asked["kind"]) == {"answer"}
        assert asked["since"][0] < pd.Timestamp.now("UTC")
        assert asked["until"].isna().all()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((3, "send"), "has no record '3'"),
            ((1, "perhaps"), "'perhaps' is no answer to 'Send it\\?'; they are 'send'"),
        ],
    )
    def test_what_is_no_answer_is_refused(self, nb, flow, arguments, said):
        with pytest.raises(nf.UsageError, match=said):
            send(flow).answer(*arguments)

    def test_an_answer_counts_for_what_was_shown(self, nb):
        def made(text):
            @nf.flow(on="a")
            def flow(record):
                return nf.ask("Send it?", show=text)

            return flow

        run = send(made("Dear Ann"))
        run.answer(1, "yes").answer(2, "yes").resume()
        again = send(made("Dear Ben"))
        assert again.state == "WAITING"
        assert send(made("Dear Ann")).results("flow") == ["yes", "yes"]

    def test_time_is_up(self, nb):
        @nf.flow(on="a")
        def flow(record):
            default = {} if record["n"] == 1 else {"default": "drop"}
            return nf.ask("Send it?", choices=["drop"], timeout="1 h", **default)

        run = send(flow)
        nb.advance("1 h")
        run.resume()
        assert run.counts == {"flow": {"TIMED_OUT": 1, "COMPLETED": 1}}
        assert "No answer came within timeout=3600 s" in run.failures()["message"][0]
        assert run.results("flow")[1] == "drop"

    def test_a_question_whose_time_was_up_is_asked_again_by_a_rerun(self, nb):
        @nf.flow(on="a")
        def flow(record):
            return nf.ask("Send it?", timeout="1 h")

        run = send(flow, RECORDS[:1])
        nb.advance("1 h")
        assert run.resume().state == "FAILED"
        assert run.rerun_failed().state == "WAITING"
        assert run.answer(1, "yes").resume().results("flow") == ["yes"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"question": ""}, "text that a person reads"),
            ({"question": "?", "choices": "yes"}, "is one text"),
            ({"question": "?", "choices": []}, "one or more"),
            ({"question": "?", "choices": ["a", "a"]}, "one text twice"),
            ({"question": "?", "choices": [1]}, "a list of texts"),
            ({"question": "?", "choices": None}, "a list of texts"),
            ({"question": "?", "default": "no"}, "it needs timeout="),
        ],
    )
    def test_what_is_no_question_is_refused(self, arguments, said):
        with pytest.raises(nf.UsageError, match=said):
            nf.ask(**arguments)


class TestWaitFor:
    @pytest.fixture
    def flow(self):
        @nf.flow(on="w")
        def flow(record):
            match = {"thread.id": record["n"]}
            return nf.wait_for("reply", match=match, timeout="1 h", default=None)

        return flow

    def test_the_first_event_that_matches_is_what_the_record_gets(self, nb, flow):
        run = send(flow)
        nf.emit("reply", {"thread": {"id": 2}, "text": "one"})
        nf.emit("reply", {"thread": {"id": 2}, "text": "two"})
        nf.emit("reply", {"thread": {"id": "1"}, "text": "of another type"})
        nf.emit("other", {"thread": {"id": 1}})
        assert run.resume().counts == {"flow": {"WAITING": 1, "COMPLETED": 1}}
        assert run.results("flow")[1]["text"] == "one"
        nb.advance("1 h")
        assert run.resume().results("flow")[0] is None

    def test_an_event_from_before_is_found_if_the_user_says_since_when(self, nb):
        nf.emit("reply", {"n": 1})
        nb.advance("1 h")
        nf.emit("reply", {"n": 2})

        def made(since):
            @nf.flow(on="w")
            def flow(record):
                return nf.wait_for("reply", match={"n": record["n"]}, since=since)

            return flow

        assert send(made(None)).counts == {"flow": {"WAITING": 2}}
        assert send(made("30 min"), RECORDS).counts == {
            "flow": {"WAITING": 1, "COMPLETED": 1}
        }
        assert send(made(datetime(2026, 1, 1, tzinfo=UTC))).state == "COMPLETED"

    def test_one_id_is_one_event(self, nb, flow):
        run = send(flow)
        for text in ("one", "two"):
            assert nf.emit("reply", {"thread": {"id": 1}, "text": text}, id="e") == "e"
        assert run.resume().results("flow")[0]["text"] == "one"

    def test_a_second_wait_takes_the_next_event(self, nb):
        @nf.flow(on="w")
        def flow(record):
            return [nf.wait_for("reply")["text"] for _ in range(2)]

        run = send(flow, RECORDS[:1])
        nf.emit("reply", {"text": "one"})
        run.resume()
        nf.emit("reply", {"text": "two"})
        assert run.resume().results("flow") == [["one", "two"]]

    def test_each_wait_takes_the_next_event_however_they_came(self, nb):
        """Before the first wait, with since=, or all while it was open."""

        @nf.flow(on="w")
        def flow(record):
            return [nf.wait_for("m", since="1h")["v"] for _ in range(3)]

        for v in (1, 2, 3):
            nf.emit("m", {"v": v})
        assert send(flow, RECORDS[:1]).results("flow") == [[1, 2, 3]]

        @nf.flow(on="w")
        def flow(record):
            return [nf.wait_for("later")["v"] for _ in range(3)]

        run = send(flow, RECORDS[:1])
        for v in (1, 2, 3):
            nf.emit("later", {"v": v})
        assert run.resume().results("flow") == [[1, 2, 3]]

    def test_a_field_that_the_latest_event_lacks_is_said(self, nb):
        @nf.flow(on="w")
        def flow(record):
            nf.wait_for("reply", match={"thred": 1})

        nf.emit("reply", {"thread": 1})
        run = send(flow, RECORDS[:1])
        (remark,) = run.table().remarks
        assert "matches on 'thred', which the latest event of that name does" in remark
        assert remark.endswith("it has 'thread'.")

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"event": " "}, "is no name of an event"),
            ({"event": "e", "match": {"a": []}}, "text, a number"),
            ({"event": "e", "match": {1: 2}}, "a field is text"),
            ({"event": "e", "match": {"a..b": 2}}, "a field is text"),
            ({"event": "e", "match": {"a": float("nan")}}, "text, a number"),
            ({"event": "e", "match": "a"}, "a dict of fields and values"),
            ({"event": "e\n"}, "is no name of an event"),
            (
                {"event": "e", "since": datetime(2026, 1, 1)},
                "no time zone",
            ),  # the fault
        ],
    )
    def test_what_is_no_event_is_refused(self, arguments, said):
        with pytest.raises(nf.UsageError, match=said):
            nf.wait_for(**arguments)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("", {}), "is no name of an event"),
            (("e", [1]), "the record is a dict"),
            (("e", {}, 5), "id=5 has to be text"),
        ],
    )
    def test_what_cannot_be_emitted_is_refused(self, nb, arguments, said):
        event, record, *rest = arguments
        with pytest.raises(nf.UsageError, match=said):
            nf.emit(event, record, **({"id": rest[0]} if rest else {}))


class TestTheFlow:
    def test_an_async_flow_waits_with_and_without_await(self, nb, step):
        @nf.flow(on="s")
        async def flow(record):
            done = await asyncio.gather(*[step.aio(record["n"] + k) for k in (0, 1)])
            await nf.sleep("1 h")
            nf.sleep("1 h")
            first = await nf.ask("A?")
            second = nf.ask("B?", choices=["b"])
            return [*done, first, second]

        run = send(flow, RECORDS[:1])
        for _ in range(2):
            nb.advance("1 h")
            run.resume()
        run.answer(1, "yes").resume().answer(1, "b").resume()
        assert run.results("flow") == [[10, 20, "yes", "b"]]

    def test_one_that_catches_everything_waits_nevertheless(self, nb):
        @nf.flow(on="s")
        def flow(record):
            try:
                nf.sleep("1 h")
            except BaseException:  # what is tested
                return "caught"
            return "slept"

        run = send(flow)
        assert run.state == "WAITING"
        nb.advance("1 h")
        assert run.resume().results("flow") == ["slept", "slept"]

    def test_an_edit_keeps_what_was_waited_for(self, nb, step):
        @nf.flow(on="s")
        def flow(record):
            step(record["n"])
            nf.sleep("1 h")
            return nf.ask("Send?")

        run = send(flow)
        nb.advance("1 h")
        run.resume().answer(1, "yes")

        @nf.flow(on="s")
        def flow(record):
            """Another text, a new step before the question, and the sleep is gone."""
            return step(record["n"]), nf.ask("Send?"), "edited"

        again = send(flow)
        assert again.counts == {"flow": {"COMPLETED": 1, "WAITING": 1}}
        assert not again.table().remarks
        assert again.results("flow")[0] == (10, "yes", "edited")
        assert nb.calls == ["first", "first"]

    def test_a_wait_that_is_gone_from_the_code_is_dropped_and_said(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.sleep("1 h")
            return "slept"

        run = send(flow)
        nb.advance("1 h")

        @nf.flow(on="s")
        def flow(record):
            return "edited"

        assert run.resume().results("flow") == ["edited", "edited"]
        (remark,) = run.table().remarks
        assert remark.startswith(
            "A record that waited in flow 'flow' did not come back"
        )
        assert remark.endswith("(2 times)")

    def test_an_edited_flow_continues_a_run_whose_event_never_came(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.wait_for("old")

        run = send(flow)

        @nf.flow(on="s")
        def flow(record):
            return "edited"

        assert run.resume().results("flow") == ["edited", "edited"]

    def test_flows_of_one_name_on_two_events_share_no_wait(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.sleep(0)

        send(flow)

        @nf.flow(on="t")
        def flow(record):
            nf.sleep("1 h")

        assert nf.send("t", RECORDS, key="n").state == "WAITING"

    def test_sleeps_are_awaited_together_in_an_async_flow(self, nb):
        @nf.flow(on="s")
        async def flow(record):
            await asyncio.gather(nf.sleep("1 h"), nf.sleep("2 h"))
            return record["n"]

        run = send(flow)
        for _ in range(2):
            nb.advance("2 h")
            run.resume()
        assert run.results("flow") == [1, 2]

    def test_a_plan_says_that_records_wait(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.sleep("1 h")

        send(flow)
        assert "they wait in an earlier run" in str(nf.plan("s", RECORDS, key="n"))

    def test_a_run_with_failures_and_waits_is_partial(self, nb):
        @nf.flow(on="s")
        def flow(record):
            if record["n"] == 1:
                raise nf.NonRetriableError("no")
            nf.sleep("1 h")

        run = send(flow)
        assert run.state == "PARTIAL"
        nb.advance("1 h")
        assert run.resume().counts == {"flow": {"FAILED": 1, "COMPLETED": 1}}

    def test_cancelling_ends_the_waits_and_a_rerun_goes_back_to_them(self, nb):
        @nf.flow(on="s")
        def flow(record):
            nf.sleep("1 h")

        run = send(flow).cancel()
        assert (run.state, run.counts) == ("CANCELLED", {"flow": {"CANCELLED": 2}})
        assert run.rerun_failed().state == "WAITING"

    def test_two_records_with_one_content_wait_once(self, nb):
        @nf.flow(on="s")
        def flow(record):
            return nf.ask(f"Send {record['text']}?")

        run = nf.send("s", [{"text": "a"}, {"text": "a"}])
        assert run.counts == {"flow": {"WAITING": 2}}
        run.answer("0", "yes").resume()
        assert "WAITING" not in run.counts["flow"]
        assert not run.table().remarks

    def test_the_table_says_what_for(self, nb, step):
        @nf.flow(on="s")
        def flow(record):
            step(record["n"])
            return nf.ask("Send?")

        run = send(flow)
        said = str(run)
        assert "0 of 2 records done, 2 wait (for an answer)" in said
        assert "‖ waiting" in said
        assert "WAITING" in str(run.results())


PROGRAM = """
import sys, time, nbflow as nf
nf.use(sys.argv[1])
log = open(sys.argv[2], "a", buffering=1)

@nf.step
def first(n):
    log.write(f"first {n}\\n")
    return n

@nf.flow(on="s")
def flow(record):
    first(record["n"])
    nf.sleep(0.3)
    return nf.ask("Send?")

run = nf.send("s", [{"n": n} for n in range(20)], key="n")
print(run.id, run.state, flush=True)
if sys.argv[3] == "die":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(float(sys.argv[3]))
print(run.state, run.counts)
"""


def program(tmp_path, last):
    arguments = [str(tmp_path / "store"), str(tmp_path / "log"), last]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_what_waited_in_a_killed_process_goes_on_in_the_next_and_repeats_nothing(
    tmp_path,
):
    killed = program(tmp_path, "die")
    assert killed.returncode == -9
    run = killed.stdout.split()[0]
    nf.use(tmp_path / "store")
    assert nf.open_run(run).state == "WAITING"
    time.sleep(0.4)
    again = program(tmp_path, "0")
    assert "{'flow': {'WAITING': 20}}" in again.stdout
    assert sorted((tmp_path / "log").read_text().split("\n")[:-1]) == sorted(
        f"first {n}" for n in range(20)
    )
    here = nf.open_run(again.stdout.split()[0])
    here.answer(3, "yes", by="ann")
    third = program(tmp_path, "0")
    assert "{'flow': {'COMPLETED': 1, 'WAITING': 19}}" in third.stdout


def test_the_kernel_goes_on_by_itself(tmp_path):
    """With the clock, and with an answer that another process gives."""
    log = tmp_path / "log"
    log.touch()
    arguments = [str(tmp_path / "store"), str(log), "4"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
    )
    run, state = process.stdout.readline().split()
    assert state == "WAITING"
    nf.use(tmp_path / "store")
    deadline = time.monotonic() + 20
    while "Send?" not in set(nf.open_run(run).waiting()["what"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    nf.open_run(run).answer(5, "no", by="ben")
    out, _ = process.communicate(timeout=60)
    assert "{'flow': {'COMPLETED': 1, 'WAITING': 19}}" in out
    assert nf.open_run(run).inspect(5)["flow"]["ask"].why == "answered by ben"


class TestTheStore:
    @pytest.fixture
    def flow(self):
        @nf.flow(on="m")
        def flow(record):
            reply = nf.wait_for("reply", match={"n": record["n"]})
            return nf.ask("Send?", show=f"draft for {record['who']}: {reply['text']}")

        return flow

    def test_a_person_is_erased_from_what_waits_and_from_the_inbox(
        self, tmp_path, flow
    ):
        nf.use(tmp_path / "store")
        records = [{"n": 1, "who": "Marker"}, {"n": 2, "who": "Somebody"}]
        run = nf.send("m", records, key="n", keep_records=True)
        for n in (1, 2):
            nf.emit("reply", {"n": n, "text": f"from {['Marker', 'else'][n - 1]}"})
        run.resume().answer(1, "yes", by="Marker")
        run.resume()
        run.reader.runs.alarm = None
        erased = nf.store.erase(text="Marker")
        assert erased.events == 2
        assert not erased.left
        assert nf.store.check().is_sound
        for file in (tmp_path / "store").rglob("*"):
            assert not file.is_file() or b"Marker" not in file.read_bytes()
        again = nf.open_run(run.id)
        assert again.waiting()["record"].tolist() == ["2"]

    def test_answers_and_events_that_it_took_are_erased_with_the_record(
        self, tmp_path, flow
    ):
        nf.use(tmp_path / "store")
        run = nf.send("m", [{"n": 1, "who": "x"}], key="n")
        run.reader.runs.alarm = None
        nf.emit("reply", {"n": 1, "text": "hello"})
        run.resume().answer(1, "yes")
        erased = nf.store.erase(record="1")
        assert erased.events == 2
        assert nf.store.info().events == 0

    def test_an_event_that_nobody_took_and_that_names_the_record_is_said(
        self, tmp_path, flow
    ):
        nf.use(tmp_path / "store")
        run = nf.send("m", [{"n": 1, "who": "x"}], key="n")
        run.reader.runs.alarm = None
        nf.emit("other", {"n": 1, "text": "hello"})
        erased = nf.store.erase(record="1")
        assert erased.events == 0
        assert "1 event in the inbox mentions '1'" in str(erased)

    def test_who_is_erased_does_not_come_back_when_her_wait_is_over(self, tmp_path):
        nf.use(tmp_path / "store")
        calls = []

        @nf.step
        def draft(who):
            calls.append(who)
            return f"to {who}"

        @nf.flow(on="m")
        def flow(record):
            draft(record["who"])
            nf.sleep(0.5)
            return record["who"]

        run = nf.send("m", [{"n": 1, "who": "Marker"}], key="n")
        nf.store.erase(record="1")
        assert run.state == "CANCELLED"
        time.sleep(1.5)
        assert calls == ["Marker"]
        for file in (tmp_path / "store").rglob("*"):
            assert not file.is_file() or b"Marker" not in file.read_bytes()

    def test_old_events_are_pruned_but_not_while_records_wait(self, tmp_path, flow):
        nf.use(tmp_path / "store")
        nf.emit("nobody", {"n": 1})
        run = nf.send("m", [{"n": 1, "who": "x"}], key="n")
        run.reader.runs.alarm = None
        time.sleep(0.01)
        assert nf.store.prune(older_than=0.001).events == 0
        run.cancel()
        pruned = nf.store.prune(older_than=0.001)
        assert pruned.events == 1
        assert "inbox    1 event" in str(pruned)
        assert nf.store.info().events == 0

    def test_a_run_that_waits_is_not_pruned_and_what_it_waits_for_stays(
        self, tmp_path, flow
    ):
        nf.use(tmp_path / "store")
        run = nf.send("m", [{"n": 1, "who": "x"}], key="n")
        run.reader.runs.alarm = None
        time.sleep(0.01)
        pruned = nf.store.prune(older_than=0.001, keep_runs=0)
        assert not pruned.runs
        nf.emit("reply", {"n": 1, "text": "hello"})
        assert run.resume().waiting()["what"].tolist() == ["Send?"]

    def test_an_event_that_was_changed_is_no_event_and_check_says_so(self, tmp_path):
        nf.use(tmp_path / "store")
        nf.emit("reply", {"n": 1})
        nf.emit("reply", {"n": 2})
        file = tmp_path / "store" / "inbox" / "events.db"
        with sqlite3.connect(file) as con:
            con.execute("UPDATE arrivals SET id = 'forged' WHERE number = 1")
        checked = nf.store.check()
        assert any("event 1 in events.db" in one for one in checked.problems)
        assert nf.store.check(repair=True).problems
        assert nf.store.check().is_sound
