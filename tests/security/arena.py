"""Where attacks happen: a tenant with rights on nothing but the two kinds, a victim elsewhere, and proof that it was left alone."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lab import Lab, RequestFailed
from lab.rest import JsonClient
from secureai_operator import names
from secureai_operator.api.resources import (
    KEY_ROTATION_POLICIES,
    NETWORK_POLICIES,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SECURE_AI_WORKLOADS,
    SERVICE_ACCOUNTS,
    Resource,
)
from tests.fixtures_operator import SharedOperator, Workloads
from tests.integration.audits import Audit, KubeRequest
from tests.integration.crd_objects import Answer, Cause, Json, path, policy, workload
from tests.integration.installation import IN_FORCE_SECONDS
from tests.integration.vault_identity import AUTH, PKI, TRANSIT, vault_name
from tests.integration.vault_reads import found_in
from tests.product import Product

SETTLED_SECONDS = 60.0
"""A deadline, not a measure: a machine that does much else besides is slow, and no attack."""
MERGE = "application/merge-patch+json"
_RBAC = "rbac.authorization.k8s.io"
_WATCHED = (
    SECURE_AI_WORKLOADS,
    KEY_ROTATION_POLICIES,
    SERVICE_ACCOUNTS,
    ROLES,
    ROLE_BINDINGS,
    NETWORK_POLICIES,
    SECRETS,
)
VICTIM_SPEC: Mapping[str, Any] = {"keys": {"dataKeys": [{"name": "model"}]}}


class KeptConnection:
    """JSON requests over one connection: attacks are many, and a handshake costs more than most of them."""

    def __init__(self, client: JsonClient) -> None:
        parts = urlsplit(client.url)
        host = parts.hostname or ""
        self._headers = {"Accept": "application/json", **client.headers}
        self._connection = http.client.HTTPSConnection(
            host, parts.port, timeout=client.timeout, context=client.tls
        )

    def raw(
        self, method: str, where: str, body: object, content_type: str, more: Mapping[str, str]
    ) -> tuple[int, str]:
        payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": content_type, **more}
        for is_last in (False, True):
            try:
                self._connection.request(method, where, payload, headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read().decode(errors="replace")
            except (http.client.HTTPException, OSError):
                # The server may have ended it meanwhile.
                self._connection.close()
                if is_last:
                    raise
        raise AssertionError


@dataclass(frozen=True, slots=True, repr=False)
class Tenant:
    """Requests with somebody's own token, of one namespace unless told otherwise."""

    client: KeptConnection
    namespace: str

    @classmethod
    def of(cls, lab: Lab, namespace: str, name: str) -> Tenant:
        bearer = {"Authorization": f"Bearer {lab.token(namespace, name)}"}
        # Without the lab's own context: it brings the administrator's certificate, which counts before a token.
        tls = ssl.create_default_context(cafile=str(lab.ca_file))
        return cls(KeptConnection(JsonClient(lab.api_url, bearer, tls)), namespace)

    def __call__(
        self,
        method: str,
        where: str,
        body: object = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Bytes are sent as they are, everything else as JSON."""
        code, text = self.client.raw(method, where, body, content_type, headers or {})
        try:
            found = json.loads(text)
        except ValueError:
            found = {"message": text}
        return Answer(code, found, () if code < 400 else (Cause("", found.get("message", "")),))

    def create(self, manifest: Json, *, dry_run: bool = False, namespace: str = "") -> Answer:
        dry = "&dryRun=All" if dry_run else ""
        where = path(namespace or self.namespace, manifest)
        return self("POST", f"{where}?fieldValidation=Strict{dry}", manifest)

    def merge(self, name: str, change: Json, *, status: bool = False) -> Answer:
        """Change a workload of the own namespace."""
        where = SECURE_AI_WORKLOADS.path(self.namespace, name, "status" if status else None)
        return self("PATCH", where, change, MERGE)

    def annotate(self, name: str, annotation: str, value: str) -> Answer:
        return self.merge(name, {"metadata": {"annotations": {annotation: value}}})

    def delete(self, name: str) -> Answer:
        return self("DELETE", SECURE_AI_WORKLOADS.path(self.namespace, name))


@dataclass(slots=True)
class Arena:
    """One for all attacks. `others` is what must be the same after each."""

    lab: Lab
    product: Product
    workloads: Workloads
    operator: SharedOperator
    namespace: str
    victim: str
    tenant: Tenant
    administrator: Tenant
    """Whom only the schema and admission hold back."""
    others: Mapping[str, str] = field(default_factory=dict)
    audit: Audit | None = None
    in_vault_before: frozenset[str] = frozenset()
    more_namespaces: set[str] = field(default_factory=set)
    """Besides the tenant's own: where an attack is made with an administrator's help."""
    _names: Iterator[str] = field(default_factory=lambda: (f"evil-{number}" for number in range(10_000)))

    def name(self) -> str:
        """A name that no workload had before."""
        return next(self._names)

    # What attacks do

    def declared(self, spec: Json, name: str = "") -> str:
        """A workload that the tenant could declare; returns its name."""
        name = name or self.name()
        answer = self.tenant.create(workload(spec, name))
        assert answer.accepted, answer.causes
        return name

    def ready(self, spec: Json, name: str = "") -> str:
        """A workload of the tenant's that is Ready."""
        name = self.declared(spec, name)
        self.workloads.wait_ready(self.namespace, name, SETTLED_SECONDS)
        return name

    def answered(self, name: str) -> Json:
        """The tenant's workload once the operator has said something about its spec as it is."""

        def is_answered(live: Json) -> bool:
            return bool(
                live.get("status", {}).get("observedGeneration", -1) == live["metadata"]["generation"]
            )

        return self.workloads.wait_object(
            SECURE_AI_WORKLOADS, self.namespace, name, is_answered, SETTLED_SECONDS
        )

    def gone(self, name: str) -> None:
        self.workloads.wait_gone(self.namespace, name, SETTLED_SECONDS)

    def is_refused(self, spec: Json, says: str = "", name: str = "") -> None:
        """The API server refuses the workload to the tenant, and nothing of it is there."""
        name = name or self.name()
        answer = self.tenant.create(workload(spec, name))
        assert not answer.accepted, "expected a refusal"
        assert says in " ".join(cause.message for cause in answer.causes), answer.causes

    def is_refused_policy(self, spec: Json, says: str = "") -> None:
        answer = self.tenant.create(policy(spec, self.name()))
        assert not answer.accepted, "expected a refusal"
        assert says in " ".join(cause.message for cause in answer.causes), answer.causes

    def is_forbidden(self, method: str, where: str, body: object = None, content_type: str = "") -> None:
        """The tenant has no right to that."""
        answer = self.tenant(method, where, body, content_type or "application/json")
        assert answer.code == 403, (answer.code, answer.causes)

    def key(self, name: str, namespace: str = "") -> Json:
        """The key in Vault."""
        where = f"{TRANSIT}/keys/{vault_name(namespace or self.namespace, name)}"
        found: Json = self.lab.vault_request("GET", where)["data"]
        return found

    def in_vault(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """What Vault holds of that name, or None."""
        where = f"{_PLACES[kind]}/{vault_name(namespace or self.namespace, name)}"
        return found_in(self.lab.vault, where)

    def objects(self, name: str) -> list[Json]:
        """What there is of a workload's own objects, by their owner."""
        uid = self.workloads.get(self.namespace, name)["metadata"]["uid"]
        found: list[Json] = []
        for resource in _WATCHED[2:]:
            items = self.lab.api.request("GET", resource.path(self.namespace))["items"]
            found += [{**item, "kind": resource.kind} for item in items if _owner(item) == uid]
        return found

    def clear(self) -> None:
        """Delete what the tenant made, and wait until the operator has let it go."""
        for resource in (KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS):
            self.lab.api.request("DELETE", resource.path(self.namespace))
        for resource in (KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS):
            where = resource.path(self.namespace)
            self.lab.wait_for(
                lambda where=where: not self.lab.api.request("GET", where)["items"],  # type: ignore[misc]
                SETTLED_SECONDS,
                "the tenant's objects to go",
            )

    def close(self) -> None:
        """Delete everything, the victim too, without waiting for it."""
        self.clear()
        self.workloads.delete(self.victim, "llm")
        self.workloads.wait_gone(self.victim, "llm", SETTLED_SECONDS)
        for one in (self.namespace, self.victim):
            self.lab.delete_namespace(one)

    def server_time(self) -> str:
        """The API server's own clock, as it stamps objects."""
        made = self.tenant.create(workload({}, "clock"), dry_run=True)
        return str(made.body["metadata"]["creationTimestamp"])

    def rest(self) -> None:
        """After the victim was changed on purpose: once nothing changes any more, that is how it is to stay."""
        last: dict[str, str] = {}

        def is_still() -> bool:
            nonlocal last
            before, last = last, dict(self._everything_of_others())
            return last == before

        self.lab.wait_for(is_still, SETTLED_SECONDS, "the victim to be at rest")
        self.remember()

    # What must not have happened

    def remember(self) -> None:
        self.others = dict(self._everything_of_others())
        self.audit = Audit(self.lab)
        self.in_vault_before = self.in_vault_before or frozenset(self.vault_names())

    def nobody_else_was_touched(self) -> None:
        """The victim is as it was, nobody wrote there, and Vault holds nothing under a name that is nobody's."""
        now = dict(self._everything_of_others())
        changed = {place for place in {*self.others, *now} if self.others.get(place) != now.get(place)}
        assert not changed, f"the attack reached {sorted(changed)}"
        assert self.audit is not None
        writes = [
            f"{one.verb} {one.namespace}/{one.resource}"
            for one in self.audit.kube_writes()
            if one.namespace in {"kube-system", "default"}
            or (one.namespace == self.victim and not _is_told(one))
        ]
        assert not writes, f"the operator wrote elsewhere: {writes}"
        reads = [
            one.uri for one in self.audit.kube(self.victim) if one.verb in {"get", "list"} and one.code < 400
        ]
        assert not reads, f"the operator looked elsewhere: {reads}"
        strangers = {name for name in self.vault_names() if not self._is_rightful(name)}
        assert not strangers, f"in Vault there is {sorted(strangers)}"

    def vault_names(self) -> Iterator[str]:
        """All names of ours in Vault, of each kind."""
        for where in _PLACES.values():
            try:
                found = self.lab.vault_request("LIST", where)["data"]["keys"]
            except RequestFailed as error:
                if error.status != 404:
                    raise
                continue
            yield from (name for name in found if name not in _OF_THE_PLATFORM)

    def _is_rightful(self, name: str) -> bool:
        """Of a DNS label in one of the namespaces where attacks are made; or it was there before."""
        start, _, workload_name = name.rpartition(".")
        own = {f"saw.main.{one}" for one in (self.namespace, *self.more_namespaces)}
        return name in self.in_vault_before or (start in own and _LABEL.fullmatch(workload_name) is not None)

    def _everything_of_others(self) -> Iterator[tuple[str, str]]:
        for resource in _WATCHED:
            for item in self.administrator("GET", resource.path(self.victim)).body["items"]:
                yield f"{resource.kind} {item['metadata']['name']}", _state(item, resource)
        for kind in _PLACES:
            found = self.in_vault(kind, "llm", self.victim)
            yield f"Vault {kind}", json.dumps(found, sort_keys=True)


_PLACES = {
    "key": f"{TRANSIT}/keys",
    "policy": "sys/policies/acl",
    "login": f"auth/{AUTH}/role",
    "issuer": f"{PKI}/roles",
}
_OF_THE_PLATFORM = frozenset({"default", "root", "secureai-operator", "response-wrapping", "control-group"})


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _is_told(request: KubeRequest) -> bool:
    """A status, or an Event: on a busy machine also of a victim whose Vault was slow. What must not change in it is `_state`."""
    return request.subresource == "status" or request.resource == "events"


def _state(item: Json, resource: Resource) -> str:
    """What is not to change: the object, or of a workload all but what the operator tells of its own work, such as a heal."""
    metadata = item["metadata"]
    if resource is not SECURE_AI_WORKLOADS:
        return f"{metadata['uid']} {metadata['resourceVersion']}"
    kept = {part: metadata.get(part) for part in ("uid", "generation", "labels", "annotations", "finalizers")}
    status = item.get("status", {})
    answers = {
        part: status.get(part) for part in ("vault", "key", "dataKeys", "binding", "emergency", "pods")
    }
    return json.dumps([kept, answers], sort_keys=True)


def _owner(item: Json) -> str:
    owners = item["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(owners[0]["uid"])


def opened(lab: Lab, product: Product, workloads: Workloads, operator: SharedOperator) -> Arena:
    """The two namespaces, the victim's workload Ready and at rest, and the tenant with their rights."""
    mark = secrets.token_hex(3)
    namespace, victim = f"tenant-{mark}", f"victim-{mark}"
    for one in (namespace, victim):
        lab.create_namespace(one)
    workloads.create(victim, "llm", **VICTIM_SPEC)
    tenant = account(lab, namespace, "tenant", *TENANT_RULES)
    probe = workload({}, "rights-probe")
    lab.wait_for(
        lambda: tenant.create(probe, dry_run=True).accepted, IN_FORCE_SECONDS, "the rights of the tenant"
    )
    workloads.wait_ready(victim, "llm", SETTLED_SECONDS)
    arena = Arena(
        lab,
        product,
        workloads,
        operator,
        namespace,
        victim,
        tenant,
        Tenant(KeptConnection(lab.api), namespace),
    )
    arena.remember()
    return arena


TENANT_RULES: tuple[Json, ...] = (
    {
        "apiGroups": [names.GROUP],
        "resources": ["secureaiworkloads", "keyrotationpolicies"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
    },
)
"""All that the tenant may do: nothing on status, nothing elsewhere."""


def account(lab: Lab, namespace: str, name: str, *rules: Json) -> Tenant:
    """A ServiceAccount with these rights in its namespace, and its token."""
    metadata = {"name": name, "namespace": namespace}
    lab.api.request("POST", SERVICE_ACCOUNTS.path(namespace), {"metadata": metadata})
    lab.api.request("POST", ROLES.path(namespace), {"metadata": metadata, "rules": list(rules)})
    binding = {
        "metadata": metadata,
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    lab.api.request("POST", ROLE_BINDINGS.path(namespace), binding)
    return Tenant.of(lab, namespace, name)
