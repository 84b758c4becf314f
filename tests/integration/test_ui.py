"""`secureai ui` on a real cluster with the operator at work: what it shows, what it asks for, and how it looks in a browser."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
import yaml

from lab import Lab
from secureai_operator.api.resources import NETWORK_POLICIES, SECRETS, SERVICE_ACCOUNTS
from secureai_operator.cli.exits import OK
from tests.fixtures_operator import Workloads
from tests.integration.installation import author
from tests.unit.ui.chromium import Chromium, installed
from tests.unit.ui.reading_pages import Element, read, table

# A browser may have to be installed first.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
PAGES = ("", "keys", "history", "workloads/{}/llm")
_PNG = b"\x89PNG\r\n\x1a\n"
_INSTALL_SECONDS = 300


@dataclass
class Ui:
    """A running `secureai ui`, and its pages."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str = "") -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310 - its own address
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def page(self, path: str = "") -> Element:
        status, text = self.get(path)
        assert status == 200, text
        return read(text)


@contextlib.contextmanager
def ui(kubeconfig: Path, *words: str) -> Iterator[Ui]:
    """The verb as a process of its own, without a browser; ended by Ctrl-C if it still runs."""
    command = [sys.executable, "-m", "secureai_operator.cli.main", "ui", "--no-browser", *words]
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT / "operator"),
        "HOME": "/nonexistent",
    }
    with subprocess.Popen(
        [*command, "--kubeconfig", str(kubeconfig)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Ui(process, _address(process))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S+/", line):
            return found[0]
    raise AssertionError("no address was printed")


@dataclass
class Asked:
    """One request on its way to the API server, and what came back."""

    method: str
    path: str
    accept: str
    answer: bytes


@dataclass
class Relay:
    """Hands requests on to the real API server as its administrator, and remembers them."""

    lab: Lab
    seen: list[Asked] = field(default_factory=list)

    @contextlib.contextmanager
    def kubeconfig(self, folder: Path) -> Iterator[Path]:
        """A kubeconfig that leads through here."""
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                status, kind, body = relay.forward(self.command, self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = folder / "relay.kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "current-context": "relay",
                    "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
                    "clusters": [
                        {"name": "relay", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
                    ],
                    "users": [{"name": "relay", "user": {}}],
                }
            )
        )
        try:
            yield file
        finally:
            server.shutdown()
            server.server_close()

    def forward(self, method: str, path: str, accept: str) -> tuple[int, str, bytes]:
        api = self.lab.api
        parts = urlsplit(api.url)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 443, timeout=30, context=api.tls
        )
        try:
            connection.request(method, path, headers={**api.headers, "Accept": accept})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        self.seen.append(Asked(method, path, accept, body))
        return response.status, response.headers.get("Content-Type", ""), body


def secret_values(workloads: Workloads, namespace: str) -> list[bytes]:
    """All that the workload's Secrets hold, as the API server writes it."""
    found = workloads.lab.api.request("GET", SECRETS.path(namespace))["items"]
    return [
        value.encode() for item in found for value in (item.get("data") or {}).values() if len(value) > 16
    ]


