"""Keys with a past, as the API server would hand them out, for the tests of what the verbs say and draw of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from secureai_operator.api.conditions import ConditionType, rfc3339
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.workloads import view
from tests.unit.cli.crs import workload

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
Json = dict[str, Any]


def ago(days: float) -> str:
    """The moment so many days ago as Kubernetes writes it; one to come if it is negative."""
    return rfc3339(NOW - days * DAY)


def record(to_version: int, days: float, trigger: str = "Scheduled", items: int = 1) -> Json:
    """A rotation of the history that took two seconds."""
    start = NOW - days * DAY
    return {
        "fromVersion": to_version - 1,
        "toVersion": to_version,
        "trigger": trigger,
        "startedAt": rfc3339(start),
        "finishedAt": rfc3339(start + timedelta(seconds=2)),
        "itemsRewrapped": items,
        "result": "Adopted" if trigger == "External" else "Done",
    }


def key(
    name: str = "llm",
    namespace: str = "team-a",
    *,
    latest: int = 1,
    minimum: int = 1,
    available: int = 0,
    rotated: tuple[float, ...] = (),
    made: float = 100,
    custody: str = "service-managed",
    data_keys: dict[str, int] | None = None,
    rotation: Json | None = None,
    status: Json | None = None,
    spec: Json | None = None,
    track: tuple[str, str] | None = ("True", "RotationScheduled"),
    keep: int | None = None,
    **others: Any,
) -> KeyView:
    """A key that was made `made` days ago and rotated on each of the days `rotated` ago; others go to `crs.workload`."""
    latest = max(latest, len(rotated) + 1)
    first = latest - len(rotated) + 1
    history = [record(first + place, days) for place, days in enumerate(rotated)]
    wraps = {"model": latest} if data_keys is None else data_keys
    content: Json = {
        "key": {
            "type": "aes256-gcm96",
            "custody": custody,
            "latestVersion": latest,
            "minDecryptionVersion": minimum,
            "minAvailableVersion": available,
            "latestVersionAt": ago(rotated[-1] if rotated else made),
            "createdAt": ago(made),
        },
        "dataKeys": [
            {"name": one, "keyVersion": version, "wrapped": f"vault:v{version}:c2VjcmV0", "generation": 1}
            for one, version in wraps.items()
        ],
        "rotation": {"phase": "Idle", "version": latest, "history": history, **(rotation or {})},
        **(status or {}),
    }
    changed = {**others.pop("changed", {})}
    if track is not None:
        changed[ConditionType.ROTATION_ON_TRACK] = track
    made_of = workload(changed, spec=spec, status=content, **others)
    metadata = {**made_of.raw["metadata"], "name": name, "namespace": namespace}
    return KeyView(view({**made_of.raw, "metadata": metadata}), keep)


def without_key(name: str = "llm", namespace: str = "team-a") -> KeyView:
    """A workload that the operator has not given a key yet."""
    made_of = workload()
    metadata = {**made_of.raw["metadata"], "name": name, "namespace": namespace}
    return KeyView(view({**made_of.raw, "metadata": metadata}))


def weekly(count: int, last: float = 3) -> tuple[float, ...]:
    """The days of so many rotations a week apart, the last one `last` days ago."""
    return tuple(last + 7 * place for place in range(count - 1, -1, -1))


def pictured() -> tuple[KeyView, ...]:
    """The fleet of the picture in docs/rotation.md."""
    by_weekly: Json = {"policy": "team-a/weekly"}
    emergency = [record(8 - place, days) for place, days in enumerate(reversed(weekly(7, 4)))]
    emergency = [*reversed(emergency[1:]), {**emergency[0], "trigger": "Emergency"}]
    waiting = {**by_weekly, "nextTime": ago(-4), "retirements": [{"below": 9, "at": ago(-1.5)}]}
    external = [record(2, 62), record(3, 20, "External")]
    manual = [record(2, 44), record(3, 30, "Manual"), record(4, 16)]
    return (
        key("llm", rotated=weekly(8), minimum=6, made=66, rotation=waiting, keep=3),
        key(
            "embeddings",
            rotated=weekly(7, 4),
            minimum=8,
            made=60,
            rotation={**by_weekly, "history": emergency, "nextTime": ago(-3)},
        ),
        key("prompt-cache", made=400, track=("True", "NoRotationPolicy")),
        key(
            "fraud-scoring",
            "team-b",
            rotated=(44, 30, 16),
            minimum=2,
            made=58,
            custody="customer-managed",
            rotation={"policy": "team-b/fortnightly", "history": manual, "nextTime": ago(2)},
            track=("Unknown", "AwaitingKeyMaterial"),
        ),
        key(
            "ranker",
            "team-b",
            rotated=(62, 20),
            made=70,
            data_keys={"features": 3, "index": 1},
            rotation={"policy": "team-b/monthly", "history": external, "nextTime": ago(-10)},
            track=("False", "RetirementUnproven"),
        ),
        without_key("vision", "team-b"),
    )
