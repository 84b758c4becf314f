"""Whether every workload is as it was asked for, and nothing was lost: asked of the API server and of Vault."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab import Lab, LabError
from secureai_operator import names
from secureai_operator.cli.owned import KINDS
from tests.faults.soak.fleet import NAMESPACES, Fleet, Json, Key, Wanted
from tests.fixtures_operator import condition
from tests.integration.vault_identity import AUTH, CLUSTER, TRANSIT, vault_name

ALARMS = ("KeyLost", "DataKeyLost", "KeyReplaced", "KeyVersionDestroyed", "KeyExposed", "DeletionEnabled")
"""Nothing of this ever happens in a soak: whoever says so, if only for a moment, cries wolf."""
UNDER_WAY = ("Planned", "Rotated", "Rewrapped")
INTRUDER = "intruder"
"""In everything foreign: where this word is found, something was not healed."""


def is_at_rest(one: Wanted, live: Json) -> bool:
    """Whether nothing that was asked of its keys is under way."""
    return next(_unserved(one, live.get("status") or {}), None) is None


def wrongs_of(one: Wanted, live: Json) -> Iterator[str]:
    """What is not as it should be of one workload, as its own status says."""
    status = live.get("status") or {}
    ready = condition(live, "Ready")
    generation = live["metadata"]["generation"]
    if ready.get("status") != "True":
        yield f"Ready={ready.get('status')} {ready.get('reason')}: {ready.get('message')}"
    elif ready.get("observedGeneration") != generation or status.get("observedGeneration") != generation:
        yield f"Ready of generation {ready.get('observedGeneration')}, not {generation}"
    yield from _unserved(one, status)
    pods = status.get("pods") or {}
    if one.pods and (pods.get("bound"), pods.get("unbound")) != (1, 0):
        yield f"pods: {pods}"


def is_alarm(what: str) -> bool:
    """Whether something that is wrong speaks of a loss that never was."""
    return any(f" {reason}:" in what for reason in ALARMS)


def in_doubt(live: Json) -> bool:
    """Whether a rotate was sent and not answered: it is rightly waited for, for two minutes."""
    until = ((live.get("status") or {}).get("rotation") or {}).get("doubtUntil")
    return until is not None and datetime.fromisoformat(until) > datetime.now(UTC)


def _unserved(one: Wanted, status: Mapping[str, Any]) -> Iterator[str]:
    rotation = status.get("rotation") or {}
    emergency = status.get("emergency") or {}
    anew = status.get("dataKeyRotation") or {}
    if rotation.get("phase") in UNDER_WAY:
        yield f"rotation is {rotation['phase']} {rotation.get('blockedReason', '')}"
    if rotation.get("requestId", "") != one.asked.get(names.ROTATE_ANNOTATION, ""):
        yield "a requested rotation is not done"
    if emergency.get("requestId", "") != one.asked.get(names.EMERGENCY_ANNOTATION, ""):
        yield "a requested emergency is not done"
    if emergency and not emergency.get("finishedAt"):
        yield f"an emergency is under way, {len(emergency.get('steps') or ())} steps are over"
    if anew.get("requestId", "") != one.asked.get(names.ROTATE_DATA_KEYS_ANNOTATION, ""):
        yield "requested data keys are not made"
    elif anew and not anew.get("restartedAt"):
        yield "what runs the pods was not restarted for new data keys"


@dataclass(slots=True)
class Rightness:
    """Asks about the whole fleet."""

    lab: Lab
    fleet: Fleet
    probe_seconds: float
    """How long the operator may take to see what somebody changed in Vault."""

    def workloads(self) -> dict[Key, str]:
        """What is wrong, by workload, as their own status says; those rightly in doubt are left out."""
        listed = self.fleet.listed()
        wrong: dict[Key, str] = dict.fromkeys(listed.keys() - self.fleet.wanted.keys(), "not gone")
        for key, one in self.fleet.wanted.items():
            live = listed.get(key)
            if live is None:
                wrong[key] = "not there"
            elif not in_doubt(live) and (found := "; ".join(wrongs_of(one, live))):
                wrong[key] = found
        return wrong

    def objects(self) -> dict[Key, str]:
        """What is missing of the owned objects, and what is foreign in them."""
        wrong: dict[Key, str] = {}
        there: set[tuple[str, str, str]] = set()
        for resource, _ in KINDS:
            for namespace in NAMESPACES:
                for item in self.lab.api.request("GET", resource.path(namespace))["items"]:
                    name = item["metadata"]["name"]
                    there.add((resource.kind, namespace, name))
                    if name.startswith("saw-") and _is_foreign(resource.kind, item):
                        wrong[namespace, f"{resource.kind}/{name}"] = "was changed and not healed"
        for one in self.fleet.wanted.values():
            expected = {(kind, one.namespace, name) for kind, name in one.objects()}
            of_it = {place for place in there if place[1:] in _places(one)}
            wrong.update(
                {(one.namespace, f"{kind}/{name}"): "is missing" for kind, _, name in expected - there}
            )
            wrong.update(
                {(one.namespace, f"{kind}/{name}"): "is too much" for kind, _, name in of_it - expected}
            )
        return wrong

    def vault(self, now: float) -> dict[Key, str]:
        """Auth roles and policies in Vault are those of the workloads, no more and no fewer."""
        wrong: dict[Key, str] = {}
        prefix = names.vault_prefix(CLUSTER)
        young = {
            vault_name(*one.key)
            for one in self.fleet.wanted.values()
            if one.touched_at and now - one.touched_at < self.probe_seconds
        }
        due = {vault_name(*key) for key in self.fleet.wanted} - young
        for what, path in (("auth role", f"auth/{AUTH}/role"), ("policy", "sys/policies/acl")):
            found = {name for name in self._names(path) if name.startswith(prefix)}
            wrong.update({(what, name): "is missing" for name in due - found})
            wrong.update({(what, name): "belongs to no workload" for name in found - due - young})
        for name in due:
            policy = self.lab.vault_request("GET", f"sys/policies/acl/{name}")["data"]["policy"]
            if INTRUDER in policy:
                wrong["policy", name] = "was changed and not healed"
        return wrong

    def losses(self) -> list[str]:
        """What was lost of keys and data keys: nothing here is ever mended by waiting. What is new is remembered."""
        secrets = self._secrets()
        listed = self.fleet.listed()
        lost: list[str] = []
        for one in self.fleet.wanted.values():
            live = listed.get(one.key)
            if live is not None and (live.get("status") or {}).get("key"):
                lost += [f"{one.namespace}/{one.name}: {what}" for what in self._losses(one, live, secrets)]
        return lost

    def _losses(self, one: Wanted, live: Json, secrets: Mapping[Key, Mapping[str, str]]) -> Iterator[str]:
        status = live["status"]
        key = self.lab.vault_request("GET", f"{TRANSIT}/keys/{vault_name(*one.key)}")["data"]
        if key["latest_version"] < one.latest_version:
            yield f"version {one.latest_version} is lost, the latest is {key['latest_version']}"
        if key.get("min_available_version", 0) > 0:
            yield f"versions below {key['min_available_version']} are destroyed"
        one.latest_version = key["latest_version"]
        yield from _history(one, status.get("rotation") or {})
        contexts = {item["name"]: item.get("context", "") for item in status.get("dataKeys") or ()}
        wrapped = secrets.get((one.namespace, names.keys_secret(one.name)), {})
        wrapped = {name: value for name, value in wrapped.items() if name in contexts}
        plain = self._decrypted(one, wrapped, contexts)
        for name, digest in plain.items():
            if digest is None:
                yield f"data key {name} does not decrypt"
        now = {digest for digest in plain.values() if digest is not None}
        for name, before in one.plain.items():
            if not before <= now:
                yield f"{len(before - now)} of the data keys {name} are not what they were"
        for name, digest in plain.items():
            if digest is not None:
                one.plain.setdefault(name.partition(".")[0], set()).add(digest)

    def _decrypted(
        self, one: Wanted, wrapped: Mapping[str, str], contexts: Mapping[str, str]
    ) -> dict[str, bytes | None]:
        """A digest of each data key, or None where Vault does not decrypt it."""
        if not wrapped:
            return {}
        batch = [
            {"ciphertext": value, **({"context": _base64(contexts[name])} if contexts[name] else {})}
            for name, value in wrapped.items()
        ]
        path = f"{TRANSIT}/decrypt/{vault_name(*one.key)}"
        try:
            answer = self.lab.vault_request("POST", path, {"batch_input": batch})["data"]["batch_results"]
        except LabError:
            return dict.fromkeys(wrapped)
        return {
            name: hashlib.sha256(base64.b64decode(result["plaintext"])).digest()
            if result.get("plaintext")
            else None
            for name, result in zip(wrapped, answer, strict=True)
        }

    def _secrets(self) -> dict[Key, dict[str, str]]:
        return {
            (namespace, item["metadata"]["name"]): {
                name: base64.b64decode(value).decode(errors="replace")
                for name, value in (item.get("data") or {}).items()
            }
            for namespace in NAMESPACES
            for item in self.lab.api.request("GET", f"/api/v1/namespaces/{namespace}/secrets")["items"]
            if item["metadata"]["name"].endswith("-keys")
        }

    def _names(self, path: str) -> list[str]:
        found: list[str] = self.lab.vault_request("LIST", path)["data"]["keys"]
        return found


def _history(one: Wanted, rotation: Mapping[str, Any]) -> Iterator[str]:
    """Versions follow each other without a gap, and nobody but the operator made one."""
    entries = rotation.get("history") or ()
    for before, after in itertools.pairwise(entries):
        if before["toVersion"] != after["fromVersion"]:
            yield f"history jumps from version {before['toVersion']} to {after['fromVersion']}"
    for entry in entries:
        one.triggers[entry["toVersion"]] = entry["trigger"]
        if entry["trigger"] == "External" or entry["toVersion"] != entry["fromVersion"] + 1:
            yield f"version {entry['toVersion']} was made by nobody's request"


def _places(one: Wanted) -> set[Key]:
    """Where an object of the workload may be."""
    several = (
        names.service_account(one.name),
        names.role_binding(one.name),
        names.keys_secret(one.name),
        names.tls_secret(one.name),
        names.allow_policy(one.name),
        names.quarantine_policy(one.name),
    )
    return {(one.namespace, name) for name in several}


def _is_foreign(kind: str, item: Json) -> bool:
    if kind == "ServiceAccount" and item.get("automountServiceAccountToken") is not False:
        return True
    managers = item["metadata"].pop("managedFields", None)
    del managers
    return INTRUDER in json.dumps(item)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
