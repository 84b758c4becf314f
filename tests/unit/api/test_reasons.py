"""The registry of reasons: complete, used, and every verdict of the product is one of its rows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.reasons import REASONS, Reason, Severity

PACKAGE = Path(reasons.__file__).parents[1]
SOURCES = {path: path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "reasons.py"}
CONSTANTS = {name: value for name, value in vars(reasons).items() if isinstance(value, Reason)}
CONCERNS = {
    "key_verdict": C.KEY_READY,
    "key_awaited_verdict": C.KEY_READY,
    "_still_locked": C.KEY_READY,
    "spec_verdict": C.KEY_READY,
    "data_key_verdict": C.KEY_READY,
    "_key": C.KEY_READY,
    "access_verdict": C.ACCESS_GRANTED,
    "_access": C.ACCESS_GRANTED,
    "claim_verdict": C.PODS_BOUND,
    "_pods": C.PODS_BOUND,
    "placement": C.CONFIDENTIAL_SCHEDULABLE,
    "_wanted": C.CONFIDENTIAL_SCHEDULABLE,
    "_node_verdict": C.CONFIDENTIAL_SCHEDULABLE,
    "_runtime_verdict": C.CONFIDENTIAL_SCHEDULABLE,
    "_keys_verdict": C.CONFIDENTIAL_SCHEDULABLE,
    "_identity": C.IDENTITY_READY,
    "_certificate": C.CERTIFICATE_READY,
    "_network": C.NETWORK_ISOLATED,
    "_vault": C.VAULT_REACHABLE,
    "_drift": C.DRIFT_DETECTED,
    "_rotation": C.ROTATION_ON_TRACK,
    "_withdrawn": C.IDENTITY_READY,
    "room_verdict": C.ROTATION_ON_TRACK,
    "_scheduled": C.ROTATION_ON_TRACK,
    "rotation_verdict": C.ROTATION_ON_TRACK,
    "_archive_is_full": C.ROTATION_ON_TRACK,
    "_trim": C.ROTATION_ON_TRACK,
    "_held": C.ROTATION_ON_TRACK,
    "_unproven": C.ROTATION_ON_TRACK,
    "advance": C.ROTATION_ON_TRACK,
    "_conditions": C.STALLED,
    "_ready": C.READY,
    "_reconciling": C.RECONCILING,
    "_stalled": C.STALLED,
}
"""The condition that each function judges."""
ANY_CONCERN = {
    "_vault_problem",
    "_not_configured",
    "_refused",
    "lock_verdict",
    "kube_verdict",
    "vault_verdict",
}
"""Functions whose verdict any concern that needs Vault, or an object, may carry."""
FOR_ANY = (C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY)


def verdicts() -> Iterator[tuple[str, Reason]]:
    """Every reason that a function of core or controllers makes a verdict of, with the function's name."""
    for path, text in SOURCES.items():
        if path.parent.name not in ("core", "desired", "rotation", "controllers"):
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from ((function.name, reason) for reason in _made_in(function))


def _made_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Reason]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            if call.func.id not in ("good", "bad", "unknown", "Verdict"):
                continue
            for argument in call.args:
                if isinstance(argument, ast.Attribute) and argument.attr in CONSTANTS:
                    yield CONSTANTS[argument.attr]


FOUND = sorted({(function, reason.name) for function, reason in verdicts()})


def test_the_walk_finds_them() -> None:
    assert len(FOUND) > 40
    assert ("key_verdict", "KeyLost") in FOUND


@pytest.mark.parametrize(("function", "name"), FOUND)
def test_every_verdict_s_reason_is_registered_for_its_condition(function: str, name: str) -> None:
    conditions = REASONS[name].conditions
    if function in CONCERNS:
        assert CONCERNS[function] in conditions
    elif function in ANY_CONCERN:
        assert set(FOR_ANY) <= set(conditions)
    else:
        # Left are those that say it of every concern, or of what was said before.
        assert C.READY in conditions, f"{function}: say in this test which condition it judges"


def test_every_reason_is_used() -> None:
    everything = "\n".join(SOURCES.values())
    unused = [
        name
        for name, reason in CONSTANTS.items()
        if not re.search(rf"\breasons\.{name}\b|[\"']{reason.name}[\"']", everything)
    ]
    assert not unused


def test_every_reason_named_in_an_error_is_registered() -> None:
    pattern = re.compile(
        r"errors?\.\w+\(\s*\"(\w+)\"|(?:Kube|Vault)(?:Unavailable|Conflict|Forbidden|Invalid|Expired|NotFound"
        r"|Throttled|Denied|Refused|Uncertain)\(\s*\"(\w+)\"|^[A-Z_]+ = \"((?:Vault|Kubernetes|Operator)[A-Z]\w+)\"",
        re.MULTILINE,
    )
    named = {
        next(filter(None, match))
        for path, text in SOURCES.items()
        if path.parent.name in ("clients", "controllers")
        for match in pattern.findall(text)
    }
    assert {"VaultForbidden", "KubernetesUnavailable"} <= named
    assert named <= set(REASONS)


def test_every_row_is_complete_and_readable() -> None:
    for name, reason in REASONS.items():
        assert name == reason.name
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name)
        assert len(name) <= 64
        for text in (reason.meaning, reason.cause, reason.next_step):
            assert text.endswith((".", "`")), (name, text)
    assert {constant.name for constant in CONSTANTS.values()} == set(REASONS)


def test_what_is_good_asks_nothing_of_anybody_and_what_is_bad_does() -> None:
    for reason in REASONS.values():
        if reason.severity in (Severity.ERROR, Severity.SECURITY):
            assert reason.next_step != "Nothing to do.", reason.name


def test_a_reason_cannot_be_registered_twice() -> None:
    row = REASONS["KeyLost"]
    with pytest.raises(ValueError, match="twice"):
        reasons._reason(row.name, row.conditions, row.severity, "a", "b", "c")
    assert REASONS["KeyLost"] is row
