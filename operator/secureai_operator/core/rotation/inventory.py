"""The inventory of what a key wraps, and what it proves: which versions are out of use.

The version stands readable in the ciphertext itself. What cannot be read proves nothing, and neither does having found
nothing: applications may encrypt with the key directly, and only data keys tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from secureai_operator.api.vault_types import KeyState
from secureai_operator.api.workload_status import DataKeyStatus
from secureai_operator.core.desired.keys import key_version


@dataclass(frozen=True, slots=True)
class Inventory:
    """The version that wraps each data key; None where the ciphertext is not one."""

    wrapped: Mapping[str, int | None]
    """The data keys of the status: what a rewrap moves."""
    elsewhere: tuple[int | None, ...] = ()
    """Copies besides: in the Secret, which follows the status, or in what was retained."""
    complete: bool = True
    """False if a place where copies are could not be looked at."""

    @property
    def oldest(self) -> int | None:
        """The oldest version in use as far as is known; None if nothing is."""
        return min(self._known(), default=None)

    @property
    def newest(self) -> int:
        return max(self._known(), default=0)

    def older_than(self, version: int) -> tuple[str, ...]:
        """The data keys that a rewrap to `version` moves, in order of their names."""
        return tuple(sorted(name for name, at in self.wrapped.items() if at is not None and at < version))

    def doubt(self, minimum: int) -> str | None:
        """Why it is not proven that nothing below `minimum` is in use; None is the proof."""
        if not self.complete:
            return "not all places that hold wrapped data keys could be read"
        if not self.wrapped:
            return "there is no wrapped data key, and what the workload encrypts itself cannot be seen"
        if None in self.wrapped.values() or None in self.elsewhere:
            return "the version of a wrapped data key cannot be read"
        oldest = self.oldest
        if oldest is None or oldest < minimum:
            return f"version {oldest} still wraps a data key"
        return None

    def _known(self) -> Iterable[int]:
        return (version for version in (*self.wrapped.values(), *self.elsewhere) if version is not None)


def inventory(
    data_keys: Iterable[DataKeyStatus], secret: Mapping[str, str] | None, *others: str
) -> Inventory:
    """The inventory of the status, of the Secret's values (None if it could not be read), and of further copies."""
    copies = (*(secret or {}).values(), *others)
    return Inventory(
        wrapped={data_key.name: key_version(data_key.wrapped) for data_key in data_keys},
        elsewhere=tuple(key_version(copy) for copy in copies),
        complete=secret is not None,
    )


def may_rotate(key: KeyState, expect_latest: int) -> bool:
    """The last look before a rotate, at a key read just now: whether nobody, and no earlier try of ours, did it."""
    return key.latest_version == expect_latest


def may_raise_minimum(to: int, key: KeyState, held: Inventory) -> bool:
    """The last look before old versions stop to decrypt, at what was read just now. Counts for itself."""
    versions = [*held.wrapped.values(), *held.elsewhere]
    in_use = any(version is None or version < to for version in versions)
    return held.complete and bool(held.wrapped) and not in_use and to <= key.latest_version


def may_trim(to: int, key: KeyState, held: Inventory) -> bool:
    """The last look before versions are destroyed for ever: only such as have retired, and are in no use."""
    return may_raise_minimum(to, key, held) and to <= key.min_decryption_version
