"""`secureai rotate` and `secureai keys` on a real cluster where nobody acts on what is asked: no operator runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.conditions import rfc3339
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS
from secureai_operator.cli.exits import NO, OK, UNANSWERED, USAGE
from tests.fixtures_operator import Workloads
from tests.integration.installation import author
from tests.integration.verbs import Said, Secureai, as_administrator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("product")]

Json = dict[str, Any]
NOW = datetime.now(UTC)
WRAPPED = "vault:v2:bm90IGEgcmVhbCBrZXk="
ON_TRACK = {
    "type": "RotationOnTrack",
    "status": "True",
    "reason": "RotationScheduled",
    "message": "the next rotation is scheduled",
    "lastTransitionTime": rfc3339(NOW),
}


def ago(days: float) -> str:
    return rfc3339(NOW - timedelta(days=days))


ROTATED: Json = {
    "observedGeneration": 1,
    "conditions": [ON_TRACK],
    "key": {
        "type": "aes256-gcm96",
        "custody": "service-managed",
        "latestVersion": 2,
        "minDecryptionVersion": 1,
        "latestVersionAt": ago(3),
        "createdAt": ago(30),
    },
    "dataKeys": [{"name": "model", "keyVersion": 2, "wrapped": WRAPPED}],
    "rotation": {
        "phase": "Observing",
        "version": 2,
        "target": 2,
        "fromVersion": 1,
        "trigger": "Scheduled",
        "nextTime": ago(-4),
        "history": [
            {
                "fromVersion": 1,
                "toVersion": 2,
                "trigger": "Scheduled",
                "startedAt": ago(3),
                "finishedAt": ago(3),
                "itemsRewrapped": 1,
                "result": "Done",
            }
        ],
    },
}


@pytest.fixture
def secureai(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Secureai:
    return as_administrator(lab, capsys, monkeypatch)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """One thread that plays the operator."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def put_status(lab: Lab, namespace: str, name: str, status: Json) -> None:
    """Write the status as the operator would; parts that are not named stay."""
    path = SECURE_AI_WORKLOADS.path(namespace, name, "status")
    lab.api.request("PATCH", path, {"status": status}, "application/merge-patch+json")


def with_key(
    workloads: Workloads, namespace: str, name: str = "llm", /, status: Json = ROTATED, **spec: Any
) -> None:
    """A workload whose key has rotated once, says its status."""
    workloads.create(namespace, name, **spec)
    put_status(workloads.lab, namespace, name, status)


def with_policy(lab: Lab, namespace: str, name: str = "weekly", **spec: Any) -> None:
    lab.api.request(
        "POST",
        KEY_ROTATION_POLICIES.path(namespace),
        {
            "apiVersion": names.API_VERSION,
            "kind": "KeyRotationPolicy",
            "metadata": {"name": name},
            "spec": {"selector": {}, "schedule": {"interval": "720h"}, **spec},
        },
    )


def asked_of(workloads: Workloads, namespace: str, name: str = "llm") -> Json:
    """The annotations of the workload."""
    found: Json = workloads.get(namespace, name)["metadata"].get("annotations") or {}
    return found


def version(workloads: Workloads, namespace: str, name: str = "llm") -> str:
    return str(workloads.get(namespace, name)["metadata"]["resourceVersion"])


# Asking ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("flags", "annotation"),
    [
        ((), names.ROTATE_ANNOTATION),
        (("--emergency", "--yes"), names.EMERGENCY_ANNOTATION),
        (("--data-keys",), names.ROTATE_DATA_KEYS_ANNOTATION),
        (("--report-decrypt-failure",), names.DECRYPT_FAILED_ANNOTATION),
    ],
)
def test_a_request_is_one_annotation_and_is_made_once(
    secureai: Secureai, workloads: Workloads, namespace: str, flags: tuple[str, ...], annotation: str
) -> None:
    with_key(workloads, namespace)
    words = ("rotate", "llm", "-n", namespace, *flags, "--request-id", "audit-7")
    first = secureai(*words)
    assert (first.code, first.err) == (OK, "")
    assert asked_of(workloads, namespace) == {annotation: "audit-7"}
    before = version(workloads, namespace)
    again = secureai(*words)
    assert again.code == OK
    assert "request audit-7 was made before and waits for the operator: nothing happens twice" in again.out
    assert version(workloads, namespace) == before


