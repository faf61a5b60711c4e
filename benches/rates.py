"""How servers are measured: each in its process on one core, the load on the other, taking turns round by round.

What is compared is how many operations a second a server gave the same load, within a round; and how much of its core it
used for one, because where two servers are fast enough the load is the limit, and their rates tell nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum

import native
from contestants import Absent, Contestant, Running, running
from harness import Where, cores, pinned
from native import Report
from table import Row, ratio, spread, times

SECONDS, WARMUP = 0.25, 0.06


class Measure(Enum):
    """What a comparison is about."""

    RATE = "rate"  # operations a second, ours to theirs
    CPU = "CPU"  # the server's processor time for an operation, ours to theirs
    KEPT = "kept"  # how far the computing cell comes in a second, with ours to with theirs


@dataclass(frozen=True)
class Versus:
    """One row of the table: ours against a peer, with the target if there is one."""

    ours: str
    theirs: str
    at_least: float | None = None
    measure: Measure = Measure.RATE


@dataclass(frozen=True)
class ServerCase:
    """Servers that are asked for the same by the same load."""

    name: str
    mode: str  # of the load
    connections: int
    contestants: Mapping[str, Contestant]
    comparisons: Sequence[Versus]
    busy: bool = False  # a cell computes meanwhile
    where: Where = Where.TWO_CORES
    unit: str = ""


def run(case: ServerCase, rounds: int, hurry: float = 1.0) -> list[Row]:
    """Measures one case; `hurry` divides the time spent on each round."""
    client, server = cores(case.where)
    reports: dict[str, list[Report]] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        up: dict[str, Running] = {}
        for name, contestant in case.contestants.items():
            try:
                up[name] = stack.enter_context(running(contestant, server, busy=case.busy))
                reports[name] = []
            except Absent as why:
                absent[name] = str(why)
        with pinned(client):
            order = list(up)
            for _ in range(rounds):
                for name in order:
                    reports[name].append(_ask(case, name, up[name], hurry))
                order.reverse()
    return [_row(case, versus, reports, absent) for versus in case.comparisons]


def _ask(case: ServerCase, name: str, one: Running, hurry: float) -> Report:
    """One run of the load; a longer one where nothing came to pass, as in a quick run on a busy machine: there is no ratio to nothing."""
    seconds = SECONDS / hurry
    for longer in (1, 4, 16):
        report = _load(case, name, one, seconds * longer, WARMUP / hurry)
        if all((report.operations, report.server_cpu, report.counted or one.counter is None)):
            return report
    raise AssertionError(
        f"{case.name}, {name}: nothing to count in {seconds * longer:.2g} s: the machine is too busy for it"
    )


def _load(case: ServerCase, name: str, one: Running, seconds: float, warmup: float) -> Report:
    options = {"connections": case.connections, "seconds": seconds, "warmup": warmup, "server": one.process.pid}
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    if one.counter is not None:
        words += ["--counter", str(one.counter)]
    try:
        with one.computing():
            return native.load(case.mode, one.port, words)
    except AssertionError as why:
        raise AssertionError(f"{case.name}, {name}: {why}") from None


VALUES: dict[Measure, Callable[[Report], float]] = {
    Measure.RATE: lambda report: report.operations / report.seconds,
    Measure.CPU: lambda report: report.server_cpu / report.operations,
    Measure.KEPT: lambda report: report.counted / report.seconds,
}


def _row(case: ServerCase, versus: Versus, reports: Mapping[str, Sequence[Report]], absent: Mapping[str, str]) -> Row:
    target = "" if versus.at_least is None else f"≥ {times(versus.at_least)}"
    if reasons := [absent[name] for name in (versus.ours, versus.theirs) if name in absent]:
        met = None if versus.at_least is None else False
        return Row(case.name, versus.ours, "–", versus.theirs, "–", f"not measured: {reasons[0]}", target, met)
    value = VALUES[versus.measure]
    ours, theirs = reports[versus.ours], reports[versus.theirs]
    found = spread([value(mine) / value(other) for mine, other in zip(ours, theirs, strict=True)])
    figures = [_figure(case, versus.measure, side) for side in (ours, theirs)]
    met = None if versus.at_least is None else found.median >= versus.at_least
    shown = ratio(found) if versus.measure is Measure.RATE else f"{ratio(found)} {versus.measure.value}"
    texts = (case.name, versus.ours, figures[0], versus.theirs, figures[1], shown, target)
    return Row(*texts, met, found, versus.at_least, at_most=versus.measure is Measure.CPU)


def _figure(case: ServerCase, measure: Measure, side: Sequence[Report]) -> str:
    median = statistics.median(VALUES[measure](report) for report in side)
    if measure is Measure.CPU:
        return f"{_scaled(1 / median)}{case.unit} per CPU s"
    if measure is Measure.KEPT:
        return f"{_scaled(median)} pieces/s"
    rate = f"{_scaled(median)}{case.unit}/s"
    if case.busy:
        return rate
    share = statistics.median(report.server_cpu / report.seconds for report in side)
    return f"{rate}, {share:.0%}"


def _scaled(value: float) -> str:
    """Three significant digits."""
    for unit, size in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
