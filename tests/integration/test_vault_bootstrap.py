"""Making a Vault ready, and what the identities made there can and cannot do: asked of a real Vault, right by right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.vault_setup import Outcome
from secureai_operator.api.vault_types import AuthRole, PkiRole
from secureai_operator.clients import _vault_codec as codec
from secureai_operator.clients.vault_bootstrap import VaultAdministrator
from secureai_operator.core.bootstrap import (
    BootstrapSpec,
    bootstrap_items,
    destroy_policy_name,
    needed_capabilities,
    routine_policy_name,
)
from secureai_operator.errors import VaultDenied, VaultUnavailable
from tests.integration.vaults import AUDIENCE, bootstrapped, new_spec

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Identity:
    """A token of one policy, and a lab to use it in."""

    lab: Lab
    token: str = field(repr=False)

    async def status(self, method: str, path: str, body: object = None) -> int:
        try:
            await asyncio.to_thread(self.lab.vault_request, method, path, body, self.token)
        except RequestFailed as failed:
            return failed.status
        return 200


@pytest.fixture
async def spec(lab: Lab, tmp_path: Path) -> BootstrapSpec:
    return await bootstrapped(lab, tmp_path)


@pytest.fixture
async def administrator(lab: Lab, spec: BootstrapSpec) -> AsyncIterator[VaultAdministrator]:
    async with VaultAdministrator(spec.connection, lab.vault_root_token) as connected:
        yield connected


@pytest.fixture(scope="module")
def ready(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> BootstrapSpec:
    """One for all tests that only ask what is allowed."""
    return asyncio.run(bootstrapped(lab, tmp_path_factory.mktemp("vault")))


@pytest.fixture(scope="module")
def operator(lab: Lab, ready: BootstrapSpec) -> Identity:
    return logged_in(lab, ready, ready.connection.role)


@pytest.fixture(scope="module")
def destroyer(lab: Lab, ready: BootstrapSpec) -> Identity:
    assert ready.connection.destroy_role is not None
    return logged_in(lab, ready, ready.connection.destroy_role)


def logged_in(lab: Lab, spec: BootstrapSpec, role: str) -> Identity:
    jwt = Path(spec.connection.token_file).read_text()
    answer = lab.vault_request("POST", "auth/kubernetes/login", {"role": role, "jwt": jwt}, "")
    return Identity(lab, answer["auth"]["client_token"])


async def root(lab: Lab, method: str, path: str, body: object = None) -> Any:
    return await asyncio.to_thread(lab.vault_request, method, path, body)


def audit_lines(lab: Lab) -> int:
    assert lab.vault_audit_log is not None
    writes = ('"operation":"update"', '"operation":"create"', '"operation":"delete"')
    with lab.vault_audit_log.open() as lines:
        return sum('"type":"request"' in line and any(write in line for write in writes) for line in lines)


# Applying


async def test_an_empty_vault_gets_everything_and_a_second_time_nothing(lab: Lab, tmp_path: Path) -> None:
    spec = await asyncio.to_thread(new_spec, lab, tmp_path)
    items = bootstrap_items(spec)
    async with VaultAdministrator(spec.connection, lab.vault_root_token) as administrator:
        first = await administrator.apply(items)
        before = audit_lines(lab)
        second = await administrator.apply(items)

    assert [report.name for report in first] == [item.name for item in items]
    made = {report.name: report.outcome for report in first}
    assert made.pop("mount auth/kubernetes") is Outcome.UNCHANGED
    assert set(made.values()) <= {Outcome.CREATED, Outcome.UPDATED}
    assert {report.outcome for report in second} == {Outcome.UNCHANGED}
    assert audit_lines(lab) == before


async def test_a_reviewers_token_that_expired_is_replaced_by_the_one_that_is_given(
    lab: Lab, tmp_path: Path, namespace: str
) -> None:
    """Vault tells only that there is one: a bootstrap that took that for the same one would never mend the logins."""
    spec = await asyncio.to_thread(new_spec, lab, tmp_path)
    mount = f"kubernetes-{namespace}"
    hosted = replace(
        spec,
        connection=replace(spec.connection, auth_mount=mount),
        kubernetes_host=lab.api_url,
        kubernetes_ca_pem=lab.ca_file.read_text(),
    )
    reviewer = {
        "metadata": {"name": f"reviewer-{namespace}"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    await asyncio.to_thread(lab.api.request, "POST", bindings, reviewer)
    good = await asyncio.to_thread(lab.token, namespace, "default")
    account = (names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    jwt = await asyncio.to_thread(lab.token, *account, AUDIENCE)
    login = {"role": spec.connection.role, "jwt": jwt}

    async def logs_in() -> bool:
        try:
            await asyncio.to_thread(lab.vault_request, "POST", f"auth/{mount}/login", login, "")
        except RequestFailed:
            return False
        return True

    async with VaultAdministrator(spec.connection, lab.vault_root_token) as administrator:
        expired = f"{good[:-8]}expired0"
        for token, outcome, works in ((expired, Outcome.CREATED, False), (good, Outcome.UPDATED, True)):
            reports = await administrator.apply(bootstrap_items(replace(hosted, reviewer_jwt=token)))
            outcomes = {report.name: report.outcome for report in reports}
            assert outcomes[f"setting auth/{mount}/config"] is outcome
            assert await logs_in() is works
    await asyncio.to_thread(
        lab.api.request,
        "DELETE",
        f"{bindings}/{reviewer['metadata']['name']}",  # type: ignore[index]
    )


async def test_a_dry_run_tells_what_it_would_do_and_writes_nothing(lab: Lab, tmp_path: Path) -> None:
    spec = await asyncio.to_thread(new_spec, lab, tmp_path)
    before = audit_lines(lab)
    async with VaultAdministrator(spec.connection, lab.vault_root_token) as administrator:
        planned = await administrator.apply(bootstrap_items(spec), dry_run=True)

    assert {r.outcome for r in planned if r.name != "mount auth/kubernetes"} == {Outcome.CREATED}
    assert audit_lines(lab) == before


async def test_a_changed_policy_and_a_changed_role_are_put_right(
    lab: Lab, spec: BootstrapSpec, administrator: VaultAdministrator
) -> None:
    policy = routine_policy_name(spec)
    await root(lab, "POST", f"sys/policies/acl/{policy}", {"policy": 'path "*" { capabilities = ["read"] }'})
    await root(lab, "POST", f"auth/kubernetes/role/{spec.connection.role}", {"token_policies": ["root-ish"]})
    reports = {report.name: report.outcome for report in await administrator.apply(bootstrap_items(spec))}

    changed = {name for name, outcome in reports.items() if outcome is not Outcome.UNCHANGED}
    assert changed == {f"policy {policy}", f"role {spec.connection.role}"}
    assert {reports[name] for name in changed} == {Outcome.UPDATED}


async def test_a_mount_of_another_type_is_left_alone_and_named(
    lab: Lab, spec: BootstrapSpec, administrator: VaultAdministrator
) -> None:
    taken = f"{spec.connection.transit_mount}-kv"
    await root(lab, "POST", f"sys/mounts/{taken}", {"type": "kv"})
    other = replace(spec, connection=replace(spec.connection, transit_mount=taken))
    [report] = await administrator.apply(bootstrap_items(other)[:1])

    assert report.outcome is Outcome.CONFLICT
    assert "kv" in report.detail
    await root(lab, "DELETE", f"sys/mounts/{taken}")


async def test_an_authority_that_exists_is_kept(
    lab: Lab, spec: BootstrapSpec, administrator: VaultAdministrator
) -> None:
    path = f"{spec.connection.pki_mount}/cert/ca_chain"
    before = await root(lab, "GET", path)
    await administrator.apply(bootstrap_items(spec))
    assert (await root(lab, "GET", path))["data"] == before["data"]


async def test_a_token_that_may_not_and_a_vault_that_is_not_there_are_told_apart(
    lab: Lab, spec: BootstrapSpec
) -> None:
    async with VaultAdministrator(spec.connection, "not-a-token") as stranger:
        with pytest.raises(VaultDenied) as denied:
            await stranger.apply(bootstrap_items(spec))
    nowhere = replace(spec.connection, address="http://127.0.0.1:1")
    async with VaultAdministrator(nowhere, lab.vault_root_token) as lost:
        with pytest.raises(VaultUnavailable):
            await lost.apply(bootstrap_items(spec))
    assert "not-a-token" not in str(denied.value)


# What the identities may do. {p}: the cluster's prefix, {t} {k}: transit and pki mount, {r}: the operator's role and policy

MAY = [
    ("POST", "{t}/keys/{p}ns.new", {"type": "aes256-gcm96"}),
    ("GET", "{t}/keys/{p}ns.key", None),
    ("POST", "{t}/keys/{p}ns.key/rotate", {}),
    ("POST", "{t}/keys/{p}ns.key/config", {"min_decryption_version": 1}),
    ("POST", "{t}/keys/{p}ns.key/config", {"deletion_allowed": False}),
    ("POST", "{t}/datakey/wrapped/{p}ns.key", {}),
    ("GET", "{t}/wrapping_key", None),
    ("POST", "sys/policies/acl/{p}ns.key", {"policy": 'path "y" { capabilities = ["read"] }'}),
    ("GET", "sys/policies/acl/{p}ns.key", None),
    ("DELETE", "sys/policies/acl/{p}ns.key", None),
    ("DELETE", "auth/kubernetes/role/{p}ns.key", None),
    ("DELETE", "{k}/roles/{p}ns.key", None),
    ("POST", "identity/lookup/entity", {"alias_name": "x", "alias_mount_accessor": "y"}),
    ("GET", "auth/token/lookup-self", None),
    ("POST", "auth/token/renew-self", {}),
]

MAY_NOT = [
    # Use or move a key
    ("POST", "{t}/encrypt/{p}ns.key", {"plaintext": "eA=="}),
    ("POST", "{t}/decrypt/{p}ns.key", {"ciphertext": "{c}"}),
    ("POST", "{t}/datakey/plaintext/{p}ns.key", {}),
    ("POST", "{t}/hmac/{p}ns.key", {"input": "eA=="}),
    ("POST", "{t}/sign/{p}ns.key", {"input": "eA=="}),
    ("GET", "{t}/export/encryption-key/{p}ns.key", None),
    ("GET", "{t}/backup/{p}ns.key", None),
    ("POST", "{t}/restore", {"backup": "eA=="}),
    ("GET", "{t}/byok-export/{p}ns.key/{p}ns.key", None),
    ("POST", "{t}/keys/{p}ns.key/import", {"ciphertext": "eA=="}),
    # Lose a key
    ("POST", "{t}/keys/{p}ns.key/trim", {"min_available_version": 1}),
    ("DELETE", "{t}/keys/{p}ns.key", None),
    ("POST", "{t}/keys/{p}ns.key/config", {"deletion_allowed": True}),
    ("POST", "{t}/keys/{p}ns.key/config", {"deletion_allowed": "true"}),
    # Make a key that can leave Vault
    ("POST", "{t}/keys/{p}ns.key/config", {"exportable": True}),
    ("POST", "{t}/keys/{p}ns.key/config", {"allow_plaintext_backup": True}),
    ("POST", "{t}/keys/{p}ns.other", {"exportable": True}),
    ("POST", "{t}/keys/{p}ns.other", {"exportable": "true"}),
    ("POST", "{t}/keys/{p}ns.other", {"allow_plaintext_backup": 1}),
    ("LIST", "{t}/keys", None),
    ("POST", "{t}/config/keys", {"disable_upsert": False}),
    # Widen its own rights
    ("POST", "sys/policies/acl/{r}", {"policy": ""}),
    ("GET", "sys/policies/acl/{r}", None),
    ("POST", "sys/policies/acl/other", {"policy": ""}),
    ("POST", "sys/policies/acl/saw.other.x", {"policy": ""}),
    ("POST", "auth/kubernetes/role/{r}", {"token_ttl": 1}),
    ("POST", "auth/kubernetes/role/saw.other.x", {"token_ttl": 1}),
    ("POST", "auth/kubernetes/config", {"kubernetes_host": "https://x"}),
    ("POST", "auth/token/create", {}),
    ("POST", "auth/token/create-orphan", {}),
    ("POST", "auth/token/revoke-accessor", {"accessor": "x"}),
    ("POST", "identity/entity/id/{e}", {"policies": ["root-ish"]}),
    ("POST", "identity/entity", {"name": "x"}),
    ("GET", "identity/entity/id/{e}", None),
    ("POST", "identity/entity-alias", {"name": "x"}),
    # Certificates that are not a workload's
    ("POST", "{k}/issue/{p}ns.key", {"common_name": "x"}),
    ("POST", "{k}/sign-verbatim/{p}ns.key", {"csr": "x"}),
    ("POST", "{k}/root/sign-intermediate", {"csr": "x", "common_name": "x"}),
    ("POST", "{k}/root/generate/internal", {"common_name": "x"}),
    ("DELETE", "{k}/root", None),
    ("POST", "{k}/roles/other", {"allow_any_name": True}),
    ("POST", "{k}/config/urls", {"crl_distribution_points": "http://x"}),
    # The rest of Vault
    ("GET", "sys/mounts", None),
    ("POST", "sys/mounts/x", {"type": "transit"}),
    ("GET", "sys/auth", None),
    ("GET", "sys/audit", None),
    ("POST", "sys/seal", {}),
    ("POST", "sys/leases/revoke-prefix/auth/kubernetes", {}),
    ("GET", "secret/data/x", None),
]


async def filled(lab: Lab, spec: BootstrapSpec, request: tuple[str, str, Any]) -> tuple[str, str, Any]:
    """The request with this test's own names, after making what it is about."""
    connection = spec.connection
    transit, prefix = connection.transit_mount, connection.policy_prefix
    await root(lab, "POST", f"{transit}/keys/{prefix}ns.key", {})
    wrapped = await root(lab, "POST", f"{transit}/datakey/wrapped/{prefix}ns.key", {})
    await root(
        lab, "POST", f"sys/policies/acl/{prefix}ns.key", {"policy": 'path "x" { capabilities = ["read"] }'}
    )
    somebody = f"{connection.role}-somebody"
    await root(lab, "POST", "identity/entity", {"name": somebody})
    entity = await root(lab, "GET", f"identity/entity/name/{somebody}")
    values = {
        "{t}": transit,
        "{k}": connection.pki_mount,
        "{p}": prefix,
        "{r}": routine_policy_name(spec) if "policies" in request[1] else connection.role,
        "{c}": wrapped["data"]["ciphertext"],
        "{e}": entity["data"]["id"],
    }
    method, path, body = request
    for mark, value in values.items():
        path = path.replace(mark, value)
        if isinstance(body, dict):
            body = {k: v.replace(mark, value) if isinstance(v, str) else v for k, v in body.items()}
    return method, path, body


