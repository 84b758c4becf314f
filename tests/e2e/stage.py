"""The product in pods of a real node, and pods of workloads to try it with."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import Lab, Process
from lab.node import API_PORT, NAME, VAULT_PORT, RealNode
from secureai_operator import names
from secureai_operator.api.resources import DAEMON_SETS, DEPLOYMENTS, PODS, SECURE_AI_WORKLOADS, Resource
from tests.product import ROOT, Product

Json = dict[str, Any]
IMAGE = "secureai-operator:dev"
PROBE = Path(__file__).with_name("probe.py")
PYTHON = "/opt/secureai/bin/python"
POD_SECONDS = 60.0
AGENT = "secureai-node-agent"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Loop:
    """A client that runs in a pod and tells each outcome."""

    process: Process

    def outcomes(self) -> list[Json]:
        text = self.process.log.read_text(errors="replace") if self.process.log.exists() else ""
        lines = text.splitlines()
        if text and not text.endswith("\n"):
            lines.pop()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def answered(self) -> list[float]:
        """The times of all answers."""
        return [entry["at"] for entry in self.outcomes() if entry["ok"]]

    def refused(self) -> list[Json]:
        return [entry for entry in self.outcomes() if not entry["ok"]]

    def end(self) -> list[Json]:
        self.process.stop()
        return self.outcomes()


@dataclass(frozen=True)
class Pod:
    """A running pod of a workload, or of none."""

    stage: Stage
    namespace: str
    name: str

    @property
    def live(self) -> Json:
        return self.stage.lab.api.request("GET", PODS.path(self.namespace, self.name))

    @property
    def address(self) -> str:
        return str(self.live["status"]["podIP"])

    def probe(self, verb: str, **options: Any) -> Json:
        """Run one verb of the probe to its end; its last line."""
        done = self.stage.lab.kubectl(*self._command(verb, options))
        last: Json = json.loads(done.stdout.splitlines()[-1])
        return last

    def reaches(self, other: Pod, **options: Any) -> bool:
        """Whether a new connection to the other pod is answered."""
        return bool(self.probe("get", host=other.address, **options)["ok"])

    def loop(self, verb: str, **options: Any) -> Loop:
        """Run a verb that goes on; returns when it has told its first outcome."""
        kubectl = [str(self.stage.lab.cluster.kubectl), f"--kubeconfig={self.stage.lab.admin_kubeconfig}"]
        process = self.stage.lab.process(
            f"{verb}-{next(_numbers)}", [*kubectl, *self._command(verb, options)]
        )
        process.start()
        started = Loop(process)
        process.wait_ready(started.answered, 30, f"{verb} in {self.name} to have an answer")
        return started

    def loop_server(self, port: int) -> Process:
        """A further server in this pod, answering."""
        kubectl = [str(self.stage.lab.cluster.kubectl), f"--kubeconfig={self.stage.lab.admin_kubeconfig}"]
        process = self.stage.lab.process(
            f"serve-{next(_numbers)}", [*kubectl, *self._command("serve", {"port": port})]
        ).start()
        process.wait_ready(lambda: "serving" in process.tail(), 30, f"a server on port {port}")
        return process

    def label(self, **labels: str | None) -> float:
        """Set labels; returns the time at which the API server had accepted it."""
        change = {"metadata": {"labels": labels}}
        self.stage.lab.api.request(
            "PATCH", PODS.path(self.namespace, self.name), change, "application/merge-patch+json"
        )
        return time.time()

    def quarantine(self) -> float:
        return self.label(**{names.QUARANTINE_LABEL: "e2e"})

    def release(self) -> float:
        return self.label(**{names.QUARANTINE_LABEL: None})

    def _command(self, verb: str, options: Mapping[str, Any]) -> list[str]:
        words = ["exec", "-n", self.namespace, self.name, "-c", "main", "--", PYTHON, "/probe/probe.py", verb]
        for option, value in options.items():
            if value is True:
                words.append(f"--{option.replace('_', '-')}")
            elif value is not None:
                words.append(f"--{option.replace('_', '-')}={value}")
        return words


@dataclass(frozen=True)
class Stage:
    """The product, installed and running in pods."""

    node: RealNode
    product: Product

    @property
    def lab(self) -> Lab:
        return self.node.lab

    def install(self) -> None:
        """What a user does: CRDs, Vault, manifests with a configuration of their own; nothing of it is left out."""
        self.product.install()
        self.lab.kubectl("apply", "--server-side", "-k", str(self._overlay()))
        self.wait_rolled_out(DEPLOYMENTS, names.OPERATOR_NAMESPACE, "secureai-operator")

    def install_agent(self) -> None:
        self.lab.kubectl("apply", "--server-side", "-k", str(ROOT / "manifests/node-agent"))
        self.wait_rolled_out(DAEMON_SETS, AGENT, AGENT)

    def remove_agent(self) -> None:
        self.lab.kubectl("delete", "-k", str(ROOT / "manifests/node-agent"), "--wait=true", deadline=90)

    def wait_rolled_out(self, resource: Resource, namespace: str, name: str) -> None:
        """All of its pods are Ready, by its own status."""

        def done() -> bool:
            live = self.lab.api.request("GET", resource.path(namespace, name))
            status, generation = live.get("status", {}), live["metadata"]["generation"]
            wanted = live["spec"].get("replicas", status.get("desiredNumberScheduled", 0))
            ready = status.get("readyReplicas", status.get("numberReady", 0))
            return bool(wanted) and ready == wanted and status.get("observedGeneration") == generation

        self._waiting(done, namespace, f"{name} to be rolled out", 120)

    def workload(self, namespace: str, name: str, **spec: Any) -> Json:
        """A SecureAIWorkload, Ready."""
        spec = {"confidential": {"mode": "Off"}, **spec}
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "SecureAIWorkload",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.lab.api.request("POST", SECURE_AI_WORKLOADS.path(namespace), body)
        return self.wait_ready(namespace, name)

    def respec(self, namespace: str, name: str, **spec: Any) -> Json:
        """Change parts of a workload's spec; Ready again."""
        path = SECURE_AI_WORKLOADS.path(namespace, name)
        self.lab.api.request("PATCH", path, {"spec": spec}, "application/merge-patch+json")
        return self.wait_ready(namespace, name)

    def wait_ready(self, namespace: str, name: str) -> Json:
        def ready() -> Json | None:
            live = self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(namespace, name))
            conditions: list[Json] = live.get("status", {}).get("conditions", [])
            found = [one for one in conditions if one["type"] == "Ready"]
            current = found and found[0]["observedGeneration"] == live["metadata"]["generation"]
            return live if current and found[0]["status"] == "True" else None

        found: Json = self._waiting(ready, names.OPERATOR_NAMESPACE, f"{namespace}/{name} to be Ready", 60)
        return found

    def pod(self, namespace: str, name: str, workload: str | None = None, *command: str) -> Pod:
        """A pod that runs one verb of the probe (a server on port 8000 unless told otherwise), running."""
        labels = {"app": name, **({names.WORKLOAD_LABEL: workload} if workload else {})}
        self.lab.api.request(
            "POST", PODS.path(namespace), pod_object(name, labels, command or ("serve", "--port=8000"))
        )
        pod = Pod(self, namespace, name)
        self._waiting(lambda: _is_ready(pod.live), namespace, f"pod {namespace}/{name} to run", POD_SECONDS)
        return pod

    def namespace(self, prefix: str) -> str:
        """A namespace under the restricted Pod Security profile, with the probe in it."""
        name = f"{prefix}-{os.urandom(2).hex()}"
        self.lab.create_namespace(name, {"pod-security.kubernetes.io/enforce": "restricted"})
        config = {"metadata": {"name": "probe"}, "data": {"probe.py": PROBE.read_text()}}
        self.lab.api.request("POST", f"/api/v1/namespaces/{name}/configmaps", config)
        return name

    def vault_options(self, workload: Json) -> Json:
        """How the pods of a workload use Vault: what its status says."""
        vault = workload["status"]["vault"]
        return {
            "vault": self.lab.vault_address,
            "key": vault["name"],
            "auth": vault.get("authMount", "kubernetes"),
            "transit": vault["transitMount"],
        }

    def pods_of(self, namespace: str, selector: str) -> list[Json]:
        items: list[Json] = self.lab.api.request("GET", f"{PODS.path(namespace)}?labelSelector={selector}")[
            "items"
        ]
        return items

    def _waiting(self, condition: Callable[[], Any], namespace: str, what: str, deadline: float) -> Any:
        try:
            return self.lab.wait_for(condition, deadline, what)
        except Exception as error:
            error.add_note(self.lab.kubectl("get", "pods", "-A", "-o", "wide", check=False).stdout)
            events = ("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
            error.add_note("\n".join(self.lab.kubectl(*events, check=False).stdout.splitlines()[-15:]))
            logs = ("logs", "-n", namespace, "--all-containers", "--prefix", "--tail=15")
            for pod in self.lab.api.request("GET", PODS.path(namespace))["items"]:
                error.add_note(self.lab.kubectl(*logs, pod["metadata"]["name"], check=False).stdout)
            raise

    def _overlay(self) -> Path:
        """manifests/base with this lab's configuration, as a user's own overlay would be."""
        folder = self.lab.directory / "overlay"
        folder.mkdir()
        config = settings(self.node.host)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        generator = {
            "name": "secureai-operator",
            "namespace": names.OPERATOR_NAMESPACE,
            "behavior": "replace",
            "files": ["config.yaml"],
        }
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(ROOT / "manifests/base", folder.resolve())],
            "configMapGenerator": [generator],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return folder


def settings(host: str) -> Json:
    """The operator's configuration on a lab whose servers listen on this address."""
    return {
        "cluster": "main",
        "vaultProbeSeconds": 5,
        "apiServerPeers": [{"cidr": f"{host}/32"}],
        "apiServerPort": API_PORT,
        "connections": {
            "default": {
                "address": f"http://{host}:{VAULT_PORT}",
                "allowInsecureHttp": True,
                "peers": [{"cidr": f"{host}/32"}],
            }
        },
    }


def pod_object(name: str, labels: Mapping[str, str], command: tuple[str, ...]) -> Json:
    """A pod under the restricted profile; everything about its identity is left to the binding."""
    return {
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": NAME},
            "terminationGracePeriodSeconds": 0,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "imagePullPolicy": "Never",
                    "command": [PYTHON, "/probe/probe.py", *command],
                    "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "probe", "mountPath": "/probe", "readOnly": True}],
                }
            ],
            "volumes": [{"name": "probe", "configMap": {"name": "probe"}}],
        },
    }


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
