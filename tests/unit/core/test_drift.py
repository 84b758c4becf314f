"""Drift: what the API server returns of our own is none, and any change of an owned part is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from secureai_operator import names
from secureai_operator.api.workload_status import DataKeyStatus, SecureAIWorkloadStatus
from secureai_operator.core.desired.objects import DesiredObject
from secureai_operator.core.drift import (
    PARTS,
    controller_uid,
    differing_parts,
    digest,
    foreign_entries,
    is_adoptable,
    needs_replacement,
)
from tests.unit.samples import Json, live, made_for, mutations, specs, workload

DATA_KEY = DataKeyStatus(name="model", key_version=1, wrapped="vault:v1:" + "A" * 24)
EVERYTHING = workload(
    {
        "access": {
            "rules": [
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}
            ],
            "roleRefs": [{"name": "reader"}],
        },
        "network": {
            "ingress": [{"from": [{"namespace": "gateway"}], "ports": [8000]}],
            "egress": [{"to": [{"cidr": "10.20.0.0/16"}], "ports": ["53/UDP"]}],
        },
    },
    status=SecureAIWorkloadStatus(data_keys=(DATA_KEY,)),
)
OBJECTS = {f"{item.resource.kind}/{item.name}": item for item in made_for(EVERYTHING)}


def drifted(desired: DesiredObject, found: Json) -> tuple[str, ...]:
    return differing_parts(desired.resource.kind, digest(desired.manifest), digest(found))


def at(manifest: Json, path: str) -> Any:
    value: Any = manifest
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def put(manifest: Json, path: str, value: Any) -> Json:
    changed = copy.deepcopy(manifest)
    *parents, last = path.split(".")
    target = changed
    for step in parents:
        target = target.setdefault(step, {})
    target[last] = value
    return changed


def is_empty(value: Any) -> bool:
    return value in (None, [], {})


def test_every_kind_that_a_workload_makes_has_its_parts() -> None:
    assert {item.resource.kind for item in OBJECTS.values()} == set(PARTS)


@pytest.mark.parametrize("which", OBJECTS)
def test_everything_that_is_wanted_of_an_object_is_owned(which: str) -> None:
    item = OBJECTS[which]
    content = {key: item.manifest[key] for key in item.manifest.keys() - {"apiVersion", "kind", "metadata"}}
    owned = {part.split(".")[0] for part in PARTS[item.resource.kind]}
    assert content.keys() <= owned
    if "spec" in content:
        assert {f"spec.{field}" for field in content["spec"]} <= set(PARTS[item.resource.kind])


@given(specs)
@settings(max_examples=60, deadline=None)
def test_what_the_api_server_returns_of_our_own_is_no_drift(spec: Json) -> None:
    for item in made_for(workload(spec)):
        assert drifted(item, live(item)) == ()


@pytest.mark.parametrize("which", OBJECTS)
def test_any_single_change_of_an_owned_part_is_drift_in_that_part(which: str) -> None:
    item = OBJECTS[which]
    tried = 0
    for part in PARTS[item.resource.kind]:
        before = at(live(item), part)
        candidates = [*mutations(before), ("replace", "foreign"), ("empty", None), ("foreign", ["x"])]
        for how, value in candidates:
            if value == before or (is_empty(value) and is_empty(before)):
                continue
            changed = put(live(item), part, value)
            assert drifted(item, changed) == (part,), how
            tried += 1
    assert tried


@given(specs)
@settings(max_examples=25, deadline=None)
def test_no_mutation_of_any_spec_s_objects_goes_unseen(spec: Json) -> None:
    for item in made_for(workload(spec)):
        for part in PARTS[item.resource.kind]:
            before = at(live(item), part)
            for how, value in mutations(before):
                if not (is_empty(value) and is_empty(before)):
                    assert drifted(item, put(live(item), part, value)) == (part,), how


@pytest.mark.parametrize("value", [None, True, "absent"])
def test_a_service_account_that_no_longer_says_not_to_automount_is_drift(value: object) -> None:
    item = OBJECTS["ServiceAccount/saw-llm"]
    found = live(item)
    if value == "absent":
        del found["automountServiceAccountToken"]
    else:
        found["automountServiceAccountToken"] = value
    assert drifted(item, found) == ("automountServiceAccountToken",)


@pytest.mark.parametrize("which", OBJECTS)
def test_our_labels_and_the_owner_are_owned_and_others_are_not(which: str) -> None:
    item = OBJECTS[which]
    for label in (names.MANAGED_BY_LABEL, names.WORKLOAD_LABEL):
        for value in ("x", None):
            found = live(item)
            found["metadata"]["labels"][label] = value
            assert drifted(item, found) == ("metadata",)
    for owners in ([], None, [{**item.manifest["metadata"]["ownerReferences"][0], "uid": "other"}]):
        found = live(item)
        found["metadata"]["ownerReferences"] = owners
        assert drifted(item, found) == ("metadata",)
    found = live(item)
    found["metadata"]["labels"]["argocd.argoproj.io/instance"] = "x"
    found["metadata"]["finalizers"] = ["x"]
    assert drifted(item, found) == ()


def test_a_second_controller_is_drift() -> None:
    item = OBJECTS["ServiceAccount/saw-llm"]
    found = live(item)
    found["metadata"]["ownerReferences"].append({"uid": "x", "controller": True, "kind": "X", "name": "x"})
    assert drifted(item, found) == ("metadata",)


def test_only_what_cannot_be_changed_needs_a_replacement() -> None:
    assert needs_replacement(("roleRef",))
    assert needs_replacement(("metadata", "type"))
    assert needs_replacement(("immutable", "data"))
    assert not needs_replacement(("metadata", "rules", "subjects", "data", "spec.egress"))
    assert not needs_replacement(())


def test_a_secret_that_says_it_is_not_immutable_is_as_we_made_it() -> None:
    item = OBJECTS["Secret/saw-llm-keys"]
    assert drifted(item, {**live(item), "immutable": False}) == ()
    assert drifted(item, {**live(item), "immutable": True}) == ("immutable",)


def test_the_order_of_keys_does_not_count_and_the_order_of_lists_does() -> None:
    item = OBJECTS["Role/saw-llm"]
    (rule,) = item.manifest["rules"]
    reordered = {**live(item), "rules": [dict(reversed(rule.items()))]}
    assert drifted(item, reordered) == ()
    doubled = {**live(item), "rules": [rule, rule]}
    assert drifted(item, doubled) == ("rules",)


def test_the_owner_is_the_controller_of_our_group_only() -> None:
    found = live(OBJECTS["ServiceAccount/saw-llm"])
    assert controller_uid(found) == "uid-1"
    (owner,) = found["metadata"]["ownerReferences"]
    for change in ({"controller": False}, {"apiVersion": "apps/v1"}, {"apiVersion": "secureai.dev.evil/v1"}):
        found["metadata"]["ownerReferences"] = [{**owner, **change}]
        assert controller_uid(found) == ""
    del found["metadata"]["ownerReferences"]
    assert controller_uid(found) == ""


def test_only_an_object_that_was_ours_may_be_taken_back() -> None:
    found = live(OBJECTS["ServiceAccount/saw-llm"])
    assert is_adoptable(found, "llm")
    assert not is_adoptable(found, "other")
    orphan = copy.deepcopy(found)
    del orphan["metadata"]["ownerReferences"]
    assert is_adoptable(orphan, "llm")
    stranger = copy.deepcopy(orphan)
    del stranger["metadata"]["labels"][names.MANAGED_BY_LABEL]
    assert not is_adoptable(stranger, "llm")
    taken = copy.deepcopy(found)
    taken["metadata"]["ownerReferences"][0] |= {"kind": "Deployment"}
    assert not is_adoptable(taken, "llm")


def test_foreign_entries_of_a_secret_are_named() -> None:
    item = OBJECTS["Secret/saw-llm-keys"]
    found = live(item)
    found["data"] |= {"z": "eA==", "a": "eA=="}
    assert list(foreign_entries(item.manifest, found["data"])) == ["a", "z"]
    assert drifted(item, found) == ("data",)


def test_another_uid_of_the_workload_is_another_owner() -> None:
    restored = made_for(replace(EVERYTHING, uid="uid-2"))[0]
    assert drifted(restored, live(made_for(EVERYTHING)[0])) == ("metadata",)
