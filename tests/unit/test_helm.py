"""The chart without Helm: what is copied is what is copied from, and every value is known, described and documented."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import secureai_operator
from secureai_operator import names
from secureai_operator.settings import (
    Peer,
    Settings,
    TracingSettings,
    VaultConnectionSettings,
    WebhookSettings,
)

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "helm" / "secureai-operator"
DOCUMENT = (ROOT / "docs" / "install.md").read_text()

Json = dict[str, Any]

TEMPLATED = {
    "base/operator/deployment.yaml",
    "base/operator/service.yaml",
    "base/operator/network-policy.yaml",
    "base/operator/config.yaml",
    "base/rbac/grant-ceiling.yaml",
    "overlays/webhook/service.yaml",
    "overlays/webhook/webhook-configuration.yaml",
    "overlays/webhook/deployment.yaml",
    "overlays/webhook/network-policy.yaml",
    "overlays/webhook/config.yaml",
    "monitoring/prometheus/service-monitor.yaml",
    "node-agent/daemon-set.yaml",
}
"""What values change, so that the chart has a template of it; tests/integration/test_installation_forms.py compares them."""
AS_IN_KUBERNETES = {
    "affinity",
    "tolerations.[]",
    "nodeAgent.tolerations.[]",
    "networkPolicy.apiServerPeers.[].ipBlock",
    "networkPolicy.apiServerPeers.[].namespaceSelector",
    "networkPolicy.apiServerPeers.[].podSelector",
    "networkPolicy.metricsPeers.[].ipBlock",
    "networkPolicy.metricsPeers.[].namespaceSelector",
    "networkPolicy.metricsPeers.[].podSelector",
    "networkPolicy.vaultPeers.[].ipBlock",
    "networkPolicy.vaultPeers.[].namespaceSelector",
    "networkPolicy.vaultPeers.[].podSelector",
    "global",
}
"""Objects whose form is the API server's to check."""


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(path: Path) -> Json:
    found: Json = yaml.safe_load(path.read_text())
    return found


def every(path: Path) -> list[Json]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


@cache
def schema() -> Json:
    return loaded(CHART / "values.schema.json")


@cache
def values() -> Json:
    return loaded(CHART / "values.yaml")


def squeezed(node: Any) -> Any:
    """With one space for each white space in texts: kustomize adds empty lines to folded ones, which CEL does not see."""
    if isinstance(node, dict):
        return {key: squeezed(one) for key, one in node.items()}
    if isinstance(node, list):
        return [squeezed(one) for one in node]
    return " ".join(node.split()) if isinstance(node, str) else node


def resolved(node: Json) -> Json:
    if "$ref" not in node:
        return node
    target: Json = schema()["definitions"][node["$ref"].removeprefix("#/definitions/")]
    return {**target, **node}


