"""What a server's headers say of a picture's age, and when they are not to be believed."""

from __future__ import annotations

import math

import httpx
import pytest

from plugins.sources.http.age import Ages, retry_after

DATE = "Sun, 22 Nov 2026 18:00:30 GMT"


def headers(**fields: str) -> httpx.Headers:
    return httpx.Headers({name.replace("_", "-"): value for name, value in fields.items()})


@pytest.mark.parametrize(
    ("fields", "age"),
    [
        ({}, 0),
        ({"date": DATE}, 0),
        ({"date": DATE, "last_modified": "Sun, 22 Nov 2026 18:00:10 GMT"}, 20),
        ({"date": DATE, "last_modified": "Sun, 22 Nov 2026 18:00:10 GMT", "age": "5"}, 25),
        ({"date": DATE, "last_modified": "Sun, 22 Nov 2026 19:00:00 GMT"}, 0),  # later than the server's own clock
        ({"last_modified": "Sun, 22 Nov 2026 18:00:10 GMT"}, 0),  # nothing to hold it against
        ({"age": "7"}, 7),
        ({"age": "-7"}, 0),
        ({"age": "nan"}, 0),
        ({"date": DATE, "last_modified": "yesterday"}, 0),
        ({"date": DATE, "last_modified": "Sun, 99 Nov 99999999999 18:00:10 GMT"}, 0),
    ],
)
def test_age_is_reckoned_on_the_servers_clock(fields: dict[str, str], age: float) -> None:
    assert Ages().seconds(headers(**fields), b"picture", 0.0) == age


def test_date_that_stays_while_the_pictures_change_is_a_lie() -> None:
    ages, stuck = Ages(), headers(date=DATE, last_modified="Sun, 22 Nov 2026 17:00:30 GMT")
    assert ages.seconds(stuck, b"one", 0.0) == 3600
    assert ages.seconds(stuck, b"two", 0.5) == 3600  # within the second that a date is true to
    assert ages.seconds(stuck, b"three", 2.0) == 0
    assert ages.seconds(stuck, b"three", 30.0) == 0


def test_file_that_stays_the_same_is_old() -> None:
    ages, file = Ages(), headers(date=DATE, last_modified="Sun, 22 Nov 2026 17:00:30 GMT")
    for arrived in (0.0, 30.0, 60.0):
        assert ages.seconds(file, b"one", arrived) == 3600


def test_stamps_tell_by_each_other() -> None:
    ages = Ages()

    def look(*answers: tuple[float, float, bytes]) -> list[float]:
        ages.new_look()
        return [ages.seconds(headers(x_timestamp=str(stamp)), data, arrived) for stamp, data, arrived in answers]

    assert look((10.0, b"old", 1050.0), (50.1, b"a", 1050.4), (50.5, b"b", 1050.8)) == [math.inf, math.inf, 0]
    assert look((60.0, b"c", 1060.3)) == [0]
    assert look((60.4, b"d", 1090.3), (90.1, b"e", 1090.4)) == [pytest.approx(29.6, abs=0.5), 0]
    assert look((2.0, b"f", 1200.0), (2.4, b"g", 1200.4))[1] == 0  # it was restarted
    assert look((3.0, b"h", 1201.0), (3.0, b"h", 1231.0))[1] == pytest.approx(30, abs=0.5)  # it hangs


def test_camera_that_hangs_is_found_out_however_often_it_is_looked_at() -> None:
    ages = Ages()
    for stamp, arrived in ((10.0, 1000.0), (10.4, 1000.4)):
        age = ages.seconds(headers(x_timestamp=str(stamp)), b"%f" % stamp, arrived)
    assert age == 0
    for _ in range(10):
        arrived += 0.9
        ages.new_look()
        age = ages.seconds(headers(x_timestamp="10.4"), b"10.4", arrived)
    assert age == pytest.approx(9.0)


def test_seconds_to_be_left_alone() -> None:
    assert retry_after(headers(retry_after="120")) == 120
    assert retry_after(headers(retry_after="Sun, 22 Nov 2026 18:01:00 GMT", date=DATE)) == 30
    assert retry_after(headers(retry_after="Sun, 22 Nov 2026 18:00:00 GMT", date=DATE)) == 0
    assert retry_after(headers(retry_after="soon")) is None
    assert retry_after(headers()) is None
