"""A hundred workloads, each asked about the paths of all hundred: each has exactly its own. And what the operator may not."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from lab import Lab, RequestFailed
from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from tests.fixtures_operator import Json, SharedOperator, Workloads, condition
from tests.integration.vault_identity import PKI, TRANSIT, Identity, vault_name
from tests.product import Product

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("operator"), pytest.mark.timeout(600)]

COUNT = 100
NAMESPACES = 4
READY_SECONDS = 300.0
THREADS = 8

ENCRYPTING = ("encrypt", "decrypt", "rewrap", "datakey/plaintext", "datakey/wrapped")
SIGNING = ("sign", "verify")
DENIED = ["deny"]

KEY_PATHS = (
    *(f"{TRANSIT}/{verb}/NAME" for verb in (*ENCRYPTING, *SIGNING, "hmac", "cmac", "backup", "derive")),
    f"{TRANSIT}/keys/NAME",
    *(f"{TRANSIT}/keys/NAME/{verb}" for verb in ("rotate", "config", "trim", "import", "import_version")),
    *(
        f"{TRANSIT}/export/{kind}/NAME"
        for kind in ("encryption-key", "signing-key", "hmac-key", "public-key")
    ),
    f"{TRANSIT}/byok-export/other/NAME",
    f"{TRANSIT}/restore/NAME",
    f"{TRANSIT}/encrypt/NAME/more",
    f"{TRANSIT}/encrypt/NAMEmore",
)
OTHER_PATHS = (
    f"{PKI}/sign/NAME",
    f"{PKI}/issue/NAME",
    f"{PKI}/roles/NAME",
    f"{PKI}/sign-verbatim/NAME",
    "sys/policies/acl/NAME",
    "auth/kubernetes/role/NAME",
)
"""Everything in Vault that carries a workload's name; NAME stands for it."""

Capabilities = Mapping[str, list[str]]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Member:
    """One of the hundred; they differ in what their policies hold."""

    namespace: str
    name: str
    signs: bool
    certified: bool

    @property
    def in_vault(self) -> str:
        return vault_name(self.namespace, self.name)

    def spec(self) -> Json:
        keys: Json = {"type": "ed25519"} if self.signs else {}
        return {"keys": keys, "certificate": {"delivery": "Secret" if self.certified else "None"}}

    def own(self) -> dict[str, list[str]]:
        """What its policy gives, and nothing else does."""
        verbs = SIGNING if self.signs else ENCRYPTING
        given = {f"{TRANSIT}/{verb}/{self.in_vault}": ["update"] for verb in verbs}
        given[f"{TRANSIT}/keys/{self.in_vault}"] = ["read"]
        if self.certified:
            given[f"{PKI}/sign/{self.in_vault}"] = ["update"]
        return given


@dataclass(slots=True)
class Hundred:
    """All of them Ready, each with its own login, made as a pod of it makes it."""

    lab: Lab
    members: Sequence[Member]
    identities: dict[str, Identity] = field(default_factory=dict, repr=False)

    def paths(self) -> list[str]:
        return [
            path.replace("NAME", one.in_vault) for one in self.members for path in (*KEY_PATHS, *OTHER_PATHS)
        ]

    def capabilities(self, token: str, paths: Sequence[str]) -> Capabilities:
        """What Vault says that the token may do there."""
        answer = self.lab.vault_request("POST", "sys/capabilities", {"token": token, "paths": list(paths)})[
            "data"
        ]
        return {path: answer[path] for path in paths}


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


@pytest.fixture(scope="module")
def hundred(
    lab: Lab,
    product: Product,  # noqa: ARG001 - installed
    running_operator: SharedOperator,  # noqa: ARG001 - running
    workloads: Workloads,
) -> Iterator[Hundred]:
    mark = secrets.token_hex(3)
    spaces = [f"pairs-{mark}-{number}" for number in range(NAMESPACES)]
    for space in spaces:
        lab.create_namespace(space)
    # The same name in each namespace, so that names alone tell nobody apart.
    members = [
        Member(spaces[number % NAMESPACES], f"w{number // NAMESPACES}", number % 5 == 0, number % 7 != 0)
        for number in range(COUNT)
    ]
    side_by_side(lambda one: workloads.create(one.namespace, one.name, **one.spec()), members)
    lab.wait_for(lambda: all(_all_ready(lab, space) for space in spaces), READY_SECONDS, "all to be Ready")
    made = Hundred(lab, members)
    logins = side_by_side(lambda one: Identity.of(lab, one.namespace, one.name), members)
    made.identities = {one.in_vault: identity for one, identity in zip(members, logins, strict=True)}
    yield made
    for space in spaces:
        lab.api.request("DELETE", SECURE_AI_WORKLOADS.path(space))
    for space in spaces:
        where = SECURE_AI_WORKLOADS.path(space)
        lab.wait_for(
            lambda where=where: not lab.api.request("GET", where)["items"],  # type: ignore[misc]
            READY_SECONDS,
            "all to go",
        )
        lab.delete_namespace(space)


