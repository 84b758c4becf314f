"""Names: two workloads never share one, whatever they are called, and no name is too long for its place."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from secureai_operator import names

SUFFIXES = ("", "-rules", "-ref0", "-ref1", "-keys", "-tls", "-allow", "-quarantine")
# Made to collide: names that contain what the operator appends and prepends.
workload_names = st.builds(
    lambda parts, suffix: "-".join(parts) + suffix,
    st.lists(st.sampled_from(["a", "b", "saw", "rules", "ref1", "keys", "tls"]), min_size=1, max_size=3),
    st.sampled_from(SUFFIXES),
)
spaces = st.sampled_from(["a", "b", "a-b", "saw", "b-a"])


def kubernetes_names(workload: str) -> set[tuple[str, str]]:
    return {
        ("ServiceAccount", names.service_account(workload)),
        ("Role", names.role(workload)),
        ("RoleBinding", names.role_binding(workload)),
        *(("RoleBinding", names.role_ref_binding(workload, index)) for index in range(4)),
        ("Secret", names.keys_secret(workload)),
        ("Secret", names.tls_secret(workload)),
        ("NetworkPolicy", names.allow_policy(workload)),
        ("NetworkPolicy", names.quarantine_policy(workload)),
    }


@given(workload_names, workload_names)
def test_two_workloads_of_a_namespace_share_no_object(one: str, other: str) -> None:
    assume(one != other)
    assert not kubernetes_names(one) & kubernetes_names(other)


@given(st.tuples(spaces, spaces, workload_names), st.tuples(spaces, spaces, workload_names))
def test_two_workloads_share_nothing_in_vault(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assume(one != other)
    assert names.vault_name(*one) != names.vault_name(*other)
    assert names.audience(*one) != names.audience(*other)


@given(spaces, spaces, spaces, workload_names)
def test_a_cluster_s_prefix_is_that_of_its_own_names_only(
    cluster: str, other: str, space: str, workload: str
) -> None:
    begins = names.vault_name(cluster, space, workload).startswith(names.vault_prefix(other))
    assert begins is (cluster == other)


@given(workload_names)
def test_no_two_objects_of_a_workload_share_a_name(workload: str) -> None:
    assert len(kubernetes_names(workload)) == 11


@given(workload_names)
def test_the_operator_s_own_binding_is_no_workload_s(workload: str) -> None:
    assert ("RoleBinding", names.NAMESPACE_SECRETS_ROLE) not in kubernetes_names(workload)


@pytest.mark.parametrize(
    "part",
    ["", ".", "a.b", "a/b", "../a", "A", "a_b", "-a", "a-", "a" * 64, "a\n", "a*", "+", "ä", "a b", "%2e"],
)
@pytest.mark.parametrize("place", range(3))
def test_nothing_but_a_dns_label_becomes_part_of_a_vault_name(part: str, place: int) -> None:
    parts = ["main", "team-a", "llm"]
    parts[place] = part
    with pytest.raises(ValueError, match="DNS labels"):
        names.vault_name(*parts)


def test_the_longest_names_fit() -> None:
    longest = "w" * names.WORKLOAD_NAME_MAX
    assert all(len(name) <= 253 for _, name in kubernetes_names(longest))
    # A ServiceAccount's name is also a label of its workload's metrics and part of a 63 character DNS label.
    assert len(names.service_account(longest)) <= 63
    assert len(names.vault_name("c" * 63, "n" * 63, longest)) <= 255


def test_the_finalizer_is_a_name_that_no_other_part_uses() -> None:
    ours = [
        names.FINALIZER,
        names.WORKLOAD_LABEL,
        names.QUARANTINE_LABEL,
        names.RETAINED_LABEL,
        names.RESYNC_ANNOTATION,
        names.FORCE_DELETE_ANNOTATION,
        names.ROTATE_ANNOTATION,
        names.EMERGENCY_ANNOTATION,
        names.ROTATE_DATA_KEYS_ANNOTATION,
        names.DECRYPT_FAILED_ANNOTATION,
        names.RETRY_RETIREMENT_ANNOTATION,
        names.RESTARTED_FOR_ANNOTATION,
    ]
    assert len(set(ours)) == len(ours)
    assert all(name.startswith(f"{names.GROUP}/") for name in ours)
