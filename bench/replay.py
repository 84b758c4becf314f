"""The floor of a storm: the bytes that the operator sent for each CR, sent again into an empty lab by the leanest client.

Nobody decides anything here: no queue, no watches of objects, no comparison, no keys made, no certificates requested. A CR's
requests keep their order where the operator kept one; all CRs go at once, over so many connections to each server.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from bench.lean import Answer, Lean, request
from bench.load import Busy
from bench.recording import Key, Recording, Sent, waves
from bench.rig import Rig, is_ready
from bench.samples import summary
from bench.storm import creation
from bench.watching import Watcher
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.faults.proxy import KUBERNETES, Seen

READY_SECONDS = 900.0
ATTEMPTS, PAUSE_SECONDS = 500, 0.02
_UID = re.compile(rb'"uid":"([0-9a-f-]{36})"')
_VERSION = re.compile(rb'"resourceVersion":"(\d+)"')
_REFUSED = 400
_FOR_NOW = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Answers of an API server whose own watches have not yet shown it the namespace's first CR, or the right just given."""


@dataclass(frozen=True, slots=True)
class Step:
    """A request of one CR, with everything but what only the new CR knows."""

    to_kubernetes: bool
    head: bytes = field(repr=False)
    """Up to the value of Content-Length."""
    body: bytes = field(repr=False)
    is_cr: bool
    """Whether it changes the CR itself, whose version it may have to name."""
    method: str

    def raw(self, uid: bytes, version: bytes) -> bytes:
        body = self.body.replace(_OLD_UID, uid)
        if self.is_cr:
            body = _VERSION.sub(b'"resourceVersion":"%s"' % version, body)
        if not body:
            return self.head + b"0\r\n\r\n"
        return self.head + b"%d\r\n\r\n" % len(body) + body


_OLD_UID = b"@uid@"
"""Stands in a step for the uid of the CR, which the API server makes anew."""


@dataclass(frozen=True, slots=True)
class Score:
    """All that is sent: for each CR its waves, for each namespace what opens it."""

    workloads: Mapping[Key, Sequence[Sequence[Step]]]
    namespaces: Mapping[str, Sequence[Step]]

    @property
    def requests(self) -> int:
        return sum(len(wave) for made in self.workloads.values() for wave in made)


def score(recording: Recording, uids: Mapping[Key, str], heads: Heads) -> Score:
    """What was recorded, made ready to be sent: headers of the new lab, and a mark where the uid stands."""
    return Score(
        {
            key: [[_step(one, uids[key], heads) for one in wave] for wave in waves(sent)]
            for key, sent in recording.workloads.items()
        },
        {
            namespace: [_step(one, "", heads) for one in sent]
            for namespace, sent in recording.namespaces.items()
        },
    )


@dataclass(frozen=True, slots=True)
class Heads:
    """Where the new lab's servers are, and who we are there: the operator, with its rights and no others."""

    kubernetes: Mapping[str, str] = field(repr=False)
    vault: Mapping[str, str] = field(repr=False)

    def of(self, seen: Seen) -> dict[str, str]:
        if seen.server == KUBERNETES:
            return {**self.kubernetes, "Content-Type": content_type(seen)}
        return dict(self.vault)


def content_type(seen: Seen) -> str:
    """What the operator's client says of such a body."""
    if seen.method != "PATCH":
        return "application/json"
    if seen.body.startswith(b"["):
        return "application/json-patch+json"
    return "application/apply-patch+yaml" if "force=" in seen.target else "application/merge-patch+json"


def _step(sent: Sent, uid: str, heads: Heads) -> Step:
    seen = sent.seen
    head = (
        request(seen.method, seen.target, heads.of(seen)).removesuffix(b"\r\n\r\n") + b"\r\nContent-Length: "
    )
    body = seen.body.replace(uid.encode(), _OLD_UID) if uid else seen.body
    is_cr = f"/{SECURE_AI_WORKLOADS.plural}/" in seen.target
    return Step(seen.server == KUBERNETES, head, body, is_cr, seen.method)


