"""Desired state as a whole: the same every time, owned, in its own namespace, and free of what is secret."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureai_operator import names
from secureai_operator.api import reasons
from secureai_operator.api.workload import SecureAIWorkloadSpec
from secureai_operator.api.workload_status import DataKeyStatus, SecureAIWorkloadStatus
from secureai_operator.core.desired.binding_status import desired_binding
from secureai_operator.core.desired.claims import claim_verdict
from secureai_operator.core.desired.identity import desired_service_account
from secureai_operator.core.desired.placement import placement
from secureai_operator.core.facts import Rival
from tests.unit.samples import CONFIG, TDX, Json, facts, made_for, specs, workload

DATA_KEYS = tuple(
    DataKeyStatus(name=name, key_version=1, wrapped="vault:v1:" + "A" * 24) for name in ("b", "a", "c")
)


def shuffled(value: object) -> object:
    """The same JSON with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(inner) for key, inner in reversed(value.items())}
    return [shuffled(inner) for inner in value] if isinstance(value, list) else value


@given(specs, st.permutations(DATA_KEYS))
@settings(max_examples=50, deadline=None)
def test_the_same_spec_gives_the_same_objects_whatever_the_order_it_came_in(
    spec: Json, data_keys: list[DataKeyStatus]
) -> None:
    one = workload(spec, status=SecureAIWorkloadStatus(data_keys=DATA_KEYS))
    other = workload(shuffled(spec), status=SecureAIWorkloadStatus(data_keys=tuple(data_keys)))  # type: ignore[arg-type]
    before = [json.dumps(item.manifest) for item in made_for(one)]
    assert before == [json.dumps(item.manifest) for item in made_for(other)]
    assert before == [json.dumps(item.manifest) for item in made_for(one)]


@given(specs)
@settings(max_examples=50, deadline=None)
def test_everything_is_owned_labelled_and_in_the_workload_s_own_namespace(spec: Json) -> None:
    item = workload(spec, status=SecureAIWorkloadStatus(data_keys=DATA_KEYS))
    objects = made_for(item)
    places = [(one.resource.kind, one.name) for one in objects]
    assert len(set(places)) == len(places)
    for one in objects:
        metadata = one.manifest["metadata"]
        assert (metadata["name"], metadata["namespace"]) == (one.name, "team-a")
        assert (one.manifest["apiVersion"], one.manifest["kind"]) == (
            one.resource.api_version,
            one.resource.kind,
        )
        ours = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.WORKLOAD_LABEL: "llm"}
        assert ours.items() <= metadata["labels"].items()
        (owner,) = metadata["ownerReferences"]
        assert owner["uid"] == "uid-1"
        assert owner["controller"] is True
        # The deletion of the CR must not wait for its children.
        assert owner["blockOwnerDeletion"] is False


def test_the_account_has_no_standing_token() -> None:
    manifest = desired_service_account(workload()).manifest
    assert manifest["automountServiceAccountToken"] is False
    assert not {"secrets", "imagePullSecrets"} & set(manifest)


# What pods get ------------------------------------------------------------------------------------------------


def test_a_binding_names_only_what_exists() -> None:
    item = workload({"confidential": {"mode": "Required", "tolerations": [{"key": "tdx"}]}})
    place = placement(item, facts())
    bare = desired_binding(item, CONFIG, place, ready=False, keys=False, certificate=False)
    assert (bare.ready, bare.keys_secret_name, bare.tls_secret_name, bare.api_token) == (
        False,
        "",
        "",
        False,
    )
    full = desired_binding(item, CONFIG, place, ready=True, keys=True, certificate=True)
    assert (full.keys_secret_name, full.tls_secret_name) == ("saw-llm-keys", "saw-llm-tls")
    assert (full.service_account_name, full.audience) == ("saw-llm", "vault://main/team-a/llm")
    assert (full.node_selector, full.runtime_class_name) == (TDX, "kata-qemu-tdx")
    assert [toleration.key for toleration in full.tolerations] == ["tdx"]
    assert full.pod_labels == {names.WORKLOAD_LABEL: "llm"}


def test_pods_get_a_token_for_the_api_only_with_access() -> None:
    for access in (
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"roleRefs": [{"name": "a"}]},
    ):
        item = workload({"access": access})
        binding = desired_binding(
            item, CONFIG, placement(item, facts()), ready=True, keys=True, certificate=True
        )
        assert binding.api_token
        assert binding.token_expiration_seconds == 600


# Claims -------------------------------------------------------------------------------------------------------


def rival(
    labels: dict[str, str], created: str = "2025-01-01T00:00:00Z", name: str = "old"
) -> tuple[Rival, ...]:
    return (Rival(name, created, labels),)


@pytest.mark.parametrize(
    ("mine", "theirs", "claimed"),
    [
        ({"app": "a"}, {"app": "a"}, True),
        ({"app": "a", "tier": "x"}, {"app": "a"}, True),
        ({"app": "a"}, {"app": "a", "tier": "x"}, True),
        ({"app": "a"}, {"app": "b"}, False),
        ({"app": "a", "tier": "x"}, {"app": "a", "tier": "y"}, False),
    ],
)
def test_the_older_of_two_that_claim_the_same_pods_keeps_them(
    mine: dict[str, str], theirs: dict[str, str], claimed: bool
) -> None:
    item = workload({"podSelector": {"matchLabels": mine}})
    verdict = claim_verdict(item, facts(rivals=rival(theirs)))
    assert (verdict is not None) is claimed
    if verdict is not None:
        assert verdict.reason is reasons.PODS_CLAIMED_TWICE
        assert verdict.terminal
        assert "old" in verdict.message
    younger = rival(theirs, created="2027-01-01T00:00:00Z")
    assert claim_verdict(item, facts(rivals=younger)) is None


@given(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]), st.sampled_from(["1", "2"]))
def test_of_two_that_claim_the_same_pods_exactly_one_yields(one: str, other: str, created: str) -> None:
    first = replace(workload(name=f"x{one}", created=created), spec=_selecting())
    second = replace(workload(name=f"y{other}", created="1"), spec=_selecting())
    yields = [
        claim_verdict(mine, facts(rivals=(Rival(theirs.name, theirs.created, theirs.pod_labels),)))
        for mine, theirs in ((first, second), (second, first))
    ]
    assert sum(verdict is not None for verdict in yields) == 1


def _selecting() -> SecureAIWorkloadSpec:
    return workload({"podSelector": {"matchLabels": {"app": "a"}}}).spec


def test_the_default_labels_never_claim_another_s_pods() -> None:
    others = (Rival("other", "1", workload(name="other").pod_labels),)
    assert claim_verdict(workload(), facts(rivals=others)) is None
