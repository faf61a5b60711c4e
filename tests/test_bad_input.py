"""Bad input is refused by the right kind of exception, in a sentence that names the value, the limit and what to do instead; it
changes nothing, and the connection goes on working. What is not bad is not refused.
"""

from __future__ import annotations

import array
import ctypes
import socket
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import socklens as sl
from helpers import eventually
from refusals import refused

HOST = "127.0.0.1"
BEFORE = b"came before\n"
IN_RANGE = "0 to 65535"
FOR_EVER = "None to wait for ever"


@pytest.fixture
def conn(pair: tuple[sl.Connection, sl.Connection]) -> Iterator[Any]:
    """One end of a connection with a line in its input buffer, which must still be there afterwards, in working order."""
    conn, peer = pair
    conn.timeout = peer.timeout = 10
    peer.sendall(BEFORE)
    eventually(lambda: len(conn.input_buffer) == len(BEFORE))
    yield conn
    assert conn.recv_exactly(len(BEFORE)) == BEFORE
    conn.sendall(b"after\n")
    assert peer.recv_line() == b"after\n"
    assert conn.totals.sent == len(b"after\n"), "a refused call sent something"


# Ports and hosts


@pytest.mark.parametrize("opening", [sl.connect, sl.listen])
@pytest.mark.parametrize(
    ("port", "kind", "words"),
    [
        (-1, OverflowError, ["port -1 ", IN_RANGE]),
        (65536, OverflowError, ["port 65536 ", IN_RANGE]),
        (2**70, OverflowError, [f"port {2**70} ", IN_RANGE]),
        ("http", TypeError, ["'http'", "whole number", IN_RANGE]),
        ("6666", TypeError, ["'6666'", "whole number", IN_RANGE]),
        (True, TypeError, ["True (bool)", "whole number", IN_RANGE]),
        (80.0, TypeError, ["80.0 (float)", "whole number", IN_RANGE]),
    ],
)
def test_no_such_port(opening: Callable[..., object], port: Any, kind: type[Exception], words: list[str]) -> None:
    refused(kind, words, opening, HOST, port)


def test_connect_needs_a_port() -> None:
    refused(ValueError, ["needs a port", 'connect("127.0.0.1", 6666)'], sl.connect, HOST)
    refused(ValueError, ["needs a port"], sl.connect, HOST, None)
    refused(ValueError, ["port 0", "any free port"], sl.connect, HOST, 0)
    refused(TypeError, ["host comes first", "port=6666"], sl.connect, 6666)
    refused(TypeError, ["host comes first", "port=6666"], sl.listen, 6666)


@pytest.mark.parametrize("opening", [sl.connect, sl.listen])
def test_a_name_that_no_resolver_knows(opening: Callable[..., object]) -> None:
    with pytest.raises(socket.gaierror) as caught:
        opening("nonexistent.invalid", 80)
    assert caught.value.errno in {socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_NODATA, socket.EAI_FAIL}
    assert '"nonexistent.invalid"' in str(caught.value)
    assert "check its spelling" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "kind", "words"),
    [
        ("", ValueError, ["host is empty"]),
        ("a\0b", ValueError, ["NUL"]),
        (b"127.0.0.1", TypeError, ["b'127.0.0.1' (bytes)"]),
        (None, TypeError, ["not None"]),
        ([HOST, 80], TypeError, ["(host, port)", "(list)"]),
    ],
)
def test_no_such_host(host: Any, kind: type[Exception], words: list[str]) -> None:
    for opening in (sl.connect, sl.listen):
        refused(kind, words, opening, host, 80)


def test_a_listener_is_no_address_but_has_one(listener: sl.Listener) -> None:
    refused(TypeError, ["Listener", ".local_addr"], sl.connect, listener)
    with sl.connect(listener.local_addr, timeout=10), listener.accept(timeout=10):
        assert listener.accepted == 1


