"""The operator's configuration: one YAML file, checked as it is read. Nothing in a CR can change it."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from secureai_operator import names

MAX_BYTES = 256 * 1024
"""A configuration is a few KiB; more is a mistake."""

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Mount = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9_-]+)*$", max_length=128)
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, extra="forbid")


class Peer(_Settings):
    """Where a service of the platform is reached, for the egress rule of every workload."""

    cidr: str | None = None
    namespace: Label | None = None
    pod_labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("cidr")
    @classmethod
    def _is_network(cls, cidr: str | None) -> str | None:
        if cidr is not None:
            try:
                ip_network(cidr)
            except ValueError:
                raise ValueError("must be a network in CIDR notation, such as 10.20.0.0/16") from None
        return cidr

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        # Anything else would open every workload to its whole namespace, or be refused by the API server.
        if self.cidr is None and self.namespace is None:
            raise ValueError("needs a cidr or a namespace")
        if self.cidr is not None and (self.namespace is not None or self.pod_labels):
            raise ValueError("a cidr stands alone, without namespace and podLabels")
        return self


class VaultConnectionSettings(_Settings):
    """One Vault, as the platform team names it; workloads refer to it by name only."""

    address: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+$", max_length=253)]
    ca_file: Path | None = None
    vault_namespace: str | None = None
    transit_mount: Mount = "saw-transit"
    pki_mount: Mount = "saw-pki"
    auth_mount: Mount = "kubernetes"
    role: Label = "secureai-operator"
    token_file: Path = Path("/var/run/secrets/secureai.dev/vault/token")
    allow_insecure_http: bool = False
    destroy_role: Label | None = None
    """Vault role that may destroy keys; without it deletionPolicy Destroy keeps the key."""
    retire_role: Label | None = None
    """Vault role that may destroy retired versions of keys; without it `retire.trim` destroys nothing."""
    customer_held: bool = False
    """The Vault is a customer's own: for workloads with custody hold-your-own-key, and for no others."""
    timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    max_in_flight: int = Field(default=8, ge=1, le=64)
    requests_per_second: float = Field(default=400.0, gt=0)
    burst: int = Field(default=400, ge=1)
    peers: tuple[Peer, ...] = ()
    port: int = Field(default=8200, ge=1, le=65535)

    @model_validator(mode="after")
    def _is_encrypted(self) -> Self:
        url = urlsplit(self.address)
        if url.scheme == "http" and not self.allow_insecure_http and not _is_loopback(url.hostname or ""):
            raise ValueError("address must begin with https://: tokens and keys cross the network")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class BindingBackend(StrEnum):
    """What binds pods at admission."""

    AUTO = "Auto"
    POLICY = "AdmissionPolicy"
    WEBHOOK = "Webhook"


class WebhookSettings(_Settings):
    """Kopf's admission webhook, for clusters that do not serve MutatingAdmissionPolicy."""

    host: str | None = None
    """Host name by which the API server reaches the webhook, such as secureai-operator.secureai-system.svc."""
    port: int = Field(default=9443, ge=1, le=65535)
    certificate_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None


class TracingSettings(_Settings):
    """Where OpenTelemetry traces go: a collector that speaks OTLP over HTTP."""

    endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#@]+$", max_length=253)]
    sample_ratio: float = Field(default=1.0, ge=0.0, le=1.0)


class Settings(_Settings):
    """Everything that a platform team may set."""

    cluster: Label = "main"
    """Name of the cluster, part of every name in Vault."""
    operator_namespace: Label = names.OPERATOR_NAMESPACE
    connections: dict[Label, VaultConnectionSettings] = Field(default_factory=dict)
    binding: BindingBackend = BindingBackend.AUTO
    webhook: WebhookSettings = WebhookSettings()
    workers: int = Field(default=16, ge=1, le=256)
    vault_probe_seconds: float = Field(default=300.0, ge=0.5)
    """How often each workload's objects in Vault are compared, jittered by a fifth."""
    lease_seconds: float = Field(default=10.0, ge=3, le=60)
    http_port: int = Field(default=8080, ge=0, le=65535)
    http_host: str = "0.0.0.0"
    dns_peers: tuple[Peer, ...] = (Peer(namespace="kube-system", pod_labels={"k8s-app": "kube-dns"}),)
    api_server_peers: tuple[Peer, ...] = ()
    """Addresses of the API server, for workloads with network.kubernetesAPI."""
    api_server_port: int = Field(default=6443, ge=1, le=65535)
    evict_unbound_pods: bool = True
    orphan_deadline_seconds: float = Field(default=30.0, ge=1)
    """How long a workload of a namespace that is being deleted waits for Vault before it is let go as an orphan."""
    shutdown_seconds: float = Field(default=1.5, ge=0.1, le=30)
    tracing: TracingSettings | None = None
    """Off, if it is not set."""


class SettingsError(ValueError):
    """The configuration is wrong; the message says where, without quoting values."""


def load(path: Path) -> Settings:
    """The settings in the YAML file at `path`. Raises SettingsError."""
    try:
        text = path.read_bytes()[: MAX_BYTES + 1]
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise SettingsError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return Settings.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML") from error
    except ValueError as error:
        raise SettingsError(f"{path}: {_where(error)}") from error


def _where(error: ValueError) -> str:
    details = getattr(error, "errors", None)
    if details is None:
        return "invalid"
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in details(include_input=False)
    )
