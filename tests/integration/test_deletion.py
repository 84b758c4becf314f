"""Deletion: access goes first and for certain, the key stays unless both sides want it gone, and nothing hangs for ever."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.audits import Audit
from tests.integration.vault_identity import PKI, TRANSIT, Identity, pod_token, vault_name
from tests.integration.vault_reads import found_in

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator")]

Json = dict[str, Any]

MODEL = {"dataKeys": [{"name": "model"}]}
ORPHANS = "secureai-orphans"
RECOVERY_SECONDS = 40.0
"""An attempt to revoke is repeated after growing pauses of up to 30 s."""


def access_left(lab: Lab, name: str) -> set[str]:
    """What in Vault still lets somebody do something as the workload."""
    paths = (f"auth/kubernetes/role/{name}", f"sys/policies/acl/{name}", f"{PKI}/roles/{name}")
    return {path for path in paths if found_in(lab.vault, path) is not None}


def serial(workloads: Workloads, namespace: str, name: str = "llm") -> str:
    secret = workloads.find(SECRETS, namespace, names.tls_secret(name))
    assert secret is not None
    number = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"])).serial_number
    text = f"{number:x}"
    text = text.zfill(len(text) + len(text) % 2)
    return ":".join(text[place : place + 2] for place in range(0, len(text), 2))


@pytest.fixture
def without_vault(lab: Lab) -> Iterator[None]:
    """Vault is down, and back when the test is over, however it ends."""
    lab.stop_vault()
    yield
    back(lab)


def back(lab: Lab) -> None:
    if not lab.component("vault").running:
        lab.start_vault()


def test_deletion_revokes_everything_and_keeps_the_key(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL)
    name, number = vault_name(namespace), serial(workloads, namespace)
    identity = Identity.of(lab, namespace)
    jwt = pod_token(lab, namespace)
    ciphertext = identity.encrypt(name, b"weights")

    workloads.delete(namespace)
    workloads.wait_gone(namespace)

    assert access_left(lab, name) == set()
    certificate = found_in(lab.vault, f"{PKI}/cert/{number}")
    assert certificate is not None
    assert certificate["revocation_time"] > 0
    assert found_in(lab.vault, f"{TRANSIT}/keys/{name}") is not None
    with pytest.raises(RequestFailed):
        identity.decrypt(name, ciphertext)
    with pytest.raises(RequestFailed):
        Identity.login(lab, name, jwt)
    workloads.wait_event(namespace, "llm", "AccessRevoked")
    workloads.wait_event(namespace, "llm", "KeyRetained")
    for resource, place in (
        (SERVICE_ACCOUNTS, names.service_account("llm")),
        (SECRETS, names.tls_secret("llm")),
        (NETWORK_POLICIES, names.allow_policy("llm")),
    ):
        workloads.wait_absent(resource, namespace, place, deadline=30)


def test_the_last_workload_takes_the_right_on_secrets_with_it(workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, "one")
    workloads.ready(namespace, "two")
    workloads.delete(namespace, "one")
    workloads.wait_gone(namespace, "one")
    assert workloads.find(ROLE_BINDINGS, namespace, names.NAMESPACE_SECRETS_ROLE) is not None
    workloads.delete(namespace, "two")
    workloads.wait_gone(namespace, "two")
    workloads.wait_absent(ROLE_BINDINGS, namespace, names.NAMESPACE_SECRETS_ROLE)


def test_the_wrapped_data_keys_outlive_the_workload_and_are_adopted(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """The key alone decrypts nothing: without the wrapped data keys the retained key would be worth nothing."""
    before = workloads.ready(namespace, keys=MODEL)["status"]
    name = vault_name(namespace)
    secret = workloads.find(SECRETS, namespace, names.keys_secret("llm"))
    assert secret is not None
    workloads.delete(namespace)
    workloads.wait_gone(namespace)
    workloads.wait_absent(SECRETS, namespace, names.tls_secret("llm"), deadline=30)

    kept = workloads.find(SECRETS, namespace, names.keys_secret("llm"))
    assert kept is not None
    assert kept["data"] == secret["data"]
    assert kept["metadata"]["labels"][names.RETAINED_LABEL] == "true"
    assert not kept["metadata"].get("ownerReferences")

    after = workloads.ready(namespace, keys=MODEL)
    assert after["status"]["dataKeys"] == before["dataKeys"]
    assert after["status"]["key"]["createdAt"] == before["key"]["createdAt"]
    adopted = workloads.find(SECRETS, namespace, names.keys_secret("llm"))
    assert adopted is not None
    assert adopted["data"] == secret["data"]
    assert names.RETAINED_LABEL not in adopted["metadata"]["labels"]
    assert [owner["uid"] for owner in adopted["metadata"]["ownerReferences"]] == [after["metadata"]["uid"]]
    wrapped = before["dataKeys"][0]["wrapped"]
    assert len(Identity.of(lab, namespace).decrypt(name, wrapped)) == 32


def test_data_keys_of_earlier_generations_and_undeclared_ones_outlive_the_workload_too(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """Whoever makes the workload again declares what it needs next; what was encrypted before may still be needed."""
    both = {"dataKeys": [{"name": "model"}, {"name": "weights"}]}
    workloads.ready(namespace, keys=both)
    asked = {"metadata": {"annotations": {names.ROTATE_DATA_KEYS_ANNOTATION: "once"}}}
    workloads.patch(namespace, "llm", asked)
    before = workloads.wait_object(
        SECRETS, namespace, names.keys_secret("llm"), lambda live: len(live["data"]) == 4
    )["data"]
    workloads.wait_ready(namespace)
    workloads.delete(namespace)
    workloads.wait_gone(namespace)

    workloads.ready(namespace, keys=MODEL)
    workloads.patch(namespace, "llm", {"metadata": {"annotations": {names.RESYNC_ANNOTATION: "again"}}})
    lab.wait_for(
        lambda: workloads.get(namespace)["status"].get("resync") == "again", 60, "another look at everything"
    )
    found = workloads.find(SECRETS, namespace, names.keys_secret("llm"))
    assert found is not None
    assert found["data"] == before
    identity = Identity.of(lab, namespace)
    recorded = workloads.get(namespace)["status"]["dataKeys"]
    assert {one["name"] for one in recorded} == {"model", "model.1", "weights", "weights.1"}
    for one in recorded:
        assert len(identity.decrypt(vault_name(namespace), one["wrapped"])) == 32

    # The next generation takes no name that is in use.
    workloads.patch(
        namespace, "llm", {"metadata": {"annotations": {names.ROTATE_DATA_KEYS_ANNOTATION: "twice"}}}
    )
    after = workloads.wait_object(
        SECRETS, namespace, names.keys_secret("llm"), lambda live: len(live["data"]) > 4
    )["data"]
    assert set(before.values()) <= set(after.values())


def test_destroy_without_the_platforms_permission_keeps_the_key(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL, deletionPolicy="Destroy")
    workloads.delete(namespace)
    workloads.wait_gone(namespace)
    assert found_in(lab.vault, f"{TRANSIT}/keys/{vault_name(namespace)}") is not None
    assert workloads.find(SECRETS, namespace, names.keys_secret("llm")) is not None
    workloads.wait_event(namespace, "llm", "KeyRetained")


def test_destroy_with_the_platforms_permission_destroys(
    lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    with destroyer(operator):
        workloads.ready(namespace, "kept", keys=MODEL)
        workloads.ready(namespace, keys=MODEL, deletionPolicy="Destroy")
        for name in ("kept", "llm"):
            workloads.delete(namespace, name)
            workloads.wait_gone(namespace, name)
        assert found_in(lab.vault, f"{TRANSIT}/keys/{vault_name(namespace)}") is None
        assert access_left(lab, vault_name(namespace)) == set()
        assert found_in(lab.vault, f"{TRANSIT}/keys/{vault_name(namespace, 'kept')}") is not None
        workloads.wait_event(namespace, "llm", "KeyDestroyed")
        workloads.wait_absent(SECRETS, namespace, names.keys_secret("llm"), deadline=30)


@contextlib.contextmanager
def destroyer(operator: SharedOperator) -> Iterator[None]:
    """The operator with a Vault role that may destroy keys; without it again afterwards."""
    product = operator.product
    connections = product.base_settings()["connections"]
    connections["default"] = {**connections["default"], "destroyRole": "secureai-destroyer"}
    product.bootstrap_vault(connections=connections)
    operator.stop()
    ours = product.start_operator(**{**operator.overrides, "connections": connections})
    operator.logs.append(ours.process.log)
    try:
        yield
    finally:
        ours.stop()
        operator.start()


# While Vault is down


def test_deletion_waits_for_vault_and_finishes_after(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    name = vault_name(namespace)
    lab.stop_vault()
    try:
        workloads.delete(namespace)
        workloads.wait_condition(namespace, "llm", "Ready", "False", "Terminating")
        assert names.FINALIZER in workloads.get(namespace)["metadata"]["finalizers"]
    finally:
        back(lab)
    workloads.wait_gone(namespace, deadline=RECOVERY_SECONDS)
    assert access_left(lab, name) == set()


def test_a_neighbour_is_served_while_a_deletion_waits(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, "one")
    workloads.ready(namespace, "two")
    lab.stop_vault()
    try:
        workloads.delete(namespace, "one")
        workloads.wait_condition(namespace, "one", "Ready", "False", "Terminating")
        workloads.delete(namespace, names.allow_policy("two"), NETWORK_POLICIES)
        workloads.wait_object(NETWORK_POLICIES, namespace, names.allow_policy("two"))
    finally:
        back(lab)
    workloads.wait_gone(namespace, "one", deadline=RECOVERY_SECONDS)


def test_an_edit_while_it_is_being_deleted_changes_nothing(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    lab.stop_vault()
    try:
        workloads.delete(namespace)
        workloads.wait_condition(namespace, "llm", "Ready", "False", "Terminating")
        rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
        workloads.respec(namespace, access={"rules": rules})
        workloads.wait_condition(namespace, "llm", "Ready", "False", "Terminating")
    finally:
        back(lab)
    workloads.wait_gone(namespace, deadline=RECOVERY_SECONDS)
    assert access_left(lab, vault_name(namespace)) == set()


def test_a_namespace_goes_although_vault_is_down_and_leaves_a_report(
    lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    with impatient(operator):
        uid = workloads.ready(namespace)["metadata"]["uid"]
        name = vault_name(namespace)
        lab.stop_vault()
        try:
            lab.delete_namespace(namespace)
            report = workloads.wait_object(
                CONFIG_MAPS,
                names.OPERATOR_NAMESPACE,
                ORPHANS,
                lambda found: f"{namespace}.llm" in found["data"],
                deadline=RECOVERY_SECONDS,
            )
            entry = report["data"][f"{namespace}.llm"]
            assert name in entry
            assert uid in entry
            lab.wait_for(
                lambda: workloads.find(NAMESPACES, None, namespace) is None, 60, "the namespace to be gone"
            )
        finally:
            back(lab)
        assert access_left(lab, name)


def test_force_delete_lets_go_at_once_and_says_so(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    lab.stop_vault()
    try:
        workloads.delete(namespace)
        workloads.wait_condition(namespace, "llm", "Ready", "False", "Terminating")
        workloads.patch(
            namespace, "llm", {"metadata": {"annotations": {names.FORCE_DELETE_ANNOTATION: "true"}}}
        )
        workloads.wait_gone(namespace)
        workloads.wait_event(namespace, "llm", "Orphaned", contains=vault_name(namespace))
    finally:
        back(lab)
    report = workloads.find(CONFIG_MAPS, names.OPERATOR_NAMESPACE, ORPHANS)
    assert report is not None
    assert f"{namespace}.llm" in report["data"]


@contextlib.contextmanager
def impatient(operator: SharedOperator) -> Iterator[None]:
    """The operator waits for Vault one second only when a namespace goes; as before afterwards."""
    operator.stop()
    ours = operator.product.start_operator(**{**operator.overrides, "orphanDeadlineSeconds": 1})
    operator.logs.append(ours.process.log)
    try:
        yield
    finally:
        ours.stop()
        operator.start()


def test_a_namespace_that_took_the_right_on_secrets_first_still_goes(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """A namespace's objects are deleted in any order; the operator's own RoleBinding may be the first."""
    workloads.ready(namespace, keys=MODEL)
    workloads.patch(namespace, "llm", {"metadata": {"finalizers": [names.FINALIZER, "example.com/held"]}})
    audit = Audit(lab)
    lab.stop_vault()
    try:
        lab.delete_namespace(namespace)
        workloads.wait_absent(ROLE_BINDINGS, namespace, names.NAMESPACE_SECRETS_ROLE, deadline=30)
    finally:
        back(lab)
    lab.wait_for(
        lambda: workloads.get(namespace)["metadata"]["finalizers"] == ["example.com/held"],
        15,
        "the revocation",
    )
    assert access_left(lab, vault_name(namespace)) == set()
    report = workloads.find(CONFIG_MAPS, names.OPERATOR_NAMESPACE, ORPHANS)
    assert report is None or f"{namespace}.llm" not in report["data"]
    assert [request for request in audit.kube(namespace) if request.denied] == []
    workloads.patch(namespace, "llm", {"metadata": {"finalizers": []}})


def test_deletion_takes_the_right_on_secrets_again_if_it_is_gone(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL)
    number = serial(workloads, namespace)
    lab.stop_vault()
    try:
        workloads.delete(namespace)
        workloads.wait_condition(namespace, "llm", "Ready", "False", "Terminating")
        workloads.delete(namespace, names.NAMESPACE_SECRETS_ROLE, ROLE_BINDINGS)
    finally:
        back(lab)
    workloads.wait_gone(namespace, deadline=RECOVERY_SECONDS)
    certificate = found_in(lab.vault, f"{PKI}/cert/{number}")
    assert certificate is not None
    assert certificate["revocation_time"] > 0


def test_a_namespace_with_a_working_vault_leaves_nothing(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace, keys=MODEL)
    lab.delete_namespace(namespace)
    lab.wait_for(lambda: workloads.find(NAMESPACES, None, namespace) is None, 60, "the namespace to be gone")
    assert access_left(lab, vault_name(namespace)) == set()


# While the operator is down


def test_deletion_while_the_operator_is_down_is_finished_as_it_starts(
    lab: Lab, workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    workloads.ready(namespace)
    operator.stop()
    workloads.delete(namespace)
    assert workloads.get(namespace)["metadata"]["deletionTimestamp"]
    operator.start()
    workloads.wait_gone(namespace)
    assert access_left(lab, vault_name(namespace)) == set()


def test_a_workload_that_was_never_seen_is_let_go(
    workloads: Workloads, namespace: str, operator: SharedOperator
) -> None:
    operator.stop()
    workloads.create(namespace)
    workloads.delete(namespace)
    workloads.wait_gone(namespace)
    operator.start()


def test_another_workload_of_the_same_name_is_a_new_one(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    """Deleted and made again at once: nothing of the first one's end reaches the second."""
    workloads.ready(namespace)
    workloads.delete(namespace)
    workloads.wait_gone(namespace)
    first = access_left(lab, vault_name(namespace))
    workloads.ready(namespace)
    assert first == set()
    assert len(access_left(lab, vault_name(namespace))) == 3
    name = vault_name(namespace)
    identity = Identity.of(lab, namespace)
    assert identity.decrypt(name, identity.encrypt(name, b"x")) == b"x"
