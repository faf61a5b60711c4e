"""`python benches`: socklens against its peers, in one run, as ratios. This file measures nothing itself.

It takes about six minutes. Close what else uses the processor. `--only ping` runs the cases with "ping" in the name.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import bulk
import connecting
import frames
import harness
import idle
import importing
import lines
import manyclients
import manysockets
import pingpong
import plot
import rates
import recording
import syscalls
from table import Row, markdown

OUTPUT = Path(__file__).resolve().parent.parent / "build" / "bench.md"
ROUNDS = 31
IMPORT_ROUNDS = 100
# Ten servers take turns, each for a third of a second.
SERVER_ROUNDS = 11
# `--quick` shows that everything runs and gives right bytes; its figures mean nothing.
QUICK_ROUNDS, QUICK_HURRY = 2, 20.0

CASES = [*pingpong.CASES, *lines.CASES, *frames.CASES, *bulk.CASES, *connecting.CASES, *recording.CASES]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python benches", description="socklens against its peers, as ratios")
    parser.add_argument("--quick", action="store_true", help="two short rounds: a test that it runs, not a measurement")
    parser.add_argument("--only", metavar="NAME", default="", help="only the cases whose name contains this")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds for each case (default {ROUNDS})")
    parser.add_argument("--strace", action="store_true", help="count system calls per ping-pong trip as well")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FILE", help="where the table goes; beside it, as .svg, the plot"
    )
    parser.add_argument("--list", action="store_true", help="print the cases' names and stop")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _jobs(options: argparse.Namespace) -> dict[str, Callable[[], list[Row]]]:
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    hurry = QUICK_HURRY if options.quick else 1.0
    jobs: dict[str, Callable[[], list[Row]]] = {case.name: partial(harness.run, case, rounds, hurry) for case in CASES}
    if sys.platform == "linux":
        few = options.rounds or (QUICK_ROUNDS if options.quick else SERVER_ROUNDS)
        jobs |= {case.name: partial(rates.run, case, few, hurry) for case in manyclients.CASES}
        looks = manysockets.QUICK_ENDS if options.quick else manysockets.ENDS
        jobs[manysockets.NAME] = partial(manysockets.run, few, looks)
        jobs[idle.NAME] = partial(idle.run, idle.QUICK_CLIENTS if options.quick else idle.CLIENTS)
    else:
        print("the server cases are left out: their load is written for Linux's epoll", file=sys.stderr)
    jobs[importing.NAME] = partial(importing.run, rounds if options.rounds or options.quick else IMPORT_ROUNDS)
    if options.strace:
        for where in (harness.Where.ONE_CORE, harness.Where.TWO_CORES):
            jobs[f"{syscalls.NAME}, {where.value}"] = partial(syscalls.run, where)
    return {name: job for name, job in jobs.items() if options.only.lower() in name.lower()}


def _machine() -> str:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.release()} "
        f"{platform.machine()}, {count} cores, {time.strftime('%Y-%m-%d')}"
    )


def _report(rows: Sequence[Row], failed: Mapping[str, str], quick: bool) -> str:
    with_target = [row for row in rows if row.met is not None]
    met = sum(1 for row in with_target if row.met)
    notes = [
        f"{_machine()}.",
        "Times are medians for one operation; a ratio is their time to ours, the median (and quartiles) of the rounds'",
        "own ratios. CPU rows are our processor time to theirs.",
        "Server cases: operations a second under one load, and how much of its core the server used; a ratio is our rate to",
        "theirs. Where the servers use less than all of it, the load is the limit, and the CPU row tells more. Kept is how far",
        "a computing cell comes beside our server, to how far beside theirs; beside the bare one, in a process of its own.",
        f"{met} of {len(with_target)} targets met.",
    ]
    notes += [f"Not measured, because it failed: {name} ({why})." for name, why in failed.items()]
    if quick:
        notes.append("A quick run: these figures mean nothing.")
    return "# Benchmarks\n\n" + "\n".join(notes) + f"\n\n{markdown(rows)}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the chosen cases; the exit status tells whether they ran, not whether they were fast."""
    options = _options(arguments)
    jobs = _jobs(options)
    if options.list:
        print(*jobs, sep="\n")
        return 0
    if not jobs:
        print(f"no case's name contains {options.only!r}; --list shows them", file=sys.stderr)
        return 2
    rows: list[Row] = []
    failed: dict[str, str] = {}
    began = time.monotonic()
    for number, (name, job) in enumerate(jobs.items(), start=1):
        print(f"[{number}/{len(jobs)}] {name} …", end=" ", flush=True)
        start = time.monotonic()
        try:
            rows += job()
        except Exception as error:  # what the others took minutes to measure is not lost with it
            failed[name] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        print(f"{time.monotonic() - start:.1f} s", flush=True)
    report = _report(rows, failed, options.quick)
    print(f"\n{report}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(report, encoding="utf-8")
    written = [os.path.relpath(options.output)]
    picture = options.output.with_suffix(".svg")
    try:
        plot.draw(rows, picture, _machine() + (", a quick run: no measurement" if options.quick else ""))
        written.append(os.path.relpath(picture))
    except ImportError as why:
        print(f"no plot was drawn: {why}", file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} s; written to {' and '.join(written)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
