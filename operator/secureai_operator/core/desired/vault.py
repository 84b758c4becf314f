"""Vault: what it must hold for one workload, and the steps from what it holds to that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from secureai_operator import names
from secureai_operator.api.model import seconds
from secureai_operator.api.vault_types import AuthRole, PkiRole
from secureai_operator.api.workload import ENCRYPTING_KEY_TYPES, CertificateDelivery, CertificateUsage
from secureai_operator.core.facts import Connection, PlatformConfig, VaultObserved, Workload

TOKEN_MAX_TTL = 3600
"""Seconds after which a workload's Vault token cannot be renewed any more and a new login is due."""


@dataclass(frozen=True, slots=True)
class DesiredVault:
    """Everything that one workload has in Vault, under one name."""

    name: str
    key_type: str
    derived: bool
    policy: str
    auth_role: AuthRole
    pki_role: PkiRole | None

    @property
    def seal(self) -> str:
        """A short form of all of it: a later version or setting of the operator wants something else."""
        return blake2b(repr(self).encode(), digest_size=8).hexdigest()


def desired_vault(
    workload: Workload, config: PlatformConfig, connection: Connection, *, denies: bool = False
) -> DesiredVault:
    """`denies`: the workload's access is withdrawn; what is logged in loses it with the policy's next reading."""
    name = names.vault_name(config.cluster, workload.namespace, workload.name)
    certificate = workload.spec.certificate.delivery is not CertificateDelivery.NONE
    return DesiredVault(
        name=name,
        key_type=workload.spec.keys.type.value,
        derived=workload.spec.keys.derived,
        policy=denying_policy(connection, name) if denies else workload_policy(workload, connection, name),
        auth_role=_auth_role(workload, config, name),
        pki_role=_pki_role(workload) if certificate else None,
    )


def dns_names(workload: Workload) -> tuple[str, ...]:
    """The certificate's names; inside the workload's own namespace whatever the spec says."""
    declared = workload.spec.certificate.dns_names or (f"{workload.name}.{workload.namespace}.svc",)
    suffixes = (f".{workload.namespace}.svc", f".{workload.namespace}.svc.cluster.local")
    return tuple(sorted({name for name in declared if name.endswith(suffixes)}))


def foreign_dns_names(workload: Workload) -> tuple[str, ...]:
    """Declared names that lie in another namespace, which no certificate is made for."""
    return tuple(sorted(set(workload.spec.certificate.dns_names) - set(dns_names(workload))))


def workload_policy(workload: Workload, connection: Connection, name: str) -> str:
    """The ACL policy: exactly the workload's own paths, and only the verbs it needs.

    `update` without `create`: encrypting with a missing key must fail, not make one (keys are upserted with `create`).
    """
    transit, pki = connection.transit_mount, connection.pki_mount
    verbs: tuple[str, ...] = ("sign", "verify")
    if workload.spec.keys.type in ENCRYPTING_KEY_TYPES:
        verbs = ("encrypt", "decrypt", "rewrap", "datakey/plaintext", "datakey/wrapped")
    paths = [f"{transit}/{verb}/{name}" for verb in verbs]
    if workload.spec.certificate.delivery is not CertificateDelivery.NONE:
        paths.append(f"{pki}/sign/{name}")
    paths += ["auth/token/renew-self", "auth/token/revoke-self"]
    rules = [f'path "{path}" {{\n  capabilities = ["update"]\n}}\n' for path in paths]
    rules.append(f'path "{transit}/keys/{name}" {{\n  capabilities = ["read"]\n}}\n')
    return "\n".join(rules)


def denying_policy(connection: Connection, name: str) -> str:
    """The policy of a workload whose access is withdrawn: it denies by name what it would give, and gives nothing."""
    paths = (f"{connection.transit_mount}/+/{name}", f"{connection.pki_mount}/sign/{name}")
    return "\n".join(f'path "{path}" {{\n  capabilities = ["deny"]\n}}\n' for path in paths)


def _auth_role(workload: Workload, config: PlatformConfig, name: str) -> AuthRole:
    ttl = seconds(workload.spec.access.token_ttl)
    return AuthRole(
        bound_service_account_names=(names.service_account(workload.name),),
        bound_service_account_namespaces=(workload.namespace,),
        audience=names.audience(config.cluster, workload.namespace, workload.name),
        token_policies=(name,),
        token_ttl=ttl,
        token_max_ttl=max(TOKEN_MAX_TTL, ttl),
    )


def _pki_role(workload: Workload) -> PkiRole:
    ttl = seconds(workload.spec.certificate.ttl)
    usages = workload.spec.certificate.usages
    return PkiRole(
        allowed_domains=dns_names(workload),
        ttl=ttl,
        max_ttl=ttl,
        server_flag=CertificateUsage.SERVER in usages,
        client_flag=CertificateUsage.CLIENT in usages,
    )


@dataclass(frozen=True, slots=True)
class VaultDifference:
    """One thing in Vault that is not as desired; `field` is empty if it is missing."""

    kind: str
    name: str
    field: str


def vault_differences(desired: DesiredVault, observed: VaultObserved) -> Iterator[VaultDifference]:
    """What has to be written, the key's own existence apart: whether a missing key is made is a decision of its own."""
    if observed.key is not None and observed.key.deletion_allowed:
        yield VaultDifference("VaultKey", desired.name, "deletion_allowed")
    if observed.policy != desired.policy:
        yield VaultDifference("VaultPolicy", desired.name, "" if observed.policy is None else "policy")
    if observed.auth_role != desired.auth_role:
        yield VaultDifference("VaultAuthRole", desired.name, _field(desired.auth_role, observed.auth_role))
    if desired.pki_role is None and observed.pki_role is not None:
        yield VaultDifference("VaultPkiRole", desired.name, "role")
    elif desired.pki_role is not None and observed.pki_role != desired.pki_role:
        yield VaultDifference("VaultPkiRole", desired.name, _field(desired.pki_role, observed.pki_role))


def _field(desired: AuthRole | PkiRole, observed: AuthRole | PkiRole | None) -> str:
    if observed is None:
        return ""
    return next(
        (
            name
            for name in type(desired).__dataclass_fields__
            if getattr(desired, name) != getattr(observed, name)
        ),
        "",
    )
