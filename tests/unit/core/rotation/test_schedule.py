"""When: scheduled times are monotone, run once each, follow the wall clock, and are the same after any restart."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secureai_operator.api import reasons
from secureai_operator.api.rotation import Schedule, Window
from secureai_operator.api.rules import CRON, CRON_HOURLY, CRON_NEVER, CRON_RANGE
from secureai_operator.core.rotation.occurrences import Cron, Every, cron_problem
from secureai_operator.core.rotation.schedule import (
    Answer,
    Due,
    Missed,
    NotYet,
    Timetable,
    due,
    spread,
    timetable,
)
from secureai_operator.core.verdict import Verdict

START = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu",
    "Pacific/Chatham", "Africa/Casablanca", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "Antarctica/Troll",
    "Pacific/Apia", "Europe/Dublin",
)  # fmt: skip
"""Odd offsets, half-hour and two-hour jumps, jumps at midnight, backwards summer time, and a day that never was."""

zones = st.sampled_from(ZONES).map(ZoneInfo)
minutes = st.integers(0, 59).map(str)
crons = st.one_of(
    st.builds("{} {} * * *".format, minutes, st.integers(0, 23)),
    st.builds("{} * * * *".format, minutes),
    st.builds("{} */{} * * {}".format, minutes, st.integers(1, 23), st.integers(0, 7)),
    st.builds("{} {},{} {} * *".format, minutes, st.integers(0, 5), st.integers(0, 5), st.integers(1, 31)),
    st.builds("{} {} {} {} *".format, minutes, st.integers(0, 3), st.integers(1, 28), st.integers(1, 12)),
)
moments = st.integers(1293840000, 1924992000).map(lambda at: datetime.fromtimestamp(at, UTC))
"""From 2011 to 2031."""


def berlin(*parts: int) -> datetime:
    """The instant, where the wall clock in Berlin tells this, for the first time."""
    return datetime(*parts, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)  # type: ignore[misc,arg-type]


def local(cron: str, zone: str, start: datetime, count: int) -> list[str]:
    """The next instants, as the wall clock shows them."""
    found, at = [], start
    for _ in range(count):
        following = Cron(cron, ZoneInfo(zone)).following(at)
        assert following is not None
        at = following
        found.append(f"{at.astimezone(ZoneInfo(zone)):%d %H:%M %z}")
    return found


# Occurrences --------------------------------------------------------------------------------------------------


def test_an_hour_that_is_skipped_runs_once_as_the_clock_has_jumped() -> None:
    start = berlin(2026, 3, 28, 12)
    assert local("30 2 * * *", "Europe/Berlin", start, 2) == ["29 03:00 +0200", "30 02:30 +0200"]
    assert local("30 1-3 * * *", "Europe/Berlin", start, 4) == [
        "29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200", "30 01:30 +0200",
    ]  # fmt: skip


def test_an_hour_that_comes_twice_runs_the_first_time() -> None:
    start = berlin(2026, 10, 25, 1, 45)
    assert local("30 * * * *", "Europe/Berlin", start, 2) == ["25 02:30 +0200", "25 03:30 +0100"]
    assert local("30 2 * * *", "Europe/Berlin", start, 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_asked_in_the_second_of_two_equal_hours_nothing_lies_in_the_past() -> None:
    zone = ZoneInfo("Europe/Berlin")
    second = datetime(2026, 10, 25, 2, 15, tzinfo=zone, fold=1).astimezone(UTC)
    cron = Cron("30 2 * * *", zone)
    assert cron.latest(second) == berlin(2026, 10, 25, 2, 30)
    assert cron.following(second) == berlin(2026, 10, 26, 2, 30)


def test_half_an_hour_and_a_whole_day_can_be_skipped() -> None:
    howe = datetime(2025, 10, 4, 0, tzinfo=UTC)
    assert local("15 2 * * *", "Australia/Lord_Howe", howe, 2) == ["05 02:30 +1100", "06 02:15 +1100"]
    apia = datetime(2011, 12, 29, 12, tzinfo=UTC)  # The 30th never was.
    assert local("0 12 * * *", "Pacific/Apia", apia, 3) == [
        "29 12:00 -1000",
        "31 00:00 +1400",
        "31 12:00 +1400",
    ]


@given(crons, zones, moments)
def test_forwards_and_backwards_name_the_same_instants(cron: str, zone: ZoneInfo, at: datetime) -> None:
    schedule = Cron(cron, zone)
    following = schedule.following(at)
    if following is None:
        return
    assert following > at
    assert schedule.latest(following) == following
    before = schedule.latest(following - timedelta(seconds=1))
    assert before is None or before <= at
    assert before == schedule.latest(at)
    if before is not None:
        assert schedule.following(before) == following


@given(crons, zones, moments, st.integers(0, 3 * 24 * 60))
def test_between_two_instants_lies_none(cron: str, zone: ZoneInfo, at: datetime, later: int) -> None:
    schedule = Cron(cron, zone)
    then = at + timedelta(minutes=later)
    first, second = schedule.following(at), schedule.following(then)
    if first is not None and second is not None:
        assert first <= second
        assert first == second or first <= then


@given(minutes, zones, st.dates(date(2012, 1, 2), date(2030, 12, 30)))
def test_a_daily_time_happens_once_between_two_noons(minute: str, zone: ZoneInfo, day: date) -> None:
    daily = Cron(f"{minute} 2 * * *", zone)
    first = daily.following(datetime.combine(day, time(12), zone))
    assert first is not None
    noon = datetime.combine(day + timedelta(days=1), time(12), zone).astimezone(UTC)
    assert first < noon
    second = daily.following(first)
    assert second is not None
    assert second > noon


@given(moments, st.integers(3600, 10**8), moments)
def test_an_interval_counts_from_its_first_time(first: datetime, period: int, at: datetime) -> None:
    every = Every(first, timedelta(seconds=period))
    latest, following = every.latest(at), every.following(at)
    assert following is not None
    assert following > at or following == first
    assert following - timedelta(seconds=period) == latest if latest else following == first
    assert latest is None or first <= latest <= at


# What the API server lets through -----------------------------------------------------------------------------


@given(st.from_regex(CRON, fullmatch=True))
@example("0 0 31/2 2 *")
@example("0 0 29 feb */7")
def test_what_the_api_server_accepts_the_library_accepts_unless_the_day_never_comes(cron: str) -> None:
    backwards = any(
        int(low) > int(high) for low, high in (found.split("-") for found in re.findall(CRON_RANGE, cron))
    )
    problem = cron_problem(cron)
    if backwards or re.search(CRON_NEVER, cron):
        assert problem
    elif problem:
        # Steps and ranges can hide such a day from the rule: the operator says it then.
        month = cron.split()[3]
        assert min(int(day) for day in re.findall("[0-9]+", cron.split()[2])) > 29
        assert re.search("[-/]", month) or re.search("-", cron.split()[2]), cron


@pytest.mark.parametrize(
    "cron", ["0 0 30 2 *", "0 0 30,31 feb *", "0 0 31 4,6,nov *", "0 0 31 2 */2", "0 0 30-31 02 *"]
)
def test_a_day_that_never_comes_is_refused_twice(cron: str) -> None:
    assert re.search(CRON, cron)
    assert re.search(CRON_NEVER, cron)
    assert cron_problem(cron)


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "0 0 31 1,2 *", "0 0 31 2 1", "0 0 30 4 *", "0 0 31 12 *"])
def test_a_day_that_comes_is_not(cron: str) -> None:
    assert re.search(CRON, cron)
    assert not re.search(CRON_NEVER, cron)
    assert not cron_problem(cron)


@pytest.mark.parametrize("cron", ["* * * * *", "*/30 * * * *", "0,30 1 * * *", "0-5 1 * * *"])
def test_more_than_once_an_hour_is_refused(cron: str) -> None:
    assert not re.search(CRON_HOURLY, cron)
    verdict = timetable(Schedule(cron=cron), ())
    assert isinstance(verdict, Verdict)
    assert "once an hour" in verdict.message


@pytest.mark.parametrize(
    ("schedule", "windows", "says"),
    [
        (Schedule(cron="0 0 30 2 *"), (), "spec.schedule.cron: 0 0 30 2 *"),
        (Schedule(cron="0 0 * * *", time_zone="Mars/Base"), (), "spec.schedule.timeZone: Mars/Base"),
        (Schedule(), (), "exactly one"),
        (Schedule(cron="0 0 * * *", interval="2h"), (), "exactly one"),
        (Schedule(interval="2h"), (Window(start="0 0 31 4 *", duration="1h"),), "spec.windows[0].start"),
    ],
)
def test_a_schedule_that_names_no_time_is_invalid(
    schedule: Schedule, windows: tuple[Window, ...], says: str
) -> None:
    verdict = timetable(schedule, windows)
    assert isinstance(verdict, Verdict)
    assert verdict.reason is reasons.INVALID_SPEC
    assert verdict.terminal
    assert says in verdict.message


# Due ----------------------------------------------------------------------------------------------------------


def ready(schedule: Schedule, *windows: Window) -> Timetable:
    found = timetable(schedule, windows)
    assert isinstance(found, Timetable), found
    return found


def ask(
    table: Timetable, now: datetime, rotated: datetime = START, *, place: float = 0.0, since: datetime = START
) -> Answer:
    return due(table, rotated=rotated, ruled_since=since, spread=place, now=now)


WEEKLY = ready(Schedule(cron="0 3 * * 0", jitter="30m", starting_deadline="6h"))
SUNDAY = datetime(2024, 1, 7, 3, tzinfo=UTC)
WEEK, HOUR, MINUTE, SECOND = timedelta(days=7), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def test_a_weekly_rotation_from_sunday_to_sunday() -> None:
    assert ask(WEEKLY, START) == NotYet(SUNDAY)
    assert ask(WEEKLY, SUNDAY - SECOND) == NotYet(SUNDAY)
    assert ask(WEEKLY, SUNDAY) == Due(SUNDAY)
    assert ask(WEEKLY, SUNDAY + 6 * HOUR) == Due(SUNDAY)
    assert ask(WEEKLY, SUNDAY + MINUTE, rotated=SUNDAY) == NotYet(SUNDAY + WEEK)
    assert ask(WEEKLY, SUNDAY + WEEK, rotated=SUNDAY) == Due(SUNDAY + WEEK)


def test_jitter_moves_the_start_by_the_place_of_the_workload() -> None:
    assert ask(WEEKLY, SUNDAY, place=0.5) == NotYet(SUNDAY + 15 * MINUTE)
    assert ask(WEEKLY, SUNDAY + 15 * MINUTE, place=0.5) == Due(SUNDAY)


def test_jitter_longer_than_the_schedule_still_lets_it_rotate() -> None:
    table = ready(Schedule(cron="0 * * * *", jitter="5h"))
    assert isinstance(ask(table, START + 9 * HOUR, place=0.9), Due)


def test_of_many_missed_times_the_latest_runs_once() -> None:
    table = ready(Schedule(cron="0 3 * * 0"))
    now = SUNDAY + 5 * WEEK + HOUR
    assert ask(table, now) == Due(SUNDAY + 5 * WEEK)
    assert ask(table, now + MINUTE, rotated=now) == NotYet(SUNDAY + 6 * WEEK)


def test_past_its_deadline_a_rotation_is_missed_and_the_next_one_comes() -> None:
    answer = ask(WEEKLY, SUNDAY + 6 * HOUR + SECOND)
    assert isinstance(answer, Missed)
    assert (answer.scheduled, answer.next_time) == (SUNDAY, SUNDAY + WEEK)
    assert "2024-01-07T03:00:00Z" in answer.message
    assert ask(WEEKLY, SUNDAY + WEEK) == Due(SUNDAY + WEEK)


def test_a_new_policy_owes_nothing_from_before_it_ruled() -> None:
    table = ready(Schedule(cron="0 3 * * 0"))
    assert ask(table, SUNDAY + HOUR, since=SUNDAY + MINUTE) == NotYet(SUNDAY + WEEK)


def test_an_old_key_under_a_new_interval_is_due_as_it_begins_to_rule_within_the_jitter() -> None:
    table = ready(Schedule(interval="720h", jitter="10h", starting_deadline="1h"))
    since = START + timedelta(days=1000, hours=5)
    assert ask(table, since, since=since, place=0.5) == NotYet(since + 5 * HOUR)
    assert ask(table, since + 5 * HOUR, since=since, place=0.5) == Due(since)


def test_an_interval_is_the_age_of_the_key() -> None:
    table = ready(Schedule(interval="24h"))
    rotated = START + 5 * HOUR
    assert ask(table, rotated + 24 * HOUR - SECOND, rotated) == NotYet(rotated + 24 * HOUR)
    assert ask(table, rotated + 24 * HOUR, rotated) == Due(rotated + 24 * HOUR)


NIGHT = Window(start="0 1 * * *", duration="4h")


def test_a_rotation_starts_only_inside_a_window() -> None:
    table = ready(Schedule(cron="0 12 * * *", time_zone="Europe/Berlin", starting_deadline="1h"), NIGHT)
    noon, opening = berlin(2026, 6, 1, 12), berlin(2026, 6, 2, 1)
    rotated = noon - HOUR
    assert ask(table, noon, rotated) == NotYet(opening)
    assert ask(table, opening - SECOND, rotated) == NotYet(opening)
    assert ask(table, opening, rotated) == Due(noon)
    assert ask(table, opening + HOUR, rotated) == Due(noon)
    assert isinstance(ask(table, opening + HOUR + SECOND, rotated), Missed)


def test_a_window_is_closed_at_its_end_and_the_next_one_may_be_another() -> None:
    table = ready(Schedule(interval="1h"), NIGHT, Window(start="0 22 * * 6", duration="1h"))
    saturday = datetime(2024, 1, 6, tzinfo=UTC)
    assert isinstance(ask(table, saturday + 5 * HOUR - SECOND), Due)
    assert ask(table, saturday + 5 * HOUR) == NotYet(saturday + 22 * HOUR)


@settings(max_examples=10)
@given(st.lists(st.uuids().map(str), min_size=200, max_size=200, unique=True))
def test_the_spread_is_even_and_always_the_same(uids: list[str]) -> None:
    places = [spread(uid) for uid in uids]
    assert places == [spread(uid) for uid in uids]
    assert all(0 <= place < 1 for place in places)
    assert 0.3 < sum(places) / len(places) < 0.7


windows_of = st.one_of(
    st.just(()),
    st.just((NIGHT,)),
    st.just((Window(start="30 2 * * 0", duration="90m"), Window(start="0 22 15 * *", duration="26h"))),
)
durations = st.sampled_from(["1m", "30m", "1h", "6h", "72h"])
schedules = st.builds(
    Schedule,
    cron=crons,
    time_zone=st.sampled_from(ZONES),
    jitter=st.none() | durations,
    starting_deadline=st.none() | durations,
) | st.builds(
    Schedule,
    interval=st.sampled_from(["1h", "25h", "100h", "720h"]),
    time_zone=st.sampled_from(ZONES),
    jitter=st.none() | st.sampled_from(["1m", "59m"]),
    starting_deadline=st.none() | durations,
)
places = st.floats(0, 0.999)
gaps = st.lists(st.integers(1, 40 * 24 * 60 * 60), min_size=5, max_size=25)


@given(schedules, windows_of, places, moments, gaps)
def test_over_years_with_pauses_each_time_runs_at_most_once_in_order_and_in_a_window(
    schedule: Schedule, windows: tuple[Window, ...], place: float, start: datetime, pauses: list[int]
) -> None:
    """An operator that is asleep at times: it sleeps until the next time, or far beyond it."""
    found = timetable(schedule, windows)
    if isinstance(found, Verdict):
        assert cron_problem(schedule.cron or "")
        return
    now, rotated, ran = start.replace(microsecond=0), start.replace(microsecond=0), [_LONG_AGO]
    for pause in pauses:
        answer = ask(found, now, rotated, place=place, since=start)
        if isinstance(answer, Due):
            assert ran[-1] < answer.scheduled <= now
            assert found.opening(now) == now
            ran.append(answer.scheduled)
            rotated = now
            assert not isinstance(ask(found, now, rotated, place=place, since=start), Due)
            continue
        wake = answer.next_time if isinstance(answer, NotYet | Missed) else None
        if wake is None:
            return
        assert wake > now
        sleeps_over = pause % 3 == 0
        now = max(wake, now + timedelta(seconds=pause)) if sleeps_over else wake


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@given(schedules, windows_of, places, moments, st.floats(0, 1), st.integers(0, 60 * 24 * 3600))
def test_a_restart_at_any_instant_gives_the_same_next_time(
    schedule: Schedule,
    windows: tuple[Window, ...],
    place: float,
    start: datetime,
    part: float,
    asleep: int,
) -> None:
    found = timetable(schedule, windows)
    if isinstance(found, Verdict):
        return
    start = start.replace(microsecond=0)
    now = start + timedelta(seconds=asleep)
    answer = ask(found, now, start, place=place, since=start)
    if not isinstance(answer, NotYet | Missed) or answer.next_time is None:
        return
    between = now + (answer.next_time - now) * part
    later = ask(found, between, start, place=place, since=start)
    if between < answer.next_time:
        assert isinstance(later, NotYet | Missed)
        assert later.next_time == answer.next_time
    at_last = ask(found, answer.next_time, start, place=place, since=start)
    assert isinstance(at_last, Due), (answer, at_last)
