"""Following requests of `secureai rotate` until they are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from secureai_operator.api.resources import KEY_ROTATION_POLICIES, SECURE_AI_WORKLOADS
from secureai_operator.cli import client, selected
from secureai_operator.cli.key_views import KeyView, key_views
from secureai_operator.cli.policies import PolicyView, ruled
from secureai_operator.cli.rotation_plan import Action
from secureai_operator.cli.rotation_progress import Progress, Stage, policy_progress, progress
from secureai_operator.cli.rotation_requests import Asking
from secureai_operator.cli.workloads import view
from secureai_operator.clients.kube_user import Json
from secureai_operator.errors import OperatorError, Retry

_SECONDS = 0.2
_SECONDS_OF_MANY = 1.0
_MANY = 5


@dataclass
class Followed:
    """One request as it is followed; times are in seconds since it was made."""

    asking: Asking
    progress: Progress = field(default_factory=Progress)
    stages: list[tuple[float, Stage]] = field(default_factory=list)
    ended: float | None = None
    unanswered: str = ""
    """Why the last look failed; "" if it did not."""

    @property
    def done(self) -> bool:
        return self.progress.done


Told = Callable[[Followed, float, Sequence[Stage]], None]


def follow(  # noqa: PLR0917 - what is followed, how long, and who hears of it
    cluster: client.Cluster,
    askings: Sequence[Asking],
    action: Action,
    request_id: str,
    timeout: float,
    tell: Told,
) -> list[Followed]:
    """Look until every request is done or cannot be, or the time is over; `tell` hears what is new."""
    start = time.monotonic()
    followed = [Followed(one) for one in askings]
    while left := [one for one in followed if one.ended is None]:
        for one, raw in _looked(cluster, left):
            one.progress = _seen(cluster, one, raw, action, request_id)
            elapsed = time.monotonic() - start
            if one.progress.done or one.progress.failed:
                one.ended = elapsed
            known = {stage for _, stage in one.stages}
            new = [stage for stage in one.progress.stages if stage not in known]
            one.stages += [(elapsed, stage) for stage in new]
            tell(one, elapsed, new)
        remaining = start + timeout - time.monotonic()
        if remaining <= 0:
            break
        if any(one.ended is None for one in left):
            time.sleep(min(_pause(left), remaining))
    return followed


def _pause(left: Sequence[Followed]) -> float:
    """Seconds between two looks: more where a look is a list."""
    listed = len(left) > _MANY or left[0].asking.resource is KEY_ROTATION_POLICIES
    return _SECONDS_OF_MANY if listed else _SECONDS


def _looked(cluster: client.Cluster, left: Sequence[Followed]) -> Iterator[tuple[Followed, Json | None]]:
    """The object of each; one that could not be read is left out, which may be over at the next look."""
    one_by_one = len(left) <= _MANY
    listed: dict[str, Json] = {}
    if not one_by_one:
        try:
            items = cluster.kube.list(SECURE_AI_WORKLOADS, left[0].asking.namespace)
        except OperatorError as error:
            _unanswered(left, error)
            return
        listed = {item["metadata"]["name"]: item for item in items}
    for one in left:
        asking = one.asking
        try:
            found = (
                cluster.kube.get(asking.resource, asking.namespace, asking.name)
                if one_by_one
                else listed.get(asking.name)
            )
        except OperatorError as error:
            _unanswered([one], error)
        else:
            one.unanswered = ""
            yield one, found


def _unanswered(these: Sequence[Followed], error: OperatorError) -> None:
    """A restart of the API server must not end the waiting; a right that was taken away does."""
    if not isinstance(error, Retry):
        raise error
    for one in these:
        one.unanswered = f"{error.message} ({error.reason})"


def _seen(
    cluster: client.Cluster, one: Followed, raw: Json | None, action: Action, request_id: str
) -> Progress:
    if raw is None:
        return Progress(one.progress.stages, failed=True, message="it was deleted meanwhile")
    if one.asking.resource is not KEY_ROTATION_POLICIES:
        return progress(KeyView(view(raw)), action, request_id)
    policy = PolicyView(raw)
    if policy.request_id != request_id:
        return Progress()
    try:
        listed = selected.workloads(cluster, everywhere=policy.everywhere)
    except OperatorError as error:
        _unanswered([one], error)
        return one.progress
    return policy_progress(policy, ruled(policy, key_views(listed)), request_id)
