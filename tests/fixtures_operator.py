"""Fixtures of the whole product: installed on the session's lab, with one operator running, and what tests ask of both.

One operator serves all tests that ask for `operator`; a test that has the lab without asking for it finds none
running, so that nobody answers to the CRs that it writes by hand.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from lab import Lab, LabTimeout, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import EVENTS, SECURE_AI_WORKLOADS, Resource
from tests.product import Operator, Product

START_SECONDS = 30.0
"""For a Python process on a busy machine; a start takes two to three seconds on a quiet one."""
HEAL_SECONDS = 30.0
"""For any reaction on a busy machine: how fast it is, the benchmark measures. No more than a tenth of vaultProbeSeconds, so that
what is seen at the next look only does not pass for a reaction."""
READY_SECONDS = 60.0
"""For everything that a workload needs, on a busy machine."""

Json = dict[str, Any]

_ADMITTING = pytest.StashKey[int | None]()
_SHARED = pytest.StashKey["SharedOperator"]()


T = TypeVar("T")


def eventually(lab: Lab, find: Callable[[], T | None], deadline: float, what: str) -> T:
    """The first thing found before the deadline; an error of the lab or a missing object is "not yet"."""
    found = lab.wait_for(find, deadline, what)
    assert found is not None
    return found


@dataclass(slots=True)
class Telemetry:
    """The HTTP side of one operator process, on the port that its log names."""

    port: int

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().removesuffix("\n")
        finally:
            connection.close()

    def metrics(self) -> str:
        status, text = self.get("/metrics")
        assert status == 200
        return text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that carry all of the labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)(?: \d+)?", line)
            if found is None or found[1] != name:
                continue
            carried = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
            if labels.items() <= carried.items():
                total += float(found[3])
        return total


def log_lines(process_log: Path) -> list[Json]:
    """The complete JSON lines of an operator's log."""
    found = []
    for line in process_log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def wait_leading(lab: Lab, operator: Operator) -> Operator:
    """The operator, once it leads; what it logged last is told where it does not."""
    try:
        lab.wait_for(lambda: logged(operator, "leading"), START_SECONDS, "the operator to lead")
    except LabTimeout as error:
        error.add_note(operator.process.tail())
        raise
    return operator


def logged(operator: Operator, message: str) -> Json | None:
    """The first line of the operator's log with that message."""
    entries = log_lines(operator.process.log)
    return next((entry for entry in entries if entry.get("event", entry.get("message")) == message), None)


def telemetry(lab: Lab, operator: Operator) -> Telemetry:
    entry = eventually(
        lab,
        lambda: logged(operator, "listening"),
        START_SECONDS,
        f"an operator to listen\n{operator.process.tail()}",
    )
    return Telemetry(int(entry["port"]))


@dataclass(slots=True)
class SharedOperator:
    """The one operator of the session. Tests that stop it start it again, or leave that to the next test."""

    product: Product
    overrides: Mapping[str, Any]
    current: Operator | None = None
    logs: list[Path] = field(default_factory=list)
    """Of every process that ever was this operator."""

    @property
    def running(self) -> bool:
        return self.current is not None and self.current.process.running

    def ensure_running(self) -> Operator:
        """The running process, leading; started if there is none."""
        if self.current is None or not self.current.process.running:
            self.start()
        assert self.current is not None
        return self.current

    def start(self) -> Operator:
        operator = self.current = self.product.start_operator(**self.overrides)
        self.logs.append(operator.process.log)
        return wait_leading(self.product.lab, operator)

    def stop(self) -> int | None:
        return self.current.stop() if self.running and self.current else None

    def kill(self) -> None:
        if self.running and self.current:
            self.current.process.kill()

    def restart(self) -> Operator:
        self.stop()
        return self.start()

    @property
    def telemetry(self) -> Telemetry:
        return telemetry(self.product.lab, self.ensure_running())


