"""Telling workloads: at once, then once a minute, never lost, and never of what proves nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from secureai_operator import names
from secureai_operator.cli.audit_follow import Ending, Follower, follow
from secureai_operator.cli.audit_reports import EVERY, Report, Reports, is_missed
from secureai_operator.cli.audit_tail import Position, Tail
from secureai_operator.core.rotation.audit import Operation, Refusal, Use
from secureai_operator.errors import KubeForbidden, KubeNotFound, KubeUnavailable, OperatorError
from tests.unit.core.rotation.test_audit import KNOWING, line, recorded

LLM = ("team-a", "llm")


def use(
    number: int = 1,
    workload: tuple[str, str] = LLM,
    operation: Operation = Operation.DECRYPT,
    refusal: Refusal | None = Refusal.TOO_OLD,
) -> Use:
    return Use(workload, operation, f"2026-01-31T12:00:{number:02}Z", f"id-{number}", (), refusal)


def values(reports: list[Report]) -> list[str]:
    return [report.value for report in reports]


@pytest.mark.parametrize("operation", [Operation.DECRYPT, Operation.REWRAP, Operation.VERIFY])
def test_what_needs_an_old_version_and_did_not_get_it_missed_it(operation: Operation) -> None:
    assert is_missed(use(operation=operation), batches=True)


@pytest.mark.parametrize(
    "refusal", [one for one in Refusal if one not in (Refusal.TOO_OLD, Refusal.IN_BATCH)]
)
def test_other_refusals_say_nothing_of_old_versions(refusal: Refusal) -> None:
    assert not is_missed(use(refusal=refusal), batches=True)
    assert not is_missed(use(refusal=None), batches=True)
    assert not is_missed(use(operation=Operation.ENCRYPT), batches=True)


def test_a_batch_counts_unless_it_is_not_to() -> None:
    batch = use(refusal=Refusal.IN_BATCH)
    assert is_missed(batch, batches=True)
    assert not is_missed(batch, batches=False)


def test_the_first_is_told_at_once_and_names_itself() -> None:
    reports = Reports()
    reports.add(use(1), 0.0)
    reports.add(use(2), 0.0)
    (report,) = reports.due(0.0)
    assert report.value == "2026-01-31T12:00:01Z/id-1"
    assert report.count == 2


def test_a_workload_is_told_once_a_minute_and_then_of_the_first_new_one() -> None:
    reports = Reports()
    reports.add(use(1), 0.0)
    reports.told(reports.due(0.0)[0], 0.0)
    assert reports.are_told
    for number in (2, 3, 4):
        reports.add(use(number), float(number))
    assert reports.due(EVERY - 0.1) == []
    assert values(reports.due(EVERY)) == ["2026-01-31T12:00:02Z/id-2"]


def test_workloads_do_not_wait_for_each_other() -> None:
    reports = Reports()
    reports.add(use(1), 0.0)
    reports.told(reports.due(0.0)[0], 0.0)
    reports.add(use(2, ("team-b", "llm")), 1.0)
    assert values(reports.due(1.0)) == ["2026-01-31T12:00:02Z/id-2"]


def test_what_could_not_be_told_is_tried_again_later_and_later_with_the_same_value() -> None:
    reports, now, waits = Reports(), 0.0, []
    reports.add(use(1), now)
    for _ in range(8):
        (report,) = reports.due(now)
        assert report.value.endswith("id-1")
        reports.failed(report, now)
        waits.append(report.not_before - now)
        assert reports.due(report.not_before - 0.1) == []
        now = report.not_before
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


@dataclass
class Cluster:
    """What was told, and what stands in the way of telling."""

    told: list[tuple[tuple[str, str], str]] = field(default_factory=list)
    error: OperatorError | None = None
    now: float = 0.0
    kept: list[Position] = field(default_factory=list)

    def tell(self, report: Report) -> None:
        if self.error is not None:
            raise self.error
        self.told.append((report.workload, report.value))


@dataclass
class Rig:
    """A follower of a file, and the cluster that it tells."""

    log: Path
    cluster: Cluster
    follower: Follower

    def write(self, *cases: str) -> None:
        with self.log.open("ab") as file:
            file.writelines(line(case) + b"\n" for case in cases)

    def round(self) -> None:
        self.follower.round()


def rig(log: Path, cluster: Cluster, *, batches: bool = True, position: Position | None = None) -> Rig:
    log.touch()
    follower = Follower(
        Tail(log, position),
        KNOWING,
        cluster.tell,
        batches=batches,
        keep=cluster.kept.append,
        clock=lambda: cluster.now,
    )
    return Rig(log, cluster, follower)


@pytest.fixture
def following(tmp_path: Path) -> Rig:
    return rig(tmp_path / "audit.log", Cluster())


def value(case: str) -> str:
    entry = recorded()[1][case]
    return f"{entry['time'][:19]}Z/{entry['request']['id']}"


def test_a_refused_decrypt_is_told_with_its_time_and_id(
    following: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    following.write("done", "denied", "unreadable", "too old, hidden", "encrypted")
    following.round()
    assert following.cluster.told == [(LLM, value("too old, hidden"))]
    assert "team-a/llm: 1 refused" in capsys.readouterr().out


def test_a_batch_is_told_unless_it_is_not_to(tmp_path: Path) -> None:
    for batches in (True, False):
        following = rig(tmp_path / f"{batches}.log", Cluster(), batches=batches)
        following.write("in a batch")
        following.round()
        assert bool(following.cluster.told) is batches


def test_the_place_is_kept_only_when_all_before_it_was_told(following: Rig) -> None:
    following.round()
    (start,) = following.cluster.kept
    following.cluster.error = KubeUnavailable("KubernetesUnavailable", "no answer")
    following.write("too old, hidden")
    following.round()
    assert following.cluster.kept == [start]

    following.cluster.error, following.cluster.now = None, 10.0
    again = rig(following.log, following.cluster, position=start)
    again.round()
    assert following.cluster.told == [(LLM, value("too old, hidden"))]
    assert following.cluster.kept[-1].offset == following.log.stat().st_size


def test_a_place_that_did_not_change_is_not_written_again(following: Rig) -> None:
    for _ in range(3):
        following.round()
    assert len(following.cluster.kept) == 1


def test_a_workload_that_is_not_there_is_not_told_again(following: Rig) -> None:
    following.cluster.error = KubeNotFound("KubernetesRefused", "not found")
    following.write("too old, hidden")
    following.round()
    assert following.cluster.kept[-1].offset == following.log.stat().st_size


def test_without_the_right_it_says_so_and_goes_on(following: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    following.cluster.error = KubeForbidden("OperatorForbidden", "may not patch")
    following.write("too old, hidden")
    following.round()
    assert "could not be told, and will be: may not patch" in capsys.readouterr().out


def test_what_it_cannot_read_is_said_once(following: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    with following.log.open("ab") as file:
        file.write(b'{"response" /saw.main.\n' * 3)
    following.write("too old, in clear")
    following.round()
    assert capsys.readouterr().err.count("passed over") == 1
    assert len(following.cluster.told) == 1


def test_a_hash_of_another_device_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    following = rig(tmp_path / "audit.log", Cluster())
    entry = line("too old, hidden").replace(recorded()[0].encode(), b"hmac-sha256:" + b"1" * 64)
    following.log.write_bytes(entry + b"\n")
    following.round()
    assert not following.cluster.told
    assert "of another audit device" in capsys.readouterr().err


def test_nothing_of_the_log_but_names_times_and_ids_is_printed(
    following: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    following.write(*recorded()[1])
    following.round()
    printed = "".join(capsys.readouterr())
    assert "team-a/llm" in printed
    assert "hmac-" not in printed
    assert names.DECRYPT_FAILED_ANNOTATION not in printed


class EndingCluster(Cluster):
    """SIGTERM comes as soon as something was told."""

    ending = Ending()

    def tell(self, report: Report) -> None:
        super().tell(report)
        self.ending.came = True


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    cluster = EndingCluster()
    following = rig(tmp_path / "audit.log", cluster)
    following.write("too old, hidden")
    follow(following.follower, following.follower._tail, cluster.ending)
    assert len(cluster.told) == 1
