"""The pure parts of what is measured with a thousand CRs: what is chosen, counted and concluded."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.audit import OPERATOR_USER
from bench.drift_storm import chosen
from bench.foreign_secrets import creations
from bench.idle import Asked, asked, rates
from bench.memory_slope import slope
from bench.recovery import Looks
from bench.takeover import Handover
from secureai_operator import names

BEGAN, ENDED = "ResponseStarted", "ResponseComplete"


def _kubernetes(verb: str, resource: str, stage: str = ENDED, user: str = OPERATOR_USER) -> dict[str, Any]:
    return {"verb": verb, "stage": stage, "user": {"username": user}, "objectRef": {"resource": resource}}


def _vault(path: str, time: str = "", kind: str = "response", login: str = "kubernetes-x") -> dict[str, Any]:
    return {
        "type": kind,
        "time": time,
        "request": {"operation": "read", "path": path},
        "auth": {"display_name": login},
    }


def _places(count: int) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {("roles", "team", f"saw-{number}"): {} for number in range(count)}


def _seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - an order, no secret


def test_the_same_seed_chooses_the_same_objects_and_none_twice() -> None:
    latest = _places(20)
    first, again = (chosen(latest, 10, _seeded(1)) for _ in range(2))
    assert first == again
    assert len(set(first)) == 10
    assert first != chosen(latest, 10, _seeded(2))


def test_a_namespaces_own_binding_is_never_deleted() -> None:
    own = ("rolebindings", "team", names.NAMESPACE_SECRETS_ROLE)
    assert own not in chosen({**_places(5), own: {}}, 5, _seeded(1))


def test_fewer_objects_than_asked_for_are_no_measurement() -> None:
    with pytest.raises(ValueError, match="there are 5"):
        chosen(_places(5), 6, _seeded(1))


def test_at_rest_only_the_operators_requests_count_and_a_watch_as_it_begins() -> None:
    found = asked(
        [
            _kubernetes("watch", "roles", BEGAN),
            _kubernetes("watch", "roles", ENDED),
            _kubernetes("watch", "pods", ENDED),
            _kubernetes("list", "secrets"),
            _kubernetes("create", "selfsubjectaccessreviews"),
            _kubernetes("list", "secrets", user="system:admin"),
            _kubernetes("update", "leases"),
            _kubernetes("patch", "secureaiworkloads"),
        ],
        [
            _vault("transit/keys/a"),
            _vault("transit/keys/a", kind="request"),
            _vault("transit/keys/a", login="root"),
        ],
    )
    assert found.reads == {"watch roles": 1, "list secrets": 1, "create selfsubjectaccessreviews": 1}
    assert (found.lease, found.writes, found.vault) == (1, {"patch secureaiworkloads": 1}, {"read": 1})


def test_rates_leave_the_lease_out_and_extrapolate_writes_to_an_hour() -> None:
    found = Asked(lease=24)
    found.reads["list roles"] = 5
    found.writes["patch roles"] = 1
    found.vault["read"] = 30
    assert rates(found, seconds=60.0, milliseconds=600.0) == {
        "seconds": 60.0,
        "cpuPercent": 1.0,
        "requestsPerSecond": 0.1,
        "writesPerHour": 60.0,
        "leasePerSecond": 0.4,
        "vaultPerSecond": 0.5,
    }


def test_all_is_verified_with_the_last_key_and_each_counts_from_its_first_look() -> None:
    looks = Looks(frozenset({"keys/a", "keys/b"}))
    assert not looks.take([_vault("keys/a", "2026-01-31T12:00:00.123456789Z"), _vault("keys/other", "")])
    assert not looks.take([_vault("keys/b", "2026-01-31T12:00:01Z", kind="request")])
    assert looks.take([_vault("keys/a", "2026-01-31T12:00:09Z"), _vault("keys/b", "2026-01-31T12:00:02Z")])
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
    assert looks.seen == {"keys/a": pytest.approx(noon + 0.123456, rel=0, abs=0.001), "keys/b": noon + 2}


def test_a_lease_is_taken_by_another_holder_only_and_vacated_by_none() -> None:
    def lease(holder: str) -> dict[str, Any]:
        return {"spec": {"holderIdentity": holder}}

    handover = Handover("first")
    assert not handover.is_taken("MODIFIED", lease("first"))
    assert not handover.vacated.is_set()
    assert not handover.is_taken("MODIFIED", lease(""))
    assert handover.vacated.is_set()
    assert handover.is_taken("MODIFIED", lease("second"))


def test_foreign_secrets_are_spread_over_their_namespaces_and_have_their_size() -> None:
    made = list(creations("host", ["a", "b"], 3, 1000))
    assert [raw.split(b" ")[1].split(b"/")[4] for raw in made] == [b"a", b"b", b"a"]
    bodies = [json.loads(raw.partition(b"\r\n\r\n")[2]) for raw in made]
    assert len({(body["metadata"]["namespace"], body["metadata"]["name"]) for body in bodies}) == 3
    assert all(len(base64.b64decode(body["data"]["data"])) == 1000 for body in bodies)


def test_the_slope_is_what_each_further_workload_adds() -> None:
    first = slope({"mib": 90.0}, 100.0, 1000)
    assert first["kibPerWorkload"] == 10.24
    second = slope(first, 105.0, 2000)
    assert (second["formerWorkloads"], second["kibPerWorkload"]) == (1000, 5.12)
