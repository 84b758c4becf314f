"""What the benchmark says is what it counted; its recorded run and the README say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.audit import OPERATOR_USER, AuditLog, count
from bench.goals import Line, lines
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


def test_readme_and_results_say_what_was_recorded() -> None:
    if not LATEST.exists():
        assert "No recorded run yet." in report.README.read_text(encoding="utf-8")
        return
    run = json.loads(LATEST.read_text(encoding="utf-8"))
    assert report.readme_section(run) in report.README.read_text(encoding="utf-8")
    assert (report.BENCH / "RESULTS.md").read_text(encoding="utf-8") == report.results(run)
