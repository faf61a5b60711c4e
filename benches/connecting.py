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

CASES = [
    Case(
        f"connect, 1 B, close, {where.value}",
        "one byte",
        where,
        CONTESTANTS,
        [
            Comparison(OURS, "socket() and connect", faster_by=1.10),
            Comparison(OURS, "create_connection", faster_by=1.10),
        ],
    )
    for where in (Where.ONE_CORE, Where.TWO_CORES)
]
