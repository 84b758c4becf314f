"""Secrets on every way into the operator, and everything that comes out of it searched: at DEBUG, through answers that lie.

`tests/integration/test_secrets_stay_secret.py` does this for an honest life at INFO. Here are the ways that it leaves out: the
tokens that Vault hands out, answers of both servers that quote secrets or are no answers, a process that dies, its memory's
image, its arguments and environment, broken kubeconfigs and settings, material that a customer imports, and the command line.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import signal
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab, Process
from lab.kubeconfig import write_kubeconfig
from secureai_operator import names
from secureai_operator.api.resources import EVENTS, NETWORK_POLICIES, SECRETS, SECURE_AI_WORKLOADS
from secureai_operator.api.workload import KeyType
from secureai_operator.cli.main import main
from secureai_operator.clients.key_material import new_material
from secureai_operator.clients.vault_user import VaultAccess, VaultUser
from secureai_operator.telemetry.redaction import REDACTED
from tests.faults.proxy import KUBERNETES, VAULT, Forward, Proxies, Proxy, Reply, Seen
from tests.fixtures_operator import Telemetry, Workloads, log_lines, stop_shared_operator
from tests.integration.customers import Customer, a_token
from tests.integration.test_secrets_stay_secret import Canaries, findings, forms
from tests.integration.vault_identity import TRANSIT, Identity, vault_name
from tests.product import ROOT, Product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(420)]

LONG_SECONDS = 90.0
"""A deadline: a busy machine is slow."""
ANSWERS = 2
"""Lies that the operator has to have heard of each kind before the next."""
REMOTE = "canary-that-a-remote-side-says-0123456789"
_TOKEN = re.compile(rb'"client_token":\s*"([^"]+)"')
SPEC: Mapping[str, Any] = {
    "keys": {"dataKeys": [{"name": "model"}, {"name": "prompts"}]},
    "podSelector": {"matchLabels": {"app": "canary"}},
}

Json = dict[str, Any]


def _said(value: Any) -> bytes:
    return json.dumps(value).encode()


_STATUS = {
    "kind": "Status",
    "apiVersion": "v1",
    "status": "Failure",
    "message": REMOTE,
    "reason": REMOTE,
    "details": {"name": REMOTE},
}
LIES: Mapping[str, tuple[str, int, bytes]] = {
    "Vault: bad request": (VAULT, 400, _said({"errors": [REMOTE]})),
    "Vault: forbidden": (VAULT, 403, _said({"errors": [REMOTE], "warnings": [REMOTE]})),
    "Vault: failed": (VAULT, 500, _said({"errors": [f"1 error occurred: {REMOTE}"]})),
    "Vault: sealed": (VAULT, 503, _said({"errors": [REMOTE]})),
    "Vault: no JSON": (VAULT, 200, REMOTE.encode()),
    "Vault: no object": (VAULT, 200, _said([REMOTE])),
    "Vault: other fields": (VAULT, 200, _said({"data": {"plaintext": REMOTE, "ciphertext": [REMOTE], "certificate": REMOTE}})),
    "Vault: no data": (VAULT, 200, _said({"data": REMOTE, "auth": REMOTE, "warnings": REMOTE})),
    "Kubernetes: forbidden": (KUBERNETES, 403, _said({**_STATUS, "code": 403})),
    "Kubernetes: invalid": (KUBERNETES, 422, _said({**_STATUS, "code": 422})),
    "Kubernetes: failed": (KUBERNETES, 500, _said({**_STATUS, "code": 500})),
    "Kubernetes: no JSON": (KUBERNETES, 500, REMOTE.encode()),
}  # fmt: skip
"""What a server answers in place of the truth, by what it is."""


@dataclass(slots=True)
class Wire:
    """The rule of both proxies: hears the tokens that Vault hands out, and lies while it is told to."""

    namespace: str = ""
    lie: tuple[str, int, bytes] | None = None
    echo: bool = False
    """Whether a login is refused in words that repeat what was sent."""
    told: int = 0
    tokens: set[str] = field(default_factory=set, repr=False)

    def concerns(self, seen: Seen) -> bool:
        return seen.server == VAULT or (self.lie is not None and self._may_lie(seen))

    async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
        is_login = seen.target.endswith("/login")
        if is_login and self.echo:
            self.told += 1
            return Reply.of(400, _said({"errors": [seen.body.decode()]}))
        if self.lie is not None and not is_login and self._may_lie(seen):
            self.told += 1
            return Reply.of(*self.lie[1:])
        reply = await forward()
        if is_login:
            self.tokens |= {found.decode() for found in _TOKEN.findall(reply.raw)}
        return reply

    def _may_lie(self, seen: Seen) -> bool:
        """Not about its health or its own tokens, and not about other namespaces or watches."""
        assert self.lie is not None
        if seen.server != self.lie[0]:
            return False
        if seen.server == VAULT:
            return f".{self.namespace}." in seen.target
        return f"/namespaces/{self.namespace}/" in seen.target and "watch=" not in seen.target


@dataclass(slots=True)
class Heard:
    """An operator at DEBUG behind the wire, and everything that it tells."""

    lab: Lab
    workloads: Workloads
    namespace: str
    wire: Wire
    process: Process
    canaries: Canaries = field(default_factory=Canaries, repr=False)
    told: dict[str, str] = field(default_factory=dict, repr=False)
    """What was told already, by a process that is gone or by a verb."""

    def log(self) -> str:
        return self.process.log.read_text(errors="replace")

    def line(self, message: str) -> Json | None:
        return next((one for one in log_lines(self.process.log) if one.get("message") == message), None)

    def traces(self) -> Iterator[tuple[str, str]]:
        yield from self.told.items()
        yield "the log", self.log()
        if self.process.running:
            listening = self.line("listening")
            assert listening is not None
            yield "the metrics", Telemetry(int(listening["port"])).metrics()
            proc = Path(f"/proc/{self.process.pid}")
            yield "the arguments", (proc / "cmdline").read_text()
            yield "the environment", (proc / "environ").read_text()
            yield "the names of threads", " ".join(one.read_text() for one in proc.glob("task/*/comm"))
        yield "Events", json.dumps(self.lab.api.request("GET", EVENTS.path(self.namespace)))
        yield "status", json.dumps(self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(self.namespace)))
        config_maps = f"/api/v1/namespaces/{names.OPERATOR_NAMESPACE}/configmaps"
        yield "ConfigMaps", json.dumps(self.lab.api.request("GET", config_maps))


def command(lab: Lab, product: Product, kubeconfig: Path, vault: str, name: str) -> list[str]:
    """The operator's command line, at DEBUG."""
    settings = product.base_settings()
    (connection,) = settings["connections"].values()
    token_file = lab.directory / f"{name}-token"
    token_file.write_text(lab.token(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT, "vault"))
    settings["connections"] = {"default": {**connection, "address": vault, "tokenFile": str(token_file)}}
    config = lab.directory / f"{name}.yaml"
    config.write_text(yaml.safe_dump({**settings, "vaultProbeSeconds": 1}))
    run = [sys.executable, "-m", "secureai_operator.cli.main", "run", "--config", str(config)]
    return [*run, "--kubeconfig", str(kubeconfig), "--log-level", "DEBUG"]


