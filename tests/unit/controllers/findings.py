"""What a pass may find, for tests of what is said about it: every outcome of both halves, good and bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hypothesis import strategies as st

from secureai_operator import errors
from secureai_operator.api import reasons
from secureai_operator.api.conditions import ConditionType as C
from secureai_operator.api.vault_types import KeyState, VaultHealth, VaultStatus
from secureai_operator.api.workload_status import DataKeyStatus, DriftStatus
from secureai_operator.clients.kube import ScopedKube
from secureai_operator.clients.vault_api import VaultApi
from secureai_operator.controllers.assessment import Found
from secureai_operator.controllers.kubernetes_side import Outcome, kube_verdict
from secureai_operator.controllers.memory import Memory
from secureai_operator.controllers.vault_side import VaultOutcome, VaultSide, vault_verdict
from secureai_operator.core.desired.access import access_verdict
from secureai_operator.core.desired.claims import claim_verdict
from secureai_operator.core.desired.keys import key_status, key_verdict, spec_verdict
from secureai_operator.core.desired.placement import placement
from secureai_operator.core.desired.vault import desired_vault
from secureai_operator.core.facts import ClusterFacts, Facts, Rival, Workload
from secureai_operator.core.verdict import Verdict
from tests.unit.samples import (
    CEILING,
    CONFIG,
    CONNECTION,
    CUSTOMERS,
    NOW,
    TDX_CLUSTER,
    certificate,
    cluster,
    facts,
    key_state,
    node,
    pod,
)

DATA_KEY = DataKeyStatus(name="model", key_version=1, wrapped="vault:v1:" + "A" * 24)
KUBE_ERRORS = (
    errors.KubeConflict("KubernetesUnavailable", "x"),
    errors.KubeUnavailable("KubernetesUnavailable", "x", 1.0),
    errors.KubeForbidden("OperatorForbidden", "x"),
    errors.KubeInvalid("KubernetesRefused", "x"),
    errors.WaitForUser("NameConflict", "Role saw-llm exists and is not this workload's"),
)
VAULT_ERRORS = (
    *(
        errors.VaultUnavailable(reason, "x")
        for reason in (
            "VaultUnreachable",
            "VaultTimeout",
            "VaultSealed",
            "VaultNotInitialized",
            "VaultRateLimited",
        )
    ),
    errors.VaultDenied("VaultForbidden", "x"),
    errors.VaultDenied("VaultLoginFailed", "x"),
    errors.VaultRefused("VaultRejected", "x"),
    errors.VaultUncertain("VaultTimeout", "x"),
    errors.KubeUnavailable("KubernetesUnavailable", "x"),
)
HEALTHY = VaultHealth(VaultStatus.HEALTHY, 0.0)
SICK = (
    VaultHealth(VaultStatus.UNREACHABLE, 0.0, "VaultUnreachable"),
    VaultHealth(VaultStatus.SEALED, 0.0, "VaultSealed"),
    VaultHealth(VaultStatus.DENIED, 0.0, "VaultForbidden"),
    VaultHealth(VaultStatus.RATE_LIMITED, 0.0, "VaultRateLimited"),
)
NOT_ASKED = VaultHealth(VaultStatus.UNKNOWN, 0.0)

KEYS: tuple[KeyState | None, ...] = (
    key_state(),
    None,
    key_state(exportable=True),
    key_state(type="ed25519"),
    key_state(versions={1: 7}),
    key_state(latest_version=0),
)


def drift(kind: str = "Role", field: str = "rules", action: str = "Healed") -> DriftStatus:
    return DriftStatus.model_validate(
        {"time": "2026-01-31T11:00:00Z", "kind": kind, "name": "saw-llm", "field": field, "action": action}
    )


async def _no_record() -> bool:
    return False


def vault_side(item: Workload, memory: Memory | None = None) -> VaultSide:
    """A Vault half that nothing is asked of: only what it wants counts here."""
    return VaultSide(
        vault=cast("VaultApi", None),
        kube=cast("ScopedKube", None),
        workload=item,
        desired=desired_vault(item, CONFIG, CONNECTION),
        memory=memory or Memory(item.uid),
        now=NOW,
        on_drift=lambda *_: None,
        on_security=lambda *_: None,
        is_held=cast("Any", None),
        has_record=_no_record,
    )


def healthy_vault(item: Workload, key: KeyState | None = None) -> VaultOutcome:
    return vault_outcome(item, key or key_state())


def vault_outcome(item: Workload, key: KeyState | None, **others: Any) -> VaultOutcome:
    verdict = key_verdict(item, key)
    replaced = verdict.reason is reasons.KEY_REPLACED
    status = item.status.key if key is None or replaced else key_status(item, key)
    fields = {"data_keys": item.status.data_keys, **others}
    return VaultOutcome(key=verdict, key_status=status, **fields)


def all_good(item: Workload, known: Facts | None = None) -> Found:
    """A pass that found everything as it must be."""
    return Found(
        place=placement(item, known or facts()),
        connection=CONNECTION,
        health=HEALTHY,
        side=vault_side(item),
        vault=healthy_vault(item),
        certificate=certificate(),
        renew_at=float(certificate().not_before + 57600),
    )


# Everything that may be found ---------------------------------------------------------------------------------

_concerns = st.sampled_from([C.IDENTITY_READY, C.ACCESS_GRANTED, C.NETWORK_ISOLATED])
_kube_verdicts = st.sampled_from([kube_verdict(error, ("Role", "saw-llm")) for error in KUBE_ERRORS])
_vault_verdicts = st.sampled_from([vault_verdict(error) for error in VAULT_ERRORS])


def _outcomes(concerns: st.SearchStrategy[C]) -> st.SearchStrategy[Outcome]:
    return st.builds(
        Outcome,
        failures=st.dictionaries(concerns, _kube_verdicts, max_size=2),
        drift=st.sampled_from([None, drift(), drift(action="Reported"), drift(field="")]),
        standing=st.dictionaries(concerns, st.just("Role saw-llm: rules"), max_size=1),
        contended=st.sampled_from(["", "", "Role saw-llm"]),
    )


_clusters = st.sampled_from([TDX_CLUSTER, ClusterFacts(), cluster(), cluster(node(keys=1), in_use=1)])
_pods = st.sampled_from([(), (pod(),), (pod("a"), pod("b", "it has no identity token for Vault"))])
_rivals = st.sampled_from([(), (), (Rival("old", "1", {"secureai.dev/workload": "llm"}),)])
_roles = st.sampled_from([{}, {("Role", "reader"): CEILING}])


@st.composite
def facts_of(draw: st.DrawFn) -> Facts:
    return facts(
        cluster=draw(_clusters), pods=draw(_pods), rivals=draw(_rivals), referenced_roles=draw(_roles)
    )


@st.composite
def found_for(draw: st.DrawFn, item: Workload, known: Facts) -> Found:
    """What a pass over the workload may find, whatever breaks."""
    mode = draw(st.sampled_from(["pass"] * 8 + ["suspended", "terminating"]))
    if mode != "pass":
        return Found(suspended=mode == "suspended", terminating=mode == "terminating")
    found = Found(
        place=placement(item, known),
        access=access_verdict(item, known),
        claimed=claim_verdict(item, known),
        kubernetes=draw(_outcomes(_concerns)),
        secrets=draw(_outcomes(st.sampled_from([C.KEY_READY, C.CERTIFICATE_READY]))),
    )
    if draw(st.integers(0, 5)) == 0:
        found.connections = ("default",)
        return found
    found.connection = draw(st.sampled_from([CONNECTION, CONNECTION, CUSTOMERS]))
    found.health = draw(st.sampled_from([HEALTHY, HEALTHY, NOT_ASKED, *SICK]))
    found.side = vault_side(item)
    # Of whoever holds the Vault, as if the custody went with it.
    found.keys = spec_verdict(item, CONNECTION)
    found.certificate = draw(
        st.sampled_from(
            [
                None,
                certificate(),
                certificate(intact=False),
                certificate(not_after=1),
                certificate(serial="2"),
            ]
        )
    )
    found.certificate_failure = draw(st.none() | _vault_verdicts)
    found.renew_at = draw(st.sampled_from([0.0, 1769900000.0]))
    if draw(st.booleans()):
        found.vault_error = draw(st.sampled_from(VAULT_ERRORS))
        return found
    if draw(st.booleans()):
        found.vault = _drawn_vault(draw, item)
    return found


def _drawn_vault(draw: st.DrawFn, item: Workload) -> VaultOutcome:
    failures: dict[C, Verdict] = draw(
        st.dictionaries(
            st.sampled_from([C.IDENTITY_READY, C.KEY_READY, C.CERTIFICATE_READY]), _vault_verdicts, max_size=1
        )
    )
    data_keys = draw(st.sampled_from([item.status.data_keys, (DATA_KEY,)]))
    outcome = vault_outcome(item, draw(st.sampled_from(KEYS)), failures=failures, data_keys=data_keys)
    outcome.drift = draw(
        st.sampled_from([None, drift("VaultPolicy", "policy"), drift("VaultPolicy", "", "Reported")])
    )
    return replace(outcome, key=None) if draw(st.integers(0, 5)) == 0 else outcome
