"""`secureai key`: wrapping is offline and gives nothing away; which key an import is for, and when it is refused."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import KeyType
from secureai_operator.cli import key_files, key_target
from secureai_operator.cli.exits import OK, UNANSWERED, USAGE, CliError
from secureai_operator.cli.key_target import Target, target_of
from secureai_operator.cli.main import main
from secureai_operator.clients.key_wrapping import WrappedKey, WrappingKey
from secureai_operator.settings import Settings, VaultConnectionSettings

ROOT = Path(__file__).parents[3]
MATERIAL = bytes(range(200, 232))
NAME = "saw.main.team-a.llm"
TARGET = Target("saw-transit", NAME, KeyType.AES256_GCM96)
WRAPPED = WrappedKey(KeyType.AES256_GCM96, "0" * 64, "")


@cache
def vault_pem() -> bytes:
    public = rsa.generate_private_key(65537, 4096).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def wrapping_key(tmp_path: Path) -> str:
    file = tmp_path / "wrapping-key.pem"
    file.write_bytes(vault_pem())
    return str(file)


@pytest.fixture
def material(tmp_path: Path) -> str:
    file = tmp_path / "material"
    file.write_bytes(MATERIAL)
    return str(file)


Wrap = Callable[..., int]


@pytest.fixture
def wrap(wrapping_key: str) -> Wrap:
    def run(*words: str, kind: str = "aes256-gcm96") -> int:
        return main(["key", "wrap", "--type", kind, "--wrapping-key", wrapping_key, *words])

    return run


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a verb that printed nothing else."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    return printed.err


# wrap


def test_material_from_a_file_is_wrapped_into_a_document(
    wrap: Wrap, material: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap("--material", material) == OK
    printed = capsys.readouterr()
    key = WrappedKey.from_document(printed.out.encode())
    assert key.type is KeyType.AES256_GCM96
    assert key.wrapping_key_sha256 == WrappingKey.from_pem(vault_pem()).fingerprint
    assert printed.err == ""


def test_the_document_is_a_new_file_of_its_owner_alone(
    wrap: Wrap, material: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wrapped.json"
    assert wrap("--material", material, "--out", str(out)) == OK
    assert capsys.readouterr().out == ""
    assert mode(out) == 0o600
    before = out.read_bytes()
    WrappedKey.from_document(before)

    assert wrap("--material", material, "--out", str(out)) == USAGE
    assert "is there already, and is not overwritten" in refused(capsys)
    assert out.read_bytes() == before


def test_the_only_copy_of_the_material_is_never_overwritten_by_the_document(
    wrap: Wrap, material: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap("--material", material, "--out", material) == USAGE
    assert "is not overwritten" in refused(capsys)
    assert Path(material).read_bytes() == MATERIAL


def test_a_file_that_appears_at_the_last_moment_or_leads_elsewhere_is_not_overwritten(tmp_path: Path) -> None:
    there, link, elsewhere = (tmp_path / name for name in ("there", "link", "elsewhere"))
    there.write_bytes(b"before")
    link.symlink_to(elsewhere)
    for path in (there, link):
        with pytest.raises(CliError, match="is there already, and is not overwritten") as error:
            key_files.write_new(path, b"after")
        assert error.value.code == USAGE
    assert there.read_bytes() == b"before"
    assert not elsewhere.exists()
    with pytest.raises(CliError, match="No such file or directory"):
        key_files.write_new(tmp_path / "none" / "file", b"after")


@pytest.mark.parametrize("encoding", ["raw", "base64", "hex"])
def test_new_symmetric_material_is_kept_in_a_file_that_can_be_wrapped_again(
    wrap: Wrap, encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert wrap("--generate", str(kept), "--encoding", encoding) == OK
    printed = capsys.readouterr()
    WrappedKey.from_document(printed.out.encode())
    assert "the only copy outside Vault" in printed.err
    assert mode(kept) == 0o600
    assert len(kept.read_bytes()) == {"raw": 32, "base64": 45, "hex": 65}[encoding]
    assert kept.read_text(errors="replace").strip() not in printed.out + printed.err

    assert wrap("--material", str(kept), "--encoding", encoding) == OK
    assert wrap("--generate", str(kept)) == USAGE


def test_a_new_private_key_is_kept_as_pem(
    wrap: Wrap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept.pem"
    assert wrap("--generate", str(kept), kind="ed25519") == OK
    printed = capsys.readouterr()
    assert mode(kept) == 0o600
    assert "PRIVATE KEY" in kept.read_text()
    assert kept.read_text().splitlines()[1] not in printed.out + printed.err
    assert wrap("--material", str(kept), kind="ed25519") == OK
    assert wrap("--material", str(kept), kind="ecdsa-p256") == USAGE


def test_nothing_is_generated_that_could_not_be_wrapped(
    wrap: Wrap, wrapping_key: str, material: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    assert wrap("--generate", str(kept), "--out", material) == USAGE
    Path(wrapping_key).write_bytes(b"no key")
    assert wrap("--generate", str(kept)) == USAGE
    assert not kept.exists()


def test_a_mistake_is_one_line_that_quotes_no_material(
    wrap: Wrap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = tmp_path / "key"
    for kind, content, says in (
        ("aes256-gcm96", MATERIAL + b"\n", "leave the newline at the end out"),
        ("aes256-gcm96", plain, "check --type"),
        ("ed25519", locked, "is encrypted: decrypt it first"),
        ("rsa-4096", plain, "Ed25519"),
    ):
        file.write_bytes(content)
        assert wrap("--material", str(file), kind=kind) == USAGE
        said = refused(capsys)
        assert says in said
        assert (
            content.splitlines()[min(1, len(content.splitlines()) - 1)].decode(errors="replace") not in said
        )


def test_a_file_that_is_missing_or_far_too_long_is_a_mistake(
    wrap: Wrap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap("--material", str(tmp_path / "none")) == USAGE
    assert "No such file" in refused(capsys)
    assert wrap("--material", "/dev/zero") == USAGE
    assert "longer than 16384 bytes" in refused(capsys)


def test_an_encoding_goes_with_symmetric_keys_only(
    wrap: Wrap, material: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrap("--material", material, "--encoding", "hex", kind="ed25519") == USAGE
    assert "--encoding is for symmetric keys" in refused(capsys)


def test_material_comes_from_a_pipe_too_and_wrapping_opens_no_connection(wrapping_key: str) -> None:
    script = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and print(event, file=sys.stderr))\n"
        "import secureai_operator.cli.main as entry\n"
        f"entry.main(['key', 'wrap', '--type', 'aes256-gcm96', '--wrapping-key', {wrapping_key!r}, '--material', '-'])\n"
        "print(sorted({'kubernetes', 'aiohttp', 'hvac', 'kopf'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=MATERIAL,
        capture_output=True,
        timeout=60,
        check=True,
        cwd=ROOT / "operator",
        env={"PATH": "", "HOME": "/nonexistent"},
    )
    WrappedKey.from_document(done.stdout)
    assert done.stderr == b"[]\n"


# Which key an import is for


def a_workload(*, keys: Any = None, status: Any = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "llm", "namespace": "team-a", **metadata},
        "spec": {"keys": {"custody": "customer-managed", "type": "aes256-gcm96", **(keys or {})}},
        "status": {"vault": {"name": NAME, "transitMount": "saw-transit"}} if status is None else status,
    }


def never_asked() -> Settings | None:
    raise AssertionError("the status says where the key is")


def test_the_status_says_where_the_key_is() -> None:
    assert target_of(a_workload(), never_asked) == TARGET
    seen = {"vault": {"name": NAME, "transitMount": "a/b"}, "key": {"latestVersion": 3}}
    found = target_of(
        a_workload(keys={"derived": True, "type": "chacha20-poly1305"}, status=seen), never_asked
    )
    assert found == Target("a/b", NAME, KeyType.CHACHA20_POLY1305, derived=True, known_version=3)


def test_before_the_operators_first_look_its_configuration_says_where_the_key_will_be() -> None:
    configured = Settings(
        cluster="east",
        connections={
            "default": VaultConnectionSettings(address="https://vault.example.org", transit_mount="t")
        },
    )
    found = target_of(a_workload(status={}), lambda: configured)
    assert (found.mount, found.name, found.known_version) == ("t", "saw.east.team-a.llm", 0)
    with pytest.raises(CliError, match="its configuration is not visible"):
        target_of(a_workload(status={}), lambda: None)


@pytest.mark.parametrize(
    ("name", "mount"),
    [
        ("saw.main.team-b.llm", "saw-transit"),
        ("saw.main.team-a.other", "saw-transit"),
        ("other.main.team-a.llm", "saw-transit"),
        ("saw.main/../x.team-a.llm", "saw-transit"),
        (NAME, "saw-transit/../x"),
        (NAME, "saw-transit?x="),
    ],
)
def test_a_status_that_names_another_key_is_not_believed(name: str, mount: str) -> None:
    with pytest.raises(CliError, match="a key that is not the workload's"):
        target_of(a_workload(status={"vault": {"name": name, "transitMount": mount}}), never_asked)


@pytest.mark.parametrize("custody", ["service-managed", "hold-your-own-key"])
def test_only_a_customer_managed_key_is_imported(custody: str) -> None:
    with pytest.raises(CliError, match=f"is {custody}: only a customer-managed key is imported") as error:
        target_of(a_workload(keys={"custody": custody}), never_asked)
    assert error.value.code == USAGE
    with pytest.raises(CliError, match="is service-managed"):
        target_of({**a_workload(), "spec": {}}, never_asked)


def test_nothing_is_imported_for_a_workload_that_goes_away() -> None:
    with pytest.raises(CliError, match="is being deleted"):
        target_of(a_workload(deletionTimestamp="2026-01-31T12:00:00Z"), never_asked)


# When an import is refused


def a_key(**changes: Any) -> KeyState:
    fields = {
        "type": "aes256-gcm96",
        "latest_version": 1,
        "min_decryption_version": 1,
        "min_encryption_version": 0,
        "imported": True,
    }
    return KeyState(**{**fields, **changes})


def test_a_new_and_an_imported_key_take_material() -> None:
    key_target.check_key(TARGET, None)
    key_target.check_key(TARGET, a_key())
    key_target.check_material(TARGET, WRAPPED)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (a_key(imported=False), "Vault made .or rotated. key .* itself"),
        (a_key(type="chacha20-poly1305"), "is of type chacha20-poly1305"),
        (a_key(derived=True), "is of type aes256-gcm96, derived"),
    ],
)
def test_a_key_that_vault_would_not_take_it_into_is_refused_before_vault_is_asked(
    key: KeyState, says: str
) -> None:
    with pytest.raises(CliError, match=says) as error:
        key_target.check_key(TARGET, key)
    assert error.value.code == UNANSWERED


@pytest.mark.parametrize(
    ("key", "says"), [(None, "is gone from Vault"), (a_key(), "is at version 1 in Vault")]
)
def test_a_lost_or_older_key_is_not_made_anew_by_an_import(key: KeyState | None, says: str) -> None:
    target = Target("saw-transit", NAME, KeyType.AES256_GCM96, known_version=2)
    with pytest.raises(CliError, match=f"had version 2 and {says}: restore it from Vault's backup"):
        key_target.check_key(target, key)


@pytest.mark.parametrize(("wanted", "latest"), [(3, 1), (1, 1), (2, 0)])
def test_only_the_next_version_is_imported(wanted: int, latest: int) -> None:
    key_target.check_version(TARGET, latest + 1, latest)
    with pytest.raises(CliError, match=f"so the next import becomes version {latest + 1}"):
        key_target.check_version(TARGET, wanted, latest)


def test_material_of_another_type_or_for_another_vault_is_refused() -> None:
    with pytest.raises(
        CliError, match=r"wrapped as ed25519, and spec\.keys\.type of the workload is aes256-gcm96"
    ):
        key_target.check_material(TARGET, WrappedKey(KeyType.ED25519, "0" * 64, ""))
    key_target.check_wrapping_key(WRAPPED, "0" * 64)
    with pytest.raises(
        CliError, match="wrapped for another Vault or another mount: fetch the wrapping key again"
    ):
        key_target.check_wrapping_key(WRAPPED, "1" * 64)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("wrapping-key",), "set VAULT_ADDR and VAULT_TOKEN"),
        (("wrapping-key", "--mount", "../sys"), "--mount is a path"),
        (("import", "llm", "--from", "/nonexistent/file"), "/nonexistent/file: No such file or directory"),
        (("import", "llm", "--from", "/dev/null", "--version", "0"), "--version is 1 or more"),
        (("import", "llm", "--from", "/dev/null"), "this is no wrapped key"),
    ],
)
def test_a_mistake_on_the_command_line_is_said_before_anything_is_asked(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert main(["key", *words]) == USAGE
    assert said in refused(capsys)


def test_every_verb_of_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("wrapping-key", "wrap", "import"):
        with pytest.raises(SystemExit) as ended:
            main(["key", verb, "--help"])
        assert ended.value.code == 0
        assert "exit codes" in capsys.readouterr().out


def test_the_document_holds_what_a_reader_needs_to_know(
    wrap: Wrap, material: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrap("--material", material)
    fields = json.loads(capsys.readouterr().out)
    assert fields["format"] == "secureai.dev/wrapped-key/v1"
    assert fields["type"] == "aes256-gcm96"
    assert fields["hashFunction"] == "SHA256"
