"""What the API server checks of a CR beyond types: CEL rules by the path of the field that they guard.

A rule's message tells the author what to change. The API server also tries rules on an object's default `{}` before it
fills in the fields, and inside list items defaults are never filled in (see `crd`): rules ask for optional fields softly. `namespace` is a reserved word of CEL and is written `__namespace__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secureai_operator import names
from secureai_operator.api.confidential import Platform
from secureai_operator.api.model import DNS_LABEL, DURATION
from secureai_operator.api.workload import DERIVING_KEY_TYPES, ENCRYPTING_KEY_TYPES

GRANTS_MAX = 24
"""Combinations of group, resource, name and verb: each costs one check of the author's own rights at admission."""

PLATFORMS_WITHOUT_GPU = (Platform.AKS, Platform.PEER_PODS)
"""Platforms on which the operator knows no confidential GPU; a test holds this together with the presets."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must be true, and what its author is told if it is not."""

    expression: str
    message: str
    covers_pattern: bool = False
    """It also says what the pattern of the field's type would: the author is told once."""

    field: str = ""
    """Path of the field that is to be changed, from the one that the rule is about, if it is another."""

    def schema(self) -> dict[str, str]:
        pointer = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.expression, "message": self.message, **pointer}


Rules = Mapping[str, tuple[Rule, ...]]


