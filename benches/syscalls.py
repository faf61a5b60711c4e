"""System calls per ping-pong trip, counted by strace. Run as a program, it is the one that is counted.

strace makes every call slow: times mean nothing here, and an answer for which a call would have had to wait is often
there already, so that the retries of a wait are counted too low. The counts are those of a long run less those of a
short one, which removes the interpreter's own start and end.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter

import peers
from harness import Where, cores, pinned
from table import Row, times

NAME = "system calls per trip"
SHORT, LONG = 200, 1200
# The bound for a receive with a timeout; the standard library makes four.
WITH_TIMEOUT = 3


def _count(contestant: str, port: int, trips: int) -> Counter[str]:
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as report:
        tracer = ["strace", "-f", "-c", "-o", report.name]
        subprocess.run([*tracer, sys.executable, __file__, contestant, str(port), str(trips)], check=True)
        # "% time, seconds, usecs/call, calls, [errors], name"; the last line is the total.
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", report.read(), re.MULTILINE)
    return Counter({name: int(calls) for calls, name in rows if name != "total"})


def _per_trip(contestant: str, port: int) -> dict[str, float]:
    more, fewer = (_count(contestant, port, trips) for trips in (LONG, SHORT))
    each = {name: (more[name] - fewer[name]) / (LONG - SHORT) for name in more}
    return {name: calls for name, calls in each.items() if calls >= 0.05}


def run(where: Where) -> list[Row]:
    """Counts every ping-pong contestant, and tells which calls they were."""
    if shutil.which("strace") is None:
        print("strace is not installed: no system calls were counted", file=sys.stderr)
        return []
    import pingpong

    client, server = cores(where)
    with pinned(client), peers.running("echo", server) as port:
        counts = {name: _per_trip(name, port) for name in pingpong.CONTESTANTS}
    for name, calls in counts.items():
        detail = ", ".join(f"{call} {number:.2f}" for call, number in sorted(calls.items(), key=lambda item: -item[1]))
        print(f"  {where.value}, {name}: {detail}", flush=True)
    totals = {name: sum(calls.values()) for name, calls in counts.items()}
    # Where the answer may come within a spin, each try is a call of its own, and cheaper than the sleep it saves.
    limit = WITH_TIMEOUT if where is Where.ONE_CORE else None
    return [
        _row(where, totals, pingpong.LENS, pingpong.PLAIN, None),
        _row(where, totals, pingpong.LENS_TIMEOUT, pingpong.PLAIN_TIMEOUT, limit),
        _row(where, totals, pingpong.LENS, "asyncio streams", None),
    ]


def _row(where: Where, totals: dict[str, float], ours: str, theirs: str, limit: int | None) -> Row:
    figures = [f"{totals[name]:.2f} calls" for name in (ours, theirs)]
    target = "" if limit is None else f"≤ {limit} calls"
    # One call in twenty trips may be due to a wake-up that came early.
    met = None if limit is None else totals[ours] <= limit + 0.05
    case = f"{NAME}, {where.value}"
    return Row(case, ours, figures[0], theirs, figures[1], times(totals[ours] / totals[theirs]), target, met)


if __name__ == "__main__":
    import pingpong

    name, port, trips = sys.argv[1:]
    with pingpong.CONTESTANTS[name](int(port)) as trip:
        trip(int(trips))
