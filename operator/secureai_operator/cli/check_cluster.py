"""The preflight's looks at the cluster and at what is installed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from secureai_operator import names
from secureai_operator.api import crd
from secureai_operator.api.confidential import Platform
from secureai_operator.api.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CUSTOM_RESOURCE_DEFINITIONS,
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    NODES,
    RUNTIME_CLASSES,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from secureai_operator.cli.check_item import Item, Verdict
from secureai_operator.cli.operator_lease import leadership
from secureai_operator.cli.output import utc_now
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.core.desired.placement import PRESETS

OLDEST = (1, 30)
"""ValidatingAdmissionPolicy is served as v1 from here on."""

MUTATING = "secureai-bind-pods"
VALIDATING = (
    "secureai-bound-pods",
    "secureai-operator-ceiling",
    "secureai-operator-cluster-role-refs",
    "secureai-operator-role-refs",
    "secureai-operator-rollouts",
    "secureai-operator-scope",
    "secureai-operator-secrets",
    "secureai-pod-labels",
    "secureai-pod-membership",
    "secureai-workload-authors",
    "secureai-workload-bounds",
    "secureai-workload-pods",
    "secureai-workload-role-refs",
)
"""The policies of manifests/base; a test compares the two."""

_APPLY_CRDS = "kubectl apply --server-side -f crds/ (or: secureai crds | kubectl apply --server-side -f -)"
_APPLY_BASE = "kubectl apply --server-side -k manifests/base"


def version(kube: KubeUser) -> Iterator[Item]:
    found = kube.version()
    numbers = tuple(
        int(part) for part in found.lstrip("v").split("+")[0].split("-")[0].split(".")[:2] if part.isdigit()
    )
    if numbers < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield Item(
            "cluster",
            "API server",
            Verdict.FAIL,
            f"{found or 'of unknown version'}",
            f"use Kubernetes {oldest} or newer",
        )
        return
    yield Item("cluster", "API server", Verdict.OK, found)


def definitions(kube: KubeUser) -> Iterator[Item]:
    """Both CRDs are there, established, and what this version of the program would install."""
    for kind in crd.KINDS:
        ours: Mapping[str, Any] = crd.definition(kind)
        name = str(ours["metadata"]["name"])
        live = kube.get(CUSTOM_RESOURCE_DEFINITIONS, None, name)
        if live is None:
            yield Item("installation", name, Verdict.FAIL, "not installed", _APPLY_CRDS)
        elif not _is_established(live):
            yield Item("installation", name, Verdict.FAIL, "not established", f"kubectl describe crd {name}")
        elif difference := first_difference(ours["spec"], live["spec"], "spec"):
            text = f"differs from this version's at {difference}"
            yield Item("installation", name, Verdict.FAIL, text, _APPLY_CRDS)
        else:
            yield Item("installation", name, Verdict.OK, "installed, equal to this version's")


def _is_established(live: Json) -> bool:
    conditions = (live.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions)


def first_difference(ours: Any, live: Any, path: str) -> str:
    """Where a live value is not ours, or "": schemas must be equal, elsewhere the API server may add defaults."""
    closed = path.endswith(".openAPIV3Schema")
    if isinstance(ours, Mapping) and isinstance(live, Mapping) and not closed:
        return next(
            (found for key in ours if (found := first_difference(ours[key], live.get(key), f"{path}.{key}"))),
            "",
        )
    if isinstance(ours, list) and isinstance(live, list) and len(ours) == len(live):
        pairs = enumerate(zip(ours, live, strict=True))
        return next(
            (found for at, (one, other) in pairs if (found := first_difference(one, other, f"{path}[{at}]"))),
            "",
        )
    return "" if ours == live else path


def policies(kube: KubeUser) -> Iterator[Item]:
    """What binds pods: the mutating policy, or the webhook where it is not served; and what refuses unbound ones."""
    yield from _mutating(kube)
    yield from _validating(kube)


def _mutating(kube: KubeUser) -> Iterator[Item]:
    name = MUTATING
    if kube.serves(MUTATING_ADMISSION_POLICIES):
        missing = [
            res.kind
            for res in (MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS)
            if kube.get(res, None, name) is None
        ]
        if not missing:
            yield Item("installation", name, Verdict.OK, "served and installed: pods are bound by the policy")
            return
        if not _has_webhook(kube):
            yield Item("installation", name, Verdict.FAIL, f"{', '.join(missing)} not installed", _APPLY_BASE)
            return
    if _has_webhook(kube):
        yield Item("installation", name, Verdict.OK, "pods are bound by the operator's webhook")
        return
    text = "the cluster does not serve MutatingAdmissionPolicy, and the webhook is not installed"
    yield Item(
        "installation", name, Verdict.FAIL, text, "set binding: Webhook, see manifests/overlays/webhook"
    )


def _has_webhook(kube: KubeUser) -> bool:
    found = kube.list(MUTATING_WEBHOOK_CONFIGURATIONS, metadata_only=True)
    return any("secureai" in str(item["metadata"]["name"]) for item in found)


def _validating(kube: KubeUser) -> Iterator[Item]:
    """Each policy is there and has a binding: a policy without one refuses nothing."""
    listed = kube.list(VALIDATING_ADMISSION_POLICIES, metadata_only=True)
    found = {str(item["metadata"]["name"]) for item in listed}
    bound = {
        str(item["spec"]["policyName"])
        for item in kube.list(VALIDATING_ADMISSION_POLICY_BINDINGS)
        if "Deny" in (item["spec"].get("validationActions") or ())
    }
    for name in VALIDATING:
        if name not in found:
            yield Item("installation", name, Verdict.FAIL, "not installed", _APPLY_BASE)
        elif name not in bound:
            text = "has no binding that denies, so it refuses nothing"
            yield Item("installation", name, Verdict.FAIL, text, _APPLY_BASE)
        else:
            yield Item("installation", name, Verdict.OK, "installed and enforced")


def ceiling(kube: KubeUser) -> Iterator[Item]:
    """The ceiling exists, binds the operator, and holds nothing that no workload should have."""
    name = names.GRANT_CEILING
    role, binding = (kube.get(res, None, name) for res in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS))
    if role is None or binding is None:
        text = "ClusterRole or ClusterRoleBinding missing: no access rule can be granted"
        yield Item("installation", name, Verdict.FAIL, text, _APPLY_BASE)
        return
    dangerous = sorted(set(_dangerous(role)))
    if dangerous:
        text = f"lets workloads have {', '.join(dangerous)}"
        yield Item("installation", name, Verdict.WARN, text, "take it out of the ClusterRole")
        return
    yield Item("installation", name, Verdict.OK, f"{len(role.get('rules') or ())} rules")


def _dangerous(role: Json) -> Iterator[str]:
    for rule in role.get("rules") or ():
        for part in ("apiGroups", "resources", "verbs"):
            if "*" in (rule.get(part) or ()):
                yield f"* in {part}"
        yield from {"secrets"} & set(rule.get("resources") or ())
        yield from {"escalate", "bind", "impersonate"} & set(rule.get("verbs") or ())


def nodes(kube: KubeUser) -> Iterator[Item]:
    """Which platforms have a node, and whether their runtime classes exist."""
    listed = kube.list(NODES)
    classes = {str(item["metadata"]["name"]) for item in kube.list(RUNTIME_CLASSES, metadata_only=True)}
    found = False
    for platform, preset in PRESETS.items():
        fitting = [
            node for node in listed if any(labels and _carries(node, labels) for labels in preset.any_of)
        ]
        if not fitting:
            continue
        found = True
        needed = {name for name in (preset.runtime_class, preset.gpu_runtime_class) if name}
        missing = sorted(needed - classes)
        text = f"{len(fitting)} of {len(listed)} nodes"
        if missing:
            text = f"{text}; RuntimeClass {', '.join(missing)} missing"
            yield Item("nodes", f"TDX, {platform.value}", Verdict.WARN, text, "deploy Kata Containers")
        else:
            yield Item("nodes", f"TDX, {platform.value}", Verdict.OK, text)
    if not found:
        text = f"none of {len(listed)} nodes carries the labels of a TDX host"
        step = f"run node-feature-discovery; workloads with mode Required wait until then ({Platform.AUTO.value} finds it)"
        yield Item("nodes", "TDX", Verdict.WARN, text, step)


def _carries(node: Json, labels: Mapping[str, str]) -> bool:
    present = node["metadata"].get("labels") or {}
    return all(present.get(key) == value for key, value in labels.items())


def lease(kube: KubeUser) -> Iterator[Item]:
    found = leadership(kube, utc_now())
    if found.running is None:
        yield Item("operator", "Lease", Verdict.SKIP, found.text)
    elif found.running:
        yield Item("operator", "Lease", Verdict.OK, found.text)
    else:
        step = "kubectl -n secureai-system get pods, and look at its log"
        yield Item("operator", "Lease", Verdict.FAIL, found.text, step)
