"""The promise: RST, FIN and a close by this program are three things, and none is ever shown as another, whoever asks
first."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import socklens as sl
from flow import SMALL, ends, settle, stream, stuff
from helpers import eventually
from signals import CameInBetweenError, pending_signal

Pair = tuple[sl.Connection, sl.Connection]
Ending = Callable[[sl.Connection], object]


@pytest.fixture
def by_abort(pair: Pair) -> sl.Connection:
    """A connection whose peer has aborted."""
    client, server = pair
    server.abort()
    return over(client)


def over(conn: sl.Connection) -> sl.Connection:
    eventually(lambda: conn.state == sl.TcpState.CLOSED, what="the RST")
    return conn


# Every way of asking for bytes, with a stream that ends in an error.
READS: dict[str, Ending] = {
    "recv": lambda conn: conn.recv(),
    "recv, one byte": lambda conn: conn.recv(1),
    "recv, large": lambda conn: conn.recv(1 << 20),
    "recv, at once": lambda conn: conn.recv(timeout=0),
    "recv_into": lambda conn: conn.recv_into(bytearray(9)),
    "recv_into, large": lambda conn: conn.recv_into(bytearray(1 << 17)),
    "recv_exactly": lambda conn: conn.recv_exactly(9),
    "recv_exactly, large": lambda conn: conn.recv_exactly(1 << 17),
    "recv_until": lambda conn: conn.recv_until(b"--"),
    "recv_line": lambda conn: conn.recv_line(),
    "recv_line, without end": lambda conn: conn.recv_line(keep_end=False),
    "lines": lambda conn: list(conn.lines()),
    "recv_frame": lambda conn: conn.recv_frame(),
    "recv_all": lambda conn: conn.recv_all(),
    "peek": lambda conn: conn.peek(),
    "peek, large": lambda conn: conn.peek(1 << 20),
}


@pytest.mark.parametrize("name", READS)
def test_every_read_says_reset_and_says_it_again(by_abort: sl.Connection, name: str) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionResetError, match="RST") as caught:
            READS[name](by_abort)
        assert caught.value.errno == errno.ECONNRESET
    for read in READS.values():
        with pytest.raises(ConnectionResetError):
            read(by_abort)


@pytest.mark.parametrize("name", [name for name in READS if name != "recv, at once"])
def test_a_reset_wakes_a_waiting_read(pair: Pair, in_thread: Callable[..., Any], name: str) -> None:
    client, server = pair
    reading = in_thread(READS[name], client)
    server.abort()
    with pytest.raises(ConnectionResetError):
        reading.result(10)


def take_so_error(conn: sl.Connection) -> None:
    assert conn.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
    assert conn.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def take_so_error_as_bytes(conn: sl.Connection) -> None:
    code = conn.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR, 4)
    assert isinstance(code, bytes)
    assert int.from_bytes(code, sys.byteorder) == errno.ECONNRESET


def send(conn: sl.Connection) -> None:
    with pytest.raises(ConnectionResetError, match="send on"):
        conn.send(b"x")
    # The kernel's next answer, and no lie: nothing more can be sent.
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        conn.send(b"x")


def sendall(conn: sl.Connection) -> None:
    with pytest.raises(ConnectionResetError) as caught:
        conn.sendall(bytes(1 << 20))
    assert caught.value.sent == 0  # type: ignore[attr-defined]


def send_frame(conn: sl.Connection) -> None:
    with pytest.raises(ConnectionResetError):
        conn.send_frame(b"x")


def shut_down(conn: sl.Connection) -> None:
    with pytest.raises(OSError, match="shutdown") as caught:
        conn.shutdown("send")
    assert caught.value.errno == errno.ENOTCONN


def look(conn: sl.Connection) -> None:
    for _ in range(2):
        assert (len(conn.input_buffer), bytes(conn.input_buffer)) == (0, b"")
        assert len(conn.output_buffer) == 0
        assert (conn.state, conn.info().to_dict()["state"]) == (sl.TcpState.CLOSED, sl.TcpState.CLOSED)
        assert "CLOSED" in repr(conn)
        assert not conn.closed


def ask_whether_connected(conn: sl.Connection) -> None:
    conn.wait_connected(timeout=1)


# Whatever a program may do between the RST and the read that must tell of it.
BEFORE: list[Ending] = [
    take_so_error,
    take_so_error_as_bytes,
    send,
    sendall,
    send_frame,
    shut_down,
    look,
    ask_whether_connected,
]


@pytest.mark.parametrize("before", BEFORE, ids=lambda call: call.__name__)
@pytest.mark.parametrize("name", READS)
def test_no_other_call_takes_the_reset_away(by_abort: sl.Connection, before: Ending, name: str) -> None:
    before(by_abort)
    with pytest.raises(ConnectionResetError):
        READS[name](by_abort)


def test_a_peer_that_closes_with_unread_bytes_resets(pair: Pair) -> None:
    client, server = pair
    client.send(b"never read")
    eventually(lambda: len(server.input_buffer) == 10)
    server.close()
    with pytest.raises(ConnectionResetError):
        over(client).recv()


def test_unread_bytes_come_before_the_reset(pair: Pair) -> None:
    """Linux keeps what had arrived; where a system drops it the error comes at once, and never b""."""
    client, server = pair
    server.send(b"one\ntwo\nthree")
    assert client.recv_line(timeout=10) == b"one\n"
    server.send(b"!\nfour")
    eventually(lambda: len(client.input_buffer) == 15)
    server.abort()
    over(client)
    assert bytes(client.input_buffer) == b"two\nthree!\nfour"
    take_so_error(client)
    assert client.peek() == b"two\nthree!\nfour"
    assert client.recv_line() == b"two\n"
    assert client.recv_line() == b"three!\n"
    # Inside a frame the reset is the reason, not an end of stream; the bytes stay.
    for name in ("recv_line", "lines", "recv_until", "recv_exactly", "recv_exactly, large", "recv_all"):
        with pytest.raises(ConnectionResetError):
            READS[name](client)
        assert bytes(client.input_buffer) == b"four"
    assert client.recv_exactly(2) == b"fo"
    client.unrecv(b"F")
    assert client.recv() == b"Fur"
    with pytest.raises(ConnectionResetError):
        client.recv()


def test_a_kernel_queue_comes_before_the_reset(pair: Pair) -> None:
    client, server = pair
    server.sendall(stream(0, 100_000))
    eventually(lambda: client.input_buffer.kernel == 100_000)
    server.abort()
    over(client)
    with pytest.raises(ConnectionResetError):
        client.recv_exactly(100_001)
    assert client.recv_exactly(100_000) == stream(0, 100_000)
    with pytest.raises(ConnectionResetError):
        client.recv()


def test_a_fin_then_a_reset_is_an_end_of_stream_for_the_reader_and_an_error_for_the_writer(pair: Pair) -> None:
    """The stream had ended, with all its bytes, before the RST came."""
    client, server = pair
    server.send(b"all of it")
    server.shutdown("send")
    eventually(lambda: client.state == sl.TcpState.CLOSE_WAIT)
    server.abort()
    over(client)
    assert client.recv_all() == b"all of it"
    assert client.recv() == b""
    with pytest.raises(BrokenPipeError):
        client.send(b"x")
    assert client.recv() == b""


def test_half_close_carries_the_other_direction_to_its_end(pair: Pair) -> None:
    client, server = pair
    client.sendall(b"question")
    client.shutdown("send")
    with pytest.raises(BrokenPipeError, match="shutdown"):
        client.send(b"more")
    assert server.recv_all(timeout=10) == b"question"
    assert server.recv(timeout=10) == b""
    for number in range(100):
        server.send(b"answer %d\n" % number)
    server.shutdown("send")
    assert list(client.lines(timeout=10)) == [b"answer %d\n" % number for number in range(100)]
    assert client.recv() == server.recv() == b""


def test_a_reset_after_a_half_close_is_a_reset(pair: Pair) -> None:
    client, server = pair
    client.shutdown("send")
    assert server.recv(timeout=10) == b""
    server.abort()
    with pytest.raises(ConnectionResetError):
        over(client).recv()


def test_a_reset_while_nothing_is_received_any_more(pair: Pair) -> None:
    """shutdown("recv") makes reads say b"" at once: that is this side's own doing. A reset is still told."""
    client, server = pair
    client.shutdown("recv")
    assert client.recv() == b""
    server.abort()
    with pytest.raises(ConnectionResetError):
        over(client).recv()