def _all_ready(lab: Lab, namespace: str) -> bool:
    items = lab.api.request("GET", SECURE_AI_WORKLOADS.path(namespace))["items"]
    return all(condition(item, "Ready").get("status") == "True" for item in items)


def test_each_of_a_hundred_has_exactly_its_own_paths(hundred: Hundred) -> None:
    """10,000 pairs, each with all paths that carry a workload's name."""
    paths = hundred.paths()
    assert len(set(paths)) == COUNT * len((*KEY_PATHS, *OTHER_PATHS))
    wrong = []
    for member in hundred.members:
        token = hundred.identities[member.in_vault].token
        found = hundred.capabilities(token, paths)
        expected = {**dict.fromkeys(paths, DENIED), **member.own()}
        wrong += [
            f"{member.in_vault}: {path} {found[path]}" for path in paths if found[path] != expected[path]
        ]
    assert wrong == []


def test_no_login_of_a_workload_has_anything_that_is_not_of_its_name(hundred: Hundred) -> None:
    general = (
        "sys/policies/acl", "sys/auth", "sys/mounts", "sys/audit", "sys/seal", "sys/raw/core", "sys/capabilities",
        "sys/capabilities-self", "sys/wrapping/wrap", "sys/tools/random", "sys/internal/ui/mounts", "sys/leases/lookup",
        "auth/token/create", "auth/token/create-orphan", "auth/token/lookup", "auth/token/lookup-self",
        "auth/token/accessors", "auth/kubernetes/config", "auth/kubernetes/role", "identity/entity", "identity/entity/id",
        "cubbyhole/x", f"{TRANSIT}/keys", f"{TRANSIT}/random", f"{TRANSIT}/restore", f"{TRANSIT}/cache-config",
        f"{TRANSIT}/wrapping_key", f"{PKI}/issue/x", f"{PKI}/root/generate/internal", f"{PKI}/root/sign-intermediate",
        f"{PKI}/roles", f"{PKI}/revoke", f"{PKI}/tidy", f"{PKI}/config/urls", f"{PKI}/certs",
    )  # fmt: skip
    own_token = {"auth/token/renew-self": ["update"], "auth/token/revoke-self": ["update"]}
    for member in hundred.members:
        token = hundred.identities[member.in_vault].token
        found = hundred.capabilities(token, (*general, *own_token))
        assert found == {**dict.fromkeys(general, DENIED), **own_token}


def test_what_vault_says_of_a_pair_is_what_it_does(hundred: Hundred) -> None:
    """Real requests: each with its own key, and with that of the next."""

    def asked(pair: tuple[Member, Member]) -> tuple[bool, bool]:
        one, other = pair
        identity = hundred.identities[one.in_vault]
        return _works(identity, one), _works(identity, other)

    pairs = list(zip(hundred.members, [*hundred.members[1:], hundred.members[0]], strict=True))
    assert side_by_side(asked, pairs) == [(True, False)] * COUNT


def _works(identity: Identity, key: Member) -> bool:
    verb = "sign" if key.signs else "encrypt"
    part = "input" if key.signs else "plaintext"
    try:
        identity.request("POST", f"{TRANSIT}/{verb}/{key.in_vault}", {part: "YQ=="})
    except RequestFailed as error:
        assert error.status == 403  # noqa: PT017 - one of two answers
        return False
    return True


# The operator's own routine token


@pytest.fixture(scope="module")
def routine(lab: Lab, product: Product) -> Identity:
    """A login as the operator makes it."""
    connection = product.vault_connection()
    jwt = lab.token(names.OPERATOR_NAMESPACE, names.OPERATOR_SERVICE_ACCOUNT, "vault")
    return Identity.login(lab, connection.role, jwt)


