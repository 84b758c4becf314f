"""The pages' source on a cluster: the reader's own rights, one request at a time, and never a Secret's data."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from secureai_operator.api.resources import EVENTS, KEY_ROTATION_POLICIES
from secureai_operator.cli import selected, tree
from secureai_operator.cli.client import Cluster, is_namespace
from secureai_operator.cli.exits import CliError
from secureai_operator.cli.operator_lease import Leadership, leadership
from secureai_operator.cli.output import utc_now
from secureai_operator.cli.policies import PolicyView
from secureai_operator.cli.workloads import WorkloadView
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.errors import OperatorError
from secureai_operator.ui.source import Detail, EventView, Fleet, events_about
from secureai_operator.ui.troubles import BUSY, NOT_SHOWN, STRANGE, Unanswered, absent, trouble_of

T = TypeVar("T")

FRESH_SECONDS = 1.0
"""Pages that are asked for together, or again by a filter, are made from the same list."""
_WAITING_MAX = 16
_END_SECONDS = 0.5


class OneAtATime:
    """Runs blocking calls in order in one thread, and does not keep the process: a hung server delays no Ctrl-C."""

    def __init__(self, at_end: Callable[[], None]) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._at_end = at_end
        self._thread = threading.Thread(target=self._run, name="secureai-ui", daemon=True)
        self._thread.start()

    async def ask(self, call: Callable[[], T]) -> T:
        """The call's result, once it is its turn; Unanswered if too many wait."""
        if self._calls.qsize() >= _WAITING_MAX:
            raise Unanswered(BUSY)
        result: Future[T] = Future()

        def turn() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
                result.set_exception(error)

        self._calls.put(turn)
        return await asyncio.wrap_future(result)

    def close(self) -> None:
        """Take nothing more; what runs is not waited for long."""
        self._calls.put(None)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        while (turn := self._calls.get()) is not None:
            turn()
        self._at_end()


class ClusterSource:
    """A `Source` that reads the cluster with the kubeconfig's rights; `namespace` None shows all of them."""

    def __init__(self, kube: KubeUser, namespace: str | None) -> None:
        self._kube = kube
        self._namespace = namespace
        self._line = OneAtATime(kube.close)
        self._fleet: Fleet | None = None
        self._read_at = 0.0

    def close(self) -> None:
        self._line.close()

    async def fleet(self) -> Fleet:
        return await self._line.ask(self._recent)

    async def workload(self, namespace: str, name: str) -> Detail:
        if self._namespace not in (None, namespace):
            raise Unanswered(NOT_SHOWN)
        if not is_namespace(namespace):
            raise Unanswered(absent("That is not the name of a namespace."))
        return await self._line.ask(lambda: self._look(namespace, name))

    def _recent(self) -> Fleet:
        """The fleet as it was no longer ago than `FRESH_SECONDS`."""
        if self._fleet is None or time.monotonic() - self._read_at > FRESH_SECONDS:
            self._fleet = self._list()
            self._read_at = time.monotonic()
        return self._fleet

    def _list(self) -> Fleet:
        where = self._namespace
        with _told(where):
            cluster = Cluster(self._kube, where or "default")
            found = selected.workloads(cluster, everywhere=where is None)
            return Fleet(tuple(found), self._leadership(), utc_now(), where, self._policies())

    def _policies(self) -> Mapping[str, PolicyView] | None:
        """They only make the answer more exact: without the right the page says what it does not know."""
        try:
            found = map(PolicyView, self._kube.list(KEY_ROTATION_POLICIES, self._namespace))
            return {one.key: one for one in found}
        except OperatorError:
            return None

    def _leadership(self) -> Leadership:
        try:
            return leadership(self._kube, utc_now())
        except OperatorError:
            return Leadership(None, "")

    def _look(self, namespace: str, name: str) -> Detail:
        with _told(namespace):
            cluster = Cluster(self._kube, namespace)
            inventory = tree.look(cluster, None, name)
            (key,) = selected.keys(cluster, [inventory.workload])
            events = self._events(inventory.workload)
            return Detail(inventory, key, self._leadership(), utc_now(), events)

    def _events(self, workload: WorkloadView) -> tuple[EventView, ...] | None:
        try:
            return events_about(workload, self._kube.list(EVENTS, workload.namespace))
        except OperatorError:
            return None


@contextlib.contextmanager
def _told(namespace: str | None) -> Iterator[None]:
    """Errors as what a page says of them."""
    try:
        yield
    except CliError as error:
        raise Unanswered(absent(error.message)) from error
    except OperatorError as error:
        raise Unanswered(trouble_of(error, namespace)) from error
    except (ValueError, KeyError) as error:
        raise Unanswered(STRANGE) from error
