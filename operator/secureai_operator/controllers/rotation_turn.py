"""One workload's rotation within one pass: what is known of it, and the effect of each step on Vault.

What a decision is based on is read just before anything is done about it, and what cannot be taken back is looked at once more.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from secureai_operator import errors, names
from secureai_operator.api.resources import SECRETS
from secureai_operator.api.rotation_status import RotationStatus
from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload_status import DataKeyStatus
from secureai_operator.controllers.children import wrapped_entries
from secureai_operator.controllers.policies import StoredPolicy
from secureai_operator.controllers.vault_side import VaultSide
from secureai_operator.core.desired.keys import encoded_context, key_version
from secureai_operator.core.facts import Workload
from secureai_operator.core.rotation.data_keys import with_rewrapped
from secureai_operator.core.rotation.inventory import (
    Inventory,
    inventory,
    may_raise_minimum,
    may_rotate,
    may_trim,
)
from secureai_operator.core.rotation.record import doubted
from secureai_operator.core.rotation.selection import Ruling
from secureai_operator.core.rotation.steps import RaiseMinimum, Rewrap, RollBackMinimum, Rotate, Step, Trim
from secureai_operator.core.rotation.verdict import Ruled

Save = Callable[[Mapping[str, object]], Awaitable[None]]
"""Writes the status with these fields to the API server, before anything that follows from them is done."""


@dataclass(slots=True)
class Turn:
    """One workload's rotation within one pass."""

    side: VaultSide
    copies: tuple[int | None, ...]
    """Versions that wrap the entries of the live Secret, as the watch shows them."""
    save: Save
    now: Callable[[], datetime]
    ruling: Ruling
    stored: StoredPolicy | None
    emergency: str
    """Id of the emergency that has come to its rotation; empty for none."""
    rotation: RotationStatus
    data_keys: tuple[DataKeyStatus, ...]
    key: KeyState
    ruled: Ruled = field(default_factory=Ruled)
    fresh: bool = False
    """Whether the key was read in this pass and nothing was done since."""
    rewrapped: int = 0
    """Data keys that were rewrapped in this pass: the Secret does not have them yet."""
    started: float = field(default_factory=time.monotonic)
    rotated_at: float = 0.0
    """When the key had its new version, in monotonic seconds; 0 if that was not in this pass."""

    @property
    def workload(self) -> Workload:
        return self.side.workload

    @property
    def intent(self) -> Mapping[str, object]:
        """The fields of status that must be on the API server before what cannot be taken back."""
        return {"rotation": self.rotation, "data_keys": self.data_keys}

    def held(self) -> Inventory:
        return replace(inventory(self.data_keys, {}), elsewhere=self.copies)

    async def read(self) -> None:
        """What is known of the key may be minutes old: nothing is done about it on that ground."""
        key = await self.side.vault.read_key(self.side.desired.name)
        if key is None:
            raise errors.Retry("KeyLost", "the key is gone; the next look says so")
        self.learn(key)
        self.fresh = True

    def learn(self, key: KeyState) -> None:
        self.key = key
        if self.side.memory.vault is not None:
            self.side.memory.vault = replace(self.side.memory.vault, key=key)


async def carry_out(turn: Turn, step: Step) -> bool:
    """Have the step's effect in Vault; False if the world is not ready for it yet. Raises the Vault errors.

    A step that only its record does has none.
    """
    vault, name = turn.side.vault, turn.side.desired.name
    match step:
        case Rotate(expect_latest=expected):
            await _rotate(turn, expected)
        case Rewrap(names=wanted):
            await _rewrap(turn, wanted)
        case RaiseMinimum(to=to):
            if not may_raise_minimum(to, turn.key, await _inventory(turn)):
                return False
            # Once versions were trimmed Vault keeps a minimum for encryption as well, which may not be below the other.
            encrypts = to if 0 < turn.key.min_encryption_version < to else None
            await vault.configure_key(name, min_decryption_version=to, min_encryption_version=encrypts)
            turn.fresh = False
        case RollBackMinimum(to=to):
            await vault.configure_key(name, min_decryption_version=to)
            turn.fresh = False
        case Trim(to=to):
            if not may_trim(to, turn.key, await _inventory(turn)):
                return False
            await vault.configure_key(name, min_encryption_version=max(to, turn.key.min_encryption_version))
            await vault.trim_key(name, to)
            turn.fresh = False
        case _:
            pass
    return True


async def _rotate(turn: Turn, expected: int) -> None:
    turn.fresh = False
    if not may_rotate(turn.key, expected):
        return
    try:
        key = await turn.side.vault.rotate_key(turn.side.desired.name)
    except errors.VaultUncertain:
        # Nobody knows: written down before anything else, so that no other try comes before Vault is through.
        turn.rotation = doubted(turn.rotation, turn.now())
        await turn.save(turn.intent)
        raise
    turn.learn(key)
    turn.fresh = True
    turn.rotated_at = time.monotonic()


async def _rewrap(turn: Turn, wanted: tuple[str, ...]) -> None:
    chosen = [one for one in turn.data_keys if one.name in wanted]
    # A derived key has one for each data key, any other for none.
    contexts = [context for one in chosen if (context := encoded_context(one.context)) is not None]
    rewrapped = await turn.side.vault.rewrap(
        turn.side.desired.name, [one.wrapped for one in chosen], contexts or None
    )
    by_name = {one.name: text for one, text in zip(chosen, rewrapped, strict=True)}
    turn.data_keys = with_rewrapped(turn.data_keys, by_name)
    turn.rewrapped += len(by_name)


async def _inventory(turn: Turn) -> Inventory:
    """What is in use, read just now: the Secret as the API server has it, beside what status says."""
    secret = await turn.side.kube.get(SECRETS, names.keys_secret(turn.workload.name))
    entries: Mapping[str, str] = {} if secret is None else wrapped_entries(secret)
    turn.copies = tuple(map(key_version, entries.values()))
    return replace(turn.held(), complete=secret is not None)
