"""Two operators: one acts, the other is warm and takes over; and what the probes of a process say."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import Lab
from lab.json_lines import end_of_lines
from secureai_operator import names
from secureai_operator.api.resources import LEASES, NETWORK_POLICIES
from secureai_operator.runtime.identity import POD_UID
from tests.fixtures_operator import START_SECONDS, SharedOperator, Workloads, eventually, logged, telemetry
from tests.integration.audits import OPERATOR
from tests.product import ROOT, Operator, Product

pytestmark = [pytest.mark.integration]

LEASE_SECONDS = 6
TAKEOVER_SECONDS = LEASE_SECONDS + 10.0
"""The Lease has to run out before a standby's eyes, which then looks once a second."""
HANDOVER_SECONDS = 30.0
"""Until a leader that was told to stop is followed, on a machine that does much else. What it takes is printed."""
BACK_SECONDS = 60.0
"""After the API server went away: a start of the operator's own, and up to 30 s in which the API server's admission does
not know our CRD again, so that it refuses the operator its right on the Secrets of a new namespace."""

LEASE = "secureai-operator"
ALLOW, QUARANTINE = names.allow_policy("llm"), names.quarantine_policy("llm")
READS = frozenset({"get", "list", "watch"})
QUESTIONS = frozenset({"selfsubjectaccessreviews"})

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One operator process, and the credentials by which both audit logs tell it from the other."""

    lab: Lab
    operator: Operator
    kube_since: int
    vault_since: int
    credential: str
    """The id of its token for the API server."""

    @classmethod
    def start(cls, lab: Lab, product: Product, **overrides: Any) -> Member:
        assert lab.audit_log is not None
        assert lab.vault_audit_log is not None
        since = end_of_lines(lab.audit_log), end_of_lines(lab.vault_audit_log)
        operator = product.start_operator(**overrides)
        return cls(lab, operator, *since, f"JTI={_token_id(lab)}")

    def wait_logged(self, message: str, deadline: float = START_SECONDS) -> Json:
        """The line of its log with that message."""
        what = f"{self.operator.process.name} to say {message!r}"
        return eventually(self.lab, lambda: logged(self.operator, message), deadline, what)

    def wait_answer(self, path: str, answer: str, deadline: float = START_SECONDS) -> None:
        probe = telemetry(self.lab, self.operator)

        def answered() -> bool:
            status, text = probe.get(path)
            return (status, text.strip()) == (200, answer)

        self.lab.wait_for(answered, deadline, f"{self.operator.process.name} to answer {answer!r} at {path}")

    def metric(self, name: str, **labels: str) -> float:
        return telemetry(self.lab, self.operator).metric(name, **labels)

    @property
    def identity(self) -> str:
        return str(self.wait_logged("leader")["identity"])

    def asked(self, namespace: str | None = None) -> list[tuple[str, str, str]]:
        """What it asked of the API server, everywhere or in one namespace: verb, resource and name."""
        assert self.lab.audit_log is not None
        entries = _lines_with(self.lab.audit_log, self.kube_since, self.credential)
        # The request that made the token carries its id as well; it was an administrator's.
        own = [entry for entry in entries if entry["user"]["username"] == OPERATOR]
        targets = [(entry["verb"], entry.get("objectRef") or {}) for entry in own]
        return [
            (verb, target.get("resource", ""), target.get("name", ""))
            for verb, target in targets
            if namespace in (None, target.get("namespace"))
        ]

    def writes(self, namespace: str | None = None) -> list[tuple[str, str, str]]:
        return [
            (verb, resource, name)
            for verb, resource, name in self.asked(namespace)
            if verb not in READS and resource not in QUESTIONS
        ]

    def asked_of_vault(self) -> list[tuple[str, str]]:
        """Operation and path of its requests; it is the only one that logged in since it was started."""
        assert self.lab.vault_audit_log is not None
        entries = _lines_with(
            self.lab.vault_audit_log, self.vault_since, f'"{names.OPERATOR_SERVICE_ACCOUNT}"'
        )
        answered = [
            (entry["request"], entry["auth"]["accessor"]) for entry in entries if entry["type"] == "response"
        ]
        (own,) = {accessor for request, accessor in answered if request["path"].endswith("/login")}
        return [
            (str(request["operation"]), str(request["path"]))
            for request, accessor in answered
            if accessor == own
        ]


def _token_id(lab: Lab) -> str:
    account = f"{names.OPERATOR_NAMESPACE}.{names.OPERATOR_SERVICE_ACCOUNT}.yaml"
    (user,) = yaml.safe_load((lab.directory / "kubeconfigs" / account).read_text())["users"]
    claims = user["user"]["token"].split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])


def _lines_with(log: Path, since: int, mark: str) -> list[Json]:
    with log.open("rb") as file:
        file.seek(since)
        return [json.loads(line) for line in file if mark.encode() in line and line.endswith(b"\n")]


@dataclass(slots=True)
class Pair:
    """A leader, and a standby that is warm."""

    lab: Lab
    product: Product
    members: list[Member] = field(default_factory=list)

    def start(self) -> None:
        # One after the other: they are to read their own kubeconfig each, and to log in at times of their own.
        first = self._start_one()
        first.wait_logged("leading")
        self.lab.wait_for(
            lambda: first.metric("secureai_vault_up") == 1, START_SECONDS, "the first to log in to Vault"
        )
        self._start_one().wait_answer("/readyz", "standby")

    def _start_one(self) -> Member:
        member = Member.start(self.lab, self.product, leaseSeconds=LEASE_SECONDS, vaultProbeSeconds=2)
        self.members.append(member)
        return member

    @property
    def first(self) -> Member:
        return self.members[0]

    @property
    def second(self) -> Member:
        return self.members[1]

    def end(self) -> None:
        for member in reversed(self.members):
            member.operator.process.signal(signal.SIGCONT)
            if member.operator.process.running:
                member.operator.stop()


@pytest.fixture
def pair(lab: Lab, product: Product) -> Iterator[Pair]:
    both = Pair(lab, product)
    try:
        both.start()
        yield both
    finally:
        both.end()


@pytest.fixture
def alone(lab: Lab, product: Product) -> Iterator[Member]:
    """The only operator, leading, with a Lease as long as anybody's."""
    member = Member.start(lab, product, vaultProbeSeconds=2)
    try:
        member.wait_logged("leading")
        yield member
    finally:
        member.operator.stop()


