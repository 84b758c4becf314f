"""What the operator's identities may do in Vault, held to it by Vault itself. Pure.

The routine identity can make, rotate, configure and rewrap keys and never decrypt with one; it can write policies and
roles of its own prefix only; and the parameters of a role are pinned so that it lets in ServiceAccounts of
ours, by their own audience, to policies of ours. What Vault cannot check is the text of a policy: an operator that
is taken over could still write itself one that decrypts. That takes a policy write and a login, both in Vault's
audit log. Destroying is an identity apart, and off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from secureai_operator import names
from secureai_operator.api.vault_setup import PathRule
from secureai_operator.api.vault_types import VaultConnection

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


def retire_rules(connection: VaultConnection) -> tuple[PathRule, ...]:
    """What `retire.trim` takes, and nothing else: raising the minimums is the routine identity's."""
    return (
        *_own_token(),
        PathRule(f"{connection.transit_mount}/keys/+/trim", ("update",)),
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
