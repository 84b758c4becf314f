"""CRs for the integration tests: the CRDs installed, objects built, and what the API server answers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import Lab
from secureai_operator import names
from secureai_operator.api import crd

CRDS = Path(__file__).parents[2] / "crds"
STRICT = "fieldManager=test&fieldValidation=Strict"
"""As kubectl sends it: unknown fields are errors."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that the API server found wrong."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said to a write; `causes` is empty if it accepted it."""

    code: int
    body: Json
    causes: tuple[Cause, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.code < 400


def install_crds(lab: Lab) -> None:
    """The committed files, served and accepted as structural."""
    lab.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
    wait = (
        "wait",
        "--for=condition=Established",
        "--timeout=5s",
        *(f"crd/{kind.name}" for kind in crd.KINDS),
    )
    # A new CRD has no conditions at first, which `kubectl wait` takes for an error.
    lab.wait_for(lambda: lab.kubectl(*wait), 30, "the CRDs to be established")


def workload(spec: Mapping[str, Any] | None = None, name: str = "llm") -> Json:
    return _object(crd.SECURE_AI_WORKLOAD, spec, name)


def policy(spec: Mapping[str, Any] | None = None, name: str = "weekly") -> Json:
    return _object(crd.KEY_ROTATION_POLICY, spec, name)


def _object(kind: crd.Kind, spec: Mapping[str, Any] | None, name: str) -> Json:
    body: Json = {"apiVersion": names.API_VERSION, "kind": kind.kind, "metadata": {"name": name}}
    return body if spec is None else {**body, "spec": dict(spec)}


def path(namespace: str, manifest: Json, *, named: bool = False, subresource: str = "") -> str:
    plural = next(kind.plural for kind in crd.KINDS if kind.kind == manifest["kind"])
    collection = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{plural}"
    return f"{collection}/{manifest['metadata']['name']}{subresource}" if named else collection


def create(lab: Lab, namespace: str, manifest: Json, *, dry_run: bool = False) -> Answer:
    dry = "&dryRun=All" if dry_run else ""
    return _answer(*lab.api.raw("POST", f"{path(namespace, manifest)}?{STRICT}{dry}", manifest))


def merge(lab: Lab, namespace: str, manifest: Json, change: Json, *, status: bool = False) -> Answer:
    where = path(namespace, manifest, named=True, subresource="/status" if status else "")
    return _answer(*lab.api.raw("PATCH", f"{where}?{STRICT}", change, "application/merge-patch+json"))


def apply_status(lab: Lab, namespace: str, manifest: Json, status: Json, manager: str) -> Answer:
    where = path(namespace, manifest, named=True, subresource="/status")
    body = {**{key: manifest[key] for key in ("apiVersion", "kind", "metadata")}, "status": status}
    return _answer(
        *lab.api.raw("PATCH", f"{where}?fieldManager={manager}", body, "application/apply-patch+yaml")
    )


def _answer(code: int, text: str) -> Answer:
    body = json.loads(text)
    if code < 400:
        return Answer(code, body)
    found = body.get("details", {}).get("causes") or [{"field": "", "message": body.get("message", "")}]
    causes = tuple(Cause(cause.get("field", ""), cause.get("message", "")) for cause in found)
    return Answer(
        code, body, tuple(cause for cause in causes if "rules were not checked" not in cause.message)
    )
