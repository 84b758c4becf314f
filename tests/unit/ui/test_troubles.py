"""An error of the API server becomes words about a right or a cluster, never its own."""

from __future__ import annotations

import json

import pytest

from secureai_operator.clients._kube_errors import error_from_answer, unavailable
from secureai_operator.ui.troubles import Trouble, trouble_of

REMOTE = "remote words <script>"


def trouble(status: int, what: str = "list secureaiworkloads", namespace: str | None = None) -> Trouble:
    """What a page says when the API server answers with that status and words of its own."""
    body = json.dumps({"message": REMOTE, "reason": "Forbidden" if status == 403 else REMOTE}).encode()
    return trouble_of(error_from_answer(what, status, {}, body), namespace)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 429, 500, 503])
def test_nothing_that_was_answered_is_quoted(status: int) -> None:
    found = trouble(status)
    assert "remote" not in " ".join((found.title, found.message, *found.steps))
    assert found.status >= 400


def test_a_missing_right_is_named_for_all_namespaces() -> None:
    found = trouble(403)
    assert (found.status, found.title) == (403, "A right is missing")
    assert found.message == "You may not list secureaiworkloads.secureai.dev in all namespaces."
    assert "kubectl auth can-i list secureaiworkloads.secureai.dev -A" in found.steps[0]
    assert "secureai ui -n NAMESPACE" in found.steps[1]


def test_a_missing_right_is_named_for_one_namespace() -> None:
    found = trouble(403, "get secureaiworkloads llm", "team-a")
    assert found.message == "You may not get secureaiworkloads.secureai.dev in namespace team-a."
    assert len(found.steps) == 1
    assert "can-i get secureaiworkloads.secureai.dev -n team-a" in found.steps[0]


def test_a_core_kind_has_no_group() -> None:
    assert trouble(403, "list pods", "team-a").message == "You may not list pods in namespace team-a."


def test_credentials_that_expired_are_told_from_a_missing_right() -> None:
    assert trouble(401).title == "Your credentials are not accepted"


def test_no_answer_at_all_is_said_as_such() -> None:
    found = trouble_of(unavailable("list secureaiworkloads", ConnectionRefusedError(REMOTE)), None)
    assert (found.status, found.title) == (503, "The API server does not answer")
    assert found.message == "list secureaiworkloads: no answer (ConnectionRefusedError)"
