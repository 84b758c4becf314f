"""Connections as the kernel tracks them, in the words of its netlink interface (linux/netfilter/nfnetlink_conntrack.h).

Purely bytes in and values out; `conntrack` sends and receives them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address

NLMSG_ERROR, NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP, _CREATE_NEW = 0x1, 0x4, 0x300, 0x600
_CONNTRACK = 1 << 8
_NEW, _GET, _DELETE = _CONNTRACK | 0, _CONNTRACK | 1, _CONNTRACK | 2
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO, _TIMEOUT, _ID, _ZONE = 1, 2, 3, 4, 7, 12, 18
_NESTED = 0x8000
_TUPLE_IP = 1
_TCP, _TCP_STATE, _TCP_FLAGS_ORIG, _TCP_FLAGS_REPLY = 1, 1, 4, 5
_ESTABLISHED = 3
_BE_LIBERAL = 0x08
"""Take sequence numbers as they come: how far both ends have got is not known of a connection that was forgotten."""
_TRANSLATED = 0x30
"""IPS_SRC_NAT and IPS_DST_NAT of the status."""
_RESTORED_SECONDS = 300
"""Until an entry that was brought back ends if no packet comes."""
_ADDRESSES = frozenset({1, 2, 3, 4})
"""CTA_IP_V4_SRC, _V4_DST, _V6_SRC, _V6_DST."""
_KIND = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_FAMILY = struct.Struct("=BBH")
_ERROR = struct.Struct("=i")


@dataclass(frozen=True, slots=True)
class Flow:
    """One tracked connection: the addresses at its ends, as sent and as translated, and what names it to the kernel."""

    addresses: frozenset[Address]
    family: int
    name: tuple[tuple[int, bytes], ...]
    """The attributes that the kernel finds it by, as it sent them: the tuple, the zone and the id."""
    whole: tuple[tuple[int, bytes], ...] | None = None
    """What it can be brought back from; None if it cannot: not an established TCP connection, or a translated one."""


@dataclass(frozen=True, slots=True)
class Message:
    """One netlink message; `error` is an errno, 0 for an acknowledgement, None if it is no answer of that kind."""

    kind: int
    body: bytes
    error: int | None = None


def list_request(sequence: int) -> bytes:
    """Ask for all tracked connections of this network namespace."""
    return _request(_GET, _REQUEST | _DUMP, sequence, 0, b"")


def delete_request(sequence: int, flow: Flow) -> bytes:
    """Ask to forget this connection; ValueError for one without a tuple, for which the kernel would forget all."""
    if all(kind & _KIND != _TUPLE_ORIG for kind, _ in flow.name):
        raise ValueError("a flow without a tuple would stand for all of them")
    attributes = b"".join(_attribute(kind, value) for kind, value in flow.name)
    return _request(_DELETE, _REQUEST | _ACK, sequence, flow.family, attributes)


def restore_request(sequence: int, flow: Flow) -> bytes:
    """Ask to know this connection again, as established; ValueError if it cannot be brought back."""
    if flow.whole is None:
        raise ValueError("not an established TCP connection between the addresses that it was opened with")
    liberal = bytes((_BE_LIBERAL, _BE_LIBERAL))
    tcp = _attribute(_TCP_STATE, bytes((_ESTABLISHED,)))
    tcp += _attribute(_TCP_FLAGS_ORIG, liberal) + _attribute(_TCP_FLAGS_REPLY, liberal)
    attributes = b"".join(_attribute(kind, value) for kind, value in flow.whole)
    attributes += _attribute(_TIMEOUT, _RESTORED_SECONDS.to_bytes(4, "big"))
    attributes += _attribute(_PROTOINFO | _NESTED, _attribute(_TCP | _NESTED, tcp))
    return _request(_NEW, _REQUEST | _ACK | _CREATE_NEW, sequence, flow.family, attributes)


def messages(packet: bytes) -> Iterator[Message]:
    """The messages of one packet; what is cut off at its end is left out."""
    while len(packet) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(packet)
        if not _HEADER.size <= length <= len(packet):
            return
        body = packet[_HEADER.size : length]
        if kind == NLMSG_ERROR and len(body) >= _ERROR.size:
            yield Message(kind, body, -_ERROR.unpack_from(body)[0])
        else:
            yield Message(kind, body)
        packet = packet[_aligned(length) :]


def flow_of(message: Message) -> Flow | None:
    """The connection that a message of a list tells of, or None if it tells of none."""
    if message.kind != _NEW or len(message.body) < _FAMILY.size:
        return None
    family = message.body[0]
    parts = {kind & _KIND: (kind, value) for kind, value in _attributes(message.body[_FAMILY.size :])}
    tuples = [parts[kind][1] for kind in (_TUPLE_ORIG, _TUPLE_REPLY) if kind in parts]
    addresses = frozenset(address for one in tuples for address in _tuple_addresses(one))
    name = tuple(parts[kind] for kind in (_TUPLE_ORIG, _ID, _ZONE) if kind in parts)
    whole = tuple(parts[kind] for kind in (_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _ZONE) if kind in parts)
    return Flow(addresses, family, name, whole if _can_be_restored(parts) else None)


def _can_be_restored(parts: Mapping[int, tuple[int, bytes]]) -> bool:
    if not {_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _PROTOINFO} <= parts.keys():
        return False
    status = int.from_bytes(parts[_STATUS][1], "big")
    return _tcp_state(parts[_PROTOINFO][1]) == _ESTABLISHED and not status & _TRANSLATED


def _tcp_state(protoinfo: bytes) -> int | None:
    for protocol, values in _attributes(protoinfo):
        if protocol & _KIND == _TCP:
            return next(
                (value[0] for kind, value in _attributes(values) if kind & _KIND == _TCP_STATE and value),
                None,
            )
    return None


def _tuple_addresses(tuple_: bytes) -> Iterator[Address]:
    for kind, value in _attributes(tuple_):
        if kind & _KIND == _TUPLE_IP:
            for part, address in _attributes(value):
                if part & _KIND in _ADDRESSES:
                    yield ip_address(address)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _request(kind: int, flags: int, sequence: int, family: int, attributes: bytes) -> bytes:
    body = _FAMILY.pack(family, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _aligned(length: int) -> int:
    return (length + 3) & ~3
