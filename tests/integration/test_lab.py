"""The lab is what it says: real, several at once, and gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from lab import (
    DEFAULT_NODES,
    Kind,
    Lab,
    LabError,
    LabUnsupported,
    NodeSpec,
    RequestFailed,
    start_lab,
    wait_for,
)
from lab.json_lines import entries

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "vault", "kwok")
HOLD_A_LAB = """
import json, sys, time
from lab import start_lab
with start_lab() as lab:
    print(json.dumps([str(lab.directory), lab.processes._guard.pid]), flush=True)
    time.sleep(600)
"""


def pod(name: str, **spec: object) -> str:
    containers = [{"name": "main", "image": "none"}]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"containers": containers, **spec},
        }
    )


def login(lab: Lab, role: str, token: str) -> str:
    answer = lab.vault_request("POST", "auth/kubernetes/login", {"role": role, "jwt": token}, token="")
    return str(answer["auth"]["client_token"])


def is_refused(lab: Lab, role: str, token: str) -> bool:
    try:
        login(lab, role, token)
    except RequestFailed as error:
        return error.status == HTTPStatus.FORBIDDEN
    return False


@pytest.fixture
def role(lab: Lab, namespace: str) -> Iterator[str]:
    name = f"lab-{secrets.token_hex(4)}"
    lab.vault_request(
        "POST",
        f"auth/kubernetes/role/{name}",
        {
            "bound_service_account_names": "default",
            "bound_service_account_namespaces": namespace,
            "audience": "vault",
            "token_policies": "default",
        },
    )
    yield name
    lab.vault_request("DELETE", f"auth/kubernetes/role/{name}")


def processes_of(directory: str) -> set[int]:
    """The ids of all processes that were started with this directory in its command line or environment."""
    found = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if directory.encode() in told:
            found.add(int(process.name))
    return found


def executables_of(directory: str, session: int | None = None) -> set[str]:
    """Of all processes of the lab, or of one component with its children: each leads a session of its own."""
    found = set()
    for pid in processes_of(directory):
        with contextlib.suppress(OSError):
            if session in (None, os.getsid(pid)):
                found.add(Path(f"/proc/{pid}/exe").readlink().name)
    return found


def is_gone(directory: str) -> bool:
    return not processes_of(directory) and not Path(directory).exists()


@pytest.fixture
def held_lab() -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """Another process that holds a lab: the process, the lab's directory, its guard."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LAB],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert holder.stdout is not None
    try:
        directory, guard = json.loads(holder.stdout.readline())
        # The six, Vault's plugin, the guard and its shadow: what is to be gone must have been there.
        assert len(processes_of(directory)) >= len(COMPONENTS) + 3
        yield holder, directory, guard
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_warm_start_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\nlab ({lab.source}) started in {lab.start_seconds:.1f} s\n")
    assert all(lab.component(name).running for name in COMPONENTS)


def test_a_service_account_of_the_cluster_logs_in_to_vault(lab: Lab, namespace: str, role: str) -> None:
    vault_token = login(lab, role, lab.token(namespace, "default", audience="vault"))
    own = lab.vault_request("GET", "auth/token/lookup-self", token=vault_token)
    assert own["data"]["meta"]["service_account_namespace"] == namespace


def test_vault_refuses_another_account_audience_or_a_forged_token(
    lab: Lab, namespace: str, role: str
) -> None:
    lab.kubectl("create", "serviceaccount", "other", "-n", namespace)
    right = lab.token(namespace, "default", audience="vault")
    head, body, signature = right.split(".")
    wrong = {
        "account": lab.token(namespace, "other", audience="vault"),
        "audience": lab.token(namespace, "default", audience="elsewhere"),
        "signature": f"{head}.{body}.{signature[::-1]}",
    }
    for what, token in wrong.items():
        with pytest.raises(RequestFailed) as refused:
            login(lab, role, token)
        assert refused.value.status in (400, 403, 500), what
    assert login(lab, role, right)


def test_a_token_of_a_deleted_account_is_refused_by_review(lab: Lab, namespace: str) -> None:
    """Only a token review at the API server can know this: the signature and the times still hold."""
    name = f"lab-{secrets.token_hex(4)}"
    bound = {"bound_service_account_names": "brief", "bound_service_account_namespaces": namespace}
    lab.vault_request("POST", f"auth/kubernetes/role/{name}", {**bound, "audience": "vault"})
    lab.kubectl("create", "serviceaccount", "brief", "-n", namespace)
    token = lab.token(namespace, "brief", audience="vault")
    assert login(lab, name, token)
    lab.kubectl("delete", "serviceaccount", "brief", "-n", namespace)
    # The API server remembers a good token for 10 s.
    lab.wait_for(lambda: is_refused(lab, name, token), what="the token to be refused")


