"""The dashboards and the alerts by a real Prometheus that scrapes real operators: each query is answered, and with something."""

from __future__ import annotations

import http.client
import json
import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from lab import Lab, LabError, Process
from lab.prometheus import PROMETHEUS, program
from secureai_operator import names
from secureai_operator.api.resources import (
    DEPLOYMENTS,
    KEY_ROTATION_POLICIES,
    NETWORK_POLICIES,
    SERVICE_ACCOUNTS,
)
from tests.fixtures_operator import SharedOperator, Workloads, eventually, telemetry
from tests.integration.outages import stopped
from tests.integration.rotations import MODEL, Json, Keys, policy
from tests.product import Operator, Product
from tests.unit.monitoring.alert_rules import alerts, groups
from tests.unit.monitoring.dashboards import Query, queries

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator"), pytest.mark.timeout(400)]

START_SECONDS = 60.0
SCRAPED_SECONDS = 30.0
ADMITTED_SECONDS = 150.0
QUIET_SECONDS = 30.0
OVER_SECONDS = 60.0
NAMED_SECONDS = 15.0
BOUND_SECONDS = 30.0
MISSED_SECONDS = 10.0
ANSWER_BYTES = 16 * 1024 * 1024
RETIRES = {"after": "1s", "keepVersions": 1, "canary": "1s"}
KUBELET = "a container's metrics are a kubelet's, and the lab's operators are processes"
NOTHING_THERE: Mapping[str, str] = {
    "dashboard: Memory A": KUBELET,
    "dashboard: CPU A": KUBELET,
}
"""Queries that are right and still find nothing on the lab, and why."""
OR_ZERO = " or vector(0)"
ONLY_ZERO: Mapping[str, str] = {
    "dashboard: Certificates late A": "the operator renews them in time",
    "dashboard: Overdue A": "the operator rotates them in time",
    "dashboard: Lost A": "nobody destroyed a key",
    "dashboard: Failed requests to the API server A": "the API server does all that it is asked",
}
"""Queries whose zero may be all that the lab has, and why."""


class PrometheusError(LabError):
    """Prometheus refused a question, or does not answer (yet)."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Questions to one, by its HTTP API."""

    lab: Lab
    process: Process
    port: int
    started: float

    def now(self, expression: str) -> list[Json]:
        """The series of an instant query, each with its `metric` and `value`."""
        return self._series("query", query=expression)

    def since_start(self, expression: str) -> list[Json]:
        """The series of a range query, each with its `metric` and `values`: second by second since it was started."""
        # A step further: what was scraped after the last full second would not be in it.
        span = {"start": f"{self.started:.3f}", "end": f"{time.time() + 1:.3f}", "step": "1"}
        return self._series("query_range", query=expression, **span)

    def rules(self) -> list[Json]:
        groups = self.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def wait(self, expression: str, deadline: float = SCRAPED_SECONDS) -> None:
        """Until the expression has a series: what happened has been scraped."""
        self.lab.wait_for(lambda: self.now(expression), deadline, f"Prometheus to have {expression}")

    def get(self, path: str, **parameters: str) -> Any:
        """What it answers, or a PrometheusError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            body = json.loads(answer.read(ANSWER_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PrometheusError(f"{path}: {error}") from error
        finally:
            connection.close()
        if body["status"] != "success":
            raise PrometheusError(f"{path} {parameters}: {body.get('error')}")
        return body["data"]

    def _series(self, path: str, **parameters: str) -> list[Json]:
        found: list[Json] = self.get(path, **parameters)["result"]
        return found


def has_a_number(series: Json) -> bool:
    """Whether anything is drawn of it: a quantile of nothing is NaN."""
    points = series["values"] if "values" in series else [series["value"]]
    return any(math.isfinite(float(value)) for _, value in points)


def started(lab: Lab, targets: Sequence[int], rules: Json) -> Prometheus:
    """One that is ready; its targets are ports of operators."""
    folder = lab.directory / "prometheus"
    folder.mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(_config(targets, folder / "rules.yaml")))
    port = lab.ports.take()
    process = lab.process(
        "prometheus",
        [
            program(PROMETHEUS),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
    )
    found = Prometheus(lab, process, port, time.time())
    process.start()
    process.wait_ready(
        lambda: found.now(f"count(up == 1) == {len(targets)}"), START_SECONDS, "the first scrape"
    )
    return found


def _config(targets: Sequence[int], rules: Path) -> Json:
    """As the ServiceMonitor has it scrape: the target's own namespace gives way to the workload's."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "secureai-operator",
                "honor_labels": True,
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{port}" for port in targets],
                        "labels": {"namespace": names.OPERATOR_NAMESPACE, "service": "secureai-operator"},
                    }
                ],
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class Fleet:
    """A workload with keys and a policy, and what watches it."""

    lab: Lab
    product: Product
    workloads: Workloads
    prometheus: Prometheus
    namespace: str

    @property
    def keys(self) -> Keys:
        return Keys(self.lab, self.workloads, self.namespace)

    def wait_scraped(self, metric: str, name: str = "llm", **labels: str) -> None:
        """Until Prometheus has that of the workload."""
        wanted = {"namespace": self.namespace, "name": name, **labels}
        matchers = ", ".join(f'{label}="{value}"' for label, value in wanted.items())
        self.prometheus.wait(f"{metric}{{{matchers}}}")

    def values(self) -> Mapping[str, str]:
        """Of the variables; Grafana's interval is four scrapes at least, and a busy machine may miss some."""
        return {
            "namespace": self.namespace,
            "name": "llm",
            "__rate_interval": "20s",
            "__range": "1h",
        }


