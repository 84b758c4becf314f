"""What the core is told about the world for a plan, as the person at the terminal may see it."""

from __future__ import annotations

from secureai_operator import names
from secureai_operator.api.access import RoleKind, RoleRef
from secureai_operator.api.resources import CLUSTER_ROLES, NODES, ROLES, RUNTIME_CLASSES
from secureai_operator.clients.kube_user import Json, KubeUser
from secureai_operator.core.configured import platform_config
from secureai_operator.core.facts import CeilingRule, ClusterFacts, Facts, Workload
from secureai_operator.errors import KubeForbidden
from secureai_operator.settings import Settings


def facts_of(kube: KubeUser, settings: Settings | None, workload: Workload) -> tuple[Facts, list[str]]:
    notes: list[str] = []
    ceiling: tuple[CeilingRule, ...] = ()
    roles: dict[tuple[str, str], tuple[CeilingRule, ...] | None] = {}
    access = workload.spec.access
    if access.rules or access.role_refs:
        try:
            ceiling = _rules(kube.get(CLUSTER_ROLES, None, names.GRANT_CEILING)) or ()
            for reference in access.role_refs:
                roles[reference.kind.value, reference.name] = _rules(_role(kube, workload, reference))
        except KubeForbidden:
            notes.append("you may not read the grant ceiling or a role: access is not checked against it")
            ceiling = ()
    try:
        cluster = _cluster(kube)
    except KubeForbidden:
        notes.append("you may not list nodes and runtime classes: placement is not checked")
        cluster = ClusterFacts()
    config = platform_config(settings or Settings())
    return Facts(config=config, cluster=cluster, ceiling=ceiling, referenced_roles=roles), notes


def _cluster(kube: KubeUser) -> ClusterFacts:
    from secureai_operator.controllers.world import node_facts  # noqa: PLC0415 - slow to import

    return ClusterFacts(
        nodes=tuple(node_facts(node) for node in kube.list(NODES)),
        runtime_classes=frozenset(
            str(item["metadata"]["name"]) for item in kube.list(RUNTIME_CLASSES, metadata_only=True)
        ),
        known=True,
    )


def _role(kube: KubeUser, workload: Workload, reference: RoleRef) -> Json | None:
    if reference.kind is RoleKind.ROLE:
        return kube.get(ROLES, workload.namespace, reference.name)
    return kube.get(CLUSTER_ROLES, None, reference.name)


def _rules(role: Json | None) -> tuple[CeilingRule, ...] | None:
    if role is None:
        return None
    return tuple(
        CeilingRule(
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            frozenset(rule.get("verbs") or ()),
        )
        for rule in role.get("rules") or ()
    )


def as_workload_model(raw: Json) -> Workload:
    from secureai_operator.controllers.workloads import as_workload, stored  # noqa: PLC0415 - slow to import

    metadata = {"resourceVersion": "0", "uid": "", **raw["metadata"]}
    return as_workload(stored({**raw, "metadata": metadata}))
