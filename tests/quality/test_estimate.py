"""Samples that people look at, and what is estimated of the whole run from them."""

import pandas as pd
import pytest

import nbflow as nf
from nbflow._core.decision import Decision
from nbflow._core.sample import digests
from nbflow.quality.estimation import Frame, Seen

EVENT = "e"
HELPERS = ["gpt-4o", "claude-3-5-haiku", "gemini-2.0-flash", "o3-mini"]


@pytest.fixture
def send(nb, complaints):
    """A recorded model, as sure as four others agree with it: ``send("o1")``."""

    def send(model="o1", records=complaints, failing=(), confidence=True):
        own = complaints[model]
        sure = sum((complaints[other] == own).astype(int) for other in HELPERS) / 4
        said = dict(zip(complaints["id"], zip(own, sure, strict=True), strict=True))

        @nf.flow(on=EVENT)
        def triage(complaint):
            if complaint["id"] in failing:
                raise nf.NonRetriableError("no answer")
            label, confident = said[complaint["id"]]
            return {"label": label, "confidence": confident if confidence else None}

        shown = [name for name in records.columns if name in ("id", "region", "text")]
        return nb.send(EVENT, records[shown], key="id")

    return send


@pytest.fixture
def decide(complaints):
    """Decides the first records of a review as they are: ``decide(review, 50)``."""
    true = dict(zip(complaints["id"].astype(str), complaints["product"], strict=True))

    def decide(review, number=None):
        for key in review.left[:number]:
            review.decide(key, true[key])
        return review

    return decide


# Drawing


def test_a_sample_is_drawn_within_labels_and_confidences_wherever_one_stops(send):
    """Every beginning has of each stratum its share, give or take one or two records."""
    run = send()
    results = run.results().set_index("id")
    shares = results["triage.label"].value_counts(normalize=True)
    for size in (50, 100, 200):
        review = nf.review(run, sample=size)
        drawn = results.loc[[int(key) for key in review.keys]]
        assert len(review.keys) == len(set(review.keys)) == size
        counts = drawn["triage.label"].value_counts()
        assert ((counts - size * shares).abs() <= 3).all()
        assert drawn["triage.confidence"].mean() == pytest.approx(
            results["triage.confidence"].mean(), abs=0.05
        )
    assert review.keys != sorted(review.keys, key=int)


def test_a_sample_is_gone_on_with_by_whoever_asks_and_grows(nb, send, decide):
    run = send()
    first = nf.review(run, sample=50, by="Ana")
    decide(first, 20)
    nb.forget()
    second = nf.review(nf.open_run(run.id), sample=80, by="Ben")
    assert second.keys[:50] == first.keys
    assert second.left == second.keys[20:]
    decide(second, 10)
    assert len(first.left) == 20
    assert nf.estimate(run).decided == 30


def test_what_was_decided_before_is_not_drawn_and_known(send, decide, complaints):
    run = send("gpt-4o-mini")
    decide(nf.review(run), 100)
    assert nf.evaluate(run).accuracy.value < 0.3
    review = decide(nf.review(run, sample=100, seed=1))
    found = nf.estimate(run)
    assert found.decided == 200
    assert found.accuracy.low < 0.691 < found.accuracy.high
    assert found.plain.value < 0.55
    assert "100 records decided before the sample was drawn: known" in repr(found)
    assert len(set(review.keys)) == 100


