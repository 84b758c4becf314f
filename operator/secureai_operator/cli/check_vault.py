"""The preflight's look at each Vault connection, from outside and, with an administrator's token, from inside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from secureai_operator import names
from secureai_operator.api.resources import SERVICE_ACCOUNTS
from secureai_operator.api.vault_setup import Outcome
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.cli.check_item import Item, Verdict, guarded
from secureai_operator.cli.output import string
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.clients.vault_bootstrap import VaultAdministrator
from secureai_operator.clients.vault_user import Health, VaultAccess, VaultUser
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items
from secureai_operator.core.configured import vault_connections
from secureai_operator.errors import KubeForbidden, OperatorError
from secureai_operator.settings import Settings

AUDIENCE = "vault"
_BOOTSTRAP = "secureai vault bootstrap --apply, with an administrator's token"


def connections(kube: KubeUser, settings: Settings | None) -> Iterator[Item]:
    if settings is None:
        text = "the operator's configuration is not visible"
        yield Item("vault", "connections", Verdict.SKIP, text, "use --config FILE")
        return
    if not settings.connections:
        text = "none configured: no workload can be Ready"
        yield Item("vault", "connections", Verdict.FAIL, text, "add one to the operator's configuration")
    for name, connection in vault_connections(settings).items():
        area = f"vault {name}"
        yield from guarded(area, connection.address, partial(_connection, kube, connection, area))


def _connection(kube: KubeUser, connection: VaultConnection, area: str) -> Iterator[Item]:
    """Outermost first; what needs a reachable Vault is left out when it is not."""
    environment = VaultAccess.from_environment()
    # An administrator may reach Vault by another way than the operator: a port-forward, say.
    access = VaultAccess(connection.address, None, connection.ca_file, connection.namespace)
    with VaultUser(access) as vault:
        health = vault.health()
        if health is Health.UNREACHABLE and environment is not None:
            yield Item(
                area,
                "address",
                Verdict.WARN,
                f"{connection.address} does not answer from here",
                "looking at VAULT_ADDR instead; the operator itself must reach the address",
            )
            connection = replace(connection, address=environment.address, ca_file=environment.ca_file)
        elif health is not Health.USABLE:
            yield Item(
                area, "health", Verdict.FAIL, f"{connection.address} is {health.value}", _HEALTH_STEPS[health]
            )
            return
        else:
            yield Item(area, "health", Verdict.OK, f"{connection.address} answers and is unsealed")
    yield from _login(kube, connection, area)
    yield from _contents(connection, environment, area)


_HEALTH_STEPS = {
    Health.SEALED: "unseal it",
    Health.NOT_INITIALIZED: "initialise it, then secureai vault bootstrap",
    Health.UNREACHABLE: "look at the address, the network and the CA; from outside the cluster use VAULT_ADDR and VAULT_TOKEN",
    Health.UNWELL: "look at Vault's own log",
}


def _login(kube: KubeUser, connection: VaultConnection, area: str) -> Iterator[Item]:
    """The operator's login, with a token of its ServiceAccount that is made for this and given back."""
    try:
        jwt = _operator_token(kube)
    except KubeForbidden:
        text = "you may not make a token of the operator's ServiceAccount"
        yield Item(area, "login", Verdict.SKIP, text, "run it as an administrator of the cluster")
        return
    except OperatorError as error:
        yield Item(
            area, "login", Verdict.FAIL, error.message, "kubectl apply --server-side -k manifests/base"
        )
        return
    access = VaultAccess(connection.address, None, connection.ca_file, connection.namespace)
    with VaultUser(access) as vault:
        policies = vault.login(connection.auth_mount, connection.role, jwt)
    if policies is None:
        text = (
            f"role {connection.role} at auth/{connection.auth_mount} refuses {names.OPERATOR_SERVICE_ACCOUNT}"
        )
        yield Item(area, "login", Verdict.FAIL, text, _BOOTSTRAP)
        return
    yield Item(area, "login", Verdict.OK, f"role {connection.role}, policies {', '.join(policies)}")


def _operator_token(kube: KubeUser) -> str:
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": 600},
    }
    answer = kube.create(
        SERVICE_ACCOUNTS,
        names.OPERATOR_NAMESPACE,
        request,
        name=names.OPERATOR_SERVICE_ACCOUNT,
        subresource="token",
    )
    return string(answer, "status", "token")


def _contents(connection: VaultConnection, environment: VaultAccess | None, area: str) -> Iterator[Item]:
    """Mounts, policies, authority and roles, by the bootstrap's own comparison."""
    if environment is None or environment.token is None:
        text = "VAULT_ADDR and VAULT_TOKEN are not set"
        yield Item(area, "contents", Verdict.SKIP, text, "set them to an administrator's to look inside")
        return
    reached = replace(
        connection, address=environment.address, ca_file=environment.ca_file or connection.ca_file
    )
    token = environment.token

    async def compared() -> Iterator[Item]:
        async with VaultAdministrator(reached, token) as administrator:
            reports = await administrator.apply(bootstrap_items(BootstrapSpec(connection)), dry_run=True)
        return iter(
            [
                Item(area, one.name, Verdict.OK, "as it should be")
                if one.outcome is Outcome.UNCHANGED
                else Item(
                    area,
                    one.name,
                    Verdict.FAIL,
                    _WORDS[one.outcome] + (f": {one.detail}" if one.detail else ""),
                    _BOOTSTRAP,
                )
                for one in reports
            ]
        )

    yield from asyncio.run(compared())


_WORDS = {
    Outcome.CREATED: "missing",
    Outcome.UPDATED: "differs",
    Outcome.CONFLICT: "something else is there",
}
