"""What really happened, by watches of our own and the audit logs of both servers; and what of it was wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.core.drift import controller_uid, digest
from tests.faults.deeds import Deed
from tests.faults.holdings import OWNED
from tests.faults.proxy import Forward, Reply, Rule, Seen
from tests.faults.stage import Stage
from tests.integration.audits import Audit, KubeRequest, VaultRequest
from tests.integration.vault_identity import PKI, TRANSIT

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """One state of one object, or its end."""

    version: int
    kind: str
    raw: Json = field(repr=False)

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])

    @property
    def place(self) -> tuple[str, str]:
        return str(self.raw["kind"]), str(self.raw["metadata"]["name"])


class Ledger:
    """A rule that notes every write to the API server that passes, and leaves all else to another rule."""

    def __init__(self, inner: Rule) -> None:
        self._inner = inner
        self.writes: list[Seen] = []

    def concerns(self, seen: Seen) -> bool:
        if seen.method != "GET":
            self.writes.append(seen)
        return self._inner.concerns(seen)

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        return await self._inner.answer(seen, forward)

    def unconditional_deletions(self) -> list[str]:
        """Deletions that would take away another object of the same name."""
        return [
            str(seen)
            for seen in self.writes
            if seen.method == "DELETE"
            # The operator's own right, which is nobody's state and comes back with the next workload.
            and not seen.target.endswith(f"/{names.NAMESPACE_SECRETS_ROLE}")
            and not (json.loads(seen.body or b"{}").get("preconditions") or {}).get("uid")
        ]


@dataclass(slots=True)
class Witness:
    """Everything since it was made, in the stage's namespace."""

    stage: Stage
    since: str = field(init=False)
    audit: Audit = field(init=False)
    moments: dict[str, list[Moment]] = field(default_factory=dict)
    """What became of each workload and of its objects, in the order in which it did."""
    deleted: list[KubeRequest] = field(default_factory=list)
    vault: list[VaultRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        listed = self.stage.lab.api.request("GET", SECURE_AI_WORKLOADS.path(self.stage.namespace))
        self.since = listed["metadata"]["resourceVersion"]
        self.audit = Audit(self.stage.lab)

    def look(self) -> None:
        """Take in all that happened."""
        found: dict[str, list[Moment]] = {}
        for resource in (SECURE_AI_WORKLOADS, *OWNED):
            query = f"watch=true&resourceVersion={self.since}&timeoutSeconds=1"
            code, text = self.stage.lab.api.raw("GET", f"{resource.path(self.stage.namespace)}?{query}")
            assert code == 200
            for line in text.splitlines():
                event = json.loads(line)
                assert event["type"] != "ERROR", "the watch cannot begin so early"
                raw = event["object"]
                version = int(raw["metadata"]["resourceVersion"])
                found.setdefault(_workload(raw), []).append(Moment(version, event["type"], raw))
        self.moments = {
            name: sorted(moments, key=lambda moment: moment.version) for name, moments in found.items()
        }
        writes = self.audit.kube_writes(self.stage.namespace)
        self.deleted = [one for one in writes if one.verb == "delete" and one.code < 300]
        self.vault = [one for one in self.audit.vault_writes() if not one.failed]

    def wrongs(self, name: str, deed: Deed) -> Iterator[str]:
        """Each wrong write about the workload, in words."""
        moments = self.moments.get(name, [])
        yield from _for_the_dead(moments)
        yield from _away_from_right(moments, deed.foreign)
        yield from _backwards(moments)
        yield from self._deletions(name, deed)
        yield from self._in_vault(name, deed)

    def _deletions(self, name: str, deed: Deed) -> Iterator[str]:
        for request in self.deleted:
            of_it = request.name.startswith(names.role(name))
            if of_it and request.name not in {wanted(name) for wanted in deed.unwanted}:
                yield f"{request.resource} {request.name} was deleted"

    def _in_vault(self, name: str, deed: Deed) -> Iterator[str]:
        key = f"{TRANSIT}/keys/{self.stage.vault_name(name)}"
        done = [request for request in self.vault if name in request.path]
        rotated = sum(request.path == f"{key}/rotate" for request in done)
        if rotated != deed.rotations:
            yield f"the key was rotated {rotated} times"
        made = sum(request.path == key and request.operation != "delete" for request in done)
        if made > (not deed.before):
            yield f"the key was made {made} times"
        signed = sum(request.path == f"{PKI}/sign/{self.stage.vault_name(name)}" for request in done)
        if signed > deed.certificates:
            yield f"{signed} certificates were signed"
        yield from _deleted(done, deed)

    def writes(self) -> Counter[str]:
        """Every write of the operator in the namespace and for its workloads, that was answered well."""
        kube = [
            f"{request.verb} {request.resource} {request.name}"
            for request in self.audit.kube_writes(self.stage.namespace)
            if request.code < 300
        ]
        vault = [
            f"{request.operation} {request.path}"
            for request in self.audit.vault_writes(f".{self.stage.namespace}.")
            if "rewrap" not in request.path
        ]
        return Counter([*kube, *vault])


def _deleted(done: list[VaultRequest], deed: Deed) -> Iterator[str]:
    deletions = sorted({request.path for request in done if request.operation == "delete"})
    if any("/keys/" in path for path in deletions):
        yield "the key was deleted"
    if deed.lives and deed.same_uid and any("pki" not in path for path in deletions):
        yield f"access was revoked: {deletions}"


def _for_the_dead(moments: list[Moment]) -> Iterator[str]:
    """Objects made or changed for a workload that was gone by then."""
    died: dict[str, int] = {}
    for moment in moments:
        if moment.place[0] == SECURE_AI_WORKLOADS.kind:
            if moment.kind == "DELETED":
                died[moment.uid] = moment.version
        elif moment.kind != "DELETED" and moment.version > died.get(
            controller_uid(moment.raw), moment.version
        ):
            yield f"{' '.join(moment.place)} was written ({moment.kind}) for a workload that was gone"


def _away_from_right(moments: list[Moment], foreign: int) -> Iterator[str]:
    """Objects that were as they are in the end, and then were not, more often than somebody else saw to that."""
    states: dict[tuple[str, str], list[bytes]] = {}
    for moment in moments:
        if moment.place[0] != SECURE_AI_WORKLOADS.kind and moment.kind != "DELETED":
            states.setdefault(moment.place, []).append(digest(moment.raw))
    for place, seen in states.items():
        left = sum(one == seen[-1] and other != seen[-1] for one, other in pairwise(seen))
        if left > foreign:
            yield f"{' '.join(place)} was right and was changed {left} times"


def _backwards(moments: list[Moment]) -> Iterator[str]:
    """A status of an older spec than the one that it was of."""
    last: dict[str, int] = {}
    for moment in moments:
        if moment.place[0] == SECURE_AI_WORKLOADS.kind:
            observed = (moment.raw.get("status") or {}).get("observedGeneration", 0)
            if observed < last.get(moment.uid, observed):
                yield f"status went back from generation {last[moment.uid]} to {observed}"
            last[moment.uid] = observed


def _workload(raw: Mapping[str, Any]) -> str:
    metadata = raw["metadata"]
    if raw["kind"] == SECURE_AI_WORKLOADS.kind:
        return str(metadata["name"])
    owners = [owner["name"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    return str((metadata.get("labels") or {}).get(names.WORKLOAD_LABEL) or (owners or [""])[0])