def holder(workloads: Workloads) -> str:
    lease = workloads.find(LEASES, names.OPERATOR_NAMESPACE, LEASE)
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")


def heals(workloads: Workloads, namespace: str, name: str = ALLOW) -> None:
    """An object that is deleted comes back."""
    workloads.delete(namespace, name, NETWORK_POLICIES)
    workloads.wait_object(NETWORK_POLICIES, namespace, name, deadline=HANDOVER_SECONDS)


def assert_all_json(operator: Operator) -> None:
    """Every line is a record that a machine can read, a traceback's last line included."""
    lines = operator.process.log.read_text().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert {"time", "level", "logger", "message"} <= entry.keys(), entry
        datetime.fromisoformat(entry["time"])


def test_a_standby_is_warm_and_writes_nothing(
    lab: Lab, workloads: Workloads, pair: Pair, namespace: str
) -> None:
    workloads.ready(namespace, keys={"dataKeys": [{"name": "model"}]})
    heals(workloads, namespace)
    workloads.wait_event(namespace, "llm", "DriftHealed")
    leader, standby = pair.first, pair.second
    lab.wait_for(lambda: standby.metric("secureai_vault_up") == 1, START_SECONDS, "the standby to log in")

    leader.wait_answer("/readyz", "leading")
    standby.wait_answer("/readyz", "standby")
    assert (leader.metric("secureai_leader"), standby.metric("secureai_leader")) == (1, 0)
    assert standby.metric("secureai_reconcile_total") == 0
    assert leader.writes().count(("create", "networkpolicies", ALLOW)) == 2  # made once, healed once

    asked = standby.asked()
    assert standby.writes() == []
    watched = {resource for verb, resource, _ in asked if verb == "watch"}
    assert {"secureaiworkloads", "networkpolicies", "roles", "rolebindings", "nodes", "pods"} <= watched
    assert ("get", "leases", LEASE) in asked
    of_vault = standby.asked_of_vault()
    assert {operation for operation, path in of_vault if "saw." in path} <= {"read"}
    assert [path for operation, path in of_vault if operation in {"create", "update", "delete"}] == [
        path for _, path in of_vault if path.startswith(("auth/", "sys/capabilities-self"))
    ]


