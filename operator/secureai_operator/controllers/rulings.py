"""How every workload stands with the policies that select it, kept up by the workloads' own passes: nobody polls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from secureai_operator.controllers.workloads import Key
from secureai_operator.core.rotation.members import Census, Member


class Rulings:
    """One small record per selected workload, found by policy. `changed` is told each policy whose records changed."""

    def __init__(self, changed: Callable[[Key], None]) -> None:
        self._changed = changed
        self._members: dict[Key, Member] = {}
        self._ruled: dict[Key, set[Key]] = {}
        self._masked: dict[Key, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def put(self, workload: Key, member: Member | None) -> None:
        """Keep how the workload stands; None if no policy selects it any more, or it is gone."""
        before = self._members.get(workload)
        if before == member:
            return
        touched = self._forget(workload)
        if member is not None:
            self._members[workload] = member
            self._ruled.setdefault(member.policy, set()).add(workload)
            for policy in member.masked:
                self._masked.setdefault(policy, set()).add(workload)
            touched |= {member.policy, *member.masked}
        for policy in touched:
            self._changed(policy)

    def census(self, policy: Key) -> Census:
        """Everything that is known of the policy's workloads."""
        ruled = sorted(self._ruled.get(policy, ()))
        rulers = Counter(
            "/".join(self._members[workload].policy) for workload in self._masked.get(policy, ())
        )
        return Census(
            ruled=tuple(self._members[workload] for workload in ruled),
            masked_by=tuple(sorted(rulers.items(), key=lambda item: (-item[1], item[0]))),
        )

    def ruled_by(self, policy: Key) -> frozenset[Key]:
        """The workloads that the policy rules, or that another one rules in its place."""
        return frozenset(self._ruled.get(policy, set()) | self._masked.get(policy, set()))

    def _forget(self, workload: Key) -> set[Key]:
        member = self._members.pop(workload, None)
        if member is None:
            return set()
        _discard(self._ruled, member.policy, workload)
        for policy in member.masked:
            _discard(self._masked, policy, workload)
        return {member.policy, *member.masked}


def _discard(index: dict[Key, set[Key]], policy: Key, workload: Key) -> None:
    known = index.get(policy)
    if known is not None:
        known.discard(workload)
        if not known:
            del index[policy]
