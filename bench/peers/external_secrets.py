"""external-secrets beside ours: one Secret from Vault for each ExternalSecret."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from bench.peers.identity import AUDIENCE, NAMESPACE, identity, let_log_in
from bench.peers.job import Job, Peer, Sizes, measure_job
from bench.peers.vso import MOUNT, secret_path, store_secrets
from bench.rig import Rig
from lab import wait_until
from lab.modules import EXTERNAL_SECRETS, built
from secureai_operator.api.resources import SECRETS, Resource

ACCOUNT = "external-secrets"
MODULE = "github.com/external-secrets/external-secrets"
GROUP, VERSION = "external-secrets.io", "v1"
EXTERNALS = Resource(GROUP, VERSION, "externalsecrets", "ExternalSecret")
STORES = Resource(GROUP, VERSION, "clustersecretstores", "ClusterSecretStore", namespaced=False)
START_SECONDS = 60.0
LIMITS = ("--client-qps=2000", "--client-burst=4000", "--concurrent=100")
"""Lifted: its own are 50, 100, and one CR at a time; vault-secrets-operator works on a hundred."""


async def measure_external_secrets(rig: Rig, *, refresh: float, **sizes: Any) -> dict[str, Any]:
    """`refresh`: seconds after which it asks Vault again for each Secret, as each CR says."""
    binaries = await asyncio.to_thread(built, EXTERNAL_SECRETS)
    await asyncio.to_thread(_install, rig)
    who = await identity(rig, ACCOUNT)
    policy = f'path "{MOUNT}/*" {{ capabilities = ["read"] }}'
    await let_log_in(rig, ACCOUNT, policy, account=ACCOUNT, namespace=NAMESPACE)
    await store_secrets(rig, int(sizes["workloads"]))
    await rig.wait_for_garbage_collector()
    options = ["--metrics-addr=0", *LIMITS]
    environment = {"HOME": str(rig.lab.directory), "KUBECONFIG": str(who.kubeconfig)}
    command: list[str | Path] = [binaries / "external-secrets", *options]
    peer = Peer(rig.lab.process(ACCOUNT, command, env=environment).start(), who.user)
    try:
        await _connect(rig, peer)
        found = await measure_job(rig, peer, _job(refresh), Sizes(**sizes))
    finally:
        peer.process.stop()
    return {"refreshSeconds": refresh, "limits": list(LIMITS), **found}


def _job(refresh: float) -> Job:
    return Job(
        crs=EXTERNALS,
        spec=lambda key: {
            "refreshInterval": f"{refresh:g}s",
            "secretStoreRef": {"kind": STORES.kind, "name": ACCOUNT},
            "target": {"name": f"eso-{key[1]}"},
            "dataFrom": [{"extract": {"key": secret_path(key)}}],
        },
        is_done=_is_ready,
        objects=1,
        harmed=SECRETS,
        harmed_name=lambda name: f"eso-{name}",
        content="data",
        change={"data": {"foreign": "Zm9yZWlnbg=="}},
    )


def _is_ready(item: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (item.get("status") or {}).get("conditions") or ()
    )


def _install(rig: Rig) -> None:
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(
        command, cwd=EXTERNAL_SECRETS.source, capture_output=True, text=True, check=True, timeout=300
    )
    crds = Path(json.loads(done.stdout)["Dir"]) / "config" / "crds" / "bases"
    rig.lab.kubectl("apply", "--server-side", "-k", str(crds))
    established = ("wait", "--for=condition=Established", f"crd/{EXTERNALS.plural}.{GROUP}", "--timeout=5s")
    rig.lab.wait_for(lambda: rig.lab.kubectl(*established), 30, "the CRDs to be established")


async def _connect(rig: Rig, peer: Peer) -> None:
    """One store for all namespaces; it logs in to Vault as the operator's own account."""
    account = {"name": ACCOUNT, "namespace": NAMESPACE, "audiences": [AUDIENCE]}
    login = {"mountPath": "kubernetes", "role": ACCOUNT, "serviceAccountRef": account}
    vault = {"server": rig.lab.vault_address, "path": MOUNT, "version": "v2", "auth": {"kubernetes": login}}
    store = {
        "apiVersion": STORES.api_version,
        "kind": STORES.kind,
        "metadata": {"name": ACCOUNT},
        "spec": {"provider": {"vault": vault}},
    }
    path = STORES.path(None)
    await asyncio.to_thread(rig.lab.api.request, "POST", path, store)

    async def accepted() -> bool:
        if not peer.process.running:
            raise RuntimeError(f"{ACCOUNT} ended\n{peer.process.tail()}")
        return _is_ready(await asyncio.to_thread(rig.lab.api.request, "GET", f"{path}/{ACCOUNT}"))

    await wait_until(accepted, START_SECONDS, f"its store to be Ready\n{peer.process.tail()}")
