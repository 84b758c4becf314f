"""Specs derived from the committed CRDs, without a cluster: what the schema takes is read, and whatever is read is built."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from secureai_operator.api import crd
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.controllers.policies import stored_policy
from secureai_operator.controllers.workloads import as_workload, stored
from secureai_operator.core.desired.access import access_verdict
from secureai_operator.core.desired.binding_status import desired_binding
from secureai_operator.core.desired.certificate import renewal_reason
from secureai_operator.core.desired.keys import encoded_context, missing_data_keys, spec_verdict
from secureai_operator.core.desired.placement import placement
from secureai_operator.core.desired.vault import desired_vault
from tests.faults.draws import drawn
from tests.faults.fleet import NAMESPACE_IN_SPECS
from tests.faults.schema import Change, Field, How, changes, spec_of
from tests.unit.samples import CONFIG, CONNECTION, NOW, certificate, facts, made_for

SEED = 7
SPECS = 500
CHANGES = 1000

Json = dict[str, Any]

KINDS = (
    pytest.param(crd.SECURE_AI_WORKLOAD, SecureAIWorkloadSpec, id="SecureAIWorkload"),
    pytest.param(crd.KEY_ROTATION_POLICY, KeyRotationPolicySpec, id="KeyRotationPolicy"),
)
_SEEDS: dict[str, list[Json]] = {
    "SecureAIWorkload": [{}],
    "KeyRotationPolicy": [{"selector": {}, "schedule": {"interval": "720h"}}],
}


def changed(kind: crd.Kind) -> list[Change]:
    """Changes of specs of the kind, near-misses among them."""
    return _changed(kind.name, kind.kind)


@cache
def _changed(crd_name: str, kind: str) -> list[Change]:
    whole = spec_of(crd_name)
    bases = [*_SEEDS[kind], *drawn(whole.valid, 20, SEED)]
    found = changes({f"base-{place}": base for place, base in enumerate(bases)}, whole, CHANGES, SEED)
    return [change for _, change in found]


def is_read(model: type[BaseModel], spec: object) -> bool:
    """Whether the model takes it; only its own refusal is no defect."""
    try:
        model.model_validate_json(json.dumps(spec))
    except ValidationError:
        return False
    return True


def raw(kind: crd.Kind, spec: object) -> Json:
    metadata = {
        "name": "llm", "namespace": NAMESPACE_IN_SPECS, "uid": "uid-1", "resourceVersion": "1", "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {"apiVersion": "secureai.dev/v1alpha1", "kind": kind.kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(("kind", "model"), KINDS)
def test_what_the_schema_takes_is_read(kind: crd.Kind, model: type[BaseModel]) -> None:
    specs = drawn(spec_of(kind.name).valid, SPECS, SEED)
    assert [spec for spec in specs if not is_read(model, spec)] == []
    assert len({json.dumps(spec, sort_keys=True) for spec in specs}) > SPECS / 2


def test_an_empty_context_of_a_data_key_is_none() -> None:
    """The API server takes it: the rules ask for a context that is not empty."""
    spec = SecureAIWorkloadSpec.model_validate({"keys": {"dataKeys": [{"name": "model", "context": ""}]}})
    assert encoded_context(spec.keys.data_keys[0].context) is None


@pytest.mark.parametrize(("kind", "model"), KINDS)
def test_what_the_schema_refuses_is_not_read(kind: crd.Kind, model: type[BaseModel]) -> None:
    refused = [change for change in changed(kind) if change.how is How.UNKNOWN]
    assert len(refused) > CHANGES / 20
    assert [change for change in refused if is_read(model, change.spec)] == []


@pytest.mark.parametrize(("kind", "model"), KINDS)
def test_every_field_is_changed_in_every_way(kind: crd.Kind, model: type[BaseModel]) -> None:
    whole: Field = spec_of(kind.name)
    found = {(change.where.split(":")[0], change.how) for change in changed(kind)}
    fields = {field.name for field in list(whole.walk())[1:]}
    assert fields - {name for name, _ in found} == set()
    assert {how for _, how in found} == set(How)
    assert model.model_fields


def test_whatever_is_read_is_built() -> None:
    """Every object, everything in Vault and what pods get: made of it without an error, or refused with a reason."""
    kind = crd.SECURE_AI_WORKLOAD
    specs = drawn(spec_of(kind.name).valid, SPECS, SEED + 1) + [change.spec for change in changed(kind)]
    read = [spec for spec in specs if is_read(SecureAIWorkloadSpec, spec)]
    assert len(read) > SPECS
    for spec in read:
        workload = as_workload(stored(raw(kind, spec)))
        known = facts()
        place = placement(workload, known)
        assert len(made_for(workload, known)) >= 1
        assert desired_vault(workload, CONFIG, CONNECTION).seal
        assert desired_binding(workload, CONFIG, place, ready=True, keys=True, certificate=True)
        renewal_reason(workload, certificate(), "ca", NOW, 0.5)
        for verdict in (access_verdict(workload, known), spec_verdict(workload, CONNECTION), place.verdict):
            assert verdict is None or verdict.reason.name
        assert len(missing_data_keys(workload)) == len(workload.spec.keys.data_keys)


def test_every_policy_is_stored_with_a_schedule_or_a_reason() -> None:
    kind = crd.KEY_ROTATION_POLICY
    specs = drawn(spec_of(kind.name).valid, SPECS, SEED + 1) + [change.spec for change in changed(kind)]
    for spec in specs:
        if isinstance(spec, dict):
            found = stored_policy(raw(kind, spec), "secureai-system")
            assert found.table is not None or found.problem is not None
