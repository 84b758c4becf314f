"""The machine as a whole, against a small model of Vault: crashes, lost writes, and others who turn the same key.

Each planned rotation ends with exactly one more version; nothing the operator does makes a data key undecryptable; the
minimum never rises above what is in use, and what is destroyed is in no use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from secureai_operator.api.rotation import Retire
from secureai_operator.api.rotation_status import RotationPhase, RotationStatus, Trigger
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload import Custody
from secureai_operator.api.workload_status import DataKeyStatus, SecureAIWorkloadStatus
from secureai_operator.core.rotation.inventory import inventory, may_raise_minimum, may_rotate, may_trim
from secureai_operator.core.rotation.next_step import next_step
from secureai_operator.core.rotation.record import doubted, recorded
from secureai_operator.core.rotation.schedule import Due
from secureai_operator.core.rotation.situation import Request, Situation, last_rotation
from secureai_operator.core.rotation.steps import (
    WITHOUT_EFFECT,
    Blocked,
    Nothing,
    Observe,
    RaiseMinimum,
    Rewrap,
    RollBackMinimum,
    Rotate,
    Step,
    Trim,
)
from tests.unit.samples import NOW

NAMES = ("a", "b", "c")
HOUR = timedelta(hours=1)
CLOCK_BEHIND = timedelta(seconds=10)
"""Vault's clock is not ours."""
TURNS = 60
"""Steps after which a pass must have come to rest: more means that it goes round in circles."""


class Fate(Enum):
    """What becomes of a request."""

    ANSWERED = "answered"
    DONE = "done, and the answer lost"
    LOST = "lost"
    LATE = "done after the operator looked again"


class CrashError(Exception):
    """The operator dies here."""


@dataclass
class VaultModel:
    """A transit key: rotate has no compare-and-set, trim cannot be undone."""

    latest: int = 1
    minimum: int = 1
    available: int = 0
    made: dict[int, int] = field(default_factory=lambda: {1: int(NOW.timestamp())})

    def state(self) -> KeyState:
        made = {version: at for version, at in self.made.items() if version >= self.minimum}
        return KeyState(
            type="aes256-gcm96",
            latest_version=self.latest,
            min_decryption_version=self.minimum,
            min_encryption_version=0,
            min_available_version=self.available,
            versions=made,
        )

    def rotate(self, now: datetime) -> None:
        self.latest += 1
        self.made[self.latest] = int((now - CLOCK_BEHIND).timestamp())

    def set_minimum(self, to: int) -> None:
        assert max(self.available, 1) <= to <= self.latest
        self.minimum = to

    def trim(self, to: int) -> None:
        assert self.available <= to <= self.minimum
        self.available = to

    def rewrap(self, versions: list[int]) -> list[int]:
        assert all(self.minimum <= version <= self.latest for version in versions)
        return [self.latest] * len(versions)


@dataclass
class Server:
    """What is stored: the status, with the data keys, and the Secret, which follows it later."""

    rotation: RotationStatus | None = None
    data_keys: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 1))
    secret: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 1))


def text(version: int) -> str:
    return f"vault:v{version}:" + "A" * 40