def test_the_pages_show_what_the_cluster_holds(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    workloads.create(namespace, "lost", vault={"connection": "elsewhere"})
    workloads.wait_condition(namespace, "lost", "Ready", "False")
    workloads.delete(namespace, "saw-llm-allow", NETWORK_POLICIES)
    workloads.wait_event(namespace, "llm", "DriftHealed", contains="saw-llm-allow")
    lab.wait_for(lambda: workloads.get(namespace)["status"].get("lastDrift"), 30, "the drift in the status")
    with ui(lab.admin_kubeconfig, "-n", namespace) as running:
        rows = {row[0]: row for row in table(running.page(), "Workloads")}
        assert (rows[f"{namespace}/llm"][1], rows[f"{namespace}/llm"][3]) == ("Ready", "v1")
        assert rows[f"{namespace}/llm"][6].startswith("NetworkPolicy healed")
        assert rows[f"{namespace}/lost"][1] == "NotReady"
        assert rows[f"{namespace}/lost"][2].startswith("ConnectionNotConfigured")
        found = running.page("?state=not-ready")
        assert [row[0] for row in table(found, "Workloads")] == [f"{namespace}/lost"]
        one = running.page(f"workloads/{namespace}/llm")
        owned = {item.all("span")[0].text for item in one.all("li") if item.all("span")}
        assert {
            "ServiceAccount saw-llm",
            "Secret saw-llm-keys",
            "Secret saw-llm-tls",
            "NetworkPolicy saw-llm-allow",
            "NetworkPolicy saw-llm-quarantine",
        } <= owned
        told = {(row[1], row[2]) for row in table(one, "What happened, the latest first")}
        assert {
            ("Workload", "created"),
            ("Condition", "Ready became True: AllReady"),
            ("Drift", "NetworkPolicy/saw-llm-allow was deleted"),
            ("Event of secureai-operator", "DriftHealed"),
        } <= told
        assert [row[0] for row in table(running.page("history"), "Drift")] == [f"{namespace}/llm"]
        assert "model (v1)" in one.text
        other = running.page(f"workloads/{namespace}/lost")
        assert "ConnectionNotConfigured" in other.all("section")[0].text
        certificates = table(running.page("keys"), "Certificates, the next to end first")
        assert certificates[0][0] == f"{namespace}/llm"
        assert running.get("workloads/default/llm")[0] == 404
        assert running.get(f"workloads/{namespace}/lm")[1].count("did you mean &#39;llm&#39;?") == 1


def test_all_namespaces_are_shown_unless_one_is_named(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    with ui(lab.admin_kubeconfig) as running:
        assert f"{namespace}/llm" in [row[0] for row in table(running.page(), "Workloads")]
        assert "all namespaces" in running.page().all("header")[0].text


def test_no_request_asks_for_the_data_of_a_secret(
    lab: Lab, workloads: Workloads, namespace: str, tmp_path: Path
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    secrets = secret_values(workloads, namespace)
    assert secrets
    relay = Relay(lab)
    with relay.kubeconfig(tmp_path) as kubeconfig, ui(kubeconfig, "-n", namespace) as running:
        pages = [running.get(path.format(namespace)) for path in PAGES]
    assert [status for status, _ in pages] == [200] * len(PAGES)
    assert {one.method for one in relay.seen} == {"GET"}
    about = [one for one in relay.seen if "/secrets" in one.path]
    assert about
    assert all("as=PartialObjectMetadataList" in one.accept for one in about)
    assert all(b"saw-llm-keys" in one.answer for one in about)
    # Its wrapped data keys stand in the CR's status too: they are ciphertext, and on no page.
    tls = [value for value in secrets if not any(value in one.answer for one in relay.seen)]
    assert len(tls) == len(secrets), "the data of a Secret came over the line"
    assert not [value for value in secrets for _, text in pages if value.decode() in text]
    assert not [text for _, text in pages if "vault:v" in text]


def test_the_role_of_the_documentation_is_enough(lab: Lab, workloads: Workloads, namespace: str) -> None:
    workloads.ready(namespace)
    block = (ROOT / "docs" / "ui.md").read_text().split("```yaml\n")[1].split("```")[0]
    role = yaml.safe_load(block)
    lab.kubectl("apply", "--server-side", "-f", "-", input=block)
    lab.api.request("POST", SERVICE_ACCOUNTS.path(namespace), {"metadata": {"name": "looker"}})
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{namespace}-looker"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": role["metadata"]["name"],
        },
        "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": namespace}],
    }
    lab.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(binding))
    try:
        with ui(lab.kubeconfig_for(namespace, "looker")) as running:
            # The authorizer learns of the binding a moment later.
            lab.wait_for(lambda: running.get()[0] == 200, 30, "the rights of the reader")
            one = running.page(f"workloads/{namespace}/llm")
            for path in PAGES:
                assert running.get(path.format(namespace))[0] == 200
    finally:
        lab.kubectl("delete", "clusterrolebinding", f"{namespace}-looker")
        lab.kubectl("delete", "clusterrole", role["metadata"]["name"])
    (tree,) = [found for found in one.all("ul") if found.attributes.get("class") == "tree"]
    assert "you may not list secrets" in tree.text
    assert tree.text.count("you may not") == 1
    assert "you may not list events" not in one.text