def test_every_default_node_is_ready_and_labelled(lab: Lab) -> None:
    nodes = {node["metadata"]["name"]: node for node in lab.api.request("GET", "/api/v1/nodes")["items"]}
    for spec in DEFAULT_NODES:
        node = nodes[spec.name]
        ready = [one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready"]
        assert ready == ["True"]
        labels, allocatable = node["metadata"]["labels"], node["status"]["allocatable"]
        is_tdx = spec.kind is not Kind.PLAIN
        assert (labels.get("intel.feature.node.kubernetes.io/tdx") == "true") is is_tdx
        assert ("tdx.intel.com/keys" in allocatable) is is_tdx
        assert (labels.get("nvidia.com/cc.ready.state") == "true") is (spec.kind is Kind.TDX_GPU)
        assert ("nvidia.com/pgpu" in allocatable) is (spec.kind is Kind.TDX_GPU)


def test_a_pod_of_the_tdx_class_runs_on_a_tdx_node(lab: Lab, namespace: str) -> None:
    lab.kubectl("apply", "-n", namespace, "-f", "-", input=pod("p", runtimeClassName="kata-qemu-tdx"))
    assert "tdx" in lab.nodes.wait_running(namespace, "p")


def test_a_pod_waits_where_no_tdx_key_is_left(lab: Lab, namespace: str) -> None:
    """The overhead of the class takes a key, and the real scheduler counts them."""
    node = f"full-{secrets.token_hex(3)}"
    here = {"lab.test/node": node}
    lab.add_nodes([NodeSpec(node, Kind.TDX, labels=here, resources={"tdx.intel.com/keys": "1"})])
    try:
        for name in ("first", "second"):
            document = pod(name, runtimeClassName="kata-qemu-tdx", nodeSelector=here)
            lab.kubectl("apply", "-n", namespace, "-f", "-", input=document)
            if name == "first":
                assert lab.nodes.wait_running(namespace, name) == node

        def refusal() -> str:
            live = lab.api.request("GET", f"/api/v1/namespaces/{namespace}/pods/second")
            return next(
                (
                    one.get("message", "")
                    for one in live["status"].get("conditions", [])
                    if one["status"] == "False"
                ),
                "",
            )

        assert "Insufficient tdx.intel.com/keys" in lab.wait_for(refusal, what="the scheduler to refuse")
    finally:
        lab.nodes.remove(node)


def test_a_deleted_pod_is_gone(lab: Lab, namespace: str) -> None:
    lab.kubectl("apply", "-n", namespace, "-f", "-", input=pod("p"))
    lab.nodes.wait_running(namespace, "p")
    lab.kubectl("delete", "pod", "p", "-n", namespace, "--wait=false")
    path = f"/api/v1/namespaces/{namespace}/pods/p"
    lab.wait_for(lambda: lab.api.raw("GET", path)[0] == 404, what="the pod to be gone")


@pytest.mark.timeout(330)
@pytest.mark.restarts_api_server
def test_the_api_server_comes_back_with_its_data(lab: Lab, namespace: str) -> None:
    lab.stop_apiserver()
    with pytest.raises(LabError):
        lab.api.request("GET", "/readyz")
    lab.start_apiserver()
    assert lab.api.request("GET", f"/api/v1/namespaces/{namespace}")["metadata"]["name"] == namespace
    # Admission policies about kinds of others, if there are any, first have to find their kinds again.
    lab.wait_for(
        lambda: lab.kubectl("apply", "-n", namespace, "-f", "-", input=pod("p")), 240, "a pod to be admitted"
    )
    assert lab.nodes.wait_running(namespace, "p")


def test_a_sealed_vault_refuses_and_an_unsealed_one_knows_everything(lab: Lab, role: str) -> None:
    lab.seal_vault()
    with pytest.raises(RequestFailed) as refused:
        lab.vault_request("GET", f"auth/kubernetes/role/{role}")
    assert refused.value.status == 503
    lab.unseal_vault()
    assert lab.vault_request("GET", f"auth/kubernetes/role/{role}")["data"]["audience"] == "vault"


def test_vault_comes_back_with_its_data_and_still_reviews_tokens(lab: Lab, namespace: str, role: str) -> None:
    lab.stop_vault()
    with pytest.raises(LabError):
        lab.vault_request("GET", "sys/health")
    lab.start_vault()
    assert login(lab, role, lab.token(namespace, "default", audience="vault"))


def test_killed_components_take_their_children_along_and_start_again(lab: Lab, role: str) -> None:
    directory, vault = str(lab.directory), lab.component("vault")
    assert {"vault", "vault-plugin-auth-kubernetes"} <= executables_of(directory, vault.pid)
    vault.kill()
    lab.wait_for(lambda: not executables_of(directory, vault.pid))
    lab.start_vault()
    assert lab.vault_request("GET", f"auth/kubernetes/role/{role}")["data"]


def test_both_audit_logs_tell_requests_and_not_secrets(lab: Lab, namespace: str, role: str) -> None:
    assert lab.audit_log is not None
    assert lab.vault_audit_log is not None
    token = lab.token(namespace, "default", audience="vault")
    vault_token = login(lab, role, token)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    asked = [one for one, _ in entries(lab.audit_log) if one["requestURI"] == path]
    assert {one["user"]["username"] for one in asked} == {"lab-admin"}
    vault_text = lab.vault_audit_log.read_text()
    assert [
        one
        for one, _ in entries(lab.vault_audit_log)
        if one.get("request", {}).get("path") == "auth/kubernetes/login"
    ]
    assert vault_token not in vault_text
    assert token not in vault_text


def test_a_service_accounts_kubeconfig_has_its_rights_only(lab: Lab, namespace: str) -> None:
    kubeconfig = lab.kubeconfig_for(namespace, "default")
    who = lab.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig).stdout
    assert json.loads(who)["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:default"
    refused = lab.kubectl("get", "secrets", "-n", namespace, kubeconfig=kubeconfig, check=False)
    assert "Forbidden" in refused.stderr
    assert kubeconfig.stat().st_mode & 0o077 == 0


def test_two_labs_side_by_side_do_not_know_each_other(lab: Lab, namespace: str) -> None:
    with start_lab(nodes=[NodeSpec("lonely")]) as other:
        assert other.api_url != lab.api_url
        assert other.vault_address != lab.vault_address
        assert other.api.raw("GET", f"/api/v1/namespaces/{namespace}")[0] == 404
        names = {node["metadata"]["name"] for node in other.api.request("GET", "/api/v1/nodes")["items"]}
        assert names == {"lonely"}
        directory = str(other.directory)
    assert is_gone(directory)
    assert all(lab.component(name).running for name in COMPONENTS)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_holder_ends(
    held_lab: tuple[subprocess.Popen[str], str, int], number: signal.Signals
) -> None:
    holder, directory, _ = held_lab
    holder.send_signal(number)
    wait_for(lambda: is_gone(directory), 60, "everything of the lab to be gone")


def test_nothing_is_left_when_the_guard_itself_is_killed(
    held_lab: tuple[subprocess.Popen[str], str, int],
) -> None:
    _, directory, guard = held_lab
    os.kill(guard, signal.SIGKILL)
    wait_for(lambda: is_gone(directory), 60, "everything of the lab to be gone")


def test_a_cluster_and_vault_of_the_users_own_are_used_and_left_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with start_lab(nodes=[NodeSpec("theirs")]) as users:
        users.vault_request("DELETE", "sys/auth/kubernetes")
        users.kubectl("create", "namespace", "theirs")
        before = names_in(users)
        monkeypatch.setenv("SECUREAI_LAB_KUBECONFIG", str(users.admin_kubeconfig))
        monkeypatch.setenv("SECUREAI_LAB_VAULT_ADDR", users.vault_address)
        monkeypatch.setenv("SECUREAI_LAB_VAULT_TOKEN", users.vault_root_token)
        monkeypatch.setenv("SECUREAI_LAB_FAKE_NODES", "1")
        for _ in ("with nothing prepared", "and with what the first one left in Vault"):
            with start_lab(nodes=[NodeSpec("ours")]) as ours:
                assert (ours.source, ours.api_url) == ("user", users.api_url)
                assert "node/ours" in names_in(ours)
                bound = {
                    "bound_service_account_names": "default",
                    "bound_service_account_namespaces": "theirs",
                }
                ours.vault_request("POST", "auth/kubernetes/role/r", {**bound, "audience": "vault"})
                assert login(ours, "r", ours.token("theirs", "default", audience="vault"))
                for refused in (
                    ours.stop_apiserver,
                    ours.seal_vault,
                    lambda lab=ours: lab.component("vault"),
                ):
                    with pytest.raises(LabUnsupported):
                        refused()
            users.wait_for(lambda: names_in(users) == before, what="the user's cluster to be as it was")


def names_in(lab: Lab) -> set[str]:
    kinds = "nodes,namespaces,clusterrolebindings,runtimeclasses"
    return set(lab.kubectl("get", kinds, "-o", "name").stdout.split())
