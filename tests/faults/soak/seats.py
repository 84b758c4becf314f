"""Two operators, each in a seat where it is started again whenever it ends, as Kubernetes does with a container."""

from __future__ import annotations

import re
import signal
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from lab import Lab
from lab.kubeconfig import write_kubeconfig
from secureai_operator import names
from tests.faults.proxy import KUBERNETES, VAULT, Proxy
from tests.fixtures_operator import Telemetry, logged
from tests.product import Operator, Product

AGAIN_SECONDS = 1.0
"""Between the end of a process and its next start."""

Json = dict[str, Any]


@dataclass(slots=True)
class Life:
    """One process, from its start to its end. Times are seconds of the run."""

    seat: str
    operator: Operator
    began: float
    ended: float | None = None
    code: int | None = None
    cause: str = ""
    """Why it ended: what was done to it, or "by itself"."""
    samples: list[Json] = field(default_factory=list)
    telemetry: Telemetry | None = None

    @property
    def pid(self) -> int:
        assert self.operator.process.pid is not None
        return self.operator.process.pid

    def asked(self, path: str) -> tuple[int, str]:
        """Status and text of its HTTP port; status 0 while it does not answer."""
        if self.telemetry is None:
            entry = logged(self.operator, "listening")
            if entry is None:
                return 0, ""
            self.telemetry = Telemetry(int(entry["port"]))
        try:
            return self.telemetry.get(path)
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """The sum of each metric over its labels; empty while it does not answer."""
        status, text = self.asked("/metrics")
        sums: dict[str, float] = {}
        for line in text.splitlines() if status == HTTPStatus.OK else ():
            found = re.fullmatch(r"(\w+)(?:\{.*\})? (\S+)(?: \d+)?", line)
            if found:
                sums[found[1]] = sums.get(found[1], 0.0) + float(found[2])
        return sums


@dataclass(slots=True)
class Seat:
    """A place for one operator; with proxies, all that it sends passes through them."""

    name: str
    lab: Lab
    product: Product
    settings: Mapping[str, Any]
    proxies: tuple[Proxy, Proxy] | None = None
    """For the API server and for Vault."""
    lives: list[Life] = field(default_factory=list)
    held: bool = False
    """Not to be started again yet."""
    blame: str = ""
    """What was done that may end it."""
    blame_until: float = 0.0
    """Until then what was done is the cause of an end, in seconds of the run."""
    _again_at: float = 0.0

    @property
    def life(self) -> Life | None:
        """The process that runs."""
        return self.lives[-1] if self.lives and self.lives[-1].ended is None else None

    @property
    def state(self) -> str:
        """`leading` or `standby` as its probe says, or "" while it is not ready."""
        status, text = self.life.asked("/readyz") if self.life else (0, "")
        return text if status == HTTPStatus.OK else ""

    def tend(self, now: float) -> None:
        """Notice that the process ended, and start it again when it is time."""
        life = self.life
        if life is not None and not life.operator.process.running:
            life.ended, life.code = now, life.operator.process.code
            life.cause = life.cause or (self.blame if now <= self.blame_until else "by itself")
            self._again_at = now + AGAIN_SECONDS
        if self.life is None and not self.held and now >= self._again_at:
            self.lives.append(Life(self.name, self._start(), now))

    def signal(self, number: int, cause: str) -> None:
        """Send it a signal; one that ends it is the cause of its end."""
        life = self.life
        if life is not None:
            if number in (signal.SIGKILL, signal.SIGTERM):
                life.cause = cause
            life.operator.process.signal(number)

    def _start(self) -> Operator:
        if self.proxies is None:
            return self.product.start_operator(**self.settings)
        kubernetes, vault = self.proxies
        account = names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT
        kubeconfig = write_kubeconfig(
            self.lab.directory / "kubeconfigs" / f"soak-{self.name}.yaml",
            kubernetes.address,
            self.lab.ca_file,
            {"token": self.lab.token(*account)},
        )
        (connection,) = self.product.base_settings()["connections"].values()
        connections = {"default": {**connection, "address": vault.address}}
        return self.product.start_operator(kubeconfig, **self.settings, connections=connections)


def proxies_for(lab: Lab) -> tuple[Proxy, Proxy]:
    tls = ssl.create_default_context(cafile=str(lab.ca_file))
    return Proxy(KUBERNETES, lab.api_url, tls), Proxy(VAULT, lab.vault_address)
