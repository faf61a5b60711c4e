"""The kernel's socket table by sock_diag (netlink, sock_diag(7)). Asks for few rows at a time, waits for nothing, and needs no privileges.

`parse` is a function of bytes alone; `dump` is the only one that asks the kernel.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from .._address import Address

LISTEN, TIME_WAIT, ESTABLISHED, BOUND = 10, 6, 1, 13
"""Numbers of states (include/net/tcp_states.h). BOUND has an address and neither listens nor is connected (Linux ≥ 6.8)."""

_REQUEST = struct.Struct("=IHHII BBBBI 4s 32s I 8s")
_HEADER = struct.Struct("=IHHII")
_ROW = struct.Struct("=BBBB 2s2s 16s16s I8s IIIII")
_BY_FAMILY, _DUMP, _ERROR, _DONE = 20, 0x301, 2, 3


class Row(NamedTuple):
    """One socket, as the table has it."""

    local: Address
    peer: Address | None
    state: int
    recv_queue: int
    """Bytes unread; of a listener, connections that wait to be accepted."""
    send_queue: int
    """Bytes not acknowledged; of a listener, its backlog: one more than that may wait."""
    uid: int
    inode: int
    """0 for a socket that no process has (any more): in TIME_WAIT, or waiting to be accepted."""
    seconds_left: float | None
    """Of TIME_WAIT: until the kernel forgets it."""


def dump(family: int, states: tuple[int, ...], port: int = 0) -> Iterator[list[Row]]:
    """The rows in one family and these states, of one local port or of all, as they come.

    Raises:
        OSError: this kernel does not tell, or no descriptor is free.
    """
    mask = sum(1 << state for state in states)
    number = struct.pack(">HH", port, 0)
    request = _REQUEST.pack(
        _REQUEST.size, _BY_FAMILY, _DUMP, 1, 0, family, socket.IPPROTO_TCP, 0, 0, mask, number, b"", 0, b"\xff" * 8
    )
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 4) as kernel:  # NETLINK_SOCK_DIAG
        kernel.settimeout(0.01)  # it answers within the call; never waited for longer
        kernel.sendto(request, (0, 0))
        more = True
        while more:
            rows, more = parse(kernel.recv(65536))
            yield rows


def parse(data: bytes) -> tuple[list[Row], bool]:
    """The rows in one answer, and whether there is more to come.

    Raises:
        OSError: the answer says that the request failed.
    """
    rows: list[Row] = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _DONE or length < _HEADER.size:
            return rows, False
        if kind == _ERROR:
            code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
            raise OSError(code, "the kernel does not tell")
        if kind == _BY_FAMILY and at + _HEADER.size + _ROW.size <= len(data):
            rows.append(_row(data, at + _HEADER.size))
        at += (length + 3) & ~3
    return rows, True


def _row(data: bytes, at: int) -> Row:
    family, state, _, _, sport, dport, src, dst, _, _, expires, received, sent, uid, inode = _ROW.unpack_from(data, at)
    local, peer = _address(family, src, sport), _address(family, dst, dport)
    left = expires / 1000 if state == TIME_WAIT else None
    return Row(local, peer if peer.port else None, state, received, sent, uid, inode, left)


def _address(family: int, host: bytes, port: bytes) -> Address:
    text = socket.inet_ntop(family, host[: 4 if family == socket.AF_INET else 16])
    # A dual-stack socket shows an IPv4 peer in IPv6's clothes.
    return Address(text.removeprefix("::ffff:") if "." in text else text, int.from_bytes(port, "big"))
