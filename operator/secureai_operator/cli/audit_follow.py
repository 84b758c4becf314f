"""`secureai audit follow`: tell workloads at once that Vault refused a decrypt because the version had retired."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from secureai_operator import names
from secureai_operator.api.resources import SECURE_AI_WORKLOADS
from secureai_operator.cli.audit_reports import Report, Reports, is_missed
from secureai_operator.cli.audit_tail import Position, Tail, save_position
from secureai_operator.cli.output import print_line
from secureai_operator.clients.kube_user import KubeUser
from secureai_operator.core.rotation.audit import NEEDS_OLD, NotAnEntry, Reading, Refusal, use_of
from secureai_operator.errors import KubeNotFound, OperatorError

POLL_SECONDS = 0.25
Tell = Callable[[Report], None]


class Ending:
    """Whether SIGTERM came."""

    def __init__(self) -> None:
        self.came = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._hear)

    def _hear(self, *_: Any) -> None:
        self.came = True


class Follower:
    """Reads, tells, and keeps its place; each round is one look at the file.

    A place is kept only once everything before it was told: after a crash a report may be sent again, with the same value,
    and none is lost.
    """

    def __init__(
        self,
        tail: Tail,
        reading: Reading,
        tell: Tell,
        *,
        batches: bool = True,
        keep: Callable[[Position], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tail = tail
        self._reading = reading
        self._tell = tell
        self._batches = batches
        self._keep = keep
        self._clock = clock
        self._reports = Reports()
        self._kept: Position | None = None
        self._warned: set[str] = set()

    def round(self) -> None:
        for line in self._tail.lines():
            self._look(line)
        if self._tail.skipped:
            self._warn("lines were passed over because they are too long; what they say is not known")
        self._tell_due()
        position = self._tail.position
        if self._reports.are_told and position is not None and position != self._kept:
            self._keep(position)
            self._kept = position

    def _look(self, line: bytes) -> None:
        try:
            use = use_of(line, self._reading)
        except NotAnEntry:
            self._warn("lines that are no entries of an audit log in JSON were passed over")
            return
        if use is None:
            return
        if is_missed(use, batches=self._batches):
            self._reports.add(use, self._clock())
        elif use.refusal is Refusal.HIDDEN and use.operation in NEEDS_OLD:
            self._warn(
                "a decrypt was refused and the log hides why; if --too-old-hash is of another audit device, "
                "nothing will ever be told"
            )

    def _tell_due(self) -> None:
        for report in self._reports.due(self._clock()):
            try:
                self._tell(report)
            except KubeNotFound:
                self._say(report, "there is no such SecureAIWorkload")
            except OperatorError as error:
                self._reports.failed(report, self._clock())
                self._say(report, f"could not be told, and will be: {error}")
                # The next would fare no better, and each may take its whole timeout.
                return
            else:
                self._say(report, "told")
            self._reports.told(report, self._clock())

    def _say(self, report: Report, what: str) -> None:
        namespace, name = report.workload
        print_line(f"{namespace}/{name}: {report.count} refused since {report.value}: {what}")

    def _warn(self, text: str) -> None:
        """Once: what is so with one line is so with thousands."""
        if text not in self._warned:
            self._warned.add(text)
            print(f"secureai audit follow: {text}", file=sys.stderr, flush=True)


def telling(kubeconfig: str | None, context: str | None) -> Tell:
    """Tell by the workload's annotation, each time with the credentials as they are now: tokens of pods are renewed."""

    def tell(report: Report) -> None:
        namespace, name = report.workload
        with KubeUser.connect(kubeconfig, context) as kube:
            annotations = {names.DECRYPT_FAILED_ANNOTATION: report.value}
            kube.annotate(SECURE_AI_WORKLOADS, namespace, name, annotations)

    return tell


def keeping(path: Path | None) -> Callable[[Position], None]:
    return (lambda _: None) if path is None else (lambda position: save_position(path, position))


def follow(follower: Follower, tail: Tail, ending: Ending) -> None:
    """Until SIGTERM."""
    while not ending.came:
        follower.round()
        if tail.at_end:
            time.sleep(POLL_SECONDS)