def test_records_that_look_the_same_are_drawn_once_and_count_for_all(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return "billing"

    records = [{"id": n, "text": f"text {n % 40}"} for n in range(400)]
    run = nb.send(EVENT, records, key="id")
    review = nf.review(run, sample=40, text="text", choices=["billing", "bug"])
    for key in review.keys:
        review.decide(key, "bug" if int(key) % 40 < 10 else "billing")
    found = nf.estimate(run)
    assert (found.records, found.decided) == (400, 40)
    assert found.accuracy == (0.75, 0.75, 0.75), "everything was looked at"
    assert found.shares.loc["bug", "estimated"] == pytest.approx(0.25)


#: One to ten records of each text, and 80 of one.
COPIES = {text: 80 if text == 7 else text % 10 + 1 for text in range(1, 1001)}


def test_a_text_with_all_its_copies_is_one_decision(copied, complaints):
    """A decision on 80 records tells as much as one on one record; a group has its own records alone."""
    run = copied("o1", COPIES)
    true = dict(zip(complaints["id"].astype(str), complaints["product"], strict=True))
    review = nf.review(run, sample=100, text="text")
    for key in review.keys:
        review.decide(key, true[key.partition("-")[0]])
    results = pd.DataFrame(run.results(reviewed=False))
    right = results["triage"] == results["text"].map(true)
    found = nf.estimate(run, of="region")
    assert (found.records, found.distinct, found.decided) == (5572, 1000, 100)
    assert found.accuracy.low < right.mean() < found.accuracy.high
    assert 0.06 < (found.accuracy.high - found.accuracy.low) / 2 < 0.1
    assert "4,572 records look like another one" in repr(found)
    assert found.needed(0.0001) <= 1000
    for region, alike in right.groupby(results["region"]):
        one = found.groups[region]
        assert one.records == len(alike)
        assert one.accuracy.low < alike.mean() < one.accuracy.high
    assert found.groups["a"].records < found.records / 2


def test_texts_with_many_copies_come_early(copied):
    """Records are drawn, and each brings its text: 80 copies are 80 chances."""
    review = nf.review(copied("o1", COPIES), sample=200, text="text")
    assert any(key.startswith("7-") for key in review.keys[:60])
    copies = [int(key.partition("-")[0]) % 10 + 1 for key in review.keys[:100]]
    assert sum(copies) / len(copies) > 6, "5.5 if each text were drawn alike"


def test_when_everything_is_decided_it_is_said_and_an_interval_is_a_point(send, decide):
    run = send()
    decide(nf.review(run, sample=1000))
    found = nf.estimate(run)
    assert found.is_complete
    assert found.accuracy == pytest.approx((0.777, 0.777, 0.777))
    assert "1,000 records, counted from 1,000 decisions" in repr(found)
    assert "Every record is decided: these are counts, and no chance is left." in repr(
        found
    )
    assert "Drawn at random" not in repr(found)
    assert found.needed(0.001) == 1000


def test_a_run_of_fewer_records_than_an_estimate_needs_is_counted(nb):
    @nf.step
    def label(text):
        return "spam"

    run = label.map(["a", "b", "c"])
    review = nf.review(run, sample=3)
    review.accept(review.keys[0])
    with pytest.raises(
        nf.UsageError, match=r"1 text of run .* decided, and an estimate needs 3"
    ):
        nf.estimate(run)
    for key in review.left:
        review.accept(key)
    assert nf.estimate(run).accuracy == (1.0, 1.0, 1.0)


def test_a_run_that_leaves_nothing_to_draw_or_has_no_records_says_so(nb, send, decide):
    run = send()
    decide(nf.review(run))
    for size in (10, "auto"):
        with pytest.raises(
            nf.UsageError, match="was decided before: there is nothing to draw"
        ):
            nf.review(run, sample=size)

    @nf.step
    def label(text):
        return "spam"

    empty = label.map([])
    with pytest.raises(
        nf.UsageError, match="has no records: there is nothing to estimate"
    ):
        nf.estimate(empty)
    with pytest.raises(
        nf.UsageError, match="has no records: there is nothing to evaluate"
    ):
        nf.evaluate(empty)


def test_the_page_says_of_what_it_shows_a_sample(copied):
    from nbflow.quality.review_widget import ReviewPage

    run, said = copied("o1", COPIES), []
    review = nf.review(run, sample=100, text="text")
    ReviewPage(review, said.append, lambda: None).take(
        {"t": "first", "view": "v", "n": 1}
    )
    assert said[0]["about"].startswith(
        "A sample, drawn at random from 5,572 records, 1,000 that look different."
    )
    assert nf.review(run).about == ""


def test_auto_asks_for_fifty_and_then_says_how_many_are_needed(send, decide):
    run = send()
    first = nf.review(run, sample="auto", width=0.05)
    assert len(first.keys) == 50
    assert "These 50 will say how many are needed." in repr(first)
    decide(first)
    then = nf.review(run, sample="auto", width=0.05)
    wanted = len(then.keys)
    assert 100 <= wanted <= 350
    assert f"{wanted} are needed for intervals of ±5 points" in then._repr_html_()
    decide(then)
    found = nf.estimate(run)
    assert found.accuracy.high - found.accuracy.low <= 0.125
    assert found.needed(0.1) == found.decided


def test_a_sample_is_good_for_another_prompt_of_the_same_records(send, decide):
    decide(nf.review(send("gpt-4o-mini"), sample=200))
    found = nf.estimate(send("o1"))
    assert found.decided == 200
    assert found.accuracy.low < 0.777 < found.accuracy.high


# Estimating


def test_shares_are_those_of_people_and_stand_beside_those_of_the_model(send, decide):
    run = send()
    decide(nf.review(run, sample=200))
    found = nf.estimate(run)
    assert found.accuracy.low < 0.777 < found.accuracy.high
    shares = found.shares
    assert shares["estimated"].sum() == pytest.approx(1)
    assert ((shares["low"] < 0.2) & (shares["high"] > 0.2)).all()
    assert shares.loc["credit_reporting", "counted"] == pytest.approx(0.271)
    assert shares[["precision", "recall"]].notna().all(axis=None)
    assert found.confusion.to_frame().to_numpy().sum() == pytest.approx(1000, abs=10)
    assert found.confusion.axes == ("true, estimated", "given")


def test_an_estimate_is_a_hand_worked_example_of_survey_sampling():
    """Two strata of 300 and 700; 3 of 10 and 8 of 20 right: (300*.3 + 700*.4)/1000 = .37."""

    def units(label, number, looked_at, right):
        for at in range(number):
            true = None if at >= looked_at else label if at < right else "x"
            yield Seen(1, (label, 0), true, {label: 1, None: 0}, is_known=False)

    frame = Frame([*units("a", 300, 10, 3), *units("b", 700, 20, 8)], anytime=False)
    right = frame.part(lambda one: float(one.label in one.given))
    assert frame.total(right) == pytest.approx(370)
    # By hand: 300^2 (1 - 10/300) .2346/10 + 700^2 (1 - 20/700) .2523/20, where the
    # variances lean by one unit towards (2.1 + 4.8)/28.
    assert frame._variance(right.sampled) ** 0.5 == pytest.approx(89.7, abs=0.01)


def test_groups_have_estimates_of_their_own_where_there_are_enough(
    send, decide, complaints
):
    region = ["north"] * 600 + ["south"] * 380 + ["sea"] * 20
    run = send(records=complaints.assign(region=region))
    decide(nf.review(run, sample=100))
    found = nf.estimate(run, of="region")
    assert list(found.groups) == ["north", "south"]
    assert found.groups["north"].records == 600
    ((name, (records, decided)),) = found.too_few.items()
    assert (name, records) == ("sea", 20)
    assert f"too few for an estimate: sea ({decided})." in repr(found)
    page = found._repr_html_()
    assert page.count("too few, 10 are needed") == 1
    assert page.count("sea") == 1
    by_first = nf.estimate(run, of=lambda row: row["triage.confidence"] == 1.0)
    assert set(by_first.groups) == {True, False}
    assert by_first.groups[True].accuracy.value > by_first.groups[False].accuracy.value
    assert list(found.to_frame().index.names) == ["group", "label"]


def test_what_is_looked_at_for_another_reason_spoils_nothing(send, decide):
    run = send("gpt-4o-mini")
    decide(nf.review(run, sample=100))
    before = nf.estimate(run)
    decide(nf.review(run), 60)
    after = nf.estimate(run)
    assert after.accuracy == before.accuracy
    assert "60 records looked at for another reason" in repr(after)
    decide(nf.review(run, sample=150))
    assert nf.estimate(run).decided == 150


def test_records_that_are_passed_over_are_said_and_bounded(send, decide, complaints):
    run = send()
    review = nf.review(run, sample=50)
    true = complaints.set_index(complaints["id"].astype(str))["product"]
    for at, key in enumerate(review.keys):
        if at % 5:
            review.decide(key, true[key])
    found = nf.estimate(run)
    assert found.decided == 40
    assert "10 records of the sample passed over" in repr(found)
    assert "with all of them wrong, accuracy is" in repr(found)


def test_people_who_differ_and_decisions_that_lapsed_are_said(
    nb, send, decide, complaints
):
    texts = complaints.assign(text=[f"text {n}" for n in complaints["id"]])
    run = send(records=texts)
    review = nf.review(run, sample=50, text="text", by="Ana")
    decide(review)
    other = nf.review(run, where=review.keys[:2], text="text", by="Ben")
    for key in other.keys:
        other.decide(key, "credit_card")
    assert "People differ on" in repr(nf.estimate(run))
    changed = texts.copy()
    changed.loc[changed["id"] == int(review.keys[0]), "text"] = "something else"
    with pytest.raises(nf.UsageError, match="are no sample"):
        nf.estimate(send(records=changed))
    again = send(records=changed)
    decide(nf.review(again, sample=20, text="text"))
    assert "1 decision lapsed" in repr(nf.estimate(again))


def test_records_without_an_answer_are_in_the_shares_and_not_in_the_accuracy(
    send, decide
):
    run = send(failing=set(range(1, 101)))
    decide(nf.review(run, sample=100))
    found = nf.estimate(run)
    assert (found.records, found.answered) == (1000, 900)
    assert "100 records (100 failed) without an answer" in repr(found)
    assert found.shares["estimated"].sum() == pytest.approx(1)
    assert found.accuracy.low < 0.777 < found.accuracy.high


def test_one_label_and_no_confidence_will_do(nb):
    @nf.step
    def label(text):
        return "spam"

    run = label.map([f"text {n}" for n in range(100)])
    review = nf.review(run, sample=30)
    for key in review.keys:
        review.accept(key)
    found = nf.estimate(run)
    assert found.accuracy.value == 1.0 > found.accuracy.low > 0.85
    assert "One label is all" in repr(found)
    assert "nan" not in repr(found).split("label")[0]
    assert ">nan" not in found._repr_html_()


def test_everything_decided_needs_no_sample(send, decide):
    run = send()
    decide(nf.review(run))
    assert nf.estimate(run).accuracy == pytest.approx((0.777, 0.777, 0.777))


def test_intervals_for_looking_again_are_wider(send, decide):
    run = send()
    decide(nf.review(run, sample=100))
    once, always = nf.estimate(run), nf.estimate(run, anytime=True)
    assert always.accuracy.low < once.accuracy.low < once.accuracy.high
    assert "however often one looks" in repr(always)


def test_labels_and_groups_become_no_html(nb):
    @nf.flow(on=EVENT)
    def triage(record):
        return "<script>x</script>"

    run = nb.send(EVENT, [{"id": n, "g": "<img src=x>"} for n in range(30)], key="id")
    review = nf.review(run, sample=20)
    for key in review.keys:
        review.accept(key)
    page = nf.estimate(run, of="g")._repr_html_() + review._repr_html_()
    assert "<script" not in page
    assert "<img" not in page


# What is refused


def test_a_run_without_decisions_says_how_to_get_some(send):
    with pytest.raises(nf.UsageError, match="Nobody has decided anything"):
        nf.estimate(send())


def test_decisions_of_another_run_and_those_of_no_sample_say_so(
    send, decide, complaints
):
    one = send(records=complaints[:500])
    decide(nf.review(one), 12)
    with pytest.raises(nf.UsageError, match=r"The 12 decisions .* are no sample"):
        nf.estimate(one)
    with pytest.raises(nf.UsageError, match="about other records than those of run"):
        nf.estimate(send(records=complaints[500:]))


def test_too_few_decisions_are_said(send, decide):
    run = send()
    decide(nf.review(run, sample=50), 9)
    with pytest.raises(nf.UsageError, match="an estimate needs 10"):
        nf.estimate(run)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample": 1001}, r"sample=1,001 is more than there is to draw from: 1,000"),
        ({"sample": 0}, "sample=0 has to be a number of records"),
        ({"sample": True}, "sample=True has to be a number"),
        ({"sample": "all"}, "sample='all' has to be a number"),
        ({"sample": 10, "where": ["1"]}, "where= and sample= both say"),
        ({"sample": 10, "width": 0.1}, 'width= goes with sample="auto"'),
        ({"width": 0.1}, 'width= says how many records sample="auto"'),
        ({"sample": "auto", "width": 3}, "width=3 has to be a share"),
        ({"sample": 10, "choices": "billing"}, "choices='billing' has to be a list"),
        ({"sample": 10, "confidence": [0.5]}, "confidence= has 1 numbers"),
    ],
    ids=str,
)
def test_a_sample_that_cannot_be_drawn_says_why(send, options, said):
    with pytest.raises(nf.UsageError, match=said):
        nf.review(send(), **options)