@pytest.fixture(scope="module")
def standby(lab: Lab, product: Product, running_operator: SharedOperator) -> Iterator[Operator]:
    """A second replica: without it one alert would be right to wait."""
    del running_operator
    operator = product.start_operator(vaultProbeSeconds=2)
    telemetry(lab, operator)
    yield operator
    operator.stop()


@pytest.fixture(scope="module")
def healthy(
    lab: Lab, product: Product, workloads: Workloads, running_operator: SharedOperator, standby: Operator
) -> Iterator[Fleet]:
    """One Ready workload that a policy rules, and a Prometheus that has seen it."""
    namespace = f"test-{secrets.token_hex(4)}"
    lab.create_namespace(namespace)
    # The first of a session: admission may not know our kinds yet.
    eventually(
        lab,
        lambda: workloads.create(namespace, keys=MODEL),
        ADMITTED_SECONDS,
        "the workload to be admitted",
    )
    policy(lab, namespace, retire=RETIRES)
    workloads.wait_ready(namespace)
    run_a_pod(lab, workloads, namespace)
    ports = [running_operator.telemetry.port, telemetry(lab, standby).port]
    watching = started(lab, ports, groups())
    fleet = Fleet(lab, product, workloads, watching, namespace)
    fleet.wait_scraped("secureai_next_rotation_timestamp_seconds")
    yield fleet
    watching.process.stop()
    lab.delete_namespace(namespace)


def run_a_pod(lab: Lab, workloads: Workloads, namespace: str) -> None:
    """A Deployment's, which is bound to the workload and reads its data keys: it is restarted for new ones."""
    labels = {names.WORKLOAD_LABEL: "llm"}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": "none"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    lab.api.request("POST", DEPLOYMENTS.path(namespace), {"metadata": {"name": "llm"}, "spec": spec})

    def is_bound() -> bool:
        pods: Json = workloads.get(namespace)["status"].get("pods") or {}
        return pods.get("bound") == 1

    lab.wait_for(is_bound, BOUND_SECONDS, "the pod to be bound")


@pytest.fixture(scope="module")
def eventful(healthy: Fleet) -> Fleet:
    """The same fleet after one of each: a counter that was there before it counted, a state that lasts until it is asked for."""
    rotate(healthy)
    renew_everything(healthy)
    heal(healthy)
    outlive_an_outage(healthy)
    leave_something(healthy)
    return healthy


def rotate(fleet: Fleet) -> None:
    """Twice, with the retirement of the old versions: a rate needs a second time after the first scrape."""
    for version in (2, 3):
        fleet.keys.annotate(rotate=f"to-{version}")
        fleet.keys.wait_version(version)
        fleet.keys.wait_rotation(phase="Retired", retiredBelow=version)
        fleet.prometheus.wait(f'secureai_rotation_seconds_count{{phase="Retired"}} >= {version - 1}')
    fleet.keys.annotate(rotate_data_keys="once")
    fleet.prometheus.wait('secureai_restarts_total{kind="Deployment"} > 0')


def renew_everything(fleet: Fleet) -> None:
    """An emergency, of which each step has a series only after its first time; the outage has another."""
    fleet.keys.annotate(rotate_emergency="incident-1")
    emergency_is_over(fleet, 1)


def emergency_is_over(fleet: Fleet, count: int) -> None:
    request = f"incident-{count}"
    eventually(fleet.lab, partial(over, fleet.keys, request), OVER_SECONDS, f"{request} to be over")
    fleet.prometheus.wait(f"min(secureai_emergency_step_seconds_count) >= {count}")
    fleet.workloads.wait_ready(fleet.namespace)


def over(keys: Keys, request: str) -> Json | None:
    emergency: Json = keys.status.get("emergency") or {}
    return emergency if emergency.get("requestId") == request and emergency.get("finishedAt") else None


def heal(fleet: Fleet) -> None:
    allow = names.allow_policy("llm")
    fleet.workloads.delete(fleet.namespace, allow, NETWORK_POLICIES)
    fleet.workloads.wait_object(NETWORK_POLICIES, fleet.namespace, allow)
    fleet.prometheus.wait("secureai_heal_seconds_count > 0")