def cel(text: str) -> str:
    """The text as a CEL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _words(*words: str) -> str:
    return "[" + ", ".join(cel(word) for word in words) + "]"


def _duration_between(shortest: str, longest: str) -> Rule:
    return Rule(
        f"self.matches({cel(DURATION)}) && self != '' && "
        f"duration(self) >= duration('{shortest}') && duration(self) <= duration('{longest}')",
        f"must be from {shortest} to {longest}, in hours, minutes and seconds, such as {shortest} or {longest}",
        covers_pattern=True,
    )


def _immutable(what: str, why: str) -> Rule:
    return Rule("self == oldSelf", f"{what} cannot be changed: {why}")


NAME = Rule(
    f"self.metadata.name.size() <= {names.WORKLOAD_NAME_MAX} && self.metadata.name.matches({cel(DNS_LABEL)})",
    f"metadata.name must be a DNS label of at most {names.WORKLOAD_NAME_MAX} characters: lower-case letters, digits "
    "and '-', no dots; choose a shorter or simpler name",
    field=".metadata.name",
)

_OWN_POD_LABELS = (
    Rule(
        f"!has(self.spec) || !has(self.spec.podSelector) || !({cel(names.WORKLOAD_LABEL)} in "
        f"self.spec.podSelector.matchLabels) || self.spec.podSelector.matchLabels[{cel(names.WORKLOAD_LABEL)}] "
        "== self.metadata.name",
        f"spec.podSelector names another workload in {names.WORKLOAD_LABEL}: use this workload's own name there, "
        "or another label",
        field=".spec.podSelector.matchLabels",
    ),
    Rule(
        f"!has(self.spec) || !has(self.spec.podSelector) || !({cel(names.QUARANTINE_LABEL)} in "
        "self.spec.podSelector.matchLabels)",
        f"spec.podSelector cannot select by {names.QUARANTINE_LABEL}: that label isolates single pods; use another label",
        field=".spec.podSelector.matchLabels",
    ),
)

_KEY_STAYS = "the data is encrypted with this key; make a new workload and move the data to it"

_KEYS = (
    Rule(
        f"size(self.?dataKeys.orValue([])) == 0 || self.type in {_words(*sorted(ENCRYPTING_KEY_TYPES))}",
        f"keys of this type only sign and cannot wrap data keys: set type to one of "
        f"{', '.join(sorted(ENCRYPTING_KEY_TYPES))}, or remove dataKeys",
        field=".type",
    ),
    Rule(
        f"!self.?derived.orValue(false) || self.type in {_words(*sorted(DERIVING_KEY_TYPES))}",
        f"keys of this type cannot derive: set type to one of {', '.join(sorted(DERIVING_KEY_TYPES))}, or remove derived",
        field=".derived",
    ),
    Rule(
        "!has(self.dataKeys) || self.dataKeys.all(k, (k.?context.orValue('') != '') == self.?derived.orValue(false))",
        "a context goes with a derived key: with derived: true every data key needs one, without it none may have one",
        field=".dataKeys",
    ),
)

_BITS_STAY = Rule(
    "self.?bits.orValue(256) == oldSelf.?bits.orValue(256)",
    "bits of a data key cannot be changed: it would be another key; add a data key with another name instead",
)

_CONTEXT_STAYS = Rule(
    "has(self.context) == has(oldSelf.context) && (!has(self.context) || self.context == oldSelf.context)",
    "context of a data key cannot be changed: what is wrapped with the old one could not be unwrapped; add a data key with "
    "another name instead",
)

_DNS_NAME = Rule(
    "self.endsWith('.svc.cluster.local') ? self.split('.').size() >= 5 : "
    "self.endsWith('.svc') && self.split('.').size() >= 3",
    "must be a name inside the workload's own namespace: NAME.NAMESPACE.svc or NAME.NAMESPACE.svc.cluster.local",
)

_FORBIDDEN_VERBS = ("escalate", "bind", "impersonate")
_FORBIDDEN_CORE = (
    "secrets",
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/ephemeralcontainers",
    "pods/proxy",
    "services/proxy",
    "nodes/proxy",
    "serviceaccounts/token",
)
_FORBIDDEN_RBAC = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")

_ACCESS_RULES = (
    Rule(
        "self.map(r, size(r.apiGroups) * size(r.resources) * size(r.verbs) * "
        "(size(r.?resourceNames.orValue([])) > 0 ? size(r.resourceNames) : 1)).sum() <= "
        f"{GRANTS_MAX}",
        f"at most {GRANTS_MAX} combinations of group, resource, name and verb: put more into a Role and name it in roleRefs",
    ),
)

_ACCESS_RULE = (
    Rule(
        f"!self.verbs.exists(v, v in {_words(*_FORBIDDEN_VERBS)})",
        f"remove the verbs {', '.join(_FORBIDDEN_VERBS)}: with them a workload could give itself any right",
        field=".verbs",
    ),
    Rule(
        f"!('' in self.apiGroups) || !self.resources.exists(r, r in {_words(*_FORBIDDEN_CORE)})",
        f"remove {', '.join(_FORBIDDEN_CORE)}: they reach into other pods' data and identities; data keys come by "
        "spec.keys.dataKeys",
        field=".resources",
    ),
    Rule(
        "!('rbac.authorization.k8s.io' in self.apiGroups) || "
        f"!self.resources.exists(r, r in {_words(*_FORBIDDEN_RBAC)})",
        f"remove {', '.join(_FORBIDDEN_RBAC)}: a workload cannot have rights on rights",
        field=".resources",
    ),
    Rule(
        f"!('{names.GROUP}' in self.apiGroups) || !self.verbs.exists(v, !(v in ['get', 'list', 'watch']))",
        f"only get, list and watch are allowed on {names.GROUP}: a workload cannot change how it is secured",
        field=".verbs",
    ),
    Rule(
        "size(self.?resourceNames.orValue([])) == 0 || self.resources.exists(r, r.contains('/')) || "
        "!self.verbs.exists(v, v in ['create', 'deletecollection'])",
        "create and deletecollection cannot be limited by resourceNames and would grant nothing: put them into a "
        "rule without resourceNames",
        field=".resourceNames",
    ),
)

_ROLE_REF = (
    Rule(
        "!(self.name in ['cluster-admin', 'admin', 'edit']) && !self.name.startsWith('system:')",
        "cluster-admin, admin, edit and system: roles hold far more than a workload needs: name a role that holds "
        "what it uses",
        field=".name",
    ),
)

_PEER = (
    Rule(
        "has(self.workload) || has(self.__namespace__) || has(self.cidr) || size(self.?podLabels.orValue({})) > 0",
        "say who the peer is: workload, podLabels, namespace or cidr; an empty peer would mean everybody",
    ),
    Rule(
        "!has(self.cidr) || (!has(self.workload) && !has(self.__namespace__) && size(self.?podLabels.orValue({})) == 0)",
        "cidr stands alone: put workload, namespace and podLabels into a peer of their own",
    ),
    Rule(
        "!has(self.workload) || size(self.?podLabels.orValue({})) == 0",
        "use either workload or podLabels: a workload knows its own pods",
    ),
)

_CIDR = (
    Rule(
        "isCIDR(self)",
        "must be addresses in CIDR notation, such as 10.20.0.0/16; one address is 10.20.0.1/32",
        covers_pattern=True,
    ),
    Rule(
        "!isCIDR(self) || cidr(self) == cidr(self).masked()",
        "has bits set beyond its prefix: write the network's first address, such as 10.20.0.0/16",
    ),
)

_PORT = (
    Rule(
        "type(self) == int ? self >= 1 && self <= 65535 : "
        "self.matches('^[1-9][0-9]{0,4}/(TCP|UDP|SCTP)$') && int(self.split('/')[0]) <= 65535",
        'must be a number from 1 to 65535 for TCP, such as 443, or NUMBER/PROTOCOL in quotes, such as "53/UDP"; '
        "protocols are TCP, UDP and SCTP",
    ),
)

_TOLERATION = (
    Rule(
        "self.?operator.orValue('Exists') == 'Equal' || self.?value.orValue('') == ''",
        "a value needs operator: Equal; with Exists remove the value",
        field=".value",
    ),
)

_CONFIDENTIAL = (
    Rule(
        "!self.?gpu.confidential.orValue(false) || self.mode != 'Off'",
        "a confidential GPU needs a confidential node: set mode to Required or Preferred, or remove gpu.confidential",
        field=".mode",
    ),
    Rule(
        f"!self.?gpu.confidential.orValue(false) || !(self.platform in {_words(*PLATFORMS_WITHOUT_GPU)})",
        f"there is no confidential GPU on {' and '.join(PLATFORMS_WITHOUT_GPU)}: use another platform, or remove "
        "gpu.confidential",
        field=".platform",
    ),
)


def _network(direction: str, peers: str) -> Rules:
    path = f"spec.network.{direction}[]"
    return {
        f"{path}.{peers}[]": _PEER,
        f"{path}.{peers}[].cidr": _CIDR,
        f"{path}.ports[]": _PORT,
    }


WORKLOAD: Rules = {
    "": (NAME, *_OWN_POD_LABELS),
    "spec.vault.connection": (
        _immutable(
            "vault.connection", "the key stays in its Vault; make a new workload for another connection"
        ),
    ),
    "spec.keys": _KEYS,
    "spec.keys.custody": (_immutable("keys.custody", _KEY_STAYS),),
    "spec.keys.type": (_immutable("keys.type", _KEY_STAYS),),
    "spec.keys.derived": (_immutable("keys.derived", _KEY_STAYS),),
    "spec.keys.dataKeys[]": (_BITS_STAY, _CONTEXT_STAYS),
    "spec.certificate.ttl": (_duration_between("5m", "2160h"),),
    "spec.certificate.dnsNames[]": (_DNS_NAME,),
    "spec.access.tokenTTL": (_duration_between("10m", "24h"),),
    "spec.access.rules": _ACCESS_RULES,
    "spec.access.rules[]": _ACCESS_RULE,
    "spec.access.roleRefs[]": _ROLE_REF,
    **_network("ingress", "from"),
    **_network("egress", "to"),
    "spec.confidential": _CONFIDENTIAL,
    "spec.confidential.tolerations[]": _TOLERATION,
}


_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _cron_field(number: str, names_in_order: tuple[str, ...] = ()) -> str:
    """Numbers, names, ranges of either, lists and steps; a range of names goes forwards, one of numbers `_CRON` checks."""
    ranges = [rf"({number})(-({number}))?"]
    for place, name in enumerate(names_in_order):
        ranges.append(rf"{name}(-({'|'.join(names_in_order[place:])}))?")
    part = rf"(\*|{'|'.join(ranges)})(/[1-9][0-9]?)?"
    return f"{part}(,{part})*"


CRON = (
    "(?i)^"
    + " +".join(
        (
            _cron_field("[0-5]?[0-9]"),
            _cron_field("[01]?[0-9]|2[0-3]"),
            _cron_field("0?[1-9]|[12][0-9]|3[01]"),
            _cron_field("0?[1-9]|1[0-2]", _MONTHS),
            _cron_field("[0-7]", _DAYS),
        )
    )
    + "$"
)
"""Five fields of numbers, names, ranges, lists and steps."""

CRON_RANGE = "[0-9]+-[0-9]+"

_LATE_DAY = "3[01](/[0-9]+)?"
_FEBRUARY = "(0?2|feb)"
_SHORT_MONTH = "(0?[2469]|11|feb|apr|jun|sep|nov)"
CRON_NEVER = (
    r"(?i)^[^ ]+ +[^ ]+ +"
    rf"({_LATE_DAY}([,-]{_LATE_DAY})* +{_FEBRUARY}(,{_FEBRUARY})*"
    rf"|31(/[0-9]+)?(,31(/[0-9]+)?)* +{_SHORT_MONTH}(,{_SHORT_MONTH})*)"
    r" +\*"
)
"""Days that none of the months has, with any day of the week."""

CRON_HOURLY = "^[0-5]?[0-9] "
"""One minute of the hour."""

_CRON = (
    Rule(
        f"self.matches({cel(CRON)})",
        "must be five fields: minute (0-59), hour (0-23), day of month (1-31), month (1-12 or jan-dec) and day of week "
        "(0-7 or sun-sat), such as 0 3 * * 0 for Sundays at three; ranges go forwards",
    ),
    Rule(
        f"!self.matches({cel(CRON)}) || "
        f"self.findAll({cel(CRON_RANGE)}).all(r, int(r.split('-')[0]) <= int(r.split('-')[1]))",
        "has a range that goes backwards: write two, such as 22-23,0-4 for 22-4",
    ),
    Rule(
        f"!self.matches({cel(CRON_NEVER)})",
        "never comes: none of the months has these days",
    ),
)

_CRON_HOURLY = (
    *_CRON,
    Rule(
        f"!self.matches({cel(CRON)}) || self.matches({cel(CRON_HOURLY)})",
        "a key rotates at most once an hour: the first field must be one minute, such as 0 */6 * * *",
    ),
)

_TIME_ZONE = (
    Rule(
        "self != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",
        "must be a time zone by its IANA name, such as UTC or Europe/Berlin",
        covers_pattern=True,
    ),
)

_SCHEDULE = (
    Rule(
        "has(self.cron) != has(self.interval)",
        "set exactly one of cron and interval",
    ),
    Rule(
        "!has(self.interval) || !has(self.jitter) || duration(self.jitter) < duration(self.interval)",
        "jitter must be shorter than interval",
        field=".jitter",
    ),
)

KEY_ROTATION: Rules = {
    "": (NAME,),
    "spec.schedule": _SCHEDULE,
    "spec.schedule.cron": _CRON_HOURLY,
    "spec.schedule.timeZone": _TIME_ZONE,
    "spec.schedule.interval": (_duration_between("1h", "87600h"),),
    "spec.schedule.jitter": (_duration_between("1s", "168h"),),
    "spec.schedule.startingDeadline": (_duration_between("1m", "720h"),),
    "spec.windows[].start": _CRON,
    "spec.windows[].duration": (_duration_between("5m", "168h"),),
    "spec.retire.after": (_duration_between("1s", "87600h"),),
    "spec.retire.canary": (_duration_between("1s", "8760h"),),
}
