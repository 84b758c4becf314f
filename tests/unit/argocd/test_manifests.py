"""What is installed is what is tested, and the example is complete and comes in an order that can end."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from types import ModuleType
from typing import Any

import pytest
import yaml

from secureai_operator import names
from secureai_operator.api.rotation import KeyRotationPolicySpec
from secureai_operator.api.workload import SecureAIWorkloadSpec
from tests.unit.argocd.sandbox import CUSTOMIZATIONS, KINDS, ROOT, Json, folder, health
from tests.unit.argocd.states import live_policy
from tests.unit.argocd.test_health import CHOSEN
from tests.unit.argocd.workload_states import live_workload, ready
from tests.unit.argocd.write import files
from tests.unit.samples import made_for, workload

ARGOCD = CUSTOMIZATIONS.parent
EXAMPLE = ARGOCD / "example"
WAVE = "argocd.argoproj.io/sync-wave"
DOCUMENT = (ROOT / "docs" / "argocd.md").read_text()


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_argocd", ROOT / "scripts" / "generate_argocd.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def patch() -> Json:
    found: Json = yaml.safe_load((ARGOCD / "argocd-cm-patch.yaml").read_text())
    return found


@cache
def application() -> Json:
    found: Json = yaml.safe_load((EXAMPLE / "application.yaml").read_text())
    return found


def example() -> list[Json]:
    return [yaml.safe_load(path.read_text()) for path in sorted((EXAMPLE / "app").glob("*.yaml"))]


def of_kind(kind: str) -> Json:
    (found,) = [one for one in example() if one["kind"] == kind]
    return found


def wave(obj: Json) -> int:
    return int(obj["metadata"].get("annotations", {}).get(WAVE, 0))


# What is installed --------------------------------------------------------------------------------------------


def test_the_patch_is_what_the_scripts_make() -> None:
    text = (ARGOCD / "argocd-cm-patch.yaml").read_text()
    assert text == generator().content(ARGOCD), (
        "run `python scripts/generate_argocd.py manifests/argocd` again"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_patch_holds_each_script_word_for_word(kind: str) -> None:
    data = patch()["data"]
    assert (
        data[f"resource.customizations.health.secureai.dev_{kind}"]
        == (folder(kind) / "health.lua").read_text()
    )
    actions = yaml.safe_load(data[f"resource.customizations.actions.secureai.dev_{kind}"])
    assert actions["discovery.lua"] == (folder(kind) / "actions" / "discovery.lua").read_text()
    scripts = {path.parent.name: path.read_text() for path in (folder(kind) / "actions").glob("*/action.lua")}
    assert {one["name"]: one["action.lua"] for one in actions["definitions"]} == scripts


def test_the_patch_touches_no_other_key_and_opens_no_library() -> None:
    assert (patch()["kind"], patch()["metadata"]["name"]) == ("ConfigMap", "argocd-cm")
    assert sorted(patch()["data"]) == sorted(
        f"resource.customizations.{what}.secureai.dev_{kind}"
        for kind in KINDS
        for what in ("health", "actions")
    )
    listed = yaml.safe_load((ARGOCD / "kustomization.yaml").read_text())["resources"]
    assert listed == ["argocd-cm-patch.yaml"]


def test_the_testdata_is_what_the_operator_writes() -> None:
    made = dict(files())
    there = {path for kind in KINDS for path in folder(kind).rglob("testdata/*.yaml")}
    assert there == set(made)
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "run `python -m tests.unit.argocd.write` again"


# The example --------------------------------------------------------------------------------------------------


def test_every_source_is_there_and_says_that_its_address_is_yours() -> None:
    sources = application()["spec"]["sources"]
    assert [one["path"] for one in sources] == ["crds", "manifests/base", "manifests/argocd/example/app"]
    for one in sources:
        assert (ROOT / one["path"]).is_dir()
        assert one["repoURL"].startswith("https://git.example.com/")
    assert "Set repoURL" in (EXAMPLE / "application.yaml").read_text()


def test_waves_go_from_crds_to_pods() -> None:
    crds = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert {wave(one) for one in crds} == {0}
    (base,) = [one for one in application()["spec"]["sources"] if one["path"] == "manifests/base"]
    assert base["kustomize"]["commonAnnotations"] == {WAVE: "1"}
    waves = {one["kind"]: wave(one) for one in example()}
    assert waves == {"Namespace": 2, "KeyRotationPolicy": 2, "SecureAIWorkload": 3, "Deployment": 4}


def test_the_image_that_is_replaced_is_the_one_of_the_base() -> None:
    (base,) = [one for one in application()["spec"]["sources"] if one["path"] == "manifests/base"]
    deployment = yaml.safe_load((ROOT / "manifests/base/operator/deployment.yaml").read_text())
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert [one.split("=")[0] for one in base["kustomize"]["images"]] == [image.split(":")[0]]


def test_the_objects_are_valid_and_belong_together() -> None:
    policy, item, deployment = (
        of_kind("KeyRotationPolicy"),
        of_kind("SecureAIWorkload"),
        of_kind("Deployment"),
    )
    spec = KeyRotationPolicySpec.model_validate(policy["spec"])
    SecureAIWorkloadSpec.model_validate(item["spec"])
    assert spec.selector.match_labels.items() <= item["metadata"]["labels"].items()
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels[names.WORKLOAD_LABEL] == item["metadata"]["name"]
    namespaces = {one["metadata"].get("namespace") for one in example() if one["kind"] != "Namespace"}
    assert namespaces == {of_kind("Namespace")["metadata"]["name"]}


def test_no_wave_waits_for_a_later_one() -> None:
    """A policy whose workloads are still to come, and a workload whose pods are: both have to be Healthy."""
    assert health(live_policy(of_kind("KeyRotationPolicy")["spec"]))[0] == "Healthy"
    assert health(live_workload(ready(of_kind("SecureAIWorkload")["spec"])))[0] == "Healthy"


def test_git_says_nothing_that_an_action_changes() -> None:
    for kind in KINDS:
        obj = of_kind(kind)
        assert "suspend" not in obj["spec"]
        assert (
            not {names.ROTATE_ANNOTATION, names.EMERGENCY_ANNOTATION} & obj["metadata"]["annotations"].keys()
        )
    assert "ignoreDifferences" not in application()["spec"]


# What the page says -------------------------------------------------------------------------------------------


def test_what_argo_cd_tracks_by_is_on_nothing_that_the_operator_makes() -> None:
    item = workload({"network": {"vault": True}, "keys": {"dataKeys": [{"name": "model"}]}})
    for desired in made_for(item):
        metadata: dict[str, Any] = dict(desired.manifest["metadata"])
        assert "app.kubernetes.io/instance" not in metadata["labels"]
        assert not [key for key in metadata.get("annotations", {}) if "argoproj.io" in key]
        assert metadata["ownerReferences"]


@pytest.mark.parametrize("reason", sorted(CHOSEN))
def test_every_choice_is_on_the_page(reason: str) -> None:
    assert f"`{reason}`" in DOCUMENT or f"**{reason}**" in DOCUMENT


def test_the_page_names_every_action_and_annotation_and_no_other() -> None:
    table = DOCUMENT.split("## Actions")[1].split("\n\n")[1]
    told = set(re.findall(r"`([a-z-]+)`(?=[^|]*\|[^|]*\|)", table)) - {"secureai"}
    there = {path.parent.name for kind in KINDS for path in (folder(kind) / "actions").glob("*/action.lua")}
    assert there <= told
    for annotation in (names.ROTATE_ANNOTATION, names.EMERGENCY_ANNOTATION, names.RESTARTED_FOR_ANNOTATION):
        assert f"`{annotation}`" in DOCUMENT
