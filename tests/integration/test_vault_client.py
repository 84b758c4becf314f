"""The client against a real Vault: what each verb does, and what each failure becomes."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import Lab, wait_until
from secureai_operator.api.vault_types import AuthRole, PkiRole, VaultHealth, VaultStatus
from secureai_operator.clients import _vault_session
from secureai_operator.clients._vault_http import PoolAdapter, TransportError
from secureai_operator.clients.vault import HvacVault
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.core.bootstrap import BootstrapSpec, render_hcl, routine_policy_name, routine_rules
from secureai_operator.errors import VaultDenied, VaultRefused, VaultUnavailable, VaultUncertain
from tests.integration.vaults import (
    Requests,
    bootstrapped,
    connected,
    ensure_service_account,
    frozen,
    running,
)

pytestmark = pytest.mark.integration

SOON = 5.0
"""Seconds within which health must tell the truth."""


@pytest.fixture
async def spec(lab: Lab, tmp_path: Path) -> BootstrapSpec:
    return await bootstrapped(lab, tmp_path)


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
async def vault(spec: BootstrapSpec, requests: Requests) -> AsyncIterator[HvacVault]:
    async with connected(spec, requests) as client:
        yield client


@pytest.fixture
def name(spec: BootstrapSpec) -> str:
    return f"{spec.connection.policy_prefix}team-a.llm"


def auth_role(name: str, namespace: str = "team-a", **changes: Any) -> AuthRole:
    cluster = name.split(".")[1]
    role = AuthRole(
        bound_service_account_names=("saw-llm",),
        bound_service_account_namespaces=(namespace,),
        audience=f"vault://{cluster}/{namespace}/llm",
        token_policies=(name,),
        token_ttl=600,
        token_max_ttl=3600,
    )
    return replace(role, **changes)


def pki_role(**changes: Any) -> PkiRole:
    return replace(PkiRole(allowed_domains=("llm.team-a.svc",), ttl=3600, max_ttl=86400), **changes)


def csr_for(common_name: str) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    alt = x509.SubjectAlternativeName([x509.DNSName("evil.example.com")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alt, critical=False)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def root(lab: Lab, method: str, path: str, body: object = None, token: str | None = None) -> Any:
    return await asyncio.to_thread(lab.vault_request, method, path, body, token)


async def health_becomes(vault: HvacVault, *statuses: VaultStatus) -> None:
    async def is_so() -> bool:
        return vault.health.status in statuses

    await wait_until(is_so, SOON, f"Vault's health to become {' or '.join(statuses)}")


# Keys


async def test_a_key_is_created_once_and_read_as_it_was_written(vault: HvacVault, name: str) -> None:
    assert await vault.read_key(name) is None
    made = await vault.create_key(name, key_type="aes256-gcm96")
    again = await vault.create_key(name, key_type="chacha20-poly1305")

    assert made == again == await vault.read_key(name)
    assert (made.type, made.latest_version, made.min_decryption_version) == ("aes256-gcm96", 1, 1)
    assert abs(made.versions[1] - time.time()) < 60
    assert not any((made.exportable, made.allow_plaintext_backup, made.deletion_allowed, made.imported))


@pytest.mark.parametrize("key_type", ["chacha20-poly1305", "rsa-2048", "ecdsa-p256", "ed25519"])
async def test_every_kind_of_key_tells_when_its_versions_were_made(
    vault: HvacVault, name: str, key_type: str
) -> None:
    made = await vault.create_key(name, key_type=key_type)
    assert made.type == key_type
    assert abs(made.versions[1] - time.time()) < 60


async def test_rewrap_moves_data_keys_to_the_new_version_in_their_order(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, name: str
) -> None:
    await vault.create_key(name, key_type="aes256-gcm96")
    wrapped = [await vault.new_data_key(name, bits=bits) for bits in (128, 256, 512)]
    state = await vault.rotate_key(name)
    moved = await vault.rewrap(name, wrapped)

    assert state.latest_version == 2
    assert sorted(state.versions) == [1, 2]
    assert all(old.startswith("vault:v1:") for old in wrapped)
    assert all(new.startswith("vault:v2:") for new in moved)
    path = f"{spec.connection.transit_mount}/decrypt/{name}"
    sizes = [
        len(base64.b64decode((await root(lab, "POST", path, {"ciphertext": new}))["data"]["plaintext"]))
        for new in moved
    ]
    assert sizes == [16, 32, 64]
    assert await vault.rewrap(name, []) == []


async def test_a_derived_key_takes_each_data_key_with_its_context(vault: HvacVault, name: str) -> None:
    await vault.create_key(name, key_type="aes256-gcm96", derived=True)
    contexts = [base64.b64encode(context).decode() for context in (b"model", b"prompts")]
    wrapped = [await vault.new_data_key(name, context=context) for context in contexts]
    await vault.rotate_key(name)

    assert all(c.startswith("vault:v2:") for c in await vault.rewrap(name, wrapped, contexts))
    with pytest.raises(VaultRefused):
        await vault.rewrap(name, wrapped, list(reversed(contexts)))


async def test_configuring_changes_only_what_is_given(vault: HvacVault, name: str) -> None:
    await vault.create_key(name, key_type="aes256-gcm96")
    await vault.rotate_key(name)
    await vault.configure_key(name, min_decryption_version=2, min_encryption_version=2)
    await vault.configure_key(name, auto_rotate_period=720 * 3600)
    state = await vault.read_key(name)

    assert state is not None
    assert (state.min_decryption_version, state.min_encryption_version) == (2, 2)
    assert state.auto_rotate_period == 720 * 3600


async def test_what_vault_will_never_do_is_refused_and_not_retried(
    vault: HvacVault, requests: Requests, name: str
) -> None:
    await vault.create_key(name, key_type="aes256-gcm96")
    with pytest.raises(VaultRefused) as refused:
        await vault.configure_key(name, min_decryption_version=9)

    assert refused.value.reason == "VaultRejected"
    assert requests.of("key/configure") == 1


async def test_destroying_takes_the_destroying_role(
    vault: HvacVault, spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    await vault.create_key(name, key_type="aes256-gcm96")
    async with connected(spec, requests, destroy_role=None) as harmless:
        with pytest.raises(VaultDenied):
            await harmless.delete_key(name)
    assert await vault.read_key(name) is not None

    await vault.delete_key(name)
    assert await vault.read_key(name) is None
    await vault.delete_key(name)


async def test_a_missing_mount_is_not_a_missing_key(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, name: str
) -> None:
    await vault.create_key(name, key_type="aes256-gcm96")
    await root(lab, "DELETE", f"sys/mounts/{spec.connection.transit_mount}")

    with pytest.raises(VaultDenied) as denied:
        await vault.read_key(name)
    assert denied.value.reason in ("VaultMountMissing", "VaultForbidden")


@pytest.mark.parametrize(
    "hostile", ["", "other", "saw.x", "{p}../other", "{p}a/trim", "{p}a?x=1", "{p}a%2f..", "{p}a\n", "{p}"]
)
async def test_a_name_that_is_not_ours_never_leaves_the_operator(
    vault: HvacVault, spec: BootstrapSpec, requests: Requests, hostile: str
) -> None:
    hostile = hostile.replace("{p}", spec.connection.policy_prefix)
    for attempt in (vault.read_key, vault.delete_policy, vault.delete_auth_role, vault.delete_pki_role):
        with pytest.raises(VaultRefused):
            await attempt(hostile)
    assert requests.sent() == 0


# Policies, roles, certificates, entities


async def test_a_policy_is_read_as_it_was_written_and_deleted_twice(vault: HvacVault, name: str) -> None:
    text = 'path "x/y" {\n  capabilities = ["update"]\n}\n'
    assert await vault.read_policy(name) is None
    await vault.write_policy(name, text)
    assert await vault.read_policy(name) == text
    await vault.delete_policy(name)
    await vault.delete_policy(name)
    assert await vault.read_policy(name) is None


async def test_an_auth_role_is_read_as_it_was_written(vault: HvacVault, name: str) -> None:
    assert await vault.read_auth_role(name) is None
    await vault.write_auth_role(name, auth_role(name))
    assert await vault.read_auth_role(name) == auth_role(name)
    await vault.delete_auth_role(name)
    await vault.delete_auth_role(name)
    assert await vault.read_auth_role(name) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bound_service_account_namespace_selector", '{"matchLabels":{"a":"b"}}'),
        ("token_bound_cidrs", ["10.0.0.0/8"]),
        ("token_period", 3600),
        ("token_num_uses", 3),
        ("token_explicit_max_ttl", 9000),
    ],
)
async def test_a_field_we_never_use_is_seen_and_taken_back(
    vault: HvacVault, lab: Lab, name: str, field: str, value: object
) -> None:
    await vault.write_auth_role(name, auth_role(name))
    await root(lab, "POST", f"auth/kubernetes/role/{name}", {field: value})
    drifted = await vault.read_auth_role(name)
    await vault.write_auth_role(name, auth_role(name))

    assert drifted is not None
    assert drifted.foreign == (field,)
    assert await vault.read_auth_role(name) == auth_role(name)


async def test_a_pki_role_is_read_as_it_was_written_and_drift_is_seen(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, name: str
) -> None:
    assert await vault.read_pki_role(name) is None
    await vault.write_pki_role(name, pki_role())
    assert await vault.read_pki_role(name) == pki_role()

    foreign = {"allow_wildcard_certificates": True, "code_signing_flag": True, "allow_any_name": True}
    path = f"{spec.connection.pki_mount}/roles/{name}"
    whole = (await root(lab, "GET", path))["data"]
    await root(lab, "POST", path, {**whole, **foreign})
    drifted = await vault.read_pki_role(name)
    await vault.write_pki_role(name, pki_role())

    assert drifted is not None
    assert drifted.foreign == ("allow_wildcard_certificates", "code_signing_flag")
    assert drifted.allow_any_name
    assert await vault.read_pki_role(name) == pki_role()
    await vault.delete_pki_role(name)
    assert await vault.read_pki_role(name) is None


async def test_a_signed_certificate_has_the_names_asked_for_and_no_other(vault: HvacVault, name: str) -> None:
    await vault.write_pki_role(name, pki_role())
    signed = await vault.sign_csr(name, csr_for("evil"), "llm.team-a.svc", ["llm.team-a.svc"], 600)
    certificate = x509.load_pem_x509_certificate(signed.certificate_pem.encode())
    chain = x509.load_pem_x509_certificates((await vault.ca_chain()).encode())

    certificate.verify_directly_issued_by(chain[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["llm.team-a.svc"]
    assert signed.not_after == int(certificate.not_valid_after_utc.timestamp())
    assert abs(signed.not_after - time.time() - 600) < 60
    assert signed.ca_chain_pem == await vault.ca_chain()
    with pytest.raises(VaultRefused):
        await vault.sign_csr(name, csr_for("x"), "other.team-b.svc", ["other.team-b.svc"], 600)


async def test_a_certificate_that_vault_did_not_keep_can_be_revoked(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, name: str
) -> None:
    await vault.write_pki_role(name, pki_role())
    signed = await vault.sign_csr(name, csr_for("x"), "llm.team-a.svc", ["llm.team-a.svc"], 600)
    await vault.revoke_certificate(signed.certificate_pem)
    await vault.revoke_certificate(signed.certificate_pem)

    listed = await root(lab, "LIST", f"{spec.connection.pki_mount}/certs/revoked")
    assert signed.serial in listed["data"]["keys"]


async def test_disabling_an_entity_cuts_a_workload_off_at_once_and_back(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, name: str, namespace: str
) -> None:
    cluster = spec.cluster
    audience = f"vault://{cluster}/{namespace}/llm"
    await asyncio.to_thread(ensure_service_account, lab, namespace, "saw-llm")
    account = await asyncio.to_thread(
        lab.api.request, "GET", f"/api/v1/namespaces/{namespace}/serviceaccounts/saw-llm"
    )
    uid = account["metadata"]["uid"]
    assert await vault.set_entity_disabled(uid, disabled=True) is False

    await vault.write_policy(name, 'path "auth/token/lookup-self" { capabilities = ["read"] }')
    await vault.write_auth_role(name, auth_role(name, namespace, audience=audience))
    jwt = await asyncio.to_thread(lab.token, namespace, "saw-llm", audience)
    login = await root(lab, "POST", "auth/kubernetes/login", {"role": name, "jwt": jwt}, "")
    token = login["auth"]["client_token"]
    await root(lab, "GET", "auth/token/lookup-self", None, token)

    assert await vault.set_entity_disabled(uid, disabled=True) is True
    with pytest.raises(Exception, match="403"):
        await root(lab, "GET", "auth/token/lookup-self", None, token)
    assert await vault.set_entity_disabled(uid, disabled=False) is True
    await root(lab, "GET", "auth/token/lookup-self", None, token)


# The operator's own token


async def test_a_hundred_first_calls_make_one_login(vault: HvacVault, requests: Requests, name: str) -> None:
    await asyncio.gather(*(vault.read_key(name) for _ in range(100)))
    assert requests.of("login") == 1


async def test_a_refused_login_is_told_to_everybody_and_tried_once(
    spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    async with connected(spec, requests, role="no-such-role") as stranger:
        results = await asyncio.gather(*(stranger.read_key(name) for _ in range(50)), return_exceptions=True)
    assert {getattr(result, "reason", None) for result in results} == {"VaultLoginFailed"}
    assert requests.of("login") == 1


async def test_a_revoked_token_is_replaced_by_one_login_and_no_call_fails(
    vault: HvacVault, lab: Lab, requests: Requests, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_vault_session, "LOGIN_PAUSE", 0.0)
    await vault.read_key(name)
    await root(lab, "POST", "auth/token/revoke", {"token": vault._session._token.value})  # type: ignore[union-attr]
    await asyncio.gather(*(vault.read_key(name) for _ in range(20)))
    assert requests.of("login") == 2


async def test_a_short_token_is_renewed_before_it_ends(
    lab: Lab, spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    role = f"auth/kubernetes/role/{spec.connection.role}"
    await root(lab, "POST", role, {"token_ttl": 6, "token_max_ttl": 3600})
    async with connected(spec, requests) as vault, running(vault):
        await vault.read_key(name)

        async def renewed() -> bool:
            return requests.counts["token/renew", "200"] >= 2

        await wait_until(renewed, 20.0, "two renewals")
        await vault.read_key(name)
    assert requests.of("login") == 1


async def test_at_its_maximum_the_token_is_replaced_before_it_ends(
    lab: Lab, spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    role = f"auth/kubernetes/role/{spec.connection.role}"
    await root(lab, "POST", role, {"token_ttl": 4, "token_max_ttl": 5})
    async with connected(spec, requests) as vault, running(vault):

        async def replaced() -> bool:
            await vault.read_key(name)
            return requests.of("login") >= 2

        await wait_until(replaced, 20.0, "a second login")
    assert not [code for (op, code) in requests.counts if op == "key/read" and code == "403"]


async def test_a_closed_client_leaves_no_token_behind(lab: Lab, spec: BootstrapSpec, name: str) -> None:
    async with connected(spec, Requests()) as vault:
        await vault.read_key(name)
        token = vault._session._token.value  # type: ignore[union-attr]
    with pytest.raises(Exception, match="403"):
        await root(lab, "GET", "auth/token/lookup-self", None, token)


# Health


async def test_a_lost_policy_is_denied_within_five_seconds_and_so_is_its_return(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    policy = routine_policy_name(spec)
    async with running(vault):
        await health_becomes(vault, VaultStatus.HEALTHY)
        await root(lab, "DELETE", f"sys/policies/acl/{policy}")
        await health_becomes(vault, VaultStatus.DENIED)
        with pytest.raises(VaultDenied) as denied:
            await vault.read_key(name)
        assert denied.value.reason == "VaultForbidden"

        before = requests.of("login")
        await asyncio.gather(*(vault.read_key(name) for _ in range(50)), return_exceptions=True)
        assert requests.of("login") - before <= 1

        hcl = render_hcl(routine_rules(spec.connection))
        await root(lab, "POST", f"sys/policies/acl/{policy}", {"policy": hcl})
        await health_becomes(vault, VaultStatus.HEALTHY)
        assert await vault.read_key(name) is None


async def test_a_policy_that_lost_one_right_is_denied(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec
) -> None:
    rules = [rule for rule in routine_rules(spec.connection) if not rule.path.endswith("/rotate")]
    async with running(vault):
        await health_becomes(vault, VaultStatus.HEALTHY)
        await root(
            lab, "POST", f"sys/policies/acl/{routine_policy_name(spec)}", {"policy": render_hcl(rules)}
        )
        await health_becomes(vault, VaultStatus.DENIED)


async def test_a_sealed_vault_is_seen_and_left_in_peace_until_it_is_back(
    vault: HvacVault, lab: Lab, requests: Requests, name: str
) -> None:
    seen: list[VaultHealth] = []
    async with running(vault):
        await health_becomes(vault, VaultStatus.HEALTHY)
        unsubscribe = vault.subscribe(seen.append)
        await asyncio.to_thread(lab.seal_vault)
        try:
            await health_becomes(vault, VaultStatus.SEALED)
            before = requests.of("key/read") - requests.counts["key/read", "breaker"]
            results = await asyncio.gather(
                *(vault.read_key(name) for _ in range(1000)), return_exceptions=True
            )
            sent = requests.of("key/read") - requests.counts["key/read", "breaker"] - before
            assert {getattr(result, "reason", None) for result in results} == {"VaultSealed"}
            assert sent <= 2
        finally:
            await asyncio.to_thread(lab.unseal_vault)
        await health_becomes(vault, VaultStatus.HEALTHY)
        assert await vault.read_key(name) is None
        unsubscribe()
    assert [health.status for health in seen] == [VaultStatus.SEALED, VaultStatus.HEALTHY]


async def test_a_stopped_vault_is_unreachable_and_comes_back_by_itself(
    vault: HvacVault, lab: Lab, name: str
) -> None:
    async with running(vault):
        await health_becomes(vault, VaultStatus.HEALTHY)
        await asyncio.to_thread(lab.stop_vault)
        try:
            await health_becomes(vault, VaultStatus.UNREACHABLE)
            with pytest.raises(VaultUnavailable):
                await vault.read_key(name)
        finally:
            await asyncio.to_thread(lab.start_vault)
        await health_becomes(vault, VaultStatus.HEALTHY)
        assert await vault.read_key(name) is None


async def test_a_hung_vault_is_a_timeout_and_a_rotation_is_never_done_twice(
    spec: BootstrapSpec, lab: Lab, requests: Requests, name: str
) -> None:
    async with connected(spec, requests, timeout=1.0) as vault, running(vault):
        await vault.create_key(name, key_type="aes256-gcm96")
        await health_becomes(vault, VaultStatus.HEALTHY)
        with frozen(lab.component("vault")):
            with pytest.raises(VaultUncertain) as uncertain:
                await vault.rotate_key(name)
            assert uncertain.value.reason == "VaultTimeout"
            await health_becomes(vault, VaultStatus.UNREACHABLE)
            assert vault.health.reason == "VaultTimeout"
            with pytest.raises(VaultUnavailable):
                await vault.read_key(name)
        await health_becomes(vault, VaultStatus.HEALTHY)
        state = await vault.read_key(name)
    assert state is not None
    assert state.latest_version <= 2
    assert requests.of("key/rotate") == 1


async def test_a_rate_limited_vault_is_named_so_and_recovers(
    vault: HvacVault, lab: Lab, spec: BootstrapSpec, requests: Requests, name: str
) -> None:
    quota = f"sys/quotas/rate-limit/{spec.connection.role}"
    async with running(vault):
        await health_becomes(vault, VaultStatus.HEALTHY)
        await root(
            lab, "POST", quota, {"rate": 0.5, "interval": "10s", "path": spec.connection.transit_mount + "/"}
        )
        try:
            results = await asyncio.gather(
                *(vault.read_key(name) for _ in range(300)), return_exceptions=True
            )
            assert "VaultRateLimited" in {getattr(result, "reason", None) for result in results}
            assert requests.counts["key/read", "429"] < 50
        finally:
            await root(lab, "DELETE", quota)

        async def reads_again() -> bool:
            try:
                return await vault.read_key(name) is None
            except VaultUnavailable:
                return False

        await wait_until(reads_again, SOON, "reading again")
        await health_becomes(vault, VaultStatus.HEALTHY)


# Discretion and load


async def test_no_error_and_no_log_holds_a_token_or_what_vault_said(
    vault: HvacVault, lab: Lab, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await vault.create_key(name, key_type="aes256-gcm96")
    token = vault._session._token
    assert token is not None
    with pytest.raises(VaultRefused) as refused:
        await vault.configure_key(name, min_decryption_version=7)
    await asyncio.to_thread(lab.seal_vault)
    try:
        with pytest.raises(VaultUnavailable) as unavailable:
            await vault.read_key(name)
    finally:
        await asyncio.to_thread(lab.unseal_vault)

    said = " ".join(
        [caplog.text, repr(token), str(refused.value), str(unavailable.value), repr(refused.value)]
    )
    assert token.value not in said
    assert "min decryption version" not in said
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


async def test_the_token_bucket_bounds_the_rate_and_urgent_calls_pass_it(
    spec: BootstrapSpec, name: str
) -> None:
    is_urgent = False
    connection = replace(spec.connection, requests_per_second=50.0, burst=5)
    vault = HvacVault(connection, {}, is_urgent=lambda: is_urgent)
    try:
        await vault.read_key(name)
        begun = time.perf_counter()
        crowd = [asyncio.create_task(vault.read_key(name)) for _ in range(100)]
        await asyncio.sleep(0)
        is_urgent = True
        await vault.read_key(name)
        urgent = time.perf_counter() - begun
        await asyncio.gather(*crowd)
        everyone = time.perf_counter() - begun
    finally:
        await vault.close()
    assert everyone >= 95 / 50
    assert urgent < everyone / 2


async def test_the_loop_is_never_blocked_while_vault_is_slow(
    spec: BootstrapSpec, lab: Lab, name: str
) -> None:
    async with connected(spec, Requests(), timeout=1.0) as vault:
        await vault.read_key(name)
        with frozen(lab.component("vault")):
            calls = [asyncio.create_task(vault.read_key(name)) for _ in range(20)]
            worst = 0.0
            while not all(call.done() for call in calls):
                begun = time.perf_counter()
                await asyncio.sleep(0.01)
                worst = max(worst, time.perf_counter() - begun)
            results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, VaultUnavailable) for result in results)
    assert worst < 0.5


def test_a_tls_server_is_trusted_by_the_configured_authority_only(lab: Lab) -> None:
    """Asked of the API server: any server with a certificate of its own authority will do."""
    known = PoolAdapter(lab.api_url, timeout=5.0, ca_file=str(lab.ca_file))
    assert known.send("GET", "/version").status_code in (200, 401, 403)
    known.close()
    with pytest.raises(TransportError) as error:
        PoolAdapter(lab.api_url, timeout=5.0).send("GET", "/version")
    assert (error.value.code, error.value.sent) == ("unreachable", False)


def test_the_client_is_what_the_controllers_ask_for(spec: BootstrapSpec) -> None:
    client: VaultApi = HvacVault(spec.connection, {})
    assert client.health.status is VaultStatus.UNKNOWN
