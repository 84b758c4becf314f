"""A workload's key, its versions and its rotation as the verbs read them from status; tolerant like `workloads`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.cli.output import Mark, Word, moment, string
from secureai_operator.cli.workloads import ConditionView, WorkloadView

UNDER_WAY = frozenset({"Planned", "Rotated", "Rewrapped"})
"""Phases of a rotation that is not over."""
RETIRE_AFTER, KEEP_VERSIONS = "72h", 3
"""What a policy that does not say otherwise means."""

_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?")


class VersionState(StrEnum):
    """What a version of a key still does."""

    CURRENT = "current"
    OLD = "old, still decrypts"
    RETIRED = "retired"
    DESTROYED = "destroyed"


@dataclass(frozen=True)
class DataKeyView:
    """A wrapped data key, without what is wrapped."""

    name: str
    key_version: int
    generation: int

    @property
    def current(self) -> bool:
        """Whether it is the one of its name that the workload encrypts with; the earlier ones have a number behind."""
        return "." not in self.name


@dataclass(frozen=True)
class RecordView:
    """One rotation of the history."""

    from_version: int
    to_version: int
    trigger: str
    started: datetime | None
    finished: datetime | None
    items: int
    result: str


@dataclass(frozen=True)
class RetirementView:
    """Versions below `below` retire, not before `at`."""

    below: int
    at: datetime | None
    emergency: bool


@dataclass(frozen=True)
class Versions:
    """One version, or a run of versions of which nothing is known one by one."""

    first: int
    last: int
    state: VersionState
    made: datetime | None
    """When the first of them was made, if that is known."""
    succeeded: datetime | None
    """When the version after the last of them was made; None for the latest."""
    users: tuple[str, ...]
    retires: datetime | None = None
    """When they retire, if that is planned."""

    @property
    def label(self) -> str:
        return f"v{self.first}" if self.first == self.last else f"v{self.first}\u2013v{self.last}"


@dataclass(frozen=True)
class KeyView:
    """What status says of a workload's key; `keep` is the keepVersions of the policy that rules it, if that is known."""

    workload: WorkloadView
    keep: int | None = None

    @property
    def key(self) -> Mapping[str, Any]:
        return self.workload.status.get("key") or {}

    @property
    def rotation(self) -> Mapping[str, Any]:
        return self.workload.status.get("rotation") or {}

    @property
    def emergency(self) -> Mapping[str, Any]:
        return self.workload.status.get("emergency") or {}

    @property
    def data_key_rotation(self) -> Mapping[str, Any]:
        return self.workload.status.get("dataKeyRotation") or {}

    @property
    def type(self) -> str:
        return string(self.key, "type") or string(self.workload.spec, "keys", "type")

    @property
    def custody(self) -> str:
        return (
            string(self.key, "custody") or string(self.workload.spec, "keys", "custody") or "service-managed"
        )

    @property
    def latest(self) -> int:
        """The latest version; 0 while there is no key."""
        return number(self.key, "latestVersion")

    @property
    def minimum(self) -> int:
        """The oldest version that decrypts."""
        return max(number(self.key, "minDecryptionVersion"), self.available)

    @property
    def available(self) -> int:
        """The oldest version that is not destroyed."""
        return max(number(self.key, "minAvailableVersion"), 1)

    @property
    def made(self) -> datetime | None:
        """When the key was made."""
        return moment(string(self.key, "createdAt"))

    @property
    def latest_made(self) -> datetime | None:
        """When the latest version was made."""
        return moment(string(self.key, "latestVersionAt"))

    @property
    def data_keys(self) -> tuple[DataKeyView, ...]:
        return tuple(
            DataKeyView(string(one, "name"), number(one, "keyVersion"), number(one, "generation") or 1)
            for one in self.workload.status.get("dataKeys") or ()
        )

    @property
    def oldest_in_use(self) -> int:
        """The oldest version that wraps a data key; 0 if none is known."""
        known = [one.key_version for one in self.data_keys if one.key_version > 0]
        return number(self.rotation, "oldestVersionInUse") or min(known, default=0)

    @property
    def policy(self) -> str:
        return string(self.rotation, "policy")

    @property
    def phase(self) -> str:
        return string(self.rotation, "phase") or "Idle"

    @property
    def under_way(self) -> bool:
        return self.phase in UNDER_WAY

    @property
    def emergency_under_way(self) -> bool:
        return bool(self.emergency) and not self.emergency.get("finishedAt")

    @property
    def next_time(self) -> datetime | None:
        return moment(string(self.rotation, "nextTime"))

    @cached_property
    def history(self) -> tuple[RecordView, ...]:
        return tuple(_record(one) for one in self.rotation.get("history") or ())

    @property
    def retirements(self) -> tuple[RetirementView, ...]:
        return tuple(
            RetirementView(
                number(one, "below"), moment(string(one, "at")), emergency=one.get("emergency") is True
            )
            for one in self.rotation.get("retirements") or ()
        )

    @property
    def on_track(self) -> ConditionView | None:
        return self.workload.condition(ConditionType.ROTATION_ON_TRACK)

    @property
    def state(self) -> Word:
        """The reason of RotationOnTrack, or the word for there being none."""
        if self.on_track is not None:
            return Word(self.on_track.reason, self.on_track.mark)
        return Word("NotYetSeen" if self.latest else "NoKeyYet", Mark.PROGRESS)

    @property
    def needs_attention(self) -> bool:
        return self.state.mark in (Mark.WARNING, Mark.ERROR)

    @cached_property
    def versions(self) -> tuple[Versions, ...]:
        """All versions in order, the oldest first: each that something is known of for itself, the others in runs."""
        made = dict(self._made())
        users: dict[int, list[str]] = {}
        for one in self.data_keys:
            users.setdefault(one.key_version, []).append(one.name)
        known = {version for version in (*made, *users) if 0 < version <= self.latest}
        cuts = sorted(
            {1, self.latest + 1, self.latest}
            | {cut for cut in (self.available, self.minimum) if cut <= self.latest}
            | {cut for version in known for cut in (version, version + 1)}
        )
        return tuple(
            Versions(
                first=first,
                last=after - 1,
                state=self._state(after - 1),
                made=made.get(first),
                succeeded=made.get(after),
                users=tuple(sorted(users.get(first, ()))),
                retires=self._retires(after - 1),
            )
            for first, after in pairwise(cuts)
            if 0 < first < after
        )

    def _made(self) -> Iterator[tuple[int, datetime]]:
        """When versions were made, as far as status tells; of two answers for one the later is the better."""
        if self.made is not None:
            yield 1, self.made
        for record in self.history:
            # A customer's key material comes long after it was asked for, and what is rewrapped right after that.
            waited = self.custody == "customer-managed" and record.trigger != "External"
            made = record.finished if waited else record.started
            if made is not None:
                yield record.to_version, made
        rotated = moment(string(self.rotation, "rotatedAt"))
        if rotated is not None:
            yield number(self.rotation, "target"), rotated
        if self.latest_made is not None:
            yield self.latest, self.latest_made

    def _state(self, version: int) -> VersionState:
        if version < self.available:
            return VersionState.DESTROYED
        if version == self.latest:
            return VersionState.CURRENT
        return VersionState.RETIRED if version < self.minimum else VersionState.OLD

    def _retires(self, version: int) -> datetime | None:
        """When it retires; None if nothing is planned, or keepVersions keeps it, or may keep it and is not known."""
        if self._state(version) is not VersionState.OLD:
            return None
        kept = 1 if self.keep is None else self.latest - self.keep + 1
        due = [
            one.at
            for one in self.retirements
            if one.at is not None and version < (one.below if one.emergency else min(one.below, kept))
        ]
        return min(due, default=None)


def key_views(
    workloads: Sequence[WorkloadView], keep: Mapping[str, int] | None = None
) -> tuple[KeyView, ...]:
    """The keys of the workloads; `keep` has the keepVersions of policies by NAMESPACE/NAME."""
    views = (KeyView(workload) for workload in workloads)
    return tuple(KeyView(view.workload, (keep or {}).get(view.policy)) for view in views)


def number(source: Mapping[str, Any] | None, *path: str) -> int:
    """The number at a path of a JSON object, or 0."""
    at: Any = source
    for part in path:
        at = at.get(part) if isinstance(at, Mapping) else None
    return at if isinstance(at, int) else 0


def seconds(text: str) -> int | None:
    """The seconds in a length of time such as `72h`, `1h30m` or `7d`; None if it is none."""
    found = _DURATION.fullmatch(text)
    if not text or found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _record(raw: Mapping[str, Any]) -> RecordView:
    return RecordView(
        from_version=number(raw, "fromVersion"),
        to_version=number(raw, "toVersion"),
        trigger=string(raw, "trigger"),
        started=moment(string(raw, "startedAt")),
        finished=moment(string(raw, "finishedAt")),
        items=number(raw, "itemsRewrapped"),
        result=string(raw, "result"),
    )
