"""What the operator says to Vault and hears from it, as plain values (standard library only).

Every value is normal: durations are seconds, names are lower case, lists have one order. So what
was written compares equal to what is read back, and drift is `!=`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


@dataclass(frozen=True)
class VaultConnection:
    """One Vault as the operator's configuration names it; a CR only ever holds its `name`."""

    name: str
    address: str
    role: str
    """The kubernetes auth role of the operator's routine identity."""
    token_file: str
    """The operator's projected ServiceAccount token; read again at every login."""
    destroy_role: str | None = None
    """The role that may destroy keys; without it `delete_key` is refused before anything is sent."""
    retire_role: str | None = None
    """The role that may destroy versions of keys; without it `trim_key` is refused before anything is sent."""
    namespace: str | None = None
    ca_file: str | None = None
    transit_mount: str = "saw-transit"
    pki_mount: str = "saw-pki"
    auth_mount: str = "kubernetes"
    policy_prefix: str = "saw.default."
    """What the names of all keys, policies and roles begin with: `saw.<cluster>.`."""
    timeout: float = 5.0
    """Seconds that one request may take, connecting included."""
    max_in_flight: int = 8
    requests_per_second: float = 500.0
    burst: int = 200


class VaultStatus(StrEnum):
    """What the health monitor says of one Vault."""

    UNKNOWN = "Unknown"
    HEALTHY = "Healthy"
    STANDBY = "Standby"
    """Usable: a standby forwards requests to the active node."""
    UNREACHABLE = "Unreachable"
    SEALED = "Sealed"
    NOT_INITIALIZED = "NotInitialized"
    RATE_LIMITED = "RateLimited"
    DENIED = "Denied"


@dataclass(frozen=True)
class VaultHealth:
    """`since` is unix time; `reason` is a reason of the registry, or "" while Vault is usable."""

    status: VaultStatus
    since: float
    reason: str = ""

    @property
    def usable(self) -> bool:
        return self.status in (VaultStatus.HEALTHY, VaultStatus.STANDBY)


@dataclass(frozen=True)
class KeyState:
    """A transit key as Vault describes it, without any key material."""

    type: str
    latest_version: int
    min_decryption_version: int
    min_encryption_version: int
    min_available_version: int = 0
    versions: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Version → unix time of its creation."""
    exportable: bool = False
    allow_plaintext_backup: bool = False
    deletion_allowed: bool = False
    derived: bool = False
    convergent: bool = False
    imported: bool = False
    auto_rotate_period: int = 0


@dataclass(frozen=True)
class AuthRole:
    """A kubernetes auth role: who may log in as this workload, and what the token may do."""

    bound_service_account_names: tuple[str, ...]
    bound_service_account_namespaces: tuple[str, ...]
    audience: str
    token_policies: tuple[str, ...]
    token_ttl: int
    token_max_ttl: int
    token_no_default_policy: bool = True
    token_type: str = "service"  # noqa: S105  # a kind of token, not one
    alias_name_source: str = "serviceaccount_uid"
    foreign: tuple[str, ...] = ()
    """Fields we never use that somebody gave a value: always empty in what we desire."""

    def __post_init__(self) -> None:
        for name in ("bound_service_account_names", "bound_service_account_namespaces"):
            object.__setattr__(self, name, _normal(getattr(self, name)))
        object.__setattr__(self, "token_policies", _normal(p.lower() for p in self.token_policies))


@dataclass(frozen=True)
class PkiRole:
    """A PKI role: which certificates may be signed for this workload."""

    allowed_domains: tuple[str, ...]
    ttl: int
    max_ttl: int
    allow_bare_domains: bool = True
    allow_subdomains: bool = False
    allow_glob_domains: bool = False
    allow_any_name: bool = False
    enforce_hostnames: bool = True
    allow_ip_sans: bool = False
    allowed_uri_sans: tuple[str, ...] = ()
    key_type: str = "ec"
    key_bits: int = 256
    server_flag: bool = True
    client_flag: bool = True
    no_store: bool = True
    generate_lease: bool = False
    require_cn: bool = False
    use_csr_common_name: bool = False
    use_csr_sans: bool = False
    foreign: tuple[str, ...] = ()
    """Fields we never use that differ from what we always write: always empty in what we desire."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "allowed_domains", _normal(d.lower() for d in self.allowed_domains))
        object.__setattr__(self, "allowed_uri_sans", _normal(self.allowed_uri_sans))


@dataclass(frozen=True)
class SignedCertificate:
    """A certificate that Vault signed; `not_after` is unix time."""

    certificate_pem: str
    ca_chain_pem: str
    serial: str
    not_after: int


def _normal(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))
