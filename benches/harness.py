"""How everything is measured: contestants take turns, round by round, and only times of the same round are compared.

Two programs measured one after the other on a busy machine tell more about the machine than about themselves. So each
round runs every contestant once, each for about the same time, in an order that turns around every other round; a ratio
is the median over the rounds of the ratios within a round. No contestant, socket or target is named here.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import peers
from table import Row, duration, ratio, spread, times


class Spent(NamedTuple):
    """Seconds that some units of work took: on the clock, and of this process's processor time."""

    wall: float
    cpu: float


Round = Callable[[int], Spent]
"""Does so many units of work, checks every byte of them, and tells what they took."""
Open = Callable[[int], AbstractContextManager[Round]]
"""Connects a contestant to the server on this port, for all the rounds."""


class Stopwatch:
    """Adds up the timed parts of a round; it stands still while received bytes are compared with what was sent.

    With `pauses=False` it runs through: where another thread wants the interpreter, the wait for it may fall into any
    part of the round, and a clock that stands still at times would miss some of it.
    """

    def __init__(self, *, pauses: bool = True) -> None:
        self._pauses = pauses
        self._wall = self._cpu = 0.0
        self._cpu_since = time.process_time()
        self._wall_since = time.perf_counter()

    def pause(self) -> None:
        """Stops the clock for a check."""
        if self._pauses:
            self._wall += time.perf_counter() - self._wall_since
            self._cpu += time.process_time() - self._cpu_since

    def resume(self) -> None:
        """Starts the clock again after a check."""
        if self._pauses:
            self._cpu_since = time.process_time()
            self._wall_since = time.perf_counter()

    def stop(self) -> Spent:
        """Ends the round; to be called while the clock runs."""
        wall, cpu = time.perf_counter(), time.process_time()
        return Spent(self._wall + wall - self._wall_since, self._cpu + cpu - self._cpu_since)


class Where(Enum):
    """Which cores the two processes run on."""

    ONE_CORE = "one core"
    TWO_CORES = "two cores"
    ANYWHERE = "any core"


def cores(where: Where) -> tuple[int | None, int | None]:
    """The cores for (this process, the server); None where the system chooses, or cannot be told."""
    if where is Where.ANYWHERE or not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    # The last core for this process: the first one serves most of a machine's interrupts.
    return usable[-1], usable[-1] if where is Where.ONE_CORE else usable[0]


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """This process, and what it starts meanwhile, on one core only."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Comparison:
    """One row of the table: ours against a peer, with the target if there is one."""

    ours: str
    theirs: str
    faster_by: float | None = None  # their time / our time is to be at least this
    cpu: bool = False  # compares this process's CPU time instead
    cpu_within: float | None = None  # our CPU time / their CPU time is to be at most this


@dataclass(frozen=True)
class Case:
    """Contestants that do the same work against the same server."""

    name: str
    server: str  # a kind that `peers` knows
    where: Where
    contestants: Mapping[str, Open]
    comparisons: Sequence[Comparison]
    operations: int = 1  # in one unit of work
    budget: float = 0.08  # seconds for one contestant in one round


def _timed(one: Round, units: int) -> Spent:
    gc.disable()
    try:
        return one(units)
    finally:
        gc.enable()


def _units_for(one: Round, budget: float) -> int:
    """How many units fill the budget; the doubling is the warm-up at the same time."""
    units = 1
    while (took := _timed(one, units).wall) < budget / 4:
        units *= 2
    return max(1, round(units * budget / took))


def run(case: Case, rounds: int, hurry: float = 1.0) -> list[Row]:
    """Measures one case; `hurry` divides the time spent on each round."""
    client, server = cores(case.where)
    spent: dict[str, list[Spent]] = {name: [] for name in case.contestants}
    with pinned(client), ExitStack() as stack:
        port = stack.enter_context(peers.running(case.server, server))
        runs = {name: stack.enter_context(start(port)) for name, start in case.contestants.items()}
        units = {name: _units_for(one, case.budget / hurry) for name, one in runs.items()}
        gc.collect()
        order = list(runs)
        for _ in range(rounds):
            for name in order:
                wall, cpu = _timed(runs[name], units[name])
                operations = units[name] * case.operations
                spent[name].append(Spent(wall / operations, cpu / operations))
            order.reverse()
    return [_row(case, comparison, spent) for comparison in case.comparisons]


def _row(case: Case, comparison: Comparison, spent: Mapping[str, Sequence[Spent]]) -> Row:
    target, met = "", None
    if missing := [name for name in (comparison.ours, comparison.theirs) if name not in spent]:
        reason = f"not measured: {missing[0]} is not installed"
        return Row(case.name, comparison.ours, "–", comparison.theirs, "–", reason, target, met)
    ours, theirs = spent[comparison.ours], spent[comparison.theirs]
    if comparison.cpu:
        cpu = spread([mine.cpu / other.cpu for mine, other in zip(ours, theirs, strict=True)])
        figures = [f"{duration(statistics.median(one.cpu for one in side))} CPU" for side in (ours, theirs)]
        shown = f"{ratio(cpu)} CPU"
        found, goal = cpu, comparison.cpu_within
        if (limit := comparison.cpu_within) is not None:
            target, met = f"≤ {times(limit)}", cpu.median <= limit
    else:
        speed = spread([other.wall / mine.wall for mine, other in zip(ours, theirs, strict=True)])
        figures = [duration(statistics.median(one.wall for one in side)) for side in (ours, theirs)]
        shown = ratio(speed)
        found, goal = speed, comparison.faster_by
        if (least := comparison.faster_by) is not None:
            target, met = f"≥ {times(least)}", speed.median >= least
    texts = (case.name, comparison.ours, figures[0], comparison.theirs, figures[1], shown, target)
    return Row(*texts, met, found, goal, at_most=comparison.cpu)


def check(got: object, expected: object, who: str) -> None:
    """Every byte received is compared: a benchmark of wrong answers is worth nothing."""
    if got != expected:
        raise AssertionError(f"{who} got something other than what was sent")
