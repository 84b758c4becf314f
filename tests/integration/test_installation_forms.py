"""Three forms of installation, one result: the Helm chart, the kustomize base and install.yaml; and the chart by a real Helm."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from lab import Lab, start_lab
from lab.binaries import cluster_binaries
from lab.certificates import Authority
from lab.start import Source, chosen_source, prepare
from tests.integration.charts import (
    NAMESPACE,
    RELEASE,
    Key,
    by_name,
    charted,
    compared,
    crds,
    helm,
    kustomized,
)
from tests.unit.test_helm import CHART, MANIFESTS, Json, every, script

# The first one builds Helm: minutes on a machine that never did.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

MONITORING = ("serviceMonitor", "rules", "dashboard", "auditReporter")


def test_the_chart_makes_what_the_crds_and_the_base_make_but_for_the_namespace(tmp_path: Path) -> None:
    """Helm needs the namespace before it looks at the chart, so it is not of the release."""
    other = crds() | kustomized("base")
    del other["Namespace", "", NAMESPACE]
    compared(charted(tmp_path), other)


def test_for_tools_that_only_render_the_namespace_is_there_too(tmp_path: Path) -> None:
    compared(charted(tmp_path, {"namespace": {"create": True}}), crds() | kustomized("base"))


def test_install_yaml_is_the_crds_and_the_base() -> None:
    assert by_name(every(MANIFESTS / "install.yaml")) == crds() | kustomized("base")


def test_install_yaml_is_what_the_script_writes() -> None:
    made = script("generate_install").content(cluster_binaries().kubectl)
    assert [one for one in yaml.safe_load_all(made) if one] == every(MANIFESTS / "install.yaml")


def test_the_webhook_makes_what_the_overlay_makes(tmp_path: Path) -> None:
    other = crds() | kustomized("overlays/webhook")
    del other["Namespace", "", NAMESPACE]
    compared(charted(tmp_path, {"config": {"binding": "Webhook"}}), other)


def test_monitoring_and_the_node_agent_make_what_their_folders_make(tmp_path: Path) -> None:
    everything = {
        "monitoring": {name: {"enabled": True} for name in MONITORING},
        "nodeAgent": {"enabled": True},
    }
    other = crds() | kustomized("base") | kustomized("monitoring") | kustomized("node-agent")
    del other["Namespace", "", NAMESPACE]
    compared(charted(tmp_path, everything), other)


def test_each_option_adds_its_own_objects_and_no_other(tmp_path: Path) -> None:
    plain = charted(tmp_path)
    parts = {
        "serviceMonitor": {("ServiceMonitor", NAMESPACE, "secureai-operator")},
        "rules": {("PrometheusRule", NAMESPACE, "secureai-operator")},
        "dashboard": {("ConfigMap", NAMESPACE, "secureai-dashboard")},
        "auditReporter": set(kustomized("monitoring/audit")),
    }
    for name, expected in parts.items():
        assert charted(tmp_path, {"monitoring": {name: {"enabled": True}}}).keys() - plain.keys() == expected
    without = charted(tmp_path, {"crds": {"install": False}, "replicas": 1})
    assert plain.keys() - without.keys() == {*crds(), ("PodDisruptionBudget", NAMESPACE, "secureai-operator")}


def test_no_dollar_and_no_brace_of_an_alert_is_taken_for_the_chart_s(tmp_path: Path) -> None:
    given = {"monitoring": {"rules": {"enabled": True, "labels": {"release": "prometheus"}}}}
    rule = charted(tmp_path, given)["PrometheusRule", NAMESPACE, "secureai-operator"]
    assert rule["metadata"]["labels"].pop("release") == "prometheus"
    assert rule == every(MANIFESTS / "monitoring/prometheus/rules.yaml")[0]
    assert "{{ $labels.namespace }}" in yaml.safe_dump(rule)


# By a real Helm, on a cluster of its own ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh() -> Iterator[Lab]:
    """A lab on which nothing of the product is: Helm takes nothing that somebody else made."""
    if chosen_source() is Source.USER:
        pytest.skip("the chart is installed and removed on a cluster of the test's own, never on a user's")
    prepare()
    with start_lab(nodes=()) as lab:
        yield lab


def on(
    lab: Lab, *arguments: str | Path, given: Json | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    admin = ("--kubeconfig", lab.admin_kubeconfig, "--namespace", NAMESPACE)
    return helm(*arguments, *admin, home=lab.directory, given=given, check=check)


def live(lab: Lab, manifest: str) -> dict[Key, Json]:
    """The objects of the manifest that are there, without what servers and controllers write."""
    answer = lab.kubectl("get", "--ignore-not-found", "-o", "yaml", "-f", "-", input=manifest).stdout
    found = (yaml.safe_load(answer) or {}).get("items", [])
    for one in found:
        one.pop("status", None)
        for name in ("resourceVersion", "managedFields"):
            one["metadata"].pop(name, None)
    return by_name(found)


def ours(lab: Lab) -> set[str]:
    """Every object that carries the product's label, of whatever kind."""
    kinds = lab.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    wanted = ",".join(kind for kind in kinds if not kind.startswith(("events", "componentstatuses")))
    listed = lab.kubectl("get", wanted, "-A", "-l", "app.kubernetes.io/part-of=secureai", "-o", "name")
    return set(listed.stdout.split())


