"""Proof: a key rotates on its schedule, its old version retires, an emergency makes all anew, and old data is read throughout."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECRETS, SECURE_AI_WORKLOADS
from secureai_operator.cli.demo_identity import Session, decrypt, encrypt, login, vault_name
from secureai_operator.cli.demo_report import ProofFailed, Report, expect
from secureai_operator.cli.demo_stage import Stage
from secureai_operator.cli.demo_workloads import Cast
from secureai_operator.cli.output import string
from secureai_operator.cli.workloads import WorkloadView, view
from secureai_operator.errors import OperatorError

POLICY = "demo"
SCHEDULE_SECONDS = 130.0
"""A minute of the clock, and one more if the next is too near."""
RETIRED_SECONDS = 30.0
EMERGENCY_SECONDS = 60.0
READ_PAUSE = 0.05
_POLL = 0.02


@dataclass
class Reader:
    """A workload that was given data long ago and reads it again and again, as its pods would."""

    stage: Stage
    workload: WorkloadView
    secret: bytes = field(repr=False, default=b"")
    reads: int = 0
    failures: list[str] = field(default_factory=list)

    async def remember(self, session: Session) -> None:
        """Encrypt something under the data key, as it is before anything rotates."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - slow to import

        data_key, nonce = await self._data_key(session), os.urandom(12)
        self.secret = nonce + AESGCM(data_key).encrypt(nonce, b"of long ago", None)

    async def read(self, session: Session) -> None:
        """Unwrap the data key that the Secret holds now, and decrypt. Raises ProofFailed."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        data_key = await self._data_key(session)
        try:
            text = AESGCM(data_key).decrypt(self.secret[:12], self.secret[12:], None)
        except InvalidTag:
            raise ProofFailed("the data key is another one") from None
        expect(text == b"of long ago", "what was read is not what was written")

    @contextlib.asynccontextmanager
    async def reading(self, session: Session) -> AsyncIterator[None]:
        """Reads all the time of the block; what fails is kept."""
        task = asyncio.create_task(self._read_on(session), name="reader")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _read_on(self, session: Session) -> None:
        while True:
            try:
                await self.read(session)
                self.reads += 1
            except (ProofFailed, OperatorError) as error:
                self.failures.append(str(error))
            await asyncio.sleep(READ_PAUSE)

    async def _data_key(self, session: Session) -> bytes:
        place = (SECRETS, self.workload.namespace, names.keys_secret(self.workload.name))
        entries: Mapping[str, str] = ((await self.stage.kube.get(*place)) or {}).get("data") or {}
        expect(entries, "the Secret of wrapped keys is empty or missing")
        wrapped = base64.b64decode(entries[min(entries)]).decode()
        return await decrypt(self.stage, session, wrapped)


async def prove(stage: Stage, cast: Cast, report: Report) -> None:
    workload = cast.rotating
    report.section(f"Rotation: the key of {workload.namespace}/{workload.name}")
    session = await login(stage, workload)
    reader = Reader(stage, workload)
    await reader.remember(session)
    async with reader.reading(session):
        await _prove_schedule(stage, workload, report)
        await _prove_retirement(stage, workload, report)
    with report.claim("meanwhile the workload has read old data all the time, without a restart") as line:
        expect(
            not reader.failures,
            f"{len(reader.failures)} of {reader.reads} reads failed: {reader.failures[:1]}",
        )
        expect(reader.reads > 0, "nothing was read")
        line.note = f"{reader.reads} reads, none failed"
    await _prove_emergency(stage, workload, session, reader, report)


async def _prove_schedule(stage: Stage, workload: WorkloadView, report: Report) -> None:
    now = datetime.now(UTC)
    due = (now + timedelta(minutes=1 if now.second < 55 else 2)).replace(second=0, microsecond=0)  # noqa: PLR2004
    with report.claim(
        f"a KeyRotationPolicy says {due.minute} * * * *: at {due:%H:%M} UTC the key rotates"
    ) as line:
        await stage.kube.create(KEY_ROTATION_POLICIES, workload.namespace, _policy(workload, due))
        after = await _until(stage, workload, lambda one: _version(one) == 2, SCHEDULE_SECONDS)  # noqa: PLR2004
        rotation = after.status["rotation"]
        expect(rotation["trigger"] == "Scheduled", f"the trigger is {rotation['trigger']}")
        line.measured = max(0.0, time.time() - due.timestamp())
        line.note = (
            f"{rotation['itemsRewrapped']} data keys rewrapped; the time is counted from {due:%H:%M:%S}"
        )
    with report.claim("in Vault the key has exactly one version more"):
        key = await _key(stage, workload)
        expect(key["latest_version"] == 2, f"the latest version is {key['latest_version']}")  # noqa: PLR2004


async def _prove_retirement(stage: Stage, workload: WorkloadView, report: Report) -> None:
    with report.claim("version 1 retires, because nothing is wrapped by it any more") as line:
        await _until(
            stage,
            workload,
            lambda one: string(one.status, "rotation", "retiredBelow") == "2",
            RETIRED_SECONDS,
        )
        key = await _key(stage, workload)
        expect(key["min_decryption_version"] == 2, "Vault still decrypts with version 1")  # noqa: PLR2004
        line.note = "min_decryption_version is 2; retire.after is 1s here, 72h by default"


async def _prove_emergency(
    stage: Stage, workload: WorkloadView, stolen: Session, reader: Reader, report: Report
) -> None:
    text = await encrypt(stage, stolen, b"with a stolen token")
    with report.claim("an emergency rotation is asked for, by one annotation: access is gone") as line:
        started = time.monotonic()
        annotation = {"metadata": {"annotations": {names.EMERGENCY_ANNOTATION: "incident-7"}}}
        place = (SECURE_AI_WORKLOADS, workload.namespace, workload.name)
        await stage.kube.merge_patch(*place, annotation)
        refused = await _first(lambda: _is_refused(stage, stolen, text), EMERGENCY_SECONDS)
        expect(refused, "a token that was logged in still decrypts")
        line.measured = time.monotonic() - started
    with report.claim("key, data keys, minimum, certificate: all anew, and access is back") as line:
        after = await _until(
            stage,
            workload,
            lambda one: bool(string(one.status, "emergency", "finishedAt")),
            EMERGENCY_SECONDS,
        )
        steps = after.status["emergency"]["steps"]
        line.note = ", ".join(f"{step['step']} {step['milliseconds']} ms" for step in steps)
        key = await _key(stage, workload)
        expect((key["latest_version"], key["min_decryption_version"]) == (3, 3), "old versions still decrypt")
    with report.claim("what was encrypted directly with the old version is worth nothing now"):
        renewed = await login(stage, workload)
        expect(await _is_refused(stage, renewed, text), "it still decrypts")
    with report.claim("and the workload reads its old data"):
        await reader.read(renewed)


def _policy(workload: WorkloadView, due: datetime) -> dict[str, Any]:
    return {
        "apiVersion": KEY_ROTATION_POLICIES.api_version,
        "kind": KEY_ROTATION_POLICIES.kind,
        "metadata": {"name": POLICY, "namespace": workload.namespace},
        "spec": {
            "selector": {},
            "schedule": {"cron": f"{due.minute} * * * *"},
            "retire": {"after": "1s", "keepVersions": 1, "canary": "1s"},
            "priority": 10,
        },
    }


def _version(workload: WorkloadView) -> int:
    """The version that the key and all its data keys are at; 0 if they are not at one."""
    versions = {one.get("keyVersion") for one in workload.status.get("dataKeys") or ()}
    versions.add((workload.status.get("key") or {}).get("latestVersion"))
    under_way = string(workload.status, "rotation", "phase") in ("Planned", "Rotated", "Rewrapped")
    return int(versions.pop() or 0) if len(versions) == 1 and not under_way else 0


async def _key(stage: Stage, workload: WorkloadView) -> dict[str, Any]:
    mount = string(workload.status, "vault", "transitMount")
    answer = await stage.vault("GET", f"{mount}/keys/{vault_name(workload)}")
    data: dict[str, Any] = answer["data"]
    return data


async def _is_refused(stage: Stage, session: Session, text: str) -> bool:
    try:
        await decrypt(stage, session, text)
    except ProofFailed:
        return True
    return False


async def _until(
    stage: Stage, workload: WorkloadView, holds: Callable[[WorkloadView], bool], seconds: float
) -> WorkloadView:
    """The workload once it is so; ProofFailed if that takes too long."""
    place = (SECURE_AI_WORKLOADS, workload.namespace, workload.name)
    found: WorkloadView | None = None

    async def looked() -> bool:
        nonlocal found
        raw = await stage.kube.get(*place)
        found = None if raw is None else view(raw)
        return found is not None and holds(found)

    if not await _first(looked, seconds) or found is None:
        rotation = {} if found is None else found.status.get("rotation")
        raise ProofFailed(f"not so after {seconds:g} s; rotation: {rotation}")
    return found


async def _first(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (holds := await condition()) and time.monotonic() < end:  # noqa: ASYNC110 - another process decides
        await asyncio.sleep(_POLL)
    return holds
