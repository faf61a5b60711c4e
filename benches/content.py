"""The bytes that cross the wire: the servers and the checks both take them from here. No socket is touched."""

from __future__ import annotations

from random import Random
from typing import Final

LINE: Final = 32
RECORD: Final = 16
KIB: Final = 1024

# A stream repeats one block for ever. Every line, frame and record in a block differs from the others, so that one
# that is lost, doubled or cut in the wrong place does not pass for its neighbour.
LINES: Final[list[bytes]] = [b"line %026d\n" % number for number in range(4096)]
RECORDS: Final[list[bytes]] = [b"record %09d" % number for number in range(4096)]
MESSAGES: Final[list[bytes]] = [b"message %024d" % number for number in range(4096)]
TRIPS: Final[list[bytes]] = [b"trip %059d" % number for number in range(256)]
ONE_BYTE: Final = b"!"

# Far below this many the clock, stopped and started around each check, would show in the result. Far above it the
# messages that wait to be checked fall out of the first cache, which a reader of one line at a time does not suffer.
BATCH: Final = 512


def bulk() -> bytes:
    """1 MiB that repeats nowhere: a reader that swaps two pieces is found out."""
    return Random(6666).randbytes(1024 * KIB)


def block(kind: str) -> bytes:
    """What the stream server of this kind sends for each unit that it is asked for."""
    if kind == "lines":
        return b"".join(LINES)
    if kind == "records":
        return b"".join(RECORDS)
    if kind == "frames":
        return b"".join(len(message).to_bytes(4, "big") + message for message in MESSAGES)
    if kind == "bulk":
        return bulk()
    raise ValueError(f"no stream is called {kind!r}")


def batches(expected: list[bytes]) -> list[list[bytes]]:
    """The expected messages of one block, in the portions in which they are read and checked."""
    return [expected[start : start + BATCH] for start in range(0, len(expected), BATCH)]
