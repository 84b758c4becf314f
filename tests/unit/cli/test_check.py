"""The preflight knows what manifests/base installs, and says so when a cluster has something else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureai_operator import names
from secureai_operator.api import crd
from secureai_operator.cli import check_cluster
from secureai_operator.cli.check_cluster import first_difference
from secureai_operator.cli.check_item import Item, Verdict, guarded
from secureai_operator.cli.check_rights import FORBIDDEN, NEEDED, OPERATOR, groups
from secureai_operator.errors import KubeForbidden, KubeUnavailable

BASE = Path(__file__).parents[3] / "manifests" / "base"


def manifests() -> Iterator[dict[str, Any]]:
    for file in sorted(BASE.rglob("*.yaml")):
        if file.name not in ("kustomization.yaml", "config.yaml"):
            yield from (document for document in yaml.safe_load_all(file.read_text()) if document)


def granted() -> set[tuple[str, str, str, str]]:
    """(namespace, resource with subresource, name, verb) of the operator's own roles."""
    found = set()
    for role in manifests():
        if role["kind"] in ("Role", "ClusterRole") and role["metadata"]["name"] == "secureai-operator":
            namespace = role["metadata"].get("namespace", "")
            for rule in role["rules"]:
                named = rule.get("resourceNames", [""])
                found |= {(namespace, *one) for one in product(rule["resources"], named, rule["verbs"])}
    return found


def test_the_rights_that_are_checked_are_those_that_the_manifests_grant() -> None:
    checked = {
        (
            right.namespace,
            f"{right.resource.plural}/{right.subresource}" if right.subresource else right.resource.plural,
            right.name,
            right.verb,
        )
        for right in NEEDED
    }
    assert checked == granted()


def test_no_right_is_both_needed_and_forbidden() -> None:
    assert not set(NEEDED) & set(FORBIDDEN)


def test_the_policies_that_are_checked_are_those_of_the_manifests() -> None:
    validating = {
        one["metadata"]["name"] for one in manifests() if one["kind"] == "ValidatingAdmissionPolicy"
    }
    mutating = {one["metadata"]["name"] for one in manifests() if one["kind"] == "MutatingAdmissionPolicy"}
    assert set(check_cluster.VALIDATING) == validating
    assert {check_cluster.MUTATING} == mutating


def test_a_service_account_is_in_the_groups_that_the_api_server_gives_it() -> None:
    assert groups(OPERATOR) == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{names.OPERATOR_NAMESPACE}",
        "system:authenticated",
    ]
    assert groups("alice") == ["system:authenticated"]


def test_a_crd_with_the_servers_defaults_is_equal_and_one_with_another_schema_is_not() -> None:
    ours = crd.definition(crd.KINDS[0])["spec"]
    live = yaml.safe_load(yaml.safe_dump({**ours, "conversion": {"strategy": "None"}}))
    assert first_difference(ours, live, "spec") == ""
    schema = live["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["description"] = "somebody else's"
    assert first_difference(ours, live, "spec") == "spec.versions[0].schema.openAPIV3Schema"


def test_a_version_that_is_missing_is_a_difference() -> None:
    assert first_difference({"versions": [1, 2]}, {"versions": [1]}, "spec") == "spec.versions"
    assert first_difference({"scope": "Namespaced"}, {}, "spec") == "spec.scope"


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (KubeForbidden("KubernetesForbidden", "get nodes: 403 Forbidden"), Verdict.SKIP),
        (KubeUnavailable("KubernetesUnavailable", "get nodes: no answer"), Verdict.FAIL),
    ],
)
def test_one_look_that_fails_hides_no_other(error: Exception, verdict: Verdict) -> None:
    def look() -> Iterator[Item]:
        yield Item("a", "first", Verdict.OK)
        raise error

    found = list(guarded("a", "b", look))
    assert [item.verdict for item in found] == [Verdict.OK, verdict]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}, "secrets"),
        ({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}, "* in apiGroups"),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate"]}, "impersonate"),
    ],
)
def test_a_ceiling_that_lets_too_much_through_is_named(rule: dict[str, list[str]], said: str) -> None:
    assert list(check_cluster._dangerous({"rules": [rule]})) == [said]
