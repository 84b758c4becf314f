"""`secureai status NAME`: what is true of a workload, on one screen."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from secureai_operator.api.condition_types import ConditionType
from secureai_operator.cli import client, keys_table
from secureai_operator.cli.exits import NO, OK
from secureai_operator.cli.key_views import KeyView
from secureai_operator.cli.output import (
    Mark,
    Table,
    Word,
    age,
    duration,
    moment,
    print_json,
    print_line,
    print_table,
    string,
    utc_now,
)
from secureai_operator.cli.workloads import ConditionView, WorkloadView, view


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "status",
        help="what is true of a workload",
        description="Shows what is true of a SecureAIWorkload.",
        epilog="exit codes: 0 Ready, 1 not Ready, 2 wrong usage, 3 no answer",
    )
    client.add_name(parser)
    client.add_cluster_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    with client.connected(arguments) as cluster:
        workload = view(client.find_workload(cluster, arguments.name))
    if arguments.output == "json":
        print_json(as_json(workload))
    else:
        show(workload, utc_now())
    return OK if workload.ready else NO


def as_json(workload: WorkloadView) -> dict[str, Any]:
    """The status for programs: wrapped data keys are left out, they are long and nobody reads them."""
    status = {name: value for name, value in workload.status.items() if name != "dataKeys"}
    return {
        "name": workload.name,
        "namespace": workload.namespace,
        "ready": workload.ready,
        "state": workload.state.text,
        "generation": workload.generation,
        "dataKeys": [
            {"name": key.get("name"), "keyVersion": key.get("keyVersion")}
            for key in workload.status.get("dataKeys") or ()
        ],
        "status": status,
    }


def show(workload: WorkloadView, now: datetime) -> None:
    print_line(
        f"{workload.namespace}/{workload.name}  ", workload.state, f"  age {age(workload.created, now)}"
    )
    if not workload.seen:
        print_line(
            Word("the operator has not yet looked at the spec as it is now ", Mark.WARNING),
            f"(generation {workload.generation}, seen {workload.observed_generation})",
        )
    print_line("")
    print_table(Table(list(facts(workload, now))))
    print_line("")
    columns = ("CONDITION", "STATUS", "REASON", "FOR", "MESSAGE")
    print_table(Table([_row(one, now) for one in workload.conditions], columns))


def facts(workload: WorkloadView, now: datetime) -> Iterator[tuple[str, str | Word]]:
    """The lines above the conditions; only those that there is something to say about."""
    status = workload.status
    if key := status.get("key"):
        oldest = f", decrypts from v{key['minDecryptionVersion']}" if key.get("minDecryptionVersion") else ""
        yield (
            "Key",
            f"v{key.get('latestVersion', 0)} {string(key, 'type')} ({string(key, 'custody')}){oldest}",
        )
    if data_keys := status.get("dataKeys"):
        yield "Data keys", ", ".join(f"{string(one, 'name')} (v{one.get('keyVersion')})" for one in data_keys)
    if certificate := status.get("certificate"):
        yield "Certificate", certificate_text(certificate, now)
    if vault := status.get("vault"):
        yield "Vault", f"{string(vault, 'name')} on connection {string(vault, 'connection')}"
    if binding := status.get("binding"):
        yield (
            "Identity",
            f"ServiceAccount {string(binding, 'serviceAccountName')} for {string(binding, 'audience')}",
        )
    if pods := status.get("pods"):
        yield "Pods", pods_text(pods)
    if drift := status.get("lastDrift"):
        where = string(drift, "field") or "deleted"
        since = age(moment(string(drift, "time")), now)
        yield (
            "Last drift",
            f"{string(drift, 'kind')}/{string(drift, 'name')} ({where}) {string(drift, 'action')} {since} ago",
        )
    yield from rotation_facts(KeyView(workload), now)


def rotation_facts(key: KeyView, now: datetime) -> Iterator[tuple[str, str | Word]]:
    """How far the rotation is, when the next one is, and what old versions wait for."""
    if key.phase != "Idle":
        yield "Rotation", keys_table.phase(key)
    if key.next_time is not None:
        yield "Rotates", keys_table.next_time(key, now)
    if 0 < key.oldest_in_use < key.latest:
        yield "In use", Word(f"a data key is still wrapped by v{key.oldest_in_use}", Mark.WARNING)
    if retire_at := string(key.rotation, "retireAt"):
        yield "Retires", f"old versions, not before {retire_at}"
    if key.emergency_under_way:
        done = ", ".join(string(one, "step") for one in key.emergency.get("steps") or ()) or "just begun"
        asked = string(key.emergency, "requestId")
        yield "Emergency", Word(f"{asked} is under way, access is withdrawn: {done}", Mark.ERROR)


def certificate_text(certificate: dict[str, Any], now: datetime) -> Word:
    """How long the certificate still lives, which is what people look for."""
    end = moment(string(certificate, "notAfter"))
    if end is None:
        return Word("no expiry known", Mark.WARNING)
    left = int((end - now).total_seconds())
    renewal = moment(string(certificate, "renewalTime"))
    if left <= 0:
        return Word(f"EXPIRED {duration(-left)} ago", Mark.ERROR)
    due = "" if renewal is None else f", renews in {duration(max(0, int((renewal - now).total_seconds())))}"
    overdue = renewal is not None and renewal < now
    return Word(f"{duration(left)} left{due}", Mark.WARNING if overdue else Mark.GOOD)


def pods_text(pods: dict[str, Any]) -> Word:
    unbound, quarantined = pods.get("unbound", 0), pods.get("quarantined", 0)
    text = f"{pods.get('bound', 0)} bound, {unbound} unbound"
    if quarantined:
        text += f", {quarantined} quarantined"
    if unbound and pods.get("unboundNames"):
        text += f" ({', '.join(pods['unboundNames'])})"
    return Word(text, Mark.WARNING if unbound or quarantined else Mark.GOOD)


def _row(one: ConditionView, now: datetime) -> tuple[str | Word, ...]:
    kind = f"{one.type}" if one.holds or one.type == ConditionType.DRIFT_DETECTED else f"{one.type} !"
    return kind, Word(one.status, one.mark), one.reason, age(one.since, now), one.message
