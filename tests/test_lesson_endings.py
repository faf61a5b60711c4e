"""The notebook on how connections end: right answers pass, every mistake has a reason of its own, and none hangs a check; a
prediction is compared with what the sockets did.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import helpers
import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Exercise, Status
from socklens.lessons import how_connections_end as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

EXERCISES = [lesson.exchange, lesson.how_it_ended, lesson.forgotten]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.5)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    for _ in range(2):
        outcome = exercise.check(solved(exercise)[exercise.name])
        assert outcome, outcome
    assert exercise.check(lambda *_: ...).status is Status.NOT_ATTEMPTED
    wrong(exercise.check(5), "Give the function itself")


# ── exchange ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exchange_passes_in_a_with_block_too() -> None:
    def exchange(conn: sl.Connection, request: bytes) -> bytes:
        with conn:
            conn.sendall(request)
            conn.shutdown("send")
            return conn.recv_all()

    assert lesson.exchange.check(exchange)


def _no_end(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    return conn.recv_all()


def _closes_first(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    conn.close()
    return conn.recv_all()


def _ends_both(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    conn.shutdown("both")
    return conn.recv_all()


def _one_recv(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    conn.shutdown("send")
    return conn.recv()


def _never_stops(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    conn.shutdown("send")
    while True:
        conn.recv()


def _left_open(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request)
    conn.shutdown("send")
    return conn.recv_all()


def _a_part(conn: sl.Connection, request: bytes) -> bytes:
    conn.sendall(request[:100])
    conn.shutdown("send")
    return conn.recv_all()


def _nothing_sent(conn: sl.Connection, request: bytes) -> bytes:
    conn.shutdown("send")
    return conn.recv_all()


def _sent_back(conn: sl.Connection, request: bytes) -> bytes:
    _left_open(conn, request)
    return request


def _forgets_return(conn: sl.Connection, request: bytes) -> None:
    _left_open(conn, request)


def _as_text(conn: sl.Connection, request: bytes) -> str:
    return _left_open(conn, request).decode()


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_no_end, ["waits for the end of the request", "`conn.shutdown('send')`"]),
        (_closes_first, ["closed the connection before it read the answer"]),
        (_ends_both, ["ends yours alone"]),
        (_one_recv, ["of 3,200 bytes", "and not before"]),
        (_never_stops, ["had not returned", "that is where to stop"]),
        (_left_open, ["your end is still open"]),
        (_a_part, ["100 bytes that are not the 3,200"]),
        (_nothing_sent, ["has sent nothing"]),
        (_forgets_return, ["returned None"]),
        (_as_text, ["returned a str, not bytes"]),
        (lambda conn, request: request, ["has sent nothing"]),
        (_sent_back, ["that are not the peer's answer"]),
        (lambda conn, request: conn.nope, ["AttributeError", "nope"]),
    ],
)
def test_exchange_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.exchange.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── how_it_ended ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(conn: sl.Connection, timeout: float | None = 0.3) -> None:
    while conn.recv(1024, timeout=timeout):
        pass


def _catches(*errors: type[BaseException], word: str = "reset", timeout: float | None = 0.3) -> Callable[..., str]:
    def how_it_ended(conn: sl.Connection) -> str:
        try:
            _read(conn, timeout)
        except errors:
            return word
        return "end"

    return how_it_ended


def _first_bytes(conn: sl.Connection) -> str:
    return "end" if conn.recv(1024, timeout=0.3) else "silent"


def _end_is_silence(conn: sl.Connection) -> str:
    with contextlib.suppress(OSError):
        _read(conn)
    return "silent"


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_catches(OSError), ["`'silent'`, but your function returned `'reset'`", "one by one"]),
        (_catches(ConnectionResetError), ["TimeoutError left your function", "return `'silent'`"]),
        (_catches(TimeoutError, word="silent"), ["ConnectionResetError left your function"]),
        (_catches(OSError, word="silent"), ["`'reset'`, but your function returned `'silent'`"]),
        (_catches(ConnectionResetError, timeout=None), ["had not returned", "give `recv` a `timeout=`"]),
        (_first_bytes, ["Bytes come first"]),
        (_end_is_silence, ["A FIN is no error"]),
        (lambda conn: None, ["returned `None`", "`'end'`, `'reset'` and `'silent'`"]),
        (lambda conn: "END", ["returned `'END'`"]),
        (lambda conn: 3, ["returned an int"]),
        (lambda conn: conn.recv_frame(), ["raised"]),
    ],
)
def test_how_it_ended_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    wrong(lesson.how_it_ended.check(answer), *reasons)


# ── forgotten ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_forgotten_may_ask_the_kernels_table() -> None:
    def by_table(listener: sl.Listener) -> list[sl.Address | None]:
        return [row.peer for row in sl.ports(listener.local_addr.port, state="CLOSE_WAIT")]

    assert lesson.forgotten.check(by_table)


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (lambda listener: [conn.peer_addr for conn in listener.connections], ["is still there"]),
        (lambda listener: [], ["2 clients have left", "your list has 0"]),
        (lambda listener: listener.connections, ["their `peer_addr`"]),
        (lambda listener: [conn.local_addr for conn in listener.connections], ["the server's own end"]),
        (lambda listener: None, ["returned None"]),
        (lambda listener: 2, ["returned an int"]),
        (lambda listener: listener.accept(), ["had not returned"]),
    ],
)
def test_forgotten_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    wrong(lesson.forgotten.check(answer), *reasons)


# ── predictions, and what the cells use ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ends() -> Iterator[tuple[sl.Connection, sl.Connection]]:
    client, server = sl.pair()
    with client, server:
        yield client, server


def test_states_are_told_once_they_have_settled(
    ends: tuple[sl.Connection, sl.Connection], capsys: pytest.CaptureFixture[str]
) -> None:
    client, server = ends
    client.shutdown("send")
    lesson.settled(client=client, server=server)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["client", "FIN_WAIT_2"]
    assert lines[1].split()[:2] == ["server", "CLOSE_WAIT"]


def test_keepalive_asks_after_what_the_kernel_says(ends: tuple[sl.Connection, sl.Connection]) -> None:
    seconds = lesson.keepalive_asks_after(ends[0])
    assert seconds is None or seconds > 0


def test_predictions_are_compared_with_what_the_sockets_did(ends: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = ends
    assert "Seen: yes" in repr(lesson.after_half_close.compare(b"still here"))
    assert "Seen: it goes on waiting" in repr(lesson.empty_send.compare(None))
    assert "Seen: it returns" in repr(lesson.empty_send.compare(b""))
    client.send(b"x")
    assert "Seen: nothing: `send` works" in repr(lesson.vanished.compare(client, 1, None))
    assert "Seen: `recv` returns" in repr(lesson.vanished.compare(client, 1, b""))
    assert "Seen: it returns" in repr(lesson.after_close.compare(None))
    assert "Seen: it fails" in repr(lesson.after_close.compare(ConnectionResetError()))
    assert "could not be seen" in repr(lesson.after_close.compare(ValueError()))
    assert "Seen: only with" in repr(lesson.port_again.compare(False, True))
    assert "could not be seen" in repr(lesson.port_again.compare(True, False))
    client.close()
    helpers.eventually(lambda: server.state == sl.TcpState.CLOSE_WAIT)
    assert "Seen: CLOSE_WAIT" in repr(lesson.left_open.compare([server]))
