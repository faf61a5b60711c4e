"""Options are the kernel's: what is set here, the standard library reads on the same socket, and the other way round. Nothing is
remembered that the kernel could be asked.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import IPPROTO_TCP, SO_KEEPALIVE, SO_LINGER, SO_RCVBUF, SO_REUSEADDR, SO_SNDBUF, SOL_SOCKET, TCP_NODELAY
from typing import Any

import pytest
import socklens as sl
from helpers import eventually
from refusals import refused

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux doubles the sizes of buffers")


@pytest.fixture
def conn(pair: tuple[sl.Connection, sl.Connection]) -> Any:
    """One end of a connection."""
    return pair[0]


@contextmanager
def stdlib(obj: sl.Connection | sl.Listener) -> Iterator[socket.socket]:
    """The same socket, as the standard library sees it."""
    with socket.socket(fileno=os.dup(obj.fileno())) as sock:
        yield sock


# Attributes


@pytest.mark.parametrize(
    ("name", "level", "option"), [("nodelay", IPPROTO_TCP, TCP_NODELAY), ("keepalive", SOL_SOCKET, SO_KEEPALIVE)]
)
def test_switches(conn: Any, name: str, level: int, option: int) -> None:
    with stdlib(conn) as sock:
        assert getattr(conn, name) is False
        for on in (True, False):
            setattr(conn, name, on)
            assert getattr(conn, name) is on
            assert bool(sock.getsockopt(level, option)) is on
        sock.setsockopt(level, option, 1)
        assert getattr(conn, name) is True


@pytest.mark.parametrize("name", ["nodelay", "keepalive"])
@pytest.mark.parametrize("value", ["on", None, 2.5])
def test_a_switch_is_on_or_off(conn: Any, name: str, value: Any) -> None:
    refused(TypeError, [name], setattr, conn, name, value)
    assert getattr(conn, name) is False


def test_linger(conn: Any) -> None:
    with stdlib(conn) as sock:
        assert conn.linger is None
        for seconds, kernels in ((0, (1, 0)), (7, (1, 7)), (65535, (1, 65535)), (None, (0, 0))):
            conn.linger = seconds
            assert conn.linger == seconds
            assert struct.unpack("ii", sock.getsockopt(SOL_SOCKET, SO_LINGER, 8))[0] == kernels[0]
            assert not seconds or struct.unpack("ii", sock.getsockopt(SOL_SOCKET, SO_LINGER, 8)) == kernels
        sock.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 3))
        assert conn.linger == 3


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (-1, ValueError),
        (1.5, ValueError),
        (65536, ValueError),
        (2**70, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("5", TypeError),
        (b"six", TypeError),
        (True, TypeError),
    ],
)
def test_no_such_linger(conn: Any, value: Any, kind: type[Exception]) -> None:
    refused(
        kind, ["linger", "whole number of seconds from 0 to 65535", "None", repr(value)], setattr, conn, "linger", value
    )
    assert conn.linger is None


def test_no_linger_makes_close_an_abort(pair: tuple[sl.Connection, sl.Connection]) -> None:
    client, server = pair
    client.linger = 0
    client.close()
    with pytest.raises(ConnectionResetError):
        server.recv(timeout=10)


def test_options_have_no_deleter(conn: Any) -> None:
    for name in ("timeout", "nodelay", "keepalive", "linger", "local_addr"):
        with pytest.raises(AttributeError):
            delattr(conn, name)


# Timeouts


@pytest.fixture
def default_timeout() -> Iterator[Callable[[float | None], None]]:
    """`set_default_timeout`, and for ever again afterwards."""
    yield sl.set_default_timeout
    sl.set_default_timeout(None)


def test_a_timeout_is_for_ever_unless_set(conn: Any, listener: sl.Listener) -> None:
    assert (conn.timeout, listener.timeout, sl.get_default_timeout()) == (None, None, None)


def test_the_default_timeout_is_for_what_is_made_from_now_on(default_timeout: Callable[[float | None], None]) -> None:
    early, other = sl.pair()
    default_timeout(2.5)
    assert sl.get_default_timeout() == 2.5
    with early, other, sl.listen() as listener, sl.connect(listener.local_addr) as client, listener.accept() as server:
        assert (early.timeout, other.timeout) == (None, None)
        assert (listener.timeout, client.timeout, server.timeout) == (2.5, 2.5, 2.5)
        one, two = sl.pair()
        with one, two:
            assert (one.timeout, two.timeout) == (2.5, 2.5)


def test_the_default_timeout_ends_a_wait(default_timeout: Callable[[float | None], None]) -> None:
    default_timeout(0.01)
    one, two = sl.pair()
    with one, two, sl.listen(backlog=0) as full, sl.connect(full.local_addr):
        refused(TimeoutError, ["0.01 s"], one.recv)
        refused(TimeoutError, ["0.01 s"], sl.connect, full.local_addr)
        with full.accept():
            refused(TimeoutError, ["0.01 s"], full.accept)


def test_accepted_connections_take_the_timeout_of_their_listener(listener: sl.Listener) -> None:
    listener.timeout = 7
    with sl.connect(listener.local_addr) as client, listener.accept() as server:
        assert (client.timeout, server.timeout) == (None, 7)
        listener.timeout = None
        assert server.timeout == 7


def test_a_timeout_of_a_call_leaves_the_objects_own_alone(conn: Any) -> None:
    conn.timeout = 9
    refused(BlockingIOError, ["timeout is 0"], conn.recv, timeout=0)
    assert conn.timeout == 9


@pytest.mark.parametrize("seconds", [None, 0.0, 4.5])
def test_a_timeout_goes_along_with_the_socket(conn: Any, seconds: float | None) -> None:
    conn.timeout = seconds
    sock = conn.to_socket()
    assert sock.gettimeout() == seconds
    with sl.Connection.from_socket(sock) as again:
        assert again.timeout == seconds


# By number


def test_options_by_number(conn: Any, listener: Any) -> None:
    for obj in (conn, listener):
        with stdlib(obj) as sock:
            for level, option in ((SOL_SOCKET, SO_RCVBUF), (SOL_SOCKET, SO_KEEPALIVE), (SOL_SOCKET, socket.SO_TYPE)):
                assert obj.getsockopt(level, option) == sock.getsockopt(level, option)
                for size in (1, 2, 3, 4, 8, 1024):
                    assert obj.getsockopt(level, option, size) == sock.getsockopt(level, option, size)
            obj.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            assert sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE)
            obj.setsockopt(SOL_SOCKET, SO_KEEPALIVE, struct.pack("i", 0))
            assert not sock.getsockopt(SOL_SOCKET, SO_KEEPALIVE)
            obj.setsockopt(SOL_SOCKET, SO_LINGER, bytearray(struct.pack("ii", 1, 5)))
            assert sock.getsockopt(SOL_SOCKET, SO_LINGER, 8) == obj.getsockopt(SOL_SOCKET, SO_LINGER, 8)
            assert struct.unpack("ii", obj.getsockopt(SOL_SOCKET, SO_LINGER, 8)) == (1, 5)
            obj.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 0, 0))


@linux
def test_options_that_are_no_number(conn: Any) -> None:
    with stdlib(conn) as sock:
        name = conn.getsockopt(IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        assert name == sock.getsockopt(IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        conn.setsockopt(IPPROTO_TCP, socket.TCP_CONGESTION, name.rstrip(b"\0"))
        info = conn.getsockopt(IPPROTO_TCP, socket.TCP_INFO, 104)
        assert (len(info), info[0]) == (104, conn.state.value)


@pytest.mark.parametrize("size", [-1, 1025, 2**40])
def test_no_such_length(conn: Any, listener: Any, size: int) -> None:
    for obj in (conn, listener):
        refused(ValueError, ["getsockopt", "buflen", str(size)], obj.getsockopt, SOL_SOCKET, SO_RCVBUF, size)
    refused(TypeError, ["buflen"], conn.getsockopt, SOL_SOCKET, SO_RCVBUF, "4")


def test_no_such_option(conn: Any, listener: Any) -> None:
    for obj in (conn, listener):
        for name, value in (("getsockopt", []), ("setsockopt", [1])):
            with pytest.raises(OSError, match=f"{name} on {type(obj).__name__} {obj.local_addr}") as caught:
                getattr(obj, name)(SOL_SOCKET, 9999, *value)
            assert caught.value.errno == errno.ENOPROTOOPT
            assert "9999" in str(caught.value), "which option"


def test_no_such_value(conn: Any) -> None:
    for value in ("text", None, 1.5, [1]):
        refused(TypeError, ["setsockopt", "int", "bytes"], conn.setsockopt, SOL_SOCKET, SO_RCVBUF, value)
    said = refused((OverflowError, ValueError), ["setsockopt"], conn.setsockopt, SOL_SOCKET, SO_RCVBUF, 2**40)
    assert "not int" not in said
    for name in (2**40, "SOL_SOCKET"):
        said = refused((OverflowError, TypeError), ["level"], conn.getsockopt, name, SO_RCVBUF)
        assert "conversion attempted" not in said


# Buffer sizes


@linux
def test_buffers_asked_for_and_granted() -> None:
    with sl.listen(recv_buffer=16384, send_buffer=20000) as listener:
        assert listener.getsockopt(SOL_SOCKET, SO_RCVBUF) == 2 * 16384
        client = sl.connect(listener.local_addr, recv_buffer=10000, send_buffer=30000, timeout=10)
        with client, listener.accept(timeout=10) as server:
            for conn, received, sent in ((client, 10000, 30000), (server, 16384, 20000)):
                view = conn.input_buffer, conn.output_buffer
                assert (view[0].asked, view[0].capacity) == (received, 2 * received)
                assert (view[1].asked, view[1].capacity) == (sent, 2 * sent)
                with stdlib(conn) as sock:
                    assert sock.getsockopt(SOL_SOCKET, SO_RCVBUF) == view[0].capacity
                    assert sock.getsockopt(SOL_SOCKET, SO_SNDBUF) == view[1].capacity


@linux
def test_a_buffer_has_a_smallest_size() -> None:
    one, two = sl.pair(recv_buffer=1, send_buffer=1)
    with one, two:
        for conn in (one, two):
            assert conn.input_buffer.asked == conn.output_buffer.asked == 1
            assert 1 < conn.input_buffer.capacity <= 4096
            assert 1 < conn.output_buffer.capacity <= 8192
        one.sendall(b"still works", timeout=10)
        assert two.recv_exactly(11, timeout=10) == b"still works"


def test_buffers_that_the_kernel_chose(conn: Any) -> None:
    assert conn.input_buffer.asked is None
    assert conn.output_buffer.asked is None
    with stdlib(conn) as sock:
        assert conn.input_buffer.capacity == sock.getsockopt(SOL_SOCKET, SO_RCVBUF)
        assert conn.output_buffer.capacity == sock.getsockopt(SOL_SOCKET, SO_SNDBUF)


# Listeners


def test_reuse_addr() -> None:
    with sl.listen() as on, sl.listen(reuse_addr=False) as off:
        assert (on.reuse_addr, off.reuse_addr) == (sys.platform != "win32", False)
        with stdlib(on) as sock:
            assert bool(sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)) is on.reuse_addr
        off.reuse_addr = True
        with stdlib(off) as sock:
            assert sock.getsockopt(SOL_SOCKET, SO_REUSEADDR)
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 0)
        assert off.reuse_addr is False
    refused(TypeError, ["reuse_addr"], sl.listen, reuse_addr="yes")


@linux
def test_a_backlog_is_asked_for_and_granted() -> None:
    with open("/proc/sys/net/core/somaxconn") as file:
        most = int(file.read())
    for asked, granted in ((0, 0), (1, 1), (2**31 - 1, most)):
        with sl.listen(backlog=asked) as listener:
            assert listener.backlog == (0, granted)
    with sl.listen(backlog=1) as listener:
        clients = [sl.connect(listener.local_addr, timeout=10) for _ in range(2)]
        eventually(lambda: listener.backlog == (2, 1), what="a queue of 1, which holds 2")
        assert (listener.backlog.waiting, listener.backlog.limit) == (2, 1)
        for client in clients:
            client.close()
