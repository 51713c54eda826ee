"""Windows of wall-clock time, in every zone and on the days when clocks change."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gitops.repository import freeze
from gitops.repository.freeze import Freeze

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
MINUTE = timedelta(minutes=1)


def window(start: datetime, end: datetime, zone: str) -> Freeze:
    return Freeze.model_validate({"name": "x", "from": start, "to": end, "time-zone": zone})


def of(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "start", "end", "begins", "ends"),
    [
        # Autumn shows 02:00 to 03:00 twice in Paris, 01:30 to 02:00 on Lord Howe Island.
        ("Europe/Paris", "2026-10-25T01:00", "2026-10-25T02:30", "2026-10-24T23:00Z", "2026-10-25T01:30Z"),
        ("Europe/Paris", "2026-10-25T02:30", "2026-10-25T02:40", "2026-10-25T00:30Z", "2026-10-25T01:40Z"),
        ("Australia/Lord_Howe", "2026-04-05T00:00", "2026-04-05T01:45", "2026-04-04T13:00Z", "2026-04-04T15:15Z"),
        # Spring leaves 02:00 to 03:00 out; both a start and an end there are the moment when it is 03:00.
        ("Europe/Paris", "2027-03-28T02:30", "2027-03-28T09:00", "2027-03-28T01:00Z", "2027-03-28T07:00Z"),
        ("America/New_York", "2027-03-13T20:00", "2027-03-14T02:01", "2027-03-14T01:00Z", "2027-03-14T07:00Z"),
        # A whole day was left out on Samoa.
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-31T12:00", "2011-12-30T10:00Z", "2011-12-30T22:00Z"),
        ("Asia/Seoul", "2026-12-11T08:00", "2026-12-12T02:00", "2026-12-10T23:00Z", "2026-12-11T17:00Z"),
    ],
)
def test_a_window_is_the_longer_of_two_readings(zone: str, start: str, end: str, begins: str, ends: str) -> None:
    own = window(of(start), of(end), zone)
    assert (own.begins, own.ends) == (of(begins), of(ends))
    assert (own.covers(own.begins), own.covers(own.ends - MINUTE)) == (True, True)
    assert (own.covers(own.begins - MINUTE), own.covers(own.ends)) == (False, False)


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(1971, 1, 1), datetime(2037, 1, 1)),
    st.integers(1, 3 * 1440),
    st.integers(-1440, 4 * 1440),
)
def test_a_window_covers_what_a_clock_on_the_wall_says(zone: str, start: datetime, length: int, look: int) -> None:
    """Whatever a clock shows once alone is in the window exactly where it stands between its two times."""
    start = start.replace(second=0, microsecond=0)
    try:
        own = window(start, start + length * MINUTE, zone)
    except ValidationError:
        return  # the next test says of which
    now = (start + look * MINUTE).replace(tzinfo=UTC)
    wall = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    passes = {wall.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)}
    if len(passes) == 1:
        assert own.covers(now) == (own.start <= wall < own.end)
    elif own.start <= wall < own.end:
        assert own.covers(now), "both passes of a repeated time are in it"


def test_a_window_that_no_clock_shows_is_refused() -> None:
    with pytest.raises(ValidationError, match="the clocks of Europe/Paris leave all of it out"):
        window(of("2027-03-28T02:10"), of("2027-03-28T02:50"), "Europe/Paris")
    with pytest.raises(ValidationError, match="years from 2"):
        window(of("0001-01-01T00:00"), of("2027-01-01T00:00"), "Asia/Seoul")


def test_of_two_windows_the_one_counts_that_ends_later_in_the_world() -> None:
    seoul = window(of("2026-12-11T00:00"), of("2026-12-11T20:00"), "Asia/Seoul")
    paris = window(of("2026-12-10T00:00"), of("2026-12-11T15:00"), "Europe/Paris")
    assert freeze.current([seoul, paris], of("2026-12-11T09:00Z")) is paris
    assert freeze.current([seoul, paris], of("2026-12-12T09:00Z")) is None