@pytest.mark.parametrize("request_", MAY, ids=lambda r: f"{r[0]} {r[1]} {r[2] or ''}")
async def test_the_operator_may(
    lab: Lab, ready: BootstrapSpec, operator: Identity, request_: tuple[str, str, Any]
) -> None:
    assert await operator.status(*await filled(lab, ready, request_)) == 200


@pytest.mark.parametrize("request_", MAY_NOT, ids=lambda r: f"{r[0]} {r[1]} {r[2] or ''}")
async def test_the_operator_may_not(
    lab: Lab, ready: BootstrapSpec, operator: Identity, request_: tuple[str, str, Any]
) -> None:
    assert await operator.status(*await filled(lab, ready, request_)) == 403


# Roles are pinned to what a workload is

OURS = AuthRole(
    bound_service_account_names=("saw-llm",),
    bound_service_account_namespaces=("team-a",),
    audience="vault://{c}/team-a/llm",
    token_policies=("{p}team-a.llm",),
    token_ttl=600,
    token_max_ttl=3600,
)


def role_body(spec: BootstrapSpec, **changes: Any) -> dict[str, Any]:
    body = {**codec.auth_role_body(OURS), **changes}
    text = {"{c}": spec.cluster, "{p}": spec.connection.policy_prefix, "{r}": routine_policy_name(spec)}
    return {name: _filled_in(value, text) for name, value in body.items()}


