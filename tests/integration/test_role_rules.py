"""A role is read from a real API server, and again only when it is too old to count."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from lab import Lab
from secureai_operator.api.access import RoleKind
from secureai_operator.api.resources import ROLES
from secureai_operator.clients.kube import AioKube, KubeSettings
from secureai_operator.controllers.role_rules import FRESH_SECONDS, SETTLED_SECONDS, RoleRules, rules_of

pytestmark = pytest.mark.integration

NAME = "reader"


@dataclasses.dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def role(verb: str) -> dict[str, Any]:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}
    return {"apiVersion": ROLES.api_version, "kind": ROLES.kind, "metadata": {"name": NAME}, "rules": [rule]}


async def test_a_role_that_changed_is_seen_when_the_old_one_is_too_old(lab: Lab, namespace: str) -> None:
    settings = KubeSettings(kubeconfig=str(lab.admin_kubeconfig))
    clock = Clock()
    async with await AioKube.connect(settings) as kube:
        roles = RoleRules(kube, clock)

        async def read(age: float) -> Any:
            return await roles.of(RoleKind.ROLE, namespace, NAME, age)

        assert await read(FRESH_SECONDS) is None
        await kube.create(ROLES, namespace, role("get"))
        clock.now += FRESH_SECONDS - 1
        assert await read(FRESH_SECONDS) is None
        clock.now += 1
        assert await read(FRESH_SECONDS) == rules_of(role("get"))

        await kube.apply(ROLES, namespace, NAME, role("list"))
        clock.now += FRESH_SECONDS
        assert await read(SETTLED_SECONDS) == rules_of(role("get"))
        assert await read(FRESH_SECONDS) == rules_of(role("list"))

        await kube.delete(ROLES, namespace, NAME)
        clock.now += SETTLED_SECONDS
        assert await read(SETTLED_SECONDS) is None