def test_a_missing_right_is_named_and_the_api_server_not_quoted(
    lab: Lab, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    author(lab, namespace, "dev")
    with ui(lab.kubeconfig_for(namespace, "dev")) as running:
        status, text = running.get()
        assert status == 403
        assert "You may not list secureaiworkloads.secureai.dev in all namespaces." in read(text).text
        assert "cannot list resource" not in text
        assert "serviceaccount" not in text
        one = running.page(f"workloads/{namespace}/llm")
    assert "you may not list events" in one.text
    assert "you may not list pods" in one.text


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_when_it_is_asked_to(lab: Lab, sign: signal.Signals) -> None:
    with ui(lab.admin_kubeconfig) as running:
        assert running.get()[0] == 200
        port = urlsplit(running.url).port
        running.process.send_signal(sign)
        assert running.process.wait(10) == OK
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_an_api_server_that_hangs_is_a_page_and_delays_no_end(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        kubeconfig = tmp_path / "silent.kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
                    "clusters": [{"name": "c", "cluster": {"server": server}}],
                    "users": [{"name": "c", "user": {}}],
                }
            )
        )
        with ui(kubeconfig) as running:
            status, text = running.get()
            assert (status, read(text).all("h1")[0].text) == (503, "The API server does not answer")
            asking = threading.Thread(target=_asked_in_vain, args=(running,))
            asking.start()
            time.sleep(0.5)
            start = time.monotonic()
            running.process.send_signal(signal.SIGINT)
            assert running.process.wait(10) == OK
            assert time.monotonic() - start < 5
            asking.join(30)


def _asked_in_vain(running: Ui) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        running.get()


@pytest.fixture(scope="module")
def chromium() -> Chromium:
    """A browser: the machine's own, or Debian's if root may install it."""
    if installed() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-qq", "--no-install-recommends", "chromium"]
        for command in (["apt-get", "update", "-qq"], install):
            with contextlib.suppress(subprocess.TimeoutExpired):
                environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                subprocess.run(
                    command, env=environment, capture_output=True, check=False, timeout=_INSTALL_SECONDS
                )
    program = installed()
    if program is None:
        pytest.skip("there is no Chromium on this machine, and none could be installed")
    return Chromium(program)


def test_a_browser_shows_it_without_a_complaint(
    lab: Lab, workloads: Workloads, namespace: str, chromium: Chromium, tmp_path: Path
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    with ui(lab.admin_kubeconfig, "-n", namespace) as running:
        fleet = chromium.dom(running.url)
        one = chromium.dom(f"{running.url}workloads/{namespace}/llm")
        for name, address in (("fleet", running.url), ("one", f"{running.url}workloads/{namespace}/llm")):
            chromium.picture(address, tmp_path / f"{name}.png", 1280, 900)
    for dom in (fleet, one):
        assert dom.complaints == ()
        # The script ran: without it the button stays hidden.
        assert 'id="refresh" aria-pressed="false">' in dom.text
    assert f"{namespace}/</span>llm" in fleet.text
    assert "saw-llm-tls" in one.text
    assert 'class="tl"' in one.text
    for file in (tmp_path / "fleet.png", tmp_path / "one.png"):
        content = file.read_bytes()
        assert content.startswith(_PNG)
        # An empty page of that size has a few kilobytes.
        assert len(content) > 20_000
