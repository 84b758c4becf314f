"""What the pure core is told: the workload and the facts about the world around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from secureai_operator import names
from secureai_operator.api.vault_types import AuthRole, KeyState, PkiRole
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import SecureAIWorkloadStatus

Manifest = Mapping[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What people ask for by annotations: each value is acted on once, and then stands for nothing."""

    rotate: str = ""
    emergency: str = ""
    data_keys: str = ""
    decrypt_failed: str = ""
    retry_retirement: str = ""


NO_REQUESTS = Requests()


@dataclass(frozen=True, slots=True)
class Workload:
    """A SecureAIWorkload as the API server holds it."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: SecureAIWorkloadSpec
    status: SecureAIWorkloadStatus
    deleting: bool = False
    has_finalizer: bool = False
    resync: str = ""
    """Value of the resync annotation: a new one asks for one full look."""
    force_delete: bool = False
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    requests: Requests = NO_REQUESTS

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def pod_labels(self) -> dict[str, str]:
        """The labels that make a pod one of this workload's."""
        selector = self.spec.pod_selector
        return dict(selector.match_labels) if selector else {names.WORKLOAD_LABEL: self.name}


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a service of the platform is: a CIDR, or pods of a namespace."""

    cidr: str | None = None
    namespace: str | None = None
    pod_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """What the core knows of a Vault connection: names, never an address or a credential."""

    name: str
    transit_mount: str
    pki_mount: str
    auth_mount: str
    peers: tuple[PeerAddress, ...]
    port: int
    may_destroy: bool
    may_trim: bool = False
    customer_held: bool = False
    """The Vault is a customer's own: its owner may lock it, which is no outage."""


@dataclass(frozen=True, slots=True)
class PlatformConfig:
    """What the platform team configured."""

    cluster: str
    connections: Mapping[str, Connection]
    dns_peers: tuple[PeerAddress, ...]
    api_server_peers: tuple[PeerAddress, ...]
    api_server_port: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What placement needs to know of a node."""

    name: str
    labels: Mapping[str, str]
    schedulable: bool
    tdx_keys: int | None
    """Allocatable tdx.intel.com/keys; None if the node does not advertise them."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What the cluster offers."""

    nodes: tuple[NodeFacts, ...] = ()
    runtime_classes: frozenset[str] = frozenset()
    tdx_keys_in_use: int = 0
    known: bool = False
    """False until the informers have listed once."""


@dataclass(frozen=True, slots=True)
class CeilingRule:
    """One rule of the grant ceiling, or of a role, as sets."""

    api_groups: frozenset[str]
    resources: frozenset[str]
    resource_names: frozenset[str]
    verbs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object, as its owner reference names it."""

    group: str
    kind: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod of the workload; `problem` says what it lacks, and is empty for a bound pod."""

    namespace: str
    name: str
    uid: str
    problem: str
    quarantined: bool
    controlled: bool
    """Whether a controller would replace it."""
    owner: Owner | None = None
    created: str = ""
    """RFC 3339, in seconds of UTC as the API server writes it: compares as text."""
    runs_to_end: bool = False
    """It is not started again when it ends: what makes such pods does not make up for one that is evicted."""


@dataclass(frozen=True, slots=True)
class VaultObserved:
    """What Vault held for one workload at the last look; None where nothing was found."""

    key: KeyState | None
    policy: str | None
    auth_role: AuthRole | None
    pki_role: PkiRole | None


@dataclass(frozen=True, slots=True)
class Rival:
    """Another workload of the namespace whose pods may be the same."""

    name: str
    created: str
    pod_labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything besides the workload itself that decides what is desired."""

    config: PlatformConfig
    cluster: ClusterFacts
    ceiling: tuple[CeilingRule, ...]
    referenced_roles: Mapping[tuple[str, str], tuple[CeilingRule, ...] | None] = field(default_factory=dict)
    """Rules of the roles in roleRefs by (kind, name); None if there is no such role."""
    rivals: tuple[Rival, ...] = ()
    pods: tuple[PodFacts, ...] = ()
    now: datetime | None = None
