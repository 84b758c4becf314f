"""Binding a pod: what it gets, that it gets it once, and that what lacks any of it is found."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureai_operator import names
from secureai_operator.api.confidential import Toleration
from secureai_operator.api.workload_status import BindingStatus
from secureai_operator.core.desired.binding import (
    ENFORCEMENT_ANNOTATION,
    IDENTITY_PATH,
    TLS_VOLUME,
    belongs,
    bind_pod,
    unbound_reason,
)

Json = dict[str, Any]

BINDING = BindingStatus(
    ready=True,
    enforce=True,
    pod_labels={names.WORKLOAD_LABEL: "llm"},
    service_account_name="saw-llm",
    audience="vault://main/team-a/llm",
    token_expiration_seconds=900,
    api_token=True,
    keys_secret_name="saw-llm-keys",
    tls_secret_name="saw-llm-tls",
    runtime_class_name="kata-qemu-tdx",
    node_selector={"intel.feature.node.kubernetes.io/tdx": "true"},
    tolerations=(Toleration(key="nvidia.com/gpu", effect="NoSchedule"),),
)


def pod(**spec: Any) -> Json:
    """A pod as the ServiceAccount plugin leaves it to us."""
    automounted = "kube-api-access-x7k2p"
    mount = {
        "name": automounted,
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    return {
        "metadata": {"name": "p", "labels": {names.WORKLOAD_LABEL: "llm"}},
        "spec": {
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "containers": [
                {"name": "a", "image": "a", "volumeMounts": [{"name": "data", "mountPath": "/data"}, mount]},
                {"name": "b", "image": "b", "volumeMounts": [mount]},
            ],
            "initContainers": [{"name": "i", "image": "i"}],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {"name": automounted, "projected": {"sources": []}},
            ],
            **spec,
        },
    }


def bound(found: Json, binding: BindingStatus = BINDING) -> Json:
    result: Json = jsonpatch.apply_patch(found, bind_pod(found, binding))
    return result


def volume_names(found: Json) -> list[str]:
    return [volume["name"] for volume in found["spec"]["volumes"]]


def test_the_token_of_the_old_account_goes_and_everything_else_stays() -> None:
    result = bound(pod())
    assert volume_names(result) == [
        "data",
        "secureai-identity",
        "secureai-kube-api",
        "secureai-keys",
        "secureai-tls",
    ]
    for container in (*result["spec"]["containers"], *result["spec"]["initContainers"]):
        assert not any(mount["name"].startswith("kube-api-access-") for mount in container["volumeMounts"])
        assert any(mount["mountPath"] == IDENTITY_PATH for mount in container["volumeMounts"])
    assert result["spec"]["containers"][0]["volumeMounts"][0] == {"name": "data", "mountPath": "/data"}
    assert result["spec"]["serviceAccountName"] == result["spec"]["serviceAccount"] == "saw-llm"
    assert result["spec"]["automountServiceAccountToken"] is False


def test_the_input_is_not_changed() -> None:
    before = pod()
    kept = copy.deepcopy(before)
    bound(before)
    assert before == kept


def test_a_volume_of_our_name_and_a_mount_at_our_path_are_replaced() -> None:
    mounts = [{"name": "mine", "mountPath": IDENTITY_PATH}]
    found = pod(
        volumes=[{"name": "mine", "emptyDir": {}}, {"name": "secureai-identity", "emptyDir": {}}],
        containers=[{"name": "a", "image": "a", "volumeMounts": mounts}],
    )
    result = bound(found)
    identity = [volume for volume in result["spec"]["volumes"] if volume["name"] == "secureai-identity"]
    assert [list(volume) for volume in identity] == [["name", "projected"]]
    at_path = [
        mount["name"]
        for mount in result["spec"]["containers"][0]["volumeMounts"]
        if mount["mountPath"] == IDENTITY_PATH
    ]
    assert at_path == ["secureai-identity"]


def test_placement_is_added_to_what_the_pod_asks_for_and_wins_over_it() -> None:
    selector = {"disk": "ssd", "intel.feature.node.kubernetes.io/tdx": "false"}
    spot = {"key": "spot", "operator": "Exists"}
    result = bound(pod(nodeSelector=selector, tolerations=[spot]))["spec"]
    assert result["nodeSelector"] == {"disk": "ssd", "intel.feature.node.kubernetes.io/tdx": "true"}
    assert result["tolerations"] == [
        spot,
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    ]
    assert result["runtimeClassName"] == "kata-qemu-tdx"


@pytest.mark.parametrize(("group", "mode"), [(None, 0o444), (2000, 0o440)])
def test_secrets_are_readable_by_a_pod_that_is_not_root(group: int | None, mode: int) -> None:
    result = bound(pod(securityContext={} if group is None else {"fsGroup": group}))
    (tls,) = (volume for volume in result["spec"]["volumes"] if volume["name"] == TLS_VOLUME)
    assert tls["secret"]["defaultMode"] == mode


@pytest.mark.parametrize(
    "change",
    [
        {"ready": False},
        {"pod_labels": {"app": "other"}},
        {"pod_labels": {}},
        {"service_account_name": "saw-other"},
    ],
    ids=["not-ready", "of-no-workload", "empty-selects-none", "of-another-workload"],
)
def test_a_pod_that_is_not_ours_to_bind_is_left_alone(change: Json) -> None:
    assert bind_pod(pod(), BINDING.model_copy(update=change)) == []


def test_a_selected_pod_gets_the_label_of_its_workload() -> None:
    found = pod()
    found["metadata"]["labels"] = {"app": "llm"}
    result = bound(found, BINDING.model_copy(update={"pod_labels": {"app": "llm"}}))
    assert result["metadata"]["labels"] == {"app": "llm", names.WORKLOAD_LABEL: "llm"}


def test_under_audit_a_pod_that_names_the_workload_is_marked_and_nothing_else() -> None:
    audit = BINDING.model_copy(update={"enforce": False})
    found = pod()
    expected = copy.deepcopy(found)
    expected["metadata"]["annotations"] = {ENFORCEMENT_ANNOTATION: "Audit"}
    assert bound(found, audit) == expected
    del found["metadata"]["labels"]
    assert bind_pod(found, audit) == []


def test_the_mark_of_audit_cannot_be_forged() -> None:
    found = pod()
    found["metadata"]["annotations"] = {ENFORCEMENT_ANNOTATION: "Audit", "other": "1"}
    assert bound(found)["metadata"]["annotations"] == {"other": "1"}


# What of a bound pod is missing is found, each part of it.


def _without_label(found: Json) -> None:
    del found["metadata"]["labels"][names.WORKLOAD_LABEL]


def _other_account(found: Json) -> None:
    found["spec"]["serviceAccountName"] = "default"


def _automount(found: Json) -> None:
    found["spec"].pop("automountServiceAccountToken")


def _automounted(found: Json) -> None:
    found["spec"]["volumes"].append({"name": "kube-api-access-abcde", "projected": {"sources": []}})


def _other_audience(found: Json) -> None:
    (volume,) = (volume for volume in found["spec"]["volumes"] if volume["name"] == "secureai-identity")
    volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] = "vault"


def _other_secret(found: Json) -> None:
    (volume,) = (volume for volume in found["spec"]["volumes"] if volume["name"] == "secureai-keys")
    volume["secret"]["secretName"] = "other"


def _unmounted(found: Json) -> None:
    found["spec"]["initContainers"][0]["volumeMounts"] = []


def _misplaced(found: Json) -> None:
    found["spec"]["nodeSelector"] = {}


def _other_runtime(found: Json) -> None:
    found["spec"].pop("runtimeClassName")


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (_without_label, "label"),
        (_other_account, "ServiceAccount saw-llm"),
        (_automount, "automounts"),
        (_automounted, "automounts"),
        (_other_audience, "identity token"),
        (_other_secret, "Secret saw-llm-keys"),
        (_unmounted, IDENTITY_PATH),
        (_misplaced, "nodeSelector"),
        (_other_runtime, "runtime class"),
    ],
)
def test_a_pod_that_lacks_a_part_of_its_binding_is_found(damage: Any, part: str) -> None:
    found = bound(pod())
    assert unbound_reason(found, BINDING) is None
    damage(found)
    assert part in (unbound_reason(found, BINDING) or "")


def test_a_shorter_token_is_no_reason_to_replace_a_pod() -> None:
    assert unbound_reason(bound(pod()), BINDING.model_copy(update={"token_expiration_seconds": 600})) is None


def test_an_unbound_pod_without_anything_is_answered_and_not_a_crash() -> None:
    assert unbound_reason({"metadata": {}, "spec": {}}, BINDING) is not None
    assert unbound_reason({}, BINDING) is not None


# Properties over all pods and bindings.

_WORDS = st.text("abc", min_size=1, max_size=3)
_KEYS = st.sampled_from(["a", "b", "x/y", "x~y", names.WORKLOAD_LABEL])
_LABELS = st.dictionaries(_KEYS, st.sampled_from(["llm", "v"]), max_size=3)
_VOLUME_NAMES = st.sampled_from(
    ["data", "kube-api-access-abcde", "secureai-identity", "secureai-tls", "cache"]
)
_PATHS = st.sampled_from(["/data", IDENTITY_PATH, "/var/run/secrets/kubernetes.io/serviceaccount"])
_MOUNTS = st.lists(st.fixed_dictionaries({"name": _VOLUME_NAMES, "mountPath": _PATHS}), max_size=3)
_CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": _WORDS}, optional={"volumeMounts": _MOUNTS}), min_size=1, max_size=3
)
_TOLERATIONS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "key": _WORDS,
            "operator": st.sampled_from(["Exists", "Equal"]),
            "tolerationSeconds": st.just(3),
        },
    ),
    max_size=2,
)
PODS = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "labels": _LABELS,
                "annotations": st.dictionaries(st.just(ENFORCEMENT_ANNOTATION), _WORDS),
            },
        ),
        "spec": st.fixed_dictionaries(
            {"containers": _CONTAINERS},
            optional={
                "initContainers": _CONTAINERS,
                "volumes": st.lists(st.fixed_dictionaries({"name": _VOLUME_NAMES}), max_size=4),
                "serviceAccountName": st.sampled_from(["default", "saw-llm"]),
                "automountServiceAccountToken": st.booleans(),
                "nodeSelector": _LABELS,
                "tolerations": _TOLERATIONS,
                "securityContext": st.fixed_dictionaries({}, optional={"fsGroup": st.just(1)}),
            },
        ),
    }
)
BINDINGS = st.builds(
    BindingStatus,
    ready=st.booleans(),
    enforce=st.booleans(),
    pod_labels=_LABELS,
    service_account_name=st.just("saw-llm"),
    audience=st.just("vault://main/team-a/llm"),
    api_token=st.booleans(),
    keys_secret_name=st.sampled_from(["", "saw-llm-keys"]),
    tls_secret_name=st.sampled_from(["", "saw-llm-tls"]),
    runtime_class_name=st.sampled_from(["", "kata"]),
    node_selector=_LABELS,
    tolerations=st.lists(st.builds(Toleration, key=_WORDS), max_size=2).map(tuple),
)


@given(PODS, BINDINGS)
def test_binding_twice_is_binding_once(found: Json, binding: BindingStatus) -> None:
    assert bind_pod(bound(found, binding), binding) == []


@given(PODS, BINDINGS)
def test_a_bound_pod_is_never_called_unbound(found: Json, binding: BindingStatus) -> None:
    named = (found["metadata"].get("labels") or {}).get(names.WORKLOAD_LABEL)
    if binding.enforce and binding.ready and belongs(found, binding) and named in (None, "llm"):
        assert unbound_reason(bound(found, binding), binding) is None


@given(PODS, BINDINGS)
def test_a_pod_that_lacks_nothing_still_has_what_it_asked_for(found: Json, binding: BindingStatus) -> None:
    result = bound(found, binding)
    kept = {volume["name"] for volume in found["spec"].get("volumes", ())} & {"data", "cache"}
    assert kept <= {volume["name"] for volume in result["spec"].get("volumes", ())}
    assert (found["metadata"].get("labels") or {}).items() <= (result["metadata"].get("labels") or {}).items()
    assert [container["name"] for container in result["spec"]["containers"]] == [
        container["name"] for container in found["spec"]["containers"]
    ]
