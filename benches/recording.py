"""What a recording costs: the same calls with and without one, in one run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import clients
import pingpong
import socklens
from content import LINES
from harness import Case, Comparison, Open, Round, Spent, Where
from messages import calls, rounds


@contextmanager
def _lines(port: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        yield rounds(conn.sendall, calls(conn.recv_line), LINES)


@contextmanager
def _recorded(port: int, start: Open) -> Iterator[Round]:
    with start(port) as one:

        def go(units: int) -> Spent:
            # A small ring: what its events cost afterwards is not what the calls cost.
            with socklens.record(limit=1000):
                return one(units)

        yield go


PINGPONG = pingpong.CONTESTANTS[pingpong.LENS]

CASES = [
    Case(
        "32 B lines, recorded",
        "lines",
        Where.TWO_CORES,
        {"recv_line(), recorded": partial(_recorded, start=_lines), "recv_line()": _lines},
        [Comparison("recv_line(), recorded", "recv_line()")],
        operations=len(LINES),
    ),
    Case(
        "ping-pong, recorded",
        "echo",
        Where.ONE_CORE,
        {
            "send() and recv(), recorded": partial(_recorded, start=PINGPONG),
            "send() and recv()": PINGPONG,
        },
        [Comparison("send() and recv(), recorded", "send() and recv()")],
    ),
]
