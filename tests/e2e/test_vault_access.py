"""Vault from inside of pods: login by the projected token, keys, a rotation in use, and mutual TLS."""

from __future__ import annotations

import time

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.e2e.measures import Measures
from tests.e2e.stage import Stage

DATA_KEYS = {"dataKeys": [{"name": "model"}, {"name": "prompts", "bits": 512}]}


def test_a_pod_logs_in_with_its_projected_token_and_opens_its_own_keys_and_no_others(
    stage: Stage, team: str
) -> None:
    llm = stage.workload(team, "llm", keys=DATA_KEYS)
    other = stage.workload(team, "other", keys=DATA_KEYS)
    pod = stage.pod(team, "llm", "llm")
    options = stage.vault_options(llm)
    found = pod.probe("unwrap", stranger=other["status"]["vault"]["name"], **options)
    assert found["bits"] == {"model": 256, "prompts": 512}
    assert found["policies"] == [llm["status"]["vault"]["name"]]
    assert found["stranger"] == 403


def test_a_rotation_passes_unnoticed_by_a_client_that_uses_the_key_all_the_time(
    stage: Stage, team: str, measures: Measures
) -> None:
    llm = stage.workload(team, "llm", keys=DATA_KEYS)
    pod = stage.pod(team, "llm", "llm")
    client = pod.loop("use", seconds=150, period=0.02, **stage.vault_options(llm))
    asked = time.time()
    annotation = {"metadata": {"annotations": {names.ROTATE_ANNOTATION: "e2e-1"}}}
    path = SECURE_AI_WORKLOADS.path(team, "llm")
    stage.lab.api.request("PATCH", path, annotation, "application/merge-patch+json")

    def arrived() -> bool:
        last = client.outcomes()[-1]
        return bool(last["ok"] and last["version"] == "v2" and last["mounted"] == ["v2"])

    stage.lab.wait_for(arrived, 120, "the new version to be in use in the pod")
    outcomes = client.end()
    failed = [outcome for outcome in outcomes if not outcome["ok"]]
    assert failed == []
    first = next(outcome["at"] for outcome in outcomes if outcome["version"] == "v2")
    mounted = next(outcome["at"] for outcome in outcomes if outcome["mounted"] == ["v2"])
    measures.seconds("rotation asked for → new version encrypts in the pod", first - asked)
    measures.seconds("rotation asked for → rewrapped data keys are mounted in the pod", mounted - asked)
    measures.note("uses of the key during the rotation, failed", f"{len(outcomes)}, {len(failed)}")


def test_certificates_let_two_workloads_talk_mutual_tls_and_keep_out_a_third(stage: Stage, team: str) -> None:
    clients = ("asking", "third")
    for name in clients:
        stage.workload(team, name, network={"egress": [{"to": [{"workload": "model"}], "ports": [8000]}]})
    # The network lets the third in as well: what keeps it out is its certificate.
    ingress = [{"from": [{"workload": name} for name in clients], "ports": [8000]}]
    stage.workload(team, "model", network={"ingress": ingress})
    admitted, server = f"asking.{team}.svc", f"model.{team}.svc"
    model = stage.pod(team, "model", "model", "serve", "--port=8000", f"--admit={admitted}")
    asking, third = stage.pod(team, "asking", "asking"), stage.pod(team, "third", "third")
    assert asking.probe("get", host=model.address, name=server)["status"] == 200
    # A certificate of the same authority, of another workload.
    assert third.probe("get", host=model.address, name=server)["status"] == 403
    # No certificate at all, and a server that is another than it should be.
    assert third.probe("get", host=model.address, name=server, without_certificate=True)["error"] in (
        "SSLError",
        "ConnectionResetError",
        "ConnectionAbortedError",
    )
    wrong = asking.probe("get", host=model.address, name=f"third.{team}.svc")
    assert wrong["error"] == "SSLCertVerificationError"
