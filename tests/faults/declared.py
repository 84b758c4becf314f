"""What workloads of these tests ask for: everything at once, or little; and when the operator has made it true."""

from __future__ import annotations

from typing import Any

from lab import Lab
from secureai_operator.api.resources import ROLES
from tests.fixtures_operator import condition

READER = "reader"
"""A Role that somebody else made."""
MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}

Json = dict[str, Any]

FULL: Json = {
    "keys": {"dataKeys": [{"name": "model"}, {"name": "prompts"}]},
    "certificate": {"ttl": "48h", "delivery": "Secret"},
    "access": {"tokenTTL": "20m", "rules": [MAPS], "roleRefs": [{"kind": "Role", "name": READER}]},
    "network": {
        "ingress": [{"from": [{"namespace": "gateway"}], "ports": [8000]}],
        "egress": [{"to": [{"cidr": "10.20.0.0/16"}], "ports": [443]}],
    },
}
"""Every kind of object, in Kubernetes and in Vault."""

SMALL: Json = {
    "keys": {"dataKeys": [{"name": "model"}]},
    "certificate": {"ttl": "24h", "delivery": "None"},
    "access": {"tokenTTL": "10m", "rules": None, "roleRefs": None},
    "network": {"ingress": None, "egress": None},
}
"""Without what `FULL` has more, as a merge patch takes it away; what both have differs."""


def offer_role(lab: Lab, namespace: str) -> None:
    """Make the Role that `FULL` refers to."""
    body = {"metadata": {"name": READER}, "rules": [MAPS]}
    lab.api.request("POST", ROLES.path(namespace), body)


def is_ready(workload: Json) -> bool:
    """Ready, for the spec that it has now."""
    if not workload:
        return False
    found, generation = condition(workload, "Ready"), workload["metadata"]["generation"]
    current = workload.get("status", {}).get("observedGeneration") == generation
    return current and found.get("status") == "True" and found.get("observedGeneration") == generation


def is_gone(workload: Json) -> bool:
    return not workload


def without_nulls(spec: Json) -> Json:
    """The same for a new object, where nothing is taken away."""
    return {
        key: without_nulls(value) if isinstance(value, dict) else value
        for key, value in spec.items()
        if value is not None
    }