def test_a_request_gets_an_id_of_its_own(secureai: Secureai, workloads: Workloads, namespace: str) -> None:
    with_key(workloads, namespace)
    first = secureai("rotate", "llm", "-n", namespace, "-o", "json").json
    assert asked_of(workloads, namespace)[names.ROTATE_ANNOTATION] == first["requestId"]
    second = secureai("rotate", "llm", "-n", namespace, "-o", "json").json
    assert second["requestId"] != first["requestId"]
    assert second["items"][0]["replaces"] == first["requestId"]


def test_of_several_workloads_those_that_cannot_are_refused_and_the_others_asked(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace, "able")
    with_key(workloads, namespace, "asleep", suspend=True)
    workloads.create(namespace, "new")
    with_key(workloads, namespace, "other")
    for name in ("able", "asleep", "new"):
        workloads.patch(namespace, name, {"metadata": {"labels": {"tier": "prod"}}})
    said = secureai("rotate", "-l", "tier=prod", "-n", namespace, "-o", "json")
    assert said.code == NO
    assert {one["name"]: one["outcome"] for one in said.json["items"]} == {
        "able": "Asked",
        "asleep": "Refused",
        "new": "Refused",
    }
    assert asked_of(workloads, namespace, "able") != {}
    for name in ("asleep", "new", "other"):
        assert asked_of(workloads, namespace, name) == {}


def test_an_emergency_that_nobody_confirmed_does_nothing(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace)
    said = secureai("rotate", "llm", "-n", namespace, "--emergency")
    assert said.code == USAGE
    assert "--yes" in said.err
    assert asked_of(workloads, namespace) == {}


def test_a_retirement_that_is_held_is_tried_again(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace)
    words = ("rotate", "llm", "-n", namespace, "--retry-retirement")
    assert secureai(*words).code == NO
    put_status(workloads.lab, namespace, "llm", {"rotation": {"retirementHeld": True}})
    assert secureai(*words, "--request-id", "again").code == OK
    assert asked_of(workloads, namespace) == {names.RETRY_RETIREMENT_ANNOTATION: "again"}


def test_a_policy_is_asked_for_all_that_it_rules(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str
) -> None:
    with_policy(lab, namespace, retire={"after": "48h", "keepVersions": 1})
    with_key(workloads, namespace)
    with_key(workloads, namespace, "asleep", suspend=True)
    with_key(workloads, namespace, "ruled-by-none")
    for name in ("llm", "asleep"):
        put_status(lab, namespace, name, {"rotation": {"policy": f"{namespace}/weekly"}})
    words = ("rotate", "--policy", "weekly", "-n", namespace)
    planned = secureai(*words, "--dry-run")
    assert planned.code == OK
    assert "1 of 2 would rotate" in planned.out
    (line,) = [one for one in planned.out.splitlines() if f"{namespace}/llm" in one]
    assert line.split()[1:5] == ["rotates", "v2", "\u2192", "v3"]
    assert "versions below 3 decrypt no more" in line
    assert secureai(*words, "--request-id", "audit-7").code == OK
    policy = workloads.find(KEY_ROTATION_POLICIES, namespace, "weekly")
    assert policy is not None
    assert policy["metadata"]["annotations"] == {names.ROTATE_ANNOTATION: "audit-7"}


def test_a_policy_that_rests_is_refused_and_one_that_is_not_there_is_missed(
    secureai: Secureai, lab: Lab, namespace: str
) -> None:
    with_policy(lab, namespace, suspend=True)
    resting = secureai("rotate", "--policy", "weekly", "-n", namespace)
    assert resting.code == NO
    assert "spec.suspend is true" in resting.out
    missed = secureai("rotate", "--policy", "weakly", "-n", namespace)
    assert (missed.code, missed.err.count("\n")) == (UNANSWERED, 1)
    assert "it has weekly" in missed.err