@dataclass(frozen=True, slots=True)
class Workloads:
    """SecureAIWorkloads through the API server as an administrator, and conditions to wait for."""

    lab: Lab

    def create(self, namespace: str, name: str = "llm", /, **spec: Any) -> Json:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": "SecureAIWorkload",
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.lab.api.request("POST", SECURE_AI_WORKLOADS.path(namespace), body)

    def ready(self, namespace: str, name: str = "llm", /, **spec: Any) -> Json:
        """Created, and Ready."""
        self.create(namespace, name, **spec)
        return self.wait_ready(namespace, name)

    def get(self, namespace: str, name: str = "llm") -> Json:
        return self.lab.api.request("GET", SECURE_AI_WORKLOADS.path(namespace, name))

    def find(self, resource: Resource, namespace: str | None, name: str) -> Json | None:
        """Any object, or None if it is not there."""
        try:
            return self.lab.api.request("GET", resource.path(namespace, name))
        except RequestFailed as error:
            if error.status == 404:
                return None
            raise

    def patch(
        self, namespace: str, name: str, change: Json, resource: Resource = SECURE_AI_WORKLOADS
    ) -> Json:
        """A JSON merge patch."""
        return self.lab.api.request(
            "PATCH", resource.path(namespace, name), change, "application/merge-patch+json"
        )

    def patch_status(self, namespace: str, name: str, status: Json) -> Json:
        """The whole status, as an administrator writes it."""
        path = SECURE_AI_WORKLOADS.path(namespace, name, "status")
        return self.lab.api.request("PATCH", path, {"status": status}, "application/merge-patch+json")

    def respec(self, namespace: str, name: str = "llm", /, **spec: Any) -> Json:
        """Change parts of the spec."""
        return self.patch(namespace, name, {"spec": spec})

    def delete(self, namespace: str, name: str = "llm", resource: Resource = SECURE_AI_WORKLOADS) -> Json:
        return self.lab.api.request("DELETE", resource.path(namespace, name))

    def condition(self, namespace: str, name: str, kind: str) -> Json:
        """The condition of that type, or {} while there is none."""
        return condition(self.get(namespace, name), kind)

    def wait_condition(
        self,
        namespace: str,
        name: str,
        kind: str,
        status: str,
        reason: str | None = None,
        deadline: float = HEAL_SECONDS,
    ) -> Json:
        """The condition once it is so, for the spec's current generation."""
        last: Json = {}

        def holds() -> Json | None:
            nonlocal last
            found = self.get(namespace, name)
            last = condition(found, kind)
            current = last.get("observedGeneration", -1) >= found["metadata"]["generation"]
            fits = last.get("status") == status and reason in (None, last.get("reason"))
            return last if current and fits else None

        try:
            return eventually(
                self.lab, holds, deadline, f"{kind}={status} {reason or ''} of {namespace}/{name}"
            )
        except Exception as error:
            error.add_note(f"the last {kind}: {last}\nthe object: {json.dumps(self.get(namespace, name))}")
            raise

    def wait_ready(self, namespace: str, name: str = "llm", deadline: float = READY_SECONDS) -> Json:
        """The CR once it is Ready for its current generation."""
        self.wait_condition(namespace, name, "Ready", "True", deadline=deadline)
        return self.get(namespace, name)

    def wait_gone(self, namespace: str, name: str = "llm", deadline: float = READY_SECONDS) -> None:
        self.lab.wait_for(
            lambda: self.find(SECURE_AI_WORKLOADS, namespace, name) is None,
            deadline,
            f"{namespace}/{name} to be gone",
        )

    def wait_object(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        fits: Callable[[Json], bool] = lambda _: True,
        deadline: float = HEAL_SECONDS,
    ) -> Json:
        """The object once it is there and as wanted."""

        def found() -> Json | None:
            live = self.find(resource, namespace, name)
            return live if live is not None and fits(live) else None

        return eventually(self.lab, found, deadline, f"{resource.kind} {namespace}/{name} as wanted")

    def wait_absent(
        self, resource: Resource, namespace: str, name: str, deadline: float = HEAL_SECONDS
    ) -> None:
        self.lab.wait_for(
            lambda: self.find(resource, namespace, name) is None,
            deadline,
            f"{resource.kind} {namespace}/{name} to be gone",
        )

    def events(self, namespace: str, name: str = "llm") -> list[Json]:
        """The Events about the workload, the oldest first."""
        items = self.lab.api.request("GET", EVENTS.path(namespace))["items"]
        mine = [
            item
            for item in items
            if item["involvedObject"]["kind"] == "SecureAIWorkload" and item["involvedObject"]["name"] == name
        ]
        return sorted(mine, key=lambda item: int(item["metadata"]["resourceVersion"]))

    def wait_event(
        self, namespace: str, name: str, reason: str, deadline: float = HEAL_SECONDS, contains: str = ""
    ) -> Json:
        return eventually(
            self.lab,
            lambda: next(
                (
                    event
                    for event in self.events(namespace, name)
                    if event["reason"] == reason
                    and contains in (event.get("message") or event.get("note", ""))
                ),
                None,
            ),
            deadline,
            f"event {reason} of {namespace}/{name}",
        )


