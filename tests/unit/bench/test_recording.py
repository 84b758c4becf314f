"""A request is known by the CR that caused it, and is sent again in the order that the operator kept."""

from __future__ import annotations

import json

import pytest

from bench.lean import Answer
from bench.recording import Recorder, Sent, namespace_opened_by, waves, workload_of
from bench.replay import Heads, Player, content_type, score
from tests.faults.proxy import KUBERNETES, VAULT, Reply, Seen

UID = "a5fe5a73-db33-4c86-9686-b07b55d6c4bf"
HEADS = Heads({"Host": "k"}, {"Host": "v"})


def _seen(method: str, target: str, body: object = None, server: str = KUBERNETES) -> Seen:
    return Seen(server, method, target, b"" if body is None else json.dumps(body).encode())


def _owned(name: str, owner: str) -> dict[str, object]:
    owners = [{"kind": "SecureAIWorkload", "name": owner, "uid": UID}]
    return {"metadata": {"name": name, "ownerReferences": owners}}


CRS = "/apis/secureai.dev/v1alpha1/namespaces/team/secureaiworkloads"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/team/rolebindings"


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        (
            _seen("POST", "/api/v1/namespaces/team/secrets?fieldManager=x", _owned("saw-llm-keys", "llm")),
            "llm",
        ),
        (_seen("PATCH", f"{CRS}/llm?fieldManager=x", {"metadata": {}}), "llm"),
        (_seen("PATCH", f"{CRS}/llm/status?fieldManager=x", []), "llm"),
        (_seen("GET", "/api/v1/namespaces/team/secrets/saw-a-tls-tls"), "a-tls"),
        (_seen("POST", "/v1/saw-transit/keys/saw.main.team.llm", {}, VAULT), "llm"),
        (_seen("POST", "/v1/saw-transit/keys/saw.main.team.llm/config", {}, VAULT), "llm"),
        (_seen("GET", "/v1/sys/policies/acl/saw.main.team.llm", None, VAULT), "llm"),
        (_seen("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/team/roles/reader"), None),
        (_seen("GET", f"{CRS}?watch=1"), None),
        (_seen("PATCH", "/apis/coordination.k8s.io/v1/namespaces/secureai-system/leases/x", {}), None),
        (_seen("POST", "/v1/auth/kubernetes/login", {"role": "secureai-operator"}, VAULT), None),
        (_seen("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}}), None),
    ],
)
def test_a_request_is_known_by_the_one_workload_that_it_is_for(seen: Seen, key: str | None) -> None:
    assert workload_of(seen) == (None if key is None else ("team", key))


def test_the_binding_that_opens_a_namespace_is_no_workloads_own() -> None:
    opening = _seen("PATCH", f"{BINDINGS}/secureai-operator-secrets?force=true", {"metadata": {}})
    assert (workload_of(opening), namespace_opened_by(opening)) == (None, "team")
    assert namespace_opened_by(_seen("POST", BINDINGS, _owned("saw-llm-rules", "llm"))) is None


async def test_what_was_refused_or_sent_twice_is_not_replayed() -> None:
    recorder = Recorder()
    post = _seen("POST", "/v1/saw-pki/roles/saw.main.team.llm", {}, VAULT)
    asked = _seen("GET", "/v1/saw-transit/keys/saw.main.team.llm", None, VAULT)
    for seen, status in ((post, 503), (post, 204), (post, 204), (asked, 404)):
        assert recorder.concerns(seen)

        async def forward(status: int = status) -> Reply:
            return Reply.of(status)

        await recorder.answer(seen, forward)
    assert [sent.seen for sent in recorder.recording.workloads["team", "llm"]] == [post, asked]


def _sent(name: str, sent: float, answered: float) -> Sent:
    return Sent(_seen("GET", name), sent, answered)


def test_what_was_under_way_together_is_sent_together_and_the_rest_in_order() -> None:
    look, key, policy = _sent("look", 0, 1), _sent("key", 1, 5), _sent("policy", 2, 3)
    sign, late = _sent("sign", 4, 6), _sent("late", 6.5, 7)
    made = waves([late, sign, policy, key, look])
    assert [[one.seen.target for one in wave] for wave in made] == [
        ["look"],
        ["key", "policy"],
        ["sign"],
        ["late"],
    ]


