"""What the benchmark says is what it counted; its recorded run and the README say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import choosing, report
from bench.audit import OPERATOR_USER, AuditLog, count
from bench.goals import Line, lines
from bench.rotation import is_rotated
from bench.samples import percentile, summary

LATEST = report.BENCH / "results" / "latest.json"


def test_percentiles_are_samples_by_nearest_rank() -> None:
    values = [float(number) for number in range(1, 201)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 100, 198, 200]
    assert summary([0.0012, 0.0034])["p50"] == pytest.approx(1.2)


def _kubernetes(verb: str, resource: str, name: str = "saw-llm", **more: Any) -> dict[str, Any]:
    return {
        "stage": "ResponseComplete",
        "user": {"username": more.pop("user", OPERATOR_USER)},
        "verb": verb,
        "objectRef": {"resource": resource, "name": name, **more},
        "responseStatus": {"code": 201},
    }


def _vault(path: str, operation: str = "update", who: str = "kubernetes-secureai-system") -> dict[str, Any]:
    return {
        "type": "response",
        "request": {"path": path, "operation": operation},
        "auth": {"display_name": who},
    }


def _log(file: Path, entries: list[dict[str, Any]]) -> AuditLog:
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return AuditLog(file, from_start=True)


def test_only_what_the_operator_stores_counts_as_a_write(tmp_path: Path) -> None:
    kubernetes = _log(
        tmp_path / "kubernetes",
        [
            _kubernetes("create", "networkpolicies"),
            _kubernetes("patch", "secureaiworkloads", "llm", subresource="status"),
            _kubernetes("patch", "secureaiworkloads", "llm"),
            _kubernetes("create", "events"),
            _kubernetes("get", "secrets"),
            _kubernetes("update", "leases"),
            _kubernetes("create", "selfsubjectaccessreviews"),
            _kubernetes("patch", "rolebindings", "secureai-operator-secrets"),
            _kubernetes("delete", "networkpolicies", user="somebody"),
        ],
    )
    vault = _log(
        tmp_path / "vault",
        [
            _vault("saw-transit/keys/saw.c.ns.llm"),
            _vault("saw-transit/datakey/wrapped/saw.c.ns.llm"),
            _vault("saw-transit/keys/saw.c.ns.llm", "read"),
            _vault("sys/policies/acl/saw.c.ns.llm", who="root"),
        ],
    )
    found = count(kubernetes, vault)
    assert found.kubernetes_writes == 4
    assert (found.lease, found.namespace) == (1, 1)
    assert dict(found.vault) == {"saw-transit/keys/*": 1}
    assert found.vault_computations.total() == 1
    assert count(kubernetes, vault).kubernetes_writes == 0, "the next look begins where this one ended"


def test_answers_that_say_it_is_too_much_are_counted_apart(tmp_path: Path) -> None:
    def answered(code: int, **more: Any) -> dict[str, Any]:
        return {**_kubernetes("patch", "secrets", **more), "responseStatus": {"code": code}}

    kubernetes = _log(
        tmp_path / "kubernetes",
        [answered(code) for code in (200, 409, 429, 429, 500, 504)] + [answered(429, user="somebody")],
    )
    refused = {**_vault("saw-transit/keys/saw.c.ns.llm/rotate"), "error": "permission denied"}
    vault = _log(tmp_path / "vault", [refused, _vault("saw-transit/rewrap/saw.c.ns.llm")])
    found = count(kubernetes, vault)
    assert (found.too_much, found.troubles[409]) == (4, 1)
    assert dict(found.vault_errors) == {"saw-transit/keys/*/rotate": 1}
    assert found.vault.total() == 0
    assert dict(found.vault_computations) == {"saw-transit/rewrap/*": 1}


def _run(**changes: float) -> dict[str, Any]:
    series = {"samples": 200, "min": 1.0, "p50": 10.0, "p90": 20.0, "p99": 30.0, "max": 40.0, **changes}
    creation = {**series, "ownedObjects": 7, "kubernetesWritesPerCR": 9.0, "vaultWritesPerCR": 5.0}
    nothing = {"passes": 200, "kubernetesWrites": 0, "namespace": 0, "vaultWrites": 0}
    return {
        "results": {
            "creation": creation,
            "minimal": {**creation, "ownedObjects": 4, "kubernetesWritesPerCR": 6.0},
            "healing": {**series, "ownedWritesPerHeal": 1.0},
            "passes": {"second": nothing, "restart": nothing},
            "memory": {"emptyMiB": 90.0},
        }
    }


def test_a_goal_is_met_at_its_limit_and_not_beyond() -> None:
    assert all(line.met for line in lines(_run(p50=15.0, p99=50.0)))
    missed: list[Line] = [line for line in lines(_run(p50=15.1, p99=50.0)) if not line.met]
    assert [line.what for line in missed] == ["foreign write → healed, 200 samples, p50"]


def _keys(**changes: Any) -> dict[str, Any]:
    series = {"samples": 1, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 4.0, "max": 5.0}
    counts = {
        "owned": {"patch secrets": 2},
        "status": 4,
        "events": 2,
        "policies": 3,
        "troubles": {},
        "tooMuch": 0,
        "vaultErrors": {},
    }
    return {
        "rotation": {
            **series,
            "rotations": 2,
            "rotated": 2,
            "seconds": 20.0,
            "newcomers": {**series, "max": 1000.0},
            "vaultVersions": {"2": 2},
            "heldBack": 0,
            "cpuMillisecondsPerSample": {"operator": 8.0},
            "kubernetesWritesPerRotation": 3.0,
            "kubernetesReadsPerRotation": 1.0,
            "vaultWritesPerRotation": 1.0,
            "vaultComputationsPerRotation": 1.0,
            "vaultReadsPerRotation": 2.0,
            "counts": {**counts, **changes.pop("counts", {})},
            **changes,
        },
        "rewrap": {
            "items": 1000,
            "batch": 500,
            "perSecond": 2000,
            "perSecondAtOnce": 3000,
            "floorPerSecond": 4000,
            "floorByConnections": {"1": 4000},
            "batches": series,
            "cpuMillisecondsPerBatch": {"vault": 9.0},
        },
        "choosing": {
            "workloads": 10,
            "policies": 1,
            "microsecondsToSchedule": 1.0,
            "microsecondsPerDecision": 1.0,
            "pollingMilliseconds": 1.0,
            "ticks": {
                "9": {"tick": series, "decisions": series},
                "10": {"tick": series, "decisions": series},
            },
        },
    }


def test_goals_of_rotation_are_met_at_their_limits_only() -> None:
    assert all(line.met for line in lines({"results": _keys()}))
    broken: dict[str, dict[str, Any]] = {
        "all done": {"seconds": 20.1},
        "exactly one version further": {"vaultVersions": {"2": 1, "3": 1}},
        "429": {"counts": {"tooMuch": 1}},
        "errors of Vault": {"counts": {"vaultErrors": {"saw-transit/keys/*/rotate": 1}}},
        "a new workload": {"newcomers": {"samples": 0}},
    }
    for what, change in broken.items():
        missed = [line.what for line in lines({"results": _keys(**change)}) if not line.met]
        assert len(missed) == 1, (what, missed)
        assert what in missed[0]
    unfinished = [line for line in lines({"results": _keys(rotated=1, seconds=3.0)}) if not line.met]
    assert [line.measured for line in unfinished] == ["1 done"]


def test_a_run_of_some_parts_only_can_be_told() -> None:
    head = {
        "date": "2026-01-31T12:00:00+00:00",
        "machine": {"cores": 2, "processor": "x", "memoryGiB": 1.0, "loadAverage": [0.1]},
        "versions": {"vault": "1"},
        "fsync": True,
    }
    for part, found in _keys().items():
        assert report.terminal({**head, "results": {part: found}})


@pytest.mark.skipif(not LATEST.exists(), reason="no recorded run yet")
def test_a_recorded_run_tells_of_rotation_once_it_measured_it() -> None:
    run = json.loads(LATEST.read_text(encoding="utf-8"))
    without = {**run, "results": {part: one for part, one in run["results"].items() if part not in _keys()}}
    assert "## Rotation" not in report.results(without)
    told = report.results({**without, "results": {**without["results"], **_keys()}})
    assert "## Rotation" in told
    assert "| rotate | 8.0 |" in told


@pytest.mark.parametrize(
    ("phase", "version", "wrapped_by", "rotated"),
    [
        ("Observing", 2, 2, True),
        ("Retired", 2, 2, True),
        ("Rewrapped", 2, 2, False),
        ("Observing", 3, 3, False),
        ("Observing", 2, 1, False),
    ],
)
def test_rotated_is_one_version_further_with_every_data_key(
    phase: str, version: int, wrapped_by: int, rotated: bool
) -> None:
    status = {
        "rotation": {"phase": phase},
        "key": {"latestVersion": version},
        "dataKeys": [{"name": "model", "keyVersion": wrapped_by}],
    }
    assert is_rotated({"status": status}) is rotated
    assert not is_rotated({"status": {"key": {"latestVersion": 1}}})
    assert not is_rotated({})


def test_what_is_due_is_chosen_without_asking_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "WORKLOADS", 500)
    monkeypatch.setattr(choosing, "TICKS", 2)
    monkeypatch.setattr(choosing, "DUE_AT_ONCE", (0, 1, 20))
    found = choosing.measure_choosing(seed=1)
    assert {count: one["tick"]["samples"] for count, one in found["ticks"].items()} == {
        "0": 2,
        "1": 2,
        "20": 2,
    }


def test_readme_and_results_say_what_was_recorded() -> None:
    if not LATEST.exists():
        assert "No recorded run yet." in report.README.read_text(encoding="utf-8")
        return
    run = json.loads(LATEST.read_text(encoding="utf-8"))
    assert report.readme_section(run) in report.README.read_text(encoding="utf-8")
    assert (report.BENCH / "RESULTS.md").read_text(encoding="utf-8") == report.results(run)
