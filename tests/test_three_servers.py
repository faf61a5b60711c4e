"""The third notebook's exercises: right answers pass, every mistake has a reason of its own, and no check takes longer than it should."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Status
from socklens.lessons import three_servers as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.5)


# ── last_wait ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_last_wait_passes() -> None:
    names = solved(lesson.last_wait)
    outcome = lesson.last_wait.check(names["one"], names["threads"])
    assert outcome, outcome
    assert "Measured just now" in outcome.reason


@pytest.mark.parametrize(
    ("one", "threads", "reasons"),
    [
        (0.1, 0.1, ['In `mode="one"` the last of 5 took', "you said 0.1", "all who came before it"]),
        (0.4, 0.1, ["you said 0.4"]),
        (0.5, 0.5, ['In `mode="threads"`', "Nobody waits for anybody else"]),
        ("0.5", 0.1, ["a number of seconds; this is a str"]),
        (True, 0.1, ["this is a bool"]),
    ],
)
def test_last_wait_names_the_mistake(one: object, threads: object, reasons: list[str]) -> None:
    wrong(lesson.last_wait.check(one, threads), *reasons)


# ── held_up_by ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_held_up_by_passes() -> None:
    outcome = lesson.held_up_by.check(solved(lesson.held_up_by)["held_up_by"])
    assert outcome, outcome


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (lambda server: server.local_addr, ["the server's own address"]),
        (lambda server: server.clients[0], ["a Client: nearly", "`peer_addr`"]),
        (lambda server: server.clients[0].conn, ["a Connection: nearly"]),
        (lambda server: None, ["returned None"]),
        (lambda server: 3, ["an int, `3`"]),
        (lambda server: server.clients[3].peer_addr, ["IndexError"]),
        (lambda server: server.join(), ["had not returned"]),
        (7, ["Give the function itself"]),
    ],
)
def test_held_up_by_names_the_mistake(answer: object, reasons: list[str]) -> None:
    wrong(lesson.held_up_by.check(answer), *reasons)


# ── patient ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_its_error(conn: sl.Connection) -> None:
    conn.sendall(b"ready: " + conn.recv_line(timeout=0.3))


def _by_the_connections_timeout(conn: sl.Connection) -> None:
    conn.timeout = 0.3
    conn.sendall(b"ready: " + conn.recv_line())


@pytest.mark.parametrize("answer", [solved(lesson.patient)["patient"], _by_its_error, _by_the_connections_timeout])
def test_patient_passes(answer: object) -> None:
    outcome = lesson.patient.check(answer)
    assert outcome, outcome


def _waits_for_ever(conn: sl.Connection) -> None:
    conn.sendall(b"ready: " + conn.recv_line())


def _waits_hardly(conn: sl.Connection) -> None:
    conn.sendall(b"ready: " + conn.recv_line(timeout=0.01))


def _gives_up_at_once(conn: sl.Connection) -> None:
    try:
        order = conn.recv_line(timeout=0)
    except OSError:
        return
    conn.sendall(b"ready: " + order)


def _no_newline(conn: sl.Connection) -> None:
    conn.sendall(b"ready: " + conn.recv_line(timeout=0.3, keep_end=False) + b"!\n")


def _mute(conn: sl.Connection) -> None:
    conn.recv_line(timeout=0.3)
    conn.recv_all(timeout=0.5)


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_waits_for_ever, ["behind one that says nothing", "no answer after 1 s", "waits in the accept queue"]),
        (_waits_hardly, ["after a tenth of a second was sent away", "TimeoutError"]),
        (_gives_up_at_once, ["was sent away without an answer"]),
        (_no_newline, ["should get `b'ready: tea\\n'`, but gets `b'ready: tea!\\n'`"]),
        (_mute, ["A client that orders at once was sent away", "TimeoutError"]),
        (lambda conn: None, ["was sent away without an answer: your function returned"]),
        (lambda: None, ["TypeError"]),
        ("patient", ["Give the function itself"]),
    ],
)
def test_patient_names_the_mistake(answer: object, reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.patient.check(answer), *reasons)
    assert time.monotonic() - begun < 5


# ── brew ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_brew_passes() -> None:
    outcome = lesson.brew.check(solved(lesson.brew, asyncio=asyncio)["brew"])
    assert outcome, outcome
    assert "while the slow one took" in outcome.reason


async def _sleeps_for_all(conn: Any) -> None:
    order = await conn.aio.recv_line()
    if order == b"slow\n":
        time.sleep(0.3)  # as a student writes it
    await conn.aio.sendall(b"ready: " + order)


async def _all_fast(conn: Any) -> None:
    await conn.aio.sendall(b"ready: " + await conn.aio.recv_line())


async def _all_slow(conn: Any) -> None:
    order = await conn.aio.recv_line()
    await asyncio.sleep(0.3)
    await conn.aio.sendall(b"ready: " + order)


async def _awaits_bytes(conn: Any) -> None:
    await conn.recv_line()


async def _never_reads(conn: Any) -> None:
    await asyncio.sleep(5)


def _plain(conn: sl.Connection) -> None:
    conn.sendall(b"ready: " + conn.recv_line())


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_sleeps_for_all, ["it waited for the slow one", "`await asyncio.sleep(…)`"]),
        (_all_slow, ["it waited for the slow one"]),
        (_all_fast, ["It should take 0.3 s"]),
        # TypeError where the bytes are at hand, RuntimeError where it would have to wait.
        (_awaits_bytes, ["your function raised"]),
        (_never_reads, ["has not read it"]),
        (_plain, ["has to be `async def`"]),
        (3, ["Give the function itself"]),
    ],
)
def test_brew_names_the_mistake(answer: object, reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.brew.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── all ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _unwritten(conn: sl.Connection) -> object:
    return ...


def test_a_function_that_still_returns_the_placeholder_is_not_attempted() -> None:
    assert lesson.held_up_by.check(lambda server: ...).status is Status.NOT_ATTEMPTED
    assert lesson.patient.check(lambda conn: ...).status is Status.NOT_ATTEMPTED
    assert lesson.brew.check(_unwritten).status is Status.NOT_ATTEMPTED
    assert lesson.last_wait.check(..., ...).status is Status.NOT_ATTEMPTED


def test_come_waits_for_all_and_raises_what_one_of_them_raised() -> None:
    came = []

    def customer(name: str, address: sl.Address) -> None:
        came.append(name)
        if name == "C":
            raise ValueError(name)

    with pytest.raises(ValueError, match="C"):
        lesson.come(customer, "BCD", sl.Address("127.0.0.1", 1))
    assert came == ["B", "C", "D"]
