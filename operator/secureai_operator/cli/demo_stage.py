"""The demo's stage: CRDs, rights and admission policies installed, Vault prepared, the operator at work as itself."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

import secureai_operator
from secureai_operator import names
from secureai_operator.api.resources import LEASES, PODS
from secureai_operator.cli.demo_report import Report, SetupFailed
from secureai_operator.cli.operator_config import CONFIG_KEY, CONFIG_MAP, vault_connection
from secureai_operator.cli.output import string
from secureai_operator.clients.kube import KubeApi
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items
from secureai_operator.errors import OperatorError
from secureai_operator.settings import Settings, load

if TYPE_CHECKING:
    from lab import Lab, Process

T = TypeVar("T")

PROBE_SECONDS = 1.0
"""How often the demo's operator looks at Vault; the default is five minutes."""

_NOT_ON_THE_LAB = frozenset({"Deployment", "Service", "PodDisruptionBudget"})
"""Nothing runs images on the lab: the operator is a process beside it, with the same identity."""

_POLL = 0.01


@dataclass(frozen=True)
class Stage:
    """What every proof needs: the lab, the administrator's client, and the operator's configuration."""

    lab: Lab
    kube: KubeApi
    settings: Settings
    operator: Process
    root: Path

    async def vault(
        self, method: str, path: str, body: Any = None, token: str | None = None
    ) -> dict[str, Any]:
        """One request to Vault, as root unless a token is given."""
        return await asyncio.to_thread(self.lab.vault_request, method, path, body, token)


async def build(lab: Lab, kube: KubeApi, root: Path, report: Report) -> Stage:
    """Everything in place and the operator leading; SetupFailed if not."""
    with report.claim("CustomResourceDefinitions installed (crds/)"):
        await _kubectl(lab, "apply", "--server-side", "-f", str(root / "crds"))
        await asyncio.to_thread(_wait_established, lab, root / "crds")
    config = _write_config(lab)
    settings = load(config)
    with report.claim("ServiceAccount, RBAC and admission policies installed (manifests/base)") as line:
        line.note = "without the Deployment: here the operator is a process, with that ServiceAccount"
        await asyncio.to_thread(_install, lab, root / "manifests" / "base", config)
    with report.claim("Vault prepared (secureai vault bootstrap --apply)") as line:
        line.note = await _bootstrap(lab, settings)
    with report.claim("the admission policies are in force"):
        await until(lambda: _is_refused(kube), 30, "a pod of a workload that does not exist to be refused")
    with report.claim(
        f"the operator leads, as {names.OPERATOR_NAMESPACE}/{names.OPERATOR_SERVICE_ACCOUNT}"
    ) as line:
        line.note = (
            f"vaultProbeSeconds {PROBE_SECONDS:g} instead of 300, so that drift in Vault shows at once"
        )
        operator = _start_operator(lab, config)
        await until(lambda: _leads(kube, operator), 30, "the operator to lead", operator)
    return Stage(lab, kube, settings, operator, root)


async def until(
    condition: Callable[[], Awaitable[T]], seconds: float, what: str, process: Process | None = None
) -> T:
    """The first truthy answer, asked every hundredth of a second; SetupFailed after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := await condition()):
        if time.monotonic() > end:
            tail = "" if process is None else f"\n{process.tail()}"
            raise SetupFailed(f"waited {seconds:g} s for {what}{tail}")
        await asyncio.sleep(_POLL)
    return found


def _wait_established(lab: Lab, crds: Path) -> None:
    """Repeated, because a new CRD has no conditions at first and `kubectl wait` takes that for an error."""
    wait = ("wait", "--for=condition=Established", "--timeout=5s", "-f", str(crds))
    lab.wait_for(lambda: lab.kubectl(*wait), 30, "the CRDs to be established")


async def _kubectl(lab: Lab, *words: str) -> None:
    await asyncio.to_thread(lab.kubectl, *words)


def _install(lab: Lab, base: Path, config: Path) -> None:
    """The base, with this lab's configuration in place of the one that it comes with."""
    built = lab.kubectl("kustomize", str(base))
    kept = []
    for document in yaml.safe_load_all(built.stdout):
        if not document or document["kind"] in _NOT_ON_THE_LAB:
            continue
        if (document["kind"], document["metadata"]["name"]) == ("ConfigMap", CONFIG_MAP):
            document["data"] = {CONFIG_KEY: config.read_text()}
        kept.append(document)
    lab.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(kept))


def _write_config(lab: Lab) -> Path:
    """The operator's configuration; its token for Vault is its own, by the TokenRequest API."""
    directory = lab.directory / "operator"
    directory.mkdir(mode=0o700, exist_ok=True)
    token = directory / "vault-token"
    token.touch(mode=0o600)
    config = directory / "config.yaml"
    content = {
        "connections": {
            "default": {
                "address": lab.vault_address,
                "tokenFile": str(token),
                "allowInsecureHttp": lab.vault_address.startswith("http:"),
            }
        },
        "vaultProbeSeconds": PROBE_SECONDS,
        "httpHost": "127.0.0.1",
        "httpPort": 0,
    }
    config.write_text(yaml.safe_dump(content))
    return config


async def _bootstrap(lab: Lab, settings: Settings) -> str:
    from secureai_operator.clients.vault_bootstrap import VaultAdministrator  # noqa: PLC0415 - slow to import

    connection = vault_connection(settings, "default")
    async with VaultAdministrator(connection, lab.vault_root_token) as administrator:
        items = bootstrap_items(BootstrapSpec(connection))
        made = await administrator.apply(items)
        again = await administrator.apply(items)
    changed = [one.name for one in again if one.outcome != "Unchanged"]
    if changed:
        raise SetupFailed(f"a second bootstrap changed {', '.join(changed)}")
    return f"{len(made)} items, a second run changes none"


def _start_operator(lab: Lab, config: Path) -> Process:
    from lab.processes import base_environment  # noqa: PLC0415 - only a checkout has it

    account = (names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    (config.parent / "vault-token").write_text(lab.token(*account, audience="vault"))
    kubeconfig = lab.kubeconfig_for(*account)
    package = Path(secureai_operator.__file__).resolve().parent.parent
    environment = {**base_environment(lab.directory), "PYTHONPATH": str(package)}
    if "PYTHONDONTWRITEBYTECODE" in os.environ:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-m", "secureai_operator.cli.main", "run"]
    flags = ["--config", str(config), "--kubeconfig", str(kubeconfig)]
    return lab.process("operator", [*command, *flags], env=environment).start()


async def _leads(kube: KubeApi, operator: Process) -> bool:
    if operator.code is not None:
        raise SetupFailed(f"the operator ended with {operator.code}\n{operator.tail()}")
    lease = await kube.get(LEASES, names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    return bool(string(lease, "spec", "holderIdentity"))


async def _is_refused(kube: KubeApi) -> bool:
    """Whether the validating policy is in force: a workload that does not exist cannot have pods."""
    try:
        await kube.create(
            PODS, "default", pod("secureai-demo-probe", {names.WORKLOAD_LABEL: "ghost"}), dry_run=True
        )
    except OperatorError:
        return True
    return False


def pod(name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    """A pod that asks for nothing special, and fits the strictest of the Pod Security Standards."""
    container = {
        "name": "main",
        "image": "example.org/llm:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"securityContext": security, "containers": [container], **spec},
    }
