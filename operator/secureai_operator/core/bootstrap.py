"""What one Vault must hold before the operator can work with it: mounts, authority, policies, login. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from secureai_operator import names
from secureai_operator.api.vault_setup import AclPolicy, Mount, RootAuthority, Setting, SetupItem
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.core.vault_rights import (
    destroy_rules,
    needed_capabilities,
    render_hcl,
    retire_rules,
    routine_rules,
)

__all__ = [
    "BootstrapSpec",
    "bootstrap_items",
    "destroy_policy_name",
    "destroy_rules",
    "needed_capabilities",
    "render_hcl",
    "retire_policy_name",
    "retire_rules",
    "routine_policy_name",
    "routine_rules",
]

YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class BootstrapSpec:
    """One connection, and the operator's own identity in the cluster that it belongs to."""

    connection: VaultConnection
    operator_namespace: str = names.OPERATOR_NAMESPACE
    operator_service_account: str = names.OPERATOR_SERVICE_ACCOUNT
    operator_audience: str = "vault"
    auth_plugin: str = "kubernetes"
    kubernetes_host: str | None = None
    """The API server as Vault reaches it; None leaves the auth method's configuration alone."""
    kubernetes_ca_pem: str | None = None
    reviewer_jwt: str | None = field(default=None, repr=False)
    """None: Vault reviews each login with the token that logs in."""
    authority_years: int = 10

    @property
    def cluster(self) -> str:
        return self.connection.policy_prefix.removeprefix("saw.").removesuffix(".")


def bootstrap_items(spec: BootstrapSpec) -> tuple[SetupItem, ...]:
    """Everything, in the order in which it has to be made."""
    connection = spec.connection
    return (
        *_mounts(spec),
        Setting(
            f"setting {connection.transit_mount}/config/keys",
            f"{connection.transit_mount}/config/keys",
            # Or encrypting with a misspelt name makes a key that nobody manages.
            {"disable_upsert": True},
        ),
        Setting(
            f"setting {connection.transit_mount}/tune",
            f"sys/mounts/{connection.transit_mount}/tune",
            # Why a decrypt was refused is evidence for retirement, and no secret; hashed it tells nobody anything.
            {"audit_non_hmac_response_keys": ["error"]},
        ),
        RootAuthority(
            connection.pki_mount, f"SecureAI workloads of {spec.cluster}", spec.authority_years * YEAR
        ),
        *_pki_settings(connection),
        *_login_settings(spec),
        *_identities(spec),
    )


def routine_policy_name(spec: BootstrapSpec) -> str:
    """Outside the prefix that the operator may write, so that it cannot widen its own rights."""
    return f"{spec.connection.role}.{spec.cluster}"


def destroy_policy_name(spec: BootstrapSpec) -> str:
    return f"{spec.connection.destroy_role}.{spec.cluster}"


def retire_policy_name(spec: BootstrapSpec) -> str:
    return f"{spec.connection.retire_role}.{spec.cluster}"


def _mounts(spec: BootstrapSpec) -> tuple[Mount, ...]:
    connection = spec.connection
    owner = f"SecureAI operator, cluster {spec.cluster}"
    return (
        Mount(connection.transit_mount, "transit", owner),
        Mount(connection.pki_mount, "pki", owner, max_lease_seconds=spec.authority_years * YEAR),
        Mount(f"auth/{connection.auth_mount}", spec.auth_plugin, owner),
    )


def _pki_settings(connection: VaultConnection) -> tuple[Setting, ...]:
    mount = connection.pki_mount
    base = f"{connection.address}/v1/{mount}"
    return (
        Setting(
            f"setting {mount}/config/urls",
            f"{mount}/config/urls",
            {"issuing_certificates": [f"{base}/ca"], "crl_distribution_points": [f"{base}/crl"]},
        ),
        Setting(
            f"setting {mount}/config/crl",
            f"{mount}/config/crl",
            {"auto_rebuild": True, "expiry": "72h", "auto_rebuild_grace_period": "12h", "enable_delta": True},
        ),
        Setting(
            f"setting {mount}/config/auto-tidy",
            f"{mount}/config/auto-tidy",
            {"enabled": True, "tidy_cert_store": True, "tidy_revoked_certs": True},
        ),
    )


def _login_settings(spec: BootstrapSpec) -> tuple[Setting, ...]:
    if spec.kubernetes_host is None:
        return ()
    path = f"auth/{spec.connection.auth_mount}/config"
    fields: dict[str, Any] = {"kubernetes_host": spec.kubernetes_host, "disable_local_ca_jwt": True}
    if spec.kubernetes_ca_pem is not None:
        fields["kubernetes_ca_cert"] = spec.kubernetes_ca_pem
    secret = {} if spec.reviewer_jwt is None else {"token_reviewer_jwt": spec.reviewer_jwt}
    return (Setting(f"setting {path}", path, fields, secret),)


def _identities(spec: BootstrapSpec) -> tuple[SetupItem, ...]:
    connection = spec.connection
    routine = routine_policy_name(spec)
    items: list[SetupItem] = [
        AclPolicy(routine, render_hcl(routine_rules(connection))),
        _operator_role(spec, connection.role, routine, ttl_seconds=3600),
    ]
    if connection.destroy_role is not None:
        destroy = destroy_policy_name(spec)
        items += [
            AclPolicy(destroy, render_hcl(destroy_rules(connection))),
            _operator_role(spec, connection.destroy_role, destroy, ttl_seconds=300),
        ]
    if connection.retire_role is not None:
        retire = retire_policy_name(spec)
        items += [
            AclPolicy(retire, render_hcl(retire_rules(connection))),
            _operator_role(spec, connection.retire_role, retire, ttl_seconds=300),
        ]
    return tuple(items)


def _operator_role(spec: BootstrapSpec, role: str, policy: str, ttl_seconds: int) -> Setting:
    path = f"auth/{spec.connection.auth_mount}/role/{role}"
    return Setting(
        f"role {role}",
        path,
        {
            "bound_service_account_names": [spec.operator_service_account],
            "bound_service_account_namespaces": [spec.operator_namespace],
            "bound_service_account_namespace_selector": "",
            "audience": spec.operator_audience,
            "alias_name_source": "serviceaccount_uid",
            "token_policies": [policy],
            "token_no_default_policy": True,
            "token_type": "service",
            "token_ttl": ttl_seconds,
            "token_max_ttl": ttl_seconds * 24,
            "token_period": 0,
        },
    )