class Player:
    """Plays a score over so many connections to each server."""

    def __init__(self, kubernetes: Lean, vault: Lean) -> None:
        self._kubernetes = kubernetes
        self._vault = vault
        self._opened: dict[str, asyncio.Task[None]] = {}
        self.refused_for_now = 0

    async def open(self, namespace: str, steps: Sequence[Step]) -> None:
        """What has to be there before anything else of the namespace; once."""
        if namespace not in self._opened:
            self._opened[namespace] = asyncio.create_task(self._open(steps))
        await self._opened[namespace]

    async def _open(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._send(step, b"", b"")

    async def play(self, created: Answer, made: Sequence[Sequence[Step]]) -> None:
        """One CR, from its creation on."""
        uid, version = _one(_UID, created), _one(_VERSION, created)
        for wave in made:
            if len(wave) == 1:
                answers = [await self._send(wave[0], uid, version)]
            else:
                answers = await asyncio.gather(*(self._send(step, uid, version) for step in wave))
            for step, answer in zip(wave, answers, strict=True):
                if step.is_cr:
                    version = _one(_VERSION, answer)

    async def _send(self, step: Step, uid: bytes, version: bytes) -> Answer:
        server = self._kubernetes if step.to_kubernetes else self._vault
        raw = step.raw(uid, version)
        for _ in range(ATTEMPTS):
            answer = await server.send(raw)
            if answer.status < _REFUSED or (step.method, answer.status) == ("GET", HTTPStatus.NOT_FOUND):
                return answer
            if answer.status not in _FOR_NOW:
                break
            self.refused_for_now += 1
            await asyncio.sleep(PAUSE_SECONDS)
        # Neither what was sent nor what came back: both may hold a secret.
        raise RuntimeError(f"a replayed {step.method} was answered {answer.status}")


def _one(pattern: re.Pattern[bytes], answer: Answer) -> bytes:
    found = pattern.search(answer.body)
    if found is None:
        raise RuntimeError("an answer without the metadata of its object")
    return found[1]


async def measure_replay(
    rig: Rig, recording: Recording, uids: Mapping[Key, str], *, connections: int
) -> dict[str, Any]:
    """From just before the first CR is created until the watch shows the last of them Ready: its status is replayed too."""
    keys = list(recording.workloads)
    heads = await asyncio.to_thread(_heads, rig)
    played = score(recording, uids, heads)
    bodies = {key: creation(rig, key) for key in keys}
    tls = ssl.create_default_context(cafile=str(rig.lab.ca_file))
    async with (
        Watcher(rig.kube, (SECURE_AI_WORKLOADS,)) as watcher,
        Lean(rig.lab.api_url, rig.lab.api.tls, connections) as administrator,
        Lean(rig.lab.api_url, tls, connections) as kubernetes,
        Lean(rig.lab.vault_address, None, connections) as vault,
    ):
        shown = [
            watcher.expect((SECURE_AI_WORKLOADS.plural, *key), lambda _, item: is_ready(item)) for key in keys
        ]
        player = Player(kubernetes, vault)

        async def one(key: Key) -> None:
            created = await administrator.send(bodies[key])
            await player.open(key[0], played.namespaces.get(key[0], ()))
            await player.play(created, played.workloads[key])

        busy, before = Busy.now(), rig.cpu()
        started = time.perf_counter()
        async with asyncio.timeout(READY_SECONDS), asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(one(key))
        answered = time.perf_counter() - started
        ready = [at - started for at in await rig.all_of(shown, READY_SECONDS, "all CRs to be Ready")]
        after = rig.cpu()
        machine = busy.until_now(after.total_since(before))
    return {
        "seconds": round(max(ready), 3),
        "answeredSeconds": round(answered, 3),
        "refusedForNow": player.refused_for_now,
        "requestsPerCR": round(played.requests / len(keys), 3),
        "ready": summary(ready),
        "cpuMillisecondsPerSample": after.since(before, len(keys)),
        "machine": machine,
    }


def _heads(rig: Rig) -> Heads:
    account = names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT
    (settings,) = rig.product.base_settings()["connections"].values()
    connection = rig.product.vault_connection()
    login = {"role": connection.role, "jwt": rig.lab.token(*account, audience="vault")}
    answer = rig.lab.vault_request("POST", f"auth/{connection.auth_mount}/login", login, "")
    return Heads(
        {
            "Host": rig.lab.api_url.partition("//")[2],
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "bench-floor",
            "Authorization": f"Bearer {rig.lab.token(*account)}",
        },
        {
            "Host": settings["address"].partition("//")[2],
            "Content-Type": "application/json",
            "X-Vault-Request": "true",
            "X-Vault-Token": answer["auth"]["client_token"],
        },
    )
