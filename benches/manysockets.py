"""What a look at the socket table costs where this program itself has ten thousand connected ends; beside `ss`, which shows the same."""

from __future__ import annotations

import gc
import resource
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

import socklens
from harness import check
from table import Row, duration, ratio, spread

NAME = "ports, ten thousand sockets"
ENDS, QUICK_ENDS = 10_000, 200
LIMIT = 0.05  # seconds, for a look and for its drawing together
LOOK, DRAWN = "ports()", "ports(), drawn"
SS = "ss -tanpiH"


def run(rounds: int, ends: int) -> list[Row]:
    """Looks in turn, in CPU time of this process; ss is a process of its own, and is timed on the clock."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ends = min(ends, hard - 200)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        kept: list[socket.socket] = []
        for _ in range(ends // 2):
            kept.append(stack.enter_context(socket.create_connection(("127.0.0.1", port))))
            kept.append(stack.enter_context(listener.accept()[0]))
        looks: dict[str, Callable[[], object]] = {LOOK: socklens.ports, DRAWN: lambda: repr(socklens.ports())}
        if shutil.which("ss"):
            looks[SS] = lambda: subprocess.run(SS.split(), check=True, stdout=subprocess.DEVNULL)
        check(len(socklens.ports(port).filter(state="ESTABLISHED")), len(kept), LOOK)
        took: dict[str, list[float]] = {name: [] for name in looks}
        for _ in range(rounds):
            for name, look in looks.items():
                gc.collect()
                clock = time.perf_counter if name == SS else time.process_time
                before = clock()
                look()
                took[name].append(clock() - before)
    return [_row(took, name) for name in (LOOK, DRAWN)]


def _row(took: dict[str, list[float]], name: str) -> Row:
    case, ours = NAME, statistics.median(took[name])
    target, met = f"≤ {duration(LIMIT)}", ours <= LIMIT
    if SS not in took:
        return Row(case, name, duration(ours), SS, "–", "not measured: ss is not installed", target, met)
    speed = spread([theirs / mine for mine, theirs in zip(took[name], took[SS], strict=True)])
    return Row(case, name, duration(ours), SS, duration(statistics.median(took[SS])), ratio(speed), target, met, speed)
