"""The promise: servers of lines, of pages and chat rooms that are right pass; each wrong one fails for its own named reason."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest
import socklens as sl
from checked import Program, fails, passes
from socklens.check import Mistake

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def upper(line: bytes) -> bytes:
    return line.upper()


# Lines


def lines(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(upper(line))


def lines_of_stdlib(sock: socket.socket) -> None:
    with sock.makefile("rwb") as file:
        for line in file:
            file.write(upper(line))
            file.flush()


def one_recv_is_a_line(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(upper(data))


def first_line_of_each_recv(conn: sl.Connection) -> None:
    rest = b""
    while data := conn.recv():
        rest += data
        if b"\n" in rest:
            conn.sendall(upper(rest.partition(b"\n")[0] + b"\n"))
            rest = b""


def one_reply_to_all(conn: sl.Connection) -> None:
    rest = b""
    while data := conn.recv():
        rest += data
        if rest.endswith(b"\n"):
            conn.sendall(upper(rest.replace(b"\n", b" ").strip() + b"\n"))
            rest = b""


def without_newline(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(upper(line).rstrip())


def stops_at_an_empty_line(conn: sl.Connection) -> None:
    for line in conn.lines():
        if not line.strip():
            break
        conn.sendall(upper(line))


def decodes_what_has_come(conn: sl.Connection) -> None:
    text = ""
    while data := conn.recv():
        text += data.decode()
        *whole, text = text.split("\n")
        for line in whole:
            conn.sendall(upper(line.encode()) + b"\n")


@pytest.mark.parametrize("program", [lines, lines_of_stdlib], ids=lambda program: program.__name__)
def test_right_servers_of_lines(program: Program) -> None:
    passes(sl.check.line_server(program, upper, kind="socket handler" if program is lines_of_stdlib else None))


def test_lines_of_rust() -> None:
    passes(sl.check.line_server(sl.LineEcho()))


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (one_recv_is_a_line, Mistake.RECV_IS_A_MESSAGE, "it answered the first piece alone"),
        (first_line_of_each_recv, Mistake.RECV_IS_A_MESSAGE, "but not these two that came together"),
        (one_reply_to_all, Mistake.RECV_IS_A_MESSAGE, "but not these two that came together"),
        (without_newline, Mistake.NEWLINE_MISSING, "the newline that ends its line did not"),
        (stops_at_an_empty_line, Mistake.EMPTY_LINE, "but not an empty one"),
        (decodes_what_has_come, Mistake.SPLITS_CHARACTERS, "UnicodeDecodeError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_servers_of_lines(program: Program, mistake: Mistake, fragment: str) -> None:
    fails(sl.check.line_server(program, upper), mistake, fragment)


def strips(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(line.strip() + b"\n")


def test_lost_blanks_are_laid_to_strip_only_where_that_is_seen() -> None:
    fails(sl.check.line_server(strips), Mistake.STRIPS, "only white space is missing")

    # A line's end or a blank of the answer's own may be missing for other reasons.
    def with_crlf(line: bytes) -> bytes:
        return line.rstrip(b"\n") + b"\r\n"

    fails(sl.check.line_server(strips, with_crlf), None, "only white space is missing")


def calculator(conn: sl.Connection) -> None:
    conn.sendall(b"ready\n")
    for line in conn.lines():
        conn.sendall(b"%d\n" % sum(map(int, line.split(b"+"))))


def test_a_protocol_of_ones_own() -> None:
    def add(line: bytes) -> bytes:
        return b"%d\n" % sum(map(int, line.split(b"+")))

    requests = [b"1+2\n", b"30+40+5\n", b"7\n"]
    passes(sl.check.line_server(calculator, add, requests=requests, greeting=b"ready\n"))
    fails(sl.check.line_server(calculator, add, requests=requests), None, "it answered with other bytes")


# Pages

PAGE = "<h1>Grüße</h1>".encode()


def respond(conn: sl.Connection, status: bytes, body: bytes, length: int | None = None, end: bytes = b"\r\n") -> None:
    head = [b"HTTP/1.1 " + status, b"Content-Type: text/html"]
    if length is not None:
        head.append(b"Content-Length: %d" % length)
    conn.sendall(end.join(head) + 2 * end + body)


def asked(conn: sl.Connection) -> bytes:
    return conn.recv_until(b"\r\n\r\n").split()[1]


def pages(conn: sl.Connection) -> None:
    found = asked(conn) == b"/"
    body = PAGE if found else b"no such page"
    respond(conn, b"200 OK" if found else b"404 Not Found", body, len(body))


def pages_that_end_with_the_connection(conn: sl.Connection) -> None:
    found = asked(conn) == b"/"
    respond(conn, b"200 OK" if found else b"404 Not Found", PAGE if found else b"")


def always_200(conn: sl.Connection) -> None:
    asked(conn)
    respond(conn, b"200 OK", PAGE, len(PAGE))


def counts_characters(conn: sl.Connection) -> None:
    asked(conn)
    respond(conn, b"200 OK", PAGE, len(PAGE.decode()))


def promises_too_much(conn: sl.Connection) -> None:
    asked(conn)
    respond(conn, b"200 OK", PAGE, len(PAGE) + 5)


def newlines_alone(conn: sl.Connection) -> None:
    asked(conn)
    respond(conn, b"200 OK", PAGE, len(PAGE), b"\n")


def no_head(conn: sl.Connection) -> None:
    asked(conn)
    conn.sendall(PAGE)


def half_a_request(conn: sl.Connection) -> None:
    found = conn.recv().split()[1:2] == [b"/"]
    body = PAGE if found else b"no such page"
    respond(conn, b"200 OK" if found else b"404 Not Found", body, len(body))


def keeps_it_open(conn: sl.Connection) -> None:
    found = asked(conn) == b"/"
    body = PAGE if found else b"no such page"
    respond(conn, b"200 OK" if found else b"404 Not Found", body, len(body))
    threading.Event().wait()


@pytest.mark.parametrize("program", [pages, pages_that_end_with_the_connection], ids=lambda program: program.__name__)
def test_right_servers_of_pages(program: Program) -> None:
    passes(sl.check.http_server(program, {"/": PAGE}))


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (always_200, Mistake.HTTP_STATUS, "has the status 200"),
        (counts_characters, Mistake.HTTP_LENGTH, "and more came"),
        (promises_too_much, Mistake.HTTP_LENGTH, f"said {len(PAGE) + 5} bytes, and {len(PAGE)} came"),
        (newlines_alone, Mistake.HTTP_LINE_ENDS, "end with \\n alone"),
        (no_head, None, "no status line"),
        (half_a_request, Mistake.RECV_IS_A_MESSAGE, "not its end, and it answered"),
        (keeps_it_open, Mistake.NEVER_CLOSES, "Connection: close"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_servers_of_pages(program: Program, mistake: Mistake | None, fragment: str) -> None:
    fails(sl.check.http_server(program, {"/": PAGE}), mistake, fragment)


def test_another_body() -> None:
    result = sl.check.http_server(pages, {"/": b"something else"})
    fails(result, None, "not what it should be")
    assert result.failed_step is not None
    assert (result.failed_step.expected, result.failed_step.actual) == (b"something else", PAGE)


# Chat rooms; each check has a process, and so a room, of its own

room: list[sl.Connection] = []


def say(line: bytes, but: sl.Connection | None = None) -> None:
    for conn in room.copy():
        if conn is not but:
            with contextlib.suppress(OSError):
                conn.sendall(line)


def chat(conn: sl.Connection) -> None:
    room.append(conn)
    conn.sendall(b"welcome\n")
    try:
        for line in conn.lines():
            say(b"somebody: " + line, but=conn)
    finally:
        room.remove(conn)


def chat_with_oneself(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(line)


def chat_of_pieces(conn: sl.Connection) -> None:
    room.append(conn)
    try:
        while data := conn.recv():
            say(data, but=conn)
    finally:
        room.remove(conn)


def chat_that_forgets_nobody(conn: sl.Connection) -> None:
    room.append(conn)
    for line in conn.lines():
        for other in room:
            if other is not conn:
                other.sendall(line)


def chat_one_at_a_time(port: int) -> None:
    with sl.listen(port=port) as listener:
        for conn in listener:
            with conn, contextlib.suppress(OSError):
                chat(conn)


def test_right_chat_rooms() -> None:
    passes(sl.check.chat_server(chat, to_sender=False))
    passes(sl.check.chat_server(sl.Chat(), name_first=True, to_sender=False))


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (chat_with_oneself, Mistake.NOT_TO_OTHERS, "comes back to it"),
        (chat_of_pieces, Mistake.RECV_IS_A_MESSAGE, "got in between"),
        (chat_that_forgets_nobody, Mistake.GONE_CLIENT, "did not hear each other any more"),
        (chat_one_at_a_time, Mistake.ONE_AT_A_TIME, "accepted only when the first one has left"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_wrong_chat_rooms(program: Program, mistake: Mistake, fragment: str) -> None:
    fails(sl.check.chat_server(program), mistake, fragment)


def test_whether_a_speaker_hears_itself_is_agreed() -> None:
    fails(sl.check.chat_server(chat, to_sender=True), None, "the client that had said it did not")
