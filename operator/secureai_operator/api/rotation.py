"""KeyRotationPolicy: when the keys of the selected workloads rotate, and how old versions retire."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from secureai_operator.api.model import ApiModel, Duration, LabelKey, LabelValue, StatusModel, Timestamp, text
from secureai_operator.api.workload_status import Condition


class LabelSelector(ApiModel):
    """A selector by labels; an empty one selects everything."""

    match_labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        max_length=8,
        description="Labels that must all be there; empty selects everything.",
        examples=[{"tier": "prod"}],
    )


TimeZone = Annotated[
    str,
    text(
        r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$",
        "must be a time zone by its IANA name, such as UTC or Europe/Berlin",
        max_length=64,
    ),
]


class Schedule(ApiModel):
    """When to rotate: exactly one of cron and interval."""

    cron: Annotated[str, Field(max_length=128)] | None = Field(
        default=None,
        description="Cron expression of five fields: minute, hour, day of month, month, day of week.",
        examples=["0 3 * * 0"],
    )
    time_zone: TimeZone = Field(
        default="UTC", description="IANA time zone of cron and windows.", examples=["Europe/Berlin"]
    )
    interval: Duration | None = Field(
        default=None,
        description="Age of a key at which it rotates, in hours, minutes and seconds, at least 1h.",
        examples=["720h"],
    )
    jitter: Duration | None = Field(
        default=None,
        description="Rotations are spread over this time after they are due, in hours, minutes and seconds.",
        examples=["30m"],
    )
    starting_deadline: Duration | None = Field(
        default=None,
        description="A rotation that could not start this long after it was due waits for the next time, in hours, "
        "minutes and seconds.",
        examples=["6h"],
    )


class Window(ApiModel):
    """A maintenance window: rotations start only inside one."""

    start: Annotated[str, Field(max_length=128)] = Field(
        description="Cron expression of the window's start.", examples=["0 1 * * *"]
    )
    duration: Duration = Field(description="Length in hours, minutes and seconds.", examples=["4h"])


class Retire(ApiModel):
    """How old key versions leave."""

    after: Duration = Field(
        default="72h",
        description="Time that an old version still decrypts after everything was rewrapped, in hours, minutes and seconds.",
        examples=["72h"],
    )
    keep_versions: int = Field(
        default=3,
        ge=1,
        le=100,
        description="Versions that never retire, counted from the latest.",
        examples=[3],
    )
    canary: Duration = Field(
        default="24h",
        description="Time after versions retired in which a decrypt that fails brings them back, in hours, minutes and seconds.",
        examples=["24h"],
    )
    trim: bool = Field(
        default=False,
        description="Also destroy retired versions for ever; needs the operator's retire role and proof of disuse.",
        examples=[False],
    )


class Limits(ApiModel):
    """How many rotations at once."""

    max_concurrent: int = Field(
        default=20, ge=1, le=1000, description="Rotations under way at once.", examples=[20]
    )
    per_second: int = Field(
        default=50, ge=1, le=1000, description="Rotations started per second.", examples=[50]
    )


class KeyRotationPolicySpec(ApiModel):
    """Which workloads' keys rotate, when, and how old versions retire."""

    selector: LabelSelector = Field(
        description="Workloads of the policy's namespace, by their labels; {} selects all of them, and has to be written.",
        examples=[{"matchLabels": {"tier": "prod"}}],
    )
    namespace_selector: LabelSelector | None = Field(
        default=None,
        description="Namespaces by their labels; only for policies in the operator's own namespace.",
        examples=[{"matchLabels": {"env": "prod"}}],
    )
    schedule: Schedule = Field(
        description="When to rotate.", examples=[{"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"}]
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="Maintenance windows; none means always.",
        examples=[[{"start": "0 1 * * *", "duration": "4h"}]],
    )
    retire: Retire = Field(
        default_factory=Retire, description="How old versions retire.", examples=[{"after": "72h"}]
    )
    limits: Limits = Field(
        default_factory=Limits, description="How many at once.", examples=[{"maxConcurrent": 20}]
    )
    priority: int = Field(
        default=0,
        ge=-1000,
        le=1000,
        description="Of two policies that select one workload the higher wins; of equal ones the older.",
        examples=[0],
    )
    suspend: bool = Field(default=False, description="Plan and rotate nothing.", examples=[False])
    dry_run: bool = Field(
        default=False, description="Say in status what would happen, and do nothing.", examples=[False]
    )


