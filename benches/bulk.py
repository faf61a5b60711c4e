"""Large messages of a known size: how near a new bytes object each time comes to a buffer that is reused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import clients
import content
from content import KIB
from harness import Case, Comparison, Open, Round, Spent, Stopwatch, Where, check
from peers import REQUEST


def _rounds(ask: Callable[[bytes], object], read: Callable[[], bytes | bytearray], size: int, who: str) -> Round:
    block = content.bulk()
    pieces = [block[start : start + size] for start in range(0, len(block), size)]

    def go(blocks: int) -> Spent:
        ask(blocks.to_bytes(REQUEST, "big"))
        watch = Stopwatch()
        for _ in range(blocks):
            for piece in pieces:
                got = read()
                watch.pause()
                check(got, piece, who)
                # Gone before the clock runs again, as in a program that handles one message after the other.
                del got
                watch.resume()
        return watch.stop()

    return go


@contextmanager
def _lens(port: int, size: int) -> Iterator[Round]:
    with clients.lens(port) as conn:
        yield _rounds(conn.sendall, lambda: conn.recv_exactly(size), size, "recv_exactly")


@contextmanager
def _reused(port: int, size: int) -> Iterator[Round]:
    with clients.plain(port) as sock:
        buffer = bytearray(size)
        view = memoryview(buffer)

        def read() -> bytearray:
            have = 0
            while have < size:
                part = sock.recv_into(view[have:])
                if not part:
                    raise EOFError
                have += part
            return buffer

        yield _rounds(sock.sendall, read, size, "recv_into")


@contextmanager
def _joined(port: int, size: int) -> Iterator[Round]:
    with clients.plain(port) as sock:
        yield _rounds(sock.sendall, lambda: clients.hand_joined(sock, size), size, "the join loop")


def _case(size: int, name: str, cpu_within: float) -> Case:
    ours, reused, joined = f"recv_exactly({name})", "recv_into a reused buffer", "join loop"
    contestants: dict[str, Open] = {
        ours: partial(_lens, size=size),
        reused: partial(_reused, size=size),
        joined: partial(_joined, size=size),
    }
    return Case(
        f"bulk {name}",
        "bulk",
        Where.TWO_CORES,
        contestants,
        [
            Comparison(ours, reused, faster_by=0.95),
            Comparison(ours, joined),
            Comparison(ours, reused, cpu=True),
            Comparison(ours, joined, cpu=True, cpu_within=cpu_within),
            # What is left where nothing is allocated: the kernel's copy, which nobody can do without.
            Comparison(reused, joined, cpu=True),
        ],
        operations=KIB * KIB // size,
    )


CASES = [_case(64 * KIB, "64 KiB", 0.9), _case(KIB * KIB, "1 MiB", 0.65)]
