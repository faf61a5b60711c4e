"""Memory: what a client that says nothing costs its server. Each of them was served once, so that nothing is left for later."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import native
from contestants import BARE, Absent, Contestant, Running, running
from harness import Where, cores, pinned
from table import Row, spread, times

NAME = "server: memory of an idle client"
CLIENTS, QUICK_CLIENTS = 10_000, 500
# The first ones warm the server up: what it needs once is not counted for a client.
WARM = 200
# Descriptors that a server and the load need besides those of the clients.
OTHERS = 100
OURS, ROSTER = "Server(Echo())", "Server(Echo()), roster kept"
LIMITS = {OURS: 0.5, ROSTER: 1.0}  # KiB
CONTESTANTS: Mapping[str, Contestant] = {
    OURS: Contestant("socklens", "Echo"),
    BARE: Contestant(BARE, "echo"),
    "selectors": Contestant("selectors", "echo"),
    "uvloop Protocol": Contestant("uvloop Protocol", "echo"),
    "asyncio streams": Contestant("asyncio streams", "echo"),
    "socketserver threads": Contestant("socketserver", "echo"),
}


def _most(wanted: int) -> int:
    """As many clients as the limit of open files allows, after raising it as far as this user may."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - OTHERS)


def _resident(process: int) -> int:
    """Bytes of memory in use: proc_pid_smaps(5), whose sum is exact where that of statm is rounded."""
    found = re.search(r"^Rss: +(\d+) kB$", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def _held(one: Running, clients: int) -> Iterator[None]:
    """So many clients, connected and served once, until the end of the block."""
    command: list[str | Path] = [
        native.build() / "load",
        "idle",
        f"127.0.0.1:{one.port}",
        "--connections",
        str(clients),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout is not None
        line = load.stdout.readline()
        if not line or native.report(line).operations != clients:
            raise AssertionError(f"{NAME}: the load did not come to hold {clients} clients")
        yield


def _measure(name: str, contestant: Contestant, clients: int) -> dict[str, float]:
    """KiB for a client; for ours, also with a Python object for each of them."""
    client, server = cores(Where.TWO_CORES)
    with running(contestant, server) as one, pinned(client):
        with _held(one, WARM):
            pass
        before = _resident(one.process.pid)
        with _held(one, clients):
            each = {name: (_resident(one.process.pid) - before) / clients / 1024}
            if name == OURS:
                if (kept := int(one.ask("roster"))) != clients:
                    raise AssertionError(f"{NAME}: the roster has {kept} of {clients} clients")
                each[ROSTER] = (_resident(one.process.pid) - before) / clients / 1024
        return each


def run(wanted: int) -> list[Row]:
    """Every server once, each fresh: what memory a server takes does not depend on how busy the machine is."""
    clients = _most(wanted)
    case = NAME if clients == wanted else f"{NAME} (only {clients:,}: the limit of open files)"
    each: dict[str, float] = {}
    absent: dict[str, str] = {}
    for name, contestant in CONTESTANTS.items():
        try:
            each |= _measure(name, contestant, clients)
        except Absent as why:
            absent[name] = str(why)
    if OURS in absent:
        absent[ROSTER] = absent[OURS]
    rows = [_row(case, OURS, theirs, each, absent) for theirs in CONTESTANTS if theirs != OURS]
    return [*rows, _row(case, ROSTER, BARE, each, absent)]


def _row(case: str, ours: str, theirs: str, each: Mapping[str, float], absent: Mapping[str, str]) -> Row:
    limited = theirs == BARE  # once for each of ours
    target = f"≤ {LIMITS[ours]:.1f} KiB" if limited else ""
    if reasons := [absent[name] for name in (ours, theirs) if name in absent]:
        return Row(case, ours, "–", theirs, "–", f"not measured: {reasons[0]}", target, False if limited else None)
    figures = [f"{each[name]:.2f} KiB" for name in (ours, theirs)]
    met = each[ours] <= LIMITS[ours] if limited else None
    # Never nothing: a page more or less is all that the bare server's clients may cost.
    least = max(each[theirs], 0.01)
    found, goal = spread([each[ours] / least]), LIMITS[ours] / least if limited else None
    texts = (case, ours, figures[0], theirs, figures[1], f"{times(found.median)} memory", target)
    return Row(*texts, met, found, goal, at_most=True)
