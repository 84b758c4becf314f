"""The operator's configuration as the verbs need it: from a file, or from the ConfigMap of the installed operator."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from secureai_operator import names, settings
from secureai_operator.api.resources import CONFIG_MAPS
from secureai_operator.api.vault_types import VaultConnection
from secureai_operator.cli.exits import USAGE, CliError
from secureai_operator.cli.output import string
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.core.configured import vault_connections
from secureai_operator.errors import KubeForbidden
from secureai_operator.settings import Settings

CONFIG_MAP = "secureai-operator"
CONFIG_KEY = "config.yaml"


def add_config_flag(parser: argparse.ArgumentParser, otherwise: str) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help=f"the operator's configuration (default: {otherwise})"
    )


def from_file(path: Path) -> Settings:
    try:
        return settings.load(path)
    except settings.SettingsError as error:
        raise CliError(str(error), USAGE) from error


def from_cluster(kube: KubeUser) -> Settings | None:
    """The configuration of the installed operator, or None if it cannot be seen."""
    try:
        found = kube.get(CONFIG_MAPS, names.OPERATOR_NAMESPACE, CONFIG_MAP)
    except KubeForbidden:
        return None
    text = string(found, "data", CONFIG_KEY)
    if not text:
        return None
    with tempfile.TemporaryDirectory(prefix="secureai-") as directory:
        path = Path(directory) / CONFIG_KEY
        path.write_text(text)
        try:
            return from_file(path)
        except CliError as error:
            where = f"ConfigMap {names.OPERATOR_NAMESPACE}/{CONFIG_MAP}, {CONFIG_KEY}"
            raise CliError(error.message.replace(str(path), where), USAGE) from error


def vault_connection(configured: Settings, name: str) -> VaultConnection:
    """One connection of the configuration in the words of the Vault clients."""
    found = vault_connections(configured).get(name)
    if found is None:
        known = ", ".join(sorted(configured.connections)) or "none"
        raise CliError(f"no connection {name!r} in the configuration; it has {known}", USAGE)
    return found
