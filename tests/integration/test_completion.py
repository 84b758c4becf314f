"""A real shell completes verbs, flags and the names that are in the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from tests.fixtures_operator import Workloads

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("product")]

# What bash itself does for a key press: it sets these, calls the function that is registered, and reads COMPREPLY.
_PRESS = """
source <("$1" completion bash)
COMP_LINE="$2"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
read -ra COMP_WORDS <<< "$COMP_LINE"; [[ "$COMP_LINE" == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
registered=$(complete -p secureai); registered=${registered#*-F }; registered=${registered%% *}
"$registered" secureai "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""
SECUREAI = Path(sys.executable).parent / "secureai"


def offered(lab: Lab, line: str, kubeconfig: Path | None = None) -> set[str]:
    """What bash offers when the tab key is pressed at the end of the line."""
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", _PRESS, "bash", str(SECUREAI), line],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={
            **os.environ,
            "PATH": f"{SECUREAI.parent}:{os.environ['PATH']}",
            "KUBECONFIG": str(kubeconfig or lab.admin_kubeconfig),
        },
    )
    return {word.strip() for word in done.stdout.splitlines() if word.strip()}


def test_verbs_and_flags_are_offered(lab: Lab) -> None:
    assert offered(lab, "secureai sta") == {"status"}
    assert {"why", "tree", "rotate", "report"} <= offered(lab, "secureai ")
    assert "--all-namespaces" in offered(lab, "secureai report --al")


def test_live_names_are_offered(lab: Lab, workloads: Workloads, namespace: str) -> None:
    for name in ("llm", "llama", "ranker"):
        workloads.create(namespace, name, suspend=True)
    policy = {
        "apiVersion": "secureai.dev/v1alpha1",
        "kind": "KeyRotationPolicy",
        "metadata": {"name": "weekly"},
        "spec": {"selector": {}, "schedule": {"interval": "168h"}},
    }
    lab.api.request("POST", KEY_ROTATION_POLICIES.path(namespace), policy)
    assert offered(lab, f"secureai why -n {namespace} ll") == {"llm", "llama"}
    assert offered(lab, f"secureai rotate -n {namespace} --policy w") == {"weekly"}
    assert offered(lab, f"secureai status -n {namespace[:-1]}") == {namespace}
    for name in ("llm", "llama", "ranker"):
        workloads.delete(namespace, name)


def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(lab: Lab, tmp_path: Path) -> None:
    assert offered(lab, "secureai why -n team-a ll", tmp_path / "none") == set()
