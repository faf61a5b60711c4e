"""A cell that computes: pure Python without a pause, which counts how far it got in memory that others can read.

`python computing.py FILE` does so beside a server in another process; `compute(FILE)` does so in the server's own.
"""

from __future__ import annotations

import mmap
import sys
import time
from pathlib import Path

# Two native 64-bit numbers: how many pieces are done, and whether to compute at all.
COUNT, GO = 0, 1
SIZE = 16
# Some ten microseconds: fine enough for a count of a few thousandths, coarse enough for the count to cost nothing.
PIECE = 200


def cells(path: Path) -> memoryview:
    """The two numbers."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), SIZE)).cast("Q")


def compute(path: Path) -> None:
    """Computes for ever, while it is told to go."""
    numbers = cells(path)
    while True:
        if not numbers[GO]:
            time.sleep(0.002)
            continue
        total = 0
        for number in range(PIECE):
            total += number * number
        numbers[COUNT] += 1


if __name__ == "__main__":
    import threading

    threading.Thread(target=compute, args=[Path(sys.argv[1])], daemon=True).start()
    print("computing", flush=True)
    sys.stdin.buffer.read()
