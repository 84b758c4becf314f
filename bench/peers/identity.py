"""An identity of its own for each peer: a ServiceAccount, a role in Vault, and rights enough that none is in its way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench.rig import Rig

NAMESPACE = "bench-peer"
AUDIENCE = "vault"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process is started with."""

    account: str
    kubeconfig: Path
    vault_token_file: Path
    """Holds the token with which it logs in to Vault."""

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{NAMESPACE}:{self.account}"


async def identity(rig: Rig, account: str) -> Identity:
    """May do everything in Kubernetes, as least privilege is not what is measured; Vault is each peer's own business."""
    return await asyncio.to_thread(_identity, rig, account)


def _identity(rig: Rig, account: str) -> Identity:
    lab = rig.lab
    lab.create_namespace(NAMESPACE)
    lab.api.request(
        "POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": account}}
    )
    binding = {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    }
    lab.api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    token_file = lab.directory / f"{account}-vault-token"
    token_file.touch(mode=0o600)
    token_file.write_text(lab.token(NAMESPACE, account, audience=AUDIENCE), encoding="utf-8")
    return Identity(account, lab.kubeconfig_for(NAMESPACE, account), token_file)


async def let_log_in(rig: Rig, role: str, policy: str, *, account: str, namespace: str) -> None:
    """A role of Vault's kubernetes auth with one policy, for that ServiceAccount in that namespace ("*": in all)."""
    await asyncio.to_thread(_let_log_in, rig, role, policy, account, namespace)


def _let_log_in(rig: Rig, role: str, policy: str, account: str, namespace: str) -> None:
    rig.lab.vault_request("PUT", f"sys/policies/acl/{role}", {"policy": policy})
    body = {
        "bound_service_account_names": account,
        "bound_service_account_namespaces": namespace,
        "audience": AUDIENCE,
        "token_policies": role,
        "token_ttl": "6h",
    }
    rig.lab.vault_request("POST", f"auth/kubernetes/role/{role}", body)
