"""The client against a real API server: what each verb does, and what each failure becomes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from secureai_operator import errors
from secureai_operator.api.resources import (
    CONFIG_MAPS,
    NAMESPACES,
    NODES,
    PODS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    Resource,
)
from secureai_operator.clients.kube import AioKube, KubeSettings, ScopedKube

pytestmark = pytest.mark.integration

SENTINEL = "s3cr3t-sentinel"


@pytest.fixture
async def kube(lab: Lab) -> AsyncIterator[AioKube]:
    async with await AioKube.connect(KubeSettings(kubeconfig=str(lab.admin_kubeconfig))) as connected:
        yield connected


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_apply_creates_and_then_changes_only_what_differs(kube: AioKube, namespace: str) -> None:
    made = await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"))
    again = await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"))
    changed = await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="2"))

    assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert changed["data"] == {"a": "2"}
    assert {entry["manager"] for entry in changed["metadata"]["managedFields"]} == {"secureai-operator"}


async def test_apply_takes_a_field_back_from_another_manager(kube: AioKube, lab: Lab, namespace: str) -> None:
    await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"))
    await asyncio.to_thread(
        lab.kubectl, "-n", namespace, "patch", "configmap", "one", "-p", '{"data":{"a":"theirs"}}'
    )

    healed = await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"))
    assert healed["data"] == {"a": "1"}

    await asyncio.to_thread(
        lab.kubectl, "-n", namespace, "patch", "configmap", "one", "-p", '{"data":{"a":"theirs"}}'
    )
    with pytest.raises(errors.KubeConflict):
        await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"), force=False)


async def test_a_dry_run_changes_nothing(kube: AioKube, namespace: str) -> None:
    shown = await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="1"), dry_run=True)

    assert shown["data"] == {"a": "1"}
    assert await kube.get(CONFIG_MAPS, namespace, "one") is None


async def test_get_of_what_is_not_there_is_none(kube: AioKube, namespace: str) -> None:
    assert await kube.get(SECRETS, namespace, "nothing") is None
    assert (await kube.get(NAMESPACES, None, namespace) or {})["kind"] == "Namespace"


async def test_create_of_what_exists_is_a_conflict(kube: AioKube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, namespace, config_map("one"))
    with pytest.raises(errors.KubeConflict, match=r"^create configmaps test-\w+: 409 AlreadyExists$"):
        await kube.create(CONFIG_MAPS, namespace, config_map("one"))


async def test_update_is_a_compare_and_swap(kube: AioKube, namespace: str) -> None:
    first = await kube.create(CONFIG_MAPS, namespace, config_map("one", a="1"))
    second = await kube.update(CONFIG_MAPS, namespace, "one", {**first, "data": {"a": "2"}})

    assert second["data"] == {"a": "2"}
    with pytest.raises(errors.KubeConflict):
        await kube.update(CONFIG_MAPS, namespace, "one", {**first, "data": {"a": "3"}})


async def test_delete_takes_only_the_object_that_is_meant(kube: AioKube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAPS, namespace, config_map("one"))

    with pytest.raises(errors.KubeConflict):
        await kube.delete(CONFIG_MAPS, namespace, "one", uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(errors.KubeConflict):
        await kube.delete(CONFIG_MAPS, namespace, "one", resource_version="1")
    assert await kube.delete(
        CONFIG_MAPS, namespace, "one", uid=made["metadata"]["uid"], propagation="Background"
    )
    assert not await kube.delete(CONFIG_MAPS, namespace, "one")


async def test_a_merge_patch_with_a_version_is_a_compare_and_swap(kube: AioKube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAPS, namespace, config_map("one", a="1"))
    version = made["metadata"]["resourceVersion"]

    patched = await kube.merge_patch(
        CONFIG_MAPS,
        namespace,
        "one",
        {"metadata": {"resourceVersion": version}, "data": {"a": None, "b": "2"}},
    )
    assert patched["data"] == {"b": "2"}
    with pytest.raises(errors.KubeConflict):
        await kube.merge_patch(
            CONFIG_MAPS, namespace, "one", {"metadata": {"resourceVersion": version}, "data": {"c": "3"}}
        )


async def test_a_json_patch_whose_test_does_not_hold_is_a_conflict(kube: AioKube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, namespace, config_map("one", a="1"))
    remove = {"op": "remove", "path": "/data/a"}

    with pytest.raises(errors.KubeConflict):
        await kube.json_patch(
            CONFIG_MAPS, namespace, "one", [{"op": "test", "path": "/data/a", "value": "2"}, remove]
        )
    patched = await kube.json_patch(
        CONFIG_MAPS, namespace, "one", [{"op": "test", "path": "/data/a", "value": "1"}, remove]
    )
    assert "data" not in patched


async def test_a_json_patch_that_makes_an_invalid_object_is_invalid(kube: AioKube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, namespace, config_map("one", a="1"))
    with pytest.raises(errors.KubeInvalid):
        await kube.json_patch(
            CONFIG_MAPS,
            namespace,
            "one",
            [
                {"op": "test", "path": "/data/a", "value": "1"},
                {"op": "add", "path": "/data/not a key", "value": "x"},
            ],
        )


async def test_lists_come_in_pages_of_one_version(kube: AioKube, namespace: str) -> None:
    await asyncio.gather(*(kube.create(CONFIG_MAPS, namespace, config_map(f"cm-{n}")) for n in range(7)))

    pages = [page async for page in kube.list_pages(CONFIG_MAPS, namespace, limit=3)]

    found = {item["metadata"]["name"] for items, _ in pages for item in items} - {"kube-root-ca.crt"}
    assert found == {f"cm-{n}" for n in range(7)}
    assert len(pages) >= 3
    assert len({version for _, version in pages}) == 1


async def test_selectors_choose(kube: AioKube, namespace: str) -> None:
    labelled = config_map("two")
    labelled["metadata"]["labels"] = {"tier": "a b".replace(" ", "-")}
    await kube.create(CONFIG_MAPS, namespace, config_map("one"))
    await kube.create(CONFIG_MAPS, namespace, labelled)

    by_label = [
        page async for page in kube.list_pages(CONFIG_MAPS, namespace, label_selector="tier in (a-b,c)")
    ]
    by_field = [
        page async for page in kube.list_pages(CONFIG_MAPS, namespace, field_selector="metadata.name=one")
    ]

    assert [item["metadata"]["name"] for items, _ in by_label for item in items] == ["two"]
    assert [item["metadata"]["name"] for items, _ in by_field for item in items] == ["one"]


async def test_a_watch_yields_changes_until_the_server_ends_it(kube: AioKube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAPS, namespace, config_map("one", a="1"))
    await kube.apply(CONFIG_MAPS, namespace, "one", config_map("one", a="2"))
    await kube.delete(CONFIG_MAPS, namespace, "one")

    seen = [
        (kind, event.get("data"))
        async for kind, event in kube.watch(
            CONFIG_MAPS, namespace, resource_version=made["metadata"]["resourceVersion"], timeout=2
        )
        if kind != "BOOKMARK"
    ]
    assert seen == [("MODIFIED", {"a": "2"}), ("DELETED", {"a": "2"})]


async def test_hostile_names_never_leave_their_place_in_the_path(kube: AioKube, namespace: str) -> None:
    for name in ("..", "../secrets/x", "a/b", "a%2fb", "", "a?watch=1", "a#b", "a b"):
        with pytest.raises(errors.KubeInvalid):
            await kube.get(CONFIG_MAPS, namespace, name)
        with pytest.raises(errors.KubeInvalid):
            await kube.get(CONFIG_MAPS, name, "x")


async def test_a_missing_namespace_is_not_found(kube: AioKube) -> None:
    with pytest.raises(errors.KubeNotFound):
        await kube.apply(CONFIG_MAPS, "no-such-namespace", "one", config_map("one"))


async def test_a_kind_that_is_not_served_is_not_found(kube: AioKube) -> None:
    unknown = Resource("nobody.example", "v1", "things", "Thing")
    with pytest.raises(errors.KubeNotFound):
        async for _ in kube.list_pages(unknown):
            pass


async def test_an_invalid_object_is_terminal_and_its_content_is_not_quoted(
    kube: AioKube, namespace: str
) -> None:
    broken = config_map("one")
    broken["metadata"]["labels"] = {"x": f"{SENTINEL}!"}
    with pytest.raises(errors.KubeInvalid) as caught:
        await kube.apply(CONFIG_MAPS, namespace, "one", broken)
    assert str(caught.value) == f"apply configmaps {namespace}/one: 422 Invalid"
    assert caught.value.reason == "KubernetesRefused"


async def test_a_missing_right_waits_for_the_user(lab: Lab, kube: AioKube, namespace: str) -> None:
    await kube.create(
        SERVICE_ACCOUNTS,
        namespace,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}},
    )
    path = await asyncio.to_thread(lab.kubeconfig_for, namespace, "nobody")
    async with await AioKube.connect(KubeSettings(kubeconfig=str(path))) as nobody:
        with pytest.raises(errors.KubeForbidden) as caught:
            await nobody.get(SECRETS, namespace, "x")
        assert caught.value.reason == "OperatorForbidden"
        assert not await nobody.can_i("get", SECRETS, namespace, "x")
    assert await kube.can_i("get", SECRETS, namespace, "x")
    assert await kube.can_i("update", PODS, namespace, "x", "status")


async def test_a_quota_is_not_taken_for_a_missing_right(kube: AioKube, lab: Lab, namespace: str) -> None:
    quota = Resource("", "v1", "resourcequotas", "ResourceQuota")
    await kube.create(
        quota,
        namespace,
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "none"},
            "spec": {"hard": {"count/roles.rbac.authorization.k8s.io": "0"}},
        },
    )

    def counted() -> bool:
        status = lab.api.request("GET", f"/api/v1/namespaces/{namespace}/resourcequotas/none")["status"]
        return "used" in status

    await asyncio.to_thread(lab.wait_for, counted)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r"},
        "rules": [],
    }
    with pytest.raises(errors.KubeForbidden) as caught:
        await kube.apply(ROLES, namespace, "r", role)
    assert caught.value.reason == "KubernetesRefused"


async def test_a_namespace_that_goes_away_is_named_as_such(kube: AioKube, namespace: str) -> None:
    keeper = config_map("keeper")
    keeper["metadata"]["finalizers"] = ["secureai.dev/test"]
    await kube.create(CONFIG_MAPS, namespace, keeper)
    await kube.delete(NAMESPACES, None, namespace)

    with pytest.raises(errors.KubeForbidden) as caught:
        await kube.create(CONFIG_MAPS, namespace, config_map("late"))
    assert caught.value.reason == "Terminating"
    await kube.merge_patch(CONFIG_MAPS, namespace, "keeper", {"metadata": {"finalizers": None}})


async def test_eviction_takes_only_the_pod_that_is_meant(kube: AioKube, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "none"}]},
    }
    made = await kube.create(PODS, namespace, pod)
    with pytest.raises(errors.KubeConflict):
        await kube.evict(namespace, "p", "00000000-0000-0000-0000-000000000000")
    assert await kube.evict(namespace, "p", made["metadata"]["uid"])
    assert not await kube.evict(namespace, "not-there", made["metadata"]["uid"])


async def test_a_scope_reaches_nothing_outside_its_namespace(kube: AioKube, namespace: str) -> None:
    scope = ScopedKube(kube, namespace)

    made = await scope.apply(CONFIG_MAPS, "one", config_map("one", a="1"))
    assert made["metadata"]["namespace"] == namespace
    elsewhere = config_map("one")
    elsewhere["metadata"]["namespace"] = "default"
    with pytest.raises(errors.Terminal):
        await scope.apply(CONFIG_MAPS, "one", elsewhere)
    with pytest.raises(errors.Terminal):
        await scope.create(CONFIG_MAPS, elsewhere)
    with pytest.raises(errors.Terminal):
        await scope.update(CONFIG_MAPS, "other", config_map("one"))
    with pytest.raises(errors.Terminal):
        await scope.apply(SECRETS, "one", config_map("one"))
    with pytest.raises(errors.Terminal):
        await scope.get(NODES, "tdx-0")
    assert await kube.get(CONFIG_MAPS, "default", "one") is None


async def test_a_renewed_token_file_is_used_without_a_restart(
    lab: Lab, namespace: str, tmp_path: Path
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("not-a-token\n")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        f"""apiVersion: v1
kind: Config
current-context: lab
contexts: [{{name: lab, context: {{cluster: lab, user: us}}}}]
clusters: [{{name: lab, cluster: {{server: "{lab.api_url}", certificate-authority: "{lab.ca_file}"}}}}]
users: [{{name: us, user: {{tokenFile: token}}}}]
"""
    )
    async with await AioKube.connect(KubeSettings(kubeconfig=str(kubeconfig))) as ours:
        with pytest.raises(errors.KubeForbidden):
            await ours.can_i("get", PODS, namespace)
        token_file.write_text(await asyncio.to_thread(lab.token, namespace, "default"))
        assert not await ours.can_i("get", PODS, namespace)


@pytest.mark.restarts_api_server
async def test_an_api_server_that_is_away_is_unavailable_at_once_and_back_without_a_restart(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    await asyncio.to_thread(lab.stop_apiserver)
    try:
        started = time.monotonic()
        with pytest.raises(errors.KubeUnavailable):
            await kube.get(CONFIG_MAPS, namespace, "one")
        assert time.monotonic() - started < 11
    finally:
        await asyncio.to_thread(lab.start_apiserver)
    assert await kube.get(CONFIG_MAPS, namespace, "one") is None


@pytest.mark.restarts_api_server
async def test_a_watch_from_before_what_the_server_remembers_expires(
    kube: AioKube, lab: Lab, namespace: str
) -> None:
    await kube.create(CONFIG_MAPS, namespace, config_map("one"))
    await asyncio.to_thread(lab.restart_apiserver)  # its watch cache starts anew

    with pytest.raises(errors.KubeExpired):
        async for _ in kube.watch(CONFIG_MAPS, namespace, resource_version="1", timeout=5):
            pass
