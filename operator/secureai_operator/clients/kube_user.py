"""Kubernetes as the person at the terminal sees it: short, blocking requests with that person's own rights.

Apart from `clients.kube` because a command line answers in a third of a second: the asynchronous client takes
longer than that to import. Nothing of the operator's own work goes through here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from secureai_operator.api.resources import PODS, Resource
from secureai_operator.clients import _kube_user_connection as connections
from secureai_operator.clients import kubeconfig
from secureai_operator.clients._kube_errors import error_from_answer, unavailable
from secureai_operator.clients.kubeconfig import KubeAccess, KubeconfigError
from secureai_operator.errors import KubeNotFound, KubeUnavailable

Json = dict[str, Any]

_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_MAX_ANSWER = 64 * 2**20
_MAX_MESSAGE = 2000
_PAGE = 500
_REFUSED = range(400, 500)
_OK = 300
_UNTYPED = "failed to create typed patch object"


@dataclass(frozen=True)
class Trial:
    """What a server-side dry run came to: the object as it would be, or the API server's own words why not."""

    accepted: Json | None
    refusal: str = ""


class KubeUser:
    """One kept-alive connection, one request at a time, each with a deadline. Raises `errors.Kube*`."""

    def __init__(
        self, access: KubeAccess, *, timeout: float = 10.0, field_manager: str = "secureai-cli"
    ) -> None:
        self.namespace = access.namespace
        self._manager = field_manager
        self._headers = {"User-Agent": "secureai", "Accept": _JSON}
        if access.token:
            self._headers["Authorization"] = f"Bearer {access.token}"
        self._prefix = urlsplit(access.server).path.rstrip("/")
        self._connection = connections.opened(access, timeout)

    @classmethod
    def connect(cls, path: str | None = None, context: str | None = None, *, timeout: float = 10.0) -> Self:
        """A client for the kubeconfig's context, or for the pod this runs in."""
        access = kubeconfig.load(path, context) or kubeconfig.in_pod()
        if access is None:
            raise KubeconfigError("no kubeconfig: set KUBECONFIG or use --kubeconfig")
        return cls(
            access if access.simple else connections.with_plugin(access, path, context), timeout=timeout
        )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> str:
        """The API server's version, such as v1.36.3."""
        answer = self._answer("GET", "/version", "version")
        return str(answer.get("gitVersion", ""))

    def serves(self, res: Resource) -> bool:
        """Whether the API server serves the resource in this version."""
        root = f"/apis/{res.group}/{res.version}" if res.group else f"/api/{res.version}"
        try:
            answer = self._answer("GET", root, f"discover {res.plural}")
        except KubeNotFound:
            return False
        return any(one.get("name") == res.plural for one in answer.get("resources") or ())

    def get(self, res: Resource, namespace: str | None, name: str) -> Json | None:
        try:
            return self._answer("GET", res.path(namespace, name), f"get {res.plural} {name}")
        except KubeNotFound:
            return None

    def list(
        self, res: Resource, namespace: str | None = None, *, labels: str = "", metadata_only: bool = False
    ) -> list[Json]:
        """All objects of a kind; with `metadata_only` nothing but their metadata is sent (for Secrets)."""
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        accept = _METADATA if metadata_only else _JSON
        found: list[Json] = []
        while True:
            path = f"{res.path(namespace)}?{urlencode(query)}"
            page = self._answer("GET", path, f"list {res.plural}", headers={"Accept": accept})
            found += page.get("items") or []
            if not page["metadata"].get("continue"):
                return found
            query["continue"] = page["metadata"]["continue"]

    def log(self, namespace: str, pod: str, container: str, *, previous: bool, size: int) -> str:
        """The end of a container's log, `size` bytes at most; `previous`: of the one before it was restarted."""
        what = f"read the log of {pod}"
        # Asked by lines, for limitBytes counts from the beginning; a line has some two hundred bytes.
        query = {"container": container, "tailLines": str(size // 200), "previous": str(previous).lower()}
        path = f"{PODS.path(namespace, pod, 'log')}?{urlencode(query)}"
        status, answered, content = self._exchange("GET", path, what)
        if status >= _OK:
            raise error_from_answer(what, status, answered, content)
        return content[-size:].decode(errors="replace")

    def create(
        self,
        res: Resource,
        namespace: str | None,
        manifest: Mapping[str, Any],
        *,
        name: str | None = None,
        subresource: str | None = None,
    ) -> Json:
        """Create an object or ask a question that is made of one (access reviews, tokens)."""
        path = res.path(namespace, name, subresource)
        return self._answer("POST", path, f"create {subresource or res.plural}", manifest)

    def annotate(
        self, res: Resource, namespace: str | None, name: str, annotations: Mapping[str, str]
    ) -> Json:
        """Set annotations of an object and leave its others alone; the object as it then is."""
        path, body = res.path(namespace, name), {"metadata": {"annotations": dict(annotations)}}
        return self._answer("PATCH", path, f"annotate {res.plural} {name}", body, {"Content-Type": _MERGE})

    def dry_run(self, res: Resource, namespace: str | None, name: str, manifest: Mapping[str, Any]) -> Trial:
        """Apply without storing. Unlike all errors elsewhere, the refusal quotes the API server: to its own user."""
        query = urlencode(
            {
                "dryRun": "All",
                "force": "true",
                "fieldManager": self._manager,
                "fieldValidation": "Strict",
            }
        )
        path, what = f"{res.path(namespace, name)}?{query}", f"apply {res.plural} {name}"
        status, headers, body = self._exchange("PATCH", path, what, manifest, content_type=_APPLY)
        if status < _OK:
            return Trial(json.loads(body))
        said = _message(body)
        # A field that the schema does not know is answered with 500 here, as if it were the server's fault.
        if (status in _REFUSED and status not in (401, 404, 429)) or _UNTYPED in said:
            return Trial(None, said)
        raise error_from_answer(what, status, headers, body)

    def _answer(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        status, answered, content = self._exchange(method, path, what, body, headers=headers)
        if status >= _OK:
            raise error_from_answer(what, status, answered, content)
        answer = json.loads(content)
        if not isinstance(answer, dict):
            raise KubeUnavailable("KubernetesUnavailable", f"{what}: not an answer of an API server")
        return answer

    def _exchange(
        self,
        method: str,
        path: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        content_type: str = _JSON,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        payload = None if body is None else json.dumps(body).encode()
        sent = {
            **self._headers,
            **({} if payload is None else {"Content-Type": content_type}),
            **(headers or {}),
        }
        for attempt in (1, 2):
            try:
                self._connection.request(method, self._prefix + path, payload, sent)
                response = self._connection.getresponse()
                content = response.read(_MAX_ANSWER)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                # A kept-alive connection that the server has closed meanwhile; everything sent here may be repeated.
                self._connection.close()
                if attempt == 2:  # noqa: PLR2004 - the second of two
                    raise unavailable(what, error) from None
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                raise unavailable(what, error) from None
            else:
                return response.status, dict(response.headers), content
        raise AssertionError  # the loop ends by return or raise


def _message(body: bytes) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(body).get("message", ""))[:_MAX_MESSAGE]
    return ""
