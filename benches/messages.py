"""One round over a stream of small messages that never runs dry: read on the clock, compared off the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import repeat

from content import BATCH, batches
from harness import Round, Spent, Stopwatch, check
from peers import REQUEST

Batch = Callable[[], list[bytes]]
"""Reads the next `BATCH` messages."""


def turns() -> Iterable[None]:
    """One turn of a loop for each message of a batch. As in `timeit`, nothing is made for a turn: a `range` would add the
    making of a number, some 8 ns, to every contestant's message."""
    return repeat(None, BATCH)


def calls(read: Callable[[], bytes]) -> Batch:
    """A batch by one call for each message."""
    return lambda: [read() for _ in turns()]


def rounds(ask: Callable[[bytes], object], read: Batch, expected: list[bytes], *, pauses: bool = True) -> Round:
    """Rounds that ask the stream server for blocks and read them; every message is compared with what was to come."""
    portions = batches(expected)

    def go(blocks: int) -> Spent:
        ask(blocks.to_bytes(REQUEST, "big"))
        watch = Stopwatch(pauses=pauses)
        for _ in range(blocks):
            for portion in portions:
                got = read()
                watch.pause()
                check(got, portion, "a reader of messages")
                watch.resume()
        return watch.stop()

    return go