def condition(workload: Json, kind: str) -> Json:
    found = workload.get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == kind), {})


@pytest.fixture(scope="session")
def product(lab: Lab) -> Product:
    """The product installed on the session's lab: CRDs, RBAC, admission policies, a prepared Vault."""
    installed = Product(lab)
    installed.install()
    return installed


@pytest.fixture(scope="session")
def shared_operator(request: pytest.FixtureRequest, product: Product) -> Iterator[SharedOperator]:
    shared = SharedOperator(product, {"vaultProbeSeconds": 2, "evictUnboundPods": True})
    request.session.stash[_SHARED] = shared
    yield shared
    del request.session.stash[_SHARED]
    shared.stop()


@pytest.fixture(scope="session")
def operator(shared_operator: SharedOperator) -> SharedOperator:
    """One operator, with Vault probed every two seconds and evictions on."""
    shared_operator.ensure_running()
    return shared_operator


@pytest.fixture(scope="module")
def running_operator(operator: SharedOperator) -> SharedOperator:
    """The same for fixtures of a module: they come before what sees to it for each test."""
    operator.ensure_running()
    return operator


@pytest.fixture(scope="session")
def workloads(lab: Lab) -> Workloads:
    return Workloads(lab)


def stop_shared_operator(session: pytest.Session) -> None:
    """For fixtures that outlive a test and bring an operator of their own, which could not lead beside it."""
    running = session.stash.get(_SHARED, None)
    if running is not None:
        running.stop()


def _wait_for_admission(lab: Lab, session: pytest.Session) -> None:
    """After its start an API server refuses what our policies match until it has found our kinds: a minute or more."""
    server = lab.component("kube-apiserver").pid
    if session.stash.get(_ADMITTING, None) == server:
        return
    pod = {
        "metadata": {"name": "of-no-workload"},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }

    def knows_our_kinds() -> bool:
        # Every policy looks at it, and none has anything against it.
        code, _ = lab.api.raw("POST", "/api/v1/namespaces/default/pods?dryRun=All", pod)
        return code < 300

    lab.wait_for(knows_our_kinds, 150, "admission to know our kinds")
    session.stash[_ADMITTING] = server


@pytest.fixture(autouse=True)
def _operator_where_asked_for(request: pytest.FixtureRequest) -> None:
    """Running for every test that asks for it, whatever the one before did; and for no other."""
    if "product" in request.fixturenames:
        request.getfixturevalue("product")
        _wait_for_admission(request.getfixturevalue("lab"), request.session)
    shared = request.getfixturevalue("operator") if "operator" in request.fixturenames else None
    # A module may have a fixture of this name that is something else.
    if isinstance(shared, SharedOperator):
        shared.ensure_running()
        return
    if "lab" in request.fixturenames:
        stop_shared_operator(request.session)
