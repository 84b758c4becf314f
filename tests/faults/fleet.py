"""Workloads side by side in one namespace, and all that each of them is: its objects, what it has in Vault, its status."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import (
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
)
from secureai_operator.clients.x509 import certificate_facts
from tests.integration.vault_identity import AUTH, PKI, TRANSIT, vault_name
from tests.integration.vault_reads import found_in

Json = dict[str, Any]

NAMESPACE_IN_SPECS = "team-a"
"""Stands in specs for the namespace that they come to be in: names of certificates are inside it."""

_OWNED = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS, NETWORK_POLICIES, SECRETS)
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_KEY_FIELDS = (
    "type", "derived", "exportable", "allow_plaintext_backup", "deletion_allowed", "imported_key", "latest_version",
    "min_decryption_version", "min_encryption_version",
)  # fmt: skip


def placed(spec: Json, namespace: str, name: str) -> Json:
    """The spec as a workload of that name has it: no two may claim the same pods."""
    found: Json = json.loads(json.dumps(spec).replace(NAMESPACE_IN_SPECS, namespace))
    selector = found.get("podSelector")
    labels = selector.get("matchLabels") if isinstance(selector, dict) else None
    if not isinstance(labels, dict):
        return found
    # Not in the place of a value that is there to be refused.
    good = [key for key, value in labels.items() if _is_label(value)]
    if good:
        labels[min(good)] = name
    return found


def _is_label(value: object) -> bool:
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Fleet:
    """The workloads of one namespace, read as an administrator."""

    lab: Lab
    namespace: str

    def listed(self) -> dict[str, Json]:
        """All workloads by name, in one request."""
        items = self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(self.namespace))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def unseen(self, wanted: Iterable[str]) -> list[str]:
        """Those whose status does not yet speak of what they are now."""
        listed = self.listed()
        return [name for name in wanted if not is_seen(listed[name])]

    def states(self, wanted: Iterable[str]) -> dict[str, Json]:
        """What each of them is, without what differs from one workload to another: names, uids, times and serials."""
        wanted = list(wanted)
        listed, owned = self.listed(), self._owned()
        with ThreadPoolExecutor(8) as pool:
            in_vault = dict(zip(wanted, pool.map(self._in_vault, wanted), strict=True))
        found = {}
        for name in wanted:
            state = {
                "objects": owned.get(name, {}),
                "vault": in_vault[name],
                "status": _status(listed[name].get("status", {})),
            }
            text = json.dumps(state).replace(name, "NAME")
            found[name] = json.loads(_STAMP.sub("*", text))
        return found

    def _owned(self) -> dict[str, Json]:
        """What is compared of each object, by the workload that it is labelled with and by its place."""
        found: dict[str, Json] = {}
        for resource in _OWNED:
            for item in self.lab.api.request("GET", resource.path(self.namespace))["items"]:
                metadata = item["metadata"]
                owner = (metadata.get("labels") or {}).get(names.WORKLOAD_LABEL)
                if owner:
                    place = f"{resource.kind} {metadata['name'].replace(owner, 'NAME')}"
                    found.setdefault(owner, {})[place] = _essence(resource.kind, item)
        return found

    def _in_vault(self, name: str) -> Json:
        full = vault_name(self.namespace, name)
        key = found_in(self.lab.vault, f"{TRANSIT}/keys/{full}")
        policy = found_in(self.lab.vault, f"sys/policies/acl/{full}")
        return {
            "key": None if key is None else {field: key.get(field) for field in _KEY_FIELDS},
            "policy": None if policy is None else policy["policy"],
            "auth_role": found_in(self.lab.vault, f"auth/{AUTH}/role/{full}"),
            "pki_role": found_in(self.lab.vault, f"{PKI}/roles/{full}"),
        }


def is_seen(workload: Json) -> bool:
    """Whether the status speaks of the spec as it is now."""
    generation = workload["metadata"]["generation"]
    status = workload.get("status") or {}
    summary: Json = next((one for one in status.get("conditions", ()) if one["type"] == "Ready"), {})
    return bool(status.get("observedGeneration") == generation == summary.get("observedGeneration"))


def _essence(kind: str, item: Json) -> Json:
    metadata = item["metadata"]
    owners = [
        {field: owner[field] for field in ("kind", "name", "controller")}
        for owner in metadata.get("ownerReferences") or ()
    ]
    content = {
        field: value for field, value in item.items() if field not in {"metadata", "apiVersion", "kind"}
    }
    if kind == "Secret":
        # No secret may come near a message of a test that fails.
        content = {"type": item["type"], "holds": _held(item)}
    return {"labels": metadata.get("labels"), "owners": owners, **content}


def _held(secret: Json) -> Any:
    data = secret.get("data") or {}
    if secret["type"] != "kubernetes.io/tls":
        return sorted(data)
    parts = [base64.b64decode(data.get(part, "")) for part in ("tls.crt", "tls.key", "ca.crt")]
    facts = certificate_facts(parts[0], parts[1], parts[2])
    if facts is None:
        return "no certificate"
    return {
        "entries": sorted(data),
        "dnsNames": sorted(facts.dns_names),
        "usages": sorted(facts.usages),
        "intact": facts.intact,
        "minutes": round((facts.not_after - facts.not_before) / 60),
    }


def _status(status: Mapping[str, Any]) -> Json:
    """The status as it is compared: data keys and conditions by name, without what Vault makes anew for each workload."""
    own = {"observedGeneration", "conditions", "dataKeys", "certificate", "vault"}
    found = {field: value for field, value in status.items() if field not in own}
    found["conditions"] = {
        one["type"]: [one["status"], one["reason"], one.get("message", "")]
        for one in status.get("conditions", ())
    }
    found["dataKeys"] = {
        one["name"]: [one["keyVersion"], one.get("context", "")] for one in status.get("dataKeys") or ()
    }
    found["certificate"] = status.get("certificate") is not None
    found["vault"] = {
        field: value for field, value in (status.get("vault") or {}).items() if field != "applied"
    }
    return found
