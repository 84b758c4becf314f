"""Vault away, sealed, hung, refusing, limiting, emptied: each begins, lasts, and is over again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from lab import Lab, RequestFailed
from lab.vault import Vault
from secureai_operator import names
from secureai_operator.core.bootstrap import BootstrapSpec, routine_policy_name
from tests.integration.vault_identity import TRANSIT
from tests.integration.vaults import frozen
from tests.product import Product

Outage = Callable[[Lab, Product], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def stopped(lab: Lab, _product: Product) -> Iterator[None]:
    lab.stop_vault()
    try:
        yield
    finally:
        lab.start_vault()


@contextlib.contextmanager
def sealed(lab: Lab, _product: Product) -> Iterator[None]:
    lab.seal_vault()
    try:
        yield
    finally:
        lab.unseal_vault()


@contextlib.contextmanager
def hung(lab: Lab, _product: Product) -> Iterator[None]:
    with frozen(lab.component("vault")):
        yield


@contextlib.contextmanager
def without_policy(lab: Lab, product: Product) -> Iterator[None]:
    lab.vault_request("DELETE", f"sys/policies/acl/{operators_policy(product)}")
    try:
        yield
    finally:
        product.bootstrap_vault()


@contextlib.contextmanager
def without_role(lab: Lab, product: Product) -> Iterator[None]:
    """Its auth role is gone and its token too: nothing is left to log in with."""
    lab.vault_request("DELETE", "auth/kubernetes/role/secureai-operator")
    revoke_operators_tokens(lab.vault)
    try:
        yield
    finally:
        product.bootstrap_vault()


@contextlib.contextmanager
def limited(lab: Lab, _product: Product) -> Iterator[None]:
    quota = "sys/quotas/rate-limit/outage"
    lab.vault_request("POST", quota, {"rate": 0.1, "interval": "30s", "path": f"{TRANSIT}/"})
    try:
        yield
    finally:
        lab.vault_request("DELETE", quota)


@contextlib.contextmanager
def moved(lab: Lab, _product: Product) -> Iterator[None]:
    """The transit mount is somewhere else, with all of its keys."""
    _move(lab, TRANSIT, f"{TRANSIT}-away")
    try:
        yield
    finally:
        _move(lab, f"{TRANSIT}-away", TRANSIT)


def _move(lab: Lab, source: str, target: str) -> None:
    job = lab.vault_request("POST", "sys/remount", {"from": source, "to": target})["data"]["migration_id"]
    status = f"sys/remount/status/{job}"

    def done() -> bool:
        found = lab.vault_request("GET", status)["data"]["migration_info"]["status"]
        return bool(found == "success")

    lab.wait_for(done, 60, "the mount to be moved")


def operators_policy(product: Product) -> str:
    return routine_policy_name(BootstrapSpec(product.vault_connection()))


def revoke_operators_tokens(vault: Vault) -> int:
    """As an administrator does after a leak; returns how many there were."""
    revoked = 0
    for accessor in vault.request("LIST", "auth/token/accessors")["data"]["keys"]:
        with contextlib.suppress(RequestFailed):  # it ended meanwhile
            found = vault.request("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
            if (found.get("meta") or {}).get("service_account_name") == names.OPERATOR_SERVICE_ACCOUNT:
                vault.request("POST", "auth/token/revoke-accessor", {"accessor": accessor})
                revoked += 1
    return revoked


def lose_key(lab: Lab, name: str) -> None:
    """As somebody does who may change the key's configuration: allow its deletion, and delete it."""

    def deleted() -> bool:
        lab.vault_request("POST", f"{TRANSIT}/keys/{name}/config", {"deletion_allowed": True})
        lab.vault_request("DELETE", f"{TRANSIT}/keys/{name}")
        return True

    lab.wait_for(deleted, 30, "the deletion to be faster than the operator")
