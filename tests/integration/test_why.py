"""`secureai why` names the cause of each of twenty faults and more, whatever else it makes go wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import CLUSTER_ROLES, SERVICE_ACCOUNTS
from secureai_operator.cli.exits import NO, OK
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration import outages
from tests.integration.audits import EXPECTED_DENIALS
from tests.integration.tdx_nodes import NO_TDX, Labels, relabelled
from tests.integration.vault_identity import TRANSIT, vault_name
from tests.integration.verbs import Secureai, as_administrator
from tests.product import Product

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

WHY_SECONDS = 40.0
"""A hang of Vault is known after a timeout, and told by a pass after it."""

REQUIRED = {"mode": "Required"}
DATA_KEY = {"dataKeys": [{"name": "model"}]}
CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
BY_LABEL = {"podSelector": {"matchLabels": {"app": "llm"}}}
DEPLOYMENTS = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}


@dataclass(frozen=True)
class Place:
    """Where a fault is made."""

    lab: Lab
    product: Product
    operator: SharedOperator
    workloads: Workloads
    namespace: str

    def create(self, **spec: Any) -> None:
        self.workloads.create(self.namespace, **spec)

    def ready(self, **spec: Any) -> None:
        self.workloads.ready(self.namespace, **spec)


Fault = Callable[[Place], contextlib.AbstractContextManager[None]]


def declares(**spec: Any) -> Fault:
    """A spec that asks for what is not to be had."""

    @contextlib.contextmanager
    def fault(place: Place) -> Iterator[None]:
        place.create(**spec)
        yield

    return fault


def amid(outage: outages.Outage) -> Fault:
    """A new workload while something is wrong with Vault."""

    @contextlib.contextmanager
    def fault(place: Place) -> Iterator[None]:
        with outage(place.lab, place.product):
            place.create(access={"rules": [CONFIG_MAPS]}, keys=DATA_KEY)
            yield

    return fault


def on_nodes(labels: Labels, **spec: Any) -> Fault:
    @contextlib.contextmanager
    def fault(place: Place) -> Iterator[None]:
        with relabelled(place.lab, labels):
            place.create(**spec)
            yield

    return fault


@contextlib.contextmanager
def lost_key(place: Place) -> Iterator[None]:
    place.ready(keys=DATA_KEY)
    outages.lose_key(place.lab, vault_name(place.namespace))
    _look(place)
    yield


@contextlib.contextmanager
def replaced_key(place: Place) -> Iterator[None]:
    """Behind the operator's back."""
    place.ready()
    name = vault_name(place.namespace)
    made = place.lab.vault_request("GET", f"{TRANSIT}/keys/{name}")["data"]["keys"]["1"]
    place.operator.stop()
    # Vault tells when a version was made in whole seconds.
    place.lab.wait_for(lambda: time.time() > int(made) + 1.1, WHY_SECONDS, "another second")
    outages.lose_key(place.lab, name)
    place.lab.vault_request("POST", f"{TRANSIT}/keys/{name}", {"type": "aes256-gcm96"})
    place.operator.start()
    yield


@contextlib.contextmanager
def strangers_object(place: Place) -> Iterator[None]:
    account = {"metadata": {"name": names.service_account("llm")}}
    place.lab.api.request("POST", SERVICE_ACCOUNTS.path(place.namespace), account)
    place.create()
    yield


@contextlib.contextmanager
def left_drift(place: Place) -> Iterator[None]:
    place.ready(driftPolicy="Warn", access={"rules": [CONFIG_MAPS]})
    place.workloads.delete(place.namespace, names.service_account("llm"), SERVICE_ACCOUNTS)
    yield


@contextlib.contextmanager
def escaped_pod(place: Place) -> Iterator[None]:
    _new_pod(place)
    place.create(**BY_LABEL)
    yield


@contextlib.contextmanager
def pods_of_another(place: Place) -> Iterator[None]:
    place.workloads.ready(place.namespace, "an-earlier-one", **BY_LABEL)
    place.create(**BY_LABEL)
    yield


@contextlib.contextmanager
def right_taken(place: Place) -> Iterator[None]:
    """Somebody edited the operator's ClusterRole."""
    EXPECTED_DENIALS.add(place.namespace)
    path = CLUSTER_ROLES.path(None, names.OPERATOR_SERVICE_ACCOUNT)
    before = place.lab.api.request("GET", path)["rules"]
    less = [{**rule, "verbs": ["list", "watch"]} if _is_of_policies(rule) else rule for rule in before]
    try:
        place.lab.api.request("PATCH", path, {"rules": less}, "application/merge-patch+json")
        place.create()
        yield
    finally:
        place.lab.api.request("PATCH", path, {"rules": before}, "application/merge-patch+json")


