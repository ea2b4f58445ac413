"""A number agrees with its noun."""

from nbflow._core.plural import several


def test_one_is_singular_and_thousands_are_grouped():
    assert [several(number, "record") for number in (0, 1, 2, 1234)] == [
        "0 records",
        "1 record",
        "2 records",
        "1,234 records",
    ]