def test_a_send_after_the_peer_closed_meets_the_reset_that_it_causes(pair: Pair) -> None:
    client, server = pair
    server.close()
    assert client.recv(timeout=10) == b""
    assert client.send(b"first") == 5
    over(client)
    with pytest.raises(BrokenPipeError):
        client.send(b"second")
    assert client.recv() == b""


def test_a_reset_with_bytes_in_the_output_buffer(in_thread: Callable[..., Any]) -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        stuff(client, server)
        waiting = in_thread(client.sendall, bytes(1 << 20))
        eventually(lambda: client.totals.sent > 0)
        server.abort()
        with pytest.raises(ConnectionResetError) as caught:
            waiting.result(10)
        assert caught.value.sent >= 0  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            client.recv()
        assert len(client.output_buffer) == 0


def test_an_abort_drops_what_was_not_delivered() -> None:
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        sent = stuff(client, server)
        settle(client, server)
        client.abort()
        with pytest.raises(ConnectionResetError):
            over(server).recv_exactly(sent)
        here = len(server.input_buffer)
        assert here < sent
        assert server.recv_exactly(here) == stream(0, here)
        with pytest.raises(ConnectionResetError):
            server.recv()


def test_a_client_that_is_gone_before_it_is_accepted(listener: sl.Listener) -> None:
    client = sl.connect(listener.local_addr, timeout=10)
    address = client.local_addr
    client.send(b"I was here")
    eventually(lambda: listener.backlog.waiting == 1)
    client.abort()
    with listener.accept(timeout=10) as conn:
        assert conn.peer_addr == address
        assert conn.recv_exactly(10) == b"I was here"
        with pytest.raises(ConnectionResetError):
            conn.recv()


