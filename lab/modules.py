"""The Go modules the lab's binaries are built from, and the cache they are built into.

The modules hold no Go code: go.mod and go.sum pin the tools and everything they need.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError, LabTimeout, LabUnavailable

MODULES = Path(__file__).parent / "modules"
GO_MINIMUM = (1, 26)
GO_MISSING = (
    "Go 1.26 or newer is needed to build the lab's etcd, Kubernetes and Vault from their modules. Install it from "
    "https://go.dev/dl and put it on PATH; or install kind and start Docker; or name a cluster of yours in "
    "SECUREAI_LAB_KUBECONFIG"
)
PROGRESS_SECONDS = 10.0
BUILD_DEADLINE_SECONDS = 3600.0


@dataclass(frozen=True)
class Module:
    """One Go module with `tool` directives; `renames` maps what Go calls a tool to what we call it."""

    name: str
    flags: tuple[str, ...]
    tools: tuple[str, ...]
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """Where its go.mod and go.sum are."""
        return MODULES / self.name

    @property
    def cached(self) -> Path:
        """The folder of its binaries: another one as soon as anything that shapes them changes."""
        digest = hashlib.sha256()
        for part in (
            (self.source / "go.mod").read_bytes(),
            (self.source / "go.sum").read_bytes(),
            " ".join([*self.flags, platform.system(), platform.machine()]).encode(),
        ):
            digest.update(hashlib.sha256(part).digest())
        return cache_home() / f"{self.name}-{digest.hexdigest()[:20]}"


CLUSTER = Module(
    "cluster",
    # Without the version, kubectl and other clients choke on "v0.0.0-master+$Format:%H$".
    ("-trimpath", "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3"),
    ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
    {"server": "etcd"},
)
VAULT = Module(
    "vault",
    # Vault's own tag for a build with transit, pki, kv and the common logins, and without the cloud plugins.
    ("-trimpath", "-tags=minimal", "-ldflags=-s -w"),
    ("vault", "vault-plugin-auth-kubernetes"),
)
KWOK = Module("kwok", ("-trimpath", "-ldflags=-s -w"), ("kwok",))
# The kubelet is not here but comes with CLUSTER's control plane, whose module has it and which is built anyhow.
NODE = Module(
    "node",
    ("-trimpath", "-ldflags=-s -w"),
    ("containerd", "containerd-shim-runc-v2", "ctr", "kube-router", "host-local", "loopback", "ptp"),
)
# For the comparison in bench/ alone: no test needs it, and nothing but that builds it.
PEERS = Module(
    "peers",
    ("-trimpath", "-ldflags=-s -w"),
    ("vault-secrets-operator",),
)
CERT_MANAGER = Module(
    "cert-manager",
    ("-trimpath", "-ldflags=-s -w"),
    ("cert-manager",),
    {"controller": "cert-manager"},
)
EXTERNAL_SECRETS = Module("external-secrets", ("-trimpath", "-ldflags=-s -w"), ("external-secrets",))
# For the tests of the chart alone.
HELM = Module(
    "helm",
    # Without it helm takes the cluster of `helm template` for Kubernetes 1.20; its own releases name their client's version.
    (
        "-trimpath",
        (
            "-ldflags=-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1"
            " -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37"
        ),
    ),
    ("helm",),
)
# For the tests of GitOps alone. One binary is all of Argo CD; it renders with kustomize, of the minor it ships.
ARGOCD = Module("argocd", ("-trimpath", "-ldflags=-s -w"), ("argocd", "kustomize"), {"cmd": "argocd"})


def cache_home() -> Path:
    """The per-user folder of all built binaries."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "secureai-lab"


def built(module: Module) -> Path:
    """Return the folder with the module's binaries, building them first if they are not cached.

    Atomic and safe to call from several processes at once: one builds, the others wait for it.
    """
    target = module.cached
    if _is_complete(target, module):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabUnavailable(f"{target.parent} cannot be made ({error}): set XDG_CACHE_HOME") from error
    with _only_builder(module) as lock:
        if not _is_complete(target, module):
            _build(module, target, lock)
    return target


def _is_complete(folder: Path, module: Module) -> bool:
    return all(os.access(folder / tool, os.X_OK) for tool in module.tools)


@contextlib.contextmanager
def _only_builder(module: Module) -> Iterator[int]:
    with (cache_home() / f"{module.name}.lock").open("w") as lock:
        end = time.monotonic() + BUILD_DEADLINE_SECONDS
        told = 0.0
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LabTimeout(f"another process builds {module.name} for too long already") from None
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    say(f"waiting for another process that builds {module.name}")
                time.sleep(0.2)
        yield lock.fileno()


def _build(module: Module, target: Path, lock: int) -> None:
    go = _go(module)
    started = time.monotonic()
    say(
        f"building {module.name} ({', '.join(module.tools)}): minutes the first time, cached in {target.parent}"
    )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{module.name}-") as scratch:
        binaries = Path(scratch) / "bin"
        binaries.mkdir()
        _install(go, module, binaries, Path(scratch) / "log", lock)
        for built_name, name in module.renames.items():
            (binaries / built_name).rename(binaries / name)
        if not _is_complete(binaries, module):
            raise LabError(
                f"the build of {module.name} made {sorted(path.name for path in binaries.iterdir())}"
            )
        # An incomplete folder under this name is somebody's accident, not a cache.
        shutil.rmtree(target, ignore_errors=True)
        binaries.rename(target)
    say(f"built {module.name} in {time.monotonic() - started:.0f} s")


def _install(go: str, module: Module, binaries: Path, log: Path, lock: int) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(binaries), "GOWORK": "off"}
    with log.open("wb") as output:
        build = subprocess.Popen(
            [go, "install", "-v", *module.flags, "tool"],
            cwd=module.source,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # If this process is killed, the compiler that is left keeps the lock: nobody builds beside it.
            pass_fds=[lock],
        )
        try:
            code = _watch(build, module, log)
        finally:
            # Also for Ctrl-C: no compiler stays behind.
            if build.poll() is None:
                build.terminate()
                build.wait()
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise LabError(f"go install of {module.name} ended with {code}:\n{tail}")


def _watch(build: subprocess.Popen[bytes], module: Module, log: Path) -> int:
    started = time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return build.wait(timeout=PROGRESS_SECONDS)
        elapsed = time.monotonic() - started
        if elapsed > BUILD_DEADLINE_SECONDS:
            raise LabTimeout(f"go install of {module.name} still runs after {elapsed:.0f} s")
        say(f"building {module.name}: {elapsed:.0f} s, {_progress(log)}")


def _progress(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    downloaded = sum(line.startswith("go: downloading") for line in lines)
    return f"{downloaded} modules downloaded, {len(lines) - downloaded} packages compiled"


def _go(module: Module) -> str:
    """The Go command; it may fetch a newer toolchain by itself, which is why it is asked in the module's folder."""
    go = shutil.which("go")
    if go is None:
        raise LabUnavailable(GO_MISSING)
    answer = subprocess.run(
        [go, "env", "GOVERSION"], cwd=module.source, capture_output=True, text=True, timeout=300, check=False
    )
    found = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    if answer.returncode != 0 or found is None or (int(found[1]), int(found[2])) < GO_MINIMUM:
        raise LabUnavailable(f"{GO_MISSING} ({go} says: {(answer.stdout or answer.stderr).strip()[:200]})")
    return go


def say(text: str) -> None:
    """Tell the user on stderr what takes so long."""
    print(f"lab: {text}", file=sys.stderr, flush=True)
