"""What the operator sends for each CR, recorded between it and both servers.

A run that is recorded is never timed: everything passes a proxy in Python. The bytes hold secrets of a lab that is thrown
away; they are kept in memory only.
"""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.rig import Rig
from lab.kubeconfig import write_kubeconfig
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.faults.proxy import KUBERNETES, VAULT, Forward, Proxies, Proxy, Reply, Seen

Key = tuple[str, str]

PATIENCE_SECONDS = 60.0
"""How long the operator waits for Vault, and leads without a renewal: the proxy is slow."""
_REFUSED = 400
_OF_VAULT = re.compile(r"/saw\.[a-z0-9-]+\.(?P<namespace>[a-z0-9-]+)\.(?P<name>[a-z0-9-]+)(?:/|$)")
_OF_KUBERNETES = re.compile(r"/namespaces/(?P<namespace>[a-z0-9-]+)/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?")


@dataclass(frozen=True, slots=True)
class Sent:
    """One request with the moments between which it was under way. The body may hold a secret."""

    seen: Seen
    sent: float
    answered: float


@dataclass(slots=True)
class Recording:
    """Requests of each CR, and those that a namespace causes once, both as they were sent."""

    workloads: dict[Key, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    namespaces: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    others: int = 0
    """Requests that no single CR caused: watches, lists, the Lease, the login, questions about rights."""


class Recorder:
    """The rule of both proxies: everything passes, and what is one CR's or one namespace's is kept.

    Kept is what the server did not refuse, and of two equal requests of one CR the first: nobody needs to store a thing twice.
    """

    def __init__(self) -> None:
        self.recording = Recording()
        self._known: set[tuple[Key, str, str, bytes]] = set()

    def concerns(self, seen: Seen) -> bool:
        is_one = workload_of(seen) is not None or namespace_opened_by(seen) is not None
        self.recording.others += not is_one
        return is_one

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        sent = time.monotonic()
        reply = await forward()
        if reply.status < _REFUSED or _is_question(seen):
            self._keep(Sent(seen, sent, time.monotonic()))
        return reply

    def _keep(self, sent: Sent) -> None:
        seen, key = sent.seen, workload_of(sent.seen)
        if key is None:
            self.recording.namespaces[namespace_opened_by(seen) or ""].append(sent)
            return
        same = (key, seen.method, seen.target, seen.body)
        if same not in self._known:
            self._known.add(same)
            self.recording.workloads[key].append(sent)


def _is_question(seen: Seen) -> bool:
    """A key that is not there yet is answered 404, and asked for all the same."""
    return seen.method == "GET"


def workload_of(seen: Seen) -> Key | None:
    """The CR that the request is for, by the names that only one CR's objects can have."""
    path, _, _ = seen.target.partition("?")
    if seen.server == VAULT:
        found = _OF_VAULT.search(path)
        return (found["namespace"], found["name"]) if found else None
    found = _OF_KUBERNETES.search(path)
    if found is None or found["plural"] == "leases":
        return None
    name = found["name"] or _created(seen)
    if name is None or found["plural"] == SECURE_AI_WORKLOADS.plural:
        return (found["namespace"], name) if name else None
    owner = _owner(seen, name)
    return (found["namespace"], owner) if owner else None


def namespace_opened_by(seen: Seen) -> str | None:
    """The namespace in which the request takes rights on Secrets, once for all CRs of it."""
    found = _OF_KUBERNETES.search(seen.target)
    if (
        seen.server != KUBERNETES
        or found is None
        or found["plural"] != "rolebindings"
        or seen.method == "GET"
    ):
        return None
    name = (found["name"] or _created(seen) or "").partition("?")[0]
    return found["namespace"] if name == names.NAMESPACE_SECRETS_ROLE else None


def _created(seen: Seen) -> str | None:
    if seen.method != "POST" or not seen.body:
        return None
    name = json.loads(seen.body).get("metadata", {}).get("name")
    return str(name) if name else None


def _owner(seen: Seen, name: str) -> str | None:
    """By the owner that the object names; a request without a body is for an object that is named after its owner."""
    if seen.body:
        body = json.loads(seen.body)
        owners = body.get("metadata", {}).get("ownerReferences") or () if isinstance(body, dict) else ()
        return next((owner["name"] for owner in owners if owner["kind"] == SECURE_AI_WORKLOADS.kind), None)
    found = re.fullmatch(r"saw-(.+?)(-rules|-ref\d+|-keys|-tls|-allow|-quarantine)?", name)
    return found[1] if found else None


def waves(sent: Sequence[Sent]) -> list[list[Sent]]:
    """In the order in which the operator sent them; together are those that were under way at the same time.

    A request belongs into the wave after that of the latest request that was answered before it was sent.
    """
    made: list[list[Sent]] = []
    for one in sorted(sent, key=lambda each: each.sent):
        after = [
            number for number, wave in enumerate(made) if any(other.answered <= one.sent for other in wave)
        ]
        number = max(after, default=-1) + 1
        if number == len(made):
            made.append([])
        made[number].append(one)
    return made


@contextlib.contextmanager
def recorded(rig: Rig) -> Iterator[tuple[Recorder, dict[str, Any]]]:
    """Proxies before both servers of the lab, and the settings of an operator that goes through them."""
    recorder = Recorder()
    tls = ssl.create_default_context(cafile=str(rig.lab.ca_file))
    kubernetes = Proxy(KUBERNETES, rig.lab.api_url, tls, recorder)
    vault = Proxy(VAULT, rig.lab.vault_address, None, recorder)
    with Proxies(kubernetes, vault).running():
        account = names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT
        kubeconfig = write_kubeconfig(
            rig.lab.directory / "kubeconfigs" / "recorded.yaml",
            kubernetes.address,
            rig.lab.ca_file,
            {"token": rig.lab.token(*account)},
        )
        (connection,) = rig.product.base_settings()["connections"].values()
        through = {"address": vault.address, "timeoutSeconds": PATIENCE_SECONDS}
        yield (
            recorder,
            {
                "kubeconfig": kubeconfig,
                "connections": {"default": {**connection, **through}},
                "leaseSeconds": PATIENCE_SECONDS,
            },
        )