def nodes(node: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every place of the schema with its path, as a dotted name."""
    found = resolved(node)
    yield path, found
    for name, one in found.get("properties", {}).items():
        yield from nodes(one, f"{path}.{name}".lstrip("."))
    if "items" in found:
        yield from nodes(found["items"], f"{path}.[]")
    for one in found.get("patternProperties", {}).values():
        yield from nodes(one, f"{path}.*")


def of_the_chart() -> list[str]:
    """The values of the chart's own: places without further ones that the chart names, and `config` as one."""
    found = []

    def walk(node: Json, path: str) -> None:
        for name, one in node["properties"].items():
            here = f"{path}.{name}".lstrip(".")
            if "properties" in one and "$ref" not in one and here != "webhook.issuerRef":
                walk(one, here)
            elif here != "global":
                found.append(here)

    walk(schema(), "")
    return found


def aliases(model: type[BaseModel]) -> set[str]:
    return {str(field.alias) for field in model.model_fields.values()}


# What is generated --------------------------------------------------------------------------------------------


def test_what_is_generated_is_what_the_script_writes() -> None:
    made = script("generate_helm").content(CHART)
    stale = [name for name, text in made.items() if (CHART / name).read_bytes() != text.encode()]
    assert not stale, "run `python scripts/generate_helm.py manifests/helm/secureai-operator` again"


def test_nothing_else_is_among_what_is_copied() -> None:
    there = {path.relative_to(CHART).as_posix() for path in (CHART / "files").rglob("*") if path.is_file()}
    assert there == set(script("generate_helm").copies())


def test_every_manifest_is_copied_or_has_a_template() -> None:
    """A new file of the manifests is forgotten by no form of installation."""
    copied = set(script("generate_helm").copies().values())
    left = {
        path.relative_to(MANIFESTS).as_posix()
        for folder in ("base", "overlays", "monitoring", "node-agent")
        for path in (MANIFESTS / folder).rglob("*.*")
        if path.name != "kustomization.yaml" and path.read_text() not in copied
    }
    assert left == TEMPLATED


@pytest.mark.parametrize(
    "path", ["files/namespace.yaml", *sorted(f"files/crds/{p.name}" for p in (ROOT / "crds").iterdir())]
)
def test_what_is_kept_has_one_place_for_the_annotation(path: str) -> None:
    """The template puts it in after the one line `metadata:`."""
    text = (CHART / path).read_text()
    (one,) = yaml.safe_load_all(text)
    assert text.count("\nmetadata:\n") == 1
    assert "annotations" not in one["metadata"]


def test_the_labels_of_the_alerts_are_in_one_place() -> None:
    assert (CHART / "files/monitoring/rules.yaml").read_text().count("\n  labels:\n") == 1


def test_install_yaml_holds_the_crds_and_the_base_and_nothing_else() -> None:
    objects = every(MANIFESTS / "install.yaml")
    base = [
        one
        for path in sorted((MANIFESTS / "base").rglob("*.yaml"))
        if path.name not in {"kustomization.yaml", "config.yaml"}
        for one in every(path)
    ]
    crds = [one for path in sorted((ROOT / "crds").iterdir()) for one in every(path)]
    (config,) = [one for one in objects if one["kind"] == "ConfigMap"]
    assert config["data"] == {"config.yaml": (MANIFESTS / "base/operator/config.yaml").read_text()}
    assert len(objects) == len(crds) + len(base) + 1
    assert objects[: len(crds)] == crds, "the CRDs come first"
    there = squeezed(objects)
    assert all(squeezed(one) in there for one in base), (
        "run `python scripts/generate_install.py manifests/install.yaml` again"
    )


# What the chart says of itself --------------------------------------------------------------------------------


def test_the_chart_has_the_version_of_the_operator() -> None:
    chart = loaded(CHART / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (secureai_operator.__version__,) * 2


def test_the_defaults_are_those_of_the_base() -> None:
    (deployment,) = every(MANIFESTS / "base/operator/deployment.yaml")
    image = values()["image"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{image['repository']}:{image['tag']}"
    ceiling = every(MANIFESTS / "base/rbac/grant-ceiling.yaml")[0]
    assert values()["grantCeiling"]["rules"] == ceiling["rules"]
    assert Settings.model_validate(values()["config"]) == Settings.model_validate(
        loaded(MANIFESTS / "base/operator/config.yaml")
    )


def test_the_namespace_is_named_and_never_the_release_s() -> None:
    """The policies would not know the operator anywhere else."""
    asking = {
        path.name for path in (CHART / "templates").iterdir() if ".Release.Namespace" in path.read_text()
    }
    assert asking == {"refusals.yaml", "NOTES.txt"}
    refusal = (CHART / "templates" / "refusals.yaml").read_text()
    assert f'ne .Release.Namespace "{names.OPERATOR_NAMESPACE}"' in refusal


# Values -------------------------------------------------------------------------------------------------------


def test_no_value_is_unknown_to_the_schema_and_none_is_missing() -> None:
    def same(node: Json, there: Json, path: str) -> None:
        for name, one in node["properties"].items():
            if path or name != "global":
                assert name in there, f"{path}.{name}"
                if "properties" in one and one["properties"].keys() & there[name].keys():
                    same(one, there[name], f"{path}.{name}")
        assert there.keys() <= node["properties"].keys()

    same(schema(), values(), "")


def test_the_schema_knows_every_object_s_fields() -> None:
    """A misspelt value is refused: else it would be taken for a default."""
    open_ones = {
        path
        for path, node in nodes(schema())
        if node.get("type") == "object" and node.get("additionalProperties", True) is True
    }
    assert open_ones == AS_IN_KUBERNETES


def test_every_field_of_the_schema_is_described() -> None:
    silent = [
        path
        for path, node in nodes(schema())
        if path and not path.endswith(("[]", "*")) and len(node.get("description", "")) < 7
    ]
    assert not silent


def test_what_values_yaml_has_cannot_be_taken_away() -> None:
    def required(node: Json, there: Json) -> None:
        assert set(node["required"]) == set(there) - {"global"}
        for name, one in node["properties"].items():
            if "properties" in one and there.get(name):
                required(one, there[name])

    required(schema(), values())


def lines_with_comment_above() -> set[tuple[int, str]]:
    """Indent and name of every key of values.yaml that has a comment in the line above."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    found = set()
    for above, line in pairwise(lines):
        key = re.match(r"( *)(\w+):", line)
        if key and above.strip().startswith("#"):
            found.add((len(key[1]), key[2]))
    return found


@pytest.mark.parametrize("path", of_the_chart())
def test_every_value_has_a_comment(path: str) -> None:
    parts = path.split(".")
    assert (2 * (len(parts) - 1), parts[-1]) in lines_with_comment_above()


def test_the_page_has_every_value_and_no_other() -> None:
    table = DOCUMENT.split("\n## Values\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)
    assert sorted(told) == sorted(of_the_chart())


# Settings of the operator -------------------------------------------------------------------------------------


def config_block() -> str:
    text = (CHART / "values.yaml").read_text().split("\nconfig:\n")[1]
    return re.split(r"^\S", text, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("model", "definition"),
    [
        (Settings, "Settings"),
        (VaultConnectionSettings, "VaultConnectionSettings"),
        (WebhookSettings, "WebhookSettings"),
        (TracingSettings, "TracingSettings"),
        (Peer, "Peer"),
    ],
)
def test_every_setting_can_be_set_and_is_shown(model: type[BaseModel], definition: str) -> None:
    assert set(schema()["definitions"][definition]["properties"]) == aliases(model)
    shown = set(re.findall(r"(?:^| |\{)(\w+):", config_block(), re.MULTILINE)) | {"cidr"}
    assert aliases(model) <= shown


def test_what_is_commented_out_is_the_default() -> None:
    shown = re.sub(r"^(\s*)# (\s*(?:- )?[a-z]\w*:(?: .*)?)$", r"\1\2", config_block(), flags=re.MULTILINE)
    config = yaml.safe_load(shown)
    # The one that has no default and is commented out for its form.
    config["connections"]["default"]["caFile"] = None
    written = Settings.model_validate(config)
    assert aliases(Settings) == set(config)
    assert aliases(VaultConnectionSettings) == set(config["connections"]["default"])
    assert written == Settings.model_validate(values()["config"])


def test_the_schema_says_of_each_setting_what_the_page_says() -> None:
    """They are read from the table, whose form may change."""
    told = script("generate_helm").documented((ROOT / "docs" / "operations.md").read_text())
    assert {(model, field) for model, field in told} == {
        (model.__name__, field)
        for model in (Settings, VaultConnectionSettings, WebhookSettings, TracingSettings)
        for field in aliases(model)
    }
    assert told["Settings", "leaseSeconds"] == "How long a leader that vanished is waited for."
