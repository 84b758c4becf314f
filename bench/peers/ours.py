"""Our operator at the jobs of the peers: the same CRs as the plain Kopf operator, and the least that makes a Secret."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.audit import OPERATOR_USER
from bench.peers.job import Job, Peer, Sizes, measure_job
from bench.peers.kopf_peer import STORM_JOB
from bench.rig import Rig
from lab import LabError
from secureai_operator import names
from secureai_operator.api.resources import SECRETS

SECRET_ONLY: dict[str, Any] = {
    "enforcement": "Audit",
    "certificate": {"delivery": "None"},
    "keys": {"dataKeys": [{"name": "model"}]},
}
"""No policies, no certificate, no rules: a ServiceAccount, and one Secret whose content Vault makes."""

SECRET_JOB: Job = replace(
    STORM_JOB,
    spec=lambda _: SECRET_ONLY,
    objects=2,
    harmed=SECRETS,
    harmed_name=names.keys_secret,
    content="data",
    change={"data": {"foreign": "Zm9yZWlnbg=="}},
)


async def measure_ours(rig: Rig, **sizes: Any) -> dict[str, Any]:
    """The job of the plain Kopf operator."""
    return await _measured(rig, STORM_JOB, sizes)


async def measure_ours_secret(rig: Rig, **sizes: Any) -> dict[str, Any]:
    """The job that comes next to that of vault-secrets-operator."""
    return await _measured(rig, SECRET_JOB, sizes)


async def _measured(rig: Rig, job: Job, sizes: dict[str, Any]) -> dict[str, Any]:
    await rig.ensure_operator()
    if rig.operator is None:
        raise LabError("no operator is running")
    return await measure_job(rig, Peer(rig.operator.process, OPERATOR_USER), job, Sizes(**sizes))
