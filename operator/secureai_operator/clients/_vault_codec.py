"""Vault's JSON to our values and back. Pure; raises ValueError for an answer that makes no sense."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from secureai_operator.api.vault_types import AuthRole, KeyState, PkiRole, SignedCertificate

_AUTH_NEVER: Mapping[str, Any] = MappingProxyType(
    {
        "bound_service_account_namespace_selector": "",
        "token_bound_cidrs": (),
        "token_explicit_max_ttl": 0,
        "token_num_uses": 0,
        "token_period": 0,
    }
)
"""Fields of an auth role that we never use; a value in one would widen or break what we declared."""

_PKI_ALWAYS: Mapping[str, Any] = MappingProxyType(
    {
        "allow_localhost": False,
        "allow_wildcard_certificates": False,
        "allowed_domains_template": False,
        "allowed_uri_sans_template": False,
        "allowed_other_sans": (),
        "allowed_serial_numbers": (),
        "allowed_user_ids": (),
        "basic_constraints_valid_for_non_ca": False,
        "cn_validations": ("disabled",),
        "code_signing_flag": False,
        "email_protection_flag": False,
        "ext_key_usage": (),
        "ext_key_usage_oids": (),
        "key_usage": ("DigitalSignature",),
        "issuer_ref": "default",
        "policy_identifiers": (),
        "organization": (),
        "ou": (),
        "not_after": "",
        "not_before_duration": 30,
    }
)
"""Fields of a PKI role that are the same for every workload, written and compared like the others."""

_PKI_LISTS = ("allowed_domains", "allowed_uri_sans")
_PKI_PLAIN = (
    "allow_bare_domains",
    "allow_subdomains",
    "allow_glob_domains",
    "allow_any_name",
    "enforce_hostnames",
    "allow_ip_sans",
    "key_type",
    "key_bits",
    "server_flag",
    "client_flag",
    "no_store",
    "generate_lease",
    "require_cn",
    "use_csr_common_name",
    "use_csr_sans",
)


def key_state(data: Mapping[str, Any]) -> KeyState:
    return KeyState(
        type=str(data["type"]),
        latest_version=int(data["latest_version"]),
        min_decryption_version=int(data["min_decryption_version"]),
        min_encryption_version=int(data["min_encryption_version"]),
        min_available_version=int(data.get("min_available_version") or 0),
        versions=MappingProxyType({int(v): _created(c) for v, c in (data.get("keys") or {}).items()}),
        exportable=bool(data.get("exportable")),
        allow_plaintext_backup=bool(data.get("allow_plaintext_backup")),
        deletion_allowed=bool(data.get("deletion_allowed")),
        derived=bool(data.get("derived")),
        convergent=bool(data.get("convergent_encryption")),
        imported=bool(data.get("imported_key")),
        auto_rotate_period=seconds(data.get("auto_rotate_period")),
    )


def auth_role(data: Mapping[str, Any]) -> AuthRole:
    return AuthRole(
        bound_service_account_names=_words(data.get("bound_service_account_names")),
        bound_service_account_namespaces=_words(data.get("bound_service_account_namespaces")),
        audience=str(data.get("audience") or ""),
        token_policies=_words(data.get("token_policies")),
        token_ttl=seconds(data.get("token_ttl")),
        token_max_ttl=seconds(data.get("token_max_ttl")),
        token_no_default_policy=bool(data.get("token_no_default_policy")),
        token_type=str(data.get("token_type") or ""),
        alias_name_source=str(data.get("alias_name_source") or ""),
        foreign=_foreign(data, _AUTH_NEVER),
    )


def auth_role_body(role: AuthRole) -> dict[str, Any]:
    """The whole role, as strings where the operator's own policy holds a parameter to a pattern.

    Lists are held to it element by element only since Vault 1.21; before, no list passes a pattern.
    """
    return {
        "bound_service_account_names": ",".join(role.bound_service_account_names),
        "bound_service_account_namespaces": ",".join(role.bound_service_account_namespaces),
        "audience": role.audience,
        "token_policies": ",".join(role.token_policies),
        "token_ttl": f"{role.token_ttl}s",
        "token_max_ttl": f"{role.token_max_ttl}s",
        "token_no_default_policy": role.token_no_default_policy,
        "token_type": role.token_type,
        "alias_name_source": role.alias_name_source,
        "bound_service_account_namespace_selector": "",
        "token_bound_cidrs": "",
        "token_explicit_max_ttl": "0",
        "token_num_uses": "0",
        "token_period": "0",
    }


def pki_role(data: Mapping[str, Any]) -> PkiRole:
    lists: dict[str, Any] = {name: _words(data.get(name)) for name in _PKI_LISTS}
    return PkiRole(
        **lists,
        **{name: data[name] for name in _PKI_PLAIN},
        ttl=seconds(data.get("ttl")),
        max_ttl=seconds(data.get("max_ttl")),
        foreign=_foreign(data, _PKI_ALWAYS),
    )


def pki_role_body(role: PkiRole) -> dict[str, Any]:
    fixed = {name: list(value) if isinstance(value, tuple) else value for name, value in _PKI_ALWAYS.items()}
    return {
        **fixed,
        **{name: list(getattr(role, name)) for name in _PKI_LISTS},
        **{name: getattr(role, name) for name in _PKI_PLAIN},
        "ttl": f"{role.ttl}s",
        "max_ttl": f"{role.max_ttl}s",
    }


def signed_certificate(data: Mapping[str, Any]) -> SignedCertificate:
    chain = data.get("ca_chain") or [data["issuing_ca"]]
    return SignedCertificate(
        certificate_pem=_pem(data["certificate"]),
        ca_chain_pem="".join(_pem(ca) for ca in chain),
        serial=str(data["serial_number"]),
        not_after=int(data["expiration"]),
    )


def ca_chain(data: Mapping[str, Any]) -> str:
    return _pem(data.get("ca_chain") or data["certificate"])


def has_errors(body: bytes) -> bool:
    """A 404 with errors is a missing mount, one without is a missing thing: a lost mount is no lost key."""
    try:
        return bool(json.loads(body)["errors"])
    except (ValueError, KeyError, TypeError):
        return True


def seconds(value: Any) -> int:
    """A duration as Vault gives it: seconds as a number or as digits, or nothing."""
    text = str(value or 0).removesuffix("s")
    return int(float(text))


def _created(value: Any) -> int:
    """Symmetric keys give unix seconds per version, asymmetric ones a map with an RFC 3339 time."""
    if isinstance(value, Mapping):
        # Python reads at most six digits of a second, Go writes nine.
        whole = str(value["creation_time"]).split(".")[0].removesuffix("Z")
        return int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return int(value)


def _foreign(data: Mapping[str, Any], expected: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name, want in expected.items() if not _same(data.get(name), want)))


def _same(got: Any, want: object) -> bool:
    if isinstance(want, tuple):
        return _words(got) == want
    if isinstance(want, bool):
        return bool(got) is want
    if isinstance(want, str):
        return str(got or "") == want
    return seconds(got) == want


def _words(value: Any) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else value or ()
    return tuple(str(word) for word in words if word)


def _pem(text: Any) -> str:
    return str(text).strip() + "\n"
