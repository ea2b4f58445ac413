"""The test for a shift of labels finds shifts, and is seldom alarmed where nothing has changed."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from nbflow.quality import drift

nights_of = pytest.importorskip(
    "benchmarks.drift"
)  # an installed nbflow comes without it


def alarms(world, size, *, earlier=7, nights=1000):
    source = np.random.default_rng([size, earlier])
    made = (nights_of.WORLDS[world](source, size, earlier + 1) for _ in range(nights))
    return sum(map(nights_of.is_alarmed, made))


@pytest.mark.parametrize(
    ("world", "size"),
    [
        ("independent, 7 labels", 30),
        ("independent, 7 labels", 400),
        ("independent, 7 labels", 10_000),
        ("independent, 30 labels", 400),
        ("independent, rare labels", 2000),
        ("two of three records stay", 400),
        ("copies come together", 30),
        ("copies come together", 100),
    ],
)
def test_in_a_thousand_nights_without_a_change_there_is_hardly_an_alarm(world, size):
    assert alarms(world, size) <= 3


@pytest.mark.parametrize(
    ("world", "size", "most"),
    [
        ("nights vary, effect 5", 400, 1),
        ("bursts of 20", 400, 4),
        ("two days a week differ", 2000, 1),
        ("a slow swing", 2000, 1),
    ],
)
def test_nights_that_differ_anyway_are_known_from_earlier_ones(world, size, most):
    assert alarms(world, size, nights=300) <= most
    # With one earlier night nobody knows how much they differ: Fisher's test alone.
    alone = alarms(world, size, nights=300, earlier=1)
    assert alone > most or world == "a slow swing"


def test_copies_that_come_together_are_no_shift_even_on_the_second_night():
    """The same nights are shifted in most cases if nobody knows that the records are copies."""
    source, known, unknown = np.random.default_rng(1), 0, 0
    for _ in range(200):
        counts, clusters = nights_of.copied(source, 200, 2)
        known += nights_of.is_alarmed((counts, clusters))
        unknown += nights_of.is_alarmed(counts)
    assert known <= 1
    assert unknown > 100


def test_a_burst_of_copies_is_as_one_record_and_each_one_alone_is_as_many():
    last, now = {"bug": 400}, {"bug": 340, "outage": 60}
    before = [{"bug": 1}] * 400
    burst = [{"bug": 1}] * 340 + [{"outage": 60}]
    alone = [{"bug": 1}] * 340 + [{"outage": 1}] * 60
    shift = drift.shifts([[last]], now, (before, burst))[1]
    assert (shift.label, shift.now) == ("outage", (60, 400))
    assert shift.p > 0.01
    assert drift.shifts([[last]], now, (before, alone)) == drift.shifts([[last]], now)
    assert drift.shifts([[last]], now)[1].is_rare
    # Copies that were labelled otherwise each time are as many.
    mixed = [{"bug": 10, "outage": 10}] * 20
    effects = drift.copies_effects(mixed, {"bug": 0.5, "outage": 0.5})
    assert effects == {"bug": 1.0, "outage": 1.0}


def test_a_shift_that_was_accepted_is_not_how_nights_vary():
    before = [{"a": 80 + n, "b": 320 - n} for n in range(4)]
    after = [{"a": 160 + n, "b": 240 - n} for n in range(3)]
    now = {"a": 220, "b": 180}
    assert drift.shifts([before, after], now)[0].is_rare
    assert not drift.shifts([before + after], now)[0].is_rare
    assert drift.freedom([before, after]) == 5
    assert drift.design_effects([before, after], ["a", "b"]) == [1.0, 1.0]


def test_a_shift_that_is_one_is_found():
    assert alarms("19.6 % to 31.2 %", 2000, nights=100) >= 95


def test_a_shift_says_how_far_and_how_rare():
    (billing, bug) = drift.shifts(
        [[{"billing": 78, "bug": 322}]], {"billing": 125, "bug": 275}
    )
    assert (billing.before, billing.now) == ((78, 400), (125, 400))
    assert billing.move == pytest.approx(0.1175)
    assert billing.p == pytest.approx(0.000177, rel=0.01)
    assert bug.p == pytest.approx(billing.p)
    assert billing.is_rare
    first, _ = drift.most_shifted([billing, bug])
    assert first.p == pytest.approx(2 * billing.p)
    assert drift.chance(billing.p) == (
        "by chance that happens in fewer than 1 of 1,000 nights"
    )
    assert drift.chance(0.02) == "by chance that happens in 1 of 50 nights"
    assert drift.chance(0.7) == "by chance that happens in most nights"


def test_a_label_that_came_or_went_and_one_that_neither_night_has_are_no_trouble():
    nights = [{"old": 10}, {"bug": 400}]
    found = {shift.label: shift for shift in drift.shifts([nights[1:]], {"new": 400})}
    assert found["new"].before == (0, 400)
    assert found["bug"].now == (0, 400)
    assert found["new"].is_rare
    assert found["bug"].is_rare
    both = drift.shifts([[{"rare": 1, "bug": 9}, {"bug": 10}]], {"bug": 10})
    assert {shift.label: shift.p for shift in both} == {"bug": 1.0, "rare": 1.0}
    assert [shift.label for shift in drift.most_shifted(both)] == ["bug"]


@pytest.mark.parametrize(
    "table",
    [(125, 400, 78, 400), (0, 10, 5, 10), (10, 10, 0, 10), (1, 10**6, 14, 10**6)],
)
def test_the_exact_test_is_that_of_scipy_where_both_nights_have_as_many_records(table):
    some, total, others, total_others = table
    known = fisher_exact([[some, total - some], [others, total_others - others]])
    assert drift.fisher(*table) == pytest.approx(known.pvalue, rel=1e-6)


def test_two_nights_of_which_one_is_empty_say_nothing():
    assert drift.fisher(0, 0, 3, 10) == 1.0
    assert drift.shifts([[{}]], {"bug": 3})[0].p == 1.0
