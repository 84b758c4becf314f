"""From one spec to another: what must be there afterwards, by what is there of a workload that was made so."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from secureai_operator.api import reasons
from secureai_operator.api.reasons import REASONS

Json = dict[str, Any]

_SUMMARY = ("Ready", "Reconciling", "Stalled")
EXPLAINED = frozenset(
    reason.name
    for reason in (
        reasons.AWAITING_KEY_MATERIAL,
        reasons.ROLE_NOT_FOUND,
        reasons.NO_TDX_NODES,
        reasons.RUNTIME_CLASS_MISSING,
        reasons.GPU_NOT_CC_READY,
        reasons.SUSPENDED,
    )
)
"""What somebody else has to bring, or asked for: not Ready, and not for ever so."""


def expected(fresh: Json, before: Json) -> Json:
    """The state of a workload that was `before` and is changed to what another was made as, which is `fresh`.

    The two differ in what the product promises to keep: data keys that the spec no longer names, everything while it is
    suspended, and the last good state of what a wrong spec cannot be given.
    """
    if _reason(fresh, "Ready") == reasons.SUSPENDED.name:
        return _suspended(fresh, before)
    wanted = copy.deepcopy(fresh)
    _keep_data_keys(wanted, before)
    _keep_lifetime(wanted, before)
    if _condition(fresh, "AccessGranted")[0] != "True":
        _keep(wanted, before, "Role", "RoleBinding")
    if _condition(fresh, "CertificateReady")[:2] == ["False", reasons.INVALID_SPEC.name]:
        _keep(wanted, before, "Secret saw-NAME-tls")
        wanted["status"]["certificate"] = before["status"]["certificate"]
    return wanted


def differences(wanted: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where two states differ, in words."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from differences(wanted.get(key), found.get(key), f"{path}.{key}")
    elif wanted != found:
        yield f"{path} is {found}, not {wanted}"


def unexplained(state: Json) -> Iterator[str]:
    """Why nobody could tell from the status what is the matter, or that there is something."""
    conditions = state["status"]["conditions"]
    for kind, (_, reason, _) in conditions.items():
        if reason not in REASONS or reason == reasons.INTERNAL_ERROR.name:
            yield f"{kind} has reason {reason}"
    ready, reason, message = _condition(state, "Ready")
    stalled = _condition(state, "Stalled")[0] == "True"
    if ready != "True" and not stalled and reason not in EXPLAINED:
        yield f"neither Ready nor Stalled: {reason}: {message}"
    if ready == "True" and stalled:
        yield "Ready and Stalled"
    if "lastDrift" in state["status"]:
        yield f"what the user asked for was taken for drift: {state['status']['lastDrift']}"


def _suspended(fresh: Json, before: Json) -> Json:
    wanted = copy.deepcopy(before)
    wanted["status"]["conditions"] |= {kind: fresh["status"]["conditions"][kind] for kind in _SUMMARY}
    return wanted


def _keep_data_keys(wanted: Json, before: Json) -> None:
    """A data key that was made stays, whatever the spec names now: what it encrypted may still be needed."""
    earlier = before["status"]["dataKeys"]
    if not earlier or not wanted["status"].get("key"):
        return
    place = "Secret saw-NAME-keys"
    wanted["status"]["dataKeys"] = {**earlier, **wanted["status"]["dataKeys"]}
    secret = wanted["objects"].setdefault(place, copy.deepcopy(before["objects"][place]))
    secret["holds"] = sorted({*secret["holds"], *before["objects"][place]["holds"]})
    if wanted["status"].get("rotation"):
        wanted["status"]["rotation"]["oldestVersionInUse"] = 1
    if wanted["status"].get("binding"):
        wanted["status"]["binding"]["keysSecretName"] = "saw-NAME-keys"


def _keep_lifetime(wanted: Json, before: Json) -> None:
    """A longer lifetime comes with the next certificate."""
    new, old = (state["objects"].get("Secret saw-NAME-tls", {}).get("holds") for state in (wanted, before))
    if isinstance(new, dict) and isinstance(old, dict):
        is_kept = all(new[field] == old[field] for field in ("dnsNames", "usages"))
        if is_kept and old["minutes"] < new["minutes"]:
            new["minutes"] = old["minutes"]


def _keep(wanted: Json, before: Json, *kinds: str) -> None:
    objects = wanted["objects"]
    for place in [place for place in objects if place.startswith(kinds)]:
        del objects[place]
    objects |= {place: item for place, item in before["objects"].items() if place.startswith(kinds)}


def _condition(state: Json, kind: str) -> list[str]:
    found: list[str] = state["status"]["conditions"].get(kind, ["Unknown", "", ""])
    return found


def _reason(state: Json, kind: str) -> str:
    return _condition(state, kind)[1]
