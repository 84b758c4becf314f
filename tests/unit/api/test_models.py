"""The models: their examples are valid, their defaults are the secure ones, and times read as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from secureai_operator.api.confidential import ConfidentialMode
from secureai_operator.api.model import seconds
from secureai_operator.api.reasons import REASONS
from secureai_operator.api.rotation import KeyRotationPolicySpec, KeyRotationPolicyStatus
from secureai_operator.api.rules import CRON
from secureai_operator.api.workload import (
    CertificateSpec,
    DeletionPolicy,
    DriftPolicy,
    Enforcement,
    SecureAIWorkloadSpec,
)
from secureai_operator.api.workload_status import SecureAIWorkloadStatus

ROOTS = (SecureAIWorkloadSpec, SecureAIWorkloadStatus, KeyRotationPolicySpec, KeyRotationPolicyStatus)


def models_below(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from models_below(info.annotation)
    for argument in get_args(annotation):
        yield from models_below(argument)


MODELS = sorted({model for root in ROOTS for model in models_below(root)}, key=lambda model: model.__name__)


def required_examples(model: type[BaseModel]) -> dict[str, Any]:
    return {
        info.alias or name: info.examples[0]
        for name, info in model.model_fields.items()
        if info.is_required() and info.examples
    }


# Shortened examples of a list of statuses name only the interesting fields; a reader needs no more.
ABRIDGED = {("SecureAIWorkloadStatus", "conditions"), ("SecureAIWorkloadStatus", "data_keys"),
            ("SecureAIWorkloadStatus", "last_drift"), ("KeyRotationPolicyStatus", "conditions")}  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_example_is_valid(model: type[BaseModel]) -> None:
    for name, info in model.model_fields.items():
        assert info.examples, name
        if (model.__name__, name) not in ABRIDGED:
            model.model_validate(required_examples(model) | {info.alias or name: info.examples[0]})


def test_an_empty_spec_is_the_secure_one() -> None:
    spec = SecureAIWorkloadSpec()
    assert spec.enforcement is Enforcement.ENFORCE
    assert spec.drift_policy is DriftPolicy.HEAL
    assert spec.deletion_policy is DeletionPolicy.RETAIN
    assert spec.confidential.mode is ConfidentialMode.PREFERRED
    assert not spec.access.rules
    assert not spec.access.role_refs
    assert not spec.network.ingress
    assert not spec.network.egress
    assert not spec.network.kubernetes_api
    assert not spec.suspend


@given(st.integers(0, 999_999), st.integers(0, 999_999), st.integers(0, 99_999_999))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, secs: int) -> None:
    written = f"{hours}h{minutes}m{secs}s"
    assert seconds(written) == hours * 3600 + minutes * 60 + secs


@pytest.mark.parametrize(
    "wrong", ["", "0s", "0h0m", "1d", "-1h", "1.5h", "1m1h", "h", "1h\n", " 1h", 5, "٣h"]
)
def test_a_duration_of_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        CertificateSpec.model_validate({"ttl": wrong})


@pytest.mark.parametrize(
    "right", ["0 3 * * 0", "*/5 0-6,20-23 1 jan-mar MON", "59 23 31 12 7", "0  3 * * sun"]
)
def test_a_cron_expression_has_five_fields(right: str) -> None:
    assert re.search(CRON, right)


@pytest.mark.parametrize(
    "wrong",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
     "@daily", "*/0 * * * *", "1- * * * *", "* * * foo *", "0 3 * * 0;x"],
)  # fmt: skip
def test_a_cron_expression_that_is_none_is_refused(wrong: str) -> None:
    assert not re.search(CRON, wrong)


@pytest.mark.parametrize("reason", REASONS.values(), ids=str)
def test_every_reason_says_what_it_means_why_and_what_next(reason: Any) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]{2,63}", reason.name)
    for text in (reason.meaning, reason.cause, reason.next_step):
        assert re.fullmatch(r"\S.{8,}\.", text), text