@contextlib.contextmanager
def operating(lab: Lab, product: Product, workloads: Workloads, namespace: str) -> Iterator[Heard]:
    wire = Wire(namespace, echo=True)
    tls = ssl.create_default_context(cafile=str(lab.ca_file))
    kubernetes, vault = Proxy(KUBERNETES, lab.api_url, tls, wire), Proxy(VAULT, lab.vault_address, None, wire)
    token = lab.token(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    with Proxies(kubernetes, vault).running():
        kubeconfig = write_kubeconfig(
            lab.directory / "kubeconfigs" / "canaries.yaml", kubernetes.address, lab.ca_file, {"token": token}
        )
        words = command(lab, product, kubeconfig, vault.address, "canaries")
        process = lab.process("canaries", words, env={"PYTHONPATH": str(ROOT / "operator")})
        process.start()
        heard = Heard(lab, workloads, namespace, wire, process)
        heard.canaries.add("what a remote side said", REMOTE)
        heard.canaries.add_token("the operator's Kubernetes token", token)
        heard.canaries.add_token(
            "the operator's token for Vault", (lab.directory / "canaries-token").read_text()
        )
        heard.canaries.add("Vault's root token", lab.vault_root_token)
        try:
            lab.wait_for(lambda: heard.line("leading"), LONG_SECONDS, "the operator to lead")
            yield heard
        finally:
            process.stop()


@pytest.fixture(scope="module")
def heard(
    request: pytest.FixtureRequest, lab: Lab, product: Product, workloads: Workloads
) -> Iterator[Heard]:
    stop_shared_operator(request.session)
    namespace = f"canaries-{secrets.token_hex(3)}"
    lab.create_namespace(namespace)
    with operating(lab, product, workloads, namespace) as running:
        # Its logins are refused in words that hold its own token.
        lab.wait_for(lambda: running.wire.told >= 1, LONG_SECONDS, "a login to be refused")
        running.wire.echo = False
        workloads.create(namespace, "llm", **SPEC)
        workloads.wait_ready(namespace, "llm", LONG_SECONDS)
        _learn(running)
        yield running
        lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(namespace))
        where = SECURE_AI_WORKLOADS.path(namespace)
        lab.wait_for(lambda: not lab.api.request("GET", where)["items"], LONG_SECONDS, "the workloads to go")
    lab.delete_namespace(namespace)