def _filled_in(value: Any, text: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled_in(item, text) for item in value]
    if isinstance(value, str):
        for mark, word in text.items():
            value = value.replace(mark, word)
    return value


@pytest.mark.parametrize(
    "change",
    [
        {"token_policies": "root"},
        {"token_policies": "{r}"},
        {"token_policies": ["{r}"]},
        {"token_policies": ["{p}team-a.llm", "{r}"]},
        {"token_policies": ["{p}team-a.llm,{r}"]},
        {"token_policies": None},
        {"token_policies": "{p}team-a.llm,{r}"},
        {"token_policies": " {r}"},
        {"policies": "{r}"},
        {"bound_service_account_names": "*"},
        {"bound_service_account_names": ["*"]},
        {"bound_service_account_names": "default"},
        {"bound_service_account_names": "saw-*"},
        {"bound_service_account_names": "saw-llm,default"},
        {"bound_service_account_names": ["saw-llm", "default"]},
        {"bound_service_account_namespaces": "*"},
        {"bound_service_account_namespaces": ["*"]},
        {"bound_service_account_namespaces": "team-*"},
        {"bound_service_account_namespaces": "team-a,team-b"},
        {"bound_service_account_namespaces": ["team-a", "*"]},
        {"bound_service_account_namespaces": ""},
        {"bound_service_account_namespaces": "kube-system"},
        {"bound_service_account_namespaces": "secureai-system"},
        {"bound_service_account_namespace_selector": '{"matchLabels":{}}'},
        {"audience": ""},
        {"audience": "https://kubernetes.default.svc.cluster.local"},
        {"audience": "vault"},
        {"alias_name_source": "serviceaccount_name"},
        {"alias_name_source": ""},
        {"token_no_default_policy": False},
        {"token_no_default_policy": ""},
        {"token_type": ""},
        {"token_type": "batch"},
        {"token_period": "3600"},
        {"token_period": 3600},
        {"token_bound_cidrs": "0.0.0.0/0"},
        {"token_num_uses": "1"},
        {"token_explicit_max_ttl": "999999"},
    ],
    ids=str,
)
async def test_the_operator_cannot_write_a_login_that_is_not_a_workloads(
    ready: BootstrapSpec, operator: Identity, change: dict[str, Any]
) -> None:
    path = f"auth/kubernetes/role/{ready.connection.policy_prefix}team-a.llm"
    assert await operator.status("POST", path, role_body(ready)) == 200
    assert await operator.status("POST", path, role_body(ready, **change)) == 403


