"""The search for orphans finds them: everywhere, by any of our marks, and only what nobody living owns."""

from __future__ import annotations

from typing import Any

import pytest

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import SECRETS, SECURE_AI_WORKLOADS, SERVICE_ACCOUNTS, Resource
from tests.faults.holdings import ACCESS, KEYS, OWNED
from tests.faults.orphans import ENTITIES, Orphans
from tests.fixtures_operator import Workloads
from tests.integration.vault_identity import Identity, vault_name

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("product")]

Json = dict[str, Any]

CONTENT: dict[str, Json] = {
    "RoleBinding": {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "none"}},
    "NetworkPolicy": {"spec": {"podSelector": {}}},
}
IN_VAULT: dict[str, Json] = {
    "policy": {"policy": 'path "none" { capabilities = ["deny"] }'},
    "auth role": {
        "bound_service_account_names": "a",
        "bound_service_account_namespaces": "a",
        "audience": "a",
    },
    "pki role": {},
    "key": {},
}


def make(lab: Lab, resource: Resource, namespace: str, **metadata: Any) -> None:
    body = {"metadata": metadata, **CONTENT.get(resource.kind, {})}
    lab.api.request("POST", resource.path(namespace), body)


@pytest.mark.parametrize("resource", OWNED, ids=lambda resource: resource.kind)
def test_an_object_of_nobody_is_found_by_any_of_our_marks(
    lab: Lab, namespace: str, resource: Resource
) -> None:
    owner = {"apiVersion": names.API_VERSION, "kind": "SecureAIWorkload", "name": "gone", "uid": "1-2-3"}
    make(lab, resource, namespace, name="managed", labels={names.MANAGED_BY_LABEL: names.MANAGED_BY})
    make(lab, resource, namespace, name="labelled", labels={names.WORKLOAD_LABEL: "gone"})
    make(lab, resource, namespace, name="of-others")
    found = Orphans(lab, [namespace]).found()
    assert found == [f"{resource.kind} {namespace}/{name}" for name in ("labelled", "managed")]
    # The garbage collector takes it away at once.
    make(lab, resource, namespace, name="owned", ownerReferences=[owner])


@pytest.mark.parametrize("what", IN_VAULT)
def test_what_vault_has_for_nobody_is_found(lab: Lab, namespace: str, what: str) -> None:
    name = vault_name(namespace, "gone")
    path = {**ACCESS, "key": KEYS}[what]
    lab.vault_request("POST", f"{path}/{name}", IN_VAULT[what])
    assert Orphans(lab, [namespace]).found() == [f"{what} {name}"]
    assert Orphans(lab, ["another"]).found() == []
    kept = Orphans(lab, [namespace], kept=[(namespace, "gone")]).found()
    # A key is what may be kept; access never is.
    assert kept == ([] if what == "key" else [f"{what} {name}"])


def test_what_a_living_workload_owns_is_none(lab: Lab, workloads: Workloads, namespace: str) -> None:
    uid = workloads.create(namespace, "llm")["metadata"]["uid"]
    owner = {"apiVersion": names.API_VERSION, "kind": "SecureAIWorkload", "name": "llm", "uid": uid}
    labels = {names.WORKLOAD_LABEL: "llm"}
    make(lab, SECRETS, namespace, name="owned", labels=labels, ownerReferences=[owner])
    make(lab, SECRETS, namespace, name="not-owned", labels=labels)
    lab.vault_request("POST", f"{KEYS}/{vault_name(namespace)}", {})
    assert Orphans(lab, [namespace]).found() == [f"Secret {namespace}/not-owned"]
    lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(namespace, "llm"))


def test_an_identity_that_is_left_is_one_only_while_it_gives_something(lab: Lab, namespace: str) -> None:
    make(lab, SERVICE_ACCOUNTS, namespace, name="saw-gone")
    name, audience = vault_name(namespace, "gone"), "vault://main/test"
    role = {"bound_service_account_names": "saw-gone", "bound_service_account_namespaces": namespace}
    lab.vault_request("POST", f"{ACCESS['auth role']}/{name}", {**role, "audience": audience})
    identity = Identity.login(lab, name, lab.token(namespace, "saw-gone", audience))
    lab.vault_request("DELETE", f"{ACCESS['auth role']}/{name}")
    assert Orphans(lab, [namespace]).found() == []
    entity = f"{ENTITIES}/{identity.auth['entity_id']}"
    lab.vault_request("POST", entity, {"policies": ["some"]})
    assert Orphans(lab, [namespace]).found() == [f"identity of {namespace}/saw-gone with ['some']"]
    lab.vault_request("DELETE", entity)