class Operator:
    """One life of the operator: reads, takes steps, keeps records in memory until one has to be on the server."""

    def __init__(self, world: World, crash_at: int) -> None:
        self.world = world
        self.left = crash_at
        self.rotation = world.server.rotation or RotationStatus()
        self.data_keys = dict(world.server.data_keys)

    def crash_point(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise CrashError

    def save(self) -> None:
        self.crash_point()
        server = self.world.server
        if self.rotation.phase is RotationPhase.PLANNED and self.rotation != server.rotation:
            self.world.targets.append(self.rotation.target)
        server.rotation, server.data_keys = self.rotation, dict(self.data_keys)
        self.crash_point()
        server.secret = dict(self.data_keys)
        self.crash_point()

    def situation(self) -> Situation:
        world = self.world
        status = SecureAIWorkloadStatus(
            rotation=self.rotation,
            data_keys=tuple(
                DataKeyStatus(name=name, key_version=version, wrapped=text(version))
                for name, version in self.data_keys.items()
            ),
        )
        copies = (*world.server.secret.values(), *world.server.data_keys.values())
        return Situation(
            workload=status,
            key=world.vault.state(),
            held=inventory(status.data_keys, {str(at): text(at) for at in copies}),
            now=world.now,
            custody=world.custody,
            retire=world.retire,
            due=world.due(status),
            request=world.request,
            decrypts_fail=world.decrypts_fail,
            batch=2,
        )

    def run(self) -> Step:
        for _ in range(TURNS):
            situation = self.situation()
            step = next_step(situation)
            if isinstance(step, Nothing | Observe | Blocked):
                self.save()
                return step
            self.crash_point()
            if self.world.sealed and not isinstance(step, WITHOUT_EFFECT):
                # Nothing is done, and the operator lives on with what it has written down so far.
                self.save()
                return step
            self.effect(step, situation)
            self.crash_point()
            self.rotation = recorded(self.rotation, step, self.world.now)
            if step.intent:
                self.save()
        raise AssertionError(f"does not come to rest: {step}")

    def effect(self, step: Step, situation: Situation) -> None:
        vault, key = self.world.vault, self.world.vault.state()
        match step:
            case Rotate(expect_latest=expected):
                if not may_rotate(key, expected):
                    return
                fate, self.world.fate = self.world.fate, Fate.ANSWERED
                if fate is not Fate.ANSWERED:
                    self.rotation = doubted(self.rotation, self.world.now)
                self.world.late |= fate is Fate.LATE
                if fate in {Fate.ANSWERED, Fate.DONE}:
                    self.world.rotate()
            case Rewrap(names=names):
                for name, version in zip(
                    names, vault.rewrap([self.data_keys[n] for n in names]), strict=True
                ):
                    self.data_keys[name] = version
            case RaiseMinimum(to=to):
                assert may_raise_minimum(to, key, situation.held)
                assert to <= min(self.world.in_use())
                vault.set_minimum(to)
            case RollBackMinimum(to=to):
                vault.set_minimum(to)
                self.world.decrypts_fail = False
            case Trim(to=to):
                assert may_trim(to, key, situation.held)
                assert to <= min(self.world.in_use())
                vault.trim(to)
            case _:
                pass


@dataclass
class World:
    """Vault, the API server, and what people want."""

    vault: VaultModel = field(default_factory=VaultModel)
    server: Server = field(default_factory=Server)
    now: datetime = NOW
    custody: Custody = Custody.SERVICE_MANAGED
    retire: Retire | None = None
    scheduled: datetime | None = None
    request: Request | None = None
    decrypts_fail: bool = False
    sealed: bool = False
    fate: Fate = Fate.ANSWERED
    """Of the next rotate."""
    late: bool = False
    """A rotate is on its way, though nobody waits for its answer any more."""
    rotations: int = 0
    """Those of the operator."""
    targets: list[int] = field(default_factory=list)
    """Each target that was written down, again if it was written again."""

    def due(self, status: SecureAIWorkloadStatus) -> Due | None:
        rotated = last_rotation(status, self.vault.state())
        assert rotated is not None
        return Due(self.scheduled) if self.scheduled and self.scheduled > rotated else None

    def rotate(self) -> None:
        self.vault.rotate(self.now)
        self.rotations += 1

    def arrive(self) -> None:
        if self.late:
            self.late = False
            self.rotate()

    def wait(self, time: timedelta = timedelta(seconds=1)) -> None:
        self.arrive()
        self.now += time

    def in_use(self) -> list[int]:
        return [*self.server.data_keys.values(), *self.server.secret.values()]


class Rotations(RuleBasedStateMachine):
    """People, others and accidents, in any order; the operator passes in between, and dies where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.requests = 0
        self.asked = 0
        """Rotations that may be: one for each scheduled time and request, and a request that was forgotten."""

    def life(self, crash_at: int = 0) -> Step | None:
        minimum = self.world.vault.minimum
        try:
            step = Operator(self.world, crash_at).run()
        except CrashError:
            step = None
            # What the dead one had sent is decided before another takes over.
            self.world.arrive()
        assert self.world.vault.minimum <= minimum or self.world.vault.minimum <= min(self.world.in_use())
        return step

    @rule(crash_at=st.integers(1, 25))
    def the_operator_dies_somewhere(self, crash_at: int) -> None:
        self.life(crash_at)

    @rule()
    def the_operator_passes(self) -> None:
        self.life()

    @rule()
    def it_is_due(self) -> None:
        self.world.wait()
        self.world.scheduled = self.world.now
        self.asked += 1

    @rule(trigger=st.sampled_from([Trigger.MANUAL, Trigger.EMERGENCY]))
    def somebody_asks(self, trigger: Trigger) -> None:
        self.requests += 1
        self.asked += 1
        self.world.request = Request(trigger, str(self.requests))

    @rule(crash_at=st.integers(2, 16))
    def an_emergency_is_interrupted(self, crash_at: int) -> None:
        self.somebody_asks(Trigger.EMERGENCY)
        self.life(crash_at)

    @rule(fate=st.sampled_from(Fate))
    def the_next_rotate_is_not_answered(self, fate: Fate) -> None:
        self.world.fate = fate

    @rule(hours=st.sampled_from([1, 25, 80, 1000]))
    def time_passes(self, hours: int) -> None:
        self.world.wait(hours * HOUR)

    @rule(keep=st.integers(1, 3), trim=st.booleans(), ruled=st.booleans())
    def the_policy_changes(self, keep: int, trim: bool, ruled: bool) -> None:
        self.world.retire = Retire(keep_versions=keep, trim=trim) if ruled else None

    @rule()
    def others_rotate(self) -> None:
        self.world.wait()
        self.world.vault.rotate(self.world.now)

    @rule()
    def others_raise_the_minimum(self) -> None:
        self.world.vault.minimum = self.world.vault.latest

    @rule(name=st.sampled_from(NAMES), back=st.integers(0, 3), status=st.booleans())
    def an_older_secret_is_restored(self, name: str, back: int, status: bool) -> None:
        version = max(self.world.vault.available, 1, self.world.server.data_keys[name] - back)
        place = self.world.server.data_keys if status else self.world.server.secret
        place[name] = version

    @rule()
    def the_status_is_lost_but_for_the_data_keys(self) -> None:
        rotation = self.world.server.rotation
        if rotation is not None and rotation.phase is not RotationPhase.PLANNED:
            self.world.server.rotation = None
            self.asked += (self.world.request is not None) + (self.world.scheduled is not None)

    @rule(sealed=st.booleans())
    def vault_is_sealed_or_unsealed(self, sealed: bool) -> None:
        self.world.sealed = sealed

    @precondition(lambda self: not self.world.sealed and len(self.world.server.data_keys) < 12)
    @rule()
    def new_data_keys_are_made(self) -> None:
        """Recorded first, shown to the pods in the same pass or in one after a crash; the earlier ones stay."""
        server = self.world.server
        generation = len(server.data_keys) // len(NAMES)
        for name in NAMES:
            server.data_keys[f"{name}.{generation}"] = server.data_keys[name]
            server.data_keys[name] = self.world.vault.latest

    @precondition(
        lambda self: (
            not self.world.late
            and (
                self.world.server.rotation is None
                or self.world.server.rotation.phase is not RotationPhase.PLANNED
            )
        )
    )
    @rule()
    def the_workload_is_deleted_and_made_again(self) -> None:
        """The key and the Secret are retained, and the new workload takes them over; what was asked for is gone."""
        server = self.world.server
        server.rotation, server.data_keys = None, dict(server.secret)
        self.world.request = None
        self.asked += self.world.scheduled is not None

    @precondition(lambda self: self.world.server.rotation and self.world.server.rotation.raising)
    @rule()
    def a_decrypt_fails(self) -> None:
        self.world.decrypts_fail = True

    @precondition(lambda self: self.world.vault.minimum > 1 and self.world.vault.available < 2)
    @rule()
    def others_trim_what_is_in_no_use(self) -> None:
        to = min(self.world.vault.minimum, *self.world.in_use())
        self.world.vault.available = max(self.world.vault.available, to)

    @invariant()
    def every_plan_is_at_most_one_version(self) -> None:
        targets = self.world.targets
        assert targets == sorted(targets)
        assert self.world.rotations <= len(set(targets)) <= self.asked

    @invariant()
    def no_data_key_is_destroyed(self) -> None:
        assert all(version >= self.world.vault.available for version in self.world.in_use())

    @rule()
    def all_is_well_after_a_quiet_pass(self) -> None:
        """Whatever was before: it comes to rest, decryptable and at the latest version, one version per plan."""
        world = self.world
        world.fate, world.sealed = Fate.ANSWERED, False
        self.life()
        world.wait(HOUR)  # Longer than any doubt.
        self.life()
        before = world.vault.latest
        assert set(world.in_use()) == {world.vault.latest}
        assert world.vault.minimum <= world.vault.latest
        rotation = world.server.rotation
        assert rotation is not None
        assert rotation.version in {0, world.vault.latest} or world.vault.latest == 1
        assert all(target <= world.vault.latest for target in world.targets)
        self.life()
        assert world.vault.latest == before


Rotations.TestCase.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRotations = Rotations.TestCase
