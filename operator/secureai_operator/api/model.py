"""What all API models share: their base class and the string types of the Kubernetes conventions."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
"""Each part has at most 63 characters: Vault signs no other name."""
DURATION = r"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$"

SAYS = "x-secureai-says"
"""Schema keyword: what to write instead, for a string that its pattern refuses. `crd` makes it a CEL rule's message."""

_DURATION_PARTS = re.compile(r"(\d+)([hms])")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


class ApiModel(BaseModel):
    """Immutable, camelCase outside, and closed: an unknown field is an error."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )


class StatusModel(ApiModel):
    """Status is read back from the server: fields of another version of the operator are ignored."""

    model_config = ConfigDict(extra="ignore")


def seconds(duration: str) -> int:
    """The seconds in a Kubernetes duration of hours, minutes and seconds, such as `1h30m`."""
    return sum(int(amount) * _SECONDS[unit] for amount, unit in _DURATION_PARTS.findall(duration))


def _positive(duration: str) -> str:
    if seconds(duration) <= 0:
        raise ValueError("must be longer than 0s, such as 10m or 1h30m")
    return duration


def text(pattern: str, says: str, *, max_length: int, min_length: int | None = None) -> Any:
    """A string's pattern and size, and what to tell the author of one that does not fit."""
    return Field(
        pattern=pattern, min_length=min_length, max_length=max_length, json_schema_extra={SAYS: says}
    )


_LABEL_RULE = "a DNS label: lower-case letters, digits and '-', with a letter or digit at both ends"

Duration = Annotated[
    str,
    text(
        DURATION,
        "must be hours, minutes and seconds in this order and longer than 0s, such as 24h, 1h30m or 90s",
        min_length=2,
        max_length=24,
    ),
    AfterValidator(_positive),
]
"""Hours, minutes and seconds, in this order: `24h`, `1h30m`, `90s`."""

DnsLabel = Annotated[str, text(DNS_LABEL, f"must be {_LABEL_RULE}", min_length=1, max_length=63)]
DnsSubdomain = Annotated[
    str,
    text(
        DNS_SUBDOMAIN,
        f"must be a DNS name without wildcards, each part of it {_LABEL_RULE}, and at most 63 of them",
        min_length=1,
        max_length=253,
    ),
]
LabelKey = Annotated[
    str,
    text(
        # Kubernetes' own rule: a workload with another key would be accepted, and every list of its pods refused.
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        "must be a label key such as app or example.com/app: letters, digits, '-', '_' and '.', "
        "with a letter or digit at both ends, and at most 63 of them after the '/'",
        max_length=253,
    ),
]
LabelValue = Annotated[
    str,
    text(
        r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        "must be a label value: empty, or letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        max_length=63,
    ),
]
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=32)]
"""RFC 3339 in UTC with seconds, such as 2026-01-31T12:00:00Z."""