def test_a_dry_run_changes_nothing(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str
) -> None:
    with_policy(lab, namespace, retire={"after": "48h", "keepVersions": 1})
    with_key(workloads, namespace)
    put_status(lab, namespace, "llm", {"rotation": {"policy": f"{namespace}/weekly"}})
    before = version(workloads, namespace)
    said = secureai("rotate", "llm", "-n", namespace, "--dry-run", "-o", "json")
    assert said.code == OK
    (plan,) = said.json["items"][0]["plans"]
    assert (plan["fromVersion"], plan["toVersion"], plan["dataKeysRewrapped"]) == (2, 3, 1)
    assert [step["step"] for step in plan["steps"]] == ["Planned", "Rotated", "Rewrapped", "Retired"]
    assert not any(step["skipped"] for step in plan["steps"])
    emergency = secureai("rotate", "llm", "-n", namespace, "--emergency", "--dry-run")
    assert emergency.code == OK
    assert "AccessWithdrawn" in emergency.out
    assert version(workloads, namespace) == before


def test_somebody_without_the_right_changes_nothing_and_gets_one_line(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str
) -> None:
    with_key(workloads, namespace)
    author(lab, namespace, "dev")
    kubeconfig = str(lab.kubeconfig_for(namespace, "default"))
    said = secureai("rotate", "llm", "-n", namespace, "--kubeconfig", kubeconfig)
    assert (said.code, len(said.err.splitlines())) == (UNANSWERED, 1)
    assert asked_of(workloads, namespace) == {}


@pytest.mark.parametrize("verb", ["rotate", "keys"])
def test_a_misspelt_name_and_a_selector_that_is_none_are_answered(
    secureai: Secureai, workloads: Workloads, namespace: str, verb: str
) -> None:
    with_key(workloads, namespace)
    assert "did you mean 'llm'?" in secureai(verb, "lm", "-n", namespace).err
    wrong = secureai(verb, "-l", "a in (", "-n", namespace)
    assert (wrong.code, len(wrong.err.splitlines())) == (USAGE, 1)


def test_a_selector_that_selects_nothing_is_no_success(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace)
    said = secureai("rotate", "-l", "tier=nowhere", "-n", namespace)
    assert said.code == UNANSWERED
    assert "has these labels" in said.err


# Following -------------------------------------------------------------------------------------------------
def played(lab: Lab, workloads: Workloads, namespace: str, annotation: str, statuses: list[Json]) -> None:
    """Be the operator: see the request, and write one status after the other."""
    lab.wait_for(lambda: annotation in asked_of(workloads, namespace), 60, "the request")
    for status in statuses:
        put_status(lab, namespace, "llm", status)


def test_a_request_is_followed_phase_by_phase_until_it_is_done(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str, pool: ThreadPoolExecutor
) -> None:
    with_key(workloads, namespace)
    planned = {"requestId": "audit-7", "phase": "Planned", "fromVersion": 2, "target": 3, "trigger": "Manual"}
    rewrapped = {"phase": "Rewrapped", "rotatedAt": ago(0), "rewrappedAt": ago(0), "itemsRewrapped": 1}
    statuses: list[Json] = [
        {"rotation": planned},
        {"rotation": rewrapped},
        {"rotation": {"phase": "Observing", "retireAt": ago(-3)}},
    ]
    playing = pool.submit(played, lab, workloads, namespace, names.ROTATE_ANNOTATION, statuses)
    said = secureai("rotate", "llm", "-n", namespace, "--request-id", "audit-7", "--wait", "--timeout", "30s")
    playing.result(30)
    assert (said.code, said.err) == (OK, "")
    stages = [line.split()[1] for line in said.out.splitlines() if line.startswith("  ")]
    assert stages == ["Planned", "Rotated", "Rewrapped", "Observing"]
    assert "done after" in said.out


