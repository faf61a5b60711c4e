"""The notebook on messages in a stream: right answers pass, every mistake has a reason of its own, and none hangs a check; a
prediction is compared with what the sockets did.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import socklens as sl
from judged import solved, wrong
from socklens.lessons import Exercise, Status
from socklens.lessons import messages_in_a_stream as lesson

pytestmark = pytest.mark.usefixtures("no_leaks")

EXERCISES = [lesson.read_lines, lesson.send_text, lesson.recv_text]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "SECONDS", 1.2)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_solutions_pass_and_placeholders_are_not_attempted(exercise: Exercise) -> None:
    for _ in range(2):
        outcome = exercise.check(solved(exercise)[exercise.name])
        assert outcome, outcome
    assert exercise.check(lambda *_: ...).status is Status.NOT_ATTEMPTED
    wrong(exercise.check(5), "Give the function itself")


def test_the_shorter_ways_pass_too() -> None:
    def read_lines(conn: sl.Connection) -> list[str]:
        return [line.decode() for line in conn.lines(keep_end=False)]

    def send_text(conn: sl.Connection, text: str) -> None:
        conn.send_frame(text.encode())

    def send_text_piece_by_piece(conn: sl.Connection, text: str) -> None:
        rest = len(text.encode()).to_bytes(4, "big") + text.encode()
        while rest:
            rest = rest[conn.send(rest) :]

    def recv_text(conn: sl.Connection) -> str:
        return conn.recv_frame().decode()

    assert lesson.read_lines.check(read_lines)
    assert lesson.send_text.check(send_text)
    assert lesson.send_text.check(send_text_piece_by_piece)
    assert lesson.recv_text.check(recv_text)


# ── read_lines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pieces_of(conn: sl.Connection) -> list[bytes]:
    return list(iter(lambda: conn.recv(1024), b""))


def _all_of(conn: sl.Connection) -> bytes:
    return b"".join(_pieces_of(conn))


def _never_stops(conn: sl.Connection) -> list[str]:
    data = b""
    while True:
        data += conn.recv(1024)


def _lines_of_first_recv(conn: sl.Connection) -> list[str]:
    return conn.recv(1024).decode(errors="ignore").splitlines()[:2]


def _one_line(conn: sl.Connection) -> list[str]:
    return [conn.recv_line(keep_end=False).decode()]


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (lambda conn: [piece.decode() for piece in _pieces_of(conn)], ["what each `recv` returned"]),
        (
            lambda conn: "".join(piece.decode(errors="replace") for piece in _pieces_of(conn)).splitlines(),
            ["letters were cut", "Decode a message when it is whole"],
        ),
        (
            lambda conn: "".join(piece.decode() for piece in _pieces_of(conn)).splitlines(),
            ["a piece ended inside a letter"],
        ),
        (lambda conn: _all_of(conn).decode().split("\n"), ["after the last newline there is no further message"]),
        (lambda conn: _all_of(conn).decode().splitlines(keepends=True), ["the newline is the border"]),
        (lambda conn: _all_of(conn).splitlines(), ["There are bytes in your list"]),
        (lambda conn: _all_of(conn).decode().split(), ["drei"]),
        (lambda conn: [line for line in _all_of(conn).decode().split("\n") if line], ["the empty line is a message"]),
        (lambda conn: [line.decode().strip() for line in conn.lines()], ["the blanks around a text belong to it"]),
        (_one_line, ["after that more came"]),
        (_lines_of_first_recv, ["after that more came"]),
        (_never_stops, ["had not returned", "The client has finished"]),
        (lambda conn: _all_of(conn).decode(), ["returned a str", "in a list"]),
        (lambda conn: None, ["returned None"]),
        (lambda conn: [1, 2], ["an int in your list"]),
        (lambda conn: time.sleep(2), ["had more to send"]),
    ],
)
def test_read_lines_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.read_lines.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── send_text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _frame(text: str, length: int, order: str = "big") -> bytes:
    return length.to_bytes(4, "big" if order == "big" else "little") + text.encode()


def _one_send(conn: sl.Connection, text: str) -> None:
    conn.send(_frame(text, len(text.encode())))


def _counts_letters(conn: sl.Connection, text: str) -> None:
    conn.sendall(_frame(text, len(text)))


def _counts_itself(conn: sl.Connection, text: str) -> None:
    conn.sendall(_frame(text, len(text.encode()) + 4))


def _little_end_first(conn: sl.Connection, text: str) -> None:
    conn.sendall(_frame(text, len(text.encode()), "little"))


def _no_length(conn: sl.Connection, text: str) -> None:
    conn.sendall(text.encode())


def _length_as_text(conn: sl.Connection, text: str) -> None:
    conn.sendall(str(len(text)).encode() + text.encode())


def _newline_too(conn: sl.Connection, text: str) -> None:
    conn.sendall(_frame(text + "\n", len(text.encode())))


def _text_into_a_socket(conn: sl.Connection, text: str) -> None:
    conn.sendall(text)  # type: ignore[arg-type]  # as a student writes it


def _nothing_for_nothing(conn: sl.Connection, text: str) -> None:
    if text:
        conn.send_frame(text.encode())


def _aborts(conn: sl.Connection, text: str) -> None:
    conn.send_frame(text.encode())
    conn.abort()


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_one_send, ["of 200,004 bytes came", "`sendall` goes on"]),
        (_counts_letters, ["the number of letters", "these are 11"]),
        (_counts_itself, ["It counts what comes after it: 5"]),
        (_little_end_first, ["begins with its smallest byte"]),
        (_no_length, ["without its length in front"]),
        (_length_as_text, ["the length as text"]),
        (_newline_too, ["the length is right, but after it 6 other bytes"]),
        (_text_into_a_socket, ["TypeError", "at `conn.sendall(text)"]),
        (_nothing_for_nothing, ["An empty text has a length as well"]),
        (_aborts, ["did not get the end of your stream"]),
        (lambda conn, text: conn.sendall(b"some more bytes of mine"), ["It should begin with"]),
        (lambda conn, text: time.sleep(2), ["had not returned"]),
    ],
)
def test_send_text_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.send_text.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── recv_text ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _takes_all(conn: sl.Connection) -> str:
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        data += conn.recv(1024)
    return data[4 : 4 + int.from_bytes(data[:4], "big")].decode()


def _short_length(conn: sl.Connection) -> str:
    return conn.recv_exactly(int.from_bytes(conn.recv(4), "big")).decode()


def _short_text(conn: sl.Connection) -> str:
    return conn.recv(int.from_bytes(conn.recv_exactly(4), "big")).decode()


def _keeps_length(conn: sl.Connection) -> str:
    four = conn.recv_exactly(4)
    return (four + conn.recv_exactly(int.from_bytes(four, "big"))).decode()


def _closes(conn: sl.Connection) -> str:
    with conn:
        return conn.recv_frame().decode()


@pytest.mark.parametrize(
    ("answer", "reasons"),
    [
        (_takes_all, ["message 4", "had an earlier call taken"]),
        (_short_length, ["`recv_exactly(n)` waits for all of them"]),
        (_short_text, ["Message 1 is `'hello'`, but your function returned `'hel'`"]),
        (_keeps_length, ["no part of the text"]),
        (_closes, ["closed the connection"]),
        (lambda conn: conn.recv_frame(), ["returned its bytes"]),
        (lambda conn: conn.recv_exactly(4), ["returned `b'"]),
        (lambda conn: conn.recv_frame() and None, ["returned None"]),
        (lambda conn: len(conn.recv_frame()), ["returned an int"]),
        (lambda conn: conn.recv_frame().decode().upper(), ["returned `'HELLO'`"]),
        (lambda conn: conn.recv_line().decode(), ["no part of the text"]),
        (lambda conn: conn.recv_all().decode(), ["message 1", "wait for more than the length says"]),
    ],
)
def test_recv_text_names_the_mistake(answer: Callable[..., object], reasons: list[str]) -> None:
    begun = time.monotonic()
    wrong(lesson.recv_text.check(answer), *reasons)
    assert time.monotonic() - begun < 6


# ── predictions, and what the cells use ───────────────────────────────────────────────────────────────────────────────


def test_predictions_are_compared_with_what_the_sockets_did() -> None:
    client, server = sl.pair()
    with client, server:
        for word in (b"one\n", b"two\n", b"three\n"):
            client.send(word)
        lesson.arrived(server, 14)
        assert len(server.input_buffer) == 14
        assert "Seen: all three messages" in repr(lesson.two_sends.compare(server.recv(1024)))
        client.send(b"good morning")
        assert "Seen: only its beginning" in repr(lesson.one_recv.compare(server.recv(4)))
        assert "Seen: the whole message" in repr(lesson.one_recv.compare(b"good morning"))
        assert "could not be seen" in repr(lesson.one_recv.compare(b"else"))
    data = bytes(1_000_000)
    with lesson.small_ends() as (writer, _):
        taken = writer.send(data)
        assert "Seen: it takes a part" in repr(lesson.one_send.compare(taken, data))
    assert "Seen: no: a piece may end inside a letter" in repr(
        lesson.split_letter.compare([b"gr\xc3", b"\xbc\xc3\x9fe"])
    )
    assert "Seen: yes" in repr(lesson.split_letter.compare([b"gr", b"een"]))
