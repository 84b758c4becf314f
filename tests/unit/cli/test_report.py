"""A report holds what explains a state, and neither secrets nor what is nobody's business."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from secureai_operator.cli import report_parts
from secureai_operator.cli.exits import USAGE, CliError
from secureai_operator.cli.report import Part, _part, _text, _within, write
from secureai_operator.errors import KubeForbidden
from tests.unit.cli.crs import workload

TOKEN = "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY"


def test_of_a_custom_resource_only_our_own_annotations_are_told() -> None:
    raw = dict(workload().raw)
    raw["metadata"] = {
        **raw["metadata"],
        "annotations": {"secureai.dev/rotate": "now", "team.example/password": "hunter2"},
        "managedFields": [{"manager": "kubectl"}],
    }
    told = report_parts.custom_resource(raw, "SecureAIWorkload")
    assert told["metadata"]["annotations"] == {"secureai.dev/rotate": "now"}
    assert "managedFields" not in told["metadata"]
    assert told["status"] == raw["status"]


def test_of_the_operators_environment_only_the_names_are_told() -> None:
    container = {
        "name": "operator",
        "image": "secureai-operator:dev",
        "env": [{"name": "HTTPS_PROXY", "value": "http://user:hunter2@proxy"}],
    }
    raw = {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [container]}}}}
    told = report_parts.deployment(raw)
    assert told["containers"][0]["environment"] == ["HTTPS_PROXY"]
    assert "hunter2" not in json.dumps(told)


def test_events_of_other_kinds_are_left_out_and_the_others_are_in_their_order() -> None:
    def event(kind: str, at: str) -> dict[str, Any]:
        about = {"kind": kind, "namespace": "team-a", "name": "llm"}
        return {"metadata": {"creationTimestamp": at}, "involvedObject": about, "reason": at}

    told = report_parts.events(
        [event("SecureAIWorkload", "2"), event("Pod", "3"), event("KeyRotationPolicy", "1")]
    )
    assert [one["reason"] for one in told] == ["1", "2"]


def test_the_log_of_a_container_that_was_restarted_is_there_twice() -> None:
    statuses = [{"name": "operator", "restartCount": 2}, {"name": "sidecar", "restartCount": 0}]
    assert list(report_parts.containers({"status": {"containerStatuses": statuses}})) == [
        ("operator", True),
        ("sidecar", False),
    ]


@pytest.mark.parametrize("value", [f"token {TOKEN}", {"deep": [{"er": TOKEN}]}, ["vault:v1:AAAABBBBCCCC"]])
def test_what_looks_like_a_secret_is_in_no_part(value: Any) -> None:
    text = _text(value)
    assert "[redacted]" in text
    assert TOKEN not in text
    assert "AAAABBBB" not in text


def test_what_may_not_be_read_is_named_and_hides_nothing_else() -> None:
    def forbidden() -> Any:
        raise KubeForbidden("KubernetesForbidden", "list events: 403 Forbidden")

    assert _part("events.json", forbidden) == Part("events.json", missing="list events: 403 Forbidden")
    assert _part("lease.json", lambda: None).missing == "there is none"
    assert json.loads(_part("a.json", lambda: {"a": 1}).text) == {"a": 1}


def test_a_report_that_is_full_says_what_it_left_out() -> None:
    parts = [Part("a", "x" * 6), Part("b", "x" * 6), Part("c", "x")]
    assert [(one.name, one.missing) for one in _within(10, iter(parts))] == [
        ("a", ""),
        ("b", "the report is full"),
        ("c", "the report is full"),
    ]


def test_only_its_owner_may_read_it_and_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "case-7.zip"
    write(path, [Part("cluster.json", "{}")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["case-7/cluster.json"]
    with pytest.raises(CliError, match="is there already") as error:
        write(path, [])
    assert error.value.code == USAGE