class PolicyRun(StatusModel):
    """Rotations that the policy made together: from when the first became due until none was left to do."""

    started_at: Timestamp = Field(
        description="When the first was planned (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    finished_at: Timestamp | None = Field(
        default=None,
        description="When none was left to do (RFC 3339).",
        examples=["2026-01-31T12:00:20Z"],
    )
    rotated: int = Field(default=0, description="Workloads whose key rotated.", examples=[20])
    failed: int = Field(default=0, description="Workloads whose key did not, as the run ended.", examples=[0])
    requested: bool = Field(
        default=False, description="Whether somebody asked for it, and not the schedule.", examples=[False]
    )


class PlannedAction(StrEnum):
    """What a policy on dry run would do with a workload now."""

    ROTATE = "Rotate"
    WAIT = "Wait"
    SKIP = "Skip"


class DryRunItem(StatusModel):
    """What would happen to one workload."""

    workload: Annotated[str, Field(max_length=320)] = Field(
        description="The workload, as NAMESPACE/NAME.", examples=["team-a/llm"]
    )
    action: PlannedAction = Field(description="Rotate, Wait or Skip.", examples=["Rotate"])
    at: Timestamp | None = Field(
        default=None, description="When (RFC 3339), if that is known.", examples=["2026-01-31T12:00:00Z"]
    )
    from_version: int = Field(default=0, description="Latest version of its key now.", examples=[1])
    why: Annotated[str, Field(max_length=256)] = Field(
        default="", description="What decides about it.", examples=["scheduled for 2026-01-31T12:00:00Z"]
    )


class KeyRotationPolicyStatus(StatusModel):
    """What the policy did and will do. selected = current + pending + inProgress + failed + skipped + masked."""

    observed_generation: int = Field(
        default=-1,
        description="The generation of the spec that this status speaks of; -1 before the first look.",
        examples=[1],
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        description="Conditions; Ready sums them up.",
        examples=[[{"type": "Ready", "status": "True"}]],
    )
    next_time: Timestamp | None = Field(
        default=None, description="Next planned rotation (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    last_time: Timestamp | None = Field(
        default=None, description="Last rotation (RFC 3339).", examples=["2026-01-31T12:00:00Z"]
    )
    selected: int = Field(default=0, description="Workloads that the policy selects.", examples=[3])
    current: int = Field(
        default=0,
        description="Of them, the workloads whose key is as young as the policy wants it.",
        examples=[3],
    )
    pending: int = Field(
        default=0,
        description="Workloads whose rotation is due and waits for a place or a window.",
        examples=[0],
    )
    in_progress: int = Field(default=0, description="Workloads whose rotation is under way.", examples=[0])
    failed: int = Field(
        default=0,
        description="Workloads whose rotation cannot go on; their own status says why.",
        examples=[0],
    )
    skipped: int = Field(
        default=0,
        description="Workloads that are passed over: too late for their starting deadline.",
        examples=[0],
    )
    masked: int = Field(default=0, description="Workloads that another policy rules.", examples=[0])
    masked_by: tuple[str, ...] = Field(
        default=(),
        max_length=5,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The policies that rule them, as NAMESPACE/NAME, those that rule most first.",
        examples=[["team-a/strict"]],
    )
    rotated: int = Field(
        default=0,
        description="Workloads that rotated in the run that is under way, or in the last one.",
        examples=[3],
    )
    request_id: Annotated[str, Field(max_length=256)] = Field(
        default="",
        description="The last value of the annotation secureai.dev/rotate that was acted on.",
        examples=["2026-01-31-audit"],
    )
    requested_at: Timestamp | None = Field(
        default=None,
        description="When that was seen (RFC 3339): every key that is older rotates.",
        examples=["2026-01-31T12:00:00Z"],
    )
    run: PolicyRun | None = Field(
        default=None,
        description="The run that is under way.",
        examples=[{"startedAt": "2026-01-31T12:00:00Z"}],
    )
    history: tuple[PolicyRun, ...] = Field(
        default=(),
        max_length=10,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="The last runs, oldest first.",
        examples=[[{"startedAt": "2026-01-31T12:00:00Z", "rotated": 20}]],
    )
    dry_run: tuple[DryRunItem, ...] = Field(
        default=(),
        max_length=20,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What spec.dryRun keeps from happening: the first twenty workloads, the next due first.",
        examples=[[{"workload": "team-a/llm", "action": "Rotate"}]],
    )
