"""A KeyRotationPolicy as the verbs read it, and which workloads it rules; tolerant like `workloads`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from secureai_operator.cli.key_views import KEEP_VERSIONS, RETIRE_AFTER, KeyView, number, seconds
from secureai_operator.cli.output import moment, string


@dataclass(frozen=True)
class PolicyView:
    """What spec and status of a policy say."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return string(self.raw, "metadata", "name")

    @property
    def namespace(self) -> str:
        return string(self.raw, "metadata", "namespace")

    @property
    def key(self) -> str:
        """NAMESPACE/NAME, as the status of the workloads that it rules has it."""
        return f"{self.namespace}/{self.name}"

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    @property
    def everywhere(self) -> bool:
        """Whether it may rule workloads of other namespaces."""
        return "namespaceSelector" in self.spec

    @property
    def rests(self) -> str:
        """The field that keeps it from starting anything; "" for none."""
        return next((f"spec.{field}" for field in ("suspend", "dryRun") if self.spec.get(field) is True), "")

    @property
    def keep(self) -> int:
        """How many versions, counted from the latest, never retire."""
        return number(self.spec, "retire", "keepVersions") or KEEP_VERSIONS

    @property
    def retire_after(self) -> int:
        """Seconds that an old version still decrypts after everything was rewrapped."""
        asked = string(self.spec, "retire", "after")
        return seconds(asked) or seconds(RETIRE_AFTER) or 0

    @property
    def request_id(self) -> str:
        return string(self.status, "requestId")

    @property
    def requested_at(self) -> datetime | None:
        return moment(string(self.status, "requestedAt"))


def ruled(policy: PolicyView, keys: Iterable[KeyView]) -> tuple[KeyView, ...]:
    """The keys that the policy rules, by what their own status says."""
    return tuple(key for key in keys if key.policy == policy.key)
