"""The promise: a client that is right passes; each wrong one fails for its own named reason, and never hangs the check."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

import pytest
import socklens as sl
from checked import Program, fails, passes
from socklens.check import Mistake

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

DIALOGUE = [(b"time?\n", b"It is 12:30.\n"), (b"bye\n", b"")]
ANSWER = b"It is 12:30.\n"


def right(host: str, port: int) -> bytes:
    with sl.connect(host, port) as conn:
        conn.sendall(b"time?\n")
        answer = conn.recv_line()
        conn.sendall(b"bye\n")
        return answer


def right_with_a_connection(conn: sl.Connection) -> bytes:
    conn.sendall(b"time?\n")
    answer = conn.recv_line()
    conn.sendall(b"bye\n")
    return answer


def right_with_a_socket(sock: socket.socket) -> bytes:
    with sock.makefile("rwb") as file:
        file.write(b"time?\n")
        file.flush()
        answer: bytes = file.readline()
        file.write(b"bye\n")
    return answer


async def right_in_a_task(address: tuple[str, int]) -> bytes:
    with await sl.aio.connect(address) as conn:
        await conn.aio.sendall(b"time?\n")
        answer = await conn.aio.recv_line()
        await conn.aio.sendall(b"bye\n")
        return answer


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        (right, None),
        (right_with_a_connection, None),
        (right_with_a_socket, "socket handler"),
        (right_in_a_task, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_right_one_passes(program: Program, kind: object) -> None:
    passes(sl.check.client(program, DIALOGUE, returns=ANSWER, kind=kind))  # type: ignore[arg-type]


COMMAND = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock, sock.makefile("rw") as file:
    print(input(), file=file, flush=True)
    print("The server says:", file.readline())
    print("bye", file=file, flush=True)
"""


def test_a_command_with_a_keyboard() -> None:
    command = [sys.executable, "-c", COMMAND, "{host}", "{port}"]
    passes(sl.check.client(command, DIALOGUE, stdin=b"time?\n", prints="It is 12:30."))
    result = sl.check.client(command, DIALOGUE, stdin=b"time?\n", prints="It is 11:15.")
    fails(result, None, "did not print what it should")
    assert "It is 12:30." in result.output


def never_connects(port: int) -> None:
    threading.Event().wait()


def ends_without_connecting(port: int) -> None:
    pass


def says_nothing(port: int) -> None:
    with sl.connect(port=port, host="127.0.0.1") as conn:
        conn.recv()


def forgets_the_newline(port: int) -> None:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(b"time?")
        conn.recv_line()


def sends_str(port: int) -> None:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(str(b"time?\n").encode())
        conn.recv_line()


def one_recv_is_the_answer(port: int) -> bytes:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(b"time?\n")
        answer = conn.recv()
        conn.sendall(b"bye\n")
        return answer


def hangs_up(port: int) -> None:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(b"time?\n")


def hangs_up_on_an_answer(port: int) -> None:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(b"time?\n")
        conn.peek(1, timeout=20)


def raises(port: int) -> None:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall("time?\n")  # type: ignore[arg-type]


kept: list[sl.Connection] = []


def never_closes(port: int) -> bytes:
    conn = sl.connect("127.0.0.1", port)
    kept.append(conn)
    return right_with_a_connection(conn)


def waits_for_more(port: int) -> bytes:
    with sl.connect("127.0.0.1", port) as conn:
        right_with_a_connection(conn)
        return conn.recv()


def goes_on_after_the_end(port: int) -> bytes:
    with sl.connect("127.0.0.1", port) as conn:
        conn.sendall(b"time?\n")
        answer = b""
        while not answer.endswith(b"\n"):
            answer += conn.recv()
        conn.sendall(b"bye\n")
        return answer


def tries_for_ever(port: int) -> bytes:
    while True:
        try:
            return right("127.0.0.1", port)
        except ConnectionRefusedError:
            time.sleep(0.01)
        except sl.IncompleteReadError:
            return b""


def returns_something_else(port: int) -> bytes:
    return right("127.0.0.1", port).strip()


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (never_connects, Mistake.NEVER_CONNECTS, "has not connected"),
        (ends_without_connecting, Mistake.NEVER_CONNECTS, "has not connected"),
        (says_nothing, None, "sent nothing, and the server waits"),
        (forgets_the_newline, Mistake.NEWLINE_MISSING, "without the newline"),
        (sends_str, Mistake.SENDS_REPR, "the text that Python shows"),
        (one_recv_is_the_answer, Mistake.RECV_IS_A_MESSAGE, "in three pieces each, it returned b'It is"),
        (hangs_up, Mistake.CLOSES_EARLY, "before it had said everything"),
        (hangs_up_on_an_answer, Mistake.CLOSES_EARLY, "before it had said everything"),
        (raises, Mistake.RAISES, "TypeError"),
        (never_closes, Mistake.NEVER_CLOSES, "its connection is still open"),
        (waits_for_more, Mistake.HANGS, "goes on waiting"),
        (goes_on_after_the_end, Mistake.END_NOT_SEEN, "computes without a pause"),
        (tries_for_ever, Mistake.HANGS, "nothing listened"),
        (returns_something_else, None, "returned something else"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_one_fails_for_its_own_reason(program: Program, mistake: Mistake | None, fragment: str) -> None:
    fails(sl.check.client(program, DIALOGUE, returns=ANSWER), mistake, fragment)
