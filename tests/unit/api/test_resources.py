"""Paths are exact, and no name steps out of its place in one."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator.api import resources
from secureai_operator.api.resources import DEPLOYMENTS, NODES, PODS, ROLES


def test_paths_of_core_and_named_groups() -> None:
    assert PODS.path("ns") == "/api/v1/namespaces/ns/pods"
    assert PODS.path("ns", "p", "eviction") == "/api/v1/namespaces/ns/pods/p/eviction"
    assert PODS.path(None) == "/api/v1/pods"
    assert NODES.path(None, "n") == "/api/v1/nodes/n"
    assert DEPLOYMENTS.path("ns", "d") == "/apis/apps/v1/namespaces/ns/deployments/d"


def test_names_of_roles_may_hold_colons() -> None:
    assert ROLES.path("ns", "system:x").endswith("/roles/system:x")


def test_a_cluster_scoped_resource_has_no_namespace() -> None:
    with pytest.raises(ValueError, match="no namespace"):
        NODES.path("ns", "n")


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_name_steps_out_of_its_place(namespace: str, name: str) -> None:
    try:
        path = PODS.path(namespace, name)
    except ValueError:
        return
    url = urlsplit(f"https://server{path}")
    assert (url.path, url.query, url.fragment) == (path, "", "")
    assert path.split("/") == ["", "api", "v1", "namespaces", namespace, "pods", name]
    assert not {namespace, name} & {"", ".", ".."}


def test_a_manifest_finds_its_resource() -> None:
    for resource in resources.ALL:
        assert resources.by_kind(resource.api_version, resource.kind) is resource
    with pytest.raises(KeyError):
        resources.by_kind("v1", "Nonsense")
