"""Attacks by size and number: what costs the attacker little, and everybody else much."""

from __future__ import annotations

import base64
from pathlib import Path

from secureai_operator.api.resources import NETWORK_POLICIES, SECRETS
from tests.integration.crd_objects import Json, path, policy, workload
from tests.security.arena import Arena
from tests.security.catalogue import HARMLESS, REFUSED, attack

HUGE = "huge objects"
BOMB = "PEM and quote bombs"
HEAL_SECONDS = 30.0
"""What a deleted object of somebody else may take to be back, whatever the tenant does, on a busy machine."""


def heals_in_time(arena: Arena) -> None:
    """Somebody else's object, deleted now, is back within its time."""
    arena.workloads.delete(arena.victim, "saw-llm-quarantine", NETWORK_POLICIES)
    arena.workloads.wait_object(NETWORK_POLICIES, arena.victim, "saw-llm-quarantine", deadline=HEAL_SECONDS)


def resident_mebibytes(arena: Arena) -> float:
    assert arena.operator.current is not None
    status = Path(f"/proc/{arena.operator.current.process.pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@attack(
    "more of everything than fits",
    HUGE,
    "10,000 data keys, DNS names, rules, peers, ports, tolerations, labels and windows",
    REFUSED,
    "the schema bounds every list and map, and the CEL rules are not even asked",
)
def too_many(arena: Arena) -> None:
    many = range(10_000)
    for spec in (
        {"keys": {"dataKeys": [{"name": f"k{one}"} for one in many]}},
        {"certificate": {"dnsNames": [f"n{one}.{arena.namespace}.svc" for one in many]}},
        {"access": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]} for _ in many]}},
        {"access": {"roleRefs": [{"name": f"r{one}"} for one in many]}},
        {"network": {"ingress": [{"from": [{"workload": "a"}], "ports": [1]} for _ in many]}},
        {"network": {"ingress": [{"from": [{"workload": f"w{one}"} for one in many], "ports": [1]}]}},
        {"network": {"egress": [{"to": [{"workload": "a"}], "ports": [1 + one % 65535 for one in many]}]}},
        {"confidential": {"tolerations": [{"key": f"k{one}"} for one in many]}},
        {"podSelector": {"matchLabels": {f"k{one}": "v" for one in many}}},
    ):
        arena.is_refused(spec, "must have at most")
    windows = [{"start": "0 1 * * *", "duration": "4h"} for _ in many]
    arena.is_refused_policy(
        {"selector": {}, "schedule": {"interval": "2h"}, "windows": windows}, "must have at most"
    )


@attack(
    "texts of half a megabyte",
    HUGE,
    "each text field with 500,000 letters",
    REFUSED,
    "every text has a bound",
)
def too_long(arena: Arena) -> None:
    from tests.security.fields import fields  # noqa: PLC0415 - the walk of the schema, only here

    for field in fields():
        if not field.path.startswith("spec.access."):
            answer = arena.tenant.create(
                field.manifest(arena.namespace, "asked", "a" * 500_000), dry_run=True
            )
            assert answer.code in {400, 422}, field


@attack(
    "an object of three megabytes",
    HUGE,
    "a workload with an unknown field of 3 MB, with pruning asked for",
    REFUSED,
    "the API server takes no such request",
)
def too_large(arena: Arena) -> None:
    manifest = workload({"more": "x" * 3_200_000})
    answer = arena.tenant("POST", f"{path(arena.namespace, manifest)}?fieldValidation=Ignore", manifest)
    assert answer.code in {400, 413, 422}


@attack(
    "nesting of ten thousand levels",
    HUGE,
    "an unknown field of lists in lists",
    REFUSED,
    "refused, and the API server answers the next request",
)
def too_deep(arena: Arena) -> None:
    head = b'{"apiVersion":"secureai.dev/v1alpha1","kind":"SecureAIWorkload","metadata":{"name":"deep"},"spec":{"x":'
    body = head + b"[" * 20_000 + b"]" * 20_000 + b"}}"
    where = f"{path(arena.namespace, workload({}))}?fieldValidation=Strict"
    assert not arena.tenant("POST", where, body).accepted
    assert arena.tenant.create(workload({}), dry_run=True).accepted


