"""What `import socklens` adds to the start of an interpreter: whole processes from start to end, no socket opened."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from harness import Where, cores, pinned
from table import Row, duration, ratio, spread

NAME = "import"
BARE, OURS, THEIRS = "bare start", "import socklens", "import socket"
STATEMENTS = {BARE: "pass", OURS: OURS, THEIRS: THEIRS}
LIMIT = 0.004  # seconds
# What must stay out until it is needed, and a program that prints which of them came in.
TOO_EARLY = {"socket", "asyncio"}
TELL = f"import sys, socklens; print(*{TOO_EARLY} & sys.modules.keys())"


def _start(statement: str) -> str:
    """One isolated interpreter that runs the statement; -I keeps the user's settings out of all of them."""
    command = [sys.executable, "-I", "-c", statement]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _seconds(statement: str) -> float:
    before = time.perf_counter()
    _start(statement)
    return time.perf_counter() - before


def run(rounds: int) -> list[Row]:
    """Interleaved starts; what an import adds is the median of the differences to the bare start of the same round."""
    if early := _start(TELL).split():
        raise AssertionError(f"import socklens loads {' and '.join(early)}, which it does not need yet")
    took: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    with pinned(cores(Where.ONE_CORE)[0]):
        for statement in STATEMENTS.values():
            _start(statement)  # fills the page cache and the byte-code cache
        order = list(STATEMENTS)
        for _ in range(rounds):
            for name in order:
                took[name].append(_seconds(STATEMENTS[name]))
            order.reverse()
    return [_row(took, OURS, LIMIT), _row(took, THEIRS, None)]


def _row(took: dict[str, list[float]], name: str, limit: float | None) -> Row:
    pairs = list(zip(took[name], took[BARE], strict=True))
    added = spread([full - bare for full, bare in pairs])
    shown = f"{ratio(spread([full / bare for full, bare in pairs]))}, {duration(max(added.median, 0))} more"
    figures = [duration(statistics.median(took[which])) for which in (name, BARE)]
    target = "" if limit is None else f"≤ {duration(limit)} more"
    met = None if limit is None else added.median <= limit
    return Row(NAME, name, figures[0], BARE, figures[1], shown, target, met)
