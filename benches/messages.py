"""One round over a stream of small messages that never runs dry: read on the clock, compared off the clock."""

from __future__ import annotations

from collections.abc import Callable

from content import BATCH, batches
from harness import Round, Spent, Stopwatch, check
from peers import REQUEST

Batch = Callable[[], list[bytes]]
"""Reads the next `BATCH` messages."""


def calls(read: Callable[[], bytes]) -> Batch:
    """A batch by one call for each message."""
    return lambda: [read() for _ in range(BATCH)]


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
