"""The plain Kopf operator beside ours: the same CRs, the same 8 objects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench.peers import kopf_plain
from bench.peers.identity import NAMESPACE, Identity, identity, let_log_in
from bench.peers.job import Job, Peer, Sizes, measure_job
from bench.rig import Rig, is_ready
from bench.storm import OBJECTS, WORKLOAD
from lab import wait_until
from secureai_operator import names
from secureai_operator.api.resources import NETWORK_POLICIES, SECURE_AI_WORKLOADS

ACCOUNT = "kopf-plain"
START_SECONDS = 60.0

STORM_JOB = Job(
    crs=SECURE_AI_WORKLOADS,
    spec=lambda _: WORKLOAD,
    is_done=is_ready,
    objects=OBJECTS,
    harmed=NETWORK_POLICIES,
    harmed_name=names.allow_policy,
    content="spec",
    change={"spec": {"egress": [{}]}},
)
"""Eight objects and as much in Vault for each CR; the policy that allows what is declared is harmed."""


async def measure_kopf(rig: Rig, *, drift: float, workers: int, **sizes: Any) -> dict[str, Any]:
    """`drift`: seconds of the timer of each CR; `workers`: threads for handlers."""
    who = await identity(rig, ACCOUNT)
    connection = rig.product.vault_connection()
    mounts = (
        connection.transit_mount,
        connection.pki_mount,
        f"auth/{connection.auth_mount}",
        "sys/policy",
    )
    everything = '{ capabilities = ["create", "read", "update", "delete", "list"] }'
    policy = "\n".join(f'path "{mount}/*" {everything}' for mount in mounts)
    await let_log_in(rig, ACCOUNT, policy, account=ACCOUNT, namespace=NAMESPACE)
    await rig.wait_for_garbage_collector()
    peer = await _started(rig, who, drift, workers)
    try:
        found = await measure_job(rig, peer, STORM_JOB, Sizes(spread=drift, **sizes))
    finally:
        peer.process.stop()
    return {"driftSeconds": drift, "workers": workers, **found}


async def _started(rig: Rig, who: Identity, drift: float, workers: int) -> Peer:
    connection = rig.product.vault_connection()
    options = ["--standalone", "--all-namespaces", str(Path(kopf_plain.__file__))]
    process = rig.lab.process(
        ACCOUNT,
        [sys.executable, "-m", "kopf", "run", *options],
        env={
            "HOME": str(rig.lab.directory),
            "KUBECONFIG": str(who.kubeconfig),
            "VAULT_ADDR": rig.lab.vault_address,
            "PEER_TOKEN_FILE": str(who.vault_token_file),
            "PEER_VAULT_ROLE": ACCOUNT,
            "PEER_VAULT_PREFIX": connection.policy_prefix,
            "PEER_TRANSIT_MOUNT": connection.transit_mount,
            "PEER_PKI_MOUNT": connection.pki_mount,
            "PEER_AUTH_MOUNT": connection.auth_mount,
            "PEER_DRIFT_SECONDS": str(drift),
            "PEER_WORKERS": str(workers),
        },
    ).start()

    async def logged_in() -> bool:
        if not process.running:
            raise RuntimeError(f"{ACCOUNT} ended\n{process.tail()}")
        return "'log_in' succeeded" in process.log.read_text(encoding="utf-8", errors="replace")

    await wait_until(logged_in, START_SECONDS, f"{ACCOUNT} to have started")
    return Peer(process, who.user)
