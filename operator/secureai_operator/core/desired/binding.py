"""What a pod gets as it is created, and whether a pod got it.

The same binding as manifests/base/admission/bind-pods.yaml, for clusters that do not serve MutatingAdmissionPolicy
(there Kopf's webhook asks here) and for finding pods that escaped. A test holds the two together on a real API server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from secureai_operator import names
from secureai_operator.api.confidential import Toleration
from secureai_operator.api.workload_status import BindingStatus

Pod = Mapping[str, Any]
Json = dict[str, Any]
Patch = list[Json]

ENFORCEMENT_ANNOTATION = f"{names.GROUP}/enforcement"
"""`Audit` on a pod that names a workload under Audit: by it the validating policy knows not to refuse the pod."""

IDENTITY_VOLUME = "secureai-identity"
IDENTITY_PATH = "/var/run/secrets/secureai.dev/identity"
TOKEN_FILE = "vault-token"  # noqa: S105 - a file name
API_VOLUME = "secureai-kube-api"
API_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
KEYS_VOLUME = "secureai-keys"
KEYS_PATH = "/var/run/secrets/secureai.dev/keys"
TLS_VOLUME = "secureai-tls"
TLS_PATH = "/var/run/secrets/secureai.dev/tls"

_OURS = frozenset({IDENTITY_VOLUME, API_VOLUME, KEYS_VOLUME, TLS_VOLUME})
_AUTOMOUNTED = "kube-api-access-"
"""Begins the names of the volumes that the ServiceAccount admission plugin makes, before any policy runs."""

_GROUP_READABLE, _ALL_READABLE, _DEFAULT_MODE = 0o440, 0o444, 0o644
_CONTAINER_LISTS = ("containers", "initContainers")


def bind_pod(pod: Pod, binding: BindingStatus) -> Patch:
    """The JSON patch that binds a new pod to the workload; empty if there is nothing to change.

    Contract: applied once or more often it gives the same pod. A pod of no or of another workload is left alone, and
    so is one that may not start yet: refusing it is the validating policies' part.
    """
    labels = _labels(pod)
    named = labels.get(names.WORKLOAD_LABEL)
    workload = _workload(binding)
    if not binding.pod_labels or named not in (None, workload):
        return []
    if not binding.enforce:
        return [] if named is None else list(_marked(pod))
    if not binding.ready or not belongs(pod, binding):
        return []
    return [
        *_labelled(pod, workload),
        *_as_account(pod, binding),
        *_equipped(pod, binding),
        *_placed(pod, binding),
    ]


def belongs(pod: Pod, binding: BindingStatus) -> bool:
    """Whether the pod carries all labels by which the workload selects its pods; no labels select none."""
    labels = _labels(pod)
    return bool(binding.pod_labels) and all(
        labels.get(key) == value for key, value in binding.pod_labels.items()
    )


def unbound_reason(pod: Pod, binding: BindingStatus) -> str | None:
    """What a pod of the workload lacks of its binding, for people, or None if it lacks nothing.

    What matters only to a new pod (tolerations, the lifetime of a token) is not looked at: nobody is evicted for it.
    """
    return next(_lacks(pod, binding), None)


def _lacks(pod: Pod, binding: BindingStatus) -> Iterator[str]:
    spec = pod.get("spec") or {}
    if _labels(pod).get(names.WORKLOAD_LABEL) != _workload(binding):
        yield f"it lacks the label {names.WORKLOAD_LABEL}={_workload(binding)}"
    if spec.get("serviceAccountName") != binding.service_account_name:
        yield f"it does not run as ServiceAccount {binding.service_account_name}"
    if spec.get("automountServiceAccountToken") is not False or any(map(_is_automounted, _volumes(spec))):
        yield "it automounts a ServiceAccount token"
    if not any(_is_identity(volume, binding) for volume in _volumes(spec)):
        yield "it has no identity token for Vault"
    for volume in _desired_volumes(spec, binding):
        secret = volume.get("secret", {}).get("secretName")
        if secret and not any(_mounts_secret(other, volume["name"], secret) for other in _volumes(spec)):
            yield f"it does not mount Secret {secret}"
    for mount in _desired_mounts(binding):
        if not all(_has_mount(container, mount) for container in _containers(spec)):
            yield f"not all of its containers mount {mount['mountPath']}"
    yield from _misplaced(spec, binding)


def _misplaced(spec: Mapping[str, Any], binding: BindingStatus) -> Iterator[str]:
    selector = spec.get("nodeSelector") or {}
    for key, value in binding.node_selector.items():
        if selector.get(key) != value:
            yield f"its nodeSelector lacks {key}={value}"
    if binding.runtime_class_name and spec.get("runtimeClassName") != binding.runtime_class_name:
        yield f"it does not run with runtime class {binding.runtime_class_name}"


# The parts of the patch, each with the values that the pod should have.


def _marked(pod: Pod) -> Iterator[Json]:
    annotations = pod["metadata"].get("annotations")
    if annotations is None:
        yield _add("/metadata/annotations", {ENFORCEMENT_ANNOTATION: "Audit"})
    elif annotations.get(ENFORCEMENT_ANNOTATION) != "Audit":
        yield _add(f"/metadata/annotations/{_escaped(ENFORCEMENT_ANNOTATION)}", "Audit")


def _labelled(pod: Pod, workload: str) -> Iterator[Json]:
    if names.WORKLOAD_LABEL not in _labels(pod):
        yield _add(f"/metadata/labels/{_escaped(names.WORKLOAD_LABEL)}", workload)
    if ENFORCEMENT_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        yield {"op": "remove", "path": f"/metadata/annotations/{_escaped(ENFORCEMENT_ANNOTATION)}"}


def _as_account(pod: Pod, binding: BindingStatus) -> Iterator[Json]:
    account = binding.service_account_name
    wanted = {
        "serviceAccountName": account,
        "serviceAccount": account,
        "automountServiceAccountToken": False,
    }
    for field, value in wanted.items():
        if pod["spec"].get(field) != value:
            yield _add(f"/spec/{field}", value)


def _equipped(pod: Pod, binding: BindingStatus) -> Iterator[Json]:
    spec = pod["spec"]
    kept = [
        volume for volume in _volumes(spec) if volume["name"] not in _OURS and not _is_automounted(volume)
    ]
    volumes = [*kept, *_desired_volumes(spec, binding)]
    if volumes != _volumes(spec):
        yield _add("/spec/volumes", volumes)
    wanted = _desired_mounts(binding)
    for field in _CONTAINER_LISTS:
        for index, container in enumerate(spec.get(field) or ()):
            mounts = [*_kept_mounts(container, wanted), *wanted]
            if mounts != (container.get("volumeMounts") or []):
                yield _add(f"/spec/{field}/{index}/volumeMounts", mounts)


def _placed(pod: Pod, binding: BindingStatus) -> Iterator[Json]:
    spec = pod["spec"]
    selector = {**(spec.get("nodeSelector") or {}), **binding.node_selector}
    if selector != (spec.get("nodeSelector") or {}):
        yield _add("/spec/nodeSelector", selector)
    if binding.runtime_class_name and spec.get("runtimeClassName") != binding.runtime_class_name:
        yield _add("/spec/runtimeClassName", binding.runtime_class_name)
    present = spec.get("tolerations") or []
    missing = [
        wanted for wanted in binding.tolerations if not any(_tolerates(has, wanted) for has in present)
    ]
    if missing:
        yield _add("/spec/tolerations", [*present, *map(_toleration, missing)])


def _desired_volumes(spec: Mapping[str, Any], binding: BindingStatus) -> list[Json]:
    seconds = binding.token_expiration_seconds
    token = {"audience": binding.audience, "expirationSeconds": seconds, "path": TOKEN_FILE}
    volumes = [_projected(IDENTITY_VOLUME, [{"serviceAccountToken": token}])]
    if binding.api_token:
        volumes.append(_projected(API_VOLUME, _api_sources(seconds)))
    # Readable by the group that the kubelet gives the files to, or by all of the container if there is none.
    has_group = (spec.get("securityContext") or {}).get("fsGroup") is not None
    mode = _GROUP_READABLE if has_group else _ALL_READABLE
    secrets = ((KEYS_VOLUME, binding.keys_secret_name), (TLS_VOLUME, binding.tls_secret_name))
    return volumes + [
        {"name": name, "secret": {"secretName": secret, "defaultMode": mode}}
        for name, secret in secrets
        if secret
    ]


def _projected(name: str, sources: list[Json]) -> Json:
    return {"name": name, "projected": {"defaultMode": _DEFAULT_MODE, "sources": sources}}


def _api_sources(seconds: int) -> list[Json]:
    """What every client library of Kubernetes looks for, as the ServiceAccount plugin would mount it."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"expirationSeconds": seconds, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _desired_mounts(binding: BindingStatus) -> list[Json]:
    wanted = (
        (IDENTITY_VOLUME, IDENTITY_PATH, True),
        (API_VOLUME, API_PATH, binding.api_token),
        (KEYS_VOLUME, KEYS_PATH, bool(binding.keys_secret_name)),
        (TLS_VOLUME, TLS_PATH, bool(binding.tls_secret_name)),
    )
    return [{"name": name, "mountPath": path, "readOnly": True} for name, path, given in wanted if given]