@pytest.mark.parametrize(
    "change",
    [
        {"allow_any_name": True},
        {"allow_any_name": "true"},
        {"allow_any_name": 1},
        {"allow_glob_domains": True},
        {"allow_subdomains": True},
        {"allow_localhost": True},
        {"allow_wildcard_certificates": True},
        {"allowed_domains_template": True},
        {"enforce_hostnames": False},
        {"enforce_hostnames": ""},
        {"code_signing_flag": True},
        {"use_csr_sans": True},
        {"use_csr_common_name": True},
        {"generate_lease": True},
        {"use_pss": True},
        {"allow_bare_domains": True, "something_new": True},
    ],
    ids=str,
)
async def test_the_operator_cannot_write_a_pki_role_for_names_of_others(
    ready: BootstrapSpec, operator: Identity, change: dict[str, Any]
) -> None:
    path = f"{ready.connection.pki_mount}/roles/{ready.connection.policy_prefix}team-a.llm"
    body = codec.pki_role_body(PkiRole(allowed_domains=("llm.team-a.svc",), ttl=3600, max_ttl=7200))
    assert await operator.status("POST", path, body) == 200
    assert await operator.status("POST", path, {**body, **change}) == 403


# Needed and destroying


async def test_what_health_asks_for_is_what_the_policy_grants(
    lab: Lab, ready: BootstrapSpec, operator: Identity
) -> None:
    needed = needed_capabilities(ready.connection)
    answer = await asyncio.to_thread(
        lab.vault_request, "POST", "sys/capabilities-self", {"paths": list(needed)}, operator.token
    )
    assert all(want in answer["data"][path] for path, want in needed.items())


