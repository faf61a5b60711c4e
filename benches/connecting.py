"""A whole short life: connect, receive one byte, close. The server closes first and keeps the TIME_WAIT."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import peers
import socklens
from content import ONE_BYTE
from harness import Case, Comparison, Open, Round, Spent, Stopwatch, Where, check


def _lens(port: int) -> bytes:
    conn = socklens.connect(peers.HOST, port)
    byte = conn.recv(1)
    conn.close()
    return byte


def _plain(port: int) -> bytes:
    sock = socket.socket()
    sock.connect((peers.HOST, port))
    byte = sock.recv(1)
    sock.close()
    return byte


def _created(port: int) -> bytes:
    sock = socket.create_connection((peers.HOST, port))
    byte = sock.recv(1)
    sock.close()
    return byte


@contextmanager
def _rounds(port: int, life: Callable[[int], bytes]) -> Iterator[Round]:
    def go(lives: int) -> Spent:
        watch = Stopwatch()
        for _ in range(lives):
            check(life(port), ONE_BYTE, "a short connection")
        return watch.stop()

    yield go


OURS = "socklens.connect"
CONTESTANTS: dict[str, Open] = {
    OURS: partial(_rounds, life=_lens),
    "socket() and connect": partial(_rounds, life=_plain),
    "create_connection": partial(_rounds, life=_created),
}

# On one core there is no wait to shorten, and little else to win: a bare `_socket.socket`, without the class around it, is
# only 1.04 times as fast as `socket.socket` there. So the targets are for two cores, and one core is shown beside them.
TARGETS = {Where.TWO_CORES: 1.10, Where.ONE_CORE: None}

CASES = [
    Case(
        f"connect, 1 B, close, {where.value}",
        "one byte",
        where,
        CONTESTANTS,
        [
            Comparison(OURS, "socket() and connect", faster_by=target),
            Comparison(OURS, "create_connection", faster_by=target),
        ],
    )
    for where, target in TARGETS.items()
]
