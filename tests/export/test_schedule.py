"""A schedule means the same to every target, or is refused with the reason and what to write."""

from datetime import UTC, datetime

import pytest

import nbflow as nf
from nbflow.export.schedule import schedule

AUTUMN = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 6 * * 1-5", "0 6 * * 1-5"),
        ("  0   6 * *\tMON-fri ", "0 6 * * 1-5"),
        ("5 4 * * 7", "5 4 * * 0"),
        ("5 4 * * 5-7", "5 4 * * 0,5,6"),
        ("5 4 * * 1-7", "5 4 * * *"),
        ("*/15 8-18/2 1,15 JAN-mar *", "*/15 8-18/2 1,15 1-3 *"),
    ],
)
def test_a_schedule_is_written_as_every_scheduler_reads_it(text, cron):
    """Names become numbers, and Sunday is 0: Kubernetes knows no 7."""
    assert schedule(text, "UTC").cron == cron


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 6 * *", "has 4 fields; write five"),
        ("0 0 6 * * *", "sixth field means seconds to some"),
        ("0 26 * * *", "'26' is no hour: it goes from 0 to 23"),
        ("60 * * * *", "'60' is no minute"),
        ("0 6 0 * *", "'0' is no day of the month"),
        ("0 6 * 13 *", "'13' is no month: it goes from 1 to 12, or jan, feb"),
        ("0 6 * * 8", "'8' is no day of the week"),
        ("0 6 * * funday", "'funday' is no day of the week"),
        ("0 6 L * *", "'L' is no day of the month"),
        ("0 6 ? * 1", "'?' is no day of the month"),
        ("0 6 * * 1#2", "'1#2' is no day of the week"),
        ("0 22-2 * * *", "write two with a comma between them, 22-23,0-2"),
        ("5/10 * * * *", "write 5-59/10"),
        ("*/0 * * * *", "steps go from 1 to 60"),
        ("*/70 * * * *", "steps go from 1 to 60"),
        ("0 6 31 2 *", "never comes"),
        ("0 6 1 * 1", 'Export two jobs, "0 6 1 * *" and "0 6 * * 1"'),
        ("0 6 */2 * 1", "days that are both"),
        ("CRON_TZ=Asia/Tokyo 0 6 * * *", "Say --timezone Asia/Tokyo"),
        ("@daily", 'Write "0 0 * * *"'),
        ("@reboot", "For instance"),
        ("0 6 * * $(touch x)", "fields"),
        ("0 \uff16 * * *", "is no hour"),
        ("", "has 0 fields"),
    ],
)
def test_what_is_no_schedule_or_would_mean_two_things_is_refused(text, said):
    with pytest.raises(nf.UsageError) as refusal:
        schedule(text, "UTC")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Berlin", "did you mean Europe/Berlin"),
        ("Europe/Berln", "did you mean Europe/Berlin"),
        ("", "name a city"),
        ("+02:00", "--timezone Europe/Berlin"),
        ("../../etc/passwd", "is not a time zone"),
        ("localtime", "is not a time zone"),
    ],
)
def test_an_unknown_zone_is_refused(zone, said):
    with pytest.raises(nf.UsageError, match=said):
        schedule("0 6 * * *", zone)


def test_without_a_zone_that_of_the_machine_is_meant_and_said(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    assert schedule("0 6 * * *").timezone == "America/New_York"
    monkeypatch.setenv("TZ", "nonsense")
    assert schedule("0 6 * * *").timezone != "nonsense"


def test_a_schedule_says_in_words_and_dates_when_it_comes():
    made = schedule("0 6 * * 1-5", "Europe/Berlin")
    assert made.words == "At 06:00 on Monday through Friday, Europe/Berlin"
    assert [time.isoformat() for time in made.next(3, AUTUMN)] == [
        "2026-11-25T06:00:00+01:00",
        "2026-11-26T06:00:00+01:00",
        "2026-11-27T06:00:00+01:00",
    ]


def test_the_numbers_of_a_schedule_are_what_its_fields_stand_for():
    assert schedule("*/20 8-12/2 * 1,2 0", "UTC").numbers == (
        (0, 20, 40),
        (8, 10, 12),
        None,
        (1, 2),
        (0,),
    )
