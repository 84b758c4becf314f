"""Proof: a workload's own token opens its own key in Vault, and nobody else's does."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import SECRETS, SERVICE_ACCOUNTS
from secureai_operator.cli.demo_report import ProofFailed, Report, expect
from secureai_operator.cli.demo_stage import Stage
from secureai_operator.cli.demo_workloads import Cast
from secureai_operator.cli.output import string
from secureai_operator.cli.workloads import WorkloadView

_DENIED = (400, 403)


@dataclass(frozen=True)
class Session:
    """A workload's login to Vault. The token is never shown."""

    workload: WorkloadView
    token: str = field(repr=False)
    policies: tuple[str, ...]

    @property
    def key(self) -> str:
        return vault_name(self.workload)

    @property
    def mount(self) -> str:
        return string(self.workload.status, "vault", "transitMount")


def vault_name(workload: WorkloadView) -> str:
    return string(workload.status, "vault", "name")


async def prove(stage: Stage, cast: Cast, report: Report) -> None:
    hero, other = cast.hero, cast.other
    report.section(f"Identity and keys: {hero.namespace}/{hero.name} alone opens its key")
    with report.claim("its own token (as the kubelet requests it for a pod) logs in to Vault") as line:
        session = await login(stage, hero)
        expect(session.policies == (vault_name(hero),), f"the login got the policies {session.policies}")
        line.note = f"with the one policy {vault_name(hero)}"
    with report.claim("it encrypts and decrypts with its key"):
        await _round_trip(stage, session)
    if hero.status.get("dataKeys"):
        with report.claim("it unwraps its data keys from the Secret of wrapped keys") as line:
            line.note = await _unwrap(stage, session)
    await _prove_denials(stage, session, other, report)


async def _prove_denials(stage: Stage, session: Session, other: WorkloadView, report: Report) -> None:
    hero = session.workload
    ciphertext = await encrypt(stage, session, b"for the hero only")
    stranger = f"{other.namespace}/{other.name}"
    with report.claim(f"the token of {stranger} is refused at its login") as line:
        jwt = await token_of(stage, other)
        status = await _status(
            stage, f"auth/{_auth_mount(hero)}/login", {"role": vault_name(hero), "jwt": jwt}, ""
        )
        expect(status in _DENIED, f"Vault answered {status}")
        line.note = f"Vault answered {status}"
    with report.claim(f"{stranger}, logged in as itself, cannot decrypt with that key") as line:
        intruder = await login(stage, other)
        path = f"{session.mount}/decrypt/{session.key}"
        status = await _status(stage, path, {"ciphertext": ciphertext}, intruder.token)
        expect(status == 403, f"Vault answered {status}")  # noqa: PLR2004
        line.note = "Vault answered 403"
    with report.claim("a token of the same ServiceAccount for another audience is refused") as line:
        jwt = await token_of(stage, hero, audience="vault")
        status = await _status(
            stage, f"auth/{_auth_mount(hero)}/login", {"role": vault_name(hero), "jwt": jwt}, ""
        )
        expect(status in _DENIED, f"Vault answered {status}")
        line.note = f"Vault answered {status}"


async def login(stage: Stage, workload: WorkloadView) -> Session:
    """Log in with the workload's own token; ProofFailed if Vault refuses."""
    body = {"role": vault_name(workload), "jwt": await token_of(stage, workload)}
    answer = await _vault(stage, f"auth/{_auth_mount(workload)}/login", body, "")
    auth = answer["auth"]
    return Session(workload, str(auth["client_token"]), tuple(auth["token_policies"]))


async def token_of(stage: Stage, workload: WorkloadView, audience: str | None = None) -> str:
    """What the kubelet would project into the workload's pods, by the same API."""
    binding = workload.status.get("binding") or {}
    spec = {
        "audiences": [audience or string(binding, "audience")],
        "expirationSeconds": int(binding.get("tokenExpirationSeconds") or 600),
    }
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    account = names.service_account(workload.name)
    answer = await stage.kube.create(
        SERVICE_ACCOUNTS, workload.namespace, request, name=account, subresource="token"
    )
    return string(answer, "status", "token")


async def _round_trip(stage: Stage, session: Session) -> None:
    text = os.urandom(32)
    ciphertext = await encrypt(stage, session, text)
    expect(ciphertext.startswith("vault:v"), "the ciphertext is not Vault's")
    back = await decrypt(stage, session, ciphertext)
    expect(back == text, "what was decrypted is not what was encrypted")


async def _unwrap(stage: Stage, session: Session) -> str:
    workload = session.workload
    secret = await stage.kube.get(SECRETS, workload.namespace, names.keys_secret(workload.name))
    entries = (secret or {}).get("data") or {}
    expect(entries, "the Secret of wrapped keys is empty or missing")
    for wrapped in entries.values():
        ciphertext = base64.b64decode(wrapped).decode()
        expect(ciphertext.startswith("vault:v"), "the Secret holds something else than wrapped keys")
        expect(len(await decrypt(stage, session, ciphertext)) >= 16, "a data key is too short")  # noqa: PLR2004
    return f"{', '.join(sorted(entries))}; the Secret itself holds only vault:v…"


async def encrypt(stage: Stage, session: Session, text: bytes) -> str:
    body = {"plaintext": base64.b64encode(text).decode()}
    answer = await _vault(stage, f"{session.mount}/encrypt/{session.key}", body, session.token)
    return string(answer, "data", "ciphertext")


async def decrypt(stage: Stage, session: Session, ciphertext: str) -> bytes:
    answer = await _vault(
        stage, f"{session.mount}/decrypt/{session.key}", {"ciphertext": ciphertext}, session.token
    )
    return base64.b64decode(string(answer, "data", "plaintext"))


async def _vault(stage: Stage, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
    """One request that must succeed. What Vault said stays out of the failure: it may hold a token."""
    from lab import RequestFailed  # noqa: PLC0415 - only a checkout has it

    try:
        return await stage.vault("POST", path, body, token)
    except RequestFailed as error:
        raise ProofFailed(f"Vault answered {error.status} to {path}") from None


async def _status(stage: Stage, path: str, body: dict[str, Any], token: str) -> int:
    """The status of a request that must fail."""
    from lab import RequestFailed  # noqa: PLC0415

    try:
        await stage.vault("POST", path, body, token)
    except RequestFailed as error:
        return int(error.status)
    return 200


def _auth_mount(workload: WorkloadView) -> str:
    return string(workload.status, "vault", "authMount")