def uninstalled(lab: Lab) -> None:
    """What stays is what docs/install.md says: the namespace, the CRDs, and what is of their kinds."""
    on(lab, "uninstall", RELEASE)
    lab.wait_for(lambda: ours(lab) == {f"namespace/{NAMESPACE}"}, 60, "nothing but the namespace to be left")
    kept = lab.kubectl("get", "crds", "-o", "name").stdout.split()
    assert sorted(kept) == sorted(
        f"customresourcedefinition.apiextensions.k8s.io/{name}" for _, _, name in crds()
    )
    assert on(lab, "list", "--all", "--short").stdout == ""


def pods(lab: Lab) -> list[str]:
    return lab.kubectl("get", "pods", "-n", NAMESPACE, "-o", "name").stdout.split()


def test_install_upgrade_uninstall_and_install_again(fresh: Lab) -> None:
    lab = fresh
    lab.kubectl("apply", "--server-side", "-f", MANIFESTS / "base" / "namespace.yaml")
    said = on(lab, "install", RELEASE, CHART).stdout
    assert "secureai check" in said
    assert "kubectl label namespace" not in said, "the namespace is restricted already"
    manifest = on(lab, "get", "manifest", RELEASE).stdout
    installed = live(lab, manifest)
    assert installed.keys() == charted(lab.directory).keys()
    assert len(ours(lab)) > len(installed) - len(crds())
    lab.wait_for(lambda: len(pods(lab)) == 2, 30, "two pods to be admitted where Pod Security is restricted")

    on(lab, "upgrade", RELEASE, CHART)
    assert live(lab, manifest) == installed, "an upgrade without a change changes nothing"

    on(lab, "upgrade", RELEASE, CHART, given={"config": {"workers": 17}})
    changed = {key for key, one in live(lab, manifest).items() if one != installed[key]}
    assert changed == {(kind, NAMESPACE, "secureai-operator") for kind in ("ConfigMap", "Deployment")}

    lab.create_namespace("team-a")
    first = said.split("<<EOF\n")[1].split("EOF")[0]
    lab.wait_for(lambda: lab.kubectl("apply", "-f", "-", input=first), 30, "the first workload to be taken")
    uninstalled(lab)
    assert "/llm" in lab.kubectl("get", "secureaiworkloads", "-n", "team-a", "-o", "name").stdout

    on(lab, "install", RELEASE, CHART)
    assert live(lab, manifest).keys() == installed.keys()
    uninstalled(lab)


def test_a_release_takes_options_in_and_leaves_nothing_of_them(fresh: Lab) -> None:
    """All but those whose kinds are another operator's."""
    lab = fresh
    lab.kubectl("apply", "--server-side", "-f", MANIFESTS / "base" / "namespace.yaml")
    on(lab, "install", RELEASE, CHART)
    authority = Authority(lab.directory / "webhook").certificate.read_text()
    options: Json = {
        "config": {"binding": "Webhook"},
        "webhook": {"caBundle": authority},
        "vaultCertificates": {"ca.crt": authority},
        "monitoring": {"dashboard": {"enabled": True}, "auditReporter": {"enabled": True}},
        "nodeAgent": {"enabled": True},
    }
    on(lab, "upgrade", RELEASE, CHART, given=options)
    manifest = on(lab, "get", "manifest", RELEASE).stdout
    before = live(lab, manifest)
    assert before.keys() == charted(lab.directory, options).keys()
    policies = lab.kubectl("get", "mutatingadmissionpolicies", "-o", "name").stdout
    assert "secureai-bind-pods" not in policies
    on(lab, "upgrade", RELEASE, CHART, given=options)
    assert live(lab, manifest) == before
    uninstalled(lab)


def test_what_install_yaml_made_goes_over_to_helm(fresh: Lab) -> None:
    lab = fresh
    text = (MANIFESTS / "install.yaml").read_text()
    lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)
    made = live(lab, text)
    assert made.keys() == by_name(every(MANIFESTS / "install.yaml")).keys()
    refused = on(lab, "install", RELEASE, CHART, check=False)
    assert "cannot be imported into the current release" in refused.stderr
    on(lab, "install", RELEASE, CHART, "--take-ownership")
    assert uids(live(lab, text)) == uids(made)
    uninstalled(lab)


def uids(objects: Mapping[Key, Json]) -> dict[Key, str]:
    return {key: one["metadata"]["uid"] for key, one in objects.items()}