@attack(
    "a YAML that grows as it is read",
    HUGE,
    "aliases of aliases, sent as YAML: a kilobyte that would be a gigabyte",
    REFUSED,
    "refused, and the API server answers the next request",
)
def growing_yaml(arena: Arena) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    lines += ["apiVersion: secureai.dev/v1alpha1", "kind: SecureAIWorkload", "metadata: {name: bomb}"]
    body = "\n".join(lines).encode()
    where = f"{path(arena.namespace, workload({}))}?fieldValidation=Strict"
    answer = arena.tenant("POST", where, body, "application/yaml")
    assert not answer.accepted
    assert arena.tenant.create(workload({}), dry_run=True).accepted


@attack(
    "workloads as large as the schema allows",
    HUGE,
    "six workloads, each with every list full, every text at its longest and 200 KB of annotations",
    HARMLESS,
    "somebody else's object is back within 5 s meanwhile; the operator's memory grows by less than 40 MiB",
)
def as_large_as_may_be(arena: Arena) -> None:
    before = resident_mebibytes(arena)
    for _ in range(6):
        manifest = workload(_full(arena.namespace), arena.name())
        manifest["metadata"]["annotations"] = {f"example.com/a{one}": "x" * 20_000 for one in range(10)}
        answer = arena.tenant.create(manifest)
        assert answer.accepted, answer.causes
    heals_in_time(arena)
    arena.clear()
    arena.rest()
    assert resident_mebibytes(arena) - before < 40


def _full(namespace: str) -> Json:
    labels = {f"example.com/{'k' * 50}{one}": "v" * 63 for one in range(8)}
    peers = [{"podLabels": labels, "namespace": "n" * 63} for _ in range(16)]
    ports = [f"{port}/TCP" for port in range(1, 17)]
    return {
        "podSelector": {"matchLabels": labels},
        "keys": {
            "derived": True,
            "dataKeys": [{"name": f"{'k' * 60}{one:02}", "context": "c" * 256} for one in range(16)],
        },
        "certificate": {"dnsNames": [f"{'n' * 60}{one:02}.{namespace}.svc" for one in range(16)]},
        "network": {
            "ingress": [{"from": peers, "ports": ports} for _ in range(16)],
            "egress": [{"to": peers, "ports": ports} for _ in range(16)],
        },
    }


@attack(
    "many workloads at once",
    "a broken or a heavy CR that blocks others",
    "twenty workloads with four data keys each in one go, and half of them deleted at once",
    HARMLESS,
    "somebody else's object is back within 5 s meanwhile",
)
def many_at_once(arena: Arena) -> None:
    spec = {"keys": {"dataKeys": [{"name": f"k{one}"} for one in range(4)]}}
    made = [arena.declared(spec) for _ in range(20)]
    for name in made[::2]:
        arena.tenant.delete(name)
    heals_in_time(arena)
    arena.clear()
    arena.rest()


@attack(
    "schedules that take long to think about",
    "a broken or a heavy CR that blocks others",
    "crons of every list and range that fits into 128 letters, days that come once in decades, and the oddest time zones",
    HARMLESS,
    "refused or scheduled, and somebody else's object is back within 5 s",
)
def heavy_schedules(arena: Arena) -> None:
    days = ",".join(str(day) for day in range(1, 29))
    for number, schedule in enumerate(
        (
            {"cron": "0 0 29 2 1"},
            {"cron": "0 0 29 feb *", "timeZone": "Africa/Monrovia"},
            {"cron": f"0 0 {days} */11 *"},
            {"cron": "59 23 31 12 0", "timeZone": "Pacific/Apia"},
            {"cron": "0 2 * * *", "timeZone": "Antarctica/Troll", "jitter": "168h", "startingDeadline": "1m"},
        )
    ):
        windows = [{"start": "0 0 29 2 *", "duration": "5m"} for _ in range(3)]
        manifest = policy({"selector": {}, "schedule": schedule, "windows": windows}, f"heavy-{number}")
        answer = arena.tenant.create(manifest)
        assert answer.code in {201, 422}, answer.causes
    arena.ready({})
    heals_in_time(arena)
    arena.clear()
    arena.rest()