def test_a_stopped_leader_hands_over_in_order(workloads: Workloads, pair: Pair, namespace: str) -> None:
    workloads.ready(namespace)
    before = pair.first.identity
    assert holder(workloads) == before

    start = datetime.now(UTC)
    pair.first.operator.process.signal(signal.SIGTERM)
    workloads.delete(namespace, ALLOW, NETWORK_POLICIES)
    leading = pair.second.wait_logged("leading", HANDOVER_SECONDS)
    seconds = (datetime.fromisoformat(leading["time"]) - start).total_seconds()
    print(f"handed over in {seconds:.2f} s")  # noqa: T201 - a measurement

    assert pair.first.operator.process.wait(HANDOVER_SECONDS) == 0
    said = [json.loads(line)["message"] for line in pair.first.operator.process.log.read_text().splitlines()]
    assert said.index("stopping") < said.index("lease released")
    assert holder(workloads) == pair.second.identity != before
    workloads.wait_object(NETWORK_POLICIES, namespace, ALLOW, deadline=HANDOVER_SECONDS)
    heals(workloads, namespace, QUARANTINE)
    assert pair.second.writes().count(("create", "networkpolicies", QUARANTINE)) == 1
    pair.second.wait_answer("/readyz", "leading")
    assert pair.second.metric("secureai_leader") == 1
    for member in pair.members:
        assert_all_json(member.operator)


def test_a_killed_leader_is_followed_when_its_lease_runs_out(
    workloads: Workloads, pair: Pair, namespace: str
) -> None:
    workloads.ready(namespace)
    pair.first.operator.process.kill()
    workloads.delete(namespace, ALLOW, NETWORK_POLICIES)
    workloads.create(namespace, "another")

    pair.second.wait_logged("leading", TAKEOVER_SECONDS)
    assert holder(workloads) == pair.second.identity
    workloads.wait_object(NETWORK_POLICIES, namespace, ALLOW, deadline=HANDOVER_SECONDS)
    workloads.wait_ready(namespace, "another")
    assert_all_json(pair.second.operator)


def test_a_container_started_again_in_its_pod_does_not_wait_for_its_own_lease(
    lab: Lab, product: Product, workloads: Workloads, namespace: str
) -> None:
    """With a Lease of a minute: nobody who waited for it would be seen to lead."""
    pod = {POD_UID: str(uuid.uuid4())}
    killed = Member.start(lab, product, environment=pod, leaseSeconds=60)
    killed.wait_logged("leading")
    workloads.ready(namespace)
    killed.operator.process.kill()
    workloads.delete(namespace, ALLOW, NETWORK_POLICIES)

    restarted = Member.start(lab, product, environment=pod, leaseSeconds=60)
    try:
        restarted.wait_logged("leading")
        assert holder(workloads) == restarted.identity != killed.identity
        workloads.wait_object(NETWORK_POLICIES, namespace, ALLOW, deadline=HANDOVER_SECONDS)
    finally:
        restarted.operator.stop()


def owned_writes(member: Member) -> list[tuple[str, str, str]]:
    """Its writes anywhere, but for its attempts to keep the Lease."""
    return [write for write in member.writes() if write[1] != "leases"]