def _learn(heard: Heard) -> None:
    """What is secret by now: data keys in plaintext, private keys, and every token that Vault handed out."""
    namespace = heard.namespace
    identity = Identity.of(heard.lab, namespace)
    heard.canaries.add("a workload's Vault token", identity.token)
    for one in heard.workloads.get(namespace)["status"]["dataKeys"]:
        plaintext = identity.decrypt(vault_name(namespace), one["wrapped"])
        heard.canaries.add("a data key", *forms(plaintext))
    secret = heard.workloads.find(SECRETS, namespace, "saw-llm-tls")
    assert secret is not None
    heard.canaries.add_private_key(secret)
    assert heard.wire.tokens, "the operator has not logged in"
    heard.canaries.add("the operator's Vault token", *heard.wire.tokens)


def test_lies_of_both_servers_are_told_nowhere(heard: Heard) -> None:
    """Each kind of lie while everything is done anew: objects, certificate, policy, rotation."""
    for number, (name, lie) in enumerate(LIES.items(), 1):
        heard.wire.told, heard.wire.lie = 0, lie
        _busy(heard, number)
        heard.lab.wait_for(lambda: heard.wire.told >= ANSWERS, LONG_SECONDS, f"{name} to be heard")
        heard.told[f"status during {name}"] = json.dumps(heard.workloads.get(heard.namespace)["status"])
        heard.wire.lie = None
        heard.workloads.wait_ready(heard.namespace, "llm", LONG_SECONDS)
    _learn(heard)
    told = list(heard.traces())
    assert {"the log", "the metrics", "the arguments", "the environment", "Events", "status"} <= {
        one for one, _ in told
    }
    assert '"level":"debug"' in heard.log(), "nothing was said at DEBUG"
    assert findings(heard.canaries, told) == []
    assert REDACTED not in heard.log(), "the last line of defence had something to do"


def _busy(heard: Heard, number: int) -> None:
    """Something new to do for both systems."""
    heard.workloads.respec(
        heard.namespace,
        "llm",
        certificate={"ttl": f"{20 + number}h"},
        network={"ingress": [{"from": [{"workload": "a"}], "ports": [8000 + number]}]},
    )
    asked = {names.ROTATE_ANNOTATION: f"request-{number}", names.RESYNC_ANNOTATION: str(number)}
    heard.workloads.patch(heard.namespace, "llm", {"metadata": {"annotations": asked}})
    # While the operator is lied to it may be gone still.
    if heard.workloads.find(NETWORK_POLICIES, heard.namespace, "saw-llm-quarantine") is not None:
        heard.workloads.delete(heard.namespace, "saw-llm-quarantine", NETWORK_POLICIES)


def test_the_command_line_tells_no_secret(
    heard: Heard, lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(lab.admin_kubeconfig))
    monkeypatch.setenv("VAULT_ADDR", lab.vault_address)
    monkeypatch.setenv("VAULT_TOKEN", lab.vault_root_token)
    for words in (
        ("status", "llm"), ("status", "llm", "-o", "json"), ("why", "llm"), ("keys",), ("keys", "-o", "json"),
        ("timeline", "llm"), ("rotate", "llm", "--dry-run"), ("key", "show", "llm"),
    ):  # fmt: skip
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            main((*words, "-n", heard.namespace))
        printed = capsys.readouterr()
        heard.told[f"secureai {' '.join(words)}"] = f"{printed.out}\n{printed.err}"
    assert any(heard.namespace in text or "llm" in text for text in heard.told.values())
    assert findings(heard.canaries, heard.told.items()) == []


