"""What the settings say, in the words of the core and of the Vault clients. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from secureai_operator import names
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.core.facts import Connection, PeerAddress, PlatformConfig
from secureai_operator.settings import Peer, Settings, VaultConnectionSettings


def platform_config(settings: Settings) -> PlatformConfig:
    """What the pure core may know of the settings."""
    return PlatformConfig(
        cluster=settings.cluster,
        connections={name: _connection(name, one) for name, one in settings.connections.items()},
        dns_peers=_addresses(settings.dns_peers),
        api_server_peers=_addresses(settings.api_server_peers),
        api_server_port=settings.api_server_port,
    )


def vault_connections(settings: Settings) -> dict[str, VaultConnection]:
    """What the Vault clients need of the settings."""
    return {
        name: _vault_connection(settings.cluster, name, one) for name, one in settings.connections.items()
    }


def _connection(name: str, one: VaultConnectionSettings) -> Connection:
    return Connection(
        name=name,
        transit_mount=one.transit_mount,
        pki_mount=one.pki_mount,
        auth_mount=one.auth_mount,
        peers=_addresses(one.peers),
        port=one.port,
        may_destroy=one.destroy_role is not None,
        may_trim=one.retire_role is not None,
        customer_held=one.customer_held,
    )


def _vault_connection(cluster: str, name: str, one: VaultConnectionSettings) -> VaultConnection:
    return VaultConnection(
        name=name,
        address=one.address,
        role=one.role,
        destroy_role=one.destroy_role,
        retire_role=one.retire_role,
        token_file=str(one.token_file),
        namespace=one.vault_namespace,
        ca_file=None if one.ca_file is None else str(one.ca_file),
        transit_mount=one.transit_mount,
        pki_mount=one.pki_mount,
        auth_mount=one.auth_mount,
        policy_prefix=names.vault_prefix(cluster),
        timeout=one.timeout_seconds,
        max_in_flight=one.max_in_flight,
        requests_per_second=one.requests_per_second,
        burst=one.burst,
    )


def _addresses(peers: Iterable[Peer]) -> tuple[PeerAddress, ...]:
    return tuple(PeerAddress(peer.cidr, peer.namespace, peer.pod_labels) for peer in peers)
