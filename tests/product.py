"""The product installed on a lab: CRDs, manifests/base, a prepared Vault, and operator processes under their own identity."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab import Lab, Process
from secureai_operator import names
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.clients.vault_bootstrap import VaultAdministrator
from secureai_operator.core.bootstrap import BootstrapSpec, bootstrap_items
from secureai_operator.core.configured import vault_connections
from secureai_operator.settings import Settings

ROOT = Path(__file__).parent.parent
_numbers = itertools.count(1)


@dataclass(slots=True)
class Operator:
    """One operator process."""

    process: Process
    config: Path

    def stop(self) -> int | None:
        return self.process.stop()


@dataclass(slots=True)
class Product:
    """An installation on a lab; operators are started and stopped by tests."""

    lab: Lab
    settings: dict[str, Any] = field(default_factory=dict)

    def install(self) -> None:
        """CRDs first, as a user would; everything of the base but what needs a kubelet."""
        self.lab.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        # A new CRD has no conditions at first, which `kubectl wait` takes for an error.
        established = (
            "wait",
            "--for=condition=Established",
            "crd/secureaiworkloads.secureai.dev",
            "crd/keyrotationpolicies.secureai.dev",
            "--timeout=5s",
        )
        self.lab.wait_for(lambda: self.lab.kubectl(*established), 30, "the CRDs to be established")
        rendered = self.lab.kubectl("kustomize", str(ROOT / "manifests/base")).stdout
        objects = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] != "Deployment"]
        self.lab.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(objects))
        self.bootstrap_vault()

    def bootstrap_vault(self, **overrides: Any) -> None:
        spec = BootstrapSpec(self.vault_connection(**overrides))
        asyncio.run(_bootstrap(spec, self.lab.vault_root_token))

    def vault_connection(self, **overrides: Any) -> VaultConnection:
        """The connection `default`, as the operator has it."""
        settings = Settings.model_validate(_merged(self.base_settings(), overrides))
        return vault_connections(settings)["default"]

    def base_settings(self) -> dict[str, Any]:
        """Settings of an operator on this lab; tests override single ones."""
        return {
            "httpPort": 0,
            "httpHost": "127.0.0.1",
            "vaultProbeSeconds": 300,
            "connections": {
                "default": {
                    "address": self.lab.vault_address,
                    "allowInsecureHttp": True,
                    "tokenFile": str(self.lab.directory / "operator-vault-token"),
                    "peers": [{"cidr": "127.0.0.1/32"}],
                }
            },
            **self.settings,
        }

    def start_operator(
        self,
        kubeconfig: Path | None = None,
        environment: Mapping[str, str] | None = None,
        **overrides: Any,
    ) -> Operator:
        """Start one as its own ServiceAccount, never as an administrator; by `kubeconfig` it may go through a proxy."""
        number = next(_numbers)
        account = (names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
        token_file = self.lab.directory / "operator-vault-token"
        token_file.write_text(self.lab.token(*account, audience="vault"))
        config = self.lab.directory / f"operator-{number}.yaml"
        config.write_text(yaml.safe_dump(_merged(self.base_settings(), overrides)))
        kubeconfig = kubeconfig or self.lab.kubeconfig_for(*account)
        command = [sys.executable, "-m", "secureai_operator.cli.main", "run"]
        process = self.lab.process(
            f"operator-{number}",
            [*command, "--config", str(config), "--kubeconfig", str(kubeconfig)],
            env={"PYTHONPATH": str(ROOT / "operator"), **(environment or {})},
        )
        process.start()
        return Operator(process, config)


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {**base, **overrides}


async def _bootstrap(spec: BootstrapSpec, token: str) -> None:
    async with VaultAdministrator(spec.connection, token) as administrator:
        await administrator.apply(bootstrap_items(spec))
