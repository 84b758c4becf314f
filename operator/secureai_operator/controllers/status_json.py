"""The status as it is stored: on the API server, and in memory between passes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from secureai_operator.api.rotation_status import RotationStatus
from secureai_operator.api.workload_status import SecureAIWorkloadStatus
from secureai_operator.controllers.packed import packed, unpacked

_ROTATION = MappingProxyType(dict(RotationStatus()))
"""The fields of a rotation that says nothing."""


def status_body(status: SecureAIWorkloadStatus) -> dict[str, Any]:
    """The status as it is stored, without what says nothing of a rotation.

    That is most of its fields most of the time, and each costs the API server and everybody who watches with every write.
    """
    body = status.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"rotation"})
    rotation = status.rotation
    if rotation is not None:
        silent = {name for name, said in rotation if name != "phase" and said == _ROTATION[name]}
        body["rotation"] = rotation.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=silent)
    return body


def encoded(status: SecureAIWorkloadStatus) -> bytes:
    """As it is kept in memory; the same bytes as of the API server's answer."""
    return packed(status_body(status))


def decoded(stored: bytes) -> SecureAIWorkloadStatus:
    """What is stored; one that cannot be read counts as none, and is written anew."""
    try:
        return SecureAIWorkloadStatus.model_validate_json(unpacked(stored))
    except ValidationError:
        return SecureAIWorkloadStatus()
