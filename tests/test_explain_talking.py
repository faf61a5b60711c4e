"""The promise: when a call on a connection or a listener fails, `sl.explain` looks at both ends where this program has both, and at the
kernel's table where it has one; and it takes no byte.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from typing import Any

import oracles
import pytest
import socklens as sl
from explaining import explained, seen
from helpers import eventually
from network import need_ipv6
from program import Program
from socklens import Cause

Pair = tuple[sl.Connection, sl.Connection]

linux = pytest.mark.skipif(sys.platform != "linux", reason="the tables are Linux's")


# Reset


def test_the_peer_closed_with_bytes_unread(pair: Pair) -> None:
    client, server = pair
    client.send(b"hello")
    eventually(lambda: len(server.input_buffer) == 5)
    server.recv_exactly(2, timeout=10)
    server.close()
    found = explained(ConnectionResetError, client.recv, timeout=10)
    assert found.cause is Cause.RESET_UNREAD
    assert (
        f"the other end is `server`, made in {server.created_at}; this program has closed it, in {server.closed_at}"
        in seen(found)
    )
    assert "this side had sent 5 bytes, and the other end had taken 2" in seen(found)
    assert "close() with 3 bytes unread sends RST" in found.next_step


def test_the_peer_aborted(pair: Pair) -> None:
    client, server = pair
    client.send(b"hello")
    server.recv_exactly(5, timeout=10)
    server.abort()
    found = explained(ConnectionResetError, client.recv, timeout=10)
    assert found.cause is Cause.RESET
    assert str(server.closed_at) in seen(found)
    assert "abort()" in found.next_step


def test_the_listener_closed_before_it_accepted() -> None:
    listener = sl.listen()
    with sl.connect(listener.local_addr) as client:
        listener.close()
        found = explained(ConnectionResetError, client.recv, timeout=10)
    assert found.cause is Cause.RESET_NOT_ACCEPTED
    assert str(listener.closed_at) in seen(found)


def test_a_standard_socket_is_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        client.sendall(b"hello")
        accepted.close()
        assert explained(ConnectionResetError, client.recv, 10).cause is Cause.RESET


# Broken pipe


def test_the_peer_is_gone(pair: Pair) -> None:
    client, server = pair
    server.close()
    assert client.recv(timeout=10) == b""

    def send_twice() -> None:
        client.send(b"1")
        eventually(lambda: client.info().state == sl.TcpState.CLOSED)
        client.send(b"2")

    found = explained(BrokenPipeError, send_twice)
    assert found.cause is Cause.PEER_GONE
    assert f"this program has closed it, in {server.closed_at}" in seen(found)
    assert "the connection is in CLOSED [TCP_INFO]" in seen(found)


@linux
def test_this_side_has_finished(pair: Pair) -> None:
    client, _server = pair
    client.shutdown("send")
    found = explained(BrokenPipeError, client.send, b"more")
    row = oracles.ss(client.local_addr, client.peer_addr)
    assert row is not None
    assert found.cause is Cause.SENDING_FINISHED
    assert re.search(r"is in FIN_WAIT_[12]: this side has sent FIN", seen(found))
    assert oracles.SS_STATES[row.state].startswith("FIN-WAIT")


# Timeouts


def test_nothing_was_sent(pair: Pair) -> None:
    client, server = pair
    found = explained(TimeoutError, client.recv, timeout=0.01)
    assert found.cause is Cause.NOTHING_SENT
    assert f"the other end is `server`, made in {server.created_at}, in state ESTABLISHED" in seen(found)
    assert "it has sent 0 bytes in all, and its output buffer has 0 bytes" in seen(found)


def test_both_wait_for_each_other(pair: Pair) -> None:
    client, server = pair
    client.send(b"question without an end")
    eventually(lambda: len(server.input_buffer) == 23)
    found = explained(TimeoutError, client.recv, timeout=0.01)
    assert "it has 23 bytes unread itself" in seen(found)


@linux
@pytest.mark.parametrize("way", ["socklens", "socket"])
def test_nobody_has_accepted(way: str, listener: sl.Listener) -> None:
    client: Any = (
        sl.connect(listener.local_addr) if way == "socklens" else socket.create_connection(listener.local_addr)
    )
    with client:
        local = client.local_addr if way == "socklens" else client.getsockname()
        if way == "socket":
            client.settimeout(0.01)
            found = explained(TimeoutError, client.recv, 10)
        else:
            found = explained(TimeoutError, client.recv, 10, timeout=0.01)
        row = oracles.proc(tuple(listener.local_addr), tuple(local))
        assert row is not None
        assert oracles.SS_STATES[row.state] == "ESTAB"
        assert found.cause is Cause.NOT_ACCEPTED
        assert f"the other end {listener.local_addr} belongs to no process yet" in seen(found)
        assert "1 connection waits to be accepted, limit 128" in seen(found)


@linux
def test_the_peer_is_another_program() -> None:
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True);"
        "c = s.accept(); print('in', flush=True); input()"
    )
    with Program(sys.executable, "-c", code) as server:
        port = int(server.wait_for(r"(\d+)\n", stdout=True)[1])
        with sl.connect("127.0.0.1", port) as client:
            client.send(b"abc")
            server.wait_for("in", stdout=True)
            found = explained(TimeoutError, client.recv, timeout=0.01)
    assert re.search(r"the other end is alive, of python\S* \(process \d+\), in state ESTABLISHED", seen(found)), seen(
        found
    )
    assert "it has not read 3 bytes of what was sent to it" in seen(found)


def test_a_line_without_its_newline(pair: Pair) -> None:
    client, server = pair
    server.send(b"hello \x1b[31m")
    found = explained(TimeoutError, client.recv_line, timeout=0.05)
    assert found.cause is Cause.FRAME_NOT_WHOLE
    assert r'the input buffer has 11 bytes: "hello \x1b[31m"' in seen(found)
    assert 'b"\\n"' in found.next_step
    assert client.recv(timeout=10) == b"hello \x1b[31m", "looking takes nothing"


def test_text_where_a_length_should_be(pair: Pair) -> None:
    client, server = pair
    server.send(b"hel")
    found = explained(TimeoutError, client.recv_frame, timeout=0.05)
    assert found.cause is Cause.WRONG_FRAMING


def test_no_wait_is_allowed(pair: Pair) -> None:
    found = explained(BlockingIOError, pair[0].recv, timeout=0)
    assert found.cause is Cause.WOULD_WAIT


def test_no_client(listener: sl.Listener) -> None:
    found = explained(TimeoutError, listener.accept, timeout=0.01)
    assert found.cause is Cause.NO_CLIENT
    assert str(listener.local_addr) in found.next_step
    if sys.platform == "linux":
        assert "0 connections wait to be accepted, limit 128" in seen(found)


def test_the_peer_does_not_read(pair: Pair) -> None:
    client, server = pair
    found = explained(TimeoutError, client.sendall, bytes(20_000_000), timeout=0.2)
    assert found.cause is Cause.PEER_DOES_NOT_READ
    assert f"has {len(server.input_buffer):,} bytes unread" in seen(found)
    assert "Let `server` read" in found.next_step


# Frames


def test_the_stream_ends_inside_a_line(pair: Pair) -> None:
    client, server = pair
    server.send(b"first\rsecond")
    server.close()
    found = explained(sl.IncompleteReadError, client.recv_line, timeout=10)
    assert found.cause is Cause.WRONG_FRAMING, "it ends its lines with a carriage return"
    assert r'12 bytes had come: "first\rsecond"' in seen(found)


def test_the_stream_ends_before_the_newline(pair: Pair) -> None:
    client, server = pair
    server.send(b"last")
    server.close()
    found = explained(sl.IncompleteReadError, client.recv_line, timeout=10)
    assert found.cause is Cause.ENDED_INSIDE_LINE
    assert found.cause.value == "the peer finished inside a line"
    assert 'lacks its newline, b"\\n"' in found.next_step


def test_the_stream_ends_where_a_message_would_begin(pair: Pair) -> None:
    client, server = pair
    server.close()
    found = explained(sl.IncompleteReadError, client.recv_exactly, 10, timeout=10)
    assert found.cause is Cause.ENDED_BETWEEN
    assert "inside" not in found.cause.value


def test_the_stream_ends_inside_an_exact_count(pair: Pair) -> None:
    client, server = pair
    server.send(b"abc")
    server.close()
    found = explained(sl.IncompleteReadError, client.recv_exactly, 10, timeout=10)
    assert "10 bytes were awaited [IncompleteReadError.expected]" in seen(found)


def test_asyncio_ends_inside_too() -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"abc")
        reader.feed_eof()
        await reader.readexactly(10)

    found = explained(asyncio.IncompleteReadError, asyncio.run, read())
    assert found.cause is Cause.ENDED_INSIDE
    assert '3 bytes had come: "abc"' in seen(found)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"hello everybody\n"])
def test_letters_read_as_a_length(pair: Pair, data: bytes) -> None:
    client, server = pair
    server.send(data)
    found = explained(sl.FrameTooLongError, client.recv_frame, timeout=10)
    assert found.cause is Cause.WRONG_FRAMING
    assert f"is {int.from_bytes(data[:4], 'big'):,} [struct.unpack" in seen(found)
    assert "send_frame()" in found.next_step


def test_the_other_byte_order(pair: Pair) -> None:
    client, server = pair
    server.send_frame(bytes(300), byteorder="little")
    found = explained(sl.FrameTooLongError, client.recv_frame, timeout=10)
    assert found.cause is Cause.WRONG_FRAMING
    assert "read the other way round, the prefix is 300" in seen(found)


def test_a_line_is_too_long(pair: Pair) -> None:
    client, server = pair
    server.send(b"a long line")
    found = explained(sl.FrameTooLongError, client.recv_line, max_bytes=4, timeout=10)
    assert found.cause is Cause.FRAME_TOO_LONG
    assert "at most 4 bytes were allowed" in seen(found)


# Misuse


def test_closed_by_this_program(pair: Pair) -> None:
    client, _server = pair
    client.close()
    found = explained(sl.ClosedError, client.recv)
    assert found.cause is Cause.CLOSED_HERE
    assert f"`client`, made in {client.created_at}; this program has closed it, in {client.closed_at}" in seen(found)


@pytest.mark.parametrize("kind", ["socklens", "socket"])
def test_text_instead_of_bytes(pair: Pair, kind: str) -> None:
    one, other = socket.socketpair()
    with one, other:
        conn: Any = pair[0] if kind == "socklens" else one
        found = explained(TypeError, lambda: conn.send("hellö"))
    assert found.cause is Cause.TEXT_NOT_BYTES
    assert "5 characters" in seen(found)
    assert "as UTF-8 it is 6 bytes" in seen(found)
    assert ".encode()" in found.next_step


def test_the_socket_is_found_in_a_list(pair: Pair) -> None:
    clients, servers = [pair[0]], {"ann": pair[1]}
    found = explained(TimeoutError, lambda: clients[0].recv(timeout=0.01))
    assert "`servers['ann']`" in seen(found) or "`pair[1]`" in seen(found)
    assert servers["ann"].closed_at is None


def test_where_it_was_closed() -> None:
    client, server = sl.pair()
    with client:
        assert client.closed_at is None
    server.abort()
    file = os.path.basename(__file__)
    assert re.search(rf"{file}, line \d+$", str(client.closed_at))
    assert re.search(rf"{file}, line \d+$", str(server.closed_at))
    first = server.closed_at
    server.close()
    assert server.closed_at == first, "the first counts"
    with sl.listen() as listener:
        assert listener.closed_at is None
    assert str(listener.closed_at).startswith(__file__) or file in str(listener.closed_at)


def test_an_ipv4_peer_of_a_dual_stack_listener() -> None:
    """One end shows the other's address in IPv6's form, and they are still the two ends of one connection."""
    need_ipv6()
    with sl.listen("::", 0, dual_stack=True) as listener:
        client = sl.connect("127.0.0.1", listener.local_addr.port, timeout=10)
        with client, listener.accept(timeout=10) as server:
            assert server.peer_addr.host == "::ffff:127.0.0.1"
            with pytest.raises(TimeoutError) as error:
                client.recv(timeout=0.01)
            found = sl.explain(error.value)
            assert "the other end is `server`" in str(found)


@pytest.mark.parametrize("way", ["detach", "to_socket"])
def test_where_it_was_given_away(pair: Pair, way: str) -> None:
    client, _server = pair
    with sl.listen() as listener:
        for thing in (client, listener):
            given = getattr(thing, way)()
            socket.socket(fileno=given).close() if way == "detach" else given.close()
            assert thing.closed
            assert re.search(rf"{os.path.basename(__file__)}, line \d+$", str(thing.closed_at))
    with pytest.raises(sl.ClosedError) as error:
        client.recv()
    found = sl.explain(error.value)
    assert found.cause is Cause.CLOSED_HERE
    assert "has given its socket away, in" in str(found.evidence)
    assert way in found.next_step
    assert "close()" not in found.next_step


def test_bytes_that_keep_it_from_being_given_away_leave_it_open(pair: Pair) -> None:
    client, server = pair
    client.send(b"a\nb")
    assert server.recv_line(timeout=10) == b"a\n"
    eventually(lambda: server.input_buffer.rust)
    with pytest.raises(BufferError):
        server.detach()
    assert (server.closed, server.closed_at) == (False, None)