def _kept_mounts(container: Mapping[str, Any], wanted: Sequence[Json]) -> list[Json]:
    paths = {mount["mountPath"] for mount in wanted}
    return [
        mount
        for mount in container.get("volumeMounts") or ()
        if mount["name"] not in _OURS and mount["mountPath"] not in paths and not _is_automounted(mount)
    ]


# What a part of a pod is.


def _workload(binding: BindingStatus) -> str:
    return binding.service_account_name.removeprefix(names.service_account(""))


def _labels(pod: Pod) -> Mapping[str, str]:
    labels: Mapping[str, str] = (pod.get("metadata") or {}).get("labels") or {}
    return labels


def _volumes(spec: Mapping[str, Any]) -> list[Json]:
    return list(spec.get("volumes") or ())


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for field in _CONTAINER_LISTS:
        yield from spec.get(field) or ()


def _is_automounted(volume_or_mount: Mapping[str, Any]) -> bool:
    return str(volume_or_mount["name"]).startswith(_AUTOMOUNTED)


def _is_identity(volume: Mapping[str, Any], binding: BindingStatus) -> bool:
    if volume["name"] != IDENTITY_VOLUME:
        return False
    tokens = [
        source.get("serviceAccountToken") or {}
        for source in (volume.get("projected") or {}).get("sources") or ()
    ]
    return any(
        token.get("audience") == binding.audience and token.get("path") == TOKEN_FILE for token in tokens
    )


def _mounts_secret(volume: Mapping[str, Any], name: str, secret: str) -> bool:
    return volume["name"] == name and (volume.get("secret") or {}).get("secretName") == secret


def _has_mount(container: Mapping[str, Any], wanted: Json) -> bool:
    return any(
        all(mount.get(field) == value for field, value in wanted.items())
        for mount in container.get("volumeMounts") or ()
    )


def _tolerates(present: Mapping[str, Any], wanted: Toleration) -> bool:
    return "tolerationSeconds" not in present and (
        present.get("key", ""),
        present.get("operator", "Equal"),
        present.get("value", ""),
        present.get("effect", ""),
    ) == (wanted.key, wanted.operator.value, wanted.value, wanted.effect)


def _toleration(wanted: Toleration) -> Json:
    given = {
        "key": wanted.key,
        "operator": wanted.operator.value,
        "value": wanted.value,
        "effect": wanted.effect,
    }
    return {field: value for field, value in given.items() if value}


def _add(path: str, value: object) -> Json:
    """For a member of an object `add` is also `replace`."""
    return {"op": "add", "path": path, "value": value}


def _escaped(key: str) -> str:
    """A key as one segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
