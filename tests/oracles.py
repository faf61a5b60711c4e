"""Witnesses of the kernel that know nothing of socklens: `ss` (sock_diag) and /proc/net/tcp. They only read."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from helpers import need

Endpoint = tuple[str, int]

# ss's names in the order of the numbers that /proc/net/tcp has (include/net/tcp_states.h).
SS_STATES = (
    "- ESTAB SYN-SENT SYN-RECV FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT UNCONN CLOSE-WAIT LAST-ACK LISTEN CLOSING".split()
)


class Row(NamedTuple):
    """A socket as the kernel's table has it; the state by its number."""

    local: Endpoint
    peer: Endpoint
    state: int
    recv_queue: int
    send_queue: int
    fields: dict[str, str]
    """What `ss -i` and `ss -m` add: rto, cwnd, … and the letters of skmem (rb, tb, …)."""


def ss(local: Endpoint, peer: Endpoint | None = None) -> Row | None:
    """The row of one connection, or of the listener on an address, as ss tells it."""
    where = f"sport = :{local[1]}" + (f" and dport = :{peer[1]}" if peer else "")
    command = [need("ss"), "-tainmH", where]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    rows = [_ss_row(block) for block in re.split(r"\n(?=\S)", text) if block.strip()]
    return _one(rows, local, peer)


Ends = tuple[Endpoint, Endpoint]


def ss_table(port: int) -> dict[Ends, Row]:
    """The connections with this port at either end, as ss tells them, by their endpoints."""
    command = [need("ss"), "-tainmH", f"sport = :{port} or dport = :{port}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    return _by_ends(_ss_row(block) for block in re.split(r"\n(?=\S)", text) if block.strip())


def proc_table() -> dict[Ends, Row]:
    """All connections as /proc/net/tcp and tcp6 tell them."""
    return _by_ends(_proc_rows())


def _by_ends(rows: Iterable[Row]) -> dict[Ends, Row]:
    return {(row.local, row.peer): row for row in rows if row.state != 10}


def proc(local: Endpoint, peer: Endpoint | None = None) -> Row | None:
    """The same row, as /proc/net/tcp and tcp6 tell it (proc_net(5)); it has no further fields."""
    return _one(list(_proc_rows()), local, peer)


def _one(rows: list[Row], local: Endpoint, peer: Endpoint | None) -> Row | None:
    wanted = (local, peer) if peer else (local, None)
    found = [row for row in rows if (row.local, row.peer if peer else None) == wanted and (peer or row.state == 10)]
    assert len(found) <= 1, found
    return found[0] if found else None


def _ss_row(block: str) -> Row:
    state, recv_queue, send_queue, local, peer, *rest = block.split()
    fields = dict(part.split(":", 1) for part in rest if re.match(r"\w+:[^(]", part))
    memory = re.search(r"skmem:\((.*?)\)", block)
    fields |= dict(re.findall(r"([a-z]+)(\d+)", memory[1])) if memory else {}
    fields["snd_wscale"], _, fields["rcv_wscale"] = fields.pop("wscale", "0,0").partition(",")
    return Row(_ss_end(local), _ss_end(peer), SS_STATES.index(state), int(recv_queue), int(send_queue), fields)


def _ss_end(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    # "*" is the unspecified address of a socket that serves both families.
    return {"*": "::"}.get(host, host.strip("[]")), 0 if port == "*" else int(port)


def _proc_rows() -> Iterator[Row]:
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}") as table:
            for line in list(table)[1:]:
                _, local, peer, state, queues, *_ = line.split()
                send_queue, recv_queue = (int(number, 16) for number in queues.split(":"))
                yield Row(_proc_end(local), _proc_end(peer), int(state, 16), recv_queue, send_queue, {})


def _proc_end(text: str) -> Endpoint:
    host, port = text.split(":")
    # 32-bit words in the machine's own order.
    words = struct.pack(f"={len(host) // 8}I", *(int(host[at : at + 8], 16) for at in range(0, len(host), 8)))
    return socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words), int(port, 16)
