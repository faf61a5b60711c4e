"""The promise: an explanation keeps to its time whatever it would have to look at: after 30 ms of its own work no further look begins; a
busy machine, where that takes longer on the clock, costs no answer until 250 ms are over. Here time is a counter, which each look moves on.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import socklens as sl
from socklens import Address, Cause
from socklens._explain import _budget, _machine, _process, _scene, _tables

OVER = "the 50 ms that an explanation may take were over"
ERRORS = {
    "refused": ConnectionRefusedError(errno.ECONNREFUSED, "connect to 127.0.0.1:1: x"),
    "timed out": TimeoutError(errno.ETIMEDOUT, "connect to 127.0.0.1:1 timed out after 1 s: x"),
    "elsewhere": TimeoutError(errno.ETIMEDOUT, "connect to 192.0.2.1:1 timed out after 1 s: x"),
    "in use": OSError(errno.EADDRINUSE, "listen on 127.0.0.1:1: x"),
    "not available": OSError(errno.EADDRNOTAVAIL, "listen on 192.0.2.1:1: x"),
    "source": OSError(errno.EADDRNOTAVAIL, "connect from 127.0.0.1:2 to 127.0.0.1:1: x"),
    "permission": PermissionError(errno.EACCES, "listen on 127.0.0.1:1: x"),
    "unreachable": OSError(errno.ENETUNREACH, "connect to 192.0.2.1:1: x"),
    "reset": ConnectionResetError(errno.ECONNRESET, "recv on Connection 127.0.0.1:1 -> 127.0.0.1:2: x"),
    "broken pipe": BrokenPipeError(errno.EPIPE, "send on Connection 127.0.0.1:1 -> 127.0.0.1:2: x"),
    "no name": socket.gaierror(socket.EAI_NONAME, 'the name "nowhere" has no address: x'),
    "waited": TimeoutError(errno.ETIMEDOUT, "recv on Connection 127.0.0.1:1 -> 127.0.0.1:2: x"),
    "accept": TimeoutError(errno.ETIMEDOUT, "accept on Listener 127.0.0.1:1: x"),
}


@dataclass
class Clock:
    """Time that only looks pass."""

    work: float = 0.0
    wall: float = 0.0
    looks: list[str] = field(default_factory=list)
    allowed: list[float] = field(default_factory=list)

    def look(self, what: str, work: float, wall: float) -> None:
        self.looks.append(what)
        self.work += work
        self.wall += max(work, wall)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_budget, "thread_time", lambda: clock.work)
    monkeypatch.setattr(_budget, "monotonic", lambda: clock.wall)
    return clock


def slow(patch: pytest.MonkeyPatch, clock: Clock, work: float = 0.0, wall: float = 0.0, rows: Any = ()) -> None:
    """Every question to the kernel takes so long."""

    def asked(kind: str, port: int, v6: bool | None, left: float) -> tuple[list[Any], bool]:
        clock.allowed.append(left)
        clock.look(kind, work, wall)
        return [row for row in rows if kind == "listening"], True

    def opened(path: str, **options: Any) -> Any:
        clock.look(path, work, wall)
        return open(path, **options)

    def numbers(folder: str) -> list[int]:
        clock.look(folder, work, wall)
        return []

    patch.setattr(_tables, "_port_rows", asked)
    patch.setattr(_machine, "open", opened, raising=False)
    patch.setattr(_process, "_numbers", numbers)


@pytest.mark.parametrize("what", ERRORS)
def test_no_look_begins_when_the_work_is_done(what: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, clock, work=0.02)
    found = sl.explain(ERRORS[what])
    assert len(clock.looks) <= 2, "the second begins after 20 ms, a third would after 40"
    assert all(0 < left <= 2 * _budget.LOOKING for left in clock.allowed)
    assert found.cause is not Cause.NOT_KNOWN
    assert found.next_step
    assert all(OVER in one for one in found.unseen if "/proc/net/if_inet6" not in one)


@pytest.mark.parametrize("what", ERRORS)
def test_a_machine_that_pauses_ends_it_by_the_clock(what: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, clock, wall=0.1)
    found = sl.explain(ERRORS[what])
    assert len(clock.looks) <= 3, "a fourth would begin after 300 ms"
    assert found.cause is not Cause.NOT_KNOWN
    assert found.next_step


@pytest.mark.parametrize("what", ERRORS)
def test_what_was_left_out_is_said(what: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as quick:
        slow(quick, clock)
        at_ease = sl.explain(ERRORS[what])
        wanted = len(clock.looks)
    assert not any(OVER in one for one in at_ease.unseen)
    clock.looks.clear()
    slow(monkeypatch, clock, work=_budget.LOOKING)
    hurried = sl.explain(ERRORS[what])
    assert len(clock.looks) == min(1, wanted)
    assert any(OVER in one for one in hurried.unseen) == (wanted > 1)
    assert len(hurried.evidence) <= len(at_ease.evidence) + 1


def test_a_busy_machine_loses_no_answer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others take most of the processor: three looks of 4 ms of work each take 70 ms on the clock."""
    slow(monkeypatch, clock, work=0.004, wall=0.07)
    found = sl.explain(ERRORS["in use"])
    assert clock.looks == ["listening", "connected", "bound"]
    assert clock.wall > 4 * _budget.LIMIT
    assert found.unseen == ()


