"""The promise: an echo server that is right passes, however it is written; each wrong one fails for its own named reason."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any

import pytest
import socklens as sl
from checked import Program, fails, passes
from helpers import need
from socklens.check import Mistake

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def listening(port: int, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen()
    return sock


def echo(sock: socket.socket) -> None:
    with sock:
        while data := sock.recv(1024):
            sock.sendall(data)


def forever() -> None:
    threading.Event().wait()


# Right ones


def handler(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data)


async def async_handler(conn: sl.Connection) -> None:
    while data := await conn.aio.recv():
        await conn.aio.sendall(data)


def stdlib_handler(sock: socket.socket, address: tuple[str, int]) -> None:
    assert sock.getpeername() == address
    echo(sock)


def threads(port: int) -> None:
    listener = listening(port)
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=echo, args=(conn,)).start()


def returns_at_once(host: str, port: int) -> sl.Server:
    return sl.Server(handler, host, port).start()


async def tasks(host: str, port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, port)
    await server.serve_forever()


def with_socklens(address: tuple[str, int]) -> None:
    def serve(conn: sl.Connection) -> None:
        with conn:
            handler(conn)

    with sl.listen(*address) as listener:
        for conn in listener:
            threading.Thread(target=serve, args=(conn,)).start()


@pytest.mark.parametrize(
    "program",
    [handler, async_handler, stdlib_handler, threads, returns_at_once, tasks, with_socklens, sl.Echo()],
    ids=lambda program: getattr(program, "__name__", type(program).__name__),
)
def test_a_right_one_passes(program: Program) -> None:
    passes(sl.check.echo_server(program))


def test_one_that_runs_already_is_checked_and_left_running() -> None:
    with sl.Server(handler) as server:
        passes(sl.check.echo_server(str(server.local_addr)))
        assert server.running


def test_a_command_in_another_language() -> None:
    need("socat")
    passes(sl.check.echo_server("socat TCP-LISTEN:{port},bind={host},reuseaddr,fork,backlog=64 EXEC:cat"))


def test_a_server_for_one_client_after_the_other_passes_if_that_is_asked() -> None:
    passes(sl.check.echo_server(one_at_a_time, concurrent=False))


# Wrong ones: whether and where they listen


def never_listens(port: int) -> None:
    forever()


def returns_and_nothing_listens(port: int) -> None:
    listening(port)  # collected, and so closed, when the function returns


def another_port(host: str, port: int) -> None:
    listening(0, host)
    sock = listening(0, host)
    sock.accept()


def another_address(port: int) -> None:
    sock = listening(port, "127.0.0.2")
    sock.accept()


def never_accepts(port: int) -> None:
    sock = listening(port)
    forever()
    sock.close()


def accepts_once(port: int) -> None:
    listener = listening(port)
    conn, _ = listener.accept()
    echo(conn)
    forever()


def accepts_once_and_ends(port: int) -> None:
    listener = listening(port)
    conn, _ = listener.accept()
    echo(conn)
    sys.exit()


def one_at_a_time(port: int) -> None:
    listener = listening(port)
    while True:
        conn, _ = listener.accept()
        with contextlib.suppress(ConnectionError):
            echo(conn)


# What they do with bytes


def never_reads(port: int) -> None:
    listener, kept = listening(port), []
    while True:
        kept.append(listener.accept())


def reads_once(conn: sl.Connection) -> None:
    conn.sendall(conn.recv())


def reads_once_and_waits(conn: sl.Connection) -> None:
    conn.sendall(conn.recv())
    forever()


def closes_early(conn: sl.Connection) -> None:
    conn.recv()


def waits_for_a_line(conn: sl.Connection) -> None:
    for line in conn.lines():
        conn.sendall(line)


def waits_for_the_end(conn: sl.Connection) -> None:
    conn.sendall(conn.recv_all())


def ignores_what_send_returns(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.send(data)


def decodes_each_piece(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data.decode().encode())


def replaces_what_it_cannot_decode(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data.decode(errors="replace").encode())


def ascii_only(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data.decode("ascii", "ignore").encode())


def text_only(conn: sl.Connection) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while data := conn.recv():
        conn.sendall(decoder.decode(data).encode())


def sends_str(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(str(data).encode())


def strips(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data.strip())


def adds_a_newline(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data + b"\n")


def strips_and_leaves(conn: sl.Connection) -> None:
    while data := conn.recv().strip():
        conn.sendall(data)


def raises(conn: sl.Connection) -> None:
    conn.sendall(conn.recv() / 2)  # type: ignore[operator, arg-type]


# How they end


def never_closes(conn: sl.Connection) -> None:
    while data := conn.recv():
        conn.sendall(data)
    forever()


def goes_on_after_the_end(conn: sl.Connection) -> None:
    while True:
        conn.sendall(conn.recv())


def ends_with_a_reset(port: int) -> None:
    listener = listening(port)
    socks = [listener]
    while True:
        for sock in select.select(socks, [], [])[0]:
            if sock is listener:
                socks.append(listener.accept()[0])
            elif data := sock.recv(1 << 20):
                sock.sendall(data)
            else:
                socks.remove(sock)
                sock.close()


# Several clients

latest: dict[str, Any] = {"message": b"", "count": 0}


def mixes_clients(conn: sl.Connection) -> None:
    while data := conn.recv():
        latest["message"], latest["count"] = data, latest["count"] + 1
        if data.startswith(b"message 1") and len(data) == 11:  # many at the same time: the others come meanwhile
            deadline, came = time.monotonic() + 5, latest["count"]
            while latest["count"] == came and time.monotonic() < deadline:
                time.sleep(0.001)
            data = latest["message"]
        conn.sendall(data)


def keeps_sockets(port: int) -> None:
    listener, kept = listening(port), []

    def serve(conn: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while data := conn.recv(1024):
                conn.sendall(data)
            conn.shutdown(socket.SHUT_WR)

    while True:
        conn, _ = listener.accept()
        kept.append(conn)
        threading.Thread(target=serve, args=(conn,)).start()


def keeps_threads(conn: sl.Connection) -> None:
    threading.Thread(target=forever, daemon=True).start()
    handler(conn)


@pytest.mark.parametrize(
    ("program", "mistake", "fragment"),
    [
        (never_listens, Mistake.NEVER_LISTENS, "seconds after it was started"),
        (returns_and_nothing_listens, Mistake.NEVER_LISTENS, "the function returned"),
        (another_port, Mistake.WRONG_ADDRESS, "and listens on 127.0.0.1:"),
        (another_address, Mistake.WRONG_ADDRESS, "127.0.0.2:"),
        (never_accepts, Mistake.NEVER_ACCEPTS, "waits in the listener's queue"),
        (accepts_once, Mistake.ACCEPTS_ONCE, "queue to be accepted"),
        (accepts_once_and_ends, Mistake.ACCEPTS_ONCE, "the first client was served, but then the program ended"),
        (one_at_a_time, Mistake.ONE_AT_A_TIME, "answered only when that one had left"),
        (never_reads, Mistake.NEVER_READS, "5 bytes lie unread"),
        (reads_once, Mistake.ANSWERS_ONCE, "the first message was answered, and then it closed the connection"),
        (reads_once_and_waits, Mistake.ANSWERS_ONCE, "lies unread"),
        (closes_early, Mistake.CLOSES_EARLY, "closed the connection before it had answered"),
        (waits_for_a_line, Mistake.WAITS_FOR_A_LINE, "before a newline came"),
        (waits_for_the_end, Mistake.WAITS_FOR_THE_END, "before the client had finished sending"),
        (ignores_what_send_returns, Mistake.SEND_IGNORED, "late"),
        (decodes_each_piece, Mistake.SPLITS_CHARACTERS, "UnicodeDecodeError"),
        (replaces_what_it_cannot_decode, Mistake.SPLITS_CHARACTERS, "when it was cut inside a character"),
        (ascii_only, Mistake.TEXT_ONLY, "this text in UTF-8 was not"),
        (text_only, Mistake.TEXT_ONLY, "the bytes 0 to 255"),
        (sends_str, Mistake.SENDS_REPR, "the text that Python shows"),
        (strips, Mistake.STRIPS, "only white space is missing"),
        (strips_and_leaves, Mistake.STRIPS, "closes the connection when b' ' comes"),
        (raises, Mistake.RAISES, "`conn.sendall(conn.recv() / 2)"),
        (never_closes, Mistake.NEVER_CLOSES, "CLOSE_WAIT"),
        (goes_on_after_the_end, Mistake.END_NOT_SEEN, "recv() returns b'' again and again"),
        (ends_with_a_reset, Mistake.ENDS_WITH_A_CLIENT, "then the program raised ConnectionResetError"),
        (mixes_clients, Mistake.MIXES_CLIENTS, "got what belongs to client"),
        (keeps_sockets, Mistake.LEAKS_SOCKETS, "20 clients came and left"),
        (keeps_threads, Mistake.LEAKS_THREADS, "20 threads more"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_wrong_one_fails_for_its_own_reason(program: Program, mistake: Mistake, fragment: str) -> None:
    fails(sl.check.echo_server(program), mistake, fragment)


def test_what_follows_an_answer_is_no_part_of_it() -> None:
    fails(sl.check.echo_server(adds_a_newline), None, "the answer came, and then b'\\n'")


LEAVES_THE_GROUP = """
import os, signal, socket, sys, threading, time
if os.fork() == 0:
    os.setsid()
    signal.alarm(60)  # in case that nobody ends it
    sock = socket.socket()
    sock.bind(("127.0.0.1", int(sys.argv[1])))
    sock.listen(64)
    def echo(conn):
        try:
            while data := conn.recv(1024):
                conn.sendall(data)
        except OSError:
            pass
        conn.close()
    while True:
        threading.Thread(target=echo, args=(sock.accept()[0],)).start()
time.sleep(60)
"""


def test_a_listener_that_goes_on_when_the_program_is_stopped() -> None:
    before = {row.pid for row in sl.ports(state="LISTEN")}
    try:
        result = sl.check.echo_server([sys.executable, "-c", LEAVES_THE_GROUP, "{port}"])
        fails(result, Mistake.KEEPS_THE_PORT, "is still taken", "python")
    finally:
        for row in sl.ports(state="LISTEN"):
            if row.pid is not None and row.pid not in before and f":{row.local.port} is still" in result.reason:
                os.kill(row.pid, signal.SIGKILL)
