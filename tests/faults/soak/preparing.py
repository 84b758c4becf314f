"""What a run needs before it begins: the product on a lab of its own, policies, and two seats for operators."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from lab import Lab
from lab.waiting import wait_for
from secureai_operator import names
from secureai_operator.api.resources import KEY_ROTATION_POLICIES
from tests.faults.proxy import Proxies
from tests.faults.soak.changes import Changes
from tests.faults.soak.faults import Chooser, Faults
from tests.faults.soak.fleet import NAMESPACES, TIERS, Fleet
from tests.faults.soak.rightness import Rightness
from tests.faults.soak.run import PROBE_SECONDS, Json, Plan, Soak
from tests.faults.soak.seats import Seat, proxies_for
from tests.product import Product


@contextmanager
def prepared(lab: Lab, plan: Plan, say: Callable[[str], None]) -> Iterator[Soak]:
    """The product on a lab of its own, and everything that a run needs."""
    product = Product(lab)
    product.install()
    for namespace in NAMESPACES:
        lab.create_namespace(namespace)
    _wait_for_admission(lab)
    proxies = proxies_for(lab)
    settings = {"vaultProbeSeconds": PROBE_SECONDS, "evictUnboundPods": True}
    seats = Seat("a", lab, product, settings, proxies), Seat("b", lab, product, settings)
    rng = random.Random(plan.seed)  # noqa: S311 - no secret
    with Proxies(*proxies).running() as running:
        fleet = Fleet(lab, rng, plan.with_pods)
        soak = Soak(
            lab,
            plan,
            seats,
            running,
            fleet,
            changes=Changes(lab, fleet, rng, plan.size, lambda: soak.now()),  # noqa: PLW0108 - there is no soak yet
            rightness=Rightness(lab, fleet, 2 * PROBE_SECONDS),
            faults=Faults(lab, seats, running, rng),
            chooser=Chooser(rng),
            random=rng,
            say=say,
        )
        _make_policies(lab, plan)
        yield soak


def _make_policies(lab: Lab, plan: Plan) -> None:
    """In each namespace one that strikes at a minute within the run, and one by age; old versions retire within minutes."""
    minute = int(time.time() / 60 + plan.minutes * 0.6) % 60
    schedules: dict[str, Json] = {
        "often": {"cron": f"{minute} * * * *", "jitter": "5m"},
        "hourly": {"interval": "1h", "jitter": "10m"},
    }
    for namespace in NAMESPACES:
        for tier in TIERS:
            body = {
                "apiVersion": names.API_VERSION,
                "kind": "KeyRotationPolicy",
                "metadata": {"name": tier},
                "spec": {
                    "selector": {"matchLabels": {"tier": tier}},
                    "schedule": schedules[tier],
                    "retire": {"after": "1m", "canary": "1m", "keepVersions": 2},
                },
            }
            lab.api.request("POST", KEY_ROTATION_POLICIES.path(namespace), body)


def _wait_for_admission(lab: Lab) -> None:
    """Until the API server's admission knows our kinds it refuses what our policies match."""
    pod = {
        "metadata": {"name": "of-no-workload"},
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }

    def knows_our_kinds() -> bool:
        code, _ = lab.api.raw("POST", f"/api/v1/namespaces/{NAMESPACES[0]}/pods?dryRun=All", pod)
        return code < HTTPStatus.MULTIPLE_CHOICES

    wait_for(knows_our_kinds, 150, "admission to know our kinds")
