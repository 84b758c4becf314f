"""Selection: which policy rules a workload. Pure, and quick for many: policies are sorted and indexed once.

Of the policies that select a workload the one with the higher priority rules, of equal ones the older, then the one
whose name comes first. The others are masked, and can say by whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from secureai_operator.api import reasons
from secureai_operator.api.rotation import KeyRotationPolicySpec, LabelSelector
from secureai_operator.core.verdict import Verdict, bad

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Policy:
    """A KeyRotationPolicy as the API server holds it; `created` is its creation timestamp in RFC 3339."""

    namespace: str
    name: str
    created: str
    spec: KeyRotationPolicySpec

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload by what policies select it by."""

    namespace: str
    name: str
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ruling:
    """The policies that select one workload: the one that rules, and those that it masks."""

    policy: Policy | None
    masked: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What one policy selects; `masked` of the selected are ruled by others, most of them by the first named."""

    selected: int
    masked: int
    masked_by: tuple[str, ...]


def policy_verdict(policy: Policy, operator_namespace: str) -> Verdict | None:
    """Why the policy selects nothing at all, or None."""
    if policy.spec.namespace_selector is None or policy.namespace == operator_namespace:
        return None
    return bad(
        reasons.INVALID_SPEC,
        "spec.namespaceSelector: only a policy in the operator's own namespace may select other namespaces; remove "
        "it, or ask the platform team for a policy there",
        terminal=True,
    )


class Selection:
    """All policies, to be asked for the one that rules a workload.

    `namespaces` are the labels of each namespace; one that is not known matches no selector, not even an empty one.
    """

    def __init__(
        self, policies: Iterable[Policy], namespaces: Mapping[str, Labels], operator_namespace: str
    ) -> None:
        self._namespaces = namespaces
        self._here: dict[str, list[Policy]] = {}
        self._everywhere: list[Policy] = []
        for policy in sorted(policies, key=_precedence):
            if policy_verdict(policy, operator_namespace) is not None:
                continue
            if policy.spec.namespace_selector is None:
                self._here.setdefault(policy.namespace, []).append(policy)
            else:
                self._everywhere.append(policy)

    def ruling(self, candidate: Candidate) -> Ruling:
        """Which policy rules the workload, and whom it masks."""
        selecting = tuple(self._selecting(candidate))
        return Ruling(selecting[0], selecting[1:]) if selecting else Ruling(None)

    def tallies(self, candidates: Iterable[Candidate], named: int = 5) -> Mapping[tuple[str, str], Tally]:
        """What each policy that selects anything selects, by (namespace, name)."""
        selected: Counter[tuple[str, str]] = Counter()
        masked: dict[tuple[str, str], Counter[str]] = {}
        for candidate in candidates:
            ruling = self.ruling(candidate)
            if ruling.policy is None:
                continue
            selected[ruling.policy.key] += 1
            for policy in ruling.masked:
                selected[policy.key] += 1
                masked.setdefault(policy.key, Counter())[str(ruling.policy)] += 1
        return {key: _tally(count, masked.get(key, Counter()), named) for key, count in selected.items()}

    def _selecting(self, candidate: Candidate) -> Iterator[Policy]:
        labels = self._namespaces.get(candidate.namespace)
        here = self._here.get(candidate.namespace, [])
        everywhere = [
            policy for policy in self._everywhere if _matches(policy.spec.namespace_selector, labels)
        ]
        ordered = sorted((*here, *everywhere), key=_precedence) if everywhere else here
        return (policy for policy in ordered if _matches(policy.spec.selector, candidate.labels))


def _precedence(policy: Policy) -> tuple[int, str, str, str]:
    # Timestamps of the API server are in UTC, of whole seconds and equal length: their order is that of the text.
    return -policy.spec.priority, policy.created, policy.namespace, policy.name


def _matches(selector: LabelSelector | None, labels: Labels | None) -> bool:
    """No selector and no labels that could be known match nothing; an empty selector matches whatever there is."""
    if selector is None or labels is None:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items())


def _tally(selected: int, masked: Counter[str], named: int) -> Tally:
    return Tally(selected, masked.total(), tuple(name for name, _ in masked.most_common(named)))