def test_an_empty_host_is_answered_with_what_a_client_can_use() -> None:
    refused(ValueError, ["127.0.0.1"], sl.listen, "", 80)
    assert "0.0.0.0" not in refused(ValueError, ["127.0.0.1"], sl.connect, "", 80)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("127.0.0.1:http", ValueError, ['"http"', "not a number", "host:port"]),
        ("127.0.0.1:", ValueError, ["not a number", "host:port"]),
        ("127.0.0.1: 80", ValueError, ["not a number", "host:port"]),
        ("127.0.0.1:+80", ValueError, ["+80"]),
        ("127.0.0.1:65536", OverflowError, ["65536", IN_RANGE]),
        ("127.0.0.1:-1", OverflowError, ["-1", IN_RANGE]),
        (f"127.0.0.1:{10**25}", OverflowError, [str(10**25), IN_RANGE]),
        ("127.0.0.1:0", ValueError, ["port 0"]),
        (":80", ValueError, ["host", "empty"]),
        ("[::1", ValueError, ["bracket", "[::1]:6666"]),
        ("[::1]80", ValueError, ["after the bracket", "[::1]:6666"]),
        ("::1]:80", ValueError, ["bracket", "[::1]:6666"]),
        ("[]:80", ValueError, ["empty"]),
        ("a:b:c", ValueError, ["host:port"]),
        ("http://127.0.0.1:80", ValueError, ["host:port"]),
    ],
)
def test_endpoints_in_one_text(text: str, kind: type[Exception], words: list[str]) -> None:
    refused(kind, words, sl.connect, text)


def test_two_ports() -> None:
    refused(ValueError, ["two ports", "80", "81", "give one"], sl.connect, "127.0.0.1:80", 81)
    refused(ValueError, ["two ports", "give one"], sl.connect, (HOST, 80), 81)
    refused(ValueError, ["two ports"], sl.listen, "127.0.0.1:80", 81)


@pytest.mark.parametrize(
    "address",
    [(), (HOST,), (HOST, 80, 0), (80, HOST), (b"", 80), ("::1", 80, 0, -1), ("::1", 80, 0, "lo"), ("::1", 80, "x", 0)],
    ids=repr,
)
def test_tuples_that_are_no_address(address: Any) -> None:
    refused(TypeError, ["(host, port)", str(address)], sl.connect, address)


@pytest.mark.parametrize("backlog", [-1, 2**31, "many", None, 1.5])
def test_no_such_backlog(backlog: Any) -> None:
    said = refused((ValueError, TypeError, OverflowError), ["backlog"], sl.listen, backlog=backlog)
    assert "conversion attempted" not in said


@pytest.mark.parametrize("size", [-1, 0, 2**31])
@pytest.mark.parametrize("name", ["recv_buffer", "send_buffer"])
def test_no_such_kernel_buffer(name: str, size: int) -> None:
    words = [name, "from 1 to 2147483647", f"not {size}"]
    refused(ValueError, words, sl.connect, HOST, 9, **{name: size})
    refused(ValueError, words, sl.listen, **{name: size})
    refused(ValueError, words, sl.pair, **{name: size})


# Timeouts


@pytest.mark.parametrize(
    ("timeout", "kind", "words"),
    [
        (-1, ValueError, ["-1 ", "0 or more", FOR_EVER]),
        (-0.5, ValueError, ["-0.5 ", "0 or more", FOR_EVER]),
        (float("nan"), ValueError, ["NaN", "0 or more", FOR_EVER]),
        (float("-inf"), ValueError, ["-inf ", "0 or more", FOR_EVER]),
        ("5", TypeError, ["'5' (str)", "seconds", FOR_EVER]),
        (True, TypeError, ["True (bool)", "seconds", FOR_EVER]),
        (b"5", TypeError, ["b'5' (bytes)", "seconds", FOR_EVER]),
    ],
)
def test_no_such_timeout(conn: Any, listener: Any, timeout: Any, kind: type[Exception], words: list[str]) -> None:
    for call in (conn.recv, conn.peek, conn.recv_line, conn.lines, conn.wait_connected, listener.accept):
        refused(kind, words, call, timeout=timeout)
    refused(kind, words, conn.send, b"x", timeout=timeout)
    refused(kind, words, sl.connect, listener.local_addr, timeout=timeout)
    refused(kind, words, sl.set_default_timeout, timeout)
    refused(kind, words, setattr, conn, "timeout", timeout)
    refused(kind, words, setattr, listener, "timeout", timeout)
    assert (conn.timeout, listener.timeout, sl.get_default_timeout()) == (10, None, None)


