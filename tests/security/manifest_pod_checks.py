"""kube-linter's checks of what makes pods, under its names; built anew here, for its module cannot be had everywhere.

Source of names and meanings: kube-linter's documentation, "KubeLinter checks".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.security.manifests import Check, Found, Json, Manifests, container_check, matches, pod_check

_HOST_FOLDERS = re.compile(r"^(/|/boot|/dev|/etc|/lib|/proc|/sys|/usr)/?$")
_SOCKETS = re.compile(r"(docker|containerd|crio)\.sock$")
_UNSAFE_SYSCTLS = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.", "net.")
LONGEST_TOKEN_SECONDS = 86_400


def _security(container: Json) -> Json:
    found: Json = container.get("securityContext") or {}
    return found


def _runs_as_root(container: Json, pod: Json) -> str:
    own, shared = _security(container), pod.get("securityContext") or {}
    user = own.get("runAsUser", shared.get("runAsUser"))
    non_root = own.get("runAsNonRoot", shared.get("runAsNonRoot"))
    return "" if user not in (None, 0) and non_root else "runAsUser and runAsNonRoot do not keep root out"


def _keeps_net_raw(container: Json, _: Json) -> str:
    capabilities = _security(container).get("capabilities") or {}
    dropped = {one.upper() for one in capabilities.get("drop", ())}
    return "" if dropped & {"ALL", "NET_RAW"} and not capabilities.get("add") else "NET_RAW is not dropped"


def _image(pattern: str, what: str) -> Check:
    return container_check(lambda container, _: "" if re.search(pattern, container["image"]) else what)


def _probe(kind: str) -> Check:
    return container_check(lambda container, _: "" if container.get(kind) else f"no {kind}")


def _probe_port(kind: str) -> Check:
    def fails(container: Json, _: Json) -> str:
        ports = container.get("ports", ())
        known = {port.get("name") for port in ports} | {port["containerPort"] for port in ports}
        asked = ((container.get(kind) or {}).get("httpGet") or {}).get("port")
        return "" if asked is None or asked in known else f"{kind} asks port {asked}, which is not declared"

    return container_check(fails)


def _unset(resource: str) -> Check:
    def fails(container: Json, _: Json) -> str:
        resources = container.get("resources") or {}
        missing = [part for part in ("requests", "limits") if resource not in (resources.get(part) or {})]
        return f"no {resource} in {' and '.join(missing)}" if missing else ""

    return container_check(fails)


def _host_paths(pod: Json) -> Mapping[str, str]:
    return {
        volume["name"]: volume["hostPath"]["path"]
        for volume in pod.get("volumes", ())
        if "hostPath" in volume
    }


def _writable_host_path(container: Json, pod: Json) -> str:
    paths = _host_paths(pod)
    found = [
        one for one in container.get("volumeMounts", ()) if one["name"] in paths and not one.get("readOnly")
    ]
    return "a path of the host is writable" if found else ""


def _duplicate_environment(container: Json, _: Json) -> str:
    found = [one["name"] for one in container.get("env", ())]
    return "" if len(found) == len(set(found)) else "a variable is set twice"


def _secret_in_environment(container: Json, _: Json) -> str:
    secret = [one for one in container.get("env", ()) if "secret" in one["name"].lower() and one.get("value")]
    return "a variable holds a secret" if secret else ""


def _reads_secret_from_environment(container: Json, _: Json) -> str:
    by_key = any("secretKeyRef" in (one.get("valueFrom") or {}) for one in container.get("env", ()))
    whole = any("secretRef" in one for one in container.get("envFrom", ()))
    return "a variable comes from a Secret" if by_key or whole else ""


def _privileged_port(container: Json, _: Json) -> str:
    low = [port["containerPort"] for port in container.get("ports", ()) if port["containerPort"] <= 1024]
    return f"ports {low}" if low else ""


def _ssh(container: Json, _: Json) -> str:
    return "port 22" if any(port["containerPort"] == 22 for port in container.get("ports", ())) else ""


def _long_token(pod: Json) -> str:
    for volume in pod.get("volumes", ()):
        for source in (volume.get("projected") or {}).get("sources", ()):
            seconds = (source.get("serviceAccountToken") or {}).get("expirationSeconds", 0)
            if seconds > LONGEST_TOKEN_SECONDS:
                return f"a token lives for {seconds} s"
    return ""


def _init_containers_gap(pod: Json) -> str:
    gaps = [
        one["name"] for one in pod.get("initContainers", ()) if _security(one).get("runAsNonRoot") is not True
    ]
    return f"init containers {gaps} do not say runAsNonRoot" if gaps else ""


def _sysctls(pod: Json) -> str:
    wanted = [one["name"] for one in (pod.get("securityContext") or {}).get("sysctls", ())]
    unsafe = [name for name in wanted if name.startswith(_UNSAFE_SYSCTLS)]
    return f"{unsafe}" if unsafe else ""


def _affinity(pod: Json, kind: str) -> Json:
    found: Json = (pod.get("affinity") or {}).get(kind) or {}
    return found


def _no_dns_options(pod: Json) -> str:
    options = (pod.get("dnsConfig") or {}).get("options", ())
    return "" if {"name": "ndots", "value": "2"} in options else "no dnsConfig option ndots: 2"


def _no_anti_affinity(manifests: Manifests) -> Found:
    for item, template in manifests.pods():
        if item["spec"].get("replicas", 1) > 1 and not _affinity(template["spec"], "podAntiAffinity"):
            yield item, "replicas may share a node"


def _few_replicas(manifests: Manifests) -> Found:
    for item in manifests.of("Deployment"):
        if item["spec"].get("replicas", 1) < 3:
            yield item, f"{item['spec'].get('replicas', 1)} replicas"


def _no_rolling_update(manifests: Manifests) -> Found:
    for item in manifests.of("Deployment"):
        strategy = item["spec"].get("strategy") or {}
        if strategy.get("type") != "RollingUpdate":
            yield item, "the strategy is not RollingUpdate"
        if (strategy.get("rollingUpdate") or {}).get("maxUnavailable") not in (0, "0%"):
            yield item, "an update may take replicas away"


def _wrong_selector(manifests: Manifests) -> Found:
    for item, template in manifests.pods():
        if "selector" in item["spec"] and not matches(
            item["spec"]["selector"], template["metadata"].get("labels", {})
        ):
            yield item, "it does not select its own pods"


def _unknown_account(manifests: Manifests) -> Found:
    known = {
        (one["metadata"]["namespace"], one["metadata"]["name"]) for one in manifests.of("ServiceAccount")
    }
    for item, template in manifests.pods():
        account = template["spec"].get("serviceAccountName", "default")
        if account != "default" and (item["metadata"].get("namespace", "default"), account) not in known:
            yield item, f"ServiceAccount {account} is not there"


def _not_isolated(manifests: Manifests) -> Found:
    for item, template in manifests.pods():
        place = item["metadata"].get("namespace", "default")
        policies = [
            one
            for one in manifests.of("NetworkPolicy")
            if one["metadata"].get("namespace", "default") == place
        ]
        labels = template["metadata"].get("labels", {})
        if not any(matches(one["spec"]["podSelector"], labels) for one in policies):
            yield item, "no NetworkPolicy selects its pods"


POD_CHECKS: Mapping[str, Check] = {
    "automount-service-account-token": pod_check(
        lambda pod: "" if pod.get("automountServiceAccountToken") is False else "it mounts a token"
    ),
    "container-runtime-sock": pod_check(
        lambda pod: "a runtime's socket" if any(map(_SOCKETS.search, _host_paths(pod).values())) else ""
    ),
    "default-service-account": pod_check(
        lambda pod: (
            "" if pod.get("serviceAccountName") not in (None, "", "default") else "the account default"
        )
    ),
    "deprecated-service-account-field": pod_check(
        lambda pod: "the field serviceAccount" if "serviceAccount" in pod else ""
    ),
    "dnsconfig-options": pod_check(_no_dns_options),
    "drop-net-raw-capability": container_check(_keeps_net_raw),
    "duplicate-env-var": container_check(_duplicate_environment),
    "env-var-secret": container_check(_secret_in_environment),
    "host-ipc": pod_check(lambda pod: "the host's IPC" if pod.get("hostIPC") else ""),
    "host-network": pod_check(lambda pod: "the host's network" if pod.get("hostNetwork") else ""),
    "host-pid": pod_check(lambda pod: "the host's processes" if pod.get("hostPID") else ""),
    "image-not-pinned-by-digest": _image("@sha256:[0-9a-f]{64}$", "the image has no digest"),
    "init-container-security-gap": pod_check(_init_containers_gap),
    "latest-tag": _image(r":(?!latest$)[^:/]+$", "the image has no tag, or latest"),
    "liveness-port": _probe_port("livenessProbe"),
    "minimum-three-replicas": _few_replicas,
    "mismatching-selector": _wrong_selector,
    "no-anti-affinity": _no_anti_affinity,
    "no-liveness-probe": _probe("livenessProbe"),
    "no-node-affinity": pod_check(lambda pod: "" if _affinity(pod, "nodeAffinity") else "no nodeAffinity"),
    "no-read-only-root-fs": container_check(
        lambda one, _: "" if _security(one).get("readOnlyRootFilesystem") is True else "a writable root"
    ),
    "no-readiness-probe": _probe("readinessProbe"),
    "no-rolling-update-strategy": _no_rolling_update,
    "no-startup-probe": _probe("startupProbe"),
    "non-existent-service-account": _unknown_account,
    "non-isolated-pod": _not_isolated,
    "priority-class-name": pod_check(lambda pod: "" if pod.get("priorityClassName") else "no priority class"),
    "privilege-escalation-container": container_check(
        lambda one, _: "" if _security(one).get("allowPrivilegeEscalation") is False else "it may escalate"
    ),
    "privileged-container": container_check(
        lambda one, _: "privileged" if _security(one).get("privileged") else ""
    ),
    "privileged-ports": container_check(_privileged_port),
    "projected-token-long-expiration": pod_check(_long_token),
    "read-secret-from-env-var": container_check(_reads_secret_from_environment),
    "readiness-port": _probe_port("readinessProbe"),
    "restart-policy": pod_check(
        lambda pod: "" if pod.get("restartPolicy", "Always") == "Always" else "it ends"
    ),
    "run-as-non-root": container_check(_runs_as_root),
    "sensitive-host-mounts": pod_check(
        lambda pod: (
            "a folder of the host" if any(map(_HOST_FOLDERS.search, _host_paths(pod).values())) else ""
        )
    ),
    "ssh-port": container_check(_ssh),
    "startup-port": _probe_port("startupProbe"),
    "unsafe-proc-mount": container_check(
        lambda one, _: "unmasked /proc" if _security(one).get("procMount", "Default") != "Default" else ""
    ),
    "unsafe-sysctls": pod_check(_sysctls),
    "unset-cpu-requirements": _unset("cpu"),
    "unset-ephemeral-storage-requirements": _unset("ephemeral-storage"),
    "unset-memory-requirements": _unset("memory"),
    "writable-host-mount": container_check(_writable_host_path),
}