def test_an_emergency_is_followed_to_the_end_of_its_steps(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str, pool: ThreadPoolExecutor
) -> None:
    with_key(workloads, namespace)
    withdrawn = {"step": "AccessWithdrawn", "at": ago(0), "milliseconds": 120}
    raised = {"step": "MinimumRaised", "at": ago(0), "milliseconds": 3, "skipped": "no proof"}
    begun = {"requestId": "incident-7", "startedAt": ago(0), "steps": [withdrawn]}
    over = {**begun, "steps": [withdrawn, raised], "finishedAt": ago(0)}
    statuses: list[Json] = [{"emergency": begun}, {"emergency": over}]
    playing = pool.submit(played, lab, workloads, namespace, names.EMERGENCY_ANNOTATION, statuses)
    words = ("rotate", "llm", "-n", namespace, "--emergency", "--yes", "--request-id", "incident-7")
    said = secureai(*words, "--wait", "--timeout", "30s", "-o", "json")
    playing.result(30)
    assert said.code == OK
    (item,) = said.json["items"]
    assert (item["outcome"], item["done"]) == ("Asked", True)
    assert [(one["stage"], one["detail"]) for one in item["stages"]] == [
        ("AccessWithdrawn", "took 120 ms"),
        ("MinimumRaised", "skipped: no proof"),
    ]


def test_a_request_that_is_not_done_in_time_says_what_is_in_the_way_and_what_to_do(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str
) -> None:
    with_key(workloads, namespace)
    words = ("rotate", "llm", "-n", namespace, "--request-id", "audit-7", "--wait", "--timeout", "1s")
    alone = secureai(*words)
    assert alone.code == NO
    assert "the operator has not acted on the request" in alone.out
    waits = {
        **ON_TRACK,
        "status": "Unknown",
        "reason": "AwaitingKeyMaterial",
        "message": "import version 3 of the key",
    }
    planned = {"requestId": "audit-7", "phase": "Planned", "fromVersion": 2, "target": 3}
    put_status(lab, namespace, "llm", {"rotation": planned, "conditions": [waits]})
    late = secureai(*words)
    assert late.code == NO
    assert "not done in time" in late.out
    assert "AwaitingKeyMaterial" in late.out
    assert "import version 3 of the key" in late.out
    assert "`secureai key import`" in late.out


def test_a_workload_that_is_deleted_ends_the_waiting(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str, pool: ThreadPoolExecutor
) -> None:
    with_key(workloads, namespace)

    def delete() -> None:
        played(lab, workloads, namespace, names.ROTATE_ANNOTATION, [])
        workloads.delete(namespace)

    deleting: Future[None] = pool.submit(delete)
    said = secureai("rotate", "llm", "-n", namespace, "--wait", "--timeout", "60s")
    deleting.result(30)
    assert said.code == NO
    assert "it was deleted meanwhile" in said.out


def test_a_policy_is_followed_until_all_that_it_rules_have_rotated(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str, pool: ThreadPoolExecutor
) -> None:
    with_policy(lab, namespace)
    for name in ("a", "b"):
        with_key(workloads, namespace, name)
        put_status(lab, namespace, name, {"rotation": {"policy": f"{namespace}/weekly"}})

    def asked() -> bool:
        policy = workloads.find(KEY_ROTATION_POLICIES, namespace, "weekly") or {}
        return names.ROTATE_ANNOTATION in (policy["metadata"].get("annotations") or {})

    def act() -> None:
        lab.wait_for(asked, 60, "the request")
        status = {"requestId": "audit-7", "requestedAt": ago(1)}
        path = KEY_ROTATION_POLICIES.path(namespace, "weekly", "status")
        lab.api.request("PATCH", path, {"status": status}, "application/merge-patch+json")
        for name in ("a", "b"):
            put_status(lab, namespace, name, {"key": {"latestVersion": 3, "latestVersionAt": ago(0)}})

    acting = pool.submit(act)
    words = ("rotate", "--policy", "weekly", "-n", namespace, "--request-id", "audit-7")
    said = secureai(*words, "--wait", "--timeout", "60s", "-o", "json")
    acting.result(30)
    assert said.code == OK
    (item,) = said.json["items"]
    assert item["stages"][-1]["detail"] == "2 of 2 keys rotated"


