"""kube-linter's other checks, under its names: rights, services, disruption budgets, policies; and what is not checked here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from tests.security.manifest_pod_checks import POD_CHECKS
from tests.security.manifests import Check, Found, Json, Manifests, absent, matches, rule_check

_RBAC = "rbac.authorization.k8s.io"
_POD_MAKERS = ("pods", "deployments", "statefulsets", "replicasets", "cronjobs", "jobs", "daemonsets")
_CREDENTIAL = re.compile("password|secret|token|api_?key|private_key|credential")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def _words(rule: Json) -> set[str]:
    return {*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule.get("verbs", ())}


def _gives(rule: Json, resources: Collection[str], verbs: Collection[str], group: str = "") -> bool:
    return bool(
        {group, "*"} & {*rule.get("apiGroups", ())}
        and {*resources, "*"} & {*rule.get("resources", ())}
        and {*verbs, "*"} & {*rule.get("verbs", ())}
    )


def _verb(verb: str, *, unless_named: bool = False) -> Check:
    def fails(rule: Json) -> str:
        if verb not in rule.get("verbs", ()) or (unless_named and rule.get("resourceNames")):
            return ""
        return f"{verb} on {', '.join(rule['resources'])}"

    return rule_check(fails)


def _access_to_secrets(manifests: Manifests) -> Found:
    """By any role: this one is bound by the operator itself, and no binding of it is among the manifests."""
    for role, rule in manifests.rules():
        if _gives(rule, ("secrets",), ("get", "list", "watch", "create", "delete")):
            yield role, "rights on Secrets"


def _cluster_wide_secrets(manifests: Manifests) -> Found:
    for binding, rule in manifests.bound_rules("ClusterRoleBinding"):
        if _gives(rule, ("secrets",), ("get", "list", "watch", "create", "update", "patch", "delete")):
            yield binding, "rights on all Secrets"


def _makes_pods(manifests: Manifests) -> Found:
    for role, rule in manifests.rules():
        if any(_gives(rule, _POD_MAKERS, ("create",), group) for group in ("", "apps", "batch")):
            yield role, "may create pods"


def _aggregated(manifests: Manifests) -> Found:
    for role, rule in manifests.rules():
        labels = role["metadata"].get("labels", {})
        if any(key.startswith(f"{_RBAC}/aggregate-to-") for key in labels) and (
            _gives(rule, ("secrets",), ("create", "delete", "patch"))
            or _gives(
                rule, ("roles", "clusterroles", "clusterrolebindings"), ("create", "delete", "patch"), _RBAC
            )
        ):
            yield role, "rights on rights for every editor"


def _cluster_admin(manifests: Manifests) -> Found:
    for binding in manifests.of("ClusterRoleBinding", "RoleBinding"):
        if binding["roleRef"]["name"] == "cluster-admin":
            yield binding, "cluster-admin"


def _pod_labels(manifests: Manifests, namespace: str | None) -> list[Mapping[str, str]]:
    return [
        template["metadata"].get("labels", {})
        for item, template in manifests.pods()
        if namespace is None or item["metadata"].get("namespace", "default") == namespace
    ]


def _dangling_services(manifests: Manifests) -> Found:
    for service in manifests.of("Service"):
        selector = {"matchLabels": service["spec"].get("selector", {})}
        if not any(
            matches(selector, one) for one in _pod_labels(manifests, service["metadata"].get("namespace"))
        ):
            yield service, "it selects no pods"


def _dangling_policies(manifests: Manifests) -> Found:
    for policy in manifests.of("NetworkPolicy"):
        labels = _pod_labels(manifests, policy["metadata"].get("namespace"))
        if not any(matches(policy["spec"]["podSelector"], one) for one in labels):
            yield policy, "it selects no pods"


def _dangling_peers(manifests: Manifests) -> Found:
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        rules = [(rule, "from") for rule in spec.get("ingress", ())] + [
            (rule, "to") for rule in spec.get("egress", ())
        ]
        for rule, direction in rules:
            for peer in rule.get(direction, ()):
                is_local = "podSelector" in peer and "namespaceSelector" not in peer
                labels = _pod_labels(manifests, policy["metadata"].get("namespace"))
                if is_local and not any(matches(peer["podSelector"], one) for one in labels):
                    yield policy, "a peer that is no pod"


def _exposed(manifests: Manifests) -> Found:
    for service in manifests.of("Service"):
        if service["spec"].get("type") in {"NodePort", "LoadBalancer"}:
            yield service, service["spec"]["type"]


def _external_names(manifests: Manifests) -> Found:
    for service in manifests.of("Service"):
        if service["spec"].get("type") == "ExternalName":
            yield service, "it redirects"


def _target_ports(manifests: Manifests) -> Found:
    known = {port.get("name") for _, _, one in manifests.containers() for port in one.get("ports", ())}
    known |= {port["containerPort"] for _, _, one in manifests.containers() for port in one.get("ports", ())}
    for service in manifests.of("Service"):
        for port in service["spec"].get("ports", ()):
            if port.get("targetPort") not in known:
                yield service, f"port {port.get('targetPort')} is no container's"


def _budgets(manifests: Manifests) -> Found:
    for budget in manifests.of("PodDisruptionBudget"):
        spec = budget["spec"]
        for item, template in manifests.pods():
            if not matches(spec["selector"], template["metadata"].get("labels", {})):
                continue
            replicas = item["spec"].get("replicas", 1)
            if spec.get("maxUnavailable") == 0 or spec.get("minAvailable", 0) in {replicas, "100%"}:
                yield budget, "no pod may ever be evicted"


def _unhealthy_pods(manifests: Manifests) -> Found:
    for budget in manifests.of("PodDisruptionBudget"):
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield budget, "pods that are not ready may hold up a drain"


def _credentials(manifests: Manifests) -> Found:
    for item in manifests.of("ConfigMap"):
        if any(
            _CREDENTIAL.search(key) for key in (*(item.get("data") or {}), *(item.get("binaryData") or {}))
        ):
            yield item, "an entry that is named like a credential"


def _failing_open(manifests: Manifests) -> Found:
    for item in manifests.of("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        if any(one.get("failurePolicy") == "Ignore" for one in item["webhooks"]):
            yield item, "it fails open"
    for item in manifests.of("ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"):
        if item["spec"].get("failurePolicy", "Fail") != "Fail":
            yield item, "it fails open"


def _default_namespace(manifests: Manifests) -> Found:
    for item in manifests.of(
        "Deployment", "Service", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"
    ):
        if item["metadata"].get("namespace", "default") == "default":
            yield item, "in the namespace default"


def _without_owner(manifests: Manifests) -> Found:
    for item in manifests.of("Deployment", "StatefulSet", "DaemonSet"):
        if "owner" not in item["metadata"].get("labels", {}):
            yield item, "no label owner"


def _without_mail(manifests: Manifests) -> Found:
    for item in manifests.of("Deployment", "StatefulSet", "DaemonSet"):
        if not _MAIL.fullmatch(item["metadata"].get("annotations", {}).get("email", "")):
            yield item, "no annotation email"


def _old_api(manifests: Manifests) -> Found:
    for item in manifests.objects:
        if "beta" in item["apiVersion"] and item["apiVersion"].endswith((".k8s.io", "/v1beta1", "/v1beta2")):
            yield item, item["apiVersion"]


def _unsorted(manifests: Manifests) -> Found:
    for item in manifests.objects:
        if not _is_sorted(item):
            yield item, "its keys are not in order"


def _is_sorted(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == sorted(value) and all(map(_is_sorted, value.values()))
    return not isinstance(value, list) or all(map(_is_sorted, value))


CHECKS: Mapping[str, Check] = {
    **POD_CHECKS,
    "access-to-create-pods": _makes_pods,
    "access-to-secrets": _access_to_secrets,
    "aggregate-to-admin-escalation": _aggregated,
    "approve-signers-without-resource-names": _verb("approve", unless_named=True),
    "bind-verb-in-role": _verb("bind"),
    "cluster-admin-role-binding": _cluster_admin,
    "cluster-wide-secrets-access": _cluster_wide_secrets,
    "configmap-with-credentials": _credentials,
    "dangling-horizontalpodautoscaler": absent("HorizontalPodAutoscaler"),
    "dangling-ingress": absent("Ingress"),
    "dangling-networkpolicy": _dangling_policies,
    "dangling-networkpolicypeer-podselector": _dangling_peers,
    "dangling-service": _dangling_services,
    "deletecollection-verb-in-role": _verb("deletecollection"),
    "escalate-verb-in-role": _verb("escalate"),
    "exposed-services": _exposed,
    "externalname-service-redirect": _external_names,
    "impersonate-without-resource-names": _verb("impersonate", unless_named=True),
    "invalid-target-ports": _target_ports,
    "job-ttl-seconds-after-finished": absent("Job", "CronJob"),
    "no-extensions-v1beta": _old_api,
    "pdb-max-unavailable and pdb-min-available": _budgets,
    "pdb-unhealthy-pod-eviction-policy": _unhealthy_pods,
    "required-annotation-email": _without_mail,
    "required-label-owner": _without_owner,
    "sorted-keys": _unsorted,
    "use-namespace": _default_namespace,
    "volumeclaimtemplates": absent("StatefulSet"),
    "webhook-failure-policy-ignore": _failing_open,
    "wildcard-in-rules": rule_check(lambda rule: "a wildcard" if "*" in _words(rule) else ""),
}

ELSEWHERE: Mapping[str, str] = {
    "schema-validation": "a real API server takes the manifests with strict validation (tests/integration/test_rbac.py)",
    "kube-chainsaw-rbac": "not built anew; the rights are counted word by word (tests/integration/test_rbac.py) and each is used "
    "(tests/integration/test_least_privilege.py)",
    "dangling-servicemonitor": "the monitoring's own tests hold it to the Service (tests/unit/test_monitoring.py)",
    "insecure-route-termination and scc-deny-privileged-container": "OpenShift's kinds: there is none",
    "hpa-minimum-three-replicas and hpa-maximum-replicas": "as dangling-horizontalpodautoscaler: there is none",
    "stackrox-securedcluster-deprecated-fields": "a kind of another product",
}
"""Checks of kube-linter that are made in another place, or not at all."""