@pytest.mark.parametrize(
    ("of", "said"),
    [("nothing", "of='nothing' is not a column"), (7, "of=7 has to be a column")],
)
def test_groups_that_are_none_say_so(send, decide, of, said):
    run = send()
    decide(nf.review(run, sample=10))
    with pytest.raises(nf.UsageError, match=said):
        nf.estimate(run, of=of)


def test_an_estimate_takes_a_run():
    with pytest.raises(nf.UsageError, match="takes a run"):
        nf.estimate(pd.DataFrame())


# What is kept


def test_how_it_was_drawn_is_kept_with_the_sample(send, decide):
    run = send()
    decide(nf.review(run), 5)
    review = nf.review(run, sample=20, by="Ana")
    (sample,) = run.engine.samples.all()
    assert (sample.run, sample.by, sample.seed) == (run.id, "Ana", 0)
    assert len(sample.units) == sum(size for *_, size in sample.strata) == 995
    assert len(sample.known_units) == 5
    decide(review, 1)
    made = max(run.engine.decisions.all(), key=lambda one: one.at)
    assert made.why == f"sample:{sample.id}"


def test_decisions_of_older_versions_are_read():
    """They say nothing of why a record was looked at."""
    import msgspec

    old = ("triage", "label", (), bytes(20), "bug", None, "ana", 1.0, "1", "r")
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Decision)
    assert (read.label, read.why) == ("bug", "")
    assert digests(bytes(40)) == [bytes(20)] * 2
