"""The smaller parts of the lab: ports, certificates, kubeconfigs, waiting, choosing a source."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from lab import start
from lab.background import Background
from lab.certificates import Authority
from lab.errors import LabError, LabTimeout, LabUnavailable, RequestFailed
from lab.kind import audited
from lab.kubeconfig import Kubeconfig, certificate_user, write_kubeconfig
from lab.nodes import Kind, NodeSpec, node_object
from lab.ports import FIRST, LAST, Ports
from lab.start import Source, chosen_source
from lab.waiting import wait_for, wait_until


def test_two_labs_never_get_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.ports.random.SystemRandom.randrange", lambda _self, first, _last: first)
    one, other = Ports(), Ports()
    try:
        taken = [one.take(), other.take(), one.take()]
        assert len(set(taken)) == 3
        assert all(FIRST <= port < LAST for port in taken)
    finally:
        one.close()
        other.close()


def test_a_port_somebody_listens_on_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Ports()
    wanted = first.take()
    first.close()
    monkeypatch.setattr("lab.ports._candidates", lambda: iter((wanted, wanted + 1)))
    ports = Ports()
    try:
        with socket.socket() as somebody:
            somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            somebody.bind(("127.0.0.1", wanted))
            somebody.listen()
            assert ports.take() == wanted + 1
        assert ports.take() == wanted
        with pytest.raises(LabUnavailable, match="no free port"):
            ports.take()
    finally:
        ports.close()


def test_certificates_are_of_the_authority_and_for_what_was_asked(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    ca = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    server = x509.load_pem_x509_certificate(
        authority.server("api", ["127.0.0.1", "api"]).certificate.read_bytes()
    )
    files = authority.client("system:someone", "some:group")
    client = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    for certificate in (server, client):
        certificate.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["api"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert client.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:someone"
    assert client.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "some:group"
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_a_kubeconfig_is_private_and_points_at_its_files(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    user = certificate_user(authority.client("me"))
    path = write_kubeconfig(tmp_path / "me.yaml", "https://127.0.0.1:1", authority.certificate, user)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = yaml.safe_load(path.read_text())
    assert document["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert document["users"][0]["user"] == user


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no current context"),
        ("clusters: []\nusers: []\n", "no current context"),
        (
            "clusters: [{cluster: {server: 'https://a'}}]\nusers: [{user: {token: x}}]\n",
            "certificate authority",
        ),
    ],
)
def test_a_kubeconfig_that_is_of_no_use_is_refused_with_the_reason(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(LabUnavailable, match=says):
        Kubeconfig(text).write_ca(tmp_path / "ca.crt")


def test_waiting_returns_the_first_true_value_and_takes_lab_errors_for_not_yet() -> None:
    answers = iter([RequestFailed("GET /x", 404, ""), 0, "there"])

    def condition() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for(condition, 5, poll=0) == "there"


def test_waiting_in_vain_says_for_what_and_the_last_error() -> None:
    def condition() -> bool:
        raise RequestFailed("GET /x", 404, "no such thing")

    with pytest.raises(LabTimeout, match=r"for the thing: GET /x was answered with 404: no such thing"):
        wait_for(condition, 0, "the thing")


async def test_waiting_without_blocking_has_a_deadline_too() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(LabTimeout, match="for the thing"):
        await wait_until(never, 0.05, "the thing", poll=0.01)


def test_other_errors_end_the_waiting() -> None:
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 // 0, 5)


@pytest.mark.parametrize(
    ("environment", "docker", "expected"),
    [
        ({}, False, Source.MACHINE),
        ({}, True, Source.KIND),
        ({"SECUREAI_LAB_KUBECONFIG": "/some/file"}, True, Source.USER),
        ({"KUBECONFIG": "/some/file"}, False, Source.MACHINE),
        ({"SECUREAI_LAB_SOURCE": "build", "SECUREAI_LAB_KUBECONFIG": "/some/file"}, True, Source.BUILD),
    ],
)
def test_the_source_is_the_first_that_can_be_had_and_never_a_cluster_that_was_not_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], docker: bool, expected: Source
) -> None:
    for name in ("SECUREAI_LAB_SOURCE", "SECUREAI_LAB_KUBECONFIG", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(start, "docker_answers", lambda: docker)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert chosen_source() is expected


def test_an_unknown_source_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREAI_LAB_SOURCE", "cloud")
    with pytest.raises(LabUnavailable, match=r"'cloud'.*user, kind, machine, build"):
        chosen_source()


def test_a_named_kubeconfig_that_is_missing_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SECUREAI_LAB_SOURCE", raising=False)
    monkeypatch.setenv("SECUREAI_LAB_KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(start, "kwok_binary", lambda **_: Path("kwok"))
    monkeypatch.setattr(start, "kubectl_binary", lambda: Path("kubectl"))
    with pytest.raises(LabUnavailable, match="which is not a file"), start.start_lab():
        pass


def test_a_node_has_the_labels_and_resources_of_its_kind_and_what_is_asked_beyond() -> None:
    spec = NodeSpec("n", Kind.TDX_GPU, labels={"a": "b"}, resources={"tdx.intel.com/keys": "2"})
    node = node_object(spec, {"secureai.dev/lab": "id"})
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/cc.ready.state"] == "true"
    assert labels["a"] == "b"
    assert labels["secureai.dev/lab"] == "id"
    assert node["status"]["allocatable"]["tdx.intel.com/keys"] == "2"
    assert node["status"]["allocatable"]["nvidia.com/pgpu"] == "8"


def test_the_api_server_of_kind_gets_its_audit_log_and_keeps_the_rest() -> None:
    manifest = {
        "kind": "Pod",
        "spec": {
            "hostNetwork": True,
            "containers": [{"command": ["kube-apiserver", "--a=b"], "volumeMounts": [{"name": "certs"}]}],
            "volumes": [{"name": "certs"}],
        },
    }
    spec = audited(manifest)["spec"]
    container = spec["containers"][0]
    assert container["command"][:2] == ["kube-apiserver", "--a=b"]
    assert "--audit-log-path=/secureai-lab/audit.log" in container["command"]
    assert [mount["name"] for mount in container["volumeMounts"]] == ["certs", "secureai-lab"]
    assert [volume["name"] for volume in spec["volumes"]] == ["certs", "secureai-lab"]
    assert spec["hostNetwork"] is True


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "-a", "a" * 60])
def test_a_background_lab_is_not_given_a_hostile_name(name: str) -> None:
    with pytest.raises(LabError, match="name"):
        Background(name)