async def test_the_destroyer_destroys_and_does_nothing_else(
    lab: Lab, ready: BootstrapSpec, destroyer: Identity
) -> None:
    connection = ready.connection
    key = f"{connection.transit_mount}/keys/{connection.policy_prefix}ns.key"
    await root(lab, "POST", key, {})

    refused = [
        ("GET", key, None),
        ("POST", f"{key}/rotate", {}),
        ("POST", f"{key}/trim", {"min_available_version": 1}),
        ("POST", f"{key}/config", {"exportable": True}),
        ("POST", f"{key}/config", {"min_decryption_version": 1}),
        ("POST", f"{connection.transit_mount}/decrypt/{connection.policy_prefix}ns.key", {"ciphertext": "x"}),
        ("POST", f"sys/policies/acl/{connection.policy_prefix}x", {"policy": ""}),
        ("POST", f"sys/policies/acl/{destroy_policy_name(ready)}", {"policy": ""}),
    ]
    assert [await destroyer.status(*request) for request in refused] == [403] * len(refused)
    assert await destroyer.status("POST", f"{key}/config", {"deletion_allowed": True}) == 200
    assert await destroyer.status("DELETE", key) == 200


def test_without_a_destroying_role_nothing_that_destroys_is_made(ready: BootstrapSpec) -> None:
    harmless = replace(ready, connection=replace(ready.connection, destroy_role=None))
    names = [item.name for item in bootstrap_items(harmless)]
    assert not [name for name in names if "destroy" in name]
