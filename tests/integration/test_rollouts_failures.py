"""What may go wrong between the operator and the cluster as it restarts: it is told, or done by the next call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab
from secureai_operator import errors
from secureai_operator.api.resources import DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, Resource
from secureai_operator.clients.kube import AioKube, Json, ScopedKube
from secureai_operator.controllers.rollouts import Restarted
from tests.integration.audits import EXPECTED_DENIALS
from tests.integration.restarting import Acting, acting_in, begun, mark
from tests.integration.running import all_gone, live_pods, running, start

pytestmark = pytest.mark.integration

HELD = "rollouts-failing"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def acting(lab: Lab) -> Iterator[Acting]:
    yield acting_in(lab, HELD)
    lab.delete_namespace(HELD)


def test_what_went_in_between_is_not_missed(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, DEPLOYMENTS, running(DEPLOYMENTS, "gone"))
    start(lab, HELD, REPLICA_SETS, running(REPLICA_SETS, "gone-too"))
    pods = acting.pods("gone") + acting.pods("gone-too")
    for resource, name in ((DEPLOYMENTS, "gone"), (REPLICA_SETS, "gone-too")):
        lab.api.request("DELETE", f"{resource.path(HELD, name)}?propagationPolicy=Foreground")
        all_gone(lab, HELD, resource, name)
    found = acting.restart("", "r1", begun(lab), pods=pods)
    assert found == Restarted((), (), pending=False)


def test_another_of_the_same_name_is_not_taken_for_it(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, STATEFUL_SETS, running(STATEFUL_SETS, "again"))
    pods, since = acting.pods("again"), begun(lab)
    lab.api.request("DELETE", f"{STATEFUL_SETS.path(HELD, 'again')}?propagationPolicy=Foreground")
    all_gone(lab, HELD, STATEFUL_SETS, "again")
    start(lab, HELD, STATEFUL_SETS, running(STATEFUL_SETS, "again"))
    assert acting.restart("again", "r1", since, pods=pods) == Restarted((), (), pending=False)
    assert mark(lab.api.request("GET", STATEFUL_SETS.path(HELD, "again"))) is None


class Raced(ScopedKube):
    """Somebody changes the object right after the operator has read it, the first time."""

    lab: Lab
    raced = False

    async def get(self, res: Resource, name: str) -> Json | None:
        live = await super().get(res, name)
        if res is DEPLOYMENTS and not self.raced:
            self.raced = True
            change = {"metadata": {"labels": {"changed": "yes"}}}
            where = res.path(self.namespace, name)
            await asyncio.to_thread(self.lab.api.request, "PATCH", where, change, MERGE)
        return live


def test_a_change_in_between_is_not_overwritten_and_the_next_call_does_it(lab: Lab, acting: Acting) -> None:
    start(lab, HELD, DEPLOYMENTS, running(DEPLOYMENTS, "raced"))
    since = datetime.now(UTC)

    def raced(api: AioKube, namespace: str) -> ScopedKube:
        scope = Raced(api, namespace)
        scope.lab = lab
        return scope

    assert acting.restart("raced", "r1", since, scope=raced) == Restarted((), (), pending=True)
    assert mark(lab.api.request("GET", DEPLOYMENTS.path(HELD, "raced"))) is None
    assert acting.restart("raced", "r1", since) == Restarted(("Deployment/raced",), (), pending=False)


def test_what_is_forbidden_is_named_and_the_rest_is_done(lab: Lab, acting: Acting, namespace: str) -> None:
    """A namespace in which the operator has taken no rights."""
    EXPECTED_DENIALS.add(namespace)
    there = replace(acting, namespace=namespace)
    for resource, name in ((DEPLOYMENTS, "away"), (STATEFUL_SETS, "afar")):
        lab.api.request("POST", resource.path(namespace), running(resource, name))
        lab.wait_for(partial(live_pods, lab, namespace, name), 30, "pods")
    found = there.restart("", "r1", datetime.now(UTC), pods=there.pods("away") + there.pods("afar"))
    away, afar = found.left
    assert away.startswith("ReplicaSet/away-")
    assert away.endswith(" (OperatorForbidden)")
    assert afar == "StatefulSet/afar (OperatorForbidden)"
    assert (found.restarted, found.pending) == ((), False)


class Odd(ScopedKube):
    """Asks for something that admission refuses, as a policy of the cluster may refuse any restart."""

    async def merge_patch(self, res: Resource, name: str, patch: Mapping[str, Any], **options: Any) -> Json:
        return await super().merge_patch(res, name, {**patch, "spec": {"replicas": 1}}, **options)


def test_what_admission_refuses_is_named(lab: Lab, acting: Acting) -> None:
    before = start(lab, HELD, DEPLOYMENTS, running(DEPLOYMENTS, "refused"))
    found = acting.restart("refused", "r1", datetime.now(UTC), scope=Odd)
    assert found == Restarted((), ("Deployment/refused (KubernetesRefused)",), pending=False)
    after = lab.api.request("GET", DEPLOYMENTS.path(HELD, "refused"))
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


def test_an_api_server_that_does_not_answer_is_asked_again_by_the_caller(
    lab: Lab, acting: Acting, tmp_path: Path
) -> None:
    start(lab, HELD, STATEFUL_SETS, running(STATEFUL_SETS, "unheard"))
    config = yaml.safe_load(acting.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(yaml.safe_dump(config))
    with pytest.raises(errors.KubeUnavailable):
        replace(acting, kubeconfig=nowhere).restart("unheard", "r1", datetime.now(UTC))
