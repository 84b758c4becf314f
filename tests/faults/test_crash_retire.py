"""The operator is killed at every request by which old versions retire and are destroyed: none that is in use, and none twice."""

from __future__ import annotations

import pytest

from secureai_operator import names
from tests.faults.orphans import Orphans
from tests.faults.proxy import VAULT, Seen
from tests.faults.rotations import BOTH, KEYS, REQUEST, Json, part
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep
from tests.faults.trap import of_a_pass
from tests.integration.rotations import policy

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

RETIRES = {"after": "1s", "keepVersions": 1, "canary": "1s", "trim": True}


def test_retirement_survives_a_crash_at_every_request(stage: Stage) -> None:
    """From the rotation on, with whose end it begins."""

    def ask(name: str) -> None:
        stage.annotate(name, names.ROTATE_ANNOTATION, REQUEST)

    def is_retired(workload: Json) -> bool:
        rotation = part(workload, "rotation")
        if rotation.get("requestId") != REQUEST or rotation.get("retiredBelow") != 2:
            return False
        return bool(stage.key(workload["metadata"]["name"])["min_available_version"] == 2)

    stage.allow(retireRole="secureai-retire")
    policy(stage.lab, stage.namespace, retire=RETIRES)
    sweep = Sweep(stage, "old", {"keys": KEYS}, ask, is_retired, kind=of_the_workload)
    sweep.run_clean()
    assert_is_retired(sweep.clean)
    assert sum(map(is_trim, sweep.requests)) == 1
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.restart()
        sweep.assert_same_end(points)
    sweep.assert_all_struck(*BOTH)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def is_trim(seen: Seen) -> bool:
    """The one request that cannot be taken back."""
    return seen.server == VAULT and seen.target.endswith("/trim")


def of_the_workload(seen: Seen) -> bool:
    """Not what tells of the policy, and of all workloads together."""
    return of_a_pass(seen) and "/keyrotationpolicies/" not in seen.target


def assert_is_retired(clean: Json) -> None:
    assert (clean["latest_version"], clean["min_decryption_version"]) == (2, 2)
    assert (clean["min_available_version"], clean["min_encryption_version"]) == (2, 2)
    assert clean["secret"] == {"model": "vault:v2:*", "prompts": "vault:v2:*"}
    assert "lastDrift" not in clean["status"]
