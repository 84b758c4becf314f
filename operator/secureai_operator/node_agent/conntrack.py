"""The kernel's table of connections of this network namespace: read it, and have entries forgotten (needs CAP_NET_ADMIN)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterable, Iterator
from itertools import count

from secureai_operator.errors import Terminal
from secureai_operator.node_agent.flows import (
    NLMSG_DONE,
    NLMSG_ERROR,
    Address,
    Flow,
    Message,
    delete_request,
    flow_of,
    list_request,
    messages,
    restore_request,
)

_NETLINK_NETFILTER = 12
_PACKET = 1 << 18
"""Bytes; the kernel fills at most 32 KiB of it."""
_ANSWER_SECONDS = 10.0


class Conntrack:
    """One netlink socket; its calls block for as long as the kernel takes, so they belong in a thread, one at a time."""

    def __init__(self) -> None:
        self._sequence = count(1)
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        self._socket.settimeout(_ANSWER_SECONDS)
        self._socket.bind((0, 0))

    def close(self) -> None:
        self._socket.close()

    def flows(self, addresses: Collection[Address]) -> list[Flow]:
        """The connections that have one of these addresses at an end."""
        wanted = frozenset(addresses)
        self._socket.send(list_request(next(self._sequence)))
        found = (flow_of(message) for message in self._answers())
        return [flow for flow in found if flow is not None and flow.addresses & wanted]

    def forget(self, flow: Flow) -> bool:
        """Have the kernel forget it, so that its next packet is judged as a new one; False if it had ended already."""
        return self._done(delete_request(next(self._sequence), flow), unless=FileNotFoundError)

    def restore(self, flow: Flow) -> bool:
        """Have the kernel know a forgotten connection again; False if it knows it already."""
        return self._done(restore_request(next(self._sequence), flow), unless=FileExistsError)

    def cut(self, addresses: Collection[Address]) -> list[Flow]:
        """Forget all connections of these addresses; returns those that there were."""
        return [flow for flow in self.flows(addresses) if self.forget(flow)]

    def bring_back(self, flows: Iterable[Flow]) -> int:
        """Restore what can be restored; returns how many were."""
        return sum(self.restore(flow) for flow in flows if flow.whole is not None)

    def _done(self, request: bytes, *, unless: type[OSError]) -> bool:
        """Send a request and wait for its acknowledgement; False if the kernel refuses with that error."""
        self._socket.send(request)
        try:
            for _ in self._answers():
                pass
        except unless:
            return False
        return True

    def _answers(self) -> Iterator[Message]:
        """All messages of one answer; an OSError if the kernel refuses."""
        while True:
            for message in messages(self._socket.recv(_PACKET)):
                if message.kind == NLMSG_DONE:
                    return
                if message.kind != NLMSG_ERROR:
                    yield message
                elif message.error:
                    raise OSError(message.error, os.strerror(message.error))
                else:
                    return


def open_conntrack() -> Conntrack:
    """A socket that is known to work; Terminal says what it lacks."""
    try:
        table = Conntrack()
        table.flows(())
    except OSError as error:
        hint = "it needs the capability NET_ADMIN" if error.errno == errno.EPERM else "is nf_conntrack there?"
        raise Terminal(
            "ConntrackUnavailable", f"the kernel's table of connections: {error.strerror}; {hint}"
        ) from error
    return table
