"""vault-secrets-operator beside ours: one Secret from Vault for each VaultStaticSecret."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench.lean import Lean, request, send_all
from bench.peers.identity import NAMESPACE, Identity, identity, let_log_in
from bench.peers.job import Job, Peer, Sizes, measure_job
from bench.rig import Rig
from bench.storm import CONNECTIONS, NAMESPACES, Key
from lab import Process, wait_until
from lab.modules import PEERS, built
from secureai_operator.api.resources import SECRETS, Resource

ACCOUNT = "vault-secrets-operator"
MODULE = "github.com/hashicorp/vault-secrets-operator"
GROUP, VERSION = "secrets.hashicorp.com", "v1beta1"
STATIC_SECRETS = Resource(GROUP, VERSION, "vaultstaticsecrets", "VaultStaticSecret")
MOUNT = "bench-kv"
START_SECONDS = 60.0
LIMITS = ("--kube-client-qps=2000", "--kube-client-burst=4000")
"""Lifted: with its own it waits for itself."""


async def measure_vso(rig: Rig, *, refresh: float, **sizes: Any) -> dict[str, Any]:
    """`refresh`: seconds after which it asks Vault again for each Secret, as each CR says."""
    binaries = await asyncio.to_thread(built, PEERS)
    await asyncio.to_thread(_install, rig)
    who = await identity(rig, ACCOUNT)
    await let_log_in(
        rig, ACCOUNT, f'path "{MOUNT}/*" {{ capabilities = ["read"] }}', account="default", namespace="*"
    )
    await _connect(rig)
    await store_secrets(rig, int(sizes["workloads"]))
    await rig.wait_for_garbage_collector()
    peer = await _started(rig, who, binaries / "vault-secrets-operator")
    try:
        found = await measure_job(rig, peer, _job(refresh), Sizes(**sizes))
    finally:
        peer.process.stop()
    return {"refreshSeconds": refresh, "limits": list(LIMITS), **found}


def _job(refresh: float) -> Job:
    return Job(
        crs=STATIC_SECRETS,
        spec=lambda key: {
            "type": "kv-v2",
            "mount": MOUNT,
            "path": secret_path(key),
            "refreshAfter": f"{refresh:g}s",
            "destination": {"name": f"vso-{key[1]}", "create": True},
        },
        is_done=_is_synced,
        objects=1,
        harmed=SECRETS,
        harmed_name=lambda name: f"vso-{name}",
        content="data",
        change={"data": {"foreign": "Zm9yZWlnbg=="}},
    )


def _is_synced(item: dict[str, Any]) -> bool:
    """It writes the MAC of what it has put in the Secret after the Secret itself."""
    status = item.get("status") or {}
    return bool(status.get("secretMAC")) and status.get("lastGeneration") == item["metadata"]["generation"]


def secret_path(key: Key) -> str:
    return f"{key[0]}/{key[1]}"


def _install(rig: Rig) -> None:
    rig.lab.kubectl("apply", "--server-side", "-f", str(_source() / "chart" / "crds"))
    established = (
        "wait",
        "--for=condition=Established",
        f"crd/{STATIC_SECRETS.plural}.{GROUP}",
        "--timeout=5s",
    )
    rig.lab.wait_for(lambda: rig.lab.kubectl(*established), 30, "the CRDs to be established")


def _source() -> Path:
    """Its CRDs are in its module, which was fetched to build it."""
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd=PEERS.source, capture_output=True, text=True, check=True, timeout=300)
    return Path(json.loads(done.stdout)["Dir"])


async def _connect(rig: Rig) -> None:
    """One connection and one way to log in, that all namespaces use: those named `default` beside the operator."""
    specs: dict[tuple[str, str], dict[str, Any]] = {
        ("vaultconnections", "VaultConnection"): {"address": rig.lab.vault_address},
        ("vaultauths", "VaultAuth"): {
            "method": "kubernetes",
            "mount": "kubernetes",
            "allowedNamespaces": ["*"],
            "kubernetes": {"role": ACCOUNT, "serviceAccount": "default", "audiences": ["vault"]},
        },
    }
    for (plural, kind), spec in specs.items():
        resource = Resource(GROUP, VERSION, plural, kind)
        item = {
            "apiVersion": resource.api_version,
            "kind": kind,
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": spec,
        }
        await rig.kube.create(resource, NAMESPACE, item)


async def store_secrets(rig: Rig, workloads: int) -> None:
    """What it is to fetch: something of its own for each CR, named as the job will name them."""
    mount = {"type": "kv", "options": {"version": "2"}}
    await asyncio.to_thread(rig.lab.vault_request, "POST", f"sys/mounts/{MOUNT}", mount)
    keys = [(f"bench-peers-{number % NAMESPACES}", f"w{number}") for number in range(workloads)]
    await _ready_to_write(rig)
    async with Lean(rig.lab.vault_address, None, CONNECTIONS) as lean:
        headers = {"Host": lean.host, "X-Vault-Token": rig.lab.vault_root_token}
        await send_all(lean, _writes(headers, keys), HTTPStatus.OK)


def _writes(headers: dict[str, str], keys: Sequence[Key]) -> list[bytes]:
    return [
        request(
            "POST",
            f"/v1/{MOUNT}/data/{secret_path(key)}",
            headers,
            json.dumps({"data": {"key": f"value of {key[1]} " * 4}}).encode(),
        )
        for key in keys
    ]


async def _ready_to_write(rig: Rig) -> None:
    """A new mount of kv answers 400 while Vault still upgrades it to version 2."""

    async def written() -> bool:
        await asyncio.to_thread(
            rig.lab.vault_request, "POST", f"{MOUNT}/data/first", {"data": {"is": "there"}}
        )
        return True

    await wait_until(written, START_SECONDS, "Vault's new mount to take a secret")


async def _started(rig: Rig, who: Identity, binary: Path) -> Peer:
    options = [
        f"--kubeconfig={who.kubeconfig}",
        "--leader-elect=false",
        "--metrics-bind-address=0",
        "--health-probe-bind-address=0",
        *LIMITS,
    ]
    process = rig.lab.process(
        ACCOUNT,
        [binary, *options],
        env={
            "HOME": str(rig.lab.directory),
            "OPERATOR_NAMESPACE": NAMESPACE,
            "OPERATOR_POD_NAME": ACCOUNT,
            "OPERATOR_POD_UID": "00000000-0000-4000-8000-000000000000",
        },
    ).start()
    await wait_until(lambda: _follows(process), START_SECONDS, f"{ACCOUNT} to have started\n{process.tail()}")
    return Peer(process, who.user)


async def _follows(process: Process) -> bool:
    if not process.running:
        raise RuntimeError(f"{ACCOUNT} ended\n{process.tail()}")
    text = process.log.read_text(encoding="utf-8", errors="replace")
    return any("Starting workers" in line and "vaultstaticsecret" in line for line in text.splitlines())
