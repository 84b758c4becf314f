"""An Application watched without a gap: every state that it had, and when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab import Lab, LabError
from lab.argocd import APPLICATIONS
from lab.rest import JsonClient

Json = dict[str, Any]
SERVED_SECONDS = 240
"""The API server ends the watch then, and the next one goes on where it ended."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One state of the Application."""

    at: float
    sync: str
    health: str
    operation: str
    """When the last operation began, and "" where there was none."""
    out_of_sync: tuple[str, ...]
    """The resources that differ from git."""

    @classmethod
    def of(cls, application: Json, at: float) -> Seen:
        status: Json = application.get("status") or {}
        resources: list[Json] = status.get("resources") or []
        return cls(
            at,
            (status.get("sync") or {}).get("status") or "",
            (status.get("health") or {}).get("status") or "",
            (status.get("operationState") or {}).get("startedAt") or "",
            tuple(f"{one['kind']}/{one['name']}" for one in resources if one.get("status") == "OutOfSync"),
        )


class Watch:
    """Records every change of one Application from its start on; `seen` may be read at any time.

    A watch of the API server tells each change once and in order; one that ends is taken up at the last version, so that
    nothing between is missed. If that cannot be (the version is too old), `since` raises rather than to say that all was well.
    """

    def __init__(self, lab: Lab, name: str) -> None:
        self.seen: list[Seen] = []
        self._api = lab.api
        self._name = name
        self._version = str(lab.api.request("GET", APPLICATIONS)["metadata"]["resourceVersion"])
        self._ended = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name=f"watch-{name}", daemon=True)
        self._thread.start()

    def since(self, moment: float) -> list[Seen]:
        """What was seen since then, led by the state that it was in."""
        if self._failure:
            raise LabError(f"the watch of {self._name} has a gap: {self._failure}")
        seen = list(self.seen)
        before = [one for one in seen if one.at < moment][-1:]
        return [*before, *(one for one in seen if one.at >= moment)]

    def end(self) -> None:
        """What comes now is not recorded; the thread itself ends with the lab's API server."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                for event in events(self._api, self._name, self._version):
                    self._take(event)
                    if self._ended.is_set():
                        return
            except (OSError, ValueError, LabError) as error:
                if not self._ended.is_set():
                    self._failure = f"{type(error).__name__}: {error}"
                return

    def _take(self, event: Json) -> None:
        if event["type"] == "ERROR":
            raise LabError(str(event["object"].get("message")))
        self._version = event["object"]["metadata"]["resourceVersion"]
        if event["type"] in ("ADDED", "MODIFIED"):
            self.seen.append(Seen.of(event["object"], time.monotonic()))


def events(api: JsonClient, name: str, version: str) -> Iterator[Json]:
    """The events of one watch request, to its end."""
    connection = api._connect(SERVED_SECONDS + 30)
    path = (
        f"{APPLICATIONS}?watch=1&fieldSelector=metadata.name%3D{name}&resourceVersion={version}"
        f"&allowWatchBookmarks=true&timeoutSeconds={SERVED_SECONDS}"
    )
    try:
        connection.request("GET", path, headers=dict(api.headers))
        response = connection.getresponse()
        if response.status != 200:
            raise LabError(f"the watch was answered with {response.status}")
        for line in response:
            yield json.loads(line)
    finally:
        connection.close()
