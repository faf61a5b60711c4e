"""Ping-pong: 64 bytes go out and come back on one connection before the next go. What one wait and its wake-up cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice

import clients
from content import TRIPS
from harness import Case, Comparison, Open, Round, Spent, Stopwatch, Where, check

SIZE = len(TRIPS[0])
# As a program that does not know the size would ask, so that nobody is helped by an exact buffer.
ASK = 1024


def _round(send: Callable[[bytes], object], recv: Callable[[int], bytes], who: str) -> Round:
    def go(trips: int) -> Spent:
        watch = Stopwatch()
        for out in islice(cycle(TRIPS), trips):
            send(out)
            back = recv(ASK)
            # The comparison is inside the clock, some 20 ns of it for everyone: a trip takes a thousand times that.
            while back != out:
                check(out.startswith(back), True, who)
                back += recv(ASK)
        return watch.stop()

    return go


@contextmanager
def _lens(port: int, timeout: float | None) -> Iterator[Round]:
    with clients.lens(port, timeout) as conn:
        yield _round(conn.send, conn.recv, "socklens")


@contextmanager
def _plain(port: int, timeout: float | None) -> Iterator[Round]:
    with clients.plain(port, timeout) as sock:
        yield _round(sock.send, sock.recv, "the standard library")


@contextmanager
def _streams(port: int, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[Round]:
    with clients.streams(port, new_loop) as (loop, reader, writer):

        async def go(trips: int) -> Spent:
            watch = Stopwatch()
            for out in islice(cycle(TRIPS), trips):
                writer.write(out)
                await writer.drain()
                back = await reader.read(ASK)
                while back != out:
                    check(out.startswith(back), True, "asyncio")
                    back += await reader.read(ASK)
            return watch.stop()

        yield lambda trips: loop.run_until_complete(go(trips))


@contextmanager
def _awaitable(port: int) -> Iterator[Round]:
    with clients.awaitable(port) as (loop, aio):

        async def go(trips: int) -> Spent:
            watch = Stopwatch()
            for out in islice(cycle(TRIPS), trips):
                await aio.sendall(out)
                back = await aio.recv(ASK)
                while back != out:
                    check(out.startswith(back), True, "aio")
                    back += await aio.recv(ASK)
            return watch.stop()

        yield lambda trips: loop.run_until_complete(go(trips))


AIO = "await aio.sendall/recv"
LENS, LENS_TIMEOUT = "socklens send/recv", "socklens with a timeout"
PLAIN, PLAIN_TIMEOUT = "socket send/recv", "socket with settimeout"

CONTESTANTS: dict[str, Open] = {
    LENS: partial(_lens, timeout=None),
    LENS_TIMEOUT: partial(_lens, timeout=clients.TIMEOUT),
    PLAIN: partial(_plain, timeout=None),
    PLAIN_TIMEOUT: partial(_plain, timeout=clients.TIMEOUT),
    **({AIO: _awaitable} if clients.has_aio() else {}),
    **{name: partial(_streams, new_loop=new_loop) for name, new_loop in clients.event_loops().items()},
}

CASES = [
    Case(
        "64 B ping-pong, one core",
        "echo",
        Where.ONE_CORE,
        CONTESTANTS,
        [
            Comparison(LENS, PLAIN, faster_by=1.00),
            Comparison(LENS_TIMEOUT, PLAIN_TIMEOUT, faster_by=1.05),
            Comparison(LENS, "asyncio streams", faster_by=1.4),
            Comparison(LENS, "uvloop streams"),
            Comparison(AIO, "asyncio streams", faster_by=1.2),
        ],
    ),
    Case(
        "64 B ping-pong, two cores",
        "echo",
        Where.TWO_CORES,
        CONTESTANTS,
        [
            Comparison(LENS, PLAIN, faster_by=2.2),
            Comparison(LENS_TIMEOUT, PLAIN_TIMEOUT),
            Comparison(LENS, "asyncio streams"),
            Comparison(LENS, "uvloop streams"),
            Comparison(AIO, "asyncio streams"),
        ],
    ),
]