@pytest.mark.parametrize("number", [2, 2.5, Fraction(1, 2), np.float64(0.5), np.int64(3), 0, 10**6], ids=repr)
def test_any_number_is_a_timeout(conn: Any, number: Any) -> None:
    conn.timeout = number
    assert conn.timeout == float(number)
    conn.timeout = 10


@pytest.mark.parametrize("number", [None, float("inf"), 1e300, pytest.param(10**400, id="10**400")])
def test_more_than_any_clock_counts_is_for_ever(conn: Any, number: float | None) -> None:
    conn.timeout = number
    assert conn.timeout is None
    conn.timeout = 10


def test_a_tiny_timeout_is_not_zero(listener: sl.Listener) -> None:
    with pytest.raises(TimeoutError):
        listener.accept(timeout=1e-12)
    with pytest.raises(BlockingIOError):
        listener.accept(timeout=0)


# Sizes

SIZED: dict[str, Callable[[Any, Any], object]] = {
    "recv": lambda conn, size: conn.recv(size),
    "peek": lambda conn, size: conn.peek(size),
    "recv_into": lambda conn, size: conn.recv_into(bytearray(4), size),
    "recv_line": lambda conn, size: conn.recv_line(max_bytes=size),
    "lines": lambda conn, size: conn.lines(max_bytes=size),
    "recv_until": lambda conn, size: conn.recv_until(b";", max_bytes=size),
    "recv_all": lambda conn, size: conn.recv_all(max_bytes=size),
}
ALL_SIZED = SIZED | {
    "recv_exactly": lambda conn, size: conn.recv_exactly(size),
    "recv_frame": lambda conn, size: conn.recv_frame(max_bytes=size),
    "input_buffer.peek": lambda conn, size: conn.input_buffer.peek(size),
    "output_buffer.peek": lambda conn, size: conn.output_buffer.peek(size),
}


@pytest.mark.parametrize("name", ALL_SIZED)
@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (-1, ValueError),
        (-(2**100), ValueError),
        (2**100, OverflowError),
        ("5", TypeError),
        (5.0, TypeError),
        (True, TypeError),
    ],
)
def test_no_such_size(conn: Any, name: str, size: Any, kind: type[Exception]) -> None:
    refused(kind, [str(size), "bytes"], ALL_SIZED[name], conn, size)


@pytest.mark.parametrize("name", SIZED)
def test_zero_bytes_are_not_asked_for(conn: Any, name: str) -> None:
    refused(ValueError, [name.split("_")[0], "1 or more", "not 0"], SIZED[name], conn, 0)


def test_zero_where_it_makes_sense(conn: Any) -> None:
    assert conn.recv_exactly(0) == b""
    assert conn.input_buffer.peek(0) == b""
    assert conn.send(b"") == 0


@pytest.mark.parametrize("size", [2**62, 2**63 - 1])
def test_huge_sizes(conn: Any, size: int) -> None:
    assert conn.peek(size) == BEFORE
    refused(MemoryError, [str(size), "smaller pieces"], conn.recv_exactly, size)
    assert conn.recv_line(max_bytes=size) == BEFORE
    conn.unrecv(BEFORE)
    assert conn.recv(size) == BEFORE
    conn.unrecv(BEFORE)


