"""The operator is killed at every request of a data-key rotation: no data key is lost, and nothing restarts twice."""

from __future__ import annotations

from functools import partial

import pytest

from secureai_operator import names
from secureai_operator.api.resources import DEPLOYMENTS
from tests.faults.holdings import ever_held, secrets_version
from tests.faults.orphans import Orphans
from tests.faults.rotations import BOTH, KEYS, REQUEST, Json, part, run_pods, versions
from tests.faults.stage import Stage
from tests.faults.sweep import Sweep

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ENTRIES = {"model", "model.1", "prompts", "prompts.1"}


def is_over(workload: Json) -> bool:
    rotation = part(workload, "dataKeyRotation")
    is_rolled_out = part(workload, "pods").get("bound") == 1
    return rotation.get("requestId") == REQUEST and bool(rotation.get("restartedAt")) and is_rolled_out


def test_a_data_key_rotation_loses_no_data_key_and_restarts_once(stage: Stage) -> None:
    def ask(name: str) -> None:
        stage.annotate(name, names.ROTATE_DATA_KEYS_ANNOTATION, REQUEST)

    sweep = Sweep(stage, "anew", {"keys": KEYS}, ask, is_over, prepare=partial(run_pods, stage))
    sweep.run_clean()
    assert versions(sweep.clean) == dict.fromkeys(ENTRIES, 1)
    assert sweep.clean["secret"].keys() == ENTRIES
    assert sweep.clean["status"]["dataKeyRotation"]["restarted"] == ["Deployment/NAME"]

    since = secrets_version(stage.lab)
    for points in sweep.rounds(sweep.points(*BOTH)):
        sweep.bring(points)
        stage.restart()
        sweep.assert_same_end(points)
        held = ever_held(stage.lab, since)
        for name in points:
            lost = held[stage.namespace, names.keys_secret(name)] - set(stage.wrapped(name).values())
            assert len(lost) == 0
            assert template_changes(stage, name) == 1
    sweep.assert_all_struck(*BOTH)
    assert Orphans(stage.lab, [stage.namespace]).found() == []


def template_changes(stage: Stage, name: str) -> int:
    deployment = stage.workloads.find(DEPLOYMENTS, stage.namespace, name)
    assert deployment is not None
    changes: int = deployment["metadata"]["generation"] - 1
    return changes