@contextlib.contextmanager
def no_room(place: Place) -> Iterator[None]:
    """A quota that refuses what the workload needs."""
    quotas = f"/api/v1/namespaces/{place.namespace}/resourcequotas"
    hard = {"count/networkpolicies.networking.k8s.io": "0"}
    place.lab.api.request("POST", quotas, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    place.lab.wait_for(
        lambda: place.lab.api.request("GET", f"{quotas}/none").get("status", {}).get("hard"),
        WHY_SECONDS,
        "the quota to count",
    )
    place.create()
    yield


@contextlib.contextmanager
def no_operator(place: Place) -> Iterator[None]:
    place.operator.stop()
    place.create()
    try:
        yield
    finally:
        place.operator.start()


@contextlib.contextmanager
def deletion_without_vault(place: Place) -> Iterator[None]:
    place.ready()
    with outages.sealed(place.lab, place.product):
        place.workloads.wait_condition(place.namespace, "llm", "VaultReachable", "False", "VaultSealed")
        place.workloads.delete(place.namespace)
        yield


FAULTS = [
    ("VaultUnreachable", amid(outages.stopped)),
    ("VaultSealed", amid(outages.sealed)),
    ("VaultTimeout", amid(outages.hung)),
    ("VaultForbidden", amid(outages.without_policy)),
    ("VaultLoginFailed", amid(outages.without_role)),
    ("VaultMountMissing", amid(outages.moved)),
    ("VaultRateLimited", amid(outages.limited)),
    ("VaultSealed", deletion_without_vault),
    ("KeyLost", lost_key),
    ("KeyReplaced", replaced_key),
    ("ConnectionNotConfigured", declares(vault={"connection": "defualt"}, access={"rules": [CONFIG_MAPS]})),
    ("CustodyMismatch", declares(keys={"custody": "hold-your-own-key", **DATA_KEY})),
    ("BeyondCeiling", declares(access={"rules": [CONFIG_MAPS, DEPLOYMENTS]})),
    ("RoleNotFound", declares(access={"roleRefs": [{"name": "missing"}]})),
    ("RuntimeClassMissing", declares(confidential={**REQUIRED, "runtimeClassName": "kata-of-tomorrow"})),
    ("NoTDXNodes", on_nodes(NO_TDX, confidential=REQUIRED, access={"rules": [CONFIG_MAPS]})),
    (
        "GpuNotCcReady",
        on_nodes(
            {"nvidia.com/cc.ready.state": "false"}, confidential={**REQUIRED, "gpu": {"confidential": True}}
        ),
    ),
    ("Suspended", declares(suspend=True)),
    ("NameConflict", strangers_object),
    ("DriftReported", left_drift),
    ("PodsUnbound", escaped_pod),
    ("PodsClaimedTwice", pods_of_another),
    ("OperatorForbidden", right_taken),
    ("KubernetesRefused", no_room),
    ("OperatorNotRunning", no_operator),
]


@pytest.fixture
def secureai(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Secureai:
    return as_administrator(lab, capsys, monkeypatch)


@pytest.mark.parametrize(
    ("cause", "fault"), [pytest.param(*one, id=f"{number}-{one[0]}") for number, one in enumerate(FAULTS)]
)
def test_the_cause_is_named_with_what_to_do(
    lab: Lab,
    product: Product,
    operator: SharedOperator,
    workloads: Workloads,
    namespace: str,
    secureai: Secureai,
    cause: str,
    fault: Fault,
) -> None:
    last: Any = None

    def named() -> bool:
        nonlocal last
        said = secureai("why", "llm", "-n", namespace, "-o", "json")
        last = said.json
        return said.code == NO and last["reason"] == cause

    with fault(Place(lab, product, operator, workloads, namespace)):
        try:
            lab.wait_for(named, WHY_SECONDS, f"`secureai why` to say {cause}")
        except Exception as error:
            error.add_note(f"it said: {last}")
            raise
        assert last["meaning"]
        assert last["next_step"]


def test_of_a_workload_without_a_fault_it_says_that_all_is_well(
    workloads: Workloads, namespace: str, secureai: Secureai
) -> None:
    workloads.ready(namespace)
    said = secureai("why", "llm", "-n", namespace, "-o", "json")
    assert (said.code, said.json["ready"], said.json["reason"]) == (OK, True, "AllReady")


def _look(place: Place) -> None:
    """What nobody tells of is seen at the next look: ask for one."""
    asked = {"metadata": {"annotations": {names.RESYNC_ANNOTATION: "why"}}}
    place.workloads.patch(place.namespace, "llm", asked)


def _new_pod(place: Place) -> None:
    body = {
        "metadata": {"name": "p", "labels": {"app": "llm"}},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    place.lab.api.request("POST", f"/api/v1/namespaces/{place.namespace}/pods", body)


def _is_of_policies(rule: dict[str, Any]) -> bool:
    return "networkpolicies" in rule["resources"]