def test_material_that_a_customer_imports_is_told_nowhere(heard: Heard) -> None:
    """The key itself, the same wrapped, and the token that it was imported with."""
    heard.workloads.create(heard.namespace, "brought", keys={"custody": "customer-managed"})
    heard.workloads.wait_condition(
        heard.namespace, "brought", "KeyReady", "False", "AwaitingKeyMaterial", LONG_SECONDS
    )
    name = vault_name(heard.namespace, "brought")
    token = a_token(heard.lab, TRANSIT, name)
    material = new_material(KeyType.AES256_GCM96)
    heard.canaries.add("imported material", *forms(bytes(material)))
    heard.canaries.add("the customer's token", token)
    with VaultUser(VaultAccess(heard.lab.vault_address, token), timeout=30) as vault:
        customer = Customer(heard.lab, TRANSIT, name, token, vault)
        wrapped = customer.wrapped(KeyType.AES256_GCM96, material)
    heard.canaries.add("wrapped material", wrapped.ciphertext)
    body = {"type": "aes256-gcm96", "ciphertext": wrapped.ciphertext, "hash_function": wrapped.hash_function}
    heard.lab.vault_request("POST", f"{TRANSIT}/keys/{name}/import", body, token=token)
    heard.workloads.wait_ready(heard.namespace, "brought", LONG_SECONDS)
    assert findings(heard.canaries, heard.traces()) == []


def test_what_is_planted_is_found(heard: Heard) -> None:
    """The search is only worth what it finds."""
    heard.told["a verb"] = f"x {REMOTE} y {next(iter(heard.wire.tokens))}"
    found = findings(heard.canaries, heard.traces())
    del heard.told["a verb"]
    assert set(found) >= {
        "a verb tells the operator's Vault token",
        "a verb tells what a remote side said",
    }


def test_a_process_that_dies_leaves_no_secret(heard: Heard) -> None:
    """By a signal that writes an image of the memory where one may be written."""
    limits = Path(f"/proc/{heard.process.pid}/limits").read_text()
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], "its memory may be written to a file"
    heard.process.signal(signal.SIGABRT)
    heard.lab.wait_for(lambda: not heard.process.running, LONG_SECONDS, "the process to die")
    assert findings(heard.canaries, heard.traces()) == []
    # Whoever comes after it, the deletion of its workloads among others, needs one.
    heard.process.start()


SECRET = "canary-in-a-configuration-0123456789"
_USER = {"username": f"{SECRET}-u", "password": SECRET, "token": SECRET}
_CLUSTER = {"server": f"https://user:{SECRET}@127.0.0.1:1", "certificate-authority-data": SECRET}


def _kubeconfig(cluster: Json, user: Json) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "a",
            "clusters": [{"name": "a", "cluster": cluster}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "users": [{"name": "a", "user": user}],
        }
    )


_PLAIN = {"server": "http://127.0.0.1:1"}
KUBECONFIGS = {
    "not YAML": f'users: [{{name: a, user: {{token: "{SECRET}',
    "a list for a token": _kubeconfig(_PLAIN, {"token": [SECRET]}),
    "keys that are none": _kubeconfig(_PLAIN, {"client-certificate-data": SECRET, "client-key-data": SECRET}),
    "a password in the address": _kubeconfig(_CLUSTER, _USER),
    "a password": _kubeconfig(_PLAIN, _USER),
    "a command with a secret": _kubeconfig(
        _PLAIN,
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "/bin/false",
                "args": [SECRET],
                "env": [{"name": "A", "value": SECRET}],
            }
        },
    ),
}


@pytest.mark.parametrize("what", KUBECONFIGS)
def test_a_broken_kubeconfig_is_not_quoted(
    what: str, product: Product, lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text(KUBECONFIGS[what])
    with contextlib.suppress(SystemExit):
        main(("status", "llm", "--kubeconfig", str(broken)))
    printed = capsys.readouterr()
    words = command(lab, product, broken, lab.vault_address, f"broken-{abs(hash(what))}")
    process = lab.process(f"broken-{abs(hash(what))}", words, env={"PYTHONPATH": str(ROOT / "operator")})
    process.start()
    # It ends by itself, or tries on: either way it has said by then what is wrong.
    with contextlib.suppress(Exception):
        lab.wait_for(lambda: not process.running, 30, "the operator to end")
    process.stop()
    said = f"{printed.out}{printed.err}{process.log.read_text()}"
    assert said
    assert SECRET[:24] not in said


SETTINGS = {
    "not YAML": f'connections: {{default: {{address: "{SECRET}',
    "a password in the address": f'connections: {{default: {{address: "https://u:{SECRET}@127.0.0.1:1"}}}}',
    "an unknown setting": f"connections: {{}}\npassword: {SECRET}",
    "a list for a file": f"connections: {{default: {{address: 'https://a', tokenFile: [{SECRET}]}}}}",
}


@pytest.mark.parametrize("what", SETTINGS)
def test_broken_settings_are_not_quoted(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SETTINGS[what])
    assert main(("run", "--config", str(config))) != 0
    printed = capsys.readouterr()
    assert printed.err
    assert SECRET[:24] not in f"{printed.out}{printed.err}"
