"""`python -m bench`: measure everything on a lab of its own, print the table, record the run."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report
from bench.audit import AuditLog
from bench.creation import FULL, FULL_OBJECTS, MINIMAL, MINIMAL_OBJECTS, measure_creation
from bench.goals import all_met
from bench.healing import measure_healing
from bench.machine import machine, versions
from bench.memory import measure_memory
from bench.passes import measure_passes
from bench.rig import Rig
from lab import Lab, LabError, prepare, start_lab
from secureai_operator import names
from secureai_operator.clients.kube import AioKube, KubeSettings
from tests.product import ROOT, Product

RESULTS = Path(__file__).parent / "results"
GC_SECONDS = 90.0
NAMESPACES = 10


def main() -> int:
    options = _options()
    if options.report:
        run: dict[str, Any] = json.loads(options.report.read_text(encoding="utf-8"))
    else:
        try:
            prepare()
            start = machine()
            with start_lab(fsync=not options.no_fsync) as lab:
                run = asyncio.run(_measure(lab, start, options))
        except LabError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
    print(report.terminal(run))
    if not options.no_record:
        _record(run)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--creations", type=int, default=200, metavar="N", help="samples of create → Ready (200)"
    )
    parser.add_argument("--heals", type=int, default=500, metavar="N", help="samples of healing (500)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of foreign writes (1)")
    parser.add_argument("--no-fsync", action="store_true", help="let etcd keep its writes in memory")
    parser.add_argument("--no-record", action="store_true", help="write no file")
    parser.add_argument(
        "--report", type=Path, metavar="JSON", help="write the reports anew from a recorded run"
    )
    return parser.parse_args()


def _record(run: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / "latest.json"
    latest.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report.write(run)
    print(
        f"\nrecorded in {latest.relative_to(ROOT)} and bench/RESULTS.md; goals {'met' if all_met(run) else 'NOT all met'}"
    )


async def _measure(lab: Lab, start: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    if lab.audit_log is None or lab.vault_audit_log is None:
        raise LabError("the audit logs of this lab cannot be read: measure on one that is started here")

    def log(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    kube = await AioKube.connect(KubeSettings(kubeconfig=str(lab.admin_kubeconfig), user_agent="bench"))
    async with kube:
        rig = Rig(lab, Product(lab), kube, AuditLog(lab.audit_log), AuditLog(lab.vault_audit_log), log)
        log("installing")
        await asyncio.to_thread(rig.product.install)
        results = await _all(rig, options)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": start,
        "versions": versions(lab),
        "fsync": not options.no_fsync,
        "seconds": round(time.monotonic() - began),
        "results": results,
    }


async def _all(rig: Rig, options: argparse.Namespace) -> dict[str, Any]:
    """Each measurement in the state that the one before left."""
    results: dict[str, Any] = {}
    await rig.start_operator()
    rig.log("memory without CRs")
    empty = await measure_memory(rig)
    await _garbage_collector(rig)
    rig.log(f"{options.creations} CRs of seven objects, one at a time")
    results["creation"] = await measure_creation(
        rig, "full", FULL, FULL_OBJECTS, samples=options.creations, namespaces=NAMESPACES
    )
    results["memory"] = await _full_memory(rig, empty)
    rig.log(f"{options.heals} heals by the operator")
    results["healing"] = await measure_healing(rig, samples=options.heals, seed=options.seed, healer={})
    rig.log(f"{options.creations} minimal CRs")
    results["minimal"] = await measure_creation(
        rig, "minimal", MINIMAL, MINIMAL_OBJECTS, samples=options.creations, namespaces=NAMESPACES
    )
    rig.log("a restart, and passes without a difference")
    results["passes"] = await measure_passes(rig)
    await rig.stop_operator()
    rig.log(f"{options.heals} heals by the floor")
    async with _floor(rig) as healer:
        results["floor"] = await measure_healing(rig, samples=options.heals, seed=options.seed, healer=healer)
    return results


async def _full_memory(rig: Rig, empty: float) -> dict[str, Any]:
    rig.log(f"memory with {len(rig.workloads)} CRs")
    full = await measure_memory(rig)
    count = len(rig.workloads)
    return {
        "emptyMiB": empty,
        "fullMiB": full,
        "workloads": count,
        "kibPerWorkload": round((full - empty) * 1024 / count, 1),
    }


async def _garbage_collector(rig: Rig) -> None:
    """Wait until it follows the new kind: until then it asks for each owner again and again, which is nobody's load."""
    audit = AuditLog(rig.kubernetes_audit.path, from_start=True)

    def follows() -> bool:
        return any(
            entry["verb"] == "watch"
            and (entry.get("objectRef") or {}).get("resource") == "secureaiworkloads"
            and "controller-manager" in entry["userAgent"]
            for entry in audit.new_entries()
        )

    rig.log("waiting for the garbage collector to know the kind")
    await asyncio.to_thread(
        rig.lab.wait_for, follows, GC_SECONDS, "the garbage collector to follow workloads"
    )


@contextlib.asynccontextmanager
async def _floor(rig: Rig) -> AsyncIterator[dict[str, int]]:
    """The floor's process, under the operator's identity."""
    kubeconfig = rig.lab.kubeconfig_for(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT)
    process = rig.lab.process(
        "floor",
        [sys.executable, "-m", "bench.floor", str(kubeconfig)],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
    )
    await asyncio.to_thread(process.start)
    try:
        await asyncio.to_thread(
            rig.lab.wait_for,
            lambda: "ready" in process.log.read_text(encoding="utf-8"),
            60.0,
            "the floor to watch",
        )
        pid = process.pid
        if pid is None:
            raise LabError("the floor ended")
        yield {"floor": pid}
    finally:
        await asyncio.to_thread(process.stop)


if __name__ == "__main__":
    sys.exit(main())
