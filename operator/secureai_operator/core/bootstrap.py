"""What one Vault must hold before the operator can work with it: mounts, authority, policies, login. Pure.

The routine identity is held to its work by Vault itself. It can make, rotate, configure and rewrap keys and
never decrypt with one; it can write policies and roles of its own prefix only; and the parameters of a role are
pinned so that it lets in one ServiceAccount of ours, by its own audience, to one policy of ours. What Vault cannot
check is the text of a policy: an operator that is taken over could still write itself one that decrypts.
That needs a policy write and a login, both in Vault's audit log; the destroying identity is apart and off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from secureai_operator import names
from secureai_operator.api.vault_setup import AclPolicy, Mount, PathRule, RootAuthority, Setting, SetupItem
from secureai_operator.api.vault_types import VaultConnection

YEAR = 365 * 24 * 3600
ANY: tuple[Any, ...] = ()
_ANY_STRING = ("**",)
_LISTS_AND_WILDCARDS = ("*", "***", "*,*")
"""The value `*`, anything with a `*` in it, and anything with a `,` in it."""
_EMPTY = ("",)
"""Vault lets empty values pass whatever is allowed, and they mean its own defaults; so they are denied."""

_PKI_ROLE: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        # What would let one workload have another's name.
        "allow_any_name": (False,),
        "allow_glob_domains": (False,),
        "allow_subdomains": (False,),
        "allow_localhost": (False,),
        "allow_wildcard_certificates": (False,),
        "allowed_domains_template": (False,),
        "allowed_uri_sans_template": (False,),
        "basic_constraints_valid_for_non_ca": (False,),
        "code_signing_flag": (False,),
        "email_protection_flag": (False,),
        "enforce_hostnames": (True,),
        "generate_lease": (False,),
        "use_csr_common_name": (False,),
        "use_csr_sans": (False,),
        **dict.fromkeys(
            (
                "allow_bare_domains",
                "allow_ip_sans",
                "allowed_domains",
                "allowed_other_sans",
                "allowed_serial_numbers",
                "allowed_uri_sans",
                "allowed_user_ids",
                "client_flag",
                "cn_validations",
                "ext_key_usage",
                "ext_key_usage_oids",
                "issuer_ref",
                "key_bits",
                "key_type",
                "key_usage",
                "max_ttl",
                "no_store",
                "not_after",
                "not_before_duration",
                "organization",
                "ou",
                "policy_identifiers",
                "require_cn",
                "server_flag",
                "ttl",
            ),
            ANY,
        ),
    }
)


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
    certificate_max_seconds: int = YEAR

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


def routine_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    """All that the operator may do in its daily work; whatever is not here is forbidden."""
    return (*_own_token(), *_key_rules(connection), *_access_rules(connection), *_pki_rules(connection))


def destroy_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    """What `deletionPolicy: Destroy` takes, and nothing else."""
    keys = f"{connection.transit_mount}/keys/+"
    return (
        *_own_token(),
        PathRule(f"{keys}/config", ("update",), {"deletion_allowed": (True,)}),
        PathRule(keys, ("delete",)),
    )


def needed_capabilities(connection: VaultConnection) -> Mapping[str, str]:
    """One path for each thing the routine identity needs, with the capability it needs there."""
    sample = f"{connection.policy_prefix}x.x"
    transit, pki = connection.transit_mount, connection.pki_mount
    role = f"auth/{connection.auth_mount}/role/{sample}"
    return MappingProxyType(
        {
            f"{transit}/keys/{sample}": "update",
            f"{transit}/keys/{sample}/rotate": "update",
            f"{transit}/keys/{sample}/config": "update",
            f"{transit}/rewrap/{sample}": "update",
            f"{transit}/datakey/wrapped/{sample}": "update",
            f"sys/policies/acl/{sample}": "update",
            role: "update",
            f"{pki}/roles/{sample}": "update",
            f"{pki}/sign/{sample}": "update",
            f"{pki}/revoke": "update",
            "identity/lookup/entity": "update",
            "identity/entity/id/x": "update",
            "auth/token/renew-self": "update",
        }
    )


def render_hcl(rules: Sequence[PathRule]) -> str:
    """The rules as Vault reads them; the same rules always give the same text."""
    return "\n".join(_render_rule(rule) for rule in rules)


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


def _own_token() -> tuple[PathRule, ...]:
    """Without the default policy, even looking after the own token has to be granted."""
    return (
        PathRule("auth/token/lookup-self", ("read",)),
        PathRule("auth/token/renew-self", ("update",)),
        PathRule("auth/token/revoke-self", ("update",)),
        PathRule("sys/capabilities-self", ("update",)),
    )


def _key_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    transit = connection.transit_mount
    keys = f"{transit}/keys/+"
    return (
        PathRule(
            keys,
            ("create", "read", "update"),
            {
                "type": ANY,
                "key_size": ANY,
                "derived": ANY,
                "convergent_encryption": ANY,
                "auto_rotate_period": ANY,
                # Both can never be taken back, and the second is a copy of the key in clear.
                "exportable": (False,),
                "allow_plaintext_backup": (False,),
            },
        ),
        PathRule(f"{keys}/rotate", ("update",)),
        PathRule(
            f"{keys}/config",
            ("update",),
            {
                "min_decryption_version": ANY,
                "min_encryption_version": ANY,
                "auto_rotate_period": ANY,
                "deletion_allowed": (False,),
            },
        ),
        PathRule(f"{transit}/rewrap/+", ("update",)),
        PathRule(f"{transit}/datakey/wrapped/+", ("update",)),
        PathRule(f"{transit}/wrapping_key", ("read",)),
    )


def _access_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    prefix = connection.policy_prefix
    whole_life = ("create", "read", "update", "delete")
    cluster_audience = names.audience(prefix.removeprefix("saw.").removesuffix("."), "", "").rstrip("/")
    return (
        PathRule(f"sys/policies/acl/{prefix}*", whole_life, {"policy": ANY}),
        PathRule(
            f"auth/{connection.auth_mount}/role/{prefix}*",
            whole_life,
            {
                "bound_service_account_names": (f"{names.service_account('')}*",),
                "bound_service_account_namespaces": _ANY_STRING,
                "bound_service_account_namespace_selector": ("",),
                "audience": (f"{cluster_audience}/*",),
                "alias_name_source": ("serviceaccount_uid",),
                "token_policies": (f"{prefix}*",),
                "token_no_default_policy": (True,),
                "token_type": ("service",),
                "token_ttl": ANY,
                "token_max_ttl": ANY,
                "token_bound_cidrs": ("",),
                "token_explicit_max_ttl": ("0",),
                "token_num_uses": ("0",),
                "token_period": ("0",),
            },
            {
                "bound_service_account_names": _LISTS_AND_WILDCARDS,
                "bound_service_account_namespaces": (
                    *_LISTS_AND_WILDCARDS,
                    "",
                    "kube-system",
                    names.OPERATOR_NAMESPACE,
                ),
                "token_policies": ("*,*",),
                "audience": _EMPTY,
                "alias_name_source": _EMPTY,
                "token_no_default_policy": _EMPTY,
                "token_type": _EMPTY,
            },
            # No required_parameters: Vault asks them of reads too, and then nobody could read the role.
        ),
        PathRule("identity/lookup/entity", ("update",), {"alias_name": ANY, "alias_mount_accessor": ANY}),
        PathRule("identity/entity/id/+", ("update",), {"disabled": (True, False)}),
    )


def _pki_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    pki, prefix = connection.pki_mount, connection.policy_prefix
    return (
        PathRule(
            f"{pki}/roles/{prefix}*",
            ("create", "read", "update", "delete"),
            _PKI_ROLE,
            {"enforce_hostnames": _EMPTY},
        ),
        PathRule(
            f"{pki}/sign/{prefix}*",
            ("update",),
            {"csr": ANY, "common_name": ANY, "alt_names": ANY, "exclude_cn_from_sans": ANY, "ttl": ANY},
        ),
        PathRule(f"{pki}/revoke", ("update",)),
        PathRule(f"{pki}/cert/ca_chain", ("read",)),
    )


def _render_rule(rule: PathRule) -> str:
    lines = [f"  capabilities = {_render_list(rule.capabilities)}"]
    for word, parameters in (("allowed_parameters", rule.allowed), ("denied_parameters", rule.denied)):
        if parameters:
            lines.append(f"  {word} = {{")
            lines += [
                f"    {json.dumps(name)} = {_render_list(values)}" for name, values in parameters.items()
            ]
            lines.append("  }")
    body = "\n".join(lines)
    return f"path {json.dumps(rule.path)} {{\n{body}\n}}\n"


def _render_list(values: Sequence[Any]) -> str:
    return json.dumps(list(values))
