"""What a run says of others beside us: each on the job that it can do, next to our operator on the nearest one of ours."""

from __future__ import annotations

from typing import Any

from bench.report_storm import cpu, others

Json = dict[str, Any]

NAMES = {
    "peerOurs": "our operator, whole workloads",
    "peerKopf": "plain Kopf operator, whole workloads",
    "peerOursSecret": "our operator, a Secret of data keys",
    "peerVso": "vault-secrets-operator, a Secret",
    "peerExternalSecrets": "external-secrets 0.16, a Secret",
    "peerCertManager": "cert-manager 1.11, a certificate",
}
_COLUMNS = (
    "",
    "objects per CR",
    "all done, s",
    "ms per CR",
    "deleted → back, ms (p50, p99)",
    "changed → back, ms (p50, p99)",
    "MiB at none",
    "KiB per CR",
    "KiB per object",
    "idle: requests to Kubernetes per s",
    "to Vault per s",
    "% of a core",
)


def terminal(run: Json) -> list[str]:
    return [line for _, one, name in _found(run) for line in _told(name, one)]


def section(run: Json) -> list[str]:
    """For RESULTS.md; nothing if the run did not measure it."""
    found = _found(run)
    if not found:
        return []
    return [
        "## Beside us",
        "",
        *_table([(name, one) for _, one, name in found]),
        "",
        *[f"- {line.strip()}" for _, one, name in found for line in _told(name, one)],
        "",
        "What each did, and what it did not do:",
        "",
        *[f"- {_DID[key]}" for key, _, _ in found],
        "",
        *_METHOD,
        "",
    ]


def _found(run: Json) -> list[tuple[str, Json, str]]:
    return [(key, run["results"][key], name) for key, name in NAMES.items() if key in run["results"]]


def _table(rows: list[tuple[str, Json]]) -> list[str]:
    return [
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
        *[f"| {' | '.join([name, *_cells(one)])} |" for name, one in rows],
    ]


def _cells(one: Json) -> list[str]:
    rest = one["idle"]
    return [
        f"{one['ownedObjects']}",
        f"{one['seconds']:g}",
        f"{one['millisecondsPerWorkload']:g}",
        _healed(one["healing"]["deleted"]),
        _healed(one["healing"]["changed"]),
        f"{one['emptyMiB']:g}",
        f"{one['kibPerWorkload']:g}",
        f"{one['kibPerObject']:g}",
        f"{_kubernetes(rest['perSecond']):g}",
        f"{_vault(rest['perSecond']):g}",
        f"{rest['cpuPercent']:g}",
    ]


def _healed(series: Json) -> str:
    return f"{series['p50']:g}, {series['p99']:g}" if series["samples"] else "not looked at"


def _kubernetes(requests: Json) -> float:
    """The Lease's included: whoever runs more than one needs them."""
    return float(round(requests["kubernetesWrites"] + requests["kubernetesReads"] + requests["lease"], 3))


def _vault(requests: Json) -> float:
    return float(round(requests["vaultWrites"] + requests["vaultReads"], 3))


def _told(name: str, one: Json) -> list[str]:
    asked, healing, rest = one["perCR"], one["healing"], one["idle"]
    return [
        (
            f"{name}: {one['workloads']} CRs of {one['ownedObjects']} objects all done after {one['seconds']:g} s, "
            f"{one['millisecondsPerWorkload']:g} ms each{others(one['machine'])}; per CR {asked['kubernetesWrites']:g} writes "
            f"to Kubernetes and {asked['kubernetesReads']:g} reads, {asked['vaultWrites']:g} writes to Vault and "
            f"{asked['vaultReads']:g} reads"
        ),
        f"  CPU time per CR, in milliseconds: {cpu(one['cpuMillisecondsPerSample'])}",
        (
            f"  deleted → back {_healed(healing['deleted'])} ms (p50, p99; {healing['deleted']['samples']} samples), changed → "
            f"back {_healed(healing['changed'])}; {one['emptyMiB']:g} → {one['fullMiB']:g} MiB, "
            f"{one['kibPerWorkload']:g} KiB per CR; at rest {_kubernetes(rest['perSecond']):g} requests per second to "
            f"Kubernetes, {_vault(rest['perSecond']):g} to Vault, {rest['cpuPercent']:g} % of a core"
        ),
    ]


_DID = {
    "peerOurs": (
        "our operator, whole workloads: the 8 objects and what belongs to each CR in Vault, checked on every change of "
        "any of them, in Vault by turns; status, events and finalizer; rights of its own and no more."
    ),
    "peerKopf": (
        "plain Kopf operator: the same 8 objects with content of the same kind, and the same writes to Vault, by handlers "
        "for creation and update; a timer for each CR reads all 8 objects. It has a cluster administrator's rights. It does "
        "not look at Vault again, restores of a Secret only its being there (a lost Secret of data keys comes back with new "
        "ones, so what the old ones encrypted is lost), never renews or rotates, checks no ceiling, and tells one condition. "
        "It sees no change before its timer comes round: its healing times are those of the timer."
    ),
    "peerOursSecret": (
        "our operator, a Secret of data keys: it cannot make one Secret alone. The least is a ServiceAccount and the Secret, "
        "and in Vault a key, a policy, a role to log in with, and the data key, which are made for each CR; enforcement "
        "`Audit`, no certificate, no policies."
    ),
    "peerVso": (
        "vault-secrets-operator, a Secret: one read of Vault and one write of a Secret for each CR, whose value was in Vault "
        "before. It makes nothing in Vault, no identity, no role, no policy; logins are one for each namespace. It asks Vault "
        "again for every Secret after the time that each CR names (30 seconds here), and only then sees what somebody changed "
        "in a Secret; that one was deleted it sees at once. It has a cluster administrator's rights here, and no "
        "leader election."
    ),
    "peerExternalSecrets": (
        "external-secrets, a Secret: one read of Vault and one write of a Secret for each CR, whose value was in Vault before, "
        "over one store and one identity for all namespaces. It makes nothing in Vault. It asks Vault again for every Secret "
        "after the time that each CR names (30 seconds here). It is an older version (0.16.2 of 2025): the newest names modules "
        "within its own repository by versions that do not exist outside of it, so it cannot be built as a Go tool. Its "
        "webhook did not run. It works on a hundred CRs at a time here, by its own default on one. It has a cluster "
        "administrator's rights here, and no leader election."
    ),
    "peerCertManager": (
        "cert-manager, a certificate: a private key, a CertificateRequest, a signature by Vault's PKI and a Secret for each "
        "CR. It is an old version (1.11.5 of 2023): the controller of the newest is a module of its own that cannot "
        "be fetched by itself. Its webhook and its injector of CAs did not run. A Secret that was deleted comes back with a new certificate; "
        "foreign entries in one are left, so that was not measured. It has a cluster administrator's rights here."
    ),
}
_METHOD = (
    "Each runs alone on a new lab with durable writes, as a process under an identity of its own and with its limits lifted (clients: 2,000 requests",
    "per second with bursts of 4,000; Kopf: 32 threads for handlers). All CRs are POSTed at once as for the storm; a CR is done when",
    "its status says so. Then, ten seconds later, memory; then what it asks of both servers while nobody does anything, by their audit",
    "logs; then single owned objects (the NetworkPolicy that allows what is declared; or the Secret) are deleted or changed, each at a",
    "random time of its own within as many seconds as the timer takes.",
)
