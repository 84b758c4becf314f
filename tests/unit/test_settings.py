"""Settings: what a platform team may say, and that a mistake is named without quoting what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from secureai_operator.core.configured import platform_config, vault_connections
from secureai_operator.core.facts import PeerAddress
from secureai_operator.settings import MAX_BYTES, Settings, SettingsError, load

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-hunter2"


def file(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def connection(**settings: Any) -> dict[str, Any]:
    return {"connections": {"default": {"address": "https://vault.vault.svc:8200", **settings}}}


def refused(tmp_path: Path, content: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(file(tmp_path, content))
    assert SECRET not in str(error.value)
    return str(error.value)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(file(tmp_path, "")) == Settings()
    assert Settings().connections == {}


@pytest.mark.parametrize(
    "path", ["manifests/base/operator/config.yaml", "manifests/overlays/webhook/config.yaml"]
)
def test_what_is_shipped_is_valid(path: str) -> None:
    assert load(ROOT / path).connections["default"].address.startswith("https://")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"novel": SECRET}, "novel"),
        ({"workers": SECRET}, "workers"),
        ({"workers": 0}, "workers"),
        ({"cluster": "Main"}, "cluster"),
        ({"cluster": "a.b"}, "cluster"),
        ({"cluster": "../" + SECRET}, "cluster"),
        ({"cluster": "a\n"}, "cluster"),
        (connection(transitMount="../sys"), "transitMount"),
        (connection(transitMount="a//b"), "transitMount"),
        (connection(transitMount="/a"), "transitMount"),
        (connection(pkiMount='a" { capabilities'), "pkiMount"),
        (connection(authMount="a b"), "authMount"),
        (connection(role="../x"), "role"),
        (connection(token=SECRET), "token"),
        (connection(address=f"https://user:{SECRET}@vault"), "address"),
        (connection(address="https://vault/v1?x=" + SECRET), "address"),
        (connection(address="ftp://vault"), "address"),
        ({"connections": {"Default": {"address": "https://v"}}}, "Default"),
    ],
)
def test_a_mistake_is_named_and_not_quoted(tmp_path: Path, content: Any, where: str) -> None:
    assert where in refused(tmp_path, content)


@pytest.mark.parametrize(
    "content", ["{", f"a: [{SECRET}", f"!!python/object/apply:os.system ['{SECRET}']", "- a", SECRET]
)
def test_what_is_not_a_mapping_in_yaml_is_refused(tmp_path: Path, content: str) -> None:
    assert "config.yaml" in refused(tmp_path, content)


def test_a_file_that_is_not_there_or_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")
    assert "larger" in refused(tmp_path, "#" * (MAX_BYTES + 1))


# In the clear -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["vault.vault.svc:8200", "10.0.0.1:8200", "127.0.0.1.evil.com", "localhost.evil.com"]
)
def test_tokens_do_not_cross_the_network_in_the_clear(tmp_path: Path, host: str) -> None:
    assert "https" in refused(tmp_path, connection(address=f"http://{host}"))
    allowed = connection(address=f"http://{host}", allowInsecureHttp=True)
    assert load(file(tmp_path, allowed)).connections["default"].address == f"http://{host}"


@pytest.mark.parametrize("host", ["127.0.0.1:8200", "localhost:8200", "[::1]:8200"])
def test_this_machine_is_no_network(tmp_path: Path, host: str) -> None:
    assert load(file(tmp_path, connection(address=f"http://{host}"))).connections


# Peers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "peer",
    [
        {},
        {"podLabels": {"app": "vault"}},
        {"cidr": "10.0.0.0/99"},
        {"cidr": SECRET},
        {"cidr": "10.0.0.1/8"},
        {"cidr": "10.0.0.0/8", "namespace": "vault"},
        {"cidr": "10.0.0.0/8", "podLabels": {"a": "b"}},
        {"namespace": "*"},
    ],
)
def test_a_peer_that_would_open_anything_else_is_refused(tmp_path: Path, peer: dict[str, Any]) -> None:
    for content in (connection(peers=[peer]), {"dnsPeers": [peer]}, {"apiServerPeers": [peer]}):
        assert "eers" in refused(tmp_path, content)


@pytest.mark.parametrize("peer", [{"cidr": "10.0.0.0/8"}, {"cidr": "fd00::/8"}, {"namespace": "vault"}])
def test_a_network_and_a_namespace_are_peers(tmp_path: Path, peer: dict[str, Any]) -> None:
    assert load(file(tmp_path, {"dnsPeers": [peer]})).dns_peers


# What the rest of the operator is told ------------------------------------------------------------------------


def test_the_core_learns_names_and_never_an_address_or_a_credential() -> None:
    settings = Settings.model_validate(
        connection(address="https://secret-host", tokenFile="/secret-file", destroyRole="destroyer")
    )
    config = platform_config(settings)
    assert "secret" not in repr(config)
    assert config.connections["default"].may_destroy
    assert config.dns_peers == (PeerAddress(None, "kube-system", {"k8s-app": "kube-dns"}),)


def test_without_a_destroy_role_nothing_may_be_destroyed() -> None:
    config = platform_config(Settings.model_validate(connection()))
    assert not config.connections["default"].may_destroy


def test_the_clients_may_touch_this_cluster_s_names_only() -> None:
    settings = Settings.model_validate({"cluster": "eu", **connection()})
    assert vault_connections(settings)["default"].policy_prefix == "saw.eu."
