"""`secureai keys`: every version is told of once, what wraps it is named, and nothing secret is printed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.api.rotation import Retire
from secureai_operator.cli import key_views, keys, keys_table
from secureai_operator.cli.exits import USAGE, CliError
from secureai_operator.cli.key_views import KeyView, VersionState, seconds
from secureai_operator.cli.main import main
from secureai_operator.cli.output import Mark, plain_lines
from secureai_operator.cli.status import rotation_facts
from tests.unit.cli.key_samples import DAY, NOW, ago, key, record, without_key


def shown(one: KeyView, capsys: pytest.CaptureFixture[str]) -> str:
    keys.show(one, NOW)
    return capsys.readouterr().out


def labels(one: KeyView) -> list[str]:
    return [version.label for version in one.versions]


def test_each_version_that_something_is_known_of_stands_for_itself_and_the_others_in_runs() -> None:
    one = key(latest=9, rotated=(20, 10), minimum=5, available=3, data_keys={"model": 9, "index": 6})
    assert labels(one) == ["v1", "v2", "v3\u2013v4", "v5", "v6", "v7", "v8", "v9"]
    assert [version.state for version in one.versions] == [
        *[VersionState.DESTROYED] * 2,
        VersionState.RETIRED,
        *[VersionState.OLD] * 4,
        VersionState.CURRENT,
    ]
    assert {version.label: version.users for version in one.versions if version.users} == {
        "v6": ("index",),
        "v9": ("model",),
    }


@given(
    latest=st.integers(1, 40),
    minimum=st.integers(0, 45),
    available=st.integers(0, 45),
    rotations=st.integers(0, 10),
    wraps=st.lists(st.integers(-1, 45), max_size=5),
)
def test_every_version_is_told_of_exactly_once(
    latest: int, minimum: int, available: int, rotations: int, wraps: list[int]
) -> None:
    rotated = tuple(float(day) for day in range(min(rotations, latest - 1), 0, -1))
    data_keys = {f"k{place}": version for place, version in enumerate(wraps)}
    one = key(latest=latest, minimum=minimum, available=available, rotated=rotated, data_keys=data_keys)
    told = [number for run in one.versions for number in range(run.first, run.last + 1)]
    assert told == list(range(1, latest + 1))
    assert one.versions[-1].last == latest


def test_a_version_is_as_old_as_the_rotation_that_made_it() -> None:
    one = key(rotated=(20, 10), made=90)
    assert [version.made for version in one.versions] == [NOW - days * DAY for days in (90, 20, 10)]
    assert [version.succeeded for version in one.versions] == [NOW - 20 * DAY, NOW - 10 * DAY, None]


def test_a_version_that_a_customer_brought_late_is_as_young_as_what_was_rewrapped_with_it() -> None:
    late = {**record(2, 20), "finishedAt": ago(5)}
    brought = key(latest=3, custody="customer-managed", rotation={"history": [late]}, made=90)
    assert {one.label: one.made for one in brought.versions}["v2"] == NOW - 5 * DAY


def test_a_version_retires_when_its_policy_says_and_not_while_keep_versions_keeps_it() -> None:
    waiting = {"retirements": [{"below": 5, "at": ago(-2)}, {"below": 4, "at": ago(-1)}]}
    kept = key(rotated=(40, 30, 20, 10), rotation=waiting, keep=3)
    assert {one.label: one.retires for one in kept.versions if one.retires} == {
        "v1": NOW + DAY,
        "v2": NOW + DAY,
    }
    unknown = key(rotated=(40, 30, 20, 10), rotation=waiting)
    assert not any(one.retires for one in unknown.versions)
    emergency = {"retirements": [{"below": 5, "at": ago(0), "emergency": True}]}
    forced = key(rotated=(40, 30, 20, 10), rotation=emergency, keep=3)
    assert [one.label for one in forced.versions if one.retires] == ["v1", "v2", "v3", "v4"]


def test_the_fleet_has_a_row_for_each_key_with_a_sign_where_somebody_is_needed() -> None:
    fleet = (
        key("llm", rotated=(3,), rotation={"policy": "team-a/weekly", "nextTime": ago(-4)}),
        key("late", rotated=(30,), rotation={"nextTime": ago(1)}, track=("False", "RotationMissed")),
        without_key("new"),
    )
    lines = plain_lines(keys_table.fleet(fleet, NOW, everywhere=True))
    assert lines[0].split() == [word for column in keys_table.COLUMNS for word in column.split()]
    assert lines[1].split() == [
        *("team-a/llm", "aes256-gcm96", "service-managed", "v2", "3d", "v1+", "v2+"),
        *("team-a/weekly", "in", "4d", "RotationScheduled"),
    ]
    assert lines[2].endswith("due 24h ago  RotationMissed !")
    assert lines[3].endswith("NoKeyYet")


def test_one_key_tells_who_uses_each_version_and_why_one_cannot_retire(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = key(
        rotated=(20, 10),
        data_keys={"model": 3, "model.1": 1},
        rotation={
            "policy": "team-a/weekly",
            "phase": "Observing",
            "retirements": [{"below": 3, "at": ago(7)}],
        },
        track=("False", "RetirementUnproven"),
        keep=2,
    )
    printed = shown(one, capsys)
    lines = [line.split() for line in printed.splitlines()]
    assert ["v1", "old,", "still", "decrypts", "100d", "2026-01-24T12:00:00Z", "model.1"] in lines
    assert ["v3", "current", "10d", "-", "model"] in lines
    assert "versions below v3 not before 2026-01-24T12:00:00Z; v2 and later stay (keepVersions)" in printed
    assert "about RotationOnTrack" in printed
    assert "See the message; a version that is in use stays, which harms nothing." in printed
    assert ["v2", "v3", "Scheduled", "2026-01-21T12:00:00Z", "2s", "1", "Done"] in lines


def test_an_emergency_is_told_step_by_step_with_what_each_took(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        {"step": "AccessWithdrawn", "at": ago(1), "milliseconds": 120},
        {"step": "MinimumRaised", "at": ago(1), "milliseconds": 3, "skipped": "no proof"},
    ]
    emergency = {"requestId": "incident-7", "startedAt": ago(1), "steps": steps}
    printed = shown(key(status={"emergency": emergency}), capsys)
    lines = [line.split() for line in printed.splitlines()]
    assert f"Emergency incident-7: started {ago(1)}, under way" in printed
    assert ["AccessWithdrawn", "done", ago(1), "120", "ms"] in lines
    assert ["MinimumRaised", "skipped", ago(1), "3", "ms", "no", "proof"] in lines


def test_data_keys_that_rotated_name_what_a_person_has_to_restart(capsys: pytest.CaptureFixture[str]) -> None:
    rotated = {
        "requestId": "audit",
        "madeAt": ago(2),
        "restartedAt": ago(2),
        "restarted": ["Deployment/llm"],
        "left": ["Job/train"],
    }
    printed = shown(key(status={"dataKeyRotation": rotated}), capsys)
    assert "Data keys audit: made 2d ago, consumers restarted" in printed
    assert "restarted: Deployment/llm" in printed
    assert "restart yourself: Job/train" in printed


def test_a_workload_without_a_key_and_one_of_another_time_are_shown_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "there is none yet" in shown(without_key(), capsys)
    strange = key(rotation={"phase": "Sideways", "history": [{}], "retirements": [{}]}, track=None)
    assert "Sideways" in shown(strange, capsys)
    assert "NotYetSeen" in shown(strange, capsys)


def test_no_wrapped_data_key_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    one = key(rotated=(3,), data_keys={"model": 2})
    for printed in (shown(one, capsys), json.dumps(keys.as_json(one))):
        assert "model" in printed
        assert "vault:v" not in printed


def test_programs_get_what_people_get() -> None:
    one = key(rotated=(20, 10), rotation={"policy": "team-a/weekly", "nextTime": ago(-4)})
    found = keys.as_json(one)
    assert (found["latestVersion"], found["oldestVersionInUse"], found["policy"]) == (3, 3, "team-a/weekly")
    assert [version["state"] for version in found["versions"]] == ["Old", "Old", "Current"]
    assert found["versions"][-1] == {
        "first": 3,
        "last": 3,
        "state": "Current",
        "madeAt": ago(10),
        "retiresAt": None,
        "dataKeys": ["model"],
    }
    assert found["needsAttention"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("llm", "-A"), "NAME is one workload"),
        (("llm", "-l", "a=b"), "NAME is one workload"),
        (("-n", "a", "-A"), "exclude each other"),
        (("--svg", "-", "--html", "-"), "standard output holds one of"),
        (("--svg", "-", "-o", "json"), "standard output holds one of"),
        (("--since", "3d"), "--since goes with --svg or --html"),
        (("--svg", "-", "--since", "yesterday"), "--since is a length of time"),
        (("--svg", "-", "--since", "999999d"), "--since is a length of time"),
    ],
)
def test_flags_that_do_not_go_together_are_wrong_usage(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", *words, "--kubeconfig", "/nonexistent/file"]) == USAGE
    assert said in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="No such file or directory") as failed:
        keys._write(str(tmp_path / "no" / "such.svg"), "")
    assert failed.value.code == USAGE


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("72h", 72 * 3600),
        ("1h30m", 5400),
        ("7d", 7 * 86400),
        ("90s", 90),
        ("", None),
        ("h", None),
        ("-1h", None),
    ],
)
def test_lengths_of_time_are_read_as_the_api_writes_them(text: str, length: int | None) -> None:
    assert seconds(text) == length


def test_what_a_policy_means_that_says_nothing_is_what_the_api_means() -> None:
    assert Retire().after == key_views.RETIRE_AFTER
    assert Retire().keep_versions == key_views.KEEP_VERSIONS


def test_status_tells_the_rotation_in_a_few_lines() -> None:
    one = key(
        rotated=(10,),
        data_keys={"model": 1},
        rotation={
            "phase": "Rotated",
            "fromVersion": 1,
            "target": 2,
            "trigger": "Manual",
            "requestId": "audit",
            "nextTime": ago(-6),
            "retireAt": ago(-3),
        },
    )
    told = dict(rotation_facts(one, NOW))
    assert getattr(told["Rotation"], "text", "") == "Rotated v1 → v2 (Manual), request audit"
    assert told["Rotates"] == f"{ago(-6)} (in 6d)"
    assert getattr(told["In use"], "text", "") == "a data key is still wrapped by v1"
    assert told["Retires"] == f"old versions, not before {ago(-3)}"
    assert list(rotation_facts(key(), NOW)) == []


def test_status_says_loudly_that_access_is_withdrawn() -> None:
    under_way = {"requestId": "incident-7", "startedAt": ago(0), "steps": [{"step": "AccessWithdrawn"}]}
    told = dict(rotation_facts(key(status={"emergency": under_way}), NOW + timedelta(seconds=1)))
    assert getattr(told["Emergency"], "mark", None) is Mark.ERROR
    assert "AccessWithdrawn" in getattr(told["Emergency"], "text", "")
