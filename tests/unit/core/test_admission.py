"""The generated admission policies: within CEL's budget, and the committed file is what the code says."""

from __future__ import annotations

from pathlib import Path

import yaml

from scripts.generate_admission import FILE, content
from secureai_operator import names
from secureai_operator.api.rules import GRANTS_MAX
from secureai_operator.core import admission

BASE = Path(__file__).parents[3] / "manifests" / "base" / "admission"

CHECK_COST = 350_000
EXPRESSION_BUDGET = 1_000_000
POLICY_BUDGET = 10_000_000


def test_the_committed_policies_are_the_generated_ones() -> None:
    assert (BASE / FILE).read_text(encoding="utf-8") == content(), "run `make generate`"


def test_each_expression_and_each_policy_stays_within_what_the_api_server_lets_it_spend() -> None:
    for policy in admission.policies():
        expressions = [part["expression"] for part in policy["spec"].get("validations", ())]
        checks = [expression.count(".check(") for expression in expressions]
        assert all(count * CHECK_COST < EXPRESSION_BUDGET for count in checks)
        assert sum(checks) * CHECK_COST < POLICY_BUDGET


def test_every_combination_and_every_role_reference_is_asked_about() -> None:
    by_name = {
        policy["metadata"]["name"]: policy
        for policy in admission.policies()
        if "validations" in policy["spec"]
    }
    grants = [item["expression"] for item in by_name[admission.AUTHORS_POLICY]["spec"]["validations"]]
    assert sum(".check(" in expression for expression in grants) == GRANTS_MAX
    references = [item["expression"] for item in by_name[admission.ROLE_REFS_POLICY]["spec"]["validations"]]
    assert sum(".check('bind')" in expression for expression in references) == admission.ROLE_REFS_MAX


def test_every_policy_fails_closed_and_is_bound_to_deny() -> None:
    manifests = [
        document for file in sorted(BASE.glob("*.yaml")) for document in yaml.safe_load_all(file.read_text())
    ]
    policies = [item for item in manifests if item["kind"].endswith("AdmissionPolicy")]
    bindings = {
        item["spec"]["policyName"]: item for item in manifests if item["kind"].endswith("PolicyBinding")
    }
    assert len(policies) == len(bindings)
    for policy in policies:
        assert policy["spec"]["failurePolicy"] == "Fail", policy["metadata"]["name"]
        binding = bindings[policy["metadata"]["name"]]
        if policy["kind"] == "ValidatingAdmissionPolicy":
            assert binding["spec"]["validationActions"] == ["Deny"]


def test_no_workload_may_live_where_pods_are_not_looked_at() -> None:
    """Else its pods would be neither bound nor refused."""
    for file in sorted(BASE.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            selector = document.get("spec", {}).get("matchConstraints", {}).get("namespaceSelector")
            if selector is not None:
                (expression,) = selector["matchExpressions"]
                assert tuple(expression["values"]) == admission.SYSTEM_NAMESPACES, file.name
    assert names.OPERATOR_NAMESPACE in admission.SYSTEM_NAMESPACES
