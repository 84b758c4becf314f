"""The kernel's words for connections: bytes that a kernel sent, and what we send back."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address

import pytest

from secureai_operator.node_agent.flows import (
    NLMSG_DONE,
    NLMSG_ERROR,
    Flow,
    Message,
    delete_request,
    flow_of,
    list_request,
    messages,
    restore_request,
)

# What Linux 6.18 answered to `list_request(7)` with one connection, 127.0.0.1 to 127.0.0.2 port 9999.
LISTED = bytes.fromhex(
    "d40000000001020007000000fe5c00000200000034000180140001800800"
    "01007f000001080002007f0000021c000280050001000600000006000200d9b8000006000300270f0000340002801400018008000100"
    "7f000002080002007f0000011c000280050001000600000006000200270f000006000300d9b80000080003000000000e080008000000"
    "000008000c0081b01c2608000b0000000001080007000006977f300004802c0001800500010003000000050002000a00000005000300"
    "0a00000006000400230000000600050023000000"
)
DONE = bytes.fromhex("140000000300020007000000fe5c000000000000")


def listed() -> Flow:
    (message,) = messages(LISTED)
    flow = flow_of(message)
    assert flow is not None
    return flow


def test_a_flow_has_the_addresses_of_both_ends() -> None:
    assert listed().addresses == {ip_address("127.0.0.1"), ip_address("127.0.0.2")}


def test_a_flow_is_found_by_its_translated_addresses_as_well() -> None:
    # As a Service makes it: the reply comes from another address than was asked.
    translated = LISTED.replace(bytes.fromhex("080001007f000002"), bytes.fromhex("080001000a000009"))
    flow = flow_of(next(messages(translated)))
    assert flow is not None
    assert ip_address("10.0.0.9") in flow.addresses
    assert ip_address("127.0.0.2") in flow.addresses


def test_a_flow_is_named_by_its_tuple_and_its_id_as_the_kernel_sent_them() -> None:
    assert [kind & 0x3FFF for kind, _ in listed().name] == [1, 12]
    request = delete_request(3, listed())
    length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", request)
    assert (length, kind, flags, sequence) == (len(request), 0x102, 0x5, 3)
    assert request[16] == 2  # AF_INET
    tuple_, id_ = LISTED[20:72], bytes.fromhex("08000c0081b01c26")
    assert request[20:] == tuple_ + id_


def test_nothing_is_ever_deleted_without_a_tuple_for_that_would_mean_everything() -> None:
    for name in ((), ((12, b"\x00\x00\x00\x01"),)):
        with pytest.raises(ValueError, match="all of them"):
            delete_request(1, Flow(frozenset(), 2, name))


def test_the_end_of_a_list_and_an_error_are_told_apart() -> None:
    (done,) = messages(DONE)
    assert (done.kind, done.error) == (NLMSG_DONE, None)
    refused = struct.pack("=IHHII", 36, NLMSG_ERROR, 0, 1, 0) + struct.pack("=i", -errno.EPERM) + bytes(16)
    (error,) = messages(refused)
    assert error.error == errno.EPERM
    acknowledged = refused[:16] + bytes(20)
    (ok,) = messages(acknowledged)
    assert ok.error == 0


def test_several_messages_of_one_packet_are_all_seen_and_a_broken_end_is_left_out() -> None:
    found = list(messages(LISTED + LISTED + DONE + LISTED[:40]))
    assert [message.kind for message in found] == [0x100, 0x100, NLMSG_DONE]
    assert list(messages(b"\x00" * 16)) == []


@pytest.mark.parametrize("cut", range(0, len(LISTED) - 16, 7))
def test_a_message_that_is_too_short_never_raises(cut: int) -> None:
    flow_of(Message(0x100, LISTED[16 : 16 + cut]))


def test_a_message_of_another_kind_is_no_flow() -> None:
    assert flow_of(Message(NLMSG_DONE, LISTED[16:])) is None


def test_a_list_asks_for_all_families() -> None:
    assert list_request(7) == struct.pack("=IHHIIBBH", 20, 0x101, 0x301, 7, 0, 0, 0, 0)


def changed(old: str, new: str) -> Flow:
    flow = flow_of(next(messages(LISTED.replace(bytes.fromhex(old), bytes.fromhex(new)))))
    assert flow is not None
    return flow


def test_an_established_connection_is_brought_back_by_both_tuples_and_its_status_as_established() -> None:
    request = restore_request(9, listed())
    length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", request)
    # NEW; REQUEST, ACK, EXCL and CREATE: one that is known already is left as it is.
    assert (length, kind, flags, sequence) == (len(request), 0x100, 0x605, 9)
    tuples_and_status = LISTED[20:132]
    assert request[20:132] == tuples_and_status
    assert request[132:140] == bytes.fromhex("080007000000012c")
    state = bytes.fromhex("0500010003000000")
    liberal = bytes.fromhex("0600040008080000") + bytes.fromhex("0600050008080000")
    assert request[140:] == bytes.fromhex("20000480") + bytes.fromhex("1c000180") + state + liberal


def test_what_is_closing_or_translated_or_not_tcp_cannot_be_brought_back() -> None:
    closing = changed("0500010003000000", "0500010007000000")
    translated = changed("080003000000000e", "080003000000002e")
    other = changed("300004802c000180", "300004802c000280")
    for flow in (closing, translated, other):
        assert flow.whole is None
        assert flow.addresses
        with pytest.raises(ValueError, match="established"):
            restore_request(1, flow)