@attack(
    "a chain of certificates without end in the own Secret",
    BOMB,
    "somebody with rights on Secrets writes 700 KB of PEM, thousands of certificates, and keys of 16,384 bits into the workload's own "
    "Secret",
    HARMLESS,
    "not parsed beyond 64 KiB, a key not beyond 1 KiB: a new certificate is there, and somebody else's object is back within 5 s",
)
def pem_bomb(arena: Arena) -> None:
    name = arena.ready({})
    tls = f"saw-{name}-tls"
    secret = arena.workloads.find(SECRETS, arena.namespace, tls)
    assert secret is not None
    pem = base64.b64decode(secret["data"]["tls.crt"])
    bombs = {
        "tls.crt": pem * (500_000 // len(pem)),
        "ca.crt": b"-----BEGIN CERTIFICATE-----\n" * 10_000,
        "tls.key": b"-----BEGIN RSA PRIVATE KEY-----\n"
        + b"A" * 40_000
        + b"\n-----END RSA PRIVATE KEY-----\n",
    }
    for entry, bomb in bombs.items():
        change = {"data": {entry: base64.b64encode(bomb).decode()}}
        arena.workloads.patch(arena.namespace, tls, change, SECRETS)
        heals_in_time(arena)
        arena.workloads.wait_object(
            SECRETS,
            arena.namespace,
            tls,
            lambda live: all(len(value) < 20_000 for value in live["data"].values()),
            15,
        )
    arena.clear()
    arena.rest()


@attack(
    "a Secret of data keys that is full of something else",
    BOMB,
    "somebody with rights on Secrets fills the Secret of wrapped data keys with 600 KB, quotes and ciphertext of no key",
    HARMLESS,
    "the Secret is as it was, out of what status records",
)
def filled_secret(arena: Arena) -> None:
    name = arena.ready({"keys": {"dataKeys": [{"name": "model"}]}})
    keys = f"saw-{name}-keys"
    secret = arena.workloads.find(SECRETS, arena.namespace, keys)
    assert secret is not None
    before = secret["data"]
    for bomb in (b"x" * 400_000, b'"' * 1000, b"vault:v999999999:" + b"A" * 2000, b"vault:v1:" + b"A" * 64):
        change = {"data": {"model": base64.b64encode(bomb).decode(), "more": base64.b64encode(bomb).decode()}}
        arena.workloads.patch(arena.namespace, keys, change, SECRETS)
        arena.workloads.wait_object(SECRETS, arena.namespace, keys, lambda live: live["data"] == before, 15)
    arena.clear()


@attack(
    "fields that take a PEM, a quote or an address",
    BOMB,
    "the schemas are searched for a field that takes a certificate, a TDX quote, a URL, a template or a file",
    REFUSED,
    "there is none: nothing of the kind is parsed on behalf of a CR",
)
def no_such_field(arena: Arena) -> None:
    from tests.security.fields import declared_texts  # noqa: PLC0415 - the walk of the schema, only here

    words = (
        "pem",
        "cert",
        "quote",
        "evidence",
        "url",
        "address",
        "template",
        "file",
        "path",
        "secret",
        "token",
        "csr",
        "ca",
    )
    known = {"spec.certificate", "spec.access.tokenTTL"}
    for kind in ("SecureAIWorkload", "KeyRotationPolicy"):
        for text in declared_texts(kind):
            last = text.rsplit(".", 1)[-1].lower().removesuffix("[]")
            assert last not in words, text
            assert text in known or not last.endswith(("url", "ref", "pem")), text
    assert arena.namespace
