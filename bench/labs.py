"""Labs to measure on: new and empty, with the product installed and nobody running it yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from bench.audit import AuditLog
from bench.rig import Log, Rig
from lab import LabError, start_lab
from secureai_operator.clients.kube import AioKube, KubeSettings
from tests.product import Product


@contextlib.asynccontextmanager
async def fresh_rig(log: Log, found: dict[str, Any], *, fsync: bool = True) -> AsyncIterator[Rig]:
    """A lab of its own until the end of the `with` block; an operator that still runs then is stopped."""
    starting = start_lab(fsync=fsync)
    lab = await asyncio.to_thread(starting.__enter__)
    try:
        if lab.audit_log is None or lab.vault_audit_log is None:
            raise LabError("the audit logs of this lab cannot be read: measure on one that is started here")
        settings = KubeSettings(kubeconfig=str(lab.admin_kubeconfig), user_agent="bench")
        async with await AioKube.connect(settings) as kube:
            rig = Rig(
                lab,
                Product(lab),
                kube,
                AuditLog(lab.audit_log),
                AuditLog(lab.vault_audit_log),
                log,
                found=found,
            )
            await asyncio.to_thread(rig.product.install)
            try:
                yield rig
            finally:
                await rig.stop_operator()
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
