"""The checks of the lessons: a right answer passes, a placeholder is not attempted, every mistake has a reason of its own,
and no answer hangs a check or leaves anything open.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Exercise, Outcome, Status, bounded, chat_room, three_servers
from socklens.lessons import first_session as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

EXERCISES = [
    *(lesson.other_end, lesson.third_client, lesson.ask),
    *(chat_room.join, chat_room.chat, chat_room.slowest),
    *(three_servers.last_wait, three_servers.held_up_by, three_servers.patient, three_servers.brew),
]


@pytest.fixture(scope="module", autouse=True)
def _waited_once() -> None:
    """From its first wait on a thread keeps one descriptor to be woken by; that is no leak of the first test that waits."""
    with sl.listen() as listener, contextlib.suppress(TimeoutError):
        listener.accept(timeout=0.001)


# ── what every exercise does ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_a_placeholder_is_not_attempted(exercise: Exercise) -> None:
    outcome = exercise.check(...)
    assert outcome.status is Status.NOT_ATTEMPTED
    assert not outcome
    assert exercise.check().status is Status.NOT_ATTEMPTED
    assert f"{exercise.name}.hint()" in repr(outcome)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_hint_and_solution_draw_themselves(exercise: Exercise) -> None:
    assert repr(exercise.hint()).startswith("Hint: ")
    assert "socklens-lesson-hint" in exercise.hint()._repr_html_()
    assert repr(exercise.solution()) == exercise.solution().code
    drawn = exercise.solution()._repr_html_()
    assert "<details>" in drawn
    assert "<details open" not in drawn


def test_too_many_answers_are_told_how_to_call() -> None:
    wrong(lesson.ask.check(print, print), "`lesson.ask.check(ask)`", "it got 2")


def test_a_function_that_still_returns_the_placeholder_is_not_attempted() -> None:
    assert lesson.ask.check(lambda conn, question: ...).status is Status.NOT_ATTEMPTED
    assert lesson.other_end.check(lambda client, sockets: ...).status is Status.NOT_ATTEMPTED


def test_what_a_judge_did_not_foresee_is_a_sentence_too() -> None:
    def judge(answer: object) -> str:
        raise LookupError("<b>unforeseen</b>")

    outcome = Exercise("e", expects=("e",), hint="", solution="", judge=judge).check(1)
    wrong(outcome, "LookupError: <b>unforeseen</b>")
    assert "&lt;b&gt;unforeseen&lt;/b&gt;" in outcome._repr_html_()
    assert "<b>" not in outcome._repr_html_()


def test_an_outcome_is_drawn_calmly_and_in_words() -> None:
    outcome = Outcome("ask", Status.PASSED, "All `b'x'` <fine>.")
    assert repr(outcome) == "Passed: ask. All `b'x'` <fine>."
    drawn = outcome._repr_html_()
    assert "All <code>b&#x27;x&#x27;</code> &lt;fine&gt;." in drawn
    assert "socklens-lesson-passed" in drawn
    assert "var(--jp-" in drawn


# ── other_end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_other_end_passes() -> None:
    outcome = lesson.other_end.check(solved(lesson.other_end)["other_end"])
    assert outcome, outcome
    assert "each client found its own" in outcome.reason


def _same_host(client: sl.Connection, sockets: list[sl.Connection]) -> sl.Connection:
    return next(end for end in sockets if end.peer_addr.host == client.local_addr.host)


def _same_peer(client: sl.Connection, sockets: list[sl.Connection]) -> sl.Connection:
    return next(end for end in sockets if end.peer_addr == client.local_addr)


def _closes(client: sl.Connection, sockets: list[sl.Connection]) -> sl.Connection:
    sockets[0].close()
    return sockets[0]


def _misspelt(client: Any, sockets: list[sl.Connection]) -> object:
    return [end for end in sockets if end.peer_addr == client.lokal_addr][0]  # noqa: RUF015  # as a student writes it


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_same_host, "but another port"),
        (lambda client, sockets: sockets[0], "but another port"),
        pytest.param(
            _same_peer,
            "all four values",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="two connections from one local endpoint"),
        ),
        (lambda client, sockets: client, "the client itself"),
        (lambda client, sockets: None, "returned None"),
        (lambda client, sockets: 7, "an int, which is none of the sockets"),
        (_closes, "closed a socket"),
        (_misspelt, "at `return [end for end in sockets if end.peer_addr == client.lokal_addr][0]"),
        (lambda client: client, "TypeError"),
        ("a string", "Give the function itself"),
    ],
)
def test_other_end_names_the_mistake(answer: object, reason: str) -> None:
    wrong(lesson.other_end.check(answer), reason)


# ── third_client ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ends(listener: sl.Listener) -> Iterator[tuple[sl.Connection, sl.Connection]]:
    """A client of the listener, and what the listener accepted."""
    names = solved(lesson.third_client, listener=listener)
    with names["d"], names["a_for_d"]:
        yield names["d"], names["a_for_d"]


def test_third_client_passes(listener: sl.Listener, ends: tuple[sl.Connection, sl.Connection]) -> None:
    outcome = lesson.third_client.check(listener, *ends)
    assert outcome, outcome
    assert str(ends[0].local_addr) in outcome.reason


def test_third_client_leaves_the_students_bytes_alone(
    listener: sl.Listener, ends: tuple[sl.Connection, sl.Connection]
) -> None:
    d, a_for_d = ends
    d.sendall(b"mine")
    for _ in range(2):
        assert lesson.third_client.check(listener, d, a_for_d)
    assert bytes(a_for_d.input_buffer) == b"mine"
    assert len(d.input_buffer) == 0


def test_third_client_names_the_mistake(listener: sl.Listener, ends: tuple[sl.Connection, sl.Connection]) -> None:
    d, a_for_d = ends
    check = lesson.third_client.check
    assert check(listener, ..., ...).status is Status.NOT_ATTEMPTED
    assert check(listener, d, ...).status is Status.NOT_ATTEMPTED
    wrong(check(d, a_for_d), "third_client.check(listener, d, a_for_d)")
    wrong(check(d, d, a_for_d), "The first answer has to be the listener; it is a Connection")
    wrong(check(listener, d, listener), "`a_for_d` is the listener")
    wrong(check(listener, listener, a_for_d), "`d` is a listener")
    wrong(check(listener, "d", a_for_d), "`d` is a str, not a connection")
    wrong(check(listener, d, d), "the same socket")
    wrong(check(listener, a_for_d, d), "swapped")
    with sl.listen() as elsewhere, sl.connect(elsewhere.local_addr) as stray, elsewhere.accept(timeout=5) as end:
        wrong(check(listener, stray, end), f"A listens on `{listener.local_addr}`")
        wrong(check(listener, d, end), "ends of two different connections", "accept once more")
    d.shutdown("send")
    wrong(check(listener, d, a_for_d), "No bytes pass from `d` to `a_for_d`")
    a_for_d.close()
    wrong(check(listener, d, a_for_d), "`a_for_d` is closed already")


def test_the_lectures_clients_are_not_new_ones(
    listener: sl.Listener, ends: tuple[sl.Connection, sl.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "B", ends[0].local_addr)
    wrong(lesson.third_client.check(listener, *ends), "one of the lecture's clients")


# ── ask ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_recv_line(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question + b"\n")
    return conn.recv_line()


def _byte_by_byte(conn: sl.Connection, question: bytes) -> bytes:
    conn.sendall(question + b"\n")
    return b"".join(iter(lambda: conn.recv_exactly(1), b"\n")) + b"\n"


@pytest.mark.parametrize("answer", [solved(lesson.ask)["ask"], _by_recv_line, _byte_by_byte])
def test_ask_passes(answer: Callable[..., object]) -> None:
    for _ in range(3):
        outcome = lesson.ask.check(answer)
        assert outcome, outcome


def _one_recv(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question + b"\n")
    return conn.recv(1024)


def _no_newline(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question)
    return conn.recv_line()


def _no_newline_loop(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question)
    answer = b""
    while not answer.endswith(b"\n"):
        answer += conn.recv(1024)
    return answer


def _no_newline_no_answer(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question)
    return b""


def _receives_first(conn: sl.Connection, question: bytes) -> bytes:
    answer = conn.recv_line()
    conn.send(question + b"\n")
    return answer


def _two_newlines(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question + b"\n\n")
    return conn.recv_line()


def _strips(conn: sl.Connection, question: bytes) -> bytes:
    return _by_recv_line(conn, question).rstrip()


def _text(conn: sl.Connection, question: bytes) -> str:
    return _by_recv_line(conn, question).decode()


def _mixes_text_and_bytes(conn: sl.Connection, question: Any) -> bytes:
    conn.send(question + "\n")
    return conn.recv_line()


def _forgets_return(conn: sl.Connection, question: bytes) -> None:
    _by_recv_line(conn, question)


def _closes_it(conn: sl.Connection, question: bytes) -> bytes:
    with conn:
        return _by_recv_line(conn, question)


def _wants_a_kilobyte(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question + b"\n")
    return conn.recv_exactly(1024)


def _wants_the_end(conn: sl.Connection, question: bytes) -> bytes:
    conn.send(question + b"\n")
    return conn.recv_all()


def _fixed(conn: sl.Connection, question: bytes) -> bytes:
    return _by_recv_line(conn, question).replace(b"0", b"1")


def _exits(conn: sl.Connection, question: bytes) -> bytes:
    sys.exit("done")


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_one_recv, ["b'127.0.0'", "One `recv` returns what is there, not a message"]),
        (_no_newline, ["went on waiting for the end of the line"]),
        (_no_newline_loop, ["went on waiting for the end of the line"]),
        (_no_newline_no_answer, ["went on waiting for the end of the line"]),
        (_receives_first, ["Does your function send before it receives?"]),
        (_two_newlines, ["The peer expected `b'And where is B?\\n'`, but it got `b'\\n'`"]),
        (_strips, ["nearly", "The end of the line"]),
        (_text, ["TCP carries bytes"]),
        (_mixes_text_and_bytes, ["TypeError", 'at `conn.send(question + "\\n")`']),
        (_forgets_return, ["returned None"]),
        (_closes_it, ["closed the connection"]),
        (_wants_a_kilobyte, ["had not returned", "at `return conn.recv_exactly(1024)`", "stays open"]),
        (_wants_the_end, ["had not returned", "at `return conn.recv_all()`", "stays open"]),
        (_fixed, ["but the peer answered"]),
        (_exits, ["SystemExit: done"]),
        (b"7", ["Give the function itself"]),
    ],
)
def test_ask_names_the_mistake(answer: object, reasons: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.5)
    begun = time.monotonic()
    wrong(lesson.ask.check(answer), *reasons)
    assert time.monotonic() - begun < 2 * lesson.SECONDS


# ── bounded: a function that never returns ────────────────────────────────────────────────────────────────────────────


def test_a_function_that_never_returns_is_left_behind_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 0.2)
    over = threading.Event()

    def hangs(*_: object) -> None:
        over.wait()

    try:
        for exercise in (lesson.other_end, lesson.ask):
            begun = time.monotonic()
            wrong(exercise.check(hangs), "had not returned after 0.2 seconds, at `over.wait()`")
            assert time.monotonic() - begun < 5
    finally:
        over.set()


def test_release_ends_the_wait_of_a_hanging_function() -> None:
    client, server = sl.pair()
    with client, server:
        result = bounded.run(client.recv, seconds=0.2, release=client.close)
    assert result.hung
    assert client.closed


def test_a_checked_function_sees_the_callers_context() -> None:
    cell = contextvars.ContextVar("cell", default="none")
    cell.set("this cell")
    assert bounded.value_of(bounded.run(cell.get, seconds=5, release=lambda: None)) == "this cell"