@pytest.mark.parametrize(("work", "wall"), [(0.001, 0.0), (0.0, 0.01)])
def test_a_look_that_never_ends(work: float, wall: float, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose the listener is would be asked of one process after the other, for ever."""

    def processes(uid: int | None) -> Iterator[tuple[int, int]]:
        for _ in itertools.count():
            clock.look("a process", work, wall)
            yield 0, 0

    row = SimpleNamespace(
        local=Address("127.0.0.1", 1),
        peer=None,
        inode=1 << 40,
        uid=os.geteuid(),
        protocol=4,
        accept_queue=0,
        accept_limit=1,
    )
    slow(monkeypatch, clock, rows=[row])
    monkeypatch.setattr(_process, "_open_by_others", processes)
    found = sl.explain(ERRORS["in use"])
    assert clock.looks.count("a process") == pytest.approx(30 if work else 25, abs=2)
    assert found.cause is Cause.ADDRESS_IN_USE
    assert "a program whose name was not found" in str(found.evidence[0])
    assert any(OVER in one for one in found.unseen)


def endless(clock: Clock, make: Callable[[], object]) -> Callable[..., Iterator[tuple[str, object]]]:
    def candidates(scene: object) -> Iterator[tuple[str, object]]:
        for i in itertools.count():
            clock.look("a variable", 0.00001, 0.0)
            yield f"name{i}", make()

    return candidates


def test_a_program_with_endless_variables(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, clock)
    monkeypatch.setattr(_process, "_candidates", endless(clock, object))
    found = sl.explain(ERRORS["reset"])
    assert clock.looks.count("a variable") <= 3000 + 64 + 1
    assert any("further variables of this program" in one for one in found.unseen)


def test_thousands_of_sockets_are_asked_for_their_ends_only_in_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are at hand; to ask the kernel about each takes 0.01 ms."""
    slow(monkeypatch, clock)
    asked = itertools.count()
    with socket.socket() as sock:
        crowd: list[tuple[str, object]] = [(f"socks[{i}]", sock) for i in range(20_000)]

        def ends_of(thing: object) -> None:
            next(asked)
            clock.look("getsockname", 0.00001, 0.0)

        monkeypatch.setattr(_process, "objects", lambda scene, budget: crowd)
        monkeypatch.setattr(_scene, "ends_of", ends_of)
        sl.explain(ERRORS["waited"])
    # The first 1,024 of each search are free, and there are two: for this end and for the other.
    assert next(asked) <= 3000 + 2 * (1024 + 64)
