"""Plan: no difference, no step; every difference exactly one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from secureai_operator.controllers.children import as_child
from secureai_operator.core.drift import Child
from secureai_operator.core.plan import Apply, Create, Delete, Replace, plan
from tests.unit.samples import Json, live, made_for, specs, workload

FULL: Json = {
    "access": {
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
        "roleRefs": [{"name": "reader"}],
    }
}
Place = tuple[str, str]


def children(spec: Json, **metadata: Any) -> dict[Place, Child]:
    found = [as_child(live(item)) for item in made_for(workload(spec, **metadata))]
    return {(child.kind, child.name): child for child in found}


@given(specs)
@settings(max_examples=25, deadline=None)
def test_a_whole_workload_needs_no_step(spec: Json) -> None:
    assert list(plan(made_for(workload(spec)), children(spec))) == []


@given(specs, specs)
@settings(max_examples=25, deadline=None)
def test_the_steps_lead_from_any_spec_to_any_other(before: Json, after: Json) -> None:
    objects = children(before)
    for step in list(plan(made_for(workload(after)), objects)):
        if isinstance(step, Delete):
            del objects[step.live.kind, step.live.name]
        else:
            objects[step.desired.resource.kind, step.desired.name] = as_child(live(step.desired))
    assert objects == children(after)


def test_what_is_missing_is_created_and_what_is_left_over_deleted() -> None:
    objects = children(FULL)
    role = objects.pop(("Role", "saw-llm"))
    steps = list(plan(made_for(workload(FULL)), objects))
    assert [type(step) for step in steps] == [Create]
    objects[role.kind, role.name] = role
    deleted = [
        (step.live.kind, step.live.name)
        for step in plan(made_for(workload({})), objects)
        if isinstance(step, Delete)
    ]
    assert sorted(deleted) == [
        ("Role", "saw-llm"),
        ("RoleBinding", "saw-llm-ref0"),
        ("RoleBinding", "saw-llm-rules"),
    ]


def test_another_role_needs_another_binding_because_it_cannot_be_changed() -> None:
    other = {"access": {**FULL["access"], "roleRefs": [{"name": "writer"}]}}
    (step,) = plan(made_for(workload(other)), children(FULL))
    assert isinstance(step, Replace)
    assert (step.desired.name, step.parts) == ("saw-llm-ref0", ("roleRef",))


def test_a_changed_object_is_applied_and_its_parts_are_named() -> None:
    other = {"access": {**FULL["access"], "rules": [{**FULL["access"]["rules"][0], "verbs": ["list"]}]}}
    (step,) = plan(made_for(workload(other)), children(FULL))
    assert isinstance(step, Apply)
    assert (step.desired.name, step.parts) == ("saw-llm", ("rules",))


def test_under_audit_nothing_isolates_what_runs() -> None:
    steps = list(plan(made_for(workload({"enforcement": "Audit"})), children({})))
    assert {(type(step), step.live.kind) for step in steps if isinstance(step, Delete)} == {
        (Delete, "NetworkPolicy")
    }
    assert len(steps) == 2