def outlive_an_outage(fleet: Fleet) -> None:
    """With an emergency that cannot end before it does."""
    with stopped(fleet.lab, fleet.product):
        fleet.workloads.wait_condition(
            fleet.namespace, "llm", "VaultReachable", "False", deadline=NAMED_SECONDS
        )
        fleet.prometheus.wait("secureai_vault_up == 0")
        fleet.keys.annotate(rotate_emergency="incident-2")
        fleet.wait_scraped("secureai_emergency_started_timestamp_seconds")
    fleet.workloads.wait_condition(fleet.namespace, "llm", "VaultReachable", "True", deadline=NAMED_SECONDS)
    fleet.prometheus.wait("max(secureai_vault_up and on (instance) (secureai_leader == 1)) == 1")
    emergency_is_over(fleet, 2)


def leave_something(fleet: Fleet) -> None:
    """What a dashboard shows of now: a retirement that waits, drift that stands, a workload that is not Ready, and one that is suspended."""
    retire = {"spec": {"retire": RETIRES | {"after": "1h"}}}
    fleet.workloads.patch(fleet.namespace, "policy", retire, KEY_ROTATION_POLICIES)
    fleet.keys.annotate(rotate="last")
    fleet.wait_scraped("secureai_key_retirement_timestamp_seconds")
    account = {"metadata": {"name": names.service_account("blocked")}}
    fleet.lab.api.request("POST", SERVICE_ACCOUNTS.path(fleet.namespace), account)
    fleet.workloads.create(fleet.namespace, "blocked")
    fleet.workloads.create(fleet.namespace, "asleep", suspend=True)
    fleet.workloads.respec(fleet.namespace, driftPolicy="Warn")
    fleet.workloads.wait_ready(fleet.namespace)
    opened: Json = {"spec": {"egress": [{}]}}
    fleet.workloads.patch(fleet.namespace, names.allow_policy("llm"), opened, NETWORK_POLICIES)
    fleet.wait_scraped("secureai_workload_trouble", type="DriftDetected")
    for name in ("blocked", "asleep"):
        fleet.wait_scraped("secureai_workload_trouble", name, type="Ready")


def test_every_alert_is_evaluated_and_none_is_active_on_a_healthy_fleet(healthy: Fleet) -> None:
    ask, since = healthy.prometheus, time.time()
    rules = healthy.lab.wait_for(lambda: evaluated(ask, since), QUIET_SECONDS, "every alert to be evaluated")
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
    assert {rule["health"] for rule in rules} == {"ok"}
    # Without a namespace, or of this one: what an earlier test left is its own matter.
    ours = f'namespace=~"|{healthy.namespace}"'
    fired = ask.now(f'count by (alertname) (count_over_time(ALERTS{{alertstate="firing", {ours}}}[1h]))')
    assert [series["metric"]["alertname"] for series in fired] == []
    healthy.lab.wait_for(lambda: not ask.now(f"ALERTS{{{ours}}}"), QUIET_SECONDS, "no alert to be pending")


def evaluated(ask: Prometheus, since: float) -> list[Json]:
    """The rules, once each was looked at since then: before the first scrape no rule has anything to fail with."""
    rules = ask.rules()
    assert sorted(rule["name"] for rule in rules) == sorted(rule["alert"] for rule in alerts())
    times = (datetime.fromisoformat(rule["lastEvaluation"]).timestamp() for rule in rules)
    return rules if min(times) > since else []


@pytest.mark.parametrize("query", queries(), ids=str)
def test_every_query_of_the_dashboards_finds_something(query: Query, eventful: Fleet) -> None:
    text = query.filled(eventful.values())
    ask = partial(eventful.prometheus.now if query.instant else eventful.prometheus.since_start, text)
    if str(query) in NOTHING_THERE:
        assert ask() == []
        return
    # On a busy machine a scrape may be missed, and for a second nothing is there.
    eventful.lab.wait_for(lambda: any(map(has_a_number, ask())), MISSED_SECONDS, f"a number of {text}")


@pytest.mark.parametrize("query", [query for query in queries() if OR_ZERO in query.text], ids=str)
def test_what_is_shown_as_zero_was_more_or_less_than_that_once(query: Query, eventful: Fleet) -> None:
    """Else a zero would hide a query that never finds anything."""
    text = query.filled(eventful.values()).replace(OR_ZERO, "")
    found = eventful.prometheus.since_start(text)
    assert any(map(has_a_number, found)) or str(query) in ONLY_ZERO, f"{text}: {found[:1]}"


def test_the_tables_of_queries_that_find_nothing_name_queries_that_there_are() -> None:
    assert {*NOTHING_THERE, *ONLY_ZERO} <= {str(query) for query in queries()}


def test_an_alert_that_should_fire_does_so_in_this_prometheus(eventful: Fleet) -> None:
    """Else silence on a healthy fleet would prove nothing."""
    eventful.prometheus.wait(
        'ALERTS{alertname="SecurityEvent", alertstate="firing", reason="EmergencyStarted"}'
    )