OPERATORS = {
    f"{TRANSIT}/keys/NAME": ["create", "read", "update"],
    f"{TRANSIT}/keys/NAME/rotate": ["update"],
    f"{TRANSIT}/keys/NAME/config": ["update"],
    f"{TRANSIT}/rewrap/NAME": ["update"],
    f"{TRANSIT}/datakey/wrapped/NAME": ["update"],
    f"{PKI}/sign/NAME": ["update"],
    f"{PKI}/roles/NAME": ["create", "delete", "read", "update"],
    "sys/policies/acl/NAME": ["create", "delete", "read", "update"],
    "auth/kubernetes/role/NAME": ["create", "delete", "read", "update"],
}
"""All that the routine token may on what carries a workload's name. More here is more trust in the operator."""


def test_the_operators_token_has_these_capabilities_on_every_workload_and_no_others(
    hundred: Hundred, routine: Identity
) -> None:
    paths = hundred.paths()
    given = {
        path.replace("NAME", one.in_vault): what
        for one in hundred.members
        for path, what in OPERATORS.items()
    }
    found = hundred.capabilities(routine.token, paths)
    wrong = {path: what for path, what in found.items() if what != given.get(path, DENIED)}
    assert wrong == {}


def test_the_operators_token_neither_decrypts_nor_exports_nor_destroys_though_it_asks(
    hundred: Hundred, routine: Identity
) -> None:
    """Real requests for the keys of all workloads; afterwards each key is as it was."""
    before = [_key(hundred.lab, one) for one in hundred.members]
    answered = [
        said
        for found in side_by_side(lambda one: list(_temptations(hundred, routine, one)), hundred.members)
        for said in found
    ]
    assert answered == []
    assert [_key(hundred.lab, one) for one in hundred.members] == before


def _temptations(hundred: Hundred, routine: Identity, one: Member) -> Iterator[str]:
    """Each request that was answered and must not be."""
    name = one.in_vault
    ciphertext = "vault:v1:" + "A" * 64
    if not one.signs:
        ciphertext = hundred.identities[name].encrypt(name, b"secret")
    batch = {"batch_input": [{"ciphertext": ciphertext}]}
    requests: tuple[tuple[str, str, Any], ...] = (
        ("POST", f"{TRANSIT}/decrypt/{name}", {"ciphertext": ciphertext}),
        ("POST", f"{TRANSIT}/decrypt/{name}", batch),
        ("POST", f"{TRANSIT}/encrypt/{name}", {"plaintext": base64.b64encode(b"a").decode()}),
        ("POST", f"{TRANSIT}/datakey/plaintext/{name}", {}),
        ("POST", f"{TRANSIT}/hmac/{name}", {"input": "YQ=="}),
        ("POST", f"{TRANSIT}/sign/{name}", {"input": "YQ=="}),
        ("POST", f"{TRANSIT}/verify/{name}", {"input": "YQ==", "signature": "vault:v1:AAAA"}),
        ("GET", f"{TRANSIT}/export/encryption-key/{name}", None),
        ("GET", f"{TRANSIT}/export/signing-key/{name}/latest", None),
        ("GET", f"{TRANSIT}/export/hmac-key/{name}", None),
        ("GET", f"{TRANSIT}/backup/{name}", None),
        ("GET", f"{TRANSIT}/byok-export/{name}/{name}", None),
        ("POST", f"{TRANSIT}/keys/{name}/trim", {"min_available_version": 1}),
        ("POST", f"{TRANSIT}/keys/{name}/import_version", {"ciphertext": "AAAA"}),
        ("DELETE", f"{TRANSIT}/keys/{name}", None),
        ("POST", f"{TRANSIT}/keys/{name}/config", {"deletion_allowed": True}),
        ("POST", f"{TRANSIT}/keys/{name}/config", {"exportable": True}),
        ("POST", f"{TRANSIT}/keys/{name}/config", {"allow_plaintext_backup": True}),
        ("POST", f"{TRANSIT}/keys/{name}", {"exportable": True}),
        ("POST", f"{PKI}/issue/{name}", {"common_name": f"{one.name}.{one.namespace}.svc"}),
    )
    for method, path, body in requests:
        try:
            routine.request(method, path, body)
        except RequestFailed as error:
            if error.status != 403:
                yield f"{method} {path}: {error.status} and not 403"
        else:
            yield f"{method} {path} was answered"


def _key(lab: Lab, one: Member) -> Json:
    found: Json = lab.vault_request("GET", f"{TRANSIT}/keys/{one.in_vault}")["data"]
    return found
