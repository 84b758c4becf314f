"""What a workload has in Kubernetes and in Vault besides its status: comparable from workload to workload."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.integration.vault_identity import AUTH, PKI, TRANSIT
from tests.integration.vault_reads import found_in

OWNED = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, SECRETS, NETWORK_POLICIES)
ACCESS = {
    "policy": "sys/policies/acl",
    "auth role": f"auth/{AUTH}/role",
    "pki role": f"{PKI}/roles",
}
"""Where Vault keeps what gives access, each under the workload's one name."""
KEYS = f"{TRANSIT}/keys"

Json = dict[str, Any]


def labelled(lab: Lab, namespace: str, selector: str) -> Iterator[tuple[Resource, Json]]:
    """Every object of an owned kind in the namespace that has the label."""
    query = f"labelSelector={selector.replace('/', '%2F').replace('=', '%3D')}"
    for resource in OWNED:
        for item in lab.api.request("GET", f"{resource.path(namespace)}?{query}")["items"]:
            yield resource, item


def in_kubernetes(lab: Lab, namespace: str, name: str) -> Json:
    """The workload's objects by kind and name, and whether the operator has its right on the namespace's Secrets."""
    selector = f"{names.WORKLOAD_LABEL}={name}"
    return {
        f"{resource.kind} {item['metadata']['name']}": _content(resource, item)
        for resource, item in labelled(lab, namespace, selector)
    }


def _content(resource: Resource, item: Json) -> Json:
    """All but what the API server adds, and the values of Secrets."""
    metadata = item["metadata"]
    owners = [f"{owner['kind']} {owner['name']}" for owner in metadata.get("ownerReferences") or ()]
    rest = {key: value for key, value in item.items() if key not in {"apiVersion", "kind", "metadata"}}
    if resource is SECRETS:
        rest["data"] = sorted(item.get("data") or ())
    return {"labels": metadata.get("labels"), "owners": owners, **rest}


def in_vault(lab: Lab, vault_name: str) -> Json:
    """What gives access to the workload, or None where there is nothing."""
    return {what: found_in(lab.vault, f"{path}/{vault_name}") for what, path in ACCESS.items()}


def secrets_version(lab: Lab) -> str:
    """From where on `ever_held` is to look."""
    return str(lab.api.request("GET", f"{SECRETS.path(None)}?limit=1")["metadata"]["resourceVersion"])


def ever_held(lab: Lab, since: str) -> dict[tuple[str, str], set[str]]:
    """Everything that stood in each Opaque Secret at any time since that version: a watch that begins there tells it."""
    query = f"watch=true&resourceVersion={since}&timeoutSeconds=1"
    code, text = lab.api.raw("GET", f"{SECRETS.path(None)}?{query}")
    assert code == 200
    held: dict[tuple[str, str], set[str]] = {}
    for line in text.splitlines():
        event = json.loads(line)
        assert event["type"] != "ERROR", "the watch cannot begin so early"
        if event["object"].get("type") != "Opaque":
            continue
        values = (event["object"].get("data") or {}).values()
        metadata = event["object"]["metadata"]
        wrapped = {base64.b64decode(value).decode() for value in values}
        held.setdefault((metadata["namespace"], metadata["name"]), set()).update(wrapped)
    return held
