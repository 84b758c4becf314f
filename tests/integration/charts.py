"""The Helm chart as Helm makes objects of it, the folders of manifests/ as kustomize does, and in what the two differ."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import yaml

from lab.binaries import cluster_binaries
from lab.modules import HELM, built
from lab.processes import base_environment
from secureai_operator.settings import Settings
from tests.unit.test_helm import CHART, MANIFESTS, ROOT, Json, every, squeezed

NAMESPACE = "secureai-system"
RELEASE = "secureai"
SECONDS = 120
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

Key = tuple[str, str, str]


def helm(
    *arguments: str | Path, home: Path, check: bool = True, given: Json | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Helm without anything of this user's; `given` are values, as a file by `--values -`."""
    values = [] if given is None else ["--values", "-"]
    done = subprocess.run(
        [str(built(HELM) / "helm"), *map(str, arguments), *values],
        input="" if given is None else yaml.safe_dump(given),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=base_environment(home),
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def template(
    home: Path, given: Json | None = None, *more: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    where = ("--namespace", NAMESPACE)
    return helm("template", RELEASE, CHART, *(more or where), home=home, check=check, given=given)


def by_name(objects: list[Json]) -> dict[Key, Json]:
    found = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects
    }
    assert len(found) == len(objects), "an object is there twice"
    return found


def charted(home: Path, given: Json | None = None) -> dict[Key, Json]:
    """What the chart makes with these values."""
    return by_name([one for one in yaml.safe_load_all(template(home, given).stdout) if one])


@cache
def kustomized(folder: str) -> dict[Key, Json]:
    """What a folder of the manifests makes."""
    command = [str(cluster_binaries().kubectl), "kustomize", str(MANIFESTS / folder)]
    text = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    return by_name([one for one in yaml.safe_load_all(text) if one])


def crds() -> dict[Key, Json]:
    return by_name([one for path in (ROOT / "crds").iterdir() for one in every(path)])


# The differences, each in words: what is not here is the same.


def without_keep(one: Json) -> Json:
    """An uninstall leaves the CRDs and the namespace, by Helm's annotation; kubectl deletes what it is told to."""
    assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    return one


def without_checksum(one: Json) -> Json:
    """Pods are replaced when their configuration changes; with kubectl that is a restart by hand."""
    assert one["spec"]["template"]["metadata"]["annotations"].pop("checksum/config")
    return one


def as_settings(one: Json) -> Json:
    """The chart writes the configuration from values: the same settings, without the comments."""
    return {
        **one,
        "data": {"config.yaml": Settings.model_validate(yaml.safe_load(one["data"]["config.yaml"]))},
    }


DIFFERENCES: Mapping[Key, Callable[[Json], Json]] = {
    ("CustomResourceDefinition", "", "secureaiworkloads.secureai.dev"): without_keep,
    ("CustomResourceDefinition", "", "keyrotationpolicies.secureai.dev"): without_keep,
    ("Namespace", "", NAMESPACE): without_keep,
    ("Deployment", NAMESPACE, "secureai-operator"): without_checksum,
    ("ConfigMap", NAMESPACE, "secureai-operator"): as_settings,
}


def compared(chart: Mapping[Key, Json], other: Mapping[Key, Json]) -> None:
    """Raises unless the two are the same but for the differences; kustomize adds empty lines to folded expressions."""
    assert chart.keys() == other.keys()
    for key, one in chart.items():
        mine, theirs = copy.deepcopy(one), copy.deepcopy(other[key])
        if key in DIFFERENCES:
            mine = DIFFERENCES[key](mine)
            theirs = as_settings(theirs) if DIFFERENCES[key] is as_settings else theirs
        assert squeezed(mine) == squeezed(theirs), key
