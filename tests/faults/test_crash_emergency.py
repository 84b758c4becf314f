"""The operator is killed at every request of an emergency rotation: access stays withdrawn, and comes back at the end."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import pytest

from lab import RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import SECRETS, SERVICE_ACCOUNTS
from secureai_operator.api.rotation_status import EmergencyStep
from tests.faults.orphans import Orphans
from tests.faults.proxy import Seen
from tests.faults.rotations import BOTH, KEYS, REQUEST, Json, part, run_pods, versions
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep
from tests.integration.vault_identity import Identity, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@dataclass(slots=True)
class Users:
    """Each workload's own access to Vault: as its pods had it before the emergency, and a new one."""

    stage: Stage
    identities: dict[str, Identity] = field(default_factory=dict)

    def known_by(self, name: str) -> tuple[str, ...]:
        """By what Vault is asked about the workload: a login of its own gave it an identity that can be disabled."""
        find, namespace = self.stage.workloads.find, self.stage.namespace
        account = find(SERVICE_ACCOUNTS, namespace, names.service_account(name))
        secret = find(SECRETS, namespace, names.tls_secret(name))
        assert account is not None
        assert secret is not None
        self.identities[name] = identity = Identity.of(self.stage.lab, namespace, name)
        # The serial number is in the first line after the header: no two certificates share it.
        _, line, *_ = base64.b64decode(secret["data"]["tls.crt"]).decode().splitlines()
        return account["metadata"]["uid"], identity.auth["entity_id"], line

    def has_new_access(self, name: str) -> bool:
        """Whether a login of now opens the data key. Between the deletion of its ServiceAccount and the next nobody can log in."""
        try:
            identity = Identity.of(self.stage.lab, self.stage.namespace, name)
        except RequestFailed:
            return False
        return self._opens(name, identity)

    def has_access(self, name: str) -> bool:
        """Whether the access from before the emergency opens the data key."""
        return self._opens(name, self.identities[name])

    def _opens(self, name: str, identity: Identity) -> bool:
        key, wrapped = vault_name(self.stage.namespace, name), self.stage.wrapped(name)["model"]
        try:
            return identity.decrypt(key, wrapped) == self.stage.plain[name]["model"]
        except RequestFailed as error:
            if error.status != HTTPStatus.FORBIDDEN:
                raise
            return False


def is_restored(workload: Json) -> bool:
    emergency = part(workload, "emergency")
    return emergency.get("requestId") == REQUEST and bool(emergency.get("finishedAt"))


def withdraws(seen: Seen) -> bool:
    """Whether from then on the workload's access is gone: its policy denies, or its identity is disabled."""
    parts = ("/sys/policies/acl/", "/identity/entity/id/")
    return seen.method == "POST" and any(part in seen.target for part in parts)


def test_an_emergency_rotation_survives_a_crash_at_every_request(stage: Stage) -> None:
    def ask(name: str) -> None:
        stage.annotate(name, names.EMERGENCY_ANNOTATION, REQUEST)

    users = Users(stage)
    sweep = Sweep(stage, "alarm", {"keys": KEYS}, ask, is_restored, users.known_by, partial(run_pods, stage))
    sweep.run_clean()
    assert_is_one_emergency(sweep.clean)
    assert_access_is_new(users, sweep.clean_name)

    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        arrived = sweep.arrived(points)
        stage.crash()
        for name in points:
            assert_access_is_withdrawn(users, name, arrived[name])
        stage.start()
        sweep.assert_same_end(points)
        for name in points:
            assert_access_is_new(users, name)
    sweep.assert_all_struck(*BOTH)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def assert_access_is_withdrawn(users: Users, name: str, arrived: Sequence[Seen]) -> None:
    """From the first request on that withdraws it, for what was there before for good, and for others until the end."""
    withdrawn = any(map(withdraws, arrived))
    assert users.has_access(name) is not withdrawn
    steps = part(users.stage.listed()[name], "emergency").get("steps", ())
    is_done = EmergencyStep.PODS_RESTARTED in [step["step"] for step in steps]
    assert not users.has_new_access(name) or not withdrawn or is_done


def assert_access_is_new(users: Users, name: str) -> None:
    assert (users.has_access(name), users.has_new_access(name)) == (False, True)


def assert_is_one_emergency(clean: Json) -> None:
    assert (clean["latest_version"], clean["min_decryption_version"]) == (2, 2)
    assert versions(clean) == {"model": 2, "prompts": 2}
    steps = clean["status"]["emergency"]["steps"]
    assert [(step["step"], step["skipped"]) for step in steps] == [(step.value, "") for step in EmergencyStep]
    (entry,) = clean["status"]["rotation"]["history"]
    assert (entry["toVersion"], entry["trigger"], entry["result"]) == (2, "Emergency", "Done")
    assert "lastDrift" not in clean["status"]