def test_a_frozen_leader_does_not_act_when_it_wakes(workloads: Workloads, pair: Pair, namespace: str) -> None:
    """Its Lease ran out while it stood still: it has to end, and not to write what it thought of before."""
    workloads.ready(namespace)
    pair.first.operator.process.signal(signal.SIGSTOP)
    pair.second.wait_logged("leading", TAKEOVER_SECONDS)
    workloads.delete(namespace, ALLOW, NETWORK_POLICIES)
    workloads.wait_object(NETWORK_POLICIES, namespace, ALLOW, deadline=HANDOVER_SECONDS)
    written = owned_writes(pair.first)

    pair.first.operator.process.signal(signal.SIGCONT)
    assert pair.first.operator.process.wait(HANDOVER_SECONDS) == 1
    assert owned_writes(pair.first) == written
    assert holder(workloads) == pair.second.identity
    heals(workloads, namespace, QUARANTINE)
    assert_all_json(pair.first.operator)


def test_a_deposed_leader_ends_and_takes_nothing_back(
    workloads: Workloads, pair: Pair, namespace: str
) -> None:
    workloads.ready(namespace)
    thief = {"spec": {"holderIdentity": "somebody-else"}}
    workloads.patch(names.OPERATOR_NAMESPACE, LEASE, thief, LEASES)

    assert pair.first.operator.process.wait(TAKEOVER_SECONDS) == 1
    assert logged(pair.first.operator, "leadership lost")
    assert logged(pair.first.operator, "ended early")
    assert logged(pair.first.operator, "lease released") is None
    assert holder(workloads) != pair.first.identity
    assert_all_json(pair.first.operator)

    # The thief never renews: the standby follows it as it would follow a leader that crashed.
    pair.second.wait_logged("leading", TAKEOVER_SECONDS)
    heals(workloads, namespace)


@pytest.mark.restarts_api_server
def test_work_goes_on_after_the_api_server_went_away(
    lab: Lab, workloads: Workloads, alone: Member, namespace: str
) -> None:
    """The operator bears it, or ends for its Lease is lost, and starts again as its Deployment would have it."""
    workloads.ready(namespace)
    process = alone.operator.process
    lab.restart_apiserver()
    workloads.delete(namespace, ALLOW, NETWORK_POLICIES)

    def healed() -> bool:
        if process.code is not None:
            assert process.code == 1
            assert logged(alone.operator, "ended early")
            process.start()
        return workloads.find(NETWORK_POLICIES, namespace, ALLOW) is not None

    lab.wait_for(healed, BACK_SECONDS, "the policy to be healed")
    lab.create_namespace(f"{namespace}-new")
    try:
        workloads.create(f"{namespace}-new")
        workloads.wait_ready(f"{namespace}-new", deadline=BACK_SECONDS)
    finally:
        lab.delete_namespace(f"{namespace}-new")
    assert alone.operator.stop() == 0
    assert_all_json(alone.operator)


def test_a_stopped_operator_without_a_successor_ends_in_order(alone: Member, workloads: Workloads) -> None:
    assert alone.operator.stop() == 0
    assert logged(alone.operator, "lease released")
    assert holder(workloads) == ""


def test_the_probes_answer(operator: SharedOperator) -> None:
    port = operator.telemetry.port
    plain = "text/plain; charset=utf-8"
    assert answer(port, "/healthz") == (200, plain, "ok\n")
    assert answer(port, "/readyz") == (200, plain, "leading\n")
    assert answer(port, "/")[0] == 404
    assert answer(port, "/metrics")[:2] == (200, "text/plain; version=0.0.4; charset=utf-8")
    status, kind, text = answer(port, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert (status, kind.split(";")[0]) == (200, "application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_every_documented_metric_is_served_and_no_other(
    operator: SharedOperator, workloads: Workloads, namespace: str
) -> None:
    workloads.ready(namespace)
    heals(workloads, namespace)
    served = set(re.findall(r"^# TYPE (secureai_\w+) ", operator.telemetry.metrics(), re.MULTILINE))
    table = (ROOT / "docs/metrics.md").read_text()
    documented = set(re.findall(r"^\| `(secureai_\w+)", table, re.MULTILINE))
    assert {name for name in served if not name.endswith("_created")} == documented
    assert operator.telemetry.metric("secureai_drift_total", kind="NetworkPolicy") >= 1
    assert operator.telemetry.metric("secureai_workload_condition", namespace=namespace, type="Ready") == 1


def answer(port: int, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()