def test_a_timeout_of_the_kernels_own_stays_an_error() -> None:
    """TCP_USER_TIMEOUT: the kernel gives up a peer whose window stays closed. That is no end of stream either."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("this system has no TCP_USER_TIMEOUT")
    with ends(recv_buffer=SMALL, send_buffer=SMALL) as (client, server):
        stuff(client, server)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        over(client)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="the kernel gave the connection up") as caught:
                client.recv()
            assert caught.value.errno == errno.ETIMEDOUT


CLOSES: dict[str, Ending] = {
    "closed": lambda conn: conn.close(),
    "aborted": lambda conn: conn.abort(),
    "detached": lambda conn: socket.socket(fileno=conn.detach()).close(),
}


@pytest.mark.parametrize("how", CLOSES)
@pytest.mark.parametrize("name", READS)
def test_a_close_by_this_program_is_told_apart(pair: Pair, how: str, name: str) -> None:
    client, server = pair
    if how == "closed":
        # Even where the peer has reset before: what this program did is what it has to know.
        server.abort()
        over(client)
    CLOSES[how](client)
    with pytest.raises(sl.ClosedError, match=f"{how} by this program") as caught:
        READS[name](client)
    assert caught.value.errno == errno.EBADF
    assert not isinstance(caught.value, ConnectionError)


@pytest.mark.skipif(sys.platform == "win32", reason="raises a signal of Unix")
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_reset_that_a_signal_comes_with_is_not_forgotten(by_abort: sl.Connection, size: int) -> None:
    """The kernel tells the send of the reset, and the handler's exception may come out instead: the next read must
    know."""
    with pending_signal() as timeout, suppress(CameInBetweenError), suppress(ConnectionResetError):
        by_abort.sendall(bytes(size), timeout=timeout)
    with pytest.raises(ConnectionResetError):
        by_abort.recv()
