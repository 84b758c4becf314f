"""Argo CD on a lab: redis, repo server, application controller and API server as its processes, and a git repository for them.

Its CRDs and ConfigMaps come from the pinned module, so they are the ones that its release installs. Everything listens on
loopback but the controller's metrics, for whose address Argo CD has no setting.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import yaml

from lab.errors import CommandFailed, LabError, RequestFailed
from lab.handle import Lab
from lab.modules import ARGOCD, built
from lab.processes import Process, base_environment
from lab.rest import Json, JsonClient

MODULE = "github.com/argoproj/argo-cd/v3"
NAMESPACE = "argocd"
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
MANAGER = "argocd-manager"
REFRESH = "argocd.argoproj.io/refresh"
PART_OF = {"app.kubernetes.io/part-of": "argocd"}
RESYNC_SECONDS = 5
READY_SECONDS = 60.0
GIT_SECONDS = 30
CLI_SECONDS = 60
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True)
class Redis:
    """A redis-server, and the folders of libraries that the system does not have."""

    program: Path
    libraries: tuple[Path, ...]


@dataclass(frozen=True)
class Repository:
    """A git repository on this machine; a commit is a push, for Argo CD reads this very folder."""

    folder: Path

    @property
    def url(self) -> str:
        """What an Application names."""
        return f"file://{self.folder}"

    def create(self) -> None:
        """Make the folder a repository with the branch `main`."""
        self.folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Write files (None removes one) and commit; returns the commit."""
        for name, text in files.items():
            path = self.folder / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return self.commit_all(message)

    def commit_all(self, message: str) -> str:
        """Commit whatever is in the folder; returns the commit."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return self._git("rev-parse", "HEAD")

    def _git(self, *words: str) -> str:
        identity = ("-c", "user.name=lab", "-c", "user.email=lab@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", *identity, *words],
            cwd=self.folder,
            env={**base_environment(self.folder.parent), "GIT_CONFIG_NOSYSTEM": "1"},
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"git {words[0]}", done.returncode, done.stderr)
        return done.stdout.strip()


@dataclass(frozen=True)
class ArgoCD:
    """A running Argo CD; Applications name the lab's cluster by `cluster` and the repository by its url."""

    lab: Lab
    repository: Repository
    server: str
    """Where its API server listens, without authentication."""
    processes: Mapping[str, Process] = field(repr=False)

    @property
    def cluster(self) -> str:
        """The `destination.server` of Applications."""
        return self.lab.api_url

    def apply(self, application: Json) -> None:
        """Create or change an Application as a user does."""
        self.lab.kubectl("apply", "-f", "-", input=yaml.safe_dump(application))

    def application(self, name: str) -> Json:
        """The Application as it is now."""
        return self.lab.api.request("GET", f"{APPLICATIONS}/{name}")

    def find(self, name: str) -> Json | None:
        """The Application, or None if it is not there."""
        try:
            return self.application(name)
        except RequestFailed as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def refresh(self, name: str) -> None:
        """Have git looked at now, as a webhook of the git server does; the annotation goes when it is done."""
        annotation = {"metadata": {"annotations": {REFRESH: "normal"}}}
        self.lab.api.request("PATCH", f"{APPLICATIONS}/{name}", annotation, MERGE_PATCH)

    def delete(self, name: str) -> None:
        """Delete an Application; with its finalizer everything of it goes too."""
        self.lab.api.request("DELETE", f"{APPLICATIONS}/{name}")

    def cli(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `argocd` against this Argo CD's API server."""
        return cli(self.lab.directory, "--server", self.server, "--plaintext", *words)

    def tails(self) -> str:
        """The last lines of each process's log."""
        return "\n".join(process.tail() for process in self.processes.values())


def cli(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `argocd`; CommandFailed if it fails. `admin settings` needs neither a server nor a cluster."""
    done = subprocess.run(
        [str(built(ARGOCD) / "argocd"), *map(str, words)],
        env=base_environment(home) | {"ARGOCD_BINARY_NAME": "argocd"},
        capture_output=True,
        text=True,
        timeout=CLI_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"argocd {' '.join(map(str, words))}", done.returncode, done.stderr)
    return done


def module_folder() -> Path:
    """Where the pinned module lies unpacked, with the manifests of its release."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", MODULE],
        cwd=ARGOCD.source,
        env={**os.environ, "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"the manifests of {MODULE} cannot be had: {done.stderr.strip()[:400]}")
    return Path(json.loads(done.stdout)["Dir"])


@contextlib.contextmanager
def start_argocd(lab: Lab, redis: Redis, customization: Path) -> Iterator[ArgoCD]:
    """A running Argo CD for the length of the `with` block, with `customization` (kustomize) applied to its settings."""
    _install(lab, customization)
    _name_cluster(lab)
    repository = Repository(lab.directory / "argocd" / "repository")
    repository.create()
    processes = _Components(lab, redis)
    try:
        server = processes.start()
        yield ArgoCD(lab, repository, server, processes.started)
    finally:
        for process in reversed(processes.started.values()):
            process.stop()


def _install(lab: Lab, customization: Path) -> None:
    manifests = module_folder() / "manifests"
    lab.kubectl("apply", "--server-side", "-f", *_files(manifests / "crds"))
    kinds = ("applications", "applicationsets", "appprojects")
    established = ("wait", "--for=condition=Established", *(f"crd/{kind}.argoproj.io" for kind in kinds))
    # A new CRD has no conditions at first, which `kubectl wait` takes for an error.
    lab.wait_for(lambda: lab.kubectl(*established, "--timeout=5s"), 30, "Argo CD's CRDs to be established")
    lab.create_namespace(NAMESPACE)
    settings = _files(manifests / "base" / "config")
    lab.kubectl("apply", "--server-side", "-n", NAMESPACE, "-f", *settings)
    key = {"stringData": {"server.secretkey": secrets.token_hex(32)}}
    lab.api.request("PATCH", f"/api/v1/namespaces/{NAMESPACE}/secrets/argocd-secret", key, MERGE_PATCH)
    lab.kubectl("apply", "--server-side", "--field-manager=secureai", "-k", customization)
    anything = {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }
    project = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default"}}
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects"
    lab.api.request("POST", path, {**project, "spec": anything})


def _files(folder: Path) -> tuple[str, ...]:
    """The manifests of a folder, each behind a `-f` of its own but the first."""
    names = sorted(str(path) for path in folder.glob("*.yaml") if path.name != "kustomization.yaml")
    return tuple(word for name in names for word in ("-f", name))[1:]


def _name_cluster(lab: Lab) -> None:
    """The lab's API server as a cluster that Applications may name, by an identity of Argo CD's own."""
    account = {"metadata": {"name": MANAGER}}
    lab.api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", account)
    subject = {"kind": "ServiceAccount", "namespace": NAMESPACE, "name": MANAGER}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"metadata": {"name": MANAGER, "labels": lab.processes.labels}}
    lab.api.request(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {**binding, "roleRef": role, "subjects": [subject]},
    )
    authority = base64.b64encode(lab.ca_file.read_bytes()).decode()
    config = {"bearerToken": lab.token(NAMESPACE, MANAGER), "tlsClientConfig": {"caData": authority}}
    labels = {**PART_OF, "argocd.argoproj.io/secret-type": "cluster"}
    secret = {
        "metadata": {"name": "cluster-lab", "labels": labels},
        "stringData": {"name": "lab", "server": lab.api_url, "config": json.dumps(config)},
    }
    lab.api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", secret)


class _Components:
    """The processes, started in the order of their needs; each is awaited by its own sign of life."""

    def __init__(self, lab: Lab, redis: Redis) -> None:
        self.started: dict[str, Process] = {}
        self._lab = lab
        self._redis = redis
        self._folder = lab.directory / "argocd"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._tools = built(ARGOCD)

    def start(self) -> str:
        """Start all of them; returns where the API server listens."""
        redis_port = self._start_redis()
        take = self._lab.ports.take
        repo_port, repo_metrics, metrics, port = take(), take(), take(), take()
        shared = (f"--redis=127.0.0.1:{redis_port}", "--loglevel=info")
        self._start(
            "argocd-repo-server",
            *shared,
            "--disable-tls",
            "--address=127.0.0.1",
            f"--port={repo_port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={repo_metrics}",
            health=repo_metrics,
        )
        cluster = (
            f"--kubeconfig={self._lab.admin_kubeconfig}",
            f"--namespace={NAMESPACE}",
            f"--repo-server=127.0.0.1:{repo_port}",
            "--repo-server-plaintext",
        )
        self._start(
            "argocd-application-controller",
            *shared,
            *cluster,
            f"--metrics-port={metrics}",
            f"--app-resync={RESYNC_SECONDS}",
            "--app-resync-jitter=0",
            # In the Application itself, where whoever watches it sees it.
            "--persist-resource-health",
            health=metrics,
        )
        self._start(
            "argocd-server",
            *shared,
            *cluster,
            "--insecure",
            "--disable-auth",
            "--address=127.0.0.1",
            f"--port={port}",
            "--metrics-address=127.0.0.1",
            f"--metrics-port={take()}",
            health=port,
        )
        return f"127.0.0.1:{port}"

    def _start_redis(self) -> int:
        port = self._lab.ports.take()
        flags = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no")
        libraries = os.pathsep.join(map(str, self._redis.libraries))
        environment = {"LD_LIBRARY_PATH": libraries} if libraries else {}
        process = self._begin("redis", [self._redis.program, *flags], environment)
        process.wait_ready(lambda: _answers_ping(port), READY_SECONDS, "redis to answer")
        return port

    def _start(self, role: str, *flags: str, health: int) -> None:
        process = self._begin(role, [self._tools / "argocd", *flags], self._environment(role))
        client = JsonClient(f"http://127.0.0.1:{health}")
        process.wait_ready(
            lambda: client.raw("GET", "/healthz")[0] == HTTPStatus.OK, READY_SECONDS, f"{role} to be healthy"
        )

    def _begin(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> Process:
        base = base_environment(self._lab.directory)
        process = self._lab.process(name, command, {**base, **environment}, self._folder)
        self.started[name] = process
        return process.start()

    def _environment(self, role: str) -> dict[str, str]:
        """Its role and folders; it calls itself, kustomize and git by their names."""
        folders = {
            name: self._folder / folder
            for name, folder in (
                ("ARGOCD_GNUPGHOME", "gpg"),
                ("ARGOCD_TLS_DATA_PATH", "tls"),
                ("ARGOCD_SSH_DATA_PATH", "ssh"),
                # Checkouts of the repository: they end with the lab.
                ("TMPDIR", "checkouts"),
            )
        }
        for folder in folders.values():
            folder.mkdir(mode=0o700, exist_ok=True)
        return {
            "ARGOCD_BINARY_NAME": role,
            "ARGOCD_GPG_ENABLED": "false",
            "PATH": os.pathsep.join([str(self._tools), os.environ.get("PATH", os.defpath)]),
            **{name: str(folder) for name, folder in folders.items()},
        }


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def missing() -> str:
    """What this machine lacks for it, "" if nothing."""
    return "" if shutil.which("git") else "git is not on PATH: install it"
