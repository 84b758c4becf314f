"""cert-manager beside ours: one certificate from Vault's PKI, in one Secret, for each Certificate."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from bench.peers.identity import NAMESPACE, Identity, identity, let_log_in
from bench.peers.job import Job, Peer, Sizes, measure_job
from bench.rig import Rig
from bench.storm import Key
from lab import wait_until
from lab.modules import CERT_MANAGER, built
from secureai_operator.api.resources import SECRETS, Resource

ACCOUNT = "cert-manager"
MODULE = "github.com/cert-manager/cert-manager"
GROUP, VERSION = "cert-manager.io", "v1"
CERTIFICATES = Resource(GROUP, VERSION, "certificates", "Certificate")
ISSUERS = Resource(GROUP, VERSION, "clusterissuers", "ClusterIssuer", namespaced=False)
START_SECONDS = 60.0
LIMITS = ("--kube-api-qps=2000", "--kube-api-burst=4000")
"""Lifted: its own are 20 and 50."""


async def measure_cert_manager(rig: Rig, **sizes: Any) -> dict[str, Any]:
    binaries = await asyncio.to_thread(built, CERT_MANAGER)
    await asyncio.to_thread(_install, rig)
    who = await identity(rig, ACCOUNT)
    pki = rig.product.vault_connection().pki_mount
    policy = f'path "{pki}/sign/{ACCOUNT}" {{ capabilities = ["update"] }}'
    await let_log_in(rig, ACCOUNT, policy, account=ACCOUNT, namespace=NAMESPACE)
    role = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "any", "max_ttl": "24h"}
    await asyncio.to_thread(rig.lab.vault_request, "POST", f"{pki}/roles/{ACCOUNT}", role)
    await rig.wait_for_garbage_collector()
    peer = _started(rig, who, binaries / "cert-manager")
    try:
        await _issue(rig, who, peer, pki)
        found = await measure_job(rig, peer, _JOB, Sizes(**sizes))
    finally:
        peer.process.stop()
    return {"limits": list(LIMITS), **found}


def _spec(key: Key) -> dict[str, Any]:
    namespace, name = key
    dns = f"{name}.{namespace}.svc"
    return {
        "secretName": f"cm-{name}",
        "dnsNames": [dns],
        "commonName": dns,
        "duration": "24h",
        "renewBefore": "8h",
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "issuerRef": {"kind": "ClusterIssuer", "name": ACCOUNT},
    }


def _is_ready(item: dict[str, Any]) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in (item.get("status") or {}).get("conditions") or ()
    )


_JOB = Job(
    crs=CERTIFICATES,
    spec=_spec,
    is_done=_is_ready,
    objects=1,
    harmed=SECRETS,
    harmed_name=lambda name: f"cm-{name}",
    content="data",
    # What it heals is a certificate that does not fit its key or its names; a foreign entry beside it stays.
    change=None,
)


def _install(rig: Rig) -> None:
    """Its CRDs are templates of its chart: without the labels that are filled in there they are whole."""
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(
        command, cwd=CERT_MANAGER.source, capture_output=True, text=True, check=True, timeout=300
    )
    files = sorted((Path(json.loads(done.stdout)["Dir"]) / "deploy" / "crds").glob("*.yaml"))
    text = "\n---\n".join(file.read_text(encoding="utf-8") for file in files)
    whole = re.sub(r"^  labels:\n(?: {4}.*\{\{.*\n)+", "", text, flags=re.MULTILINE)
    rig.lab.kubectl("apply", "--server-side", "-f", "-", input=whole)
    established = (
        "wait",
        "--for=condition=Established",
        f"crd/{CERTIFICATES.plural}.{GROUP}",
        "--timeout=5s",
    )
    rig.lab.wait_for(lambda: rig.lab.kubectl(*established), 30, "the CRDs to be established")


def _started(rig: Rig, who: Identity, binary: Path) -> Peer:
    options = [
        f"--kubeconfig={who.kubeconfig}",
        "--leader-elect=false",
        f"--cluster-resource-namespace={NAMESPACE}",
        "--metrics-listen-address=127.0.0.1:0",
        *LIMITS,
    ]
    environment = {"HOME": str(rig.lab.directory)}
    return Peer(rig.lab.process(ACCOUNT, [binary, *options], env=environment).start(), who.user)


async def _issue(rig: Rig, who: Identity, peer: Peer, pki: str) -> None:
    """One issuer for all namespaces, which logs in to Vault with the ServiceAccount's token."""
    secret = {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": ACCOUNT},
        "stringData": {"token": who.vault_token_file.read_text(encoding="utf-8")},
    }
    await rig.kube.create(SECRETS, NAMESPACE, secret)
    login = {
        "role": ACCOUNT,
        "mountPath": "/v1/auth/kubernetes",
        "secretRef": {"name": ACCOUNT, "key": "token"},
    }
    vault = {"server": rig.lab.vault_address, "path": f"{pki}/sign/{ACCOUNT}", "auth": {"kubernetes": login}}
    issuer = {
        "apiVersion": ISSUERS.api_version,
        "kind": ISSUERS.kind,
        "metadata": {"name": ACCOUNT},
        "spec": {"vault": vault},
    }
    path = ISSUERS.path(None)
    await asyncio.to_thread(rig.lab.api.request, "POST", path, issuer)

    async def accepted() -> bool:
        if not peer.process.running:
            raise RuntimeError(f"{ACCOUNT} ended\n{peer.process.tail()}")
        return _is_ready(await asyncio.to_thread(rig.lab.api.request, "GET", f"{path}/{ACCOUNT}"))

    await wait_until(accepted, START_SECONDS, f"its issuer to be Ready\n{peer.process.tail()}")
