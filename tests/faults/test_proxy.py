"""The instrument itself, on a real API server and a real Vault: what passes, what is held, what never arrives."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from lab import Lab, LabError
from lab.rest import JsonClient
from tests.faults.proxy import KUBERNETES, VAULT, Forward, Proxies, Proxy, Reply, Seen
from tests.faults.trap import Point, Side, Trap

pytestmark = pytest.mark.integration

SECONDS = 10.0


@dataclass(slots=True)
class Bench:
    """Both servers through proxies that act as their administrator, and requests that may be held."""

    lab: Lab
    proxies: Proxies
    kubernetes: Proxy
    vault: Proxy
    trap: Trap
    pool: ThreadPoolExecutor

    def send(self, policy: str) -> Future[tuple[int, str]]:
        """Write a policy of that name through the proxy."""
        client = JsonClient(self.vault.address, {"X-Vault-Token": self.lab.vault_root_token}, timeout=SECONDS)
        body = {"policy": 'path "none" { capabilities = ["deny"] }'}
        return self.pool.submit(client.raw, "PUT", f"/v1/sys/policies/acl/{policy}", body)

    def has(self, policy: str) -> bool:
        found = self.lab.vault_request("GET", "sys/policies/acl?list=true")["data"]["keys"]
        return policy in found

    def wait_held(self, policy: str) -> None:
        self.lab.wait_for(lambda: self.trap.has_reached(policy), SECONDS, f"{policy} to be held")


@pytest.fixture
def bench(lab: Lab) -> Iterator[Bench]:
    trap = Trap()
    kubernetes = Proxy(KUBERNETES, lab.api_url, lab.api.tls, trap)
    vault = Proxy(VAULT, lab.vault_address, None, trap)
    with Proxies(kubernetes, vault).running() as proxies, ThreadPoolExecutor(4) as pool:
        yield Bench(lab, proxies, kubernetes, vault, trap, pool)
        proxies.call(trap.drop)


@pytest.mark.parametrize("side", Side)
def test_what_is_held_arrives_only_before_the_reply_is_held(bench: Bench, side: Side) -> None:
    name = f"held-{side.value}"
    bench.trap.watch(name, Point(1, side))
    held = bench.send(name)
    bench.wait_held(name)
    assert bench.has(name) is (side is Side.AFTER)
    assert not held.done()

    bench.proxies.call(bench.trap.drop)
    with pytest.raises(LabError):
        held.result(SECONDS)
    assert bench.has(name) is (side is Side.AFTER)


@pytest.mark.parametrize("side", Side)
def test_what_is_let_go_is_answered_in_the_end(bench: Bench, side: Side) -> None:
    name = f"let-go-{side.value}"
    bench.trap.watch(name, Point(1, side))
    held = bench.send(name)
    bench.wait_held(name)

    bench.proxies.call(bench.trap.let_go)
    assert held.result(SECONDS)[0] == 204
    assert bench.has(name)


def test_nothing_arrives_after_a_point_and_others_pass(bench: Bench) -> None:
    for name in ("stands", "passes"):
        bench.trap.watch(name, Point(2, Side.BEFORE))
    assert bench.send("stands-1").result(SECONDS)[0] == 204
    held = bench.send("stands-2")
    bench.wait_held("stands")
    after = bench.send("stands-3")
    assert bench.send("passes").result(SECONDS)[0] == 204

    assert [seen.target.rpartition("/")[2] for seen in bench.trap.sent("stands")] == ["stands-1", "stands-2"]
    bench.proxies.call(bench.trap.drop)
    for future in (held, after):
        with pytest.raises(LabError):
            future.result(SECONDS)
    assert not bench.has("stands-2")
    assert not bench.has("stands-3")


def test_a_watch_passes_unbuffered_and_ends_with_a_cut(bench: Bench, namespace: str) -> None:
    server = http.client.HTTPConnection(urlsplit(bench.kubernetes.address).netloc, timeout=SECONDS)
    server.request("GET", f"/api/v1/namespaces/{namespace}/configmaps?watch=true")
    stream = server.getresponse()
    for name in ("first", "second"):
        body = {"metadata": {"name": name}}
        bench.lab.api.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
        while (seen := json.loads(stream.readline())["object"]["metadata"]["name"]) != name:
            assert seen == "kube-root-ca.crt"

    bench.proxies.call(bench.kubernetes.cut)
    assert stream.readline() == b""
    client = JsonClient(bench.kubernetes.address, timeout=SECONDS)
    with pytest.raises(LabError):
        client.raw("GET", "/version")
    bench.proxies.call(bench.kubernetes.mend)
    assert client.raw("GET", "/version")[0] == 200
    server.close()


def test_a_rule_may_answer_itself(bench: Bench) -> None:
    class Busy:
        def concerns(self, seen: Seen) -> bool:
            return seen.target.endswith("/busy")

        async def answer(self, seen: Seen, forward: Forward) -> Reply | None:
            del seen, forward
            return Reply.of(429)

    bench.vault.rule = Busy()
    assert bench.send("busy").result(SECONDS)[0] == 429
    assert bench.send("idle").result(SECONDS)[0] == 204
    assert not bench.has("busy")