def test_many_are_followed_at_once(
    secureai: Secureai, workloads: Workloads, lab: Lab, namespace: str, pool: ThreadPoolExecutor
) -> None:
    many = [f"w{place}" for place in range(7)]
    for name in many:
        with_key(workloads, namespace, name)
    stop = threading.Event()

    def act() -> None:
        for name in many:
            lab.wait_for(lambda name=name: asked_of(workloads, namespace, name), 60, "the request")  # type: ignore[misc]
            put_status(lab, namespace, name, {"rotation": {"requestId": "all", "target": 3}})
        stop.set()

    acting = pool.submit(act)
    matching = ("-l", "!unknown", "-n", namespace)
    said = secureai("rotate", *matching, "--request-id", "all", "--wait", "--timeout", "60s", "-o", "json")
    acting.result(30)
    assert stop.is_set()
    assert said.code == OK
    assert {one["name"]: one["done"] for one in said.json["items"]} == dict.fromkeys(many, True)


# Looking ---------------------------------------------------------------------------------------------------
def lines(said: Said) -> list[list[str]]:
    return [line.split() for line in said.out.splitlines()]


def test_the_keys_of_a_namespace_are_a_table(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace)
    workloads.create(namespace, "new")
    said = secureai("keys", "-n", namespace)
    assert said.code == OK
    assert lines(said)[0][0] == "WORKLOAD"
    assert lines(said)[1][:7] == ["llm", "aes256-gcm96", "service-managed", "v2", "3d", "v1+", "v2+"]
    assert lines(said)[1][-1] == "RotationScheduled"
    assert lines(said)[2][-1] == "NoKeyYet"
    everywhere = secureai("keys", "-A", "-o", "json")
    assert {(one["namespace"], one["name"]) for one in everywhere.json} >= {
        (namespace, "llm"),
        (namespace, "new"),
    }
    assert WRAPPED not in said.out + everywhere.out


def test_a_key_that_needs_somebody_is_marked_and_makes_the_answer_a_no(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    missed = {**ON_TRACK, "status": "False", "reason": "RotationMissed", "message": "too late"}
    with_key(workloads, namespace, status={**ROTATED, "conditions": [missed]})
    table = secureai("keys", "-n", namespace)
    assert table.code == NO
    assert lines(table)[1][-2:] == ["RotationMissed", "!"]
    one = secureai("keys", "llm", "-n", namespace)
    assert one.code == NO
    assert "too late" in one.out


def test_one_key_is_shown_with_its_versions_and_its_rotations(
    secureai: Secureai, workloads: Workloads, namespace: str
) -> None:
    with_key(workloads, namespace)
    said = secureai("keys", "llm", "-n", namespace)
    assert said.code == OK
    assert ["v2", "current", "3d", "-", "model"] in lines(said)
    assert ["v1", "old,", "still", "decrypts", "30d", "-", "-"] in lines(said)
    assert ["v1", "v2", "Scheduled", ago(3), "0s", "1", "Done"] in lines(said)
    assert WRAPPED not in said.out
    assert secureai("keys", "llm", "-n", namespace, "-o", "json").json["latestVersion"] == 2
    assert ["Rotation", "Observing", "v1", "\u2192", "v2", "(Scheduled)"] in lines(
        secureai("status", "llm", "-n", namespace)
    )


def test_a_fleet_is_drawn_to_files_and_to_standard_output(
    secureai: Secureai, workloads: Workloads, namespace: str, tmp_path: Path
) -> None:
    with_key(workloads, namespace)
    workloads.create(namespace, "new")
    picture, page = tmp_path / "keys.svg", tmp_path / "keys.html"
    said = secureai("keys", "-n", namespace, "--svg", str(picture), "--html", str(page))
    assert said.code == OK
    assert lines(said) == [
        ["2", "keys", "drawn", "in", str(picture)],
        ["2", "keys", "drawn", "in", str(page)],
    ]
    piped = secureai("keys", "-n", namespace, "--svg", "-", "--since", "20d")
    assert piped.code == OK
    for text in (picture.read_text(), piped.out):
        root = ET.fromstring(text)  # noqa: S314 - our own text
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert f"{namespace}/llm v2: current" in text
    assert "<table>" in page.read_text()
    assert WRAPPED not in picture.read_text() + page.read_text()
