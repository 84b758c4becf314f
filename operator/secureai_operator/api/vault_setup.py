"""What a Vault must hold before the operator can work with it, as plain values (standard library only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class PathRule:
    """What a policy lets a token do at a path.

    `allowed` names every parameter that may be given, with the values that are accepted (none: any);
    `denied` names values that are not. A parameter that `allowed` does not name is refused, unless it is empty.
    """

    path: str
    capabilities: tuple[str, ...]
    allowed: Mapping[str, tuple[Any, ...]] = field(default_factory=_nothing)
    denied: Mapping[str, tuple[Any, ...]] = field(default_factory=_nothing)


@dataclass(frozen=True)
class Mount:
    """A secrets engine or auth method at a path (`saw-transit`, `auth/kubernetes`)."""

    path: str
    type: str
    description: str
    max_lease_seconds: int = 0
    """0 leaves Vault's own limit."""

    @property
    def name(self) -> str:
        return f"mount {self.path}"


@dataclass(frozen=True)
class Setting:
    """Fields that must have these values where `path` is read; `secret` ones are written and never read."""

    name: str
    path: str
    fields: Mapping[str, Any]
    secret: Mapping[str, Any] = field(default_factory=_nothing, repr=False)


@dataclass(frozen=True)
class AclPolicy:
    """A policy by the name it has in Vault."""

    policy: str
    hcl: str

    @property
    def name(self) -> str:
        return f"policy {self.policy}"


@dataclass(frozen=True)
class RootAuthority:
    """A self-signed CA whose key never leaves Vault; made only in a mount that has no issuer yet."""

    mount: str
    common_name: str
    ttl_seconds: int

    @property
    def name(self) -> str:
        return f"authority {self.mount}"


SetupItem = Mount | Setting | AclPolicy | RootAuthority


class Outcome(StrEnum):
    """What became of one item."""

    CREATED = "Created"
    UPDATED = "Updated"
    UNCHANGED = "Unchanged"
    CONFLICT = "Conflict"
    """Something else is there already, and is left alone."""


@dataclass(frozen=True)
class ItemReport:
    """One line of the report: the item's name, its outcome, and what to do if that is a conflict."""

    name: str
    outcome: Outcome
    detail: str = ""
