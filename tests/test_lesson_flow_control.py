"""The checks of the notebook on flow control: a right answer passes, every mistake has a reason of its own, and none hangs a check."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, ends, stuff
from socklens.lessons import Exercise, Outcome, Status
from socklens.lessons import flow_control as lesson


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.0)


def _solved(exercise: Exercise) -> Any:
    namespace: dict[str, Any] = {}
    exec(exercise.solution().code, namespace)
    return namespace[exercise.name]


def _wrong(outcome: Outcome, fragment: str) -> None:
    assert outcome.status is Status.WRONG, outcome
    assert fragment in outcome.reason


@pytest.mark.parametrize("exercise", [lesson.fill, lesson.account, lesson.patient], ids=lambda exercise: exercise.name)
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    outcome = exercise.check(_solved(exercise))
    assert outcome, outcome
    assert exercise.check(lambda *_: ...).status is Status.NOT_ATTEMPTED
    _wrong(exercise.check(5), "Give the function itself")


def _once(conn: sl.Connection) -> int:
    return conn.send(bytes(1024))


def _pieces(conn: sl.Connection) -> int:
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            conn.send(bytes(1024), timeout=0)
            count += 1
    return count


def _waits(conn: sl.Connection) -> int:
    while True:
        conn.send(bytes(1024))


def _raises(conn: sl.Connection) -> int:
    while True:
        conn.send(bytes(1024), timeout=0)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_once, "more would go in"),
        (_pieces, "but the kernel took"),
        (_waits, "With `timeout=0`"),
        (_raises, "BlockingIOError"),
    ],
)
def test_mistakes_in_fill_have_their_reasons(function: Callable[..., object], reason: str) -> None:
    _wrong(lesson.fill.check(function), reason)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda w, r: (r.totals.read, r.input_buffer.kernel, len(w.output_buffer)), "Rust memory"),
        (lambda w, r: (r.totals.received, len(r.input_buffer), len(w.output_buffer)), "`taken` is"),
        (lambda w, r: (r.totals.read, len(r.input_buffer), 0), "`outstanding` is 0"),
        (lambda w, r: len(r.recv(1)), "To look is enough"),
        (lambda w, r: r.totals.read, "Return three numbers"),
    ],
)
def test_mistakes_in_account_have_their_reasons(function: Callable[..., object], reason: str) -> None:
    _wrong(lesson.account.check(function), reason)


def _from_the_start(conn: sl.Connection, data: bytes, pause: Callable[[], None]) -> None:
    for at in range(0, len(data), 10_000):
        while True:
            try:
                conn.send(data[at : at + 10_000], timeout=0)
                break
            except BlockingIOError:
                pause()


def _half(conn: sl.Connection, data: bytes, pause: Callable[[], None]) -> None:
    conn.send(data[:100])


def _never_pauses(conn: sl.Connection, data: bytes, pause: Callable[[], None]) -> None:
    conn.sendall(data)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_from_the_start, "then the stream goes wrong"),
        (_half, "Only the first 100 of"),
        (_never_pauses, "only `pause()` lets"),
    ],
)
def test_mistakes_in_patient_have_their_reasons(function: Callable[..., object], reason: str) -> None:
    _wrong(lesson.patient.check(function), reason)


def test_where_it_stands_is_one_line_of_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (writer, reader):
        sent = stuff(writer, reader)
        lesson.stand(writer, reader)
        told = capsys.readouterr().out
        assert told.count("\n") == 1
        assert f"sent {sent:>7,}" in told
        assert f"receive queue {reader.input_buffer.kernel:>7,}" in told