def test_a_buffer_to_receive_into(conn: Any) -> None:
    refused(ValueError, ["recv_into", "the buffer is empty"], conn.recv_into, bytearray())
    refused(ValueError, ["max_bytes=4", "3 bytes"], conn.recv_into, bytearray(3), 4)
    refused(TypeError, ["read-only", "bytearray"], conn.recv_into, b"bytes")
    refused(TypeError, ["read-only", "bytearray"], conn.recv_into, memoryview(b"bytes"))
    assert "encode" not in refused(TypeError, ["recv_into", "bytearray"], conn.recv_into, "text")
    assert "send" not in refused(BufferError, ["contiguous"], conn.recv_into, memoryview(bytearray(4))[::2])


# Data


@pytest.mark.parametrize("name", ["send", "sendall", "send_frame", "unrecv", "recv_until"])
def test_only_bytes_can_be_carried(conn: Any, name: str) -> None:
    call = getattr(conn, name)
    refused(TypeError, [name, "not str", "'text'.encode()"], call, "text")
    refused(TypeError, [name, "not str", "text.encode()"], call, "t" * 1000)
    for other in (5, None, [1, 2]):
        refused(TypeError, [name, "bytes", "bytearray"], call, other)
    refused(BufferError, [name, "contiguous", "bytes("], call, memoryview(b"abcdef")[::2])


class Header(ctypes.BigEndianStructure):
    _pack_ = 1
    _fields_ = [("kind", ctypes.c_uint8), ("length", ctypes.c_uint16)]


@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(bytearray(b"abc"), b"abc", id="bytearray"),
        pytest.param(memoryview(b"abcd").cast("H"), b"abcd", id="memoryview"),
        pytest.param(memoryview(b""), b"", id="nothing"),
        pytest.param(array.array("B", b"abc"), b"abc", id="array"),
        pytest.param(np.frombuffer(b"abcd", np.uint8).reshape(2, 2), b"abcd", id="numpy"),
        pytest.param(np.array(7, np.uint8), b"\x07", id="numpy scalar"),
        pytest.param(ctypes.create_string_buffer(b"abc", 3), b"abc", id="ctypes array"),
        pytest.param(Header(1, 2), b"\x01\x00\x02", id="ctypes structure"),
    ],
)
def test_anything_with_a_contiguous_buffer_can_be_carried(data: Any, content: bytes) -> None:
    client, server = sl.pair()
    with client, server:
        assert client.send(data, timeout=10) == len(content)
        assert server.recv_exactly(len(content), timeout=10) == content
        server.unrecv(data)
        assert server.recv_exactly(len(content), timeout=10) == content


def test_whatever_counts_as_a_whole_number_is_one(listener: sl.Listener, conn: Any) -> None:
    assert conn.peek(np.int64(4)) == BEFORE[:4]
    port: Any = np.int64(listener.local_addr.port)
    with sl.connect(HOST, port, timeout=10) as client:
        assert client.peer_addr == listener.local_addr


def test_only_a_socket_of_pythons_can_be_taken_over(conn: Any, listener: sl.Listener) -> None:
    for making in (sl.Connection.from_socket, sl.Listener.from_socket):
        for other in (5, None, "socket", conn, listener):
            refused(TypeError, ["from_socket", "socket.socket", type(other).__name__], making, other)
    assert not conn.closed
    assert not listener.closed


def test_only_a_tcp_socket_in_the_right_state_can_be_taken_over() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as idle:
        for sock in (datagrams, idle):
            refused(ValueError, ["connected TCP socket"], sl.Connection.from_socket, sock)
            refused(ValueError, ["listening TCP socket"], sl.Listener.from_socket, sock)
            assert sock.fileno() >= 0, "it stays with its owner"
    refused(ValueError, ["closed"], sl.Connection.from_socket, idle)


@pytest.mark.parametrize("how", ["write", "SEND", 3, -1, "", b"send", 1.5])
def test_no_such_direction(conn: Any, how: Any) -> None:
    refused(ValueError, ['"send", "recv" or "both"', repr(how)], conn.shutdown, how)


def test_too_much_to_put_back(conn: Any) -> None:
    limit = 64 << 20
    refused(BufferError, [f"{limit + 1}", f"{limit};", "nothing was put back"], conn.unrecv, bytes(limit + 1))
