"""Binding without MutatingAdmissionPolicy: the same binding by Kopf's admission webhook, the same refusals by policy."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
import yaml

from lab import Lab
from lab.certificates import Authority
from secureai_operator import names
from secureai_operator.api.workload_status import BindingStatus
from secureai_operator.core.desired.binding import ENFORCEMENT_ANNOTATION, unbound_reason
from tests.fixtures_operator import Workloads, logged, stop_shared_operator
from tests.integration.bindings import binding, declare, set_binding
from tests.integration.crd_objects import Json
from tests.integration.installation import BASE, install, pod, post, refusal
from tests.product import Product

pytestmark = pytest.mark.integration

OVERLAY = BASE.parent / "overlays" / "webhook"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
POLICY_BINDING = "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/secureai-bind-pods"
MINE = {names.WORKLOAD_LABEL: "llm"}


def _without_an_address(lab: Lab) -> Json:
    """The overlay's webhook configuration."""
    rendered = yaml.safe_load_all(lab.kubectl("kustomize", OVERLAY).stdout)
    (found,) = (item for item in rendered if item and item["kind"] == "MutatingWebhookConfiguration")
    result: Json = found
    return result


@pytest.fixture(scope="module")
def _webhook(request: pytest.FixtureRequest, lab: Lab, product: Product) -> Iterator[None]:
    """A cluster without the mutating policy, and an operator that answers its webhook."""
    stop_shared_operator(request.session)
    authority, port = Authority(lab.directory / "webhook"), lab.ports.take()
    files = authority.server("webhook", ["127.0.0.1"])
    configuration = _without_an_address(lab)
    bundle = base64.b64encode(authority.certificate.read_bytes()).decode()
    for webhook in configuration["webhooks"]:
        path = webhook["clientConfig"]["service"]["path"]
        webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}{path}", "caBundle": bundle}
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "certificateFile": str(files.certificate),
        "keyFile": str(files.key),
        "caFile": str(authority.certificate),
    }
    operator = product.start_operator(binding="Webhook", webhook=settings)
    lab.wait_for(lambda: logged(operator, "leading"), 30, "the operator to lead\n" + operator.process.tail())
    lab.api.request("DELETE", POLICY_BINDING)
    lab.api.request("POST", CONFIGURATIONS, configuration)
    try:
        yield
    finally:
        lab.api.request("DELETE", f"{CONFIGURATIONS}/{configuration['metadata']['name']}")
        operator.stop()
        install(lab)
        # Until the mutating policy is in force again.
        lab.create_namespace("after-webhook")
        declare(lab, "after-webhook")
        set_binding(lab, "after-webhook", binding(namespace="after-webhook"))


@pytest.mark.usefixtures("_webhook")
def test_a_pod_is_bound_by_the_webhook(lab: Lab, workloads: Workloads, namespace: str) -> None:
    ready = workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    status = BindingStatus.model_validate(ready["status"]["binding"])
    found = _accepted(lab, namespace)
    assert unbound_reason(found, status) is None
    assert found["spec"]["serviceAccountName"] == "saw-llm"
    assert not any(volume["name"].startswith("kube-api-access-") for volume in found["spec"]["volumes"])


def _accepted(lab: Lab, namespace: str) -> Json:
    """A pod of the workload, once the operator and the policies know of it."""

    def accepted() -> Json | None:
        found = post(lab, namespace, pod(MINE), dry_run=True)
        return found.body if found.accepted else None

    result = lab.wait_for(accepted, 30, "a pod to be accepted")
    assert result is not None
    return result


@pytest.mark.usefixtures("_webhook")
def test_a_pod_of_a_workload_that_does_not_exist_is_refused(lab: Lab, namespace: str) -> None:
    said = refusal(post(lab, namespace, pod(MINE)))
    assert f"SecureAIWorkload {namespace}/llm does not exist" in said


@pytest.mark.usefixtures("_webhook")
def test_a_pod_of_no_workload_is_left_alone(lab: Lab, namespace: str) -> None:
    found = post(lab, namespace, pod({"app": "other"}))
    assert found.accepted
    assert found.body["spec"]["serviceAccountName"] == "default"


@pytest.mark.usefixtures("_webhook")
def test_under_audit_a_pod_is_only_marked(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, enforcement="Audit")
    found = _accepted(lab, namespace)
    assert found["spec"]["serviceAccountName"] == "default"
    assert found["metadata"]["annotations"][ENFORCEMENT_ANNOTATION] == "Audit"
