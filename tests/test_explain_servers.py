"""The promise: when a client of a server of this program fails, the explanation says what the server knows of it: what its handler raised
and where, that it returned, with how many bytes unread, that it was never started. No object is said to be made in a file of this package,
and what an error has found already is not lost.
"""

from __future__ import annotations

import re
import sys
import threading

import pytest
import socklens as sl
from explaining import explained, patiently, seen
from helpers import eventually
from network import free_port
from program import Program
from socklens import Cause
from socklens._explain import _process


def fails(conn: sl.Connection) -> None:
    conn.recv_line(timeout=10)
    raise ZeroDivisionError("of the handler")


def returns(conn: sl.Connection) -> None:
    conn.recv_line(timeout=10)


def test_the_handler_raised() -> None:
    with sl.Server(fails, port=0) as faulty, sl.connect(faulty.local_addr) as client:
        client.sendall(b"a line\nmore")
        eventually(lambda: faulty.errors)
        found = explained(ConnectionResetError, client.recv, timeout=10)
        line = fails.__code__.co_firstlineno + 2
        assert f"the handler of `faulty` raised ZeroDivisionError: of the handler ({__file__}, line {line})" in seen(
            found
        )
        assert "print(faulty.errors[0].traceback)" in found.next_step


def test_the_handler_returned_with_bytes_unread() -> None:
    with sl.Server(returns, port=0) as hasty, sl.connect(hasty.local_addr) as client:
        # In one piece, so that the handler finds more than its line.
        client.sendall(b"a line\n14 more bytes..")
        found = explained(ConnectionResetError, client.recv, timeout=10)
    assert found.cause is Cause.RESET_UNREAD
    assert "the handler of `hasty` returned at" in seen(found)
    assert "with 15 bytes unread" in seen(found)


def test_the_handler_returned_before_the_client_had_done() -> None:
    with sl.Server(returns, port=0) as hasty, sl.connect(hasty.local_addr) as client:
        client.sendall(b"a line\n")
        assert client.recv(timeout=10) == b""
        client.sendall(b"x")
        eventually(lambda: client.info().state == sl.TcpState.CLOSED)
        found = explained((BrokenPipeError, ConnectionResetError), client.sendall, b"y")  # type: ignore[arg-type]
    assert "the handler of `hasty` returned at" in seen(found)
    assert "unread" not in seen(found), "the byte came when it had ended"


def test_the_record_of_an_error_is_explained() -> None:
    def waits(conn: sl.Connection) -> None:
        conn.recv(timeout=0.01)

    with sl.Server(waits, port=0) as server, sl.connect(server.local_addr):
        eventually(lambda: server.errors)
        found = sl.explain(server.errors[0])
    assert "timed out" in found.error
    assert found.cause is not Cause.NOT_KNOWN


def test_an_error_of_pythons_in_the_handler() -> None:
    with sl.Server(fails, port=0) as room, sl.connect(room.local_addr) as client:
        client.sendall(b"a line\n")
        eventually(lambda: room.errors)
        where = f"{__file__}, line {fails.__code__.co_firstlineno + 2}"
        for error in (room.errors[0], room.errors[0].exception):
            found = patiently(error)
            assert found.cause is Cause.HANDLER_FAILED
            assert f"the handler of `room` raised it, at {where}, while it served {client.local_addr}" in seen(found)
            assert "its client has seen no more of it than the end of the connection" in seen(found)
            assert found.next_step == f"Mend {where}: print(room.errors[0].traceback) shows how it came there"
    assert sl.explain(ZeroDivisionError("of nobody's")).cause is Cause.NOT_KNOWN


def test_a_server_that_was_not_started() -> None:
    made = sl.Server(returns, "127.0.0.1", free_port())
    found = explained(ConnectionRefusedError, sl.connect, "127.0.0.1", int(made.asked.rpartition(":")[2]))
    assert "`made` is a server for this port, and has not been started" in seen(found)
    assert found.next_step == "Start it first: made.start()"
    with made:
        where = made.local_addr
    found = explained(ConnectionRefusedError, sl.connect, where)
    assert "has been stopped" in seen(found)


@pytest.mark.parametrize("handler", ["in a thread", "in Rust"])
def test_the_client_of_a_server_is_named(handler: str) -> None:
    end = threading.Event()
    try:
        with sl.Server(sl.LineEcho() if handler == "in Rust" else lambda conn: end.wait(20), port=0) as server:
            with sl.connect(server.local_addr) as client:
                eventually(lambda: len(server.clients) == 1)
                found = explained(TimeoutError, client.recv, timeout=0.01)
                assert "the other end is `server.clients[0]`, in state ESTABLISHED" in seen(found)
            end.set()
    finally:
        end.set()


def test_no_object_is_made_in_a_file_of_this_package() -> None:
    with sl.Server(returns, port=0) as server, sl.connect(server.local_addr) as client:
        eventually(lambda: len(server.clients) == 1)
        conn = server.clients[0].conn
        assert conn.created_at == server.listener.created_at, "accepted in the server's own thread"
        client.sendall(b"\n")
        eventually(lambda: conn.closed)
    assert conn.closed_at is None, "no line of the program has closed it"


def test_the_message_of_an_error_keeps_its_backslashes(pair: tuple[sl.Connection, sl.Connection]) -> None:
    with pytest.raises(TypeError) as caught:
        pair[0].send("hi\n")  # type: ignore[arg-type]
    assert r"Write 'hi\n'.encode()" in " ".join(str(patiently(caught.value)).split())


@pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")
def test_what_the_error_has_found_is_not_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine there may be no time to look at all processes a second time.
    port = free_port()
    code = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); input()"
    with Program(sys.executable, "-c", code) as server:
        server.wait_for("up", stdout=True)
        monkeypatch.setattr(_process.Owners, "_pid", lambda *_: None)
        found = explained(OSError, sl.listen, "127.0.0.1", port, replace=True)
        pid = re.findall(r"process (\d+)\) listens on", found.error)
        assert f"(process {pid[0]}) listens on 127.0.0.1:{port}" in seen(found)
