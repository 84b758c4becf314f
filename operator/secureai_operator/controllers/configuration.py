"""From the settings to what the core and the clients may know of them."""

from __future__ import annotations

from secureai_operator import names
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.core.facts import Connection, PeerAddress, PlatformConfig
from secureai_operator.settings import Peer, Settings, VaultConnectionSettings


def platform_config(settings: Settings) -> PlatformConfig:
    """What the pure core may know of the settings."""
    return PlatformConfig(
        cluster=settings.cluster,
        connections={
            name: Connection(
                name=name,
                transit_mount=connection.transit_mount,
                pki_mount=connection.pki_mount,
                auth_mount=connection.auth_mount,
                peers=_addresses(connection.peers),
                port=connection.port,
                may_destroy=connection.destroy_role is not None,
            )
            for name, connection in settings.connections.items()
        },
        dns_peers=_addresses(settings.dns_peers),
        api_server_peers=_addresses(settings.api_server_peers),
        api_server_port=settings.api_server_port,
    )


def vault_connections(settings: Settings) -> dict[str, VaultConnection]:
    """What the Vault clients need of the settings."""
    return {
        name: _vault_connection(settings.cluster, name, connection)
        for name, connection in settings.connections.items()
    }


def _vault_connection(cluster: str, name: str, connection: VaultConnectionSettings) -> VaultConnection:
    return VaultConnection(
        name=name,
        address=connection.address,
        role=connection.role,
        token_file=str(connection.token_file),
        namespace=connection.vault_namespace,
        ca_file=str(connection.ca_file) if connection.ca_file else None,
        transit_mount=connection.transit_mount,
        pki_mount=connection.pki_mount,
        auth_mount=connection.auth_mount,
        policy_prefix=names.vault_prefix(cluster),
        destroy_role=connection.destroy_role,
        timeout=connection.timeout_seconds,
        max_in_flight=connection.max_in_flight,
        requests_per_second=connection.requests_per_second,
        burst=connection.burst,
    )


def _addresses(peers: tuple[Peer, ...]) -> tuple[PeerAddress, ...]:
    return tuple(PeerAddress(peer.cidr, peer.namespace, peer.pod_labels) for peer in peers)
