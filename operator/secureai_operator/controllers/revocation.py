"""Revoking a workload's certificate by the certificate itself: Vault keeps none of those it signs."""

from __future__ import annotations

import base64
import binascii
import logging

from secureai_operator import errors, names
from secureai_operator.api.resources import SECRETS
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.core.facts import Workload

log = logging.getLogger(__name__)


async def revoke_certificate(workload: Workload, kube: ScopedKube, vault: VaultApi) -> None:
    """Revoke the one that the workload's Secret holds now; nothing happens if there is none of this Vault."""
    secret = await kube.get(SECRETS, names.tls_secret(workload.name))
    try:
        pem = base64.b64decode(((secret or {}).get("data") or {})["tls.crt"], validate=True).decode("ascii")
    except (KeyError, TypeError, binascii.Error, ValueError):
        return
    try:
        await vault.revoke_certificate(pem)
    except errors.VaultRefused:
        # Not a certificate of this mount: somebody changed the Secret; there is nothing of ours to revoke.
        extra = {"namespace": workload.namespace, "workload": workload.name}
        log.warning("certificate not revoked", extra=extra)
