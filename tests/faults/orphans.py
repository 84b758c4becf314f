"""What is left of workloads that are gone: nothing may be, but what they were told to keep."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api.resources import ROLE_BINDINGS, SECURE_AI_WORKLOADS
from tests.faults.holdings import ACCESS, KEYS, OWNED
from tests.integration.vault_identity import CLUSTER, vault_name
from tests.integration.vault_reads import found_in

ENTITIES = "identity/entity/id"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Living:
    """The workloads of some namespaces that there are, by uid, and of whom nobody else has anything."""

    namespaces: frozenset[str]
    uids: frozenset[str]
    homes: frozenset[str]
    """The namespaces that hold one."""
    vault_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Orphans:
    """Everything that no living workload of these namespaces owns, each in words.

    `kept` are the workloads, as (namespace, name), that were deleted and keep their key and their wrapped data keys.
    Events tell what was and belong to nobody. Of an identity that logged in Vault keeps an entity, which the operator may not
    delete: it could take away those of people too. That is no orphan as long as it gives nothing: no policy and no group.
    """

    lab: Lab
    namespaces: Collection[str]
    kept: Collection[tuple[str, str]] = ()

    def found(self) -> list[str]:
        living = self._living()
        return sorted([*self._in_kubernetes(living), *self._in_vault(living)])

    def _living(self) -> Living:
        items = self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(None))["items"]
        metadata = [item["metadata"] for item in items if item["metadata"]["namespace"] in self.namespaces]
        return Living(
            frozenset(self.namespaces),
            frozenset(one["uid"] for one in metadata),
            frozenset(one["namespace"] for one in metadata),
            frozenset(vault_name(one["namespace"], one["name"]) for one in metadata),
        )

    def _in_kubernetes(self, living: Living) -> Iterator[str]:
        kept = {(namespace, names.keys_secret(name)) for namespace, name in self.kept}
        for resource in OWNED:
            for item in self.lab.api.request("GET", resource.path(None))["items"]:
                metadata = item["metadata"]
                place = metadata["namespace"], metadata["name"]
                if place[0] not in living.namespaces or not _is_ours(metadata):
                    continue
                if resource is ROLE_BINDINGS and place[1] == names.NAMESPACE_SECRETS_ROLE:
                    is_owned = place[0] in living.homes
                else:
                    is_kept = place in kept and metadata["labels"].get(names.RETAINED_LABEL) == "true"
                    is_owned = is_kept or bool(_owners(metadata) & living.uids)
                if not is_owned:
                    yield f"{resource.kind} {place[0]}/{place[1]}"

    def _in_vault(self, living: Living) -> Iterator[str]:
        kept = {vault_name(namespace, name) for namespace, name in self.kept}
        for what, path in {**ACCESS, "key": KEYS}.items():
            for found in self._listed(path):
                owned = living.vault_names | (kept if what == "key" else frozenset())
                if self._is_of_these(found) and found not in owned:
                    yield f"{what} {found}"
        yield from self._entities(living)

    def _entities(self, living: Living) -> Iterator[str]:
        accounts = {
            (home, names.service_account(name.rpartition(".")[2]))
            for name in living.vault_names
            for home in living.homes
        }
        for identity in self._listed(ENTITIES):
            entity = found_in(self.lab.vault, f"{ENTITIES}/{identity}") or {}
            gives = [*(entity.get("policies") or ()), *(entity.get("group_ids") or ())]
            for alias in entity.get("aliases") or ():
                metadata = alias.get("metadata") or {}
                place = metadata.get("service_account_namespace"), metadata.get("service_account_name")
                if gives and place[0] in self.namespaces and place not in accounts:
                    yield f"identity of {place[0]}/{place[1]} with {gives}"

    def _is_of_these(self, found: str) -> bool:
        return any(found.startswith(f"{names.vault_prefix(CLUSTER)}{home}.") for home in self.namespaces)

    def _listed(self, path: str) -> list[str]:
        keys: list[str] = (found_in(self.lab.vault, path, "LIST") or {"keys": []})["keys"]
        return keys


def _is_ours(metadata: Json) -> bool:
    """By any of our marks: an object that lost one is an orphan all the same."""
    labels = metadata.get("labels") or {}
    marks = (labels.get(names.MANAGED_BY_LABEL) == names.MANAGED_BY, names.WORKLOAD_LABEL in labels)
    owners = metadata.get("ownerReferences") or ()
    return any(marks) or any(owner["kind"] == "SecureAIWorkload" for owner in owners)


def _owners(metadata: Json) -> set[str]:
    return {owner["uid"] for owner in metadata.get("ownerReferences") or ()}
