import pytest

from agent.config.cron import trigger_fields


@pytest.mark.parametrize(
    ("weekday", "names"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("mon-FRI", "mon,tue,wed,thu,fri"),
        ("5-7", "sun,fri,sat"),
        ("fri-mon", "sun,mon,fri,sat"),
        ("0-7", "sun,mon,tue,wed,thu,fri,sat"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-5/2", "mon,wed,fri"),
        ("sat,0,3", "sun,wed,sat"),
    ],
)
def test_weekdays_are_counted_as_cron_counts_them(weekday, names):
    assert trigger_fields(f"*/5 8-18 * * {weekday}") == {
        "minute": "*/5",
        "hour": "8-18",
        "day": "*",
        "month": "*",
        "day_of_week": names,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 12 * * mon", "five fields"),
        ("61 * * * *", "maximum"),
        ("x * * * *", "Unrecognized"),
        ("* * * * 8", "no weekday"),
        ("* * * * someday", "no weekday"),
        ("* * * * */0", "step"),
        ("* * * * 1/", "step"),
        ("0 8 1 * mon", "give one of them"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_cannot_be_read_is_said(text, said):
    with pytest.raises(ValueError, match=said):
        trigger_fields(text)
