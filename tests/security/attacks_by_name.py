"""Attacks by what is written into a name or a text: paths, policies, templates, and other namespaces, in every field there is."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial

from tests.integration.crd_objects import Answer, policy, workload
from tests.security.arena import SETTLED_SECONDS, Arena
from tests.security.catalogue import HARMLESS, REFUSED, Attack, add, attack
from tests.security.fields import Field, fields

INJECTION = "path and policy injection"
ELSEWHERE = "another namespace by every field"

FREE_TEXT = frozenset({"spec.keys.dataKeys[].context"})
"""Takes any text: it goes to Vault in base64, as a value, and into no path and no policy."""


_NAMES_OF_RBAC = frozenset({"spec.access.rules[].resourceNames[]", "spec.access.roleRefs[].name"})
"""May hold colons; they name something of the own namespace."""


@dataclass(frozen=True, slots=True)
class Value:
    """A text that steps out of something, if somebody lets it."""

    name: str
    text: str
    why: str
    taken_by: frozenset[str] = frozenset()
    """Fields in which it is a name like any other."""


VALUES = (
    Value("steps up a path", "../../sys/policies/acl/root", "a Vault path"),
    Value("closes the quotes of a policy", 'x" { capabilities = ["sudo"] }\npath "*', "the text of a policy"),
    Value("a comment in a policy", "llm #", "the text of a policy"),
    Value("a heredoc in a policy", "<<EOF\nsudo\nEOF", "the text of a policy"),
    Value("a glob", "*", "a Vault path or a rule"),
    Value("a glob at the end", "llm*", "a Vault path or a rule"),
    Value("a plus for one path segment", "+", "a Vault policy's path"),
    Value("a template of Vault's policies", "{{identity.entity.aliases.x.name}}", "a templated policy"),
    Value("an encoded slash", "%2e%2e%2fllm", "a URL"),
    Value("an encoded zero", "llm%00", "a URL"),
    Value("a query", "llm?list=true", "a URL"),
    Value("a fragment", "llm#x", "a URL"),
    Value("a header", "llm\r\nX-Vault-Token: root", "an HTTP request"),
    Value("a zero byte", "llm\x00", "a text that C reads"),
    Value("a Cyrillic letter", "\u04cf\u04cfm", "a name that looks like another"),
    Value("text from right to left", "llm\u202eelmaxe", "a name that looks like another"),
    Value("an invisible letter", "llm\u200b", "a name that looks like another"),
    Value("a shell's substitution", "$(id)", "a command line"),
    Value("a lookup of a logger", "${jndi:ldap://x/y}", "a logger"),
    Value("a format", "%s%n{0}", "a format string"),
    Value("markup of a terminal", "\x1b]8;;x\x07llm[/]", "what prints it"),
    Value("a comma", "llm,root", "a list of Vault's, such as a role's policies"),
    Value("JSON", '","policies":"root', "a body"),
    Value("wrapped text", "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a data key", _NAMES_OF_RBAC),
    Value("a certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "a parser"),
)


def _accepted(arena: Arena, text: str, where: Iterable[Field]) -> list[Field]:
    """The fields that take the text."""
    found = []
    for field in where:
        answer = _asked(arena, field, text)
        assert answer.code in {200, 201, 400, 403, 422}, f"{field}: {answer.code}"
        if answer.accepted:
            found.append(field)
    return found


def _asked(arena: Arena, field: Field, text: str) -> Answer:
    """A dry run by the tenant; what is about rights by the administrator, whom only the schema holds back."""
    manifest = field.manifest(arena.namespace, "asked", text)
    if not field.path.startswith("spec.access."):
        return arena.tenant.create(manifest, dry_run=True)
    return arena.administrator.create(manifest, dry_run=True)


def _carried_out(arena: Arena, text: str, accepted: Collection[Field]) -> None:
    """What was accepted is made for real; nothing of it is in a path or a policy in Vault."""
    made = []
    for field in accepted:
        name = arena.name()
        if field.path.startswith("spec.access."):
            continue
        assert arena.tenant.create(field.manifest(arena.namespace, name, text)).accepted
        if field.kind == "SecureAIWorkload":
            made.append(name)
    for name in made:
        arena.answered(name)
        found = arena.in_vault("policy", name)
        assert found is None or text not in found["policy"]
        assert found is None or arena.victim not in found["policy"]
    arena.nobody_else_was_touched()
    arena.clear()


def _in_every_field(value: Value, arena: Arena) -> None:
    accepted = _accepted(arena, value.text, fields())
    assert {field.path for field in accepted} <= FREE_TEXT | value.taken_by, [
        str(field) for field in accepted
    ]
    _carried_out(arena, value.text, accepted)


def _as_a_name(value: Value, arena: Arena) -> None:
    for manifest in (
        workload({}, value.text),
        policy({"selector": {}, "schedule": {"interval": "2h"}}, value.text),
    ):
        assert not arena.tenant.create(manifest).accepted
    generated = workload({}, "x")
    generated["metadata"] = {"generateName": value.text}
    answer = arena.tenant.create(generated)
    # With letters behind it a name may be one; it is then like any other.
    assert not answer.accepted or value.text.isalnum(), value.text


for _value in VALUES:
    add(
        Attack(
            f"{_value.name}, in every text",
            INJECTION,
            f"`{ascii(_value.text)[1:-1]}` in each text of both schemas: to step out of {_value.why}",
            REFUSED,
            "refused by each field but the context of a data key, which goes to Vault in base64; that one is made, and the text is in no policy",
            partial(_in_every_field, _value),
        )
    )


@attack(
    "hostile names",
    INJECTION,
    "each of these texts as the name of a workload and of a policy, and as `generateName`",
    REFUSED,
    "the API server refuses the name",
)
def hostile_names(arena: Arena) -> None:
    for value in VALUES:
        _as_a_name(value, arena)


@attack(
    "a generated name with a dot",
    INJECTION,
    "`generateName: victim.`, so that the name in Vault would have a part more",
    REFUSED,
    "a name has no dots, however it was made",
)
def generated_name(arena: Arena) -> None:
    manifest = workload({})
    manifest["metadata"] = {"generateName": f"{arena.victim}."}
    answer = arena.tenant.create(manifest)
    assert "no dots" in answer.causes[0].message


QUALIFIED = {
    "namespace and name": "VICTIM/llm",
    "namespace and name, by a dot": "VICTIM.llm",
    "the namespace alone": "VICTIM",
    "the name in Vault": "saw.main.VICTIM.llm",
    "the ServiceAccount's user": "system:serviceaccount:VICTIM:saw-llm",
    "the DNS name": "llm.VICTIM.svc",
    "the long DNS name": "llm.VICTIM.svc.cluster.local",
    "the audience": "vault://main/VICTIM/llm",
    "a path to the key": "saw-transit/keys/saw.main.VICTIM.llm",
    "a path in the API": "/api/v1/namespaces/VICTIM/secrets/saw-llm-keys",
}


def _elsewhere(text: str, arena: Arena) -> None:
    text = text.replace("VICTIM", arena.victim)
    accepted = _accepted(arena, text, fields())
    assert "/" not in text or {field.path for field in accepted} <= FREE_TEXT | _WITH_A_SLASH
    _carried_out(arena, text, accepted)


_WITH_A_SLASH = frozenset(
    {
        "spec.access.rules[].resources[]",
        "spec.access.rules[].verbs[]",
        "spec.podSelector.matchLabels{key}",
        "spec.network.ingress[].from[].podLabels{key}",
        "spec.network.egress[].to[].podLabels{key}",
        "spec.selector.matchLabels{key}",
        "spec.namespaceSelector.matchLabels{key}",
        "spec.confidential.tolerations[].key",
    }
)
"""The key of a label may have a prefix before a slash, and a resource a subresource after one."""

for _name, _text in QUALIFIED.items():
    add(
        Attack(
            f"the victim by {_name}",
            ELSEWHERE,
            f"`{_text}` in each text of both schemas, and everything that is accepted is made",
            HARMLESS,
            "what a field takes means something of the own namespace: nothing of the victim's is read, written or named in a policy",
            partial(_elsewhere, _text),
        )
    )


@attack(
    "an object in another namespace",
    ELSEWHERE,
    "a workload and a policy whose `metadata.namespace` is the victim's, sent there and to the own namespace",
    REFUSED,
    "403 there; 400 in the own namespace, for the two do not agree",
)
def another_namespace(arena: Arena) -> None:
    for manifest in (workload({}), policy({"selector": {}, "schedule": {"interval": "2h"}})):
        manifest["metadata"]["namespace"] = arena.victim
        assert arena.tenant.create(manifest, namespace=arena.victim).code == 403
        assert arena.tenant.create(manifest).code == 400


@attack(
    "names that differ in the last of 52 letters",
    "collision of two CRs on one Vault path",
    "two workloads whose names are as long as may be, and differ only at the end: something may cut or hash them",
    HARMLESS,
    "each has its own key, policy, login, issuer and objects; 53 letters are refused",
)
def long_names(arena: Arena) -> None:
    start = "n" * 51
    arena.is_refused({}, "at most 52 characters", f"{start}aa")
    pair = [arena.declared({"keys": {"dataKeys": [{"name": "model"}]}}, start + end) for end in "ab"]
    _have_nothing_in_common(arena, pair)


@attack(
    "names that are another's with an ending",
    "collision of two CRs on one Kubernetes name",
    "workloads named like the objects of another: `a`, `a-keys`, `a-tls`, `a-rules`, `a-ref0`, `a-allow`, `a-quarantine`",
    HARMLESS,
    "all are Ready, and no object has two owners",
)
def derived_names(arena: Arena) -> None:
    endings = ("", "-keys", "-tls", "-rules", "-ref0", "-allow", "-quarantine")
    _have_nothing_in_common(
        arena, [arena.declared({"keys": {"dataKeys": [{"name": "model"}]}}, f"a{end}") for end in endings]
    )


def _have_nothing_in_common(arena: Arena, made: list[str]) -> None:
    places: list[tuple[str, str]] = []
    for name in made:
        arena.workloads.wait_ready(arena.namespace, name, SETTLED_SECONDS)
        own = arena.objects(name)
        assert len(own) >= 5, f"{name} has {len(own)} objects"
        places += [(item["kind"], item["metadata"]["name"]) for item in own]
        assert arena.key(name)["latest_version"] == 1
    assert len(set(places)) == len(places)
    arena.clear()


@attack(
    "namespace and name that read alike together",
    "collision of two CRs on one Vault path",
    "workload `b-llm` in namespace `N`, and `llm` in namespace `N-b`",
    HARMLESS,
    "two names in Vault: the parts are joined by dots, which neither may have; the login of one is refused to the other",
)
def alike_together(arena: Arena) -> None:
    beside = f"{arena.namespace}-b"
    arena.lab.create_namespace(beside)
    arena.more_namespaces.add(beside)
    try:
        arena.ready({}, "b-llm")
        arena.workloads.create(beside, "llm")
        arena.workloads.wait_ready(beside, "llm", SETTLED_SECONDS)
        assert arena.in_vault("login", "b-llm") != arena.in_vault("login", "llm", beside)
        assert arena.in_vault("policy", "b-llm") != arena.in_vault("policy", "llm", beside)
    finally:
        arena.workloads.delete(beside, "llm")
        arena.workloads.wait_gone(beside, "llm", SETTLED_SECONDS)
        arena.lab.delete_namespace(beside)
    arena.clear()


@attack(
    "the same data key in two workloads",
    "another workload's key",
    "a data key named `model`, as the victim's",
    HARMLESS,
    "it is wrapped by the own key; the victim's is as it was",
)
def same_data_key(arena: Arena) -> None:
    name = arena.ready({"keys": {"dataKeys": [{"name": "model"}]}})
    mine = arena.workloads.get(arena.namespace, name)["status"]["dataKeys"][0]["wrapped"]
    theirs = arena.workloads.get(arena.victim, "llm")["status"]["dataKeys"][0]["wrapped"]
    assert mine != theirs
    arena.clear()