def test_a_body_gets_the_new_uid_and_the_version_of_the_cr_and_tells_its_own_length() -> None:
    recorder = Recorder()
    finalizer = {"metadata": {"finalizers": ["x"], "resourceVersion": "7"}}
    body = json.dumps(finalizer, separators=(",", ":")).encode()
    recorder.recording.workloads["team", "llm"] += [
        Sent(Seen(KUBERNETES, "PATCH", f"{CRS}/llm", body), 0, 1),
        Sent(_seen("POST", "/api/v1/namespaces/team/secrets", _owned("saw-llm-keys", "llm")), 1, 2),
    ]
    made = score(recorder.recording, {("team", "llm"): UID}, HEADS).workloads["team", "llm"]
    patch, post = (step for wave in made for step in wave)
    head, _, sent = patch.raw(b"new", b"4711").partition(b"\r\n\r\n")
    assert json.loads(sent)["metadata"]["resourceVersion"] == "4711"
    assert head.endswith(b"\r\nContent-Length: %d" % len(sent))
    assert UID.encode() not in post.raw(b"new", b"1")
    assert b'"uid": "new"' in post.raw(b"new", b"1")


@pytest.mark.parametrize(
    ("target", "body", "kind"),
    [
        ("/x?fieldManager=a&force=true", b"{}", "application/apply-patch+yaml"),
        ("/x?fieldManager=a", b"{}", "application/merge-patch+json"),
        ("/x/status?fieldManager=a", b"[]", "application/json-patch+json"),
    ],
)
def test_a_patch_is_of_the_kind_that_the_operator_sent(target: str, body: bytes, kind: str) -> None:
    assert content_type(Seen(KUBERNETES, "PATCH", target, body)) == kind
    assert content_type(Seen(KUBERNETES, "POST", target, body)) == "application/json"


class _Server:
    """Answers in turn, each time with a version one higher."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.sent: list[bytes] = []

    @property
    def asked(self) -> int:
        return len(self.sent)

    async def send(self, raw: bytes) -> Answer:
        self.sent.append(raw)
        metadata = b'{"metadata":{"resourceVersion":"%d","uid":"%s"}}' % (self.asked, UID.encode())
        return Answer(self._statuses.pop(0), b"HTTP/1.1 200 OK\r\n\r\n" + metadata)


async def test_a_refusal_that_passes_by_itself_is_waited_for_and_any_other_ends_the_replay() -> None:
    recorder = Recorder()
    recorder.recording.workloads["team", "llm"].append(
        Sent(_seen("POST", "/api/v1/namespaces/team/secrets", _owned("saw-llm-keys", "llm")), 0, 1)
    )
    made = score(recorder.recording, {("team", "llm"): UID}, HEADS).workloads["team", "llm"]
    created = await _Server(201).send(b"")
    patient = _Server(403, 201)
    player = Player(patient, _Server())  # type: ignore[arg-type]
    await player.play(created, made)
    assert (patient.asked, player.refused_for_now) == (2, 1)
    with pytest.raises(RuntimeError, match="a replayed POST was answered 409"):
        await Player(_Server(409), _Server()).play(created, made)  # type: ignore[arg-type]


async def test_each_change_of_the_cr_names_the_version_that_the_one_before_made() -> None:
    recorder = Recorder()
    body = b'{"metadata":{"resourceVersion":"7"}}'
    recorder.recording.workloads["team", "llm"] += [
        Sent(Seen(KUBERNETES, "PATCH", f"{CRS}/llm?n={number}", body), number, number + 0.5)
        for number in range(3)
    ]
    made = score(recorder.recording, {("team", "llm"): UID}, HEADS).workloads["team", "llm"]
    server = _Server(201, 200, 200, 200)
    created = await server.send(b"")
    await Player(server, _Server()).play(created, made)  # type: ignore[arg-type]
    versions = [
        json.loads(raw.partition(b"\r\n\r\n")[2])["metadata"]["resourceVersion"] for raw in server.sent[1:]
    ]
    assert versions == ["1", "2", "3"]
